"""A finished store: its clips, their labels, and what failed. Frames are read by `reading.FrameReader`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import StoreError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.selection import columns_read, select_rows
from earwitness.store.header import StoreHeader, Totals, read_header
from earwitness.store.index import StoreIndex, open_index
from earwitness.store.parts import (
    FAILURE_COLUMNS,
    FAILURES_FILE,
    PLACE_COLUMNS,
    read_rows,
    read_schema,
    read_stored_rows,
    rows_path,
)

Indices = npt.NDArray[np.int64]

_READING_THREADS = 8
_PARTS_AT_ONCE = 64


class LabelledClips(ABC):
    """Clips with their labels, numbered from 0: what a store and a table of embeddings have in common."""

    folder: Path
    front_end: FrontEnd
    """How sound became frames, and frames are cut into patches."""
    label_set: LabelSet
    fingerprint: str
    """Hex digest of all that is seen of the clips but where their media lie; see `store.index`."""
    num_clips: int
    frames_per_clip: Indices
    """int64 [clips]."""
    label_offsets: Indices
    """int64 [clips + 1]: clip c has the labels from `[c]` to `[c + 1]` of `label_indices`."""
    label_indices: npt.NDArray[np.int32]
    """int32: label indices, ascending within each clip."""

    @property
    @abstractmethod
    def clips_schema(self) -> pa.Schema:
        """Names and types of the columns of `clips`; little is read for it."""

    @abstractmethod
    def read_clips(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of `clips`: what to ask for where there are many millions."""

    @cached_property
    def clips(self) -> pa.Table:
        """One row a clip: all columns of the manifest and those of `parts.CLIP_COLUMNS`. All of it, in memory."""
        return self.read_clips(self.clips_schema.names)

    def select(self, where: str | None, *, option: str = "--where") -> Indices:
        """Ascending numbers of the clips for which an SQL condition over `clips` holds; all where it is None.

        An error names the condition by the `option` that it was given by.

        Raises:
            SelectionError: the condition cannot be evaluated, or holds for no clip.
        """
        if where is None:
            return np.arange(self.num_clips, dtype=np.int64)
        needed = columns_read(self.clips_schema, where, option=option)
        return select_rows(self.read_clips(needed), where, option=option)

    def targets(self, clips: Indices) -> npt.NDArray[np.bool_]:
        """Bool [len(clips), labels]: which labels each of these clips carries."""
        targets = np.zeros((len(clips), len(self.label_set)), dtype=np.bool_)
        targets[self.label_pairs(clips)] = True
        return targets

    def label_pairs(self, clips: Indices) -> tuple[Indices, Indices]:
        """A row of `clips` and a label that it carries, for every such pair."""
        clips = np.asarray(clips, dtype=np.int64)
        starts = self.label_offsets[clips]
        counts = self.label_offsets[clips + 1] - starts
        rows = np.repeat(np.arange(len(clips)), counts)
        # position within its clip of every label, shifted to where the clip's labels begin
        places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
        return rows, self.label_indices[places].astype(np.int64)


class Store(LabelledClips):
    """Clips are numbered from 0, in the order of the manifest, without those that failed."""

    def __init__(self, folder: Path, header: StoreHeader, totals: Totals, index: StoreIndex) -> None:
        """Use `Store.open`."""
        self.folder = folder
        self.front_end = header.front_end
        self.label_set = header.label_set
        self.fingerprint = header.fingerprint or ""
        self.totals = totals
        self.num_parts: int = header.num_parts
        self.index = index
        """Where each clip lies. Its arrays are memory-mapped, and those of the labels are seen here, too."""
        self.num_clips = totals.num_clips
        self.frames_per_clip = index.frames_per_clip
        self.label_offsets, self.label_indices = index.label_offsets, index.label_indices

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open a finished store; reads the header and maps the index, nothing more.

        Raises:
            StoreError: there is none, it is unfinished, damaged, or of another format version.
        """
        folder = Path(folder)
        header = read_header(folder)
        if header.totals is None:
            num_built = sum(rows_path(folder, part).exists() for part in range(header.num_parts))
            raise StoreError(
                f"{folder}: the store is unfinished ({num_built} of {header.num_parts} parts); "
                "run the same prepare command again"
            )
        return cls(folder, header, header.totals, open_index(folder, num_clips=header.totals.num_clips))

    @property
    def num_frames(self) -> int:
        """Frames of all clips together."""
        return self.totals.num_frames

    @cached_property
    def clips_schema(self) -> pa.Schema:
        """See `LabelledClips`; the first part has it."""
        hidden = {*PLACE_COLUMNS, *FAILURE_COLUMNS}
        return pa.schema([field for field in read_schema(self.folder, 0) if field.name not in hidden])

    def read_clips(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of `clips`, from all parts.

        Raises:
            StoreError: a part is missing or damaged.
        """

        def read(parts: range) -> pa.Table:
            tables = [read_stored_rows(self.folder, part, columns) for part in parts]
            return pa.concat_tables(tables).combine_chunks()  # millions of small chunks would be slow to go through

        shares = [
            range(first, min(first + _PARTS_AT_ONCE, self.num_parts))
            for first in range(0, self.num_parts, _PARTS_AT_ONCE)
        ]
        with ThreadPoolExecutor(_READING_THREADS) as threads:
            return pa.concat_tables(threads.map(read, shares))

    def failures(self) -> pa.Table:
        """The rows of the manifest that are not stored: clip_id, media, kind (of `FAILURE_KINDS`), reason."""

        def read(part: int) -> pa.Table:
            rows = read_rows(self.folder, part, ["clip_id", "media", "failure_kind", "failure_reason"])
            return rows.filter(pc.is_valid(rows["failure_kind"]))

        with ThreadPoolExecutor(_READING_THREADS) as threads:
            table = pa.concat_tables(threads.map(read, range(self.num_parts)))
        return table.rename_columns(["clip_id", "media", "kind", "reason"])

    def select(self, where: str | None, *, option: str = "--where") -> Indices:
        """Ascending numbers of the clips for which an SQL condition over `clips` holds; all where it is None.

        An error names the condition by the `option` that it was given by.

        Raises:
            SelectionError: the condition cannot be evaluated, or holds for no clip.
            StoreError: the store holds no clip at all.
        """
        if not self.num_clips:
            raise StoreError(
                f"{self.folder}: the store holds no clip, all {self.totals.num_failed} failed; the reasons are in "
                f"{self.folder / FAILURES_FILE}"
            )
        return super().select(where, option=option)
