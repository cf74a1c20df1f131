"""The paper's second table: the five networks at equal steps; here also at equal time, and the long run at the end.

References: Hershey et al. 2017, section 4.1 and table 2.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from earwitness.errors import SettingsError
from earwitness.models.registry import NETWORKS
from earwitness.paper import printed as paper
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result, failed_among
from earwitness.paper.table import (
    Column,
    Row,
    Table,
    chance_row,
    columns_of_measures,
    columns_printed,
    common_notes,
    measured,
    printed,
    remark_on,
    rounded,
)
from earwitness.report.words import duration
from earwitness.training.settings import LearningRatePlan

NAME = "architectures"
_REFERENCE = "resnet50"
"""All are given the time that its equal steps take, and it is trained long; where it fails, the time of the last that
does not."""


def plan(sizing: Sizing, *, networks: Sequence[str] = tuple(paper.ARCHITECTURES)) -> Plan:
    """The networks at equal steps, in the time that ResNet-50 takes for them (of those given, else the last), and long.

    Raises:
        SettingsError: a network is named twice or is not one of the paper's, or none is named.
    """
    if not networks or len(set(networks)) != len(networks):
        raise SettingsError(f"networks={list(networks)} must name at least one network, and each once")
    for network in networks:
        if network not in NETWORKS:
            raise SettingsError(f"unknown network {network!r}; known: {', '.join(NETWORKS)}")
    reference = _REFERENCE if _REFERENCE in networks else networks[-1]
    equal = [
        Cell(name=network, settings=sizing.settings(NAME, network=network), facts={"network": network, "run": "steps"})
        for network in networks
    ]
    in_time = [
        Cell(
            name=f"{network}-equal-time",
            settings=sizing.settings(NAME, network=network),
            as_long_as=(reference, *(other for other in reversed(networks) if other != reference)),
            paced_by=network,
            facts={"network": network, "run": "time"},
        )
        for network in networks
    ]
    steps = round(sizing.preset.steps[NAME] * paper.LONG_RUN_STEPS)
    drop = max(1, round(steps * paper.LONG_RUN_DROP))
    long = Cell(
        name=f"{reference}-long",
        settings=sizing.settings(NAME, network=reference, steps=steps, plan=LearningRatePlan(drop_steps=(drop,))),
        facts={"network": reference, "run": "long", "drop_step": drop},
    )
    return Plan(experiment=NAME, cells=(*equal, *in_time, long), test_where=sizing.sides.test_where)


def table(plan: Plan, results: Mapping[str, Result | None]) -> Table:
    """Equal steps, equal time, the long run, chance."""
    by_run: dict[str, list[Row]] = {"steps": [], "time": [], "long": []}
    reference = next(cell.facts["network"] for cell in plan.cells if cell.facts["run"] == "long")
    for cell in plan.cells:
        by_run[cell.facts["run"]].append(_row(cell, cell.facts["run"], results[cell.name]))
    timed_by = _timed_by(plan, results) or reference
    rows = [row for run in by_run.values() for row in run]
    in_order = list(results.values())
    settings = plan.cells[0].settings
    long = plan.cell(f"{reference}-long")
    return Table(
        title="Networks compared, as in table 2 of Hershey et al. 2017",
        columns=(
            Column(name="network", title="network"),
            Column(name="run", title="run"),
            Column(name="num_weights", title="weights", shown=rounded),
            Column(name="num_multiply_adds", title="mult.-adds", shown=rounded),
            Column(name="steps", title="steps", shown=lambda steps: f"{steps:,}"),
            Column(name="seconds", title="time", shown=duration),
            *columns_of_measures(),
            Column(name="paper_num_weights", title="paper: weights", shown=rounded),
            Column(name="paper_num_multiply_adds", title="paper: mult.-adds", shown=rounded),
            *columns_printed(with_steps=True),
            Column(name="state", title=""),
        ),
        rows=[*rows, *chance_row(in_order, first_column="network")],
        findings=_findings(by_run),
        notes=[
            *common_notes(in_order, settings=vars(settings)),
            f"Equal time: the steps that fit the time {timed_by} takes for its equal steps, by each "
            "network's own speed here. They follow from measured times, so another machine, or day, has others.",
            f"Long: {long.settings.steps:,} steps, the learning rate a tenth after {long.facts['drop_step']:,}; the "
            "paper's 17 M steps and drop after 13 M, to scale. It does not print its factor.",
            "The paper's weights and multiply-adds are for its full width and 3,087 labels; its hours are on 10 to 40 "
            "GPUs, its 70 million videos and labels are not to be had.",
        ],
        facts={"experiment": NAME, "width": settings.width, "seed": settings.seed},
    )


def _timed_by(plan: Plan, results: Mapping[str, Result | None]) -> str:
    """Whose time the rows of equal time have had; two names, where one of them has failed in between."""
    failed = failed_among(results)
    names = []
    for cell in plan.cells:
        result = results[cell.name]
        if cell.as_long_as and result is not None and result["state"] == "finished":
            names.append(result.get("timed_by") or cell.timed_by(failed))
    return " or ".join(dict.fromkeys(name for name in names if name is not None))


_RUNS = {"steps": "equal steps", "time": "equal time", "long": "long, rate lowered"}


def _row(cell: Cell, run: str, result: Result | None) -> Row:
    network = cell.facts["network"]
    figures = {"steps": paper.ARCHITECTURES.get(network), "long": paper.LONG_RUN if network == _REFERENCE else None}
    entry = NETWORKS[network]
    values: dict[str, Any] = {
        "network": network,
        "run": _RUNS[run],
        "paper_num_weights": entry.paper_num_weights if run == "steps" else None,
        "paper_num_multiply_adds": entry.paper_num_multiply_adds if run == "steps" else None,
        **measured(result),
        **printed(figures.get(run)),
    }
    return Row(values=values, cell=cell.name, label=f"{network}, {_RUNS[run]}", remark=remark_on(result))


def _findings(by_run: Mapping[str, Sequence[Row]]) -> list[str]:
    findings = []
    for run in ("steps", "time"):
        found = {
            row.values["network"]: row.values["mean_average_precision"]
            for row in by_run[run]
            if row.values.get("mean_average_precision") is not None
        }
        if "fully_connected" in found and len(found) > 1:
            best_first = sorted(found, key=lambda network: -found[network])
            is_last = best_first[-1] == "fully_connected"
            findings.append(
                f"The paper's fully connected network is last. Here, at {_RUNS[run]}, it is "
                + ("last, too" if is_last else f"number {best_first.index('fully_connected') + 1} of {len(found)}")
                + f"; from the best: {', '.join(f'{network} {found[network]:.3f}' for network in best_first)} (mAP)."
            )
    long = by_run["long"][0].values
    short = next(row.values for row in by_run["steps"] if row.values["network"] == long["network"])
    figures = [values.get("mean_average_precision") for values in (short, long)]
    if None not in figures:
        findings.append(
            f"The paper's long run of ResNet-50 gains 0.030 mAP (0.182 to 0.212). Here {long['network']} goes from "
            f"{figures[0]:.3f} to {figures[1]:.3f}."
        )
    return findings
