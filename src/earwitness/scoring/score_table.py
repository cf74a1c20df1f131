"""Scores made by any other software, taken over from a table into a folder of scores.

A wide table has a column `clip_id` and one for each label, named by its id or its display name. A long one has the
columns `clip_id`, `label` and `score`. Numbers may be of any kind of which larger means more likely; they are kept as
they are, in float64 where they came so. Every clip asked for must be scored once for every label.

A Parquet file is read some columns at a time, so that a wide table may be larger than memory; CSV, JSON Lines and long
tables are read whole. Rows of clips that the store has but that were not asked for are left out, and so are columns
that are the manifest's own.
"""

import functools
import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from earwitness.errors import ManifestError, ScoreError
from earwitness.scoring.score_folder import (
    ScoreFolder,
    begin_scores,
    digest_clip_ids,
    saying_what_cannot_be_written,
    scored_clips,
)
from earwitness.scoring.score_header import FILE_NAME, ScoresHeader
from earwitness.scoring.score_tiles import finished_tiles, tile_rows_for, writing_by_label
from earwitness.store.read import Store
from earwitness.table_files import TABLE_SUFFIXES, first_line, read_table

_BLOCK_BYTES = 128 * 2**20
"""Of the scores read at a time."""
_LISTED = 5
_MOST_TILES = 500
"""Files that a process may hold open are 1,024 on many machines."""

_LONG_COLUMNS = ("clip_id", "label", "score")

Indices = npt.NDArray[np.int64]


def is_table(path: Path) -> bool:
    """Whether a path is named like a table."""
    return path.suffix.lower() in TABLE_SUFFIXES


def take_over_scores(path: Path, store: Store, folder: Path, *, where: str | None = None) -> ScoreFolder:
    """Write the scores of a table into a folder.

    Args:
        path: .parquet, .csv, .tsv or .jsonl.
        store: of the clips; its labels are those that must be scored.
        folder: made if need be; what it holds of the same table is kept.
        where: SQL condition over the manifest's columns: the clips that are wanted.

    Raises:
        ManifestError: the table cannot be read.
        SelectionError: `where` is bad or selects nothing.
        ScoreError: labels are missing or unknown, a clip is scored twice or never, a score is missing or no finite
            number (clip and label are named); or the folder holds something else.
    """
    clips = store.select(where)
    clip_ids = store.read_clips(["clip_id"])["clip_id"].take(clips)
    table = _opened(path, store, clip_ids)
    num_labels = len(store.label_set)
    header = ScoresHeader(
        label_set=store.label_set,
        num_clips=len(clips),
        num_rows=len(clips),
        tile_rows=_tile_rows(len(clips), num_labels),
        dtype=table.dtype,
        level="clip",
        aggregation=None,
        store_fingerprint=store.fingerprint,
        where=where,
        clips_digest=digest_clip_ids(clip_ids),
        patch_frames=None,
        patch_hop_frames=None,
        source_digest=_digest(path),
        calibration_digest=None,
        thresholds=None,
        architecture=None,
        source=str(path.resolve()),
        store=str(store.folder.resolve()),
    )
    header = begin_scores(folder, header, lambda: scored_clips(store, clips, None), tile_rows=None)
    if len(finished_tiles(folder, header)) < header.num_tiles:
        step = max(1, _BLOCK_BYTES // (8 * max(len(clips), 1)))
        try:
            with saying_what_cannot_be_written(folder), writing_by_label(folder, header) as append:
                for first in range(0, num_labels, step):
                    append(table.scores(range(first, min(first + step, num_labels))))
        except BaseException:
            (folder / FILE_NAME).unlink(missing_ok=True)  # so that a table put right may come here
            raise
    return ScoreFolder.open(folder)


def _tile_rows(num_clips: int, num_labels: int) -> int:
    """Rows of a tile, a power of two: all tiles are open at a time, so not too many."""
    rows = tile_rows_for(num_rows=num_clips, num_patches=num_clips, num_labels=num_labels)
    while num_clips > rows * _MOST_TILES:
        rows *= 2
    return rows


class _Table(ABC):
    """A table of scores, its columns and clips found to be those wanted."""

    def __init__(self, path: Path, store: Store, clip_ids: pa.ChunkedArray) -> None:
        self._path, self._label_set = path, store.label_set
        self._clip_ids = clip_ids.combine_chunks()
        self.dtype: Literal["float32", "float64"] = "float64"
        names = Counter(self._label_set.names)
        self._label_of = {
            **{name: number for number, name in enumerate(self._label_set.names) if names[name] == 1},
            **self._label_set.index_of,
        }
        """Index by id, and by the names that only one label has."""

    @abstractmethod
    def scores(self, labels: range) -> npt.NDArray[Any]:
        """[labels, clips], finite."""

    def _error(self, words: str) -> ScoreError:
        return ScoreError(f"{self._path}: {words}")

    def _places(self, clip_ids: pa.ChunkedArray) -> Indices:
        """For each of these ids of a table, which clip it is; -1 where it is none of those wanted."""
        if clip_ids.null_count:
            row = int(np.flatnonzero(clip_ids.is_null().to_numpy())[0]) + 1
            raise self._error(f"row {row} has no clip_id")
        found = pc.index_in(clip_ids.cast(pa.string()), value_set=self._clip_ids)
        places: Indices = found.fill_null(-1).to_numpy().astype(np.int64)
        return places

    def _require_all_clips(self, is_there: npt.NDArray[np.bool_]) -> None:
        missing = np.flatnonzero(~is_there)
        if len(missing):
            shown = _listed([self._clip_ids[int(clip)].as_py() for clip in missing[:_LISTED]], len(missing))
            raise self._error(f"clips without scores ({len(missing):,} of {len(is_there):,}): {shown}")

    def _require_all_labels(self, found: Collection[int], unknown: Sequence[str]) -> None:
        missing = [label for number, label in enumerate(self._label_set.ids) if number not in found]
        parts = []
        if missing:
            parts.append(f"labels without scores: {_listed(missing[:_LISTED], len(missing))}")
        if unknown:
            parts.append(
                f"labels, or columns, that the store does not know: {_listed(unknown[:_LISTED], len(unknown))}"
            )
        if parts:
            raise self._error(f"{'; '.join(parts)}. A column for each of the {len(self._label_set)} labels is needed")

    def _pair(self, label: int, clip: int) -> str:
        return f"clip {self._clip_ids[clip].as_py()!r}, label {self._label_set.ids[label]!r}"

    def _numbers(self, column: pa.ChunkedArray, said: Callable[[int], str]) -> npt.NDArray[Any]:
        """A column as finite numbers [rows]; what is none is said by its row."""
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise self._error(f"{said(row)}: there is no score; every clip needs one for each label")
        kind = column.type
        if not any(is_kind(kind) for is_kind in (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)):
            try:
                column = pc.cast(column, pa.float64())
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                row = next((row for row, value in enumerate(column.to_pylist()) if not _is_number(value)), 0)
                raise self._error(f"{said(row)}: {column[row].as_py()!r} is no number") from error
        values: npt.NDArray[Any] = column.to_numpy().astype(self.dtype)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise self._error(
                f"{said(int(wrong[0]))}: the score is {values[wrong[0]]}; every score must be a finite number"
            )
        return values


class _WideTable(_Table):
    """A row a clip, a column a label."""

    def __init__(self, path: Path, store: Store, clip_ids: pa.ChunkedArray, columns: "_Columns") -> None:
        super().__init__(path, store, clip_ids)
        self._columns = columns
        self._column_of: dict[int, str] = {}
        unknown = []
        own = {*store.clips_schema.names, "clip_id"}
        for name in columns.schema.names:
            label = self._label_of.get(name)
            if label is None:
                unknown += [name] if name not in own else []
            elif label in self._column_of:
                both = f"{self._column_of[label]!r} and {name!r}"
                raise self._error(f"the columns {both} are both of the label {self._label_set.ids[label]!r}")
            else:
                self._column_of[label] = name
        self._require_all_labels(self._column_of, unknown)
        single = (pa.float32(), pa.float16(), pa.bool_())
        if all(columns.schema.field(name).type in single for name in self._column_of.values()):
            self.dtype = "float32"
        self._ids = columns.read(["clip_id"])["clip_id"]
        places = self._places(self._ids)
        counts = np.bincount(places[places >= 0], minlength=len(clip_ids))
        twice = np.flatnonzero(counts > 1)
        if len(twice):
            shown = _listed([self._clip_ids[int(clip)].as_py() for clip in twice[:_LISTED]], len(twice))
            raise self._error(f"clips scored more than once: {shown}")
        self._require_all_clips(counts > 0)
        self._rows = np.empty(len(clip_ids), dtype=np.int64)
        wanted = np.flatnonzero(places >= 0)
        self._rows[places[wanted]] = wanted

    def scores(self, labels: range) -> npt.NDArray[Any]:
        """See `_Table`."""
        names = [self._column_of[label] for label in labels]
        table = self._columns.read(names)
        scores = np.empty((len(labels), len(self._rows)), dtype=self.dtype)
        for row, name in enumerate(names):
            column = table[name].take(self._rows)
            scores[row] = self._numbers(column, functools.partial(self._pair, labels[row]))
        return scores


class _LongTable(_Table):
    """A row for each clip and label."""

    def __init__(self, path: Path, store: Store, clip_ids: pa.ChunkedArray, columns: "_Columns") -> None:
        super().__init__(path, store, clip_ids)
        table = columns.read(list(_LONG_COLUMNS))
        places = self._places(table["clip_id"])
        named = table["label"].cast(pa.string()).combine_chunks().dictionary_encode()
        unnamed = np.flatnonzero(pc.equal(pc.fill_null(table["label"].cast(pa.string()), ""), "").to_numpy())
        if len(unnamed):
            raise self._error(f"row {unnamed[0] + 1} has no label")
        ids = named.dictionary.to_pylist()
        numbers = np.array([self._label_of.get(label, -1) for label in ids], dtype=np.int64)
        self._require_all_labels(set(numbers.tolist()), [ids[n] for n in np.flatnonzero(numbers < 0)])
        labels = numbers[named.indices.to_numpy()]
        wanted = np.flatnonzero(places >= 0)
        self._require_all_clips(np.bincount(places[wanted], minlength=len(clip_ids)) > 0)
        keys = labels[wanted] * len(clip_ids) + places[wanted]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if len(twice):
            raise self._error(f"{self._pair(*divmod(int(keys[twice[0]]), len(clip_ids)))} is scored more than once")
        if len(keys) < len(clip_ids) * len(self._label_set):
            gap = np.flatnonzero(keys != np.arange(len(keys)))
            first = int(gap[0]) if len(gap) else len(keys)
            raise self._error(
                f"{self._pair(*divmod(first, len(clip_ids)))} has no score; every clip needs one for each label"
            )
        column = table["score"].take(wanted[order])
        self._scores = self._numbers(column, lambda place: self._pair(*divmod(int(keys[place]), len(clip_ids))))
        self._scores = self._scores.reshape(len(self._label_set), len(clip_ids))

    def scores(self, labels: range) -> npt.NDArray[Any]:
        """See `_Table`."""
        return self._scores[labels.start : labels.stop]


class _Columns:
    """Reads columns of a table: of a Parquet file as they are asked for, of others all at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = None
        if path.suffix.lower() == ".parquet" and path.is_file():
            try:
                self._file = pyarrow.parquet.ParquetFile(path)
                self.schema = self._file.schema_arrow
            except (pa.ArrowException, OSError) as error:
                raise self._unreadable(error) from error
        else:
            self._table = read_table(path, text_columns=("clip_id", "label"))
            self.schema = self._table.schema
        if "clip_id" not in self.schema.names:
            raise ScoreError(f"{path}: a column clip_id is needed; columns: {_listed(self.schema.names, 0)}")
        twice = [name for name, count in Counter(self.schema.names).items() if count > 1]
        if twice:
            raise ScoreError(f"{path}: column {twice[0]!r} stands there twice; rename one of them")

    def read(self, names: list[str]) -> pa.Table:
        """Some columns."""
        if self._table is not None:
            return self._table.select(names)
        try:
            return self._file.read(columns=names).select(names)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> ManifestError:
        return ManifestError(f"{self._path}: not a readable table ({first_line(error)})")


def _opened(path: Path, store: Store, clip_ids: pa.ChunkedArray) -> _Table:
    columns = _Columns(path)
    labels = {*store.label_set.ids, *store.label_set.names}
    is_long = set(_LONG_COLUMNS) <= set(columns.schema.names) and not {"label", "score"} & labels
    return (_LongTable if is_long else _WideTable)(path, store, clip_ids, columns)


def _listed(names: Sequence[str], number: int) -> str:
    return ", ".join(names) + (", ..." if number > len(names) else "")


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
