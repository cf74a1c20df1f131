"""Selecting rows of a table by an SQL condition over its columns, such as
`fold != 1 and list_contains(labels, 'dog')`.

The conditions are DuckDB's, with the outside world shut off: an expression can read the table it is given
and nothing else. Nor may it ask for chance or for the clock: training, resuming and evaluating must see the same
clips. To draw clips for good: `md5_number_lower(clip_id) % 10 < 6`.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import SelectionError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Keywords that are read like columns.
_CLOCK_WORDS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_READING_MORE = frozenset({"STAR", "POSITIONAL_REFERENCE", "SUBQUERY"})
_CHANGING_FUNCTIONS = """
    select function_name from duckdb_functions()
    where stability <> 'CONSISTENT' or macro_definition like '%current_%'
"""


def select_rows(table: pa.Table, where: str | None, *, option: str = "--where") -> npt.NDArray[np.int64]:
    """Ascending row numbers (from 0) of the rows for which `where` is true; all rows where it is None.

    An error names the condition by the `option` that it was given by.

    Raises:
        SelectionError: the condition cannot be read, names no column of the table, is no condition, may give
            other rows another time, or is true for no row.
    """
    if where is None:
        return np.arange(table.num_rows, dtype=np.int64)
    condition = _parsed(where, table.column_names, option)
    rows = _rows_where(table, condition)
    if not len(rows):
        raise SelectionError(f"{condition.said} is true for none of the {table.num_rows} clips")
    return rows


def columns_read(schema: pa.Schema, where: str, *, option: str = "--where") -> list[str]:
    """The columns of a table that a condition may read, one at least, in the table's order: so that a large table need
    not be read whole. All of them where that cannot be told, as with a query within.

    Raises:
        SelectionError: the condition would be refused for any table of this schema.
    """
    condition = _parsed(where, schema.names, option)
    _rows_where(schema.empty_table(), condition)
    by_lower_case = {name.lower(): name for name in schema.names}
    used = set()
    for names in condition.column_names:
        found = {by_lower_case[name.lower()] for name in names if name.lower() in by_lower_case}
        if not found:  # what a function calls an element of a list, or the row as a whole
            return list(schema.names)
        used |= found
    if condition.reads_more:
        return list(schema.names)
    return [name for name in schema.names if name in used] or schema.names[:1]


@dataclass(frozen=True)
class _Condition:
    """What a condition is made of."""

    sql: str
    said: str
    """The condition as messages name it, behind the option that it was given by."""
    changing: str | None
    """A function, sample or clock that gives another value each time."""
    column_names: tuple[tuple[str, ...], ...]
    """What is read like columns, part by part: `clips.fold` has two."""
    reads_more: bool
    """Whether there are stars, places of columns or queries in it, which may read any column."""


@contextlib.contextmanager
def _connected(said: str, columns: list[str]) -> Iterator["DuckDBPyConnection"]:
    """DuckDB with the outside world shut off; its errors become ours."""
    import duckdb  # takes 0.1 s, which `--help` need not pay

    connection = duckdb.connect(config={"autoload_known_extensions": "false", "autoinstall_known_extensions": "false"})
    try:
        connection.execute("SET enable_external_access = false")
        yield connection
    except duckdb.Error as error:
        raise SelectionError(f"{said}: {_reason(error, columns)}") from error
    finally:
        connection.close()


def _rows_where(table: pa.Table, condition: _Condition) -> npt.NDArray[np.int64]:
    """Ascending row numbers of the rows for which a condition is true."""
    if condition.changing:
        raise SelectionError(
            f"{condition.said}: {condition.changing} is another one each time, and a selection must give the same "
            "clips every time. To draw clips for good: md5_number_lower(clip_id) % 10 < 6"
        )
    row_column = "_row"
    while row_column in table.column_names:
        row_column += "_"
    numbered = table.append_column(row_column, pa.array(np.arange(table.num_rows, dtype=np.int64)))
    with _connected(condition.said, table.column_names) as connection:
        connection.register("clips", numbered)
        connection.execute("SET lock_configuration = true")
        # filter() takes one expression and no statement; the newline ends a comment in the condition
        selection = connection.table("clips").filter(f"({condition.sql}\n)").select(row_column)
        rows: dict[str, Any] = selection.fetchnumpy()
    return np.sort(np.asarray(rows[row_column], dtype=np.int64))


def _parsed(where: str, columns: list[str], option: str) -> _Condition:
    """Take a condition apart.

    Raises:
        SelectionError: it is not one expression.
    """
    if not where.strip():
        raise SelectionError(f"{option} '': a condition is needed, such as: fold != 1")
    import duckdb

    said = f"{option} {where!r}"
    with _connected(said, columns) as connection:
        unsteady = {name for (name,) in connection.execute(_CHANGING_FUNCTIONS).fetchall()}
        query = f"from clips where ({where}\n)"
        [[text]] = connection.execute("select json_serialize_sql(?::varchar)", [query]).fetchall()
        tree = json.loads(text)
        if tree["error"]:
            raise duckdb.ParserException(tree["error_message"])
    clocks = _CLOCK_WORDS - {name.lower() for name in columns}
    changing: list[str] = []
    for node in _nodes(tree):
        if (function := node.get("function_name")) in unsteady:
            changing.append(f"{function}()")
        if node.get("sample"):
            changing.append("a sample")
        changing.extend(name for name in node.get("column_names", ()) if name.lower() in clocks)
    query_node = tree["statements"][0]["node"]
    # the condition alone: the query around it has a star of its own
    nodes = list(_nodes(query_node.get("where_clause", query_node)))
    return _Condition(
        sql=where,
        said=said,
        changing=changing[0] if changing else None,
        column_names=tuple(tuple(node["column_names"]) for node in nodes if node.get("class") == "COLUMN_REF"),
        reads_more=any(node.get("class") in _READING_MORE for node in nodes),
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value."""
    if isinstance(tree, dict):
        yield tree
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _nodes(value)


def _reason(error: Exception, columns: list[str]) -> str:
    """DuckDB's first line, without its class of error and the query that we wrapped around, and what may help."""
    line = str(error).splitlines()[0].split(": ", 1)[-1].split("Candidate bindings")[0].strip(" .!")
    if missing := re.match(r'Referenced column "(.*?)"', line):
        near = get_close_matches(missing[1], columns, n=1)
        hint = f"did you mean {near[0]!r}? " if near else "text stands in single quotes: category = 'dog'. "
        return f"there is no column {missing[1]!r}; {hint}Columns: {', '.join(columns)}"
    if "VARCHAR[]" in line:
        return f"{line}. A column of lists, such as labels, is asked so: list_contains(labels, 'dog')"
    return f"{line}. Columns: {', '.join(columns)}. Text stands in single quotes: category = 'dog'"
