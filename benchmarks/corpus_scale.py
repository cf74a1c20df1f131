"""A corpus of 70 million clips and 20 billion patches: what its manifest and its index cost.

    python benchmarks/corpus_scale.py FOLDER [--clips 70000000] [--parts 0] [--only NAME ...]

Makes in FOLDER, where they are kept and found again, for a corpus of that size and for one of 1,000 clips:

    manifest.parquet   ids of 11 characters, media paths, 5 labels a clip of 30,871 with Zipf's priors, the
                       uploader as the group, a split
    store/             store.json and the index of a store with some 286 patches a clip (0.96 s each)

The stores hold no sound. With `--parts N`, N of the large store's parts have their rows (Parquet) and files of frames
that are all hole, so that conditions over the clips, and reading batches from many files, can be measured too: the
system gives zeros for a hole, at the price of memory, not of a disk. The small store has all of its parts then.

Each measurement runs in a process of its own; its peak is that of the anonymous memory (`RssAnon`), of which what the
imports took is a part. Memory-mapped indexes are shared by all processes and can be dropped, so they do not count.
"""

import argparse
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import read_manifest, write_manifest
from earwitness.selection import select_rows
from earwitness.store.balanced_order import BalancedPlan
from earwitness.store.files import replacing_npy
from earwitness.store.header import StoreHeader, Totals, write_header
from earwitness.store.index import INDEX_FOLDER
from earwitness.store.order import BatchPlan, mix
from earwitness.store.parts import ADDED_COLUMNS, FRAME_DTYPE, PARTS_FOLDER, frames_path, rows_path
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.subsets.balanced import BalancedSet, balanced_set
from earwitness.training.batches import Plan
from earwitness.training.clips import choose_clips
from earwitness.training.settings import TrainSettings

FRONT_END = FrontEnd()
NUM_LABELS = 30_871
LABELS_PER_CLIP = 5
PATCHES_PER_CLIP = 286
CLIPS_PER_PART = 1_000
SMALL = 1_000
BATCH = 128
LABEL_IDS = [f"/m/0{number:05x}" for number in range(NUM_LABELS)]

INDEX_ARRAYS = {
    "parts": np.int32,
    "first_frames": np.int64,
    "frames_per_clip": np.int64,
    "label_offsets": np.int64,
    "label_indices": np.int32,
}

_PIECE = 1_000_000
_ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)
_MEASURED_SECONDS = 3.0


@dataclass(frozen=True)
class Corpus:
    """What is made in a folder."""

    folder: Path
    num_clips: int

    @property
    def manifest(self) -> Path:
        """The manifest's file."""
        return self.folder / f"manifest-{self.num_clips}.parquet"

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / f"store-{self.num_clips}"


@dataclass(frozen=True)
class Piece:
    """Consecutive clips of a corpus."""

    rows: pa.Table
    """Of the manifest."""
    num_frames: npt.NDArray[np.int64]
    label_offsets: npt.NDArray[np.int64]
    label_indices: npt.NDArray[np.int32]


def make_corpus(corpus: Corpus, *, num_parts: int) -> None:
    """Write manifest, index and store.json, piece by piece."""
    (corpus.store / INDEX_FOLDER).mkdir(parents=True)
    (corpus.store / PARTS_FOLDER).mkdir()
    with contextlib.ExitStack() as stack:
        append = {
            name: stack.enter_context(replacing_npy(corpus.store / INDEX_FOLDER / f"{name}.npy", dtype=dtype))
            for name, dtype in INDEX_ARRAYS.items()
        }
        num_frames = write_pieces(corpus, append, num_parts=num_parts)
    totals = Totals(
        num_clips=corpus.num_clips, num_failed=0, num_warned=0, num_frames=num_frames, seconds_of_sound=num_frames / 100
    )
    header = StoreHeader(
        front_end=FRONT_END,
        label_set=LabelSet.of(LABEL_IDS),
        manifest_digest="0" * 16,
        manifest_source="made by benchmarks/corpus_scale.py",
        num_rows=corpus.num_clips,
        clips_per_part=CLIPS_PER_PART,
    )
    write_header(corpus.store, replace(header, totals=totals, fingerprint="0" * 32))


def write_pieces(corpus: Corpus, append: Mapping[str, Callable[[npt.NDArray[Any]], None]], *, num_parts: int) -> int:
    """Write the manifest, the arrays of the index and some parts; gives the number of frames."""
    append["label_offsets"](np.zeros(1, np.int64))
    num_pairs = num_frames = first = 0
    table_writer: Any = None
    for piece in made_pieces(corpus.num_clips):
        table_writer = table_writer or pyarrow.parquet.ParquetWriter(
            corpus.manifest, piece.rows.schema, compression="zstd"
        )
        table_writer.write_table(piece.rows)
        stops = np.cumsum(piece.num_frames)
        clips = np.arange(first, first + len(stops))
        part_starts = np.concatenate([[0], stops])[(clips // CLIPS_PER_PART) * CLIPS_PER_PART - first]
        append["parts"](clips // CLIPS_PER_PART)
        append["first_frames"](stops - piece.num_frames - part_starts)
        append["frames_per_clip"](piece.num_frames)
        append["label_offsets"](num_pairs + piece.label_offsets[1:])
        append["label_indices"](piece.label_indices)
        for start in range(0, len(clips), CLIPS_PER_PART):
            if (part := (first + start) // CLIPS_PER_PART) < num_parts:
                make_part(corpus.store, part, piece, start)
        num_pairs += len(piece.label_indices)
        num_frames += int(stops[-1])
        first += len(clips)
    table_writer.close()
    return num_frames


def make_part(folder: Path, part: int, piece: Piece, start: int) -> None:
    """The rows of a part, and a file of frames that is all hole."""
    rows = piece.rows.slice(start, CLIPS_PER_PART)
    num_frames = piece.num_frames[start : start + CLIPS_PER_PART]
    offsets = piece.label_offsets[start : start + rows.num_rows + 1]
    added = {
        "num_frames": pa.array(num_frames),
        "num_samples": pa.array(num_frames * FRONT_END.hop_samples),
        "is_padded": pa.array(np.zeros(rows.num_rows, np.bool_)),
        "warnings": pa.array([[]] * rows.num_rows, pa.list_(pa.string())),
        "first_frame": pa.array(np.cumsum(num_frames) - num_frames),
        "label_indices": pa.ListArray.from_arrays(
            pa.array((offsets - offsets[0]).astype(np.int32)), pa.array(piece.label_indices[offsets[0] : offsets[-1]])
        ),
    }
    for name, kind in ADDED_COLUMNS.items():
        rows = rows.append_column(name, added.get(name, pa.nulls(rows.num_rows, kind)))
    pyarrow.parquet.write_table(rows, rows_path(folder, part), compression="zstd")
    shape = (int(num_frames.sum()), FRONT_END.num_bands)
    with frames_path(folder, part).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": FRAME_DTYPE.str, "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + shape[0] * shape[1] * FRAME_DTYPE.itemsize)


def made_pieces(num_clips: int) -> Iterator[Piece]:
    """The clips, a million at a time."""
    ids = pa.array(LABEL_IDS)
    priors = 1.0 / (np.arange(NUM_LABELS) + 10.0)
    # the label at each of 2^24 equally likely places: drawing is one look-up
    label_stops = np.round(np.cumsum(priors) / priors.sum() * 2**24)
    label_at = np.searchsorted(label_stops, np.arange(2**24), side="right").astype(np.int32)
    for first in range(0, num_clips, _PIECE):
        size = min(_PIECE, num_clips - first)
        rng = np.random.default_rng([7, first])
        pairs = np.repeat(np.arange(size), rng.integers(1, 2 * LABELS_PER_CLIP, size))
        keys = np.sort(pairs * NUM_LABELS + label_at[rng.integers(0, 2**24, len(pairs))])
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
        offsets = np.searchsorted(keys, np.arange(size + 1) * NUM_LABELS)
        labels = (keys % NUM_LABELS).astype(np.int32)
        numbers = mix(np.arange(first, first + size, dtype=np.uint64))  # no two alike, and in no order
        clip_ids = _digits(numbers)
        folders = np.full((size, 3), ord("/"), np.uint8)
        folders[:, :2] = clip_ids[:, :2]
        ending = np.broadcast_to(np.frombuffer(b".mp4", np.uint8), (size, 4))
        uploaders = _digits(mix(rng.integers(0, max(1, num_clips // 20), size).astype(np.uint64) + np.uint64(1 << 40)))
        rows = pa.table(
            {
                "clip_id": _texts(clip_ids),
                "media": _texts(np.hstack([folders, clip_ids, ending])),
                "start_seconds": pa.nulls(size, pa.float64()),
                "stop_seconds": pa.nulls(size, pa.float64()),
                "labels": pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), ids.take(pa.array(labels))),
                "group": _texts(np.hstack([uploaders, uploaders])),
                "split": pa.array(np.where(rng.random(size) < 0.02, "evaluation", "train")),
            }
        )
        patches = rng.integers(PATCHES_PER_CLIP - 200, PATCHES_PER_CLIP + 201, size)
        yield Piece(rows, patches * FRONT_END.patch_frames + 40, offsets, labels)


def _digits(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """64 bits each as 11 characters."""
    shifts = np.arange(11, dtype=np.uint64) * np.uint64(6)
    return _ALPHABET[((numbers[:, None] >> shifts) & np.uint64(63)).astype(np.int64)]


def _texts(letters: npt.NDArray[np.uint8]) -> pa.StringArray:
    """Rows of letters as texts."""
    offsets = np.arange(len(letters) + 1, dtype=np.int32) * letters.shape[1]
    return pa.StringArray.from_buffers(len(letters), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters)))


# --- measurements: each a function of the corpus, run in a process of its own ---


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
