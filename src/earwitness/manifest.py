"""Manifests: tables of clips, one row a clip, kept as Arrow tables and stored as Parquet, CSV or JSON Lines.

Columns that mean something here (others are carried along untouched and can be used in `--where`):

    clip_id        text, unique, never empty
    media          text: a path (relative ones are relative to the manifest file's folder) or a URL
    start_seconds  number or null: where the clip begins in its media; null is the beginning
    stop_seconds   number or null: where it ends, exclusive; null is the end
    labels         list of label ids, none empty; the list may be. In CSV, joined by `|`
    split, fold, group   optional: the parts of a corpus; clips of one `group` (one recording, one uploader)
                         belong on one side of any split

Row numbers in messages count data rows from 1. What CSV does to types is said in `table_files`.
"""

import json
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from earwitness.errors import ManifestError
from earwitness.files import replacing
from earwitness.places import Place, place
from earwitness.table_files import empty_to_null, first_line, read_table

LABEL_SEPARATOR = "|"
"""Joins the labels of a clip in CSV files."""

SCHEMA_VERSION = 1
"""Written into Parquet manifests as `earwitness_manifest_version`."""

_VERSION_KEY = b"earwitness_manifest_version"

CORE_COLUMNS = {
    "clip_id": pa.string(),
    "media": pa.string(),
    "start_seconds": pa.float64(),
    "stop_seconds": pa.float64(),
    "labels": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Manifest:
    """A checked table of clips. `table` has the core columns first, in the types of `CORE_COLUMNS`."""

    table: pa.Table
    source: str = "manifest"
    """What to call it in messages: a file name, usually."""

    @classmethod
    def from_table(cls, table: pa.Table, *, source: str = "manifest", folder: Place | None = None) -> "Manifest":
        """Check a table and bring it into shape.

        Missing `start_seconds` and `stop_seconds` are added as null, missing `labels` as empty lists, and a
        missing `clip_id` as the media text. Relative media paths are joined to `folder` where one is given.

        Raises:
            ManifestError: the table is empty, lacks `media`, names a column twice, or a row is bad (the first
                such row is named).
        """
        repeated = [name for name in table.column_names if table.column_names.count(name) > 1]
        if repeated:
            raise ManifestError(f"{source}: column {repeated[0]!r} stands there twice; rename one of them")
        if "media" not in table.column_names:
            raise ManifestError(
                f"{source}: no column 'media'; the columns are {', '.join(table.column_names) or 'none'}. "
                "`earwitness manifest table FILE --media-column NAME` makes a manifest from any table"
            )
        if table.num_rows == 0:
            raise ManifestError(f"{source}: it has no rows; a manifest needs at least one clip")
        table = _with_core_columns(table, source)
        _check_rows(table, source)
        if folder is not None:
            table = table.set_column(
                table.column_names.index("media"), "media", _join_to_folder(table["media"], folder)
            )
        others = [name for name in table.column_names if name not in CORE_COLUMNS]
        return cls(table.select([*CORE_COLUMNS, *others]), source)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def label_counts(self) -> dict[str, int]:
        """Number of clips that carry each label, most frequent first, then by id."""
        labels = self.table["labels"]
        pairs = pa.table({"clip": pc.list_parent_indices(labels), "label": pc.list_flatten(labels)})
        once = pairs.group_by(["clip", "label"]).aggregate([])["label"]  # a label named twice is one
        counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(once).to_pylist()}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def read_manifest(path: str | Place) -> Manifest:
    """Read a manifest from `.parquet`, `.csv`, `.tsv` or `.jsonl`, on the disk or behind a URL.

    Raises:
        ManifestError: the file is missing, a folder, of another kind, damaged, or a row is bad.
    """
    path = place(path)
    table = read_table(path, text_columns=CORE_COLUMNS)
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"0").decode()
    if not version.isdecimal() or int(version) > SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: manifest version {version} is newer than {SCHEMA_VERSION}, which this earwitness reads; update it"
        )
    if path.suffix.lower() in (".csv", ".tsv"):
        table = _from_text(table)
    return Manifest.from_table(table, source=str(path), folder=path.resolve().parent)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest as `.parquet`, `.csv` or `.jsonl`, whole or not at all.

    Raises:
        ManifestError: the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ManifestError(
            f"{path}: a manifest is written as one of {', '.join(_WRITERS)}; came {path.suffix or 'no suffix'}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            write(manifest.table, file)
    except OSError as error:
        raise ManifestError(f"{path}: the manifest cannot be written ({error.strerror or error})") from error
    except ValueError as error:  # Arrow's errors about types, too
        raise ManifestError(f"{path}: the manifest cannot be written ({first_line(error)})") from error


def _from_text(table: pa.Table) -> pa.Table:
    """Split the joined labels of a CSV and empty its missing times."""
    for position, name in enumerate(table.column_names):
        if name == "labels":
            labels = pc.split_pattern(table[name], LABEL_SEPARATOR)
            no_label = pa.scalar([], pa.list_(pa.string()))
            table = table.set_column(position, name, pc.if_else(pc.equal(table[name], ""), no_label, labels))
        elif name in ("start_seconds", "stop_seconds"):
            table = table.set_column(position, name, empty_to_null(table[name]))
    return table


def _with_core_columns(table: pa.Table, source: str) -> pa.Table:
    num_rows = table.num_rows
    if "clip_id" not in table.column_names:
        table = table.append_column("clip_id", table["media"])
    for name in ("start_seconds", "stop_seconds"):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(num_rows, pa.float64()))
    if "labels" not in table.column_names:
        table = table.append_column("labels", pa.array([[]] * num_rows, pa.list_(pa.string())))
    for name, wanted in CORE_COLUMNS.items():
        if table[name].type != wanted:
            column = _cast(table[name], wanted, name, source)
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def _cast(column: pa.ChunkedArray, wanted: pa.DataType, name: str, source: str) -> pa.ChunkedArray:
    try:
        return pc.cast(column, wanted)
    except pa.ArrowNotImplementedError as error:
        raise ManifestError(f"{source}: column {name} is {column.type}, {wanted} is needed") from error
    except pa.ArrowInvalid as error:
        row = bisect_left(range(len(column)), True, key=lambda row: not _can_cast(column[: row + 1], wanted))
        kind = "a number" if wanted == pa.float64() else str(wanted)
        raise ManifestError(f"{source}: row {row + 1}: {name}={column[row].as_py()!r} is not {kind}") from error


def _can_cast(column: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        pc.cast(column, wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _check_rows(table: pa.Table, source: str) -> None:
    for name in ("media", "clip_id"):
        empty = pc.or_kleene(pc.is_null(table[name]), pc.equal(table[name], ""))
        if (row := _first(empty)) is not None:
            raise ManifestError(f"{source}: row {row + 1}: column {name} is empty")
    for name in ("start_seconds", "stop_seconds"):
        column = table[name]
        if (row := _first(pc.invert(pc.and_(pc.is_finite(column), pc.greater_equal(column, 0.0))))) is not None:
            raise ManifestError(f"{source}: row {row + 1}: {name}={column[row]} must be a number of seconds, 0 or more")
    stops, starts = table["stop_seconds"], pc.coalesce(table["start_seconds"], pa.scalar(0.0))
    if (row := _first(pc.less_equal(stops, starts))) is not None:
        raise ManifestError(
            f"{source}: row {row + 1}: stop_seconds={stops[row]} is not after start_seconds={starts[row]} "
            "(columns swapped?)"
        )
    _check_labels(table["labels"], source)
    _check_unique(table["clip_id"], source)


def _check_labels(labels: pa.ChunkedArray, source: str) -> None:
    if (row := _first(pc.is_null(labels))) is not None:
        raise ManifestError(f"{source}: row {row + 1}: labels is null; an empty list means no label")
    flat = pc.list_flatten(labels)
    if (position := _first(pc.or_kleene(pc.is_null(flat), pc.equal(flat, "")))) is not None:
        row = pc.list_parent_indices(labels)[position].as_py()
        raise ManifestError(f"{source}: row {row + 1}: a label is empty; came {labels[row].as_py()}")


def _check_unique(clip_ids: pa.ChunkedArray, source: str) -> None:
    if pc.count_distinct(clip_ids).as_py() == len(clip_ids):
        return
    first_row: dict[str, int] = {}
    for row, clip_id in enumerate(clip_ids.to_pylist()):
        if clip_id in first_row:
            raise ManifestError(
                f"{source}: row {row + 1}: clip_id {clip_id!r} already stands in row "
                f"{first_row[clip_id] + 1}; ids must be unique (clips of one file need ids of their own: "
                "`manifest table` makes them from --start-column, or takes --clip-id-column)"
            )
        first_row[clip_id] = row


def _first(bad: pa.ChunkedArray) -> int | None:
    """Position of the first true; null is not true."""
    position = pc.index(bad, True).as_py()
    return None if position < 0 else int(position)


def _join_to_folder(media: pa.ChunkedArray, folder: Place) -> pa.ChunkedArray:
    is_relative = pc.invert(pc.or_(pc.starts_with(media, "/"), pc.match_substring(media, "://")))
    joined = pc.binary_join_element_wise(str(folder), media, "/")
    return pc.if_else(is_relative, joined, media)


def _write_parquet(table: pa.Table, file: BinaryIO) -> None:
    metadata = {**(table.schema.metadata or {}), _VERSION_KEY: str(SCHEMA_VERSION).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")


def _write_csv(table: pa.Table, file: BinaryIO) -> None:
    flat = pc.list_flatten(table["labels"])
    if (position := _first(pc.match_substring(flat, LABEL_SEPARATOR))) is not None:
        raise ValueError(
            f"label {flat[position].as_py()!r} holds {LABEL_SEPARATOR!r}, which joins labels in CSV; "
            "write Parquet or JSON Lines"
        )
    joined = pc.binary_join(table["labels"], LABEL_SEPARATOR)
    table = table.set_column(table.column_names.index("labels"), "labels", joined)
    pyarrow.csv.write_csv(table, file)


def _write_jsonl(table: pa.Table, file: BinaryIO) -> None:
    for batch in table.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")


_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
