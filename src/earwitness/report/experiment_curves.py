"""How the trainings of an experiment went: the loss, and where clips were watched, their mAP by step and by time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from earwitness.report.figure import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PRINT_WIDTH_INCHES,
    draw_light_grid,
    drawing,
    scale_losses,
)
from earwitness.report.words import shorten

_COLOURS = (BLUE, ORANGE, GREEN, GREY, INK)
_DASHES = ("-", "--", ":", "-.")
_LONGEST_LABEL = 60

Pairs = Sequence[tuple[float, float]]
"""Of step or seconds, and value, by rising step."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What was measured along one training."""

    label: str
    hue: int
    """Courses of one have one colour."""
    dash: int
    """Courses of one have one kind of line."""
    loss: Pairs
    """Of training, by step."""
    watched: Pairs
    """MAP of the clips watched, by step."""
    watched_by_seconds: Pairs
    """Likewise, by the time of the training without its looks at the clips watched."""


def plot_courses(
    by_step: Sequence[Course], path: str | Path, *, by_time: Sequence[Course] = (), loss: str = "training loss"
) -> None:
    """Draw training loss and, where clips were watched, their mAP by step and by time; a dot where mAP is highest.

    Args:
        by_step: those of the loss and of the mAP by step.
        path: the picture to write.
        by_time: those of the mAP by time; none: no such panel.
        loss: what the loss is.

    Raises:
        SettingsError: the picture cannot be written.
    """
    kinds = [
        ("step", loss, [(course, course.loss) for course in by_step]),
        ("step", "mAP of clips watched", [(course, course.watched) for course in by_step]),
        (
            "training time in seconds, without looks at the clips watched",
            "mAP of clips watched",
            [(course, course.watched_by_seconds) for course in by_time],
        ),
    ]
    panels = [(x, y, drawn) for x, y, some in kinds if (drawn := [(course, pairs) for course, pairs in some if pairs])]
    courses = {course.label: course for _, _, drawn in panels for course, _ in drawn}
    last_step = max(step for x, _, drawn in panels if x == "step" for _, pairs in drawn for step, _ in pairs)
    has_watched = any(y != loss for _, y, _ in panels)
    keys = [Line2D([], [], label=shorten(label, length=_LONGEST_LABEL), **_look(courses[label])) for label in courses]
    if has_watched:
        keys.append(Line2D([], [], color=INK, marker="o", markersize=4, linestyle="", label="highest of its course"))
    height = 0.3 + 2.4 * len(panels) + 0.17 * ((len(keys) + 1) // 2)
    with drawing(path, width_inches=PRINT_WIDTH_INCHES, height_inches=height) as figure:
        for axes, (x, y, drawn) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
            for course, pairs in drawn:
                _draw(axes, course, pairs, has_best=y != loss)
            if y == loss:
                scale_losses(axes)
            axes.set_xlabel(x)
            axes.set_ylabel(y)
            axes.set_xlim(0, 1.02 * last_step if x == "step" else None)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=x == "step"))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            draw_light_grid(axes)
        figure.legend(handles=keys, loc="outside lower center", ncols=2)


def _draw(axes: Axes, course: Course, pairs: Pairs, *, has_best: bool) -> None:
    marker = "." if len(pairs) == 1 else ""  # a line of one point cannot be seen
    axes.plot(*zip(*pairs, strict=True), marker=marker, **_look(course))
    if has_best:
        best = max(pairs, key=lambda pair: pair[1])
        axes.plot(*best, marker="o", markersize=4, color=_look(course)["color"])


def _look(course: Course) -> dict[str, Any]:
    rounds, place = divmod(course.hue, len(_COLOURS))
    return {"color": _COLOURS[place], "linestyle": _DASHES[(course.dash + rounds) % len(_DASHES)], "linewidth": 1.5}
