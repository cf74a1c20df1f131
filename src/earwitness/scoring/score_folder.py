"""Scores on disk: a folder that says what they are of, and needs neither model nor store to be evaluated.

    scores.json     format and version, label set, model, store, selection, hop, aggregation, sizes; see `score_header`
    clips.parquet   one row a clip, in the order of the scores: all columns of the store's clips, those of the manifest
                    among them, and

        clip_number      the clip in the store
        num_patches      of the clip, as the model heard it; null where that is not known
        label_indices    ascending indices into the label set

    tiles/          the scores; see `score_tiles`

The scores are whole once all tiles are there, whoever wrote them and in whatever order: shards of several processes,
tasks of a cluster, one process that was killed and begun again.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import ScoreError, StoreError
from earwitness.evaluation.positives import Positives
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked
from earwitness.labels import LabelSet
from earwitness.scoring.score_header import FILE_NAME, ScoresHeader, read_scores_header, write_scores_header
from earwitness.scoring.score_tiles import TILES_FOLDER, TiledScores, remove_orphans, remove_tiles, require_all_tiles
from earwitness.selection import select_rows
from earwitness.store.embeddings import ADDED_COLUMNS as EMBEDDINGS_COLUMNS
from earwitness.store.embeddings import Embeddings
from earwitness.store.read import LabelledClips, Store
from earwitness.store.tables import read_parquet, write_parquet
from earwitness.table_files import first_line

CLIPS_FILE = "clips.parquet"
REPORT_FOLDER = "scores"
"""Where a report keeps the scores that it is of."""

_ADDED_COLUMNS = ("clip_number", "num_patches", "label_indices")

Indices = npt.NDArray[np.int64]


class ScoreFolder:
    """Finished scores: the clips, their labels, and a source of the scores."""

    def __init__(self, path: Path, header: ScoresHeader, rows: Indices | None = None) -> None:
        """Use `ScoreFolder.open`."""
        self.path, self.header = path, header
        self._clip_rows = rows
        """Rows of the table of clips that are seen; None: all."""

    @classmethod
    def open(cls, path: str | Path, *, where: str | None = None) -> "ScoreFolder":
        """Open a finished folder, or that of a report; scores are not read yet.

        Args:
            path: the folder.
            where: SQL condition over the columns of `clips`: the clips to be seen.

        Raises:
            ScoreError: there is none, it is unfinished, damaged, or of another format version.
            SelectionError: `where` is bad or selects nothing.
        """
        path = score_folder_in(Path(path)) or Path(path)
        if not (path / FILE_NAME).exists():
            raise ScoreError(f"{path}: this is no folder of scores; `earwitness score` makes one")
        header = read_scores_header(path)
        require_all_tiles(path, header)
        folder = cls(path, header)
        return folder if where is None else cls(path, header, select_rows(folder.clips, where))

    @property
    def label_set(self) -> LabelSet:
        """The labels, in order."""
        return self.header.label_set

    @cached_property
    def clips(self) -> pa.Table:
        """One row a clip.

        Raises:
            ScoreError: the table is missing or damaged.
        """
        path = self.path / CLIPS_FILE
        try:
            table = read_parquet(path)
        except StoreError as error:
            raise ScoreError(f"{path}: the table of the clips cannot be read ({first_line(error)})") from error
        if table.num_rows != self.header.num_clips or not set(_ADDED_COLUMNS) < set(table.column_names):
            raise ScoreError(f"{path}: damaged, it is not the table of the {self.header.num_clips:,} clips scored")
        return table if self._clip_rows is None else table.take(self._clip_rows)

    @property
    def num_clips(self) -> int:
        """Clips seen."""
        return self.header.num_clips if self._clip_rows is None else len(self._clip_rows)

    @cached_property
    def rows_per_clip(self) -> Indices:
        """int64 [clips]: rows of scores of each clip; 1, or its patches."""
        if self.header.level == "clip":
            return np.ones(self.num_clips, dtype=np.int64)
        counts: Indices = self.clips["num_patches"].to_numpy().astype(np.int64)
        return counts

    @cached_property
    def source(self) -> TiledScores:
        """The scores, row by row: clips, or patches."""
        rows = None
        if self._clip_rows is not None:
            counts = np.ones(self.header.num_clips, dtype=np.int64)
            if self.header.level == "patch":
                whole = ScoreFolder(self.path, self.header)
                counts = whole.rows_per_clip
            is_seen = np.zeros(self.header.num_clips, dtype=np.bool_)
            is_seen[self._clip_rows] = True
            rows = np.flatnonzero(np.repeat(is_seen, counts))
        return TiledScores(self.path, self.header, rows)

    @cached_property
    def positives(self) -> Positives:
        """Which rows carry which labels; a patch carries those of its clip."""
        labels = self.clips["label_indices"].combine_chunks()
        counts = labels.value_lengths().to_numpy(zero_copy_only=False)
        positives = Positives.from_pairs(
            np.repeat(np.arange(self.num_clips), counts),
            labels.flatten().to_numpy(zero_copy_only=False),
            num_clips=self.num_clips,
            num_labels=len(self.label_set),
        )
        return positives if self.header.level == "clip" else repeated(positives, self.rows_per_clip)

    @property
    def details(self) -> dict[str, Any]:
        """What a report says of the scores."""
        header = self.header
        return {
            "source_path": header.source,
            "source_digest": header.source_digest,
            "architecture": header.architecture["name"] if header.architecture else None,
            "store_path": header.store,
            "store_fingerprint": header.store_fingerprint,
            "where": header.where,
            "level": header.level,
            "aggregation": header.aggregation,
            "patch_hop_frames": header.patch_hop_frames,
            "is_calibrated": header.calibration_digest is not None,
            "has_own_thresholds": header.thresholds is not None,
            "num_clips": self.num_clips,
            "scores_path": str(self.path),
        }


def score_folder_in(path: Path) -> Path | None:
    """The folder of scores that a path is, or that a report in it keeps; None where there is neither."""
    return next((folder for folder in (path, path / REPORT_FOLDER) if (folder / FILE_NAME).is_file()), None)


def require_scores_of(scores: ScoreFolder, store: Store) -> None:
    """Refuse scores that are not of a store.

    Raises:
        ScoreError: they are of other labels or of another store; both sides are said.
    """
    header = scores.header
    if header.label_set != store.label_set:
        differences = header.label_set.differences(store.label_set, mine="scores", other="store")
        raise ScoreError(f"{scores.path}: the scores' labels are not those of {store.folder} ({differences})")
    if header.store_fingerprint != store.fingerprint:
        raise ScoreError(
            f"{scores.path}: the scores are of another store ({header.store}, fingerprint "
            f"{header.store_fingerprint[:12]}) than {store.folder} (fingerprint {store.fingerprint[:12]})"
        )


def repeated(positives: Positives, counts: Indices) -> Positives:
    """The same for rows of which each clip has several: `counts` [clips] of them."""
    firsts = np.concatenate([[0], np.cumsum(counts)])
    labels = np.repeat(np.arange(positives.num_labels), positives.num_positives)
    own = counts[positives.clips]
    within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    return Positives.from_pairs(
        np.repeat(firsts[positives.clips], own) + within,
        np.repeat(labels, own),
        num_clips=int(firsts[-1]),
        num_labels=positives.num_labels,
    )


def digest_clip_ids(clip_ids: pa.ChunkedArray) -> str:
    """32 hex digits over ids, in order."""
    digest = hashlib.sha256()
    for chunk in clip_ids.chunks:
        for clip_id in chunk.to_pylist():
            digest.update(clip_id.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()[:32]


def scored_clips(store: LabelledClips, clips: Indices, num_patches: Indices | None) -> pa.Table:
    """The table of clips that a folder keeps.

    Raises:
        ScoreError: the manifest has a column of a name that is added.
    """
    names = store.clips_schema.names
    if isinstance(store, Embeddings):
        names = [name for name in names if name not in EMBEDDINGS_COLUMNS]
    if taken := [name for name in _ADDED_COLUMNS if name in names]:
        raise ScoreError(f"{store.folder}: column {taken[0]!r} of its manifest is one that scores add; rename it")
    table = store.read_clips(names).take(clips)
    starts, stops = store.label_offsets[clips], store.label_offsets[clips + 1]
    offsets = np.concatenate([[0], np.cumsum(stops - starts)])
    _, labels = store.label_pairs(clips)
    added = (
        pa.array(clips),
        pa.array(num_patches) if num_patches is not None else pa.nulls(len(clips), pa.int64()),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(labels, pa.int32())),
    )
    for name, column in zip(_ADDED_COLUMNS, added, strict=True):
        table = table.append_column(name, column)
    return table


def begin_scores(
    folder: Path, header: ScoresHeader, clips: Callable[[], pa.Table], *, tile_rows: int | None
) -> ScoresHeader:
    """Make the folder ready to take tiles, or find it so: its header.

    Args:
        folder: made if need be.
        header: of the scores that are to lie there.
        clips: gives the table of clips.
        tile_rows: as it was asked for. None: that of scores that were begun there is taken over.

    Raises:
        ScoreError: it holds something else, scores of something else, or cannot be written.
    """
    with saying_what_cannot_be_written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, busy=None):
            if (folder / FILE_NAME).exists():
                there = read_scores_header(folder)
                header = header if tile_rows else replace(header, tile_rows=there.tile_rows)
                there.require_same(header, folder)
                if there.thresholds != header.thresholds:  # they say what to make of the scores, and change none
                    there = replace(there, thresholds=header.thresholds)
                    write_scores_header(folder, there)
            else:
                ours = {LOCK_FILE, CLIPS_FILE, FILE_NAME, TILES_FOLDER}
                if any(path.name.removesuffix(PARTIAL_SUFFIX) not in ours for path in folder.iterdir()):
                    raise ScoreError(
                        f"{folder}: the folder is not empty and holds no scores; choose a new or empty one"
                    )
                remove_tiles(folder)  # of scores whose header is gone: nobody knows what they are of
                write_parquet(folder / CLIPS_FILE, clips())
                write_scores_header(folder, header)
                there = header
            (folder / TILES_FOLDER).mkdir(exist_ok=True)
            remove_orphans(folder)
    return there


@contextlib.contextmanager
def saying_what_cannot_be_written(folder: Path) -> Iterator[None]:
    """What the system says of files below the folder becomes a sentence."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise ScoreError(f"{folder}: this is, or lies in, a file; a folder is needed for scores") from error
    except OSError as error:
        raise ScoreError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}); once it can be, the same "
            "command goes on: the ranges finished so far are kept"
        ) from error
