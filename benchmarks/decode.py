"""How fast media become frames on one core, as a share of FFmpeg's decode-only rate, and what a second worker adds.

What: made files of three minutes (AAC in MP4 beside a video stream, Opus in WebM, MP3, FLAC, WAV; 44.1 or 48 kHz,
stereo, tones over noise), read four ways in turn in one process, on one core, in processor time: decode only (PyAV's
loop over frames, single-threaded, the video stream discarded as we discard it), gathered and mixed to mono, resampled
to 16 kHz, and all the way to float16 log-mel frames. Then eight of the files are made into frames by one process and
by two, in wall time: that needs two idle cores.

Why: decoding is FFmpeg's and cannot be had cheaper; the share says how much we add to it. Aims: AAC 70 %, Opus 60 %,
MP3 45 %; two workers at least 1.8 times one.

Run: python benchmarks/decode.py
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Discard

from earwitness.audio.decode import decode
from earwitness.audio.frames import media_frames
from earwitness.audio.native import NativeStream
from earwitness.audio.source import OpenMedia
from earwitness.audio.track import AudioTrack
from earwitness.front_end import FrontEnd

SECONDS = 180
REPEATS = 7

KINDS = {
    # name: file, codec, rate, with video, aim in percent
    "AAC in MP4": ("aac.mp4", "aac", 44_100, True, 70),
    "Opus in WebM": ("opus.webm", "libopus", 48_000, False, 60),
    "MP3": ("mp3.mp3", "mp3", 44_100, False, 45),
    "FLAC": ("flac.flac", "flac", 44_100, False, None),
    "WAV": ("wav.wav", "pcm_s16le", 44_100, False, None),
}


def make_media(path: Path, codec: str, rate: int, *, with_video: bool) -> None:
    """Write a stereo file of `SECONDS`."""
    at = np.arange(SECONDS * rate) / rate
    noise = np.random.default_rng(0).standard_normal((2, len(at)))
    tones = 0.2 * np.sin(2 * np.pi * (300 + 2 * at) * at) + 0.1 * np.sin(2 * np.pi * 2_500 * at)
    sound = (tones + 0.05 * noise).astype(np.float32)
    with av.open(str(path), "w") as container:
        audio: Any = container.add_stream(codec, rate=rate, layout="stereo")
        audio.bit_rate = 128_000
        audio.codec_context.format = audio.codec_context.codec.audio_formats[0].name
        audio.codec_context.open(strict=False)
        if with_video:
            video = container.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
            picture = np.random.default_rng(1).integers(0, 256, (360, 320), dtype=np.uint8)
            for shift in range(25 * SECONDS):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, shift, axis=1), format="yuv420p")
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        resampler = av.AudioResampler(format=audio.codec_context.format, layout="stereo", rate=rate)
        step = audio.codec_context.frame_size or 4_096
        for start in range(0, sound.shape[1], step):
            block = np.ascontiguousarray(sound[:, start : start + step])
            piece = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            piece.sample_rate, piece.time_base, piece.pts = rate, Fraction(1, rate), start
            for converted in resampler.resample(piece):
                container.mux(audio.encode(converted))
        container.mux(audio.encode(None))


def decode_only(path: Path) -> int:
    """FFmpeg's decoding and nothing else; samples a channel."""
    num_samples = 0
    with av.open(str(path)) as container:
        audio = container.streams.audio[0]
        audio.codec_context.thread_type, audio.codec_context.thread_count = "NONE", 1
        for stream in container.streams:
            if stream is not audio:
                stream.discard = Discard.all
        for frame in container.decode(audio):
            num_samples += frame.samples
    return num_samples


def mono_only(path: Path) -> int:
    """Decoded, gathered, mixed; samples."""
    media = OpenMedia(path)
    try:
        return sum(len(block) for _, block in NativeStream(AudioTrack(media)).blocks())
    finally:
        media.close()


def waveform_only(path: Path) -> int:
    """Resampled too; samples at 16 kHz."""
    with decode(path) as blocks:
        return sum(map(len, blocks))


def all_frames(path: Path) -> int:
    """All the way to frames; how many."""
    with media_frames(path, front_end=FrontEnd()) as blocks:
        return sum(map(len, blocks))


def best_seconds(functions: dict[str, Callable[[Path], int]], path: Path) -> dict[str, float]:
    """Processor time of the fastest of `REPEATS` runs of each; they take turns, so that other work hits all alike."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(REPEATS):
        for name, function in functions.items():
            start = time.process_time()
            function(path)
            best[name] = min(best[name], time.process_time() - start)
    return best


def pool_seconds(paths: list[Path], num_workers: int) -> float:
    """Time of a pool of processes, already started, for all files."""
    with multiprocessing.get_context("spawn").Pool(num_workers) as pool:
        pool.map(waveform_only, paths[:num_workers], chunksize=1)  # imports done
        start = time.perf_counter()
        pool.map(all_frames, paths, chunksize=1)
        return time.perf_counter() - start


def main() -> None:
    """Print both tables."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / kind[0] for name, kind in KINDS.items()}
        for name, (_, codec, rate, with_video, _) in KINDS.items():
            make_media(paths[name], codec, rate, with_video=with_video)
        if cores:
            os.sched_setaffinity(0, {min(cores)})
        functions: dict[str, Callable[[Path], int]] = {
            "decode": decode_only,
            "mono": mono_only,
            "waveform": waveform_only,
            "frames": all_frames,
        }
        print("| media | decode only, x real time | to mono | to 16 kHz | to frames | share | aim |")
        print("|---|---|---|---|---|---|---|")
        for name, (*_, aim) in KINDS.items():
            best = best_seconds(functions, paths[name])
            rates = " | ".join(f"{SECONDS / best[key]:,.0f}" for key in functions)
            share = 100 * best["decode"] / best["frames"]
            print(f"| {name} | {rates} | **{share:.0f} %** | {f'{aim} %' if aim else ''} |")
        if cores:
            os.sched_setaffinity(0, cores)
        many = [path for name, path in paths.items() if name != "WAV"] * 2
        one, two = (min(pool_seconds(many, workers) for _ in range(3)) for workers in (1, 2))
        print("\n| files | 1 worker, s | 2 workers, s | ratio | aim |\n|---|---|---|---|---|")
        print(f"| {len(many)} of {SECONDS} s | {one:.2f} | {two:.2f} | **{one / two:.2f}** | 1.8 |")


if __name__ == "__main__":
    main()
