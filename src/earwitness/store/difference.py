"""How two manifests differ, row by row, in words."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_ROWS_AT_ONCE = 65_536


def manifest_difference(there: pa.Table, asked: pa.Table) -> str:
    """What was added, removed and changed from the rows of a store to those asked for; empty where the rows are the
    same, whatever their order. Rows are the same clip where their `clip_id` is.
    """
    found = []
    if new := [name for name in asked.column_names if name not in there.column_names]:
        found.append(f"column {new[0]!r} is new")
    if gone := [name for name in there.column_names if name not in asked.column_names]:
        found.append(f"column {gone[0]!r} is gone")
    for rows, verb in ((absent_rows(asked, there), "added"), (absent_rows(there, asked), "removed")):
        if rows.num_rows:
            found.append(f"{_rows(rows.num_rows)} {verb} (the first: {rows['clip_id'][0].as_py()!r})")
    num_changed, first = 0, ""
    for before, after in common_rows(there, asked):
        if name := changed_column(before, after):
            num_changed += 1
            first = first or f"{before['clip_id']!r}, {name}: {before[name]!r} / {after[name]!r}"
    if num_changed:
        found.append(f"{_rows(num_changed)} changed (the first: {first})")
    return "; ".join(found)


def absent_rows(table: pa.Table, other: pa.Table) -> pa.Table:
    """The rows whose clip is not in the other table."""
    return table.filter(pc.invert(pc.is_in(_ids(table), value_set=_ids(other))))


def common_rows(there: pa.Table, asked: pa.Table) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Both rows of every clip that is in both tables, with the columns that are in both."""
    columns = [name for name in asked.column_names if name in there.column_names]
    there, asked = there.select(columns), asked.select(columns)
    places = pc.index_in(_ids(asked), value_set=_ids(there))
    asked, places = asked.filter(pc.is_valid(places)), pc.drop_null(places)
    for first in range(0, len(places), _ROWS_AT_ONCE):
        before = there.take(places[first : first + _ROWS_AT_ONCE])
        yield from zip(before.to_pylist(), asked.slice(first, _ROWS_AT_ONCE).to_pylist(), strict=True)


def changed_column(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """The first column in which two rows of a clip differ; None where there is none. Nothing but nan equals nan."""
    for name, value in before.items():
        if value != after[name] and not (value != value and after[name] != after[name]):
            return name
    return None


def _ids(table: pa.Table) -> pa.Array:
    return pc.cast(table["clip_id"], pa.large_string()).combine_chunks()


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"
