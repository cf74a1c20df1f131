"""Tables as files: CSV, TSV, JSON Lines and Parquet become Arrow tables, whatever their columns mean.

CSV keeps no types. Here every cell is text first, so that ids such as `007` or `-x` stay what they are; then
the columns in which every cell is a number, or empty, become numbers (null where empty), all but those that
the caller wants as text. JSON Lines and Parquet keep the types they were given.

Row numbers in messages count data rows from 1; a header and blank lines are not counted.
"""

import csv
import io
import json
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from earwitness.errors import ManifestError
from earwitness.places import Place, UrlPath, open_file

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")

_INTEGER = r"(0|-?[1-9][0-9]{0,17})"
_DECIMAL = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][-+][0-9]+)?"
"""Texts taken for numbers. `007` is none, nor are 19 digits or `12e5`: those are names of something."""


def read_table(path: Place, *, text_columns: Collection[str] = ()) -> pa.Table:
    """Read a table, in the format that its suffix names; a CSV may be separated by `,` or `;`.

    Args:
        path: ends in one of `TABLE_SUFFIXES`.
        text_columns: columns of a CSV or TSV that stay text whatever they hold, such as ids and labels.

    Raises:
        ManifestError: the file is missing, a folder, of another kind, damaged, not UTF-8, names a column
            twice, or a row has another number of columns than the header (the row is named).
    """
    suffix = path.suffix.lower()
    try:
        if not isinstance(path, UrlPath) and path.is_dir():
            raise ManifestError(
                f"{path}: this is a folder, a table is needed (`earwitness manifest folder` makes one of a "
                "folder per label)"
            )
        if suffix in (".csv", ".tsv"):
            return _with_numbers(_read_text_columns(path), but=text_columns)
        if suffix == ".jsonl":
            return _read_jsonl(path)
        if suffix == ".parquet":
            with open_file(path) as file:
                return pyarrow.parquet.ParquetFile(file).read()  # read_table adds columns that folder names spell
    except FileNotFoundError:
        raise ManifestError(f"{path}: there is no such file") from None
    except UnicodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text") from error
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: not a readable table ({first_line(error)})") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error
    raise ManifestError(
        f"{path}: a table ends in one of {', '.join(TABLE_SUFFIXES)}; came {path.suffix or 'no suffix'}"
    )


def empty_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with every empty cell turned into null."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_text_columns(path: Place) -> pa.Table:
    with _open_text(path) as file:
        delimiter = _delimiter(path, file.readline())
        file.seek(0)
        header = next(csv.reader(file, delimiter=delimiter), [])
    for name in header:
        if header.count(name) > 1:
            raise ManifestError(f"{path}: column {name!r} stands there twice; rename one of them")
    try:
        with open_file(path) as table:
            return pyarrow.csv.read_csv(
                table,
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    strings_can_be_null=False, column_types=dict.fromkeys(header, pa.string())
                ),
            )
    except pa.ArrowInvalid as error:
        fault = _csv_fault(path, delimiter)
        raise ManifestError(f"{path}: {fault or first_line(error)}") from error


def _delimiter(path: Place, first_line_of_file: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return ";" if first_line_of_file.count(";") > first_line_of_file.count(",") else ","


def _csv_fault(path: Place, delimiter: str) -> str | None:
    """Why Arrow refused a CSV, with the row; None where nothing is wrong with the number of columns."""
    with _open_text(path) as file:
        rows = (row for row in csv.reader(file, delimiter=delimiter) if row)
        width = len(next(rows, []))
        if not width:
            return "it is empty; a header and at least one row are needed"
        for number, row in enumerate(rows, start=1):
            if len(row) != width:
                return f"row {number} has {len(row)} columns, the header has {width}"
    return None


def _with_numbers(table: pa.Table, *, but: Collection[str]) -> pa.Table:
    for position, name in enumerate(table.column_names):
        if name in but:
            continue
        cells = empty_to_null(table[name])
        for pattern, kind in ((f"^{_INTEGER}$", pa.int64()), (f"^({_INTEGER}|{_DECIMAL})$", pa.float64())):
            if pc.all(pc.match_substring_regex(cells, pattern), min_count=1).as_py():
                table = table.set_column(position, name, pc.cast(cells, kind))
                break
    return table


def _open_text(path: Place) -> io.TextIOWrapper:
    return io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="")


def _read_jsonl(path: Place) -> pa.Table:
    rows = []
    with _open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ManifestError(
                    f"{path}: line {number} is not JSON ({error.msg} at column {error.colno})"
                ) from error
            if not isinstance(row, dict):
                raise ManifestError(f"{path}: line {number} is not a JSON object of columns")
            rows.append(row)
    columns = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise ManifestError(
                f"{path}: column {name!r} mixes kinds of values or holds a number that is too large "
                f"({first_line(error)})"
            ) from error
    return pa.table(columns)
