"""The sides of a split, and what is on more than one of them although it is one thing."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from earwitness.doctor.settings import InspectSettings
from earwitness.errors import ManifestError
from earwitness.manifest import own_media

SPLIT_COLUMNS = ("split", "fold")
SOURCE_COLUMN = "source"


def split_column(table: pa.Table, settings: InspectSettings) -> str | None:
    """The column that says on which side of a split a clip is.

    Raises:
        ManifestError: the one that was asked for is not there.
    """
    if settings.split_column is not None:
        return _required(table, settings.split_column)
    return next((name for name in SPLIT_COLUMNS if name in table.column_names), None)


def source_column(table: pa.Table, settings: InspectSettings, split: str | None) -> str | None:
    """The column by which statistics are kept; None where that is the folder.

    Raises:
        ManifestError: the one that was asked for is not there.
    """
    if settings.source_column is not None:
        return _required(table, settings.source_column)
    return SOURCE_COLUMN if SOURCE_COLUMN in table.column_names else split


def texts(table: pa.Table, column: str) -> list[str | None]:
    """The cells of a column as text; empty ones are None."""
    return [None if cell is None or cell == "" else str(cell) for cell in table[column].to_pylist()]


def folders(table: pa.Table) -> list[str]:
    """The folder of each clip's media."""
    return [str(PurePosixPath(media).parent) for media in table["media"].to_pylist()]


def leaks_by_name(table: pa.Table, sides: Sequence[str | None]) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Rows whose group or medium is on several sides.

    Returns:
        By row: a sentence, and a row of each other side.
    """
    found: dict[int, tuple[str, tuple[int, ...]]] = {}
    names: list[tuple[str, list[str | None]]] = [("medium", own_media(table).to_pylist())]
    if "group" in table.column_names:
        names.insert(0, ("group", texts(table, "group")))
    for what, cells in names:
        first_rows: dict[str, dict[str, int]] = {}
        for row, (cell, side) in enumerate(zip(cells, sides, strict=True)):
            if cell is not None and side is not None:
                first_rows.setdefault(cell, {}).setdefault(side, row)
        for row, (cell, side) in enumerate(zip(cells, sides, strict=True)):
            if cell is None or side is None or row in found or len(first_rows[cell]) < 2:
                continue
            others = {other: first for other, first in first_rows[cell].items() if other != side}
            words = f"its {what} {cell!r} is on {side!r} here and on {', '.join(map(repr, sorted(others)))} elsewhere"
            found[row] = words, tuple(others.values())
    return found


def _required(table: pa.Table, name: str) -> str:
    if name not in table.column_names:
        raise ManifestError(f"there is no column {name!r}; the columns are {', '.join(table.column_names)}")
    return name
