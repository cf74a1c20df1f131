"""Selecting rows of a table by an SQL condition over its columns, such as
`fold != 1 and list_contains(labels, 'dog')`.

The conditions are DuckDB's, with the outside world shut off: an expression can read the table it is given
and nothing else. Nor may it ask for chance or for the clock: training, resuming and evaluating must see the same
clips. To draw clips for good: `md5_number_lower(clip_id) % 10 < 6`.
"""

import json
import re
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
_CHANGING_FUNCTIONS = """
    select function_name from duckdb_functions()
    where stability <> 'CONSISTENT' or macro_definition like '%current_%'
"""


def select_rows(table: pa.Table, where: str | None, *, option: str = "--where") -> npt.NDArray[np.int64]:
    """Ascending row numbers (from 0) of the rows for which `where` is true; all rows where it is None.

    Raises:
        SelectionError: the condition cannot be read, names no column of the table, is no condition, may give
            other rows another time, or is true for no row.
    """
    if where is None:
        return np.arange(table.num_rows, dtype=np.int64)
    if not where.strip():
        raise SelectionError(f"{option} '': a condition is needed, such as: fold != 1")
    import duckdb  # takes 0.1 s, which `--help` need not pay

    row_column = "_row"
    while row_column in table.column_names:
        row_column += "_"
    numbered = table.append_column(row_column, pa.array(np.arange(table.num_rows, dtype=np.int64)))
    connection = duckdb.connect(config={"autoload_known_extensions": "false", "autoinstall_known_extensions": "false"})
    try:
        connection.register("clips", numbered)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        if changing := _what_changes(connection, where, table.column_names):
            raise SelectionError(
                f"{option} {where!r}: {changing} is another one each time, and a selection must give the same clips "
                "every time. To draw clips for good: md5_number_lower(clip_id) % 10 < 6"
            )
        # filter() takes one expression and no statement; the newline ends a comment in the condition
        selection = connection.table("clips").filter(f"({where}\n)").select(row_column)
        rows: dict[str, Any] = selection.fetchnumpy()
    except duckdb.Error as error:
        raise SelectionError(f"{option} {where!r}: {_reason(error, table.column_names)}") from error
    finally:
        connection.close()
    selected = np.sort(np.asarray(rows[row_column], dtype=np.int64))
    if not len(selected):
        raise SelectionError(f"{option} {where!r} is true for none of the {table.num_rows} clips")
    return selected


def _what_changes(connection: "DuckDBPyConnection", where: str, columns: list[str]) -> str | None:
    """A function, sample or clock that the condition asks for; None where it has none.

    Raises:
        duckdb.ParserException: it is not one expression.
    """
    import duckdb

    changing = {name for (name,) in connection.execute(_CHANGING_FUNCTIONS).fetchall()}
    clocks = _CLOCK_WORDS - {name.lower() for name in columns}
    found: list[str] = []

    def look(node: dict[str, Any]) -> dict[str, Any]:
        if (name := node.get("function_name")) in changing:
            found.append(f"{name}()")
        if node.get("sample"):
            found.append("a sample")
        found.extend(name for name in node.get("column_names", ()) if name.lower() in clocks)
        return node

    [[text]] = connection.execute("select json_serialize_sql(?::varchar)", [f"from clips where ({where}\n)"]).fetchall()
    tree = json.loads(text, object_hook=look)
    if tree["error"]:
        raise duckdb.ParserException(tree["error_message"])
    return found[0] if found else None


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
