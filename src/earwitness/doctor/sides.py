"""The sides of a split, and what is on more than one of them although it is one thing."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.doctor.settings import InspectSettings
from earwitness.errors import ManifestError
from earwitness.manifest import own_media
from earwitness.manifest_rows import PIECE_ROWS
from earwitness.text_hashes import text_hashes

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
    known: dict[str | None, str | None] = {}  # each text once in memory, however many clips have it
    cells = table[column]
    return [
        known.setdefault(text, text)
        for first in range(0, len(cells), PIECE_ROWS)
        for text in map(text_of, cells.slice(first, PIECE_ROWS).to_pylist())
    ]


def text_of(cell: object) -> str | None:
    """A cell as text; an empty one is None."""
    return None if cell is None or cell == "" else str(cell)


def media_folder(media: str) -> str:
    """The folder of a medium."""
    return str(PurePosixPath(media).parent)


def leaks_by_name(table: pa.Table, sides: Sequence[str | None]) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Rows whose group or medium is on several sides.

    Returns:
        By row: a sentence, and a row of each other side.
    """
    found: dict[int, tuple[str, tuple[int, ...]]] = {}
    names = [("medium", own_media(table))]
    if "group" in table.column_names:
        names.insert(0, ("group", table["group"]))
    for what, column in names:
        first_rows: dict[str, dict[str, int]] = {}
        places = []
        for row in _on_several_sides(column, sides):
            cell, side = text_of(column[row].as_py()), sides[row]
            if cell is not None and side is not None:
                first_rows.setdefault(cell, {}).setdefault(side, row)
                places.append((row, cell, side))
        for row, cell, side in places:
            if row in found or len(first_rows[cell]) < 2:
                continue
            others = {other: first for other, first in first_rows[cell].items() if other != side}
            words = f"its {what} {cell!r} is on {side!r} here and on {', '.join(map(repr, sorted(others)))} elsewhere"
            found[row] = words, tuple(others.values())
    return found


def _on_several_sides(column: pa.ChunkedArray, sides: Sequence[str | None]) -> list[int]:
    """Ascending rows whose cell stands on several sides; by hashes, since a corpus may have many million media."""
    number_of_side = {side: number for number, side in enumerate(dict.fromkeys(sides))}
    numbers = np.array([number_of_side[side] for side in sides], np.int64)
    if pa.types.is_nested(column.type):
        column = pa.chunked_array([[text_of(cell) for cell in column.to_pylist()]], pa.string())
    names = pc.fill_null(pc.cast(column, pa.string()), "")
    rows = np.flatnonzero((numbers != number_of_side.get(None, -1)) & pc.not_equal(names, "").to_numpy())
    hashes = text_hashes(names)[rows]
    order = np.argsort(hashes)
    is_same = hashes[order[1:]] == hashes[order[:-1]]
    is_other_side = numbers[rows[order[1:]]] != numbers[rows[order[:-1]]]
    several = hashes[order[1:]][is_same & is_other_side]
    found: list[int] = rows[np.isin(hashes, several)].tolist()
    return found


def _required(table: pa.Table, name: str) -> str:
    if name not in table.column_names:
        raise ManifestError(f"there is no column {name!r}; the columns are {', '.join(table.column_names)}")
    return name
