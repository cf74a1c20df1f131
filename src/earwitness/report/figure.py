"""The look that all pictures share, and how they are written to a file.

Colours are told apart with any colour vision (Okabe and Ito 2008 for lines; viridis and magma for amounts)
and in grey; a dark picture has lighter ones for the same things. Text is taken as it is: a `$` in a label's
name starts no formula. Nothing global is touched.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from earwitness.errors import SettingsError

# names of places in the colour cycle of the picture that is being drawn
BLUE, ORANGE, GREEN, GREY, INK, PALE = (f"C{place}" for place in range(6))

_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222", "#D9D9D9")
_DARK = ("#56B4E9", "#E69F00", "#2BC49A", "#8B949E", "#DDE2E8", "#3A424C")
_PAPER = {False: "#FFFFFF", True: "#1A1F25"}
"""By whether the picture is dark; the cards of a page have the same colours, so that no edge shows."""

_STYLE: Any = {
    "text.parse_math": False,
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 160,
    "svg.hashsalt": "earwitness",  # the same picture is the same file
    "pdf.fonttype": 42,  # outlines as they are: publishers refuse Type 3
}
_UNDATED: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Without the date, so that the same picture is the same file."""

PRINT_WIDTH_INCHES = 7.16
"""Of both columns of an IEEE page: no text of a picture this wide is smaller than 7 points there."""

_LEAST_FOR_LOG = 4.0
"""The highest loss by the lowest, from which a scale of logarithms is easier to read than a plain one."""
_MOST_FOR_TWO_AND_FIVE = 300.0
"""Likewise, up to which 2 and 5 stand between 1 and 10."""

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")


@contextmanager
def drawing(path: str | Path, *, width_inches: float, height_inches: float, is_dark: bool = False) -> Iterator[Figure]:
    """A new figure to draw into, saved to `path` at the end, unless an error comes first.

    Raises:
        SettingsError: the suffix names no picture format, or the file cannot be written.
    """
    path = Path(path)
    require_picture_path(path)
    with matplotlib.rc_context(_STYLE | _colours(is_dark)), warnings.catch_warnings():
        # names in scripts that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        try:
            figure.savefig(path, metadata=_UNDATED.get(path.suffix.lower()))
        except OSError as error:
            raise SettingsError(f"{path}: the picture cannot be written ({error.strerror})") from error


def _colours(is_dark: bool) -> dict[str, Any]:
    cycle, paper = _DARK if is_dark else _LIGHT, _PAPER[is_dark]
    ink = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")
    grounds = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    return {
        "axes.prop_cycle": cycler(color=cycle),
        **dict.fromkeys(ink, cycle[int(INK[1:])]),
        **dict.fromkeys(grounds, paper),
    }


def require_picture_path(path: str | Path) -> None:
    """Refuse a file name whose suffix is no picture format, before any work is done for it.

    Raises:
        SettingsError: the suffix is unknown.
    """
    if Path(path).suffix.lower() not in PICTURE_SUFFIXES:
        raise SettingsError(f"{path}: a picture's suffix must be one of {', '.join(PICTURE_SUFFIXES)}")


def draw_light_grid(axes: Axes, *, axis: Literal["both", "x", "y"] = "both") -> None:
    """Faint lines behind the data."""
    axes.grid(visible=True, axis=axis, color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def scale_losses(axes: Axes) -> None:
    """Logarithms where losses fall far, else a plain scale; round numbers beside it either way."""
    losses = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in axes.lines] or [np.empty(0)])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    if losses.size and losses.min() > 0 and losses.max() >= _LEAST_FOR_LOG * losses.min():
        axes.set_yscale("log")
        is_far = losses.max() > _MOST_FOR_TWO_AND_FIVE * losses.min()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if is_far else (1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
