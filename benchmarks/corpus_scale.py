"""A corpus of 70 million clips and 20 billion patches: what its manifest and its index cost.

    python benchmarks/corpus_scale.py FOLDER [--clips 70000000] [--parts 0] [--only NAME ...]

Makes in FOLDER, where they are kept and found again, for a corpus of that size and for one of 1,000 clips:

    manifest-N.parquet  ids of 11 characters, media paths, 5 labels a clip of 30,871 with Zipf's priors, the
                        uploader as the group, a split
    store-N/            store.json and the index of a store with some 286 patches a clip (0.96 s each)

The stores hold no sound. With `--parts N`, N of the large store's parts have their rows (Parquet) and files of frames
that are all hole, so that conditions over the clips, and reading batches from many files, can be measured too: the
system gives zeros for a hole, at the price of memory, not of a disk. The small store has all of its parts then.

Each measurement runs in a process of its own; its peak is that of the anonymous memory (`RssAnon`), of which what the
imports took is a part. Memory-mapped indexes are shared by all processes and can be dropped, so they do not count.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.manifest import read_manifest, write_manifest
from earwitness.selection import select_rows
from earwitness.store.balanced_order import BalancedPlan
from earwitness.store.index import INDEX_FOLDER
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.subsets.balanced import BalancedSet, balanced_set
from earwitness.training.batches import Plan
from earwitness.training.clips import choose_clips
from earwitness.training.settings import TrainSettings
from large_corpus import FRONT_END, LABEL_IDS, Corpus, make_corpus

SMALL = 1_000
BATCH = 128
_MEASURED_SECONDS = 3.0


def timed(work: Callable[[], Any], say: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    """Seconds of one piece of work, on the clock and of the processor, and what came of it."""
    started, processor_started = time.perf_counter(), time.process_time()
    result = work()
    seconds = f"{time.perf_counter() - started:.1f} | {time.process_time() - processor_started:.1f}"
    yield seconds, say(result)


def open_manifest(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Read and check the manifest."""
    yield from timed(lambda: read_manifest(corpus.manifest), lambda m: f"{m.table.nbytes / 2**30:.2f} GiB of table")


def count_labels(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Clips of each label (open apart)."""
    manifest = read_manifest(corpus.manifest)
    yield from timed(manifest.label_counts, lambda counts: f"{len(counts):,} labels")


def where_manifest(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Select rows of the manifest by a condition (open apart)."""
    manifest = read_manifest(corpus.manifest)
    where = f"split = 'train' and list_contains(labels, '{LABEL_IDS[3]}')"
    yield from timed(lambda: select_rows(manifest.table, where), lambda rows: f"{len(rows):,} rows")


def write_subset(corpus: Corpus, folder: Path) -> Iterator[tuple[str, str]]:
    """Select a tenth of the clips and write them as a manifest (open apart)."""
    manifest = read_manifest(corpus.manifest)
    path = folder / "subset.parquet"

    def work() -> int:
        rows = select_rows(manifest.table, "md5_number_lower(clip_id) % 10 = 0")
        write_manifest(manifest.take(rows), path)
        return len(rows)

    yield from timed(work, lambda size: f"{size:,} rows")
    path.unlink()


def make_balanced_set(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Choose 33 clips of every label, in as few clips as possible (open apart)."""
    manifest = read_manifest(corpus.manifest)

    def say(chosen: BalancedSet) -> str:
        size, bound = len(chosen.rows), chosen.lower_bound
        return f"{size:,} clips; lower bound {bound:,}; {np.count_nonzero(chosen.is_filled):,} labels filled"

    yield from timed(lambda: balanced_set(manifest, per_label=33), say)


def open_store(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Open the store and number its patches."""

    def work() -> int:
        store = Store.open(corpus.store)
        return patch_index(store).num_patches

    yield from timed(work, lambda patches: f"{patches:,} patches")


def choose_training_clips(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Split the store's clips into those learnt from and those watched, with digests for the records (with --parts)."""

    def work() -> int:
        store = Store.open(corpus.store)
        chosen = choose_clips(store, TrainSettings(validation_share=0.01))
        chosen.describe(store)
        return len(chosen.train)

    yield from timed(work, lambda size: f"{size:,} learnt from")


def where_store(corpus: Corpus, _: Path) -> Iterator[tuple[str, str]]:
    """Select clips of the store by a condition (with --parts)."""
    store = Store.open(corpus.store)
    yield from timed(lambda: store.select("split = 'train'"), lambda clips: f"{len(clips):,} clips")


def draw_plain(corpus: Corpus, folder: Path) -> Iterator[tuple[str, str]]:
    """Draw batches: numbers, clips, parts, offsets, labels."""
    yield from draw(corpus, folder, plain_plan)


def draw_balanced(corpus: Corpus, folder: Path) -> Iterator[tuple[str, str]]:
    """Draw batches in the balanced order; making the order comes first."""
    yield from draw(corpus, folder, balanced_plan)


def draw(corpus: Corpus, folder: Path, make_plan: Callable[[Store, PatchIndex], Plan]) -> Iterator[tuple[str, str]]:
    """Batches a second, by turns from the large and from the small store."""
    drawers: list[Callable[[int], None]] = []

    def work() -> None:
        drawers.extend(batch_drawer(c, make_plan) for c in (corpus, Corpus(folder, SMALL)))

    [(seconds, _)] = timed(work, str)
    warm(corpus)
    large, small = alternate(drawers)
    yield seconds, f"{large:,.0f} batches/s; small store {small:,.0f}; ratio {large / small:.2f}"


def batch_drawer(corpus: Corpus, make_plan: Callable[[Store, PatchIndex], Plan]) -> Callable[[int], None]:
    """A function that draws the batch of a step."""
    store = Store.open(corpus.store)
    index = patch_index(store)
    plan = make_plan(store, index)

    def draw_batch(step: int) -> None:
        clips, first_frames = index.locate(plan.batch(step))
        offsets = (store.index.first_frames[clips] + first_frames) * FRONT_END.num_bands
        firsts, stops = store.label_offsets[clips], store.label_offsets[clips + 1]
        counts = stops - firsts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        labels = store.label_indices[np.repeat(firsts, counts) + within]
        assert len(store.index.parts[clips]) == len(offsets) <= len(labels)

    return draw_batch


def read_batches(corpus: Corpus, folder: Path) -> Iterator[tuple[str, str]]:
    """Draw batches and read their frames, all of them holes (with --parts of the whole store)."""
    drawers = []
    for each in (corpus, Corpus(folder, SMALL)):
        store = Store.open(each.store)
        index, reader = patch_index(store), FrameReader(store)
        plan = plain_plan(store, index)
        drawers.append(reading_drawer(index, reader, plan))
    warm(corpus)
    large, small = alternate(drawers)
    yield " | ", f"{large:,.0f} batches/s; small store {small:,.0f}; ratio {large / small:.2f}"


def reading_drawer(index: PatchIndex, reader: FrameReader, plan: Plan) -> Callable[[int], None]:
    """A function that reads the batch of a step."""

    def read_batch(step: int) -> None:
        reader.read_patches(*index.locate(plan.batch(step)), FRONT_END.patch_frames)

    return read_batch


def alternate(drawers: list[Callable[[int], None]]) -> list[float]:
    """Batches a second of each, by turns of 100 steps; the first turns do not count."""
    seconds, steps = [0.0] * len(drawers), 0
    for turn in range(1_000):
        for number, drawer in enumerate(drawers):
            started = time.perf_counter()
            for step in range(turn * 100, turn * 100 + 100):
                drawer(step)
            if turn >= 5:
                seconds[number] += time.perf_counter() - started
        steps += 100 * (turn >= 5)
        if min(seconds) > _MEASURED_SECONDS:
            break
    return [steps / each for each in seconds]


def patch_index(store: Store) -> PatchIndex:
    """Of all clips."""
    frames = FRONT_END.patch_frames
    return PatchIndex(store.frames_per_clip, store.select(None), patch_frames=frames, hop_frames=frames)


def plain_plan(_: Store, index: PatchIndex) -> Plan:
    """Every patch once an epoch."""
    return BatchPlan(index.num_patches, batch_size=BATCH, seed=1)


def balanced_plan(store: Store, index: PatchIndex) -> Plan:
    """Every label equally often."""
    return BalancedPlan(
        index, label_offsets=store.label_offsets, label_indices=store.label_indices, batch_size=BATCH, seed=1
    )


def warm(corpus: Corpus) -> None:
    """Bring the index into the page cache."""
    for path in (corpus.store / INDEX_FOLDER).iterdir():
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


MEASUREMENTS = {
    "open the manifest": open_manifest,
    "count labels": count_labels,
    "select rows": where_manifest,
    "write a subset": write_subset,
    "balanced set": make_balanced_set,
    "open the store": open_store,
    "draw batches": draw_plain,
    "draw balanced batches": draw_balanced,
}
WITH_PARTS = {
    "select clips": where_store,
    "choose clips": choose_training_clips,
    "read batches": read_batches,
}


def peak_memory(command: list[str]) -> tuple[str, float]:
    """What a process prints, and its peak of anonymous memory in GiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    status_path = Path(f"/proc/{process.pid}/status")
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            try:
                status = status_path.read_text()
            except OSError:  # it has just ended
                return
            if "RssAnon:" in status:
                peak = max(peak, int(status.split("RssAnon:")[1].split()[0]) / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return printed.strip(), peak


def main() -> None:
    """Make what is missing, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the corpora are made and kept")
    parser.add_argument("--clips", type=int, default=70_000_000)
    parser.add_argument("--parts", type=int, default=0, help="parts that have rows and holes for frames")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the measurements")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    corpus, small = Corpus(arguments.folder, arguments.clips), Corpus(arguments.folder, SMALL)
    if arguments.measure:
        for seconds, what in (MEASUREMENTS | WITH_PARTS)[arguments.measure](corpus, arguments.folder):
            print(f"{seconds} | {what}")
        return
    for each in (corpus, small):
        if not each.store.exists():
            started = time.perf_counter()
            make_corpus(each, num_parts=arguments.parts)
            sizes = [path.stat().st_size / 2**30 for path in (each.manifest, *(each.store / INDEX_FOLDER).iterdir())]
            print(f"made {each.num_clips:,} clips in {time.perf_counter() - started:.0f} s: ", end="")
            print(f"manifest {sizes[0]:.2f} GiB, index {sum(sizes[1:]):.2f} GiB")
    print("\n| what | peak GiB | seconds | of the processor | |\n|---|---|---|---|---|")
    for name in arguments.only or [*MEASUREMENTS, *(WITH_PARTS if arguments.parts else ())]:
        command = [sys.executable, __file__, str(arguments.folder), "--clips", str(arguments.clips), "--measure", name]
        printed, peak = peak_memory(command)
        print(f"| {name} | {peak:.2f} | {printed} |", flush=True)


if __name__ == "__main__":
    main()
