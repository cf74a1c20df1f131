"""The figures of an experiment row by row, ours and the paper's; where sounds have times, also those in time.

Chance is no row: it is a line through all of them.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from earwitness.report.figure import BLUE, GREY, ORANGE, PRINT_WIDTH_INCHES, draw_light_grid, drawing
from earwitness.report.words import shorten

_LINE_LENGTH, _LONGEST_LABEL = 28, 120
_LINE_INCHES, _GAP_INCHES, _AXIS_INCHES = 0.14, 0.14, 0.55
"""Of a line of a label, between two labels, and of what stands below a panel."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a table."""

    label: str
    value: float | None
    """MAP; None where the row has none."""
    low: float | None
    """The ends of its interval; None where it has none."""
    high: float | None
    printed: float | None
    """The paper's; None where it has none."""
    in_time: Mapping[str, float] = field(default_factory=dict)
    """Figures in time, by their titles; none where there are none."""
    is_chance: bool = False
    """Scores that have not listened."""


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """Figures of one kind."""

    title: str
    values: Sequence[float | None]
    """By row."""
    ends: Sequence[tuple[float, float] | None] = ()
    """Of intervals, by row; none named: there are none."""
    chance: float | None = None
    color: str = BLUE
    marker: str = "o"


def plot_bars(bars: Sequence[Bar], path: str | Path, *, title: str) -> None:
    """Draw mAP row by row, ours on the left with its interval, the paper's on the right: their scales differ.

    Rows that have figures in time stand once more below, with these.

    Raises:
        SettingsError: the picture cannot be written.
    """
    chance = next((bar for bar in bars if bar.is_chance), None)
    rows = [bar for bar in bars if not bar.is_chance]
    of_clips, in_time = [bar for bar in rows if bar.value is not None], [bar for bar in rows if bar.in_time]
    floors = [(of_clips, _panels_of_clips(of_clips, chance)), (in_time, _panels_in_time(in_time, chance))]
    filled = [(some, panels) for some, panels in floors if some]
    heights = [_AXIS_INCHES + len(some) * _row_inches(some) for some, _ in filled]
    with drawing(path, width_inches=PRINT_WIDTH_INCHES, height_inches=0.7 + sum(heights)) as figure:
        figure.suptitle(title, fontsize=10)
        for part, (some, panels) in zip(
            figure.subfigures(len(filled), 1, height_ratios=heights, squeeze=False)[:, 0], filled, strict=True
        ):
            sides = part.subplots(1, len(panels), sharey=True, squeeze=False)[0]
            for axes, panel in zip(sides, panels, strict=True):
                _draw(axes, panel)
            sides[0].set_yticks([-place for place in range(len(some))], [_lines(bar.label) for bar in some])
            sides[0].set_ylim(-len(some) + 0.4, 0.6)
        figure.legend(handles=_keys(rows, chance), loc="outside lower center", ncols=3)


def _panels_of_clips(rows: Sequence[Bar], chance: Bar | None) -> list[_Panel]:
    panels = [
        _Panel(
            title="mAP here",
            values=[bar.value for bar in rows],
            ends=[(bar.low, bar.high) if bar.low is not None and bar.high is not None else None for bar in rows],
            chance=chance.value if chance is not None else None,
        )
    ]
    if any(bar.printed is not None for bar in rows):
        printed = [bar.printed for bar in rows]
        panels.append(_Panel(title="mAP in the paper", values=printed, color=ORANGE, marker="s"))
    return panels


def _panels_in_time(rows: Sequence[Bar], chance: Bar | None) -> list[_Panel]:
    titles = list(dict.fromkeys(title for bar in rows for title in bar.in_time))
    return [
        _Panel(
            title=title,
            values=[bar.in_time.get(title) for bar in rows],
            chance=chance.in_time.get(title) if chance is not None else None,
        )
        for title in titles
    ]


def _draw(axes: Axes, panel: _Panel) -> None:
    draw_light_grid(axes)
    if panel.chance is not None:
        axes.axvline(panel.chance, color=GREY, linestyle="--", linewidth=1.2)
    for place, ends in enumerate(panel.ends):
        if ends is not None:
            axes.plot(ends, [-place, -place], color=panel.color, linewidth=1.6)
    drawn = [(value, -place) for place, value in enumerate(panel.values) if value is not None]
    axes.plot(
        *zip(*drawn, strict=True),
        marker=panel.marker,
        markersize=5,
        linestyle="",
        color=panel.color,
        clip_on=False,
        zorder=3,
    )
    highest = max([value for value, _ in drawn] + [ends[1] for ends in panel.ends if ends] + [panel.chance or 0.01])
    axes.set_xlim(0, 1.08 * highest)  # so that none is cut at the right; marks at 0 stand over the axis
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.set_xlabel(panel.title)


def _keys(rows: Sequence[Bar], chance: Bar | None) -> list[Line2D]:
    look: dict[str, Any] = {"markersize": 5, "linewidth": 1.6}
    keys = [Line2D([], [], color=BLUE, marker="o", label="here, mAP with its 95 % interval", **look)]
    if any(bar.printed is not None for bar in rows):
        keys.append(Line2D([], [], color=ORANGE, marker="s", linestyle="", label="in the paper", **look))
    if chance is not None:
        keys.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1.2, label="chance, without listening"))
    return keys


def _lines(label: str) -> str:
    return textwrap.fill(shorten(label, length=_LONGEST_LABEL), _LINE_LENGTH)


def _row_inches(rows: Sequence[Bar]) -> float:
    return _GAP_INCHES + _LINE_INCHES * max(_lines(bar.label).count("\n") + 1 for bar in rows)
