"""What every row of a manifest must be: columns are brought into their types and checked, piece by piece, so that a
table of many million rows is never held twice.

Row numbers in messages count data rows of the whole table from 1.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import ManifestError
from earwitness.places import Place
from earwitness.text_hashes import first_repeated

CORE_COLUMNS = {
    "clip_id": pa.string(),
    "media": pa.string(),
    "start_seconds": pa.float64(),
    "stop_seconds": pa.float64(),
    "labels": pa.list_(pa.dictionary(pa.int32(), pa.string())),
}
"""Labels are kept as numbers into a dictionary: a third of the memory of their ids, and counted faster."""

RANGE_COLUMNS = {"media_offset_bytes": pa.int64(), "media_num_bytes": pa.int64()}

PIECE_ROWS = 1 << 18
"""Rows looked at together."""

_LISTS_OF_TEXT = pa.list_(pa.string())
_PLAIN_LAYOUTS = {"string_view": pa.string(), "binary_view": pa.binary()}
_NO_TIMES = pa.nulls(PIECE_ROWS, pa.float64())


@dataclass
class RowChecker:
    """Takes the pieces of one table in order."""

    source: str
    """What to call the table in messages."""
    folder: Place | None = None
    """Where relative media paths start from."""
    called: Mapping[str, str] = field(default_factory=dict)
    """What columns are called in messages, where it is another name."""
    num_rows: int = 0
    """Of the pieces taken so far."""
    _code_of: dict[str, int] = field(default_factory=dict)
    _pieces: list[pa.Table] = field(default_factory=list)

    def take(self, piece: pa.Table) -> None:
        """Check a piece and keep it, in shape, but for the dictionary of its labels.

        Raises:
            ManifestError: see `Manifest.from_table`.
        """
        check_columns(piece.column_names, self.source)
        piece = self._with_core_columns(_without_views(piece))
        self._check(piece)
        labels = pa.chunked_array(self._encoded_labels(piece["labels"]), pa.list_(pa.int32()))
        piece = piece.set_column(piece.column_names.index("labels"), "labels", labels)
        if self.folder is not None:
            joined = _join_to_folder(piece["media"], self.folder)
            piece = piece.set_column(piece.column_names.index("media"), "media", joined)
        others = [name for name in piece.column_names if name not in CORE_COLUMNS]
        self._pieces.append(piece.select([*CORE_COLUMNS, *others]))
        self.num_rows += piece.num_rows

    def finish(self) -> pa.Table:
        """The whole table, once all pieces are in; its labels have one dictionary.

        Raises:
            ManifestError: it has no rows, or an id stands there twice.
        """
        if not self.num_rows:
            raise ManifestError(f"{self.source}: it has no rows; a manifest needs at least one clip")
        table = pa.concat_tables(self._pieces)
        self._pieces.clear()
        if repeated := first_repeated(table["clip_id"]):
            row, earlier = repeated
            raise ManifestError(
                f"{self.source}: row {row + 1}: clip_id {table['clip_id'][row].as_py()!r} already stands in row "
                f"{earlier + 1}; ids must be unique (clips of one file need ids of their own: "
                "`manifest table` makes them from --start-column, or takes --clip-id-column)"
            )
        ids = pa.array(list(self._code_of), pa.string())
        labels = [
            pa.ListArray.from_arrays(codes.offsets, pa.DictionaryArray.from_arrays(codes.values, ids))
            for codes in table["labels"].chunks
        ]
        return table.set_column(
            table.column_names.index("labels"), "labels", pa.chunked_array(labels, CORE_COLUMNS["labels"])
        )

    def _with_core_columns(self, piece: pa.Table) -> pa.Table:
        num_rows = piece.num_rows
        if "clip_id" not in piece.column_names:
            piece = piece.append_column("clip_id", piece["media"])
        for name in ("start_seconds", "stop_seconds"):
            if name not in piece.column_names:
                piece = piece.append_column(name, pa.nulls(num_rows, pa.float64()))
        if "labels" not in piece.column_names:
            piece = piece.append_column("labels", pa.array([[]] * num_rows, _LISTS_OF_TEXT))
        for name, wanted in {**CORE_COLUMNS, **RANGE_COLUMNS}.items():
            if name not in piece.column_names:
                continue
            column = piece[name]
            if name == "labels":
                column = column if _has_dictionary(column.type) else self._cast(column, _LISTS_OF_TEXT, name)
            else:
                column = self._cast(column, wanted, name)
            if wanted == pa.float64() and column.null_count == num_rows <= PIECE_ROWS:
                column = pa.chunked_array([_NO_TIMES.slice(0, num_rows)])  # one for all pieces
            piece = piece.set_column(piece.column_names.index(name), name, column)
        return piece

    def _cast(self, column: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
        if column.type == wanted:
            return column
        try:
            return pc.cast(column, wanted)
        except pa.ArrowNotImplementedError as error:
            raise ManifestError(
                f"{self.source}: column {self._called(name)} is {column.type}, {wanted} is needed"
            ) from error
        except pa.ArrowInvalid as error:
            row = bisect_left(range(len(column)), True, key=lambda row: not _can_cast(column[: row + 1], wanted))
            kind = {pa.float64(): "a number", pa.int64(): "a whole number"}.get(wanted, str(wanted))
            raise ManifestError(
                f"{self._row(row)}: {self._called(name)}={column[row].as_py()!r} is not {kind}"
            ) from error

    def _called(self, name: str) -> str:
        return self.called.get(name, name)

    def _row(self, row: int) -> str:
        return f"{self.source}: row {self.num_rows + row + 1}"

    def _check(self, piece: pa.Table) -> None:
        for name in ("media", "clip_id"):
            empty = pc.or_kleene(pc.is_null(piece[name]), pc.equal(piece[name], ""))
            if (row := first_true(empty)) is not None:
                raise ManifestError(f"{self._row(row)}: column {self._called(name)} is empty")
        for name in ("start_seconds", "stop_seconds"):
            column = piece[name]
            is_time = pc.and_(pc.is_finite(column), pc.greater_equal(column, 0.0))
            if (row := first_true(pc.invert(is_time))) is not None:
                raise ManifestError(
                    f"{self._row(row)}: {self._called(name)}={column[row]} must be a number of seconds, 0 or more"
                )
        stops, starts = piece["stop_seconds"], pc.coalesce(piece["start_seconds"], pa.scalar(0.0))
        if (row := first_true(pc.less_equal(stops, starts))) is not None:
            raise ManifestError(
                f"{self._row(row)}: {self._called('stop_seconds')}={stops[row]} is not after "
                f"{self._called('start_seconds')}={starts[row]} "
                "(columns swapped?)"
            )
        if RANGE_COLUMNS.keys() <= set(piece.column_names):
            self._check_ranges(piece)
        if (row := first_true(pc.is_null(piece["labels"]))) is not None:
            raise ManifestError(f"{self._row(row)}: labels is null; an empty list means no label")

    def _check_ranges(self, piece: pa.Table) -> None:
        offsets, lengths = (piece[name] for name in RANGE_COLUMNS)
        is_bad = pc.or_kleene(
            pc.xor(pc.is_null(offsets), pc.is_null(lengths)), pc.or_(pc.less(offsets, 0), pc.less(lengths, 0))
        )
        if (row := first_true(is_bad)) is not None:
            raise ManifestError(
                f"{self._row(row)}: media_offset_bytes={offsets[row]}, media_num_bytes={lengths[row]}: a range of "
                "bytes needs both, 0 or more; a whole file neither"
            )

    def _encoded_labels(self, labels: pa.ChunkedArray) -> Iterator[pa.ListArray]:
        first = 0
        for chunk in labels.chunks:
            flat = chunk.flatten()
            encoded = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
            try:
                ids = pc.cast(encoded.dictionary, pa.string()).to_pylist()
            except pa.ArrowInvalid as error:
                raise ManifestError(
                    f"{self.source}: column {self._called('labels')} holds bytes that are no UTF-8 text"
                ) from error
            if encoded.null_count or "" in ids or None in ids:
                self._check_no_label_is_empty(chunk, first)
            codes = np.array([self._code(label_id) for label_id in ids], np.int32)[_whole_numbers(encoded.indices)]
            offsets = np.concatenate([[0], np.cumsum(_whole_numbers(chunk.value_lengths()))])
            yield pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(codes, pa.int32()))
            first += len(chunk)

    def _code(self, label_id: str) -> int:
        return self._code_of.setdefault(label_id, len(self._code_of))

    def _check_no_label_is_empty(self, chunk: pa.ListArray, first: int) -> None:
        flat = pc.cast(chunk.flatten(), pa.string())
        if (position := first_true(pc.or_kleene(pc.is_null(flat), pc.equal(flat, "")))) is not None:
            row = pc.list_parent_indices(chunk)[position].as_py()
            raise ManifestError(f"{self._row(first + row)}: a label is empty; came {chunk[row].as_py()}")


def _without_views(piece: pa.Table) -> pa.Table:
    """Text as other programs may write it, in a layout that Arrow cannot pick rows from, becomes plain text."""
    for position, field_ in enumerate(piece.schema):
        plain = _PLAIN_LAYOUTS.get(str(field_.type))
        if plain is not None:
            piece = piece.set_column(position, field_.name, pc.cast(piece[position], plain))
    return piece


def check_columns(names: list[str], source: str) -> None:
    """Refuse a table that can be no manifest.

    Raises:
        ManifestError: a column stands there twice, there is no `media`, or one of two that belong together.
    """
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ManifestError(f"{source}: column {repeated[0]!r} stands there twice; rename one of them")
    if "media" not in names:
        raise ManifestError(
            f"{source}: no column 'media'; the columns are {', '.join(names) or 'none'}. "
            "`earwitness manifest table FILE --media-column NAME` makes a manifest from any table"
        )
    ranges = [name for name in RANGE_COLUMNS if name in names]
    if len(ranges) == 1:
        raise ManifestError(f"{source}: column {ranges[0]} needs the other of {' and '.join(RANGE_COLUMNS)}")


def first_true(values: pa.ChunkedArray | pa.Array) -> int | None:
    """Position of the first true; null is not true."""
    position = pc.index(values, True).as_py()
    return None if position < 0 else int(position)


def _has_dictionary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) and pa.types.is_dictionary(kind.value_type))


def _whole_numbers(array: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), np.int64)


def _can_cast(column: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        pc.cast(column, wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _join_to_folder(media: pa.ChunkedArray, folder: Place) -> pa.ChunkedArray:
    is_relative = pc.invert(pc.or_(pc.starts_with(media, "/"), pc.match_substring(media, "://")))
    joined = pc.binary_join_element_wise(str(folder), media, "/")
    return pc.if_else(is_relative, joined, media)
