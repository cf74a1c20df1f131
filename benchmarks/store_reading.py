"""Random batches from a store, beside a bare memory map of one file of the same size: warm and cold.

    python benchmarks/store_reading.py [--folder DIR] [--gib 4] [--parts 1000] [--batches 100]

Makes a store of noise in the store's own format (in `--folder`, where it is kept and found again), and one
`.npy` with as many bytes. Draws the same random patches from both, 128 a batch, and prints patches per second
as a Markdown table.

A memory map reads ahead, so the more batches are drawn from a file of a few GiB, the more of it lies in memory by
chance; in a corpus of terabytes it never does. Few batches from many GiB are the truer comparison.

Warm: the same batches have been read once before. Cold: the pages of the files are dropped from the page
cache before each run. The memory map runs in one thread, as a bare memory map is used.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.store.decoded import DecodedClip
from earwitness.store.files import replacing_npy
from earwitness.store.header import StoreHeader, Totals, digest_table, write_header
from earwitness.store.index import write_index
from earwitness.store.order import BatchPlan
from earwitness.store.parts import PARTS_FOLDER, frames_path, read_stored_rows, write_part
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

BATCH = 128
FRONT_END = FrontEnd()
CLIP_FRAMES = 960  # ten patches
CLIP_BYTES = CLIP_FRAMES * FRONT_END.num_bands * 2


def main() -> None:
    """Make the files, run the four readings, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the files are made and kept (default: a temporary one)")
    parser.add_argument("--gib", type=float, default=4.0, help="size of the store")
    parser.add_argument("--parts", type=int, default=1_000)
    parser.add_argument("--batches", type=int, default=100, help="batches of each run")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3, help="of each run; the median is shown")
    arguments = parser.parse_args()
    with _folder(arguments.folder) as folder:
        run(folder, arguments.gib, arguments.parts, arguments.batches, arguments.threads, arguments.repeats)


def run(folder: Path, gib: float, num_parts: int, num_batches: int, threads: int, repeats: int) -> None:
    """Measure with files in `folder`."""
    clips_per_part = max(1, round(gib * 2**30 / num_parts / CLIP_BYTES))
    store_folder, single_path = folder / "store", folder / "single.npy"
    if not single_path.exists():
        make_store(store_folder, num_parts, clips_per_part)
        make_single(single_path, num_parts * clips_per_part)
    store = Store.open(store_folder)
    files = [frames_path(store_folder, part) for part in range(store.num_parts)]
    frames = FRONT_END.patch_frames
    index = PatchIndex(store.frames_per_clip, np.arange(store.num_clips), patch_frames=frames, hop_frames=frames)
    plan = BatchPlan(index.num_patches, batch_size=BATCH, seed=1)
    batches = [plan.batch(step) for step in range(num_batches)]
    target = np.empty((BATCH, frames, FRONT_END.num_bands), np.float16)

    def measure_map(*, is_cold: bool) -> float:
        evict([single_path]) if is_cold else warm([single_path])
        # mapped anew: pages that a process has mapped are not dropped
        single = np.load(single_path, mmap_mode="r").reshape(-1, frames, FRONT_END.num_bands)

        def read(batch: npt.NDArray[np.int64]) -> None:
            np.take(single, batch, axis=0, out=target)

        return patches_per_second(read, batches, is_cold=is_cold)

    def measure_store(*, is_cold: bool) -> float:
        evict(files) if is_cold else warm(files)
        with FrameReader(store, threads=threads) as reader:

            def read(batch: npt.NDArray[np.int64]) -> None:
                reader.read_patches(*index.locate(batch), frames, out=target)

            return patches_per_second(read, batches, is_cold=is_cold)

    rows = []
    for name, is_cold in (("warm", False), ("cold", True)):
        measures = [(measure_map(is_cold=is_cold), measure_store(is_cold=is_cold)) for _ in range(repeats)]
        rows.append((name, *(statistics.median(rates) for rates in zip(*measures, strict=True))))
    size = store.num_frames * FRONT_END.num_bands * 2 / 2**30
    print(f"{store.num_parts} parts, {size:.2f} GiB, {num_batches} batches of {BATCH} patches, {threads} threads\n")
    print("| page cache | memory map of one file, patches/s | store, patches/s | ratio |")
    print("|---|---|---|---|")
    for name, map_rate, store_rate in rows:
        print(f"| {name} | {map_rate:,.0f} | {store_rate:,.0f} | {store_rate / map_rate:.2f} |")


def patches_per_second(
    read: Callable[[npt.NDArray[np.int64]], None], batches: list[npt.NDArray[np.int64]], *, is_cold: bool
) -> float:
    """Rate over all batches; where warm, after they have all been read once."""
    if not is_cold:
        for batch in batches:
            read(batch)
    started = time.perf_counter()
    for batch in batches:
        read(batch)
    return len(batches) * BATCH / (time.perf_counter() - started)


def make_store(folder: Path, num_parts: int, clips_per_part: int, *, num_labels: int = 1) -> None:
    """A finished store of noise; its clips have the labels by turns."""
    num_clips = num_parts * clips_per_part
    names = [f"noise {label}" for label in range(num_labels)]
    labels = [[names[clip % num_labels]] for clip in range(num_clips)]
    manifest = Manifest.from_table(
        pa.table({"media": [f"clip-{clip}.wav" for clip in range(num_clips)], "labels": labels})
    )
    header = StoreHeader(
        front_end=FRONT_END,
        label_set=LabelSet.of(names),
        manifest_digest=digest_table(manifest.table),
        manifest_source="made by benchmarks/store_reading.py",
        num_rows=num_clips,
        clips_per_part=clips_per_part,
    )
    shutil.rmtree(folder, ignore_errors=True)
    (folder / PARTS_FOLDER).mkdir(parents=True)
    write_header(folder, header)
    num_samples = (CLIP_FRAMES - 1) * FRONT_END.hop_samples + FRONT_END.window_samples
    clip = DecodedClip(CLIP_FRAMES, num_samples, False, (), "wav", "pcm_s16le", 16_000, 1)
    noise = _noise()
    for part in range(num_parts):
        write_part(
            folder,
            part,
            rows=manifest.table.slice(part * clips_per_part, clips_per_part),
            label_indices=[[(part * clips_per_part + row) % num_labels] for row in range(clips_per_part)],
            results=[clip] * clips_per_part,
            append_frames=lambda _, append: append(next(noise)),
            num_bands=FRONT_END.num_bands,
        )
    totals = Totals(
        num_clips=num_clips,
        num_failed=0,
        num_warned=0,
        num_frames=num_clips * CLIP_FRAMES,
        seconds_of_sound=num_clips * num_samples / FRONT_END.sample_rate_hz,
    )
    fingerprint = write_index(folder, header, (read_stored_rows(folder, part) for part in range(header.num_parts)))
    write_header(folder, StoreHeader(**{**vars(header), "totals": totals, "fingerprint": fingerprint}))


def make_single(path: Path, num_clips: int) -> None:
    """One `.npy` of as many frames."""
    noise = _noise()
    with replacing_npy(path, dtype=np.float16, row_shape=(FRONT_END.num_bands,)) as append:
        for _ in range(num_clips):
            append(next(noise))


def _noise() -> Iterator[npt.NDArray[np.float16]]:
    values = np.random.default_rng(0).standard_normal((2 * CLIP_FRAMES, FRONT_END.num_bands)).astype(np.float16)
    shift = 0
    while True:
        yield values[shift : shift + CLIP_FRAMES]
        shift = (shift + 37) % CLIP_FRAMES


def evict(paths: list[Path]) -> None:
    """Drop the pages of files from the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def warm(paths: list[Path]) -> None:
    """Read files once, so that they lie in the page cache."""
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given
    else:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)


if __name__ == "__main__":
    main()
