"""Files that name other files and addresses: bait, made by hand, for a decoder that must not take it.

Every maker takes a `Bait` and gives bytes. Nothing here needs a decoder.
"""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

from made_media import wav

FALSE_SUFFIXES = ("mp4", "mp3", "wav", "mkv", "mov", "jpg")
"""Names that hostile files go by beside their honest ones."""

BAIT_FILE = "secret.wav"

BEGIN = "/hostile-media-begin"
"""Looked for by the probe when its imports are done: a mark in a trace of system calls."""


@dataclass(frozen=True)
class Bait:
    """What hostile files point at: must never be opened."""

    folder: Path
    """Holds the hostile files too; relative names are looked up in it."""
    port: int
    """Of 127.0.0.1, where somebody listens."""

    @property
    def path(self) -> Path:
        """A sound file."""
        return self.folder / BAIT_FILE

    @property
    def targets(self) -> dict[str, str]:
        """Ways to name it, or the listener."""
        return {
            "relative": "secret.wav",
            "absolute": str(self.path),
            "file": f"file://{self.path}",
            "http": f"http://127.0.0.1:{self.port}/secret.wav",
            "tcp": f"tcp://127.0.0.1:{self.port}",
            "concat": f"concat:{self.path}|{self.path}",
            "subfile": f"subfile,,start,0,end,3000,,:{self.path}",
        }


TEXTS = {
    # honest suffix: content; {target} is what is pointed at
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "map.m3u8": '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n#EXT-X-MAP:URI="{target}"\n#EXTINF:10,\n'
    "{target}\n#EXT-X-ENDLIST\n",
    "key.m3u8": '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:10,\n{target}\n'
    "#EXT-X-ENDLIST\n",
    "master.m3u8": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{target}"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{target}\n',
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT10S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{target}</BaseURL><SegmentList duration="10"><Initialization sourceURL="{target}"/>'
    '<SegmentURL media="{target}"/></SegmentList></Representation></AdaptationSet></Period></MPD>',
    "xxe.mpd": '<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "{target}">]>'
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>&x;</Period></MPD>',
    "pls": "[playlist]\nFile1={target}\nLength1=-1\nNumberOfEntries=1\nVersion=2\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "wvx": "[Reference]\nRef1={target}\nRef2={target}\n",
    "wpl": '<?wpl version="1.0"?><smil><body><seq><media src="{target}"/></seq></body></smil>',
    "xspf": '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>'
    "{target}</location></track></trackList></playlist>",
    "ram": "{target}\n",
    "cue": 'FILE "{target}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "options.ffconcat": "ffconcat version 1.0\nfile '{target}'\noption safe 0\nstream\nexact_stream_id 0x1\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\na=control:{target}\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 5004 RTP/AVP 0\n",
    "smil": '<smil><body><par><audio src="{target}"/><img src="{target}"/></par></body></smil>',
    "srt": '1\n00:00:00,000 --> 00:00:02,000\n<img src="{target}"><b>{target}</b>\n\n',
    "vtt": 'WEBVTT\n\nSTYLE\n::cue {{ background: url("{target}") }}\n\n00:00.000 --> 00:02.000\nhello\n',
    "ass": "[Script Info]\nScriptType: v4.00+\nAudio File: {target}\nVideo File: {target}\n[Events]\n"
    "Dialogue: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,{{\\img({target})}}hello\n[Fonts]\nfontname: {target}\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<image xlink:href="{target}" width="9" height="9"/></svg>',
    "idx": "# VobSub index file, v7\n# {target}\nsize: 720x576\nid: en, index: 0\n"
    "timestamp: 00:00:00:000, filepos: 0\n",
    "ffmeta": ";FFMETADATA1\ntitle={target}\n[STREAM]\nfile={target}\n",
    "lavfi": "amovie={target}",
    "avs": 'WavSource("{target}")\n',
    "assetmap.xml": '<?xml version="1.0"?><AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><AssetList>'
    "<Asset><ChunkList><Chunk><Path>{target}</Path></Chunk></ChunkList></Asset></AssetList></AssetMap>",
    "cpl.xml": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>'
    "{target}</Id></CompositionPlaylist>",
}


def texts(bait: Bait) -> dict[str, bytes]:
    """Every text with every target: honest suffix, with the kind of target before it."""
    return {
        f"{way}.{suffix}": text.format(target=target).encode()
        for suffix, text in TEXTS.items()
        for way, target in bait.targets.items()
    }


def binaries(bait: Bait, mp3: bytes) -> dict[str, bytes]:
    """Real containers that point elsewhere, by file name; `mp3` is a small one to put tags before."""
    return {
        "alias.mov": mov(alias(bait.path)),
        "url.mov": mov(b"url \0\0\0\0" + f"file://{bait.path}".encode() + b"\0"),
        "web.mov": mov(b"url \0\0\0\0" + bait.targets["http"].encode() + b"\0"),
        "urn.mov": mov(b"urn \0\0\0\0secret\0" + str(bait.path).encode() + b"\0"),
        "reference.mov": reference_movie(bait.targets["http"]),
        "linked.mkv": matroska(bait),
        "script.asf": asf(bait.targets["http"]),
        "picture.mp3": id3_picture(bait.targets["http"]) + mp3,
        "picture.flac": flac_picture(bait.targets["http"]),
        "%03d.png": b"\x89PNG\r\n\x1a\n" + str(bait.path).encode(),
        "secret%d.wav": b"",
        "dvd.ifo": b"DVDVIDEO-VTS" + str(bait.path).encode(),
    }


def box(name: bytes, *content: bytes) -> bytes:
    """A box of MP4 and QuickTime."""
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name + body


def mov(reference: bytes, *, count: int = 800) -> bytes:
    """QuickTime whose PCM lies in another file: 44 bytes from its start, `count` samples.

    Args:
        reference: of the data reference box: type, version and flags, data.
        count: samples of 16 bits.
    """
    dref = struct.pack(">I", 4 + len(reference)) + reference
    sound = struct.pack(">6xH8xHHHHI", 1, 1, 16, 0, 0, 16_000 << 16)
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), box(b"sowt", sound)),
        box(b"stts", struct.pack(">IIII", 0, 1, count, 1)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1)),
        box(b"stsz", struct.pack(">III", 0, 2, count)),
        box(b"stco", struct.pack(">III", 0, 1, 44)),
    )
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 16_000, count, 0, 0)),
        box(b"hdlr", struct.pack(">I4s4s12x", 0, b"mhlr", b"soun") + b"\0"),
        box(
            b"minf",
            box(b"smhd", bytes(8)),
            box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), dref)),
            table,
        ),
    )
    header = box(b"mvhd", struct.pack(">IIIIIIH70xI", 0, 0, 0, 1_000, 50, 1 << 16, 1 << 8, 2))
    track = box(b"tkhd", struct.pack(">IIIIII60x", 7, 0, 0, 1, 0, 50))
    return box(b"ftyp", b"qt  \0\0\2\0qt  ") + box(b"moov", header, box(b"trak", track, media))


def alias(path: Path) -> bytes:
    """A Macintosh alias record to a file: the one kind of data reference that FFmpeg can follow."""
    full = str(path).encode()
    if len(full) % 2:
        full += b"\0"
    start = struct.pack(">10xB27s12xB63s16xHH16x", 4, b"disk", len(path.name), path.name.encode(), 1, 1)
    return b"alis\0\0\0\0" + start + struct.pack(">HH", 2, len(full)) + full + struct.pack(">HH", 0xFFFF, 0)


def reference_movie(url: str) -> bytes:
    """A QuickTime reference movie: nothing but the address of another."""
    target = url.encode() + b"\0"
    rdrf = box(b"rdrf", struct.pack(">I4sI", 0, b"url ", len(target)), target)
    return box(b"moov", box(b"rmra", box(b"rmda", rdrf)))


def element(name: int, *content: bytes) -> bytes:
    """An element of Matroska."""
    body = b"".join(content)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (len(body) | 1 << 56).to_bytes(8, "big") + body


def matroska_file(*segment: bytes) -> bytes:
    """A Matroska file of these elements."""
    return element(0x1A45DFA3, element(0x4282, b"matroska"), element(0x4285, b"\2")) + element(0x18538067, *segment)


def matroska_tracks(*more: bytes) -> bytes:
    """One track of 16-bit PCM at 16 kHz, with `more` in its entry."""
    audio = element(0xE1, element(0xB5, struct.pack(">d", 16_000.0)), element(0x9F, b"\1"), element(0x6264, b"\x10"))
    entry = element(0xAE, element(0xD7, b"\1"), element(0x73C5, b"\1"), element(0x83, b"\2"))
    codec = element(0x86, b"A_PCM/INT/LIT")
    return element(0x1654AE6B, element(0xAE, entry[9:], codec, audio, *more))


def matroska_cluster(*blocks: bytes) -> bytes:
    """A cluster of simple blocks."""
    return element(0x1F43B675, element(0xE7, b"\0"), *(element(0xA3, b"\x81\0\0\x80", block) for block in blocks))


def matroska(bait: Bait) -> bytes:
    """Matroska that is linked to others before and behind, with an attachment and tags that name files."""
    name, path = b"secret.wav", str(bait.path).encode()
    info = element(
        0x1549A966,
        element(0x73A4, bytes(range(16))),
        *(element(uid, bytes(16)) for uid in (0x3CB923, 0x3EB923)),
        *(element(file, name) for file in (0x7384, 0x3C83AB, 0x3E83BB)),
    )
    attached = [element(0x466E, path), element(0x4660, b"audio/wav"), element(0x465C, path), element(0x46AE, b"\1")]
    attachments = element(0x1941A469, element(0x61A7, *attached, element(0x4675, path)))
    tag = element(0x67C8, element(0x45A3, b"URL"), element(0x4487, bait.targets["http"].encode()))
    chapters = element(0x1043A770, element(0x45B9, element(0xB6, element(0x6E67, bytes(16)), element(0x91, b"\0"))))
    sound = wav([500] * 800, 16_000)[44:]
    return matroska_file(
        info,
        matroska_tracks(),
        attachments,
        chapters,
        element(0x1254C367, element(0x7373, tag)),
        matroska_cluster(sound),
    )


def asf(url: str) -> bytes:
    """ASF whose script commands send the player elsewhere."""
    target = (url + "\0").encode("utf-16-le")
    kind = "URLANDEXIT".encode("utf-16-le")
    command = struct.pack("<IHH", 0, 0, len(target) // 2) + target
    script = (
        bytes.fromhex("301afb1e620bd011a39b00a0c90348f6") + bytes(16) + struct.pack("<HHH", 1, 1, 10) + kind + command
    )
    script = script[:16] + struct.pack("<Q", 24 + len(script) - 16) + script[16:]
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    return head + struct.pack("<QIBB", 30 + len(script), 1, 1, 2) + script


def id3_picture(url: str) -> bytes:
    """An ID3 tag whose cover is an address."""
    frame = b"\0-->\0\3\0" + url.encode()
    body = b"APIC" + struct.pack(">IH", len(frame), 0) + frame
    body += b"WXXX" + struct.pack(">IH", len(url) + 2, 0) + b"\0\0" + url.encode()
    return b"ID3\3\0\0" + syncsafe(len(body)) + body


def syncsafe(size: int) -> bytes:
    """A size in four times seven bits."""
    return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))


def flac_picture(url: str) -> bytes:
    """FLAC without frames whose cover is an address, and whose comments hold one more."""
    kind, target = b"-->", url.encode()
    picture = struct.pack(">II", 3, len(kind)) + kind + bytes(20) + struct.pack(">I", len(target)) + target
    comment = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(picture)
    comments = struct.pack("<III", 0, 1, len(comment)) + comment
    return b"fLaC" + flac_block(0, stream_info()) + flac_block(6, picture) + flac_block(4 | 128, comments)


def flac_block(kind: int, body: bytes) -> bytes:
    """A metadata block of FLAC."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def stream_info(*, rate: int = 16_000, channels: int = 1, num_samples: int = 0, block: int = 65_535) -> bytes:
    """FLAC's STREAMINFO for 16 bits."""
    packed = rate << 44 | channels - 1 << 41 | 15 << 36 | num_samples
    return struct.pack(">HH6x", block, block) + packed.to_bytes(8, "big") + bytes(16)
