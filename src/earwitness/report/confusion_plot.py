"""A confusion matrix for a page: geometry in units of a view box; `templates/evaluation_pieces.html` draws it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.report.words import shorten

MOST_LABELS = 60
"""Of which a confusion matrix can still be read."""
_CELL = 22
_LETTER = 5.6
"""Width of a letter of a name."""
_NAME_LETTERS = 22
_LEAST_SCALE = 0.93
"""Pixels of a unit, below which names are too small to be read."""
_PHONE_WIDTH = 294
"""Pixels that a card on a screen of 360 has for it."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell with clips in it."""

    x: float
    y: float
    opacity: float
    """Of the colour of the label's row; the square root of the share, which shows a single stray clip."""
    amount: str
    is_right: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class ConfusionPlot:
    """The matrix, ready to be drawn: rows are true labels, columns are answered ones."""

    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    cell: int
    left: float
    top: float
    width: float
    height: float

    @property
    def side(self) -> float:
        """Of the whole matrix."""
        return len(self.names) * self.cell

    @property
    def least_width(self) -> int:
        """Pixels that it needs to be read."""
        return round(_LEAST_SCALE * self.width)

    @property
    def is_wide(self) -> bool:
        """Whether it does not fit on a phone, and slides there."""
        return self.least_width > _PHONE_WIDTH


def confusion_plot(counts: npt.NDArray[np.float64], names: Sequence[str]) -> ConfusionPlot:
    """A matrix [true labels, answered labels] of clips as shaded cells."""
    short = tuple(shorten(name, length=_NAME_LETTERS) for name in names)
    margin = 12 + _LETTER * max(map(len, short), default=0)
    totals = counts.sum(axis=1)
    cells = [
        Cell(
            x=margin + column * _CELL,
            y=margin + row * _CELL,
            opacity=round(0.08 + 0.92 * float(np.sqrt(counts[row, column] / totals[row])), 2),
            amount=f"{counts[row, column]:.3g}",
            is_right=bool(row == column),
            words=f"{names[row]}: {counts[row, column]:.3g} of {totals[row]:.0f} answered {names[column]}",
        )
        for row, column in np.argwhere(counts > 0).tolist()
    ]
    extent = margin + len(names) * _CELL + 2
    return ConfusionPlot(
        names=short, cells=tuple(cells), cell=_CELL, left=margin, top=margin, width=extent, height=extent
    )
