"""How fast media become a store, beside FFmpeg's decoding alone and beside the usual way with librosa and HDF5.

What: a made corpus (`earwitness synth`; its MP4, WebM, MP3 and FLAC files) is read, with as many processes each:

- by `earwitness prepare`, the whole command, its start and its end included;
- (a) by FFmpeg's decoders and nothing else (PyAV's loop over frames, the picture not decoded);
- (b) the usual way: `librosa.load` at 16 kHz, where librosa cannot read the file from a WAV that the ffmpeg program
  made of it; `librosa.feature.melspectrogram` with the same parameters, its logarithm, HDF5;
- (c) the same, but for the ffmpeg program making 16 kHz mono WAVs of all files: the fastest of the usual ways.

Processes of (a), (b) and (c) are started and warm before the clock runs. `prepare` and (a) read the files many times
over, so that they take long enough. Processor time counts the programs started, too, and bears other work on the
machine better. "Against it": how many times as long as `prepare`. Then a table of where the processor time of
`prepare` goes: one process, runs that go further and further, and what the whole command took beyond these.

Why: a store should cost little more than decoding. Aim: at least 2.5 times (b).

Run: pip install '.[bench]' && python benchmarks/preparing.py
"""

import argparse
import functools
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decode import all_frames, decode_only, mono_only, waveform_only
from earwitness.audio.source import OpenMedia
from earwitness.audio.track import AudioTrack
from earwitness.front_end import FrontEnd
from earwitness.parallel import usable_cpus

SUFFIXES = (".mp4", ".webm", ".mp3", ".flac")
_FRONT_END = FrontEnd()


def make_corpus(folder: Path, arguments: argparse.Namespace) -> tuple[list[Path], float]:
    """The files, and their length in seconds all together."""
    command = ["synth", str(folder), "--clips", str(arguments.clips), "--mean-seconds", str(arguments.mean_seconds)]
    subprocess.run(
        [sys.executable, "-m", "earwitness", *command, "--workers", str(arguments.workers)],
        check=True,
        capture_output=True,
    )
    rows = pq.read_table(folder / "manifest.parquet", columns=["media", "seconds"]).to_pylist()
    rows = [row for row in rows if row["media"].endswith(SUFFIXES)]
    return [folder / row["media"] for row in rows], sum(row["seconds"] for row in rows)


def prepare(paths: list[Path], folder: Path, arguments: argparse.Namespace) -> tuple[float, float]:
    """Wall and processor time of the real command over `paths`, however often they are listed."""
    table = {
        "clip_id": [f"{number}" for number in range(len(paths))],
        "media": list(map(str, paths)),
        "labels": [["sound"]] * len(paths),
    }
    manifest = folder / "manifest.parquet"
    pq.write_table(pa.table(table), manifest)
    command = ["prepare", str(manifest), str(folder / "store"), "--workers", str(arguments.workers)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "earwitness", *command], check=True, capture_output=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def usual_way(path: Path, *, folder: Path, all_by_ffmpeg: bool) -> int:
    """One file to log-mel frames in the HDF5 file of this process; returns how many."""
    import h5py
    import librosa

    wav = folder / f"{os.getpid()}.wav"
    if all_by_ffmpeg:
        run_ffmpeg(path, "-ac", "1", "-ar", "16000", str(wav))
        waveform, _ = librosa.load(wav, sr=None)
    elif path.suffix in (".mp4", ".webm"):
        run_ffmpeg(path, str(wav))
        waveform, _ = librosa.load(wav, sr=16_000)
    else:
        waveform, _ = librosa.load(path, sr=16_000)
    mel = librosa.feature.melspectrogram(
        y=waveform,
        sr=_FRONT_END.sample_rate_hz,
        n_fft=_FRONT_END.fft_length,
        win_length=_FRONT_END.window_samples,
        hop_length=_FRONT_END.hop_samples,
        center=False,
        power=1.0,
        n_mels=_FRONT_END.num_bands,
        fmin=_FRONT_END.min_hz,
        fmax=_FRONT_END.max_hz,
        htk=True,
        norm=None,
    )
    frames = np.log(mel.T + _FRONT_END.log_offset).astype(np.float32)
    with h5py.File(folder / f"{os.getpid()}.h5", "a") as file:
        file.create_dataset(str(len(file)), data=frames)
    return len(frames)


def run_ffmpeg(path: Path, *arguments: str) -> None:
    """The ffmpeg program, single-threaded as everything here."""
    import imageio_ffmpeg

    start = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1", "-i", str(path), "-vn"]
    subprocess.run([*start, *arguments], check=True)


def pool_seconds(
    function: Callable[[Path], int], paths: list[Path], warm_up: list[Path], workers: int
) -> tuple[float, float]:
    """Wall and processor time of a pool of warm processes for all files."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(function, warm_up * workers, chunksize=1)  # imports and caches
        started = time.perf_counter()
        processor = sum(pool.map(functools.partial(processor_time, function), paths, chunksize=1))
        return time.perf_counter() - started, processor


def processor_time(function: Callable[[Path], int], path: Path) -> float:
    """Processor time that one file takes, in this process and in the programs that it starts."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    before = used()
    function(path)
    return used() - before


def open_only(path: Path) -> int:
    """The container opened, the audio stream found."""
    media = OpenMedia(path)
    try:
        return AudioTrack(media).info.num_channels
    finally:
        media.close()


def processor_seconds(function: Callable[[Path], Any], paths: list[Path], repeats: int = 3) -> float:
    """Processor time of this process for all files; the least of several runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        for path in paths:
            function(path)
        best = min(best, time.process_time() - started)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--mean-seconds", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=40, help="how often `prepare` and (a) read the files")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, seconds = make_corpus(folder / "corpus", arguments)
        counts = ", ".join(f"{sum(path.suffix == suffix for path in paths)} {suffix[1:]}" for suffix in SUFFIXES)
        print(f"{len(paths)} files ({counts}), {seconds / 3600:.2f} h; {arguments.workers} processes", end="")
        print(f" on {usable_cpus()} processors\n")
        times = arguments.times
        usual = functools.partial(usual_way, folder=folder, all_by_ffmpeg=False)
        fastest = functools.partial(usual_way, folder=folder, all_by_ffmpeg=True)
        warm_up = [next(path for path in paths if path.suffix == suffix) for suffix in SUFFIXES]
        wall, processor = prepare(paths * times, folder, arguments)
        ours = (wall / times, processor / times)
        measured = {"earwitness prepare": ours}
        for title, function, repeats in (
            ("(a) FFmpeg's decoders alone", decode_only, times),
            ("(b) librosa and HDF5, the usual way", usual, 1),
            ("(c) ffmpeg to 16 kHz WAV, librosa, HDF5", fastest, 1),
        ):
            wall, used = pool_seconds(function, paths * repeats, warm_up, arguments.workers)
            measured[title] = wall / repeats, used / repeats
        print("| | media hours a minute | against it | processor seconds an hour | against it |")
        print("|---|---|---|---|---|")
        for title, (wall, used) in measured.items():
            print(f"| {title} | {seconds / 60 / wall:.2f} | {wall / ours[0]:.2f} | ", end="")
            print(f"{used * 3600 / seconds:.1f} | {used / ours[1]:.2f} |")
        show_parts(paths, seconds, processor / times)


def show_parts(paths: list[Path], seconds: float, command_seconds: float) -> None:
    """Print where the processor time goes, by runs that go further and further."""
    stages: dict[str, Callable[[Path], Any]] = {
        "open": open_only,
        "decode": decode_only,
        "gather and mix": mono_only,
        "resample": waveform_only,
        "front end": all_frames,
    }
    print("\n| part | processor seconds an hour of media | share |\n|---|---|---|")
    before = 0.0
    per_hour = 3600 / seconds
    for title, function in stages.items():
        until = processor_seconds(function, paths)
        print(f"| {title} | {(until - before) * per_hour:.2f} | {100 * (until - before) / command_seconds:.0f} % |")
        before = until
    rest = command_seconds - before
    print(f"| start, processes, spool, parts, index | {rest * per_hour:.2f} | {100 * rest / command_seconds:.0f} % |")
    print(f"| **the whole command** | {command_seconds * per_hour:.2f} | 100 % |")


if __name__ == "__main__":
    main()
