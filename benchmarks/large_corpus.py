"""Makes what a corpus of many million clips has beside its sound: the manifest, the index of its store, parts of holes.

Written piece by piece, so that 70 million clips need no more memory than one million. What is in it, and what stands in
for frames, is said in `corpus_scale`, which measures with it.
"""

import contextlib
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
from earwitness.store.files import replacing_npy
from earwitness.store.header import StoreHeader, Totals, write_header
from earwitness.store.index import INDEX_FOLDER
from earwitness.store.order import mix
from earwitness.store.parts import ADDED_COLUMNS, FRAME_DTYPE, PARTS_FOLDER, frames_path, rows_path

FRONT_END = FrontEnd()
NUM_LABELS = 30_871
LABELS_PER_CLIP = 5
PATCHES_PER_CLIP = 286
CLIPS_PER_PART = 1_000
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
