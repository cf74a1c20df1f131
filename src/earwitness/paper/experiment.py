"""One experiment from its plan to its table and pictures."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from earwitness.errors import RunError
from earwitness.paper import architectures, event_detection, label_set_size, training_set_size
from earwitness.paper.pictures import draw_pictures
from earwitness.paper.plan import Plan
from earwitness.paper.running import Told, run_plan
from earwitness.paper.study import Result, Study
from earwitness.paper.table import Table, write_table
from earwitness.store.read import Store

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
    results = study.results(plan)
    table = TABLES[plan.experiment](plan, results)
    record = study.record()
    table = replace(table, facts={**table.facts, "store": record["store"], **record["machine"]})
    return table, [*write_table(table, folder), *draw_pictures(table, study, plan, results)]
