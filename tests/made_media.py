"""Media made for tests: WAV bytes by hand, everything else by FFmpeg's encoders."""

import struct
from fractions import Fraction

import av
import av.logging
import numpy as np

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def wav(samples, rate, sample_format="<i2", format_tag=1):
    """The bytes of a WAV file; samples [n] or [n, channels]."""
    data = np.asarray(samples).astype(sample_format)
    channels = 1 if data.ndim == 1 else data.shape[1]
    width = data.dtype.itemsize
    body = data.tobytes()
    head = struct.pack("<HHIIHH", format_tag, channels, rate, rate * channels * width, channels * width, 8 * width)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt \x10\0\0\0"
        + head
        + b"data"
        + struct.pack("<I", len(body))
        + body
    )


def sweep(rate, seconds, channels=2, seed=0):
    """Float [channels, samples]: a rising tone over noise, other in each channel, nowhere like itself."""
    time = np.arange(int(rate * seconds)) / rate
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            0.3 * np.sin(2 * np.pi * (200 + 30 * time) * time + c) + 0.03 * rng.standard_normal(len(time))
            for c in range(channels)
        ]
    ).astype(np.float32)


def encode(path, codec, rate, sound, *, delay_seconds=0.0, holes=(), with_video=False, bit_rate=128_000):
    """Write a media file; `holes` are ranges of seconds whose packets are left out."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=LAYOUTS[len(sound)])
        stream.bit_rate = bit_rate
        stream.codec_context.format = stream.codec_context.codec.audio_formats[0].name
        packets = []
        if with_video:
            video = container.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for _ in range(int(25 * (delay_seconds + sound.shape[1] / rate))):
                packets += video.encode(av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p"))
            packets += video.encode(None)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=LAYOUTS[len(sound)], rate=rate)
        stream.codec_context.open(strict=False)
        size = stream.codec_context.frame_size or 1024
        for start in range(0, sound.shape[1], size):
            block = np.ascontiguousarray(sound[:, start : start + size])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=LAYOUTS[len(sound)])
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = start + round(delay_seconds * rate)
            for converted in resampler.resample(frame):
                packets += stream.encode(converted)
        packets += stream.encode(None)
        for packet in packets:
            seconds = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            if packet.stream is not stream or not any(start <= seconds < stop for start, stop in holes):
                container.mux(packet)
    return path
