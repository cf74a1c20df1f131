"""A training's course: loss, 1-best accuracy and mAP against the step, from a run's `metrics.csv`.

Columns used: `step`, `seconds` (since the training began), `kind` (`train` or `validation`), `loss`,
`one_best_accuracy` and `mean_average_precision`. What was not measured is empty; other columns are ignored.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from earwitness.errors import RunError
from earwitness.report.figure import BLUE, GREEN, ORANGE, draw_light_grid, drawing, scale_losses
from earwitness.report.words import duration

_MEASURES = ("loss", "one_best_accuracy", "mean_average_precision")
_COLUMNS = ("step", "seconds", "kind", *_MEASURES)
_LEAST_FOR_MEAN = 20
"""Fewest training rows through which a running mean is drawn."""


@dataclass(frozen=True)
class _Course:
    """The rows of one kind, by rising step: float64 [rows] each, nan where not measured."""

    step: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    loss: npt.NDArray[np.float64]
    one_best_accuracy: npt.NDArray[np.float64]
    mean_average_precision: npt.NDArray[np.float64]


def plot_learning_curves(metrics_csv: str | Path, path: str | Path, *, is_dark: bool = False) -> None:
    """Draw the loss above the validation measures of a training.

    Args:
        metrics_csv: a run's `metrics.csv`.
        path: the picture to write; its suffix is the format (png, svg, pdf ...).
        is_dark: light on dark, for a dark page.

    Raises:
        RunError: the table cannot be read, lacks a column, or has no row yet.
        SettingsError: the suffix of `path` names no picture format, or it cannot be written.
    """
    courses = _read(Path(metrics_csv))
    train, validation = courses["train"], courses["validation"]
    with drawing(path, width_inches=7.0, height_inches=5.2, is_dark=is_dark) as figure:
        loss, measures = figure.subplots(2, 1, sharex=True)
        _draw(loss, train.step, train.loss, label="training", color=BLUE, marker="")
        if np.count_nonzero(~np.isnan(train.loss)) >= _LEAST_FOR_MEAN:
            loss.lines[-1].set(alpha=0.45, linewidth=0.8)
            width, steps, means = _running_mean(train.step, train.loss)
            _draw(loss, steps, means, label=f"training, running mean of {width}", color=BLUE, marker="")
        _draw(loss, validation.step, validation.loss, label="validation", color=ORANGE, marker="o")
        loss.set_ylabel("cross-entropy loss")
        scale_losses(loss)
        accuracy, precision = validation.one_best_accuracy, validation.mean_average_precision
        _draw(measures, validation.step, accuracy, label="1-best accuracy", color=GREEN, marker="o")
        _draw(measures, validation.step, precision, label="mAP", color=ORANGE, marker="s")
        measures.set_ylabel("on validation clips")
        measures.set_ylim(0, 1.02)
        seconds = max(c.seconds.max(initial=0.0) for c in courses.values())
        measures.set_xlabel(f"step (training time {duration(seconds)})")
        measures.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        measures.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        for axes in (loss, measures):
            draw_light_grid(axes)
            if axes.lines:
                axes.legend(loc="best")


def _draw(
    axes: Axes,
    step: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    *,
    label: str,
    color: str,
    marker: str,
) -> None:
    measured = ~np.isnan(values)
    if measured.any():
        axes.plot(
            step[measured],
            values[measured],
            label=label,
            color=color,
            marker=marker if measured.sum() > 1 else "o",
            markersize=3.5,
            linewidth=1.6,
        )


def _running_mean(
    step: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How many neighbours a mean is over (a tenth of all, odd), the steps in their middle, the means."""
    measured = ~np.isnan(values)
    step, values = step[measured], values[measured]
    width = len(values) // 10 | 1
    means = np.convolve(values, np.full(width, 1.0 / width), mode="valid")
    return width, step[width // 2 : width // 2 + len(means)], means


def _read(path: Path) -> dict[str, _Course]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise RunError(f"{path}: no column {', '.join(missing)}; a run's metrics.csv is needed")
            rows = list(reader)
    except OSError as error:
        raise RunError(f"{path}: the training's measures cannot be read ({error.strerror})") from error
    if not rows:
        raise RunError(f"{path}: no row yet; train for some steps first")
    try:
        return {kind: _course([row for row in rows if row["kind"] == kind]) for kind in ("train", "validation")}
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: holds a row that is no measurement ({error})") from error


def _course(rows: Sequence[dict[str, str]]) -> _Course:
    columns = {name: np.array([float(row[name]) for row in rows]) for name in ("step", "seconds")}
    for name in _MEASURES:
        columns[name] = np.array([float(row[name]) if row[name] else np.nan for row in rows])
    order = np.argsort(columns["step"], kind="stable")
    return _Course(**{name: values[order] for name, values in columns.items()})
