"""The pictures of an experiment, as SVG for screens and PDF for print, from its table and its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earwitness.paper import architectures, event_detection, label_set_size, training_set_size
from earwitness.paper.courses import read_measured
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.study import Result, Study
from earwitness.paper.table import Table
from earwitness.report.experiment_curves import Course, plot_courses
from earwitness.report.experiment_plots import Bar, plot_bars
from earwitness.training.run_folder import RunFolder

SUFFIXES = ("svg", "pdf")
_IN_TIME = ("within_clips_auc", "frame_map", "segment_f1", "event_f1")
"""Columns that are drawn."""
_LOOKS = {
    architectures.NAME: ("network", "run"),
    label_set_size.NAME: ("size", "bottleneck"),
    training_set_size.NAME: ("share", None),
    event_detection.NAME: ("input", None),
}
"""By experiment: the facts of cells of which colour and kind of line tell."""

Results = Mapping[str, Result | None]


def draw_pictures(table: Table, study: Study, plan: Plan, results: Results) -> list[Path]:
    """Draw what there is to draw; the files.

    Raises:
        RunError: the measures of a training cannot be read.
        SettingsError: a picture cannot be written.
    """
    paths = []
    bars = _bars(table)
    if any(not bar.is_chance for bar in bars):
        for suffix in SUFFIXES:
            paths.append(study.folder / f"figures.{suffix}")
            plot_bars(bars, paths[-1], title=table.title)
    labels = {row.cell: row.label for row in table.rows if row.cell is not None}
    by_step, by_time = [
        [course for cell in cells if (course := _course(cell, labels[cell.name], study, plan, results)) is not None]
        for cells in (_cells_by_step(plan), _cells_by_time(plan))
    ]
    if by_step:
        for suffix in SUFFIXES:
            paths.append(study.folder / f"curves.{suffix}")
            loss = "training loss" + (" per label" if _differ_in_labels(plan) else "")
            plot_courses(by_step, paths[-1], by_time=by_time, loss=loss)
    return paths


def _bars(table: Table) -> list[Bar]:
    titles = {column.name: column.title for column in table.columns}
    bars = []
    for row in table.rows:
        value = row.values.get("mean_average_precision")
        in_time = {titles[name]: row.values[name] for name in _IN_TIME if row.values.get(name) is not None}
        if value is not None or in_time:
            bars.append(
                Bar(
                    label=row.label,
                    value=value,
                    low=row.values.get("mean_average_precision_low"),
                    high=row.values.get("mean_average_precision_high"),
                    printed=row.values.get("paper_mean_average_precision"),
                    in_time=in_time,
                    is_chance=row.cell is None and row.label == "chance",
                )
            )
    return bars


def _cells_by_step(plan: Plan) -> list[Cell]:
    return [cell for cell in plan.cells if not cell.as_long_as]


def _cells_by_time(plan: Plan) -> list[Cell]:
    """Those that shall take equal time; else all where steps take differently long, so that time says something new."""
    in_time = [cell for cell in plan.cells if cell.as_long_as]
    networks = {(cell.settings.network, cell.settings.from_model) for cell in plan.cells}
    return in_time or (list(plan.cells) if len(networks) > 1 else [])


def _differ_in_labels(plan: Plan) -> bool:
    """Whether the losses of cells, which are sums over labels, are of different numbers of them."""
    return len({cell.num_labels for cell in plan.cells}) > 1


def _course(cell: Cell, label: str, study: Study, plan: Plan, results: Results) -> Course | None:
    result, path = results[cell.name], RunFolder(study.run_folder(cell.name)).metrics_path
    if cell.paced_by is not None and result is not None and not path.exists():  # the same training, not done again
        path = RunFolder(study.run_folder(cell.paced_by)).metrics_path
    found = read_measured(path, batch_size=cell.settings.batch_size)
    if found is None:
        return None
    loss = found.loss
    if _differ_in_labels(plan):
        if result is None or result["state"] == "failed":  # their number is not known yet
            return None
        loss = [(step, value / result["num_labels"]) for step, value in loss]
    hue, dash = (_place(cell, fact, plan) for fact in _LOOKS[plan.experiment])
    return Course(
        label=label,
        hue=hue,
        dash=dash,
        loss=loss,
        watched=found.watched,
        watched_by_seconds=found.watched_by_seconds,
    )


def _place(cell: Cell, fact: str | None, plan: Plan) -> int:
    """Of what a fact says of this cell among what it says of all."""
    if fact is None:
        return 0
    said: list[Any] = list(dict.fromkeys(other.facts[fact] for other in plan.cells))
    return said.index(cell.facts[fact])
