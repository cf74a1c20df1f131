"""A finished store: its clips, their labels, and what failed. Frames are read by `reading.FrameReader`."""

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import StoreError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.places import Place, listing, place
from earwitness.selection import select_rows
from earwitness.store.header import StoreHeader, Totals, read_header
from earwitness.store.index import StoreIndex, open_index
from earwitness.store.parts import (
    FAILURE_COLUMNS,
    FAILURES_FILE,
    PARTS_FOLDER,
    PLACE_COLUMNS,
    failed_rows,
    read_rows,
    read_stored_rows,
)

Indices = npt.NDArray[np.int64]

_READING_THREADS = 8


class LabelledClips(ABC):
    """Clips with their labels, numbered from 0: what a store and a table of embeddings have in common."""

    folder: Place
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
    def clips(self) -> pa.Table:
        """One row a clip: all columns of the manifest and those of `parts.CLIP_COLUMNS`."""

    def select(self, where: str | None) -> Indices:
        """Ascending numbers of the clips for which an SQL condition over `clips` holds; all where it is None.

        Raises:
            SelectionError: the condition cannot be evaluated, or holds for no clip.
        """
        if where is None:
            return np.arange(self.num_clips, dtype=np.int64)
        return select_rows(self.clips, where)

    def targets(self, clips: Indices) -> npt.NDArray[np.bool_]:
        """Bool [len(clips), labels]: which labels each of these clips carries."""
        clips = np.asarray(clips, dtype=np.int64)
        starts, stops = self.label_offsets[clips], self.label_offsets[clips + 1]
        counts = stops - starts
        rows = np.repeat(np.arange(len(clips)), counts)
        # position within its clip of every label, shifted to where the clip's labels begin
        places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
        targets = np.zeros((len(clips), len(self.label_set)), dtype=np.bool_)
        targets[rows, self.label_indices[places]] = True
        return targets


class Store(LabelledClips):
    """Clips are numbered from 0, in the order of the manifest, without those that failed."""

    def __init__(self, folder: Place, header: StoreHeader, totals: Totals, index: StoreIndex) -> None:
        """Use `Store.open`."""
        self.folder = folder
        self.data_folder = folder / header.data_folder
        """Where its parts and index lie."""
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
    def open(cls, folder: str | Place) -> "Store":
        """Open a finished store; reads the header and maps the index, nothing more.

        Raises:
            StoreError: there is none, it is unfinished, damaged, or of another format version.
        """
        folder = place(folder)
        header = read_header(folder)
        if header.totals is None:
            names = listing(folder / header.data_folder / PARTS_FOLDER)
            num_built = sum(name.endswith(".parquet") for name in names)
            raise StoreError(
                f"{folder}: the store is unfinished ({num_built} of {header.num_parts} parts); "
                "run the same command again, prepare or store"
            )
        index = open_index(folder / header.data_folder, num_clips=header.totals.num_clips)
        return cls(folder, header, header.totals, index)

    @property
    def num_frames(self) -> int:
        """Frames of all clips together."""
        return self.totals.num_frames

    @cached_property
    def clips(self) -> pa.Table:
        """One row for each stored clip: all columns of the manifest and those of `parts.CLIP_COLUMNS`."""

        def read(part: int) -> pa.Table:
            return read_stored_rows(self.data_folder, part).drop_columns(list(PLACE_COLUMNS))

        with ThreadPoolExecutor(_READING_THREADS) as threads:
            return pa.concat_tables(threads.map(read, range(self.num_parts)))

    def failures(self) -> pa.Table:
        """The rows of the manifest that are not stored: clip_id, media, kind (of `FAILURE_KINDS`), reason."""

        def read(part: int) -> pa.Table:
            return failed_rows(read_rows(self.data_folder, part, ["clip_id", "media", *FAILURE_COLUMNS]))

        with ThreadPoolExecutor(_READING_THREADS) as threads:
            return pa.concat_tables(threads.map(read, range(self.num_parts)))

    def select(self, where: str | None) -> Indices:
        """Ascending numbers of the clips for which an SQL condition over `clips` holds; all where it is None.

        Raises:
            SelectionError: the condition cannot be evaluated, or holds for no clip.
            StoreError: the store holds no clip at all.
        """
        if not self.num_clips:
            raise StoreError(
                f"{self.folder}: the store holds no clip, all {self.totals.num_failed} failed; the reasons are in "
                f"{self.folder / FAILURES_FILE}"
            )
        return super().select(where)
