"""Small files that claim or unpack to something huge, made by hand."""

import struct
import zlib

from hostile_files import (
    box,
    element,
    flac_block,
    matroska_cluster,
    matroska_file,
    matroska_tracks,
    stream_info,
    syncsafe,
)
from made_media import wav


def crc(data, polynomial, bits):
    """FLAC's checksums: CRC-8 with 0x07, CRC-16 with 0x8005."""
    value = 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value >> (bits - 1) & 1 else value << 1) & (1 << bits) - 1
    return value


def silent_flac(num_frames, *, channels=1, rate=16_000):
    """FLAC of constant frames: 65,535 samples a channel in some twenty bytes."""
    frames = []
    for number in range(128):  # numbers of one byte, again and again
        head = bytes([0xFF, 0xF8, 0x70, channels - 1 << 4 | 0x8, number]) + struct.pack(">H", 65_534)
        head += bytes([crc(head, 0x07, 8)])
        body = head + b"\0\0\0" * channels
        frames.append(body + struct.pack(">H", crc(body, 0x8005, 16)))
    whole = b"".join(frames)
    return b"fLaC" + flac_block(128, stream_info(rate=rate, channels=channels)) + whole * (num_frames // 128)


def long_wav(*, data_size=0xFFFFFFFF, rate=16_000):
    """A second of WAV that claims more."""
    plain = wav([500] * 16_000, rate)
    return plain[:4] + b"\xff\xff\xff\xff" + plain[8:40] + struct.pack("<I", data_size) + plain[44:]


def rf64():
    """A second of RF64 that claims to last for millions of years."""
    plain = wav([500] * 16_000, 16_000)
    sizes = struct.pack("<QQQI", 1 << 62, 1 << 62, 1 << 61, 0)
    return (
        b"RF64\xff\xff\xff\xffWAVEds64"
        + struct.pack("<I", 28)
        + sizes
        + plain[12:40]
        + b"\xff\xff\xff\xff"
        + plain[44:]
    )


def mp4(table, *, duration=0xFFFFFFFF, edits=b"", data=b""):
    """MP4 with one track of PCM and these sample tables."""
    sound = struct.pack(">6xH8xHHHHI", 1, 1, 16, 0, 0, 16_000 << 16)
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 16_000, duration, 0, 0)),
        box(b"hdlr", struct.pack(">I4s4s12x", 0, b"mhlr", b"soun") + b"\0"),
        box(
            b"minf",
            box(b"smhd", bytes(8)),
            box(b"stbl", box(b"stsd", struct.pack(">II", 0, 1), box(b"sowt", sound)), table),
        ),
    )
    header = box(b"mvhd", struct.pack(">IIIIIIH70xI", 0, 0, 0, 1_000, duration, 1 << 16, 1 << 8, 2))
    track = box(b"tkhd", struct.pack(">IIIIII60x", 7, 0, 0, 1, 0, duration))
    start = box(b"ftyp", b"isom\0\0\2\0isom") + box(b"mdat", data)
    return start + box(b"moov", header, box(b"trak", track, edits, media))


def tables(*, num_samples, size, per_chunk, chunks=(36,)):
    """stts, stsc, stsz, stco."""
    return b"".join(
        (
            box(b"stts", struct.pack(">IIII", 0, 1, num_samples, 1)),
            box(b"stsc", struct.pack(">IIIII", 0, 1, 1, per_chunk, 1)),
            box(b"stsz", struct.pack(">III", 0, size, num_samples)),
            box(b"stco", struct.pack(">II", 0, len(chunks)), *(struct.pack(">I", chunk) for chunk in chunks)),
        )
    )


SECOND = wav([500] * 16_000, 16_000)[44:]


def bombs():
    """All of them, by name."""
    second = tables(num_samples=16_000, size=2, per_chunk=16_000)
    late = box(b"edts", box(b"elst", struct.pack(">IIIiIIiI", 0, 2, 0x7FFFFFFF, -1, 1 << 16, 1_000, 0, 1 << 16)))
    packed = zlib.compress(bytes(200_000_000), 1)
    coding = element(0x6D80, element(0x6240, element(0x5034, element(0x4254, b"\0"))))
    moov = zlib.compress(bytes(300_000_000), 1)
    small = wav([500] * 1_600, 16_000)
    return {
        "data 4 GiB.wav": long_wav(),
        "list 2 GiB.wav": small[:36]
        + b"LIST"
        + struct.pack("<I", 0x7FFFFFFF)
        + b"INFOINAM"
        + struct.pack("<I", 0x7FFFFFF0),
        "years.wav": rf64(),
        "years.mp4": mp4(second, data=SECOND),
        "begins in 24 days.mp4": mp4(second, edits=late, data=SECOND, duration=16_000),
        "billions of samples.mp4": mp4(tables(num_samples=0xFFFFFFFF, size=1, per_chunk=0xFFFFFFFF), data=SECOND),
        "many chunks.mp4": mp4(
            tables(num_samples=0xFFFFFFF, size=1, per_chunk=0xFFFF, chunks=[36] * 4_096), data=SECOND
        ),
        "packed header.mov": box(
            b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", struct.pack(">I", 300_000_000), moov))
        ),
        "packed sound.mkv": matroska_file(matroska_tracks(coding), *[matroska_cluster(packed)] * 6),
        "void.mkv": matroska_file(element(0xEC)[:-8] + (1 << 56 | (1 << 55)).to_bytes(8, "big"), matroska_tracks()),
        "nested.mkv": matroska_file(
            b"\x10\x43\xa7\x70\x01\xff\xff\xff\xff\xff\xff\xff"
            + b"\x45\xb9\x01\xff\xff\xff\xff\xff\xff\xff"
            + b"\xb6\x01\xff\xff\xff\xff\xff\xff\xff" * 100_000
        ),
        "nested.mp4": (b"\x7f\xff\xff\xffmoov" + b"\x7f\xff\xff\xfftrak" * 100_000),
        "silence.flac": silent_flac(640),
        "picture 4 GiB.flac": b"fLaC"
        + flac_block(0, stream_info())
        + flac_block(6 | 128, struct.pack(">II", 3, 0xFFFFFFFF)),
        "padding.flac": b"fLaC"
        + flac_block(0, stream_info())
        + flac_block(1, bytes(0xFFFFFF)) * 3
        + flac_block(129, bytes(0xFFFFFF))
        + silent_flac(128)[42:],
        "many frames.ape": ape(0x7FFFFFF),
    }


def ape(num_frames):
    """Monkey's Audio with a table of frames larger than FFmpeg ever allocates."""
    sizes = struct.pack("<HHIIIIIII16x", 3_990, 0, 52, 24, 4 * num_frames, 0, 1_000, 0, 0)
    return b"MAC " + sizes + struct.pack("<HHIIIHHI", 2_000, 0, 73_728, 100, num_frames, 16, 1, 16_000) + bytes(1_000)


def cover(num_bytes):
    """An ID3 tag with a picture of this size."""
    body = b"\0image/png\0\3\0" + bytes(num_bytes)
    return b"ID3\3\0\0" + syncsafe(10 + len(body)) + b"APIC" + struct.pack(">IH", len(body), 0) + body
