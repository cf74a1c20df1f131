"""Manifests: tables of clips, one row a clip, kept as Arrow tables and stored as Parquet, CSV or JSON Lines.

Columns that mean something here (others are carried along untouched and can be used in `--where`):

    clip_id        text, unique, never empty
    media          text: a path (relative ones are relative to the manifest file's folder) or a URL
    start_seconds  number or null: where the clip begins in its media; null is the beginning
    stop_seconds   number or null: where it ends, exclusive; null is the end
    labels         list of label ids; may be empty. In CSV, joined by `|`
    split, fold, group   optional: the parts of a corpus; clips of one `group` (one recording, one uploader)
                         belong on one side of any split

Row numbers in messages count data rows from 1; a CSV's header is not counted.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from earwitness.errors import ManifestError

LABEL_SEPARATOR = "|"
"""Joins the labels of a clip in CSV files."""

SCHEMA_VERSION = 1
"""Written into Parquet manifests as `earwitness_manifest_version`."""

_VERSION_KEY = b"earwitness_manifest_version"

_Function = TypeVar("_Function")

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
    def from_table(cls, table: pa.Table, *, source: str = "manifest", folder: Path | None = None) -> "Manifest":
        """Check a table and bring it into shape.

        Missing `start_seconds` and `stop_seconds` are added as null, missing `labels` as empty lists, and a missing
        `clip_id` as the media text. Relative media paths are joined to `folder` where one is given.

        Raises:
            ManifestError: the table is empty, lacks `media`, or a row is bad (the first such row is named).
        """
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
        flat = self.table["labels"].combine_chunks().flatten()
        counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(flat).to_pylist()}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def is_url(media: str) -> bool:
    """Whether a media text is a URL rather than a path."""
    return "://" in media


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest from `.parquet`, `.csv` or `.jsonl`.

    Raises:
        ManifestError: the file is missing, a folder, of another kind, damaged, or a row is bad.
    """
    path = Path(path)
    if path.is_dir():
        raise ManifestError(f"{path}: this is a folder, a manifest file is needed (`earwitness manifest folder` makes one)")
    if not path.exists():
        raise ManifestError(f"{path}: there is no such manifest")
    table = _by_suffix(path, _READERS)(path)
    return Manifest.from_table(table, source=str(path), folder=path.resolve().parent)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest as `.parquet`, `.csv` or `.jsonl`, whole or not at all.

    Raises:
        ManifestError: the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    write = _by_suffix(path, _WRITERS)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(manifest.table, partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ManifestError(f"{path}: the manifest cannot be written ({error.strerror or error})") from error


def read_table(path: Path, *, delimiter: str = ",") -> pa.Table:
    """Read any CSV as text columns, so that ids such as `007` or `-x` stay what they are.

    Raises:
        ManifestError: it cannot be read, is not UTF-8, or a row has another number of columns (the row is named).
    """
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=False)
    try:
        header = pyarrow.csv.open_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter)).schema.names
        options.column_types = dict.fromkeys(header, pa.string())
        return pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a readable table ({_first_line(error)})") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror or error})") from error


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
        column = table[name]
        if column.type != wanted:
            try:
                column = pc.cast(column, wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ManifestError(
                    f"{source}: column {name} is {column.type}, {wanted} is needed ({_first_line(error)})"
                ) from error
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def _check_rows(table: pa.Table, source: str) -> None:
    for name in ("clip_id", "media"):
        empty = pc.or_kleene(pc.is_null(table[name]), pc.equal(table[name], ""))
        _refuse_first(empty, source, lambda row, name=name: f"column {name} is empty")
    for name in ("start_seconds", "stop_seconds"):
        column = table[name]
        bad = pc.invert(pc.and_(pc.is_finite(column), pc.greater_equal(column, 0.0)))
        _refuse_first(
            bad, source, lambda row, name=name, c=column: f"{name}={c[row]} must be a number of seconds, 0 or more"
        )
    starts, stops = table["start_seconds"], table["stop_seconds"]
    _refuse_first(
        pc.less_equal(stops, pc.coalesce(starts, pa.scalar(0.0))),
        source,
        lambda row: (
            f"stop_seconds={stops[row]} is not after start_seconds="
            f"{starts[row].as_py() or 0.0} (columns swapped?)"
        ),
    )
    _refuse_first(pc.is_null(table["labels"]), source, lambda row: "labels is null; an empty list means no label")
    _check_unique(table["clip_id"], source)


def _check_unique(clip_ids: pa.ChunkedArray, source: str) -> None:
    if pc.count_distinct(clip_ids).as_py() == len(clip_ids):
        return
    first_row: dict[str, int] = {}
    for row, clip_id in enumerate(clip_ids.to_pylist()):
        if clip_id in first_row:
            raise ManifestError(
                f"{source}: row {row + 1}: clip_id {clip_id!r} already stands in row {first_row[clip_id] + 1}; "
                "ids must be unique (clips of one file need ids of their own)"
            )
        first_row[clip_id] = row


def _refuse_first(bad: pa.ChunkedArray, source: str, sentence: Callable[[int], str]) -> None:
    row = pc.index(bad, True).as_py()
    if row >= 0:
        raise ManifestError(f"{source}: row {row + 1}: {sentence(row)}")


def _join_to_folder(media: pa.ChunkedArray, folder: Path) -> pa.ChunkedArray:
    is_relative = pc.invert(pc.or_(pc.starts_with(media, "/"), pc.match_substring(media, "://")))
    joined = pc.binary_join_element_wise(str(folder), media, "/")
    return pc.if_else(is_relative, joined, media)


def _read_parquet(path: Path) -> pa.Table:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(f"{path}: not a readable Parquet file ({_first_line(error)})") from error
    version = (table.schema.metadata or {}).get(_VERSION_KEY)
    if version is not None and int(version) > SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: manifest version {int(version)} is newer than {SCHEMA_VERSION}, which this earwitness reads; update it"
        )
    return table


def _read_csv(path: Path) -> pa.Table:
    table = read_table(path)
    if table.num_rows and "labels" in table.column_names:
        joined = table["labels"].combine_chunks()
        labels = pc.split_pattern(joined, LABEL_SEPARATOR)
        labels = pc.if_else(pc.equal(joined, ""), pa.scalar([], pa.list_(pa.string())), labels)
        table = table.set_column(table.column_names.index("labels"), "labels", labels)
    for name in ("start_seconds", "stop_seconds"):
        if name in table.column_names:
            column = pc.if_else(pc.equal(table[name], ""), pa.scalar(None, pa.string()), table[name])
            table = table.set_column(table.column_names.index(name), name, column)
    return _with_numbers(table)


def _with_numbers(table: pa.Table) -> pa.Table:
    """Turn carried-along text columns that hold whole numbers only into integers, so that `fold != 1` works."""
    for position, name in enumerate(table.column_names):
        column = table[name]
        if name in CORE_COLUMNS or column.type != pa.string():
            continue
        if pc.all(pc.match_substring_regex(column, r"^(0|-?[1-9][0-9]{0,17})$"), min_count=1).as_py():
            table = table.set_column(position, name, pc.cast(column, pa.int64()))
    return table


def _read_jsonl(path: Path) -> pa.Table:
    rows = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ManifestError(f"{path}: line {number} is not JSON ({error.msg} at column {error.colno})") from error
                if not isinstance(row, dict):
                    raise ManifestError(f"{path}: line {number} is not a JSON object of columns")
                rows.append(row)
        columns = dict.fromkeys(key for row in rows for key in row)
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text") from error
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(f"{path}: a column mixes kinds of values ({_first_line(error)})") from error


def _write_parquet(table: pa.Table, path: Path) -> None:
    metadata = {**(table.schema.metadata or {}), _VERSION_KEY: str(SCHEMA_VERSION).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _write_csv(table: pa.Table, path: Path) -> None:
    for labels in table["labels"].to_pylist():
        for label in labels:
            if LABEL_SEPARATOR in label:
                raise ManifestError(
                    f"label {label!r} holds {LABEL_SEPARATOR!r}, which joins labels in CSV; write Parquet or JSON Lines"
                )
    joined = pc.binary_join(table["labels"].combine_chunks(), LABEL_SEPARATOR)
    table = table.set_column(table.column_names.index("labels"), "labels", joined)
    pyarrow.csv.write_csv(table, path)


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as lines:
        for batch in table.to_batches():
            for row in batch.to_pylist():
                lines.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


_READERS = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}
_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}


def _by_suffix(path: Path, functions: dict[str, _Function]) -> _Function:
    try:
        return functions[path.suffix.lower()]
    except KeyError:
        raise ManifestError(
            f"{path}: a manifest is one of {', '.join(functions)}, by its suffix; came {path.suffix or 'none'}"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
