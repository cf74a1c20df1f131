"""Pictures of an experiment: what its parts came to, and how they got there.

Courses are read from the `metrics.csv` of runs, as in `curves`.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from earwitness.errors import RunError
from earwitness.report.figure import BLUE, ORANGE, draw_light_grid, drawing
from earwitness.report.words import shorten

_LINES = ("-", "--", ":", "-.")
_LONGEST_LABEL = 48


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a table."""

    label: str
    value: float
    low: float | None
    """The ends of its interval; None where it has none."""
    high: float | None
    printed: float | None
    """The paper's; None where it has none."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What was measured along one training, by rising step: pairs of step or seconds, and value."""

    loss: Sequence[tuple[float, float]]
    """Of training, by step."""
    watched: Sequence[tuple[float, float]]
    """MAP of the clips watched, by step."""
    watched_by_seconds: Sequence[tuple[float, float]]
    """Likewise, by training time."""


def plot_bars(bars: Sequence[Bar], path: str | Path, *, title: str) -> None:
    """Draw mAP row by row, ours on the left with its interval, the paper's on the right: their scales differ.

    Raises:
        SettingsError: the picture cannot be written.
    """
    has_printed = any(bar.printed is not None for bar in bars)
    places = [-place for place in range(len(bars))]
    with drawing(path, width_inches=8.0, height_inches=1.1 + 0.28 * len(bars)) as figure:
        sides = figure.subplots(1, 2 if has_printed else 1, sharey=True, squeeze=False)[0]
        ours: Axes = sides[0]
        for place, bar in zip(places, bars, strict=True):
            if bar.low is not None and bar.high is not None:
                ours.plot([bar.low, bar.high], [place, place], color=BLUE, linewidth=1.6)
            ours.plot([bar.value], [place], marker="o", color=BLUE, markersize=5)
        ours.set_yticks(places, [shorten(bar.label, length=_LONGEST_LABEL) for bar in bars])
        ours.set_xlabel("mAP here, with 95 % intervals")
        if has_printed:
            paper: Axes = sides[1]
            pairs = [(place, bar.printed) for place, bar in zip(places, bars, strict=True) if bar.printed is not None]
            paper.plot([p for _, p in pairs], [place for place, _ in pairs], marker="s", linestyle="", color=ORANGE)
            paper.set_xlabel("mAP in the paper")
        ours.set_ylim(places[-1] - 0.6, 0.6)
        for axes in sides:
            draw_light_grid(axes)
            axes.set_xlim(0, 1.05 * max(axes.dataLim.x1, 0.01))  # so that nothing is cut at the right
        figure.suptitle(title, fontsize=10)


def plot_courses(courses: Mapping[str, Course], path: str | Path) -> None:
    """Draw training loss and, where clips were watched, their mAP by step and by time; a dot where mAP is highest.

    Raises:
        SettingsError: the picture cannot be written.
    """
    is_watched = any(course.watched for course in courses.values())
    with drawing(path, width_inches=7.0, height_inches=8.0 if is_watched else 3.2) as figure:
        panels = figure.subplots(3 if is_watched else 1, 1, squeeze=False)[:, 0]
        for number, (label, course) in enumerate(courses.items()):
            look = {"color": f"C{number % 3}", "linestyle": _LINES[number // 3 % len(_LINES)], "linewidth": 1.5}
            sides = (course.loss, course.watched, course.watched_by_seconds)
            for axes, pairs in zip(panels, sides, strict=False):
                if not pairs:
                    continue
                axes.plot(*zip(*pairs, strict=True), label=shorten(label, length=_LONGEST_LABEL), **look)
                if axes is not panels[0]:
                    best = max(pairs, key=lambda pair: pair[1])
                    axes.plot(*best, marker="o", markersize=4, color=look["color"])
        loss = panels[0]
        loss.set_ylabel("training loss")
        if all((line.get_ydata() > 0).all() for line in loss.lines):
            loss.set_yscale("log")
            loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)))
            loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            loss.yaxis.set_minor_locator(NullLocator())
        for axes, by in zip(panels, ("step", "step", "training time in seconds"), strict=False):
            axes.set_xlabel(by)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=by == "step"))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            draw_light_grid(axes)
            if axes is not loss:
                axes.set_ylabel("mAP of clips watched\n(dot: highest)")
        figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def read_course(metrics_csv: Path) -> Course | None:
    """The course of a run; None where it has none yet.

    Raises:
        RunError: the table cannot be read.
    """
    if not metrics_csv.exists():
        return None
    try:
        with metrics_csv.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        loss = [(float(row["step"]), float(row["loss"])) for row in rows if row["kind"] == "train" and row["loss"]]
        watched = [row for row in rows if row["kind"] == "validation" and row["mean_average_precision"]]
        pairs = [
            [(float(row[by]), float(row["mean_average_precision"])) for row in watched] for by in ("step", "seconds")
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{metrics_csv}: the training's measures cannot be read ({error})") from error
    course = Course(
        loss=[pair for pair in loss if math.isfinite(pair[1])], watched=pairs[0], watched_by_seconds=pairs[1]
    )
    return course if course.loss else None
