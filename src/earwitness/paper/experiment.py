"""One experiment from its plan to its table and pictures."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from earwitness.errors import RunError
from earwitness.paper import architectures, event_detection, label_set_size, training_set_size
from earwitness.paper.plan import Plan
from earwitness.paper.running import Told, run_plan
from earwitness.paper.study import Result, Study
from earwitness.paper.table import Table, write_table
from earwitness.report.experiment_plots import Bar, Course, plot_bars, plot_courses, read_course
from earwitness.store.read import Store
from earwitness.training.run_folder import RunFolder

TABLES: Mapping[str, Callable[[Plan, Mapping[str, Result | None]], Table]] = {
    architectures.NAME: architectures.table,
    label_set_size.NAME: label_set_size.table,
    training_set_size.NAME: training_set_size.table,
    event_detection.NAME: event_detection.table,
}
"""By experiment: what makes a table of a plan and what came of its cells."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call of `run_experiment` came to."""

    table: Table
    paths: tuple[Path, ...]
    """The table in its forms, then the pictures."""
    is_finished: bool
    """Whether nothing is left to do of what was asked for; False where it was stopped."""


def run_experiment(
    plan: Plan,
    store: Store,
    folder: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    only: Collection[str] = (),
    told: Told,
) -> Outcome:
    """Do what is not done of a plan, and make the table of all that is. For the arguments see `run_plan`."""
    is_finished = run_plan(plan, store, Study(folder), device=device, threads=threads, only=only, told=told)
    table, paths = make_table(folder)
    return Outcome(table=table, paths=tuple(paths), is_finished=is_finished)


def make_table(folder: Path) -> tuple[Table, list[Path]]:
    """The table and the pictures of an experiment, from what lies in its folder and nothing else.

    Raises:
        RunError: the folder holds no experiment of this version, or cannot be written.
    """
    study = Study(folder)
    plan = study.plan()
    if plan.experiment not in TABLES:
        raise RunError(f"{folder}: holds an experiment {plan.experiment!r}; this version has {', '.join(TABLES)}")
    table = TABLES[plan.experiment](plan, study.results(plan))
    record = study.read_record() or {}
    table = replace(table, facts={**table.facts, "store": record["store"], **record["machine"]})
    return table, [*write_table(table, folder), *_draw(table, study, plan)]


def _draw(table: Table, study: Study, plan: Plan) -> list[Path]:
    paths = []
    bars = [
        Bar(
            label=row.label,
            value=row.values["mean_average_precision"],
            low=row.values.get("mean_average_precision_low"),
            high=row.values.get("mean_average_precision_high"),
            printed=row.values.get("paper_mean_average_precision"),
        )
        for row in table.rows
        if row.values.get("mean_average_precision") is not None
    ]
    if bars:
        paths.append(study.folder / "figures.svg")
        plot_bars(bars, paths[-1], title=table.title)
    courses: dict[str, Course] = {}
    for row in table.rows:
        if row.cell is None or plan.cell(row.cell).as_long_as:
            continue
        course = read_course(RunFolder(study.run_folder(row.cell)).metrics_path)
        if course is not None:
            courses[row.label] = course
    if courses:
        paths.append(study.folder / "curves.svg")
        plot_courses(courses, paths[-1])
    return paths
