"""Tables as files: CSV, TSV, JSON Lines and Parquet become Arrow tables, whatever their columns mean.

CSV keeps no types. Here every cell is text first, so that ids such as `007` or `-x` stay what they are; then
the columns in which every cell is a number, or empty, become numbers (null where empty), all but those that
the caller wants as text. JSON Lines and Parquet keep the types they were given.

Text is UTF-8, unless a byte order mark at its beginning says UTF-16 or UTF-32, or the caller names another encoding.
Nothing is guessed: a row that is not in that encoding is refused, with its number.

Row numbers in messages count data rows from 1; a header and blank lines are not counted.
"""

import codecs
import csv
import io
import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from earwitness.errors import ManifestError
from earwitness.places import Place, UrlPath, open_file

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")

_PARQUET_ROWS = 1 << 18
_JSON_ROWS = 1 << 14

_INTEGER = r"(0|-?[1-9][0-9]{0,17})"
_DECIMAL = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][-+][0-9]+)?"
"""Texts taken for numbers. `007` is none, nor are 19 digits or `12e5`: those are names of something."""


_MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks."""


_END = "end of the file"
"""Comes after the last line: whatever swallows it has no end."""


def read_table(path: Place, *, text_columns: Collection[str] = (), encoding: str | None = None) -> pa.Table:
    """Read a table, in the format that its suffix names; a CSV may be separated by `,` or `;`.

    Args:
        path: ends in one of `TABLE_SUFFIXES`.
        text_columns: columns of a CSV or TSV that stay text whatever they hold, such as ids and labels.
        encoding: of CSV, TSV and JSON Lines, such as `latin-1`; None: see above.

    Raises:
        ManifestError: the file is missing, a folder, of another kind, damaged, not in its encoding, names a column
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
            return _with_numbers(_read_text_columns(path, text_encoding(path, encoding)), but=text_columns)
        if suffix == ".jsonl":
            return _read_jsonl(path, text_encoding(path, encoding))
        if suffix == ".parquet" and encoding is not None:
            raise ManifestError(f"{path}: Parquet says itself how its text is encoded; leave --encoding away")
        if suffix == ".parquet":
            return pa.concat_tables(_read_parquet(path, text_columns, rows=_PARQUET_ROWS))
    except FileNotFoundError:
        raise ManifestError(f"{path}: there is no such file") from None
    except UnicodeError as error:
        raise ManifestError(f"{path}: not {(encoding or 'UTF-8').upper()} text ({first_line(error)})") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path}: not a readable table ({first_line(error)})") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from error
    raise ManifestError(
        f"{path}: a table ends in one of {', '.join(TABLE_SUFFIXES)}; came {path.suffix or 'no suffix'}"
    )


def read_pieces(path: Place, *, text_columns: Collection[str] = (), rows: int) -> Iterator[pa.Table]:
    """As `read_table`, some rows at a time; a Parquet file, which may be larger than memory, is read as it goes.

    Raises:
        ManifestError: as `read_table`, and midway where the file is damaged there.
    """
    if path.suffix.lower() == ".parquet" and (isinstance(path, UrlPath) or not path.is_dir()):
        try:
            yield from _read_parquet(path, text_columns, rows=rows)
        except FileNotFoundError:
            raise ManifestError(f"{path}: there is no such file") from None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise ManifestError(f"{path}: not a readable table ({first_line(error)})") from error
        return
    table = read_table(path, text_columns=text_columns)
    for first in range(0, max(1, table.num_rows), rows):
        yield table.slice(first, rows)


def _read_parquet(path: Place, text_columns: Collection[str], *, rows: int) -> Iterator[pa.Table]:
    """Pieces of a Parquet file, one at least; lists of text among `text_columns` come with a dictionary.

    Read piece by piece also where the whole is wanted: Arrow reads no more than 2 GiB of text in lists at once.
    """
    with _arrow_source(path) as source, pyarrow.parquet.ParquetFile(source) as file:
        columns = [file.schema.column(number) for number in range(len(file.schema))]
        lists = [
            column.path
            for column in columns
            if column.path.partition(".")[0] in text_columns
            and (column.max_repetition_level, column.physical_type) == (1, "BYTE_ARRAY")
        ]
    with _arrow_source(path) as source, pyarrow.parquet.ParquetFile(source, read_dictionary=lists) as file:
        batches: list[pa.RecordBatch] = []
        for group in range(file.num_row_groups):  # a batch across two would have lists with two dictionaries
            for batch in file.iter_batches(rows, row_groups=[group]):
                batches.append(batch)
                if sum(len(batch) for batch in batches) >= rows:
                    yield pa.Table.from_batches(batches, file.schema_arrow)
                    batches = []
        if batches or not file.metadata.num_rows:
            yield pa.Table.from_batches(batches, file.schema_arrow)


def empty_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with every empty cell turned into null."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def text_encoding(path: Place, encoding: str | None = None) -> str:
    """Python's name of the encoding to read a text file in: the one given, else what its byte order mark says.

    Raises:
        ManifestError: there is no such encoding.
        OSError: the file cannot be read.
    """
    if encoding is not None:
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        except LookupError as error:
            raise ManifestError(
                f"--encoding {encoding}: there is no such encoding; known are utf-8, utf-16, latin-1, cp1252, "
                "shift_jis, gb18030 and Python's others"
            ) from error
    with open_file(path) as file:
        head = file.read(4)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    return marked if marked is not None and encoding in (None, "utf-8") else encoding or "utf-8"


def arrow_encoding(encoding: str) -> str:
    """Arrow's name of an encoding: it reads UTF-8 itself, with or without a mark, and leaves others to Python."""
    return "utf8" if encoding.lower() in ("utf-8", "utf-8-sig") else encoding


def _read_text_columns(path: Place, encoding: str) -> pa.Table:
    with _open_text(path, encoding, newline="") as file:
        try:
            delimiter = _delimiter(path, file.readline())
            file.seek(0)
            header = next(csv.reader(file, delimiter=delimiter), [])
        except csv.Error as error:
            raise ManifestError(f"{path}: its first line is no header ({error})") from error
        except UnicodeError as error:
            raise ManifestError(f"{path}: it is not {encoding} text ({first_line(error)})") from error
    if fault := _not_in(encoding, header):
        raise ManifestError(f"{path}: the header {fault}")
    for name in header:
        if header.count(name) > 1:
            raise ManifestError(f"{path}: column {name!r} stands there twice; rename one of them")
    try:
        with _arrow_source(path) as source:
            table = pyarrow.csv.read_csv(
                source,
                read_options=pyarrow.csv.ReadOptions(encoding=arrow_encoding(encoding)),
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    strings_can_be_null=False, column_types=dict.fromkeys(header, pa.string())
                ),
            )
    except (pa.ArrowInvalid, UnicodeError) as error:
        fault = _csv_fault(path, delimiter, encoding)
        raise ManifestError(f"{path}: {fault or first_line(error)}") from error
    # a quote that is never closed swallows the rest of the file without a word of Arrow's
    if table.num_rows and "\n" in table[header[-1]][-1].as_py() and (fault := _csv_fault(path, delimiter, encoding)):
        raise ManifestError(f"{path}: {fault}")
    return table


def _delimiter(path: Place, first_line_of_file: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return ";" if first_line_of_file.count(";") > first_line_of_file.count(",") else ","


def _csv_fault(path: Place, delimiter: str, encoding: str) -> str | None:
    """What is wrong with a CSV, with the row; None where it is neither its quotes, its columns nor its encoding."""
    number = -1  # the header is row 0
    width = 0
    with _open_text(path, encoding, newline="") as file:
        try:
            for row in csv.reader(chain(file, [_END]), delimiter=delimiter):
                if not row:
                    continue
                number += 1
                name = f"row {number}" if number else "the header"
                if row == [_END]:
                    break
                if fault := _not_in(encoding, row):
                    return f"{name} {fault}"
                if row[-1].endswith(_END):
                    return f'{name}: a quote (") opens a cell that is never closed'
                width = width or len(row)
                if len(row) != width:
                    return f"{name} has {len(row)} columns, the header has {width}"
        except UnicodeError as error:
            return f"near row {number + 1} it is not {encoding} text ({first_line(error)})"
        except csv.Error:  # cells of more than 131,072 signs
            return f'row {number + 1}: a quote (") opens a cell that does not seem to be closed'
    return None if width else "it is empty; a header and at least one row are needed"


def _not_in(encoding: str, cells: Collection[str]) -> str | None:
    """What to say of cells with bytes that the encoding does not have; None where there are none."""
    text = " ".join(cells)
    if text.isascii():
        if "\0" in text:
            return "holds zero bytes; if this is UTF-16 without its mark, say --encoding utf-16-le"
        return None
    if any("\udc80" <= sign <= "\udcff" for sign in text):
        cell = next(cell for cell in cells if any("\udc80" <= sign <= "\udcff" for sign in cell))
        shown = cell.encode(errors="surrogateescape")[:40].decode("ascii", "backslashreplace")
        return (
            f"is not {encoding.removesuffix('-sig').upper()} text (in '{shown}'); save the whole table in one "
            "encoding, or let `earwitness manifest table` read it, with --encoding latin-1, for example"
        )
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


@contextmanager
def _arrow_source(path: Place) -> Iterator[str | BinaryIO]:
    """What Arrow reads from: a path, which it opens itself, or what is behind a URL."""
    if isinstance(path, UrlPath):
        with open_file(path) as file:
            yield file
    else:
        yield str(path)


def _open_text(path: Place, encoding: str, *, newline: str | None = None) -> io.TextIOWrapper:
    """Text whose bytes that are not in the encoding come as surrogates, to be told by `_not_in`."""
    return io.TextIOWrapper(open_file(path), encoding=encoding, errors="surrogateescape", newline=newline)


def _read_jsonl(path: Place, encoding: str) -> pa.Table:
    """Rows become columns some thousand at a time: as Python's objects they take ten times the memory."""
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}  # in the order in which they come
    pieces: list[pa.Table] = []
    with _open_text(path, encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if fault := _not_in(encoding, (line,)):
                raise ManifestError(f"{path}: line {number} {fault}")
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ManifestError(
                    f"{path}: line {number} is not JSON ({error.msg} at column {error.colno})"
                ) from error
            except (ValueError, RecursionError) as error:  # a number of 4,301 digits; a thousand brackets
                raise ManifestError(f"{path}: line {number} cannot be read ({first_line(error)})") from error
            if not isinstance(row, dict):
                raise ManifestError(f"{path}: line {number} is not a JSON object of columns")
            rows.append(row)
            names |= dict.fromkeys(row)
            if len(rows) >= _JSON_ROWS and names:
                pieces.append(_columns_of(rows, names, path, first_row=_JSON_ROWS * len(pieces)))
                rows = []
    if not rows and not pieces:
        raise ManifestError(f"{path}: it is empty; a line for each row is needed")
    pieces.append(_columns_of(rows, names, path, first_row=_JSON_ROWS * len(pieces)))
    try:
        return pa.concat_tables(pieces, promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise ManifestError(f"{path}: a column mixes kinds of values ({first_line(error)})") from error


def _first_line_not_like_others(values: list[Any]) -> int:
    """Position of the first value with which Arrow makes no column of those before it."""

    def is_too_far(stop: int) -> bool:
        try:
            pa.array(values[: stop + 1])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return True
        return False

    return bisect_left(range(len(values)), True, key=is_too_far)


def _columns_of(rows: list[dict[str, Any]], names: Iterable[str], path: Place, *, first_row: int) -> pa.Table:
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            line = _first_line_not_like_others([row.get(name) for row in rows])
            raise ManifestError(
                f"{path}: column {name!r} mixes kinds of values or holds a number that is too large: the first of "
                f"another kind is in row {first_row + line + 1} ({first_line(error)})"
            ) from error
    return pa.table(columns)
