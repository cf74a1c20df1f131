"""The paper's second table: the five networks at equal steps; here also at equal time, and the long run at the end.

References: Hershey et al. 2017, section 4.1 and table 2.
"""

from collections.abc import Mapping, Sequence

from earwitness.errors import SettingsError
from earwitness.models.registry import NETWORKS
from earwitness.paper import printed as paper
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result, failed_among
from earwitness.paper.table import Column, Row, Table, rounded
from earwitness.paper.table_parts import (
    chance_row,
    columns_of_measures,
    columns_of_training,
    columns_printed,
    common_facts,
    common_notes,
    is_measured,
    is_overlap,
    map_of,
    overlap_words,
    row_of,
)
from earwitness.training.settings import LearningRatePlan

NAME = "architectures"
_REFERENCE = "resnet50"
"""All are given the time that its equal steps take, and it is trained long; where it fails, the time of the last that
does not."""

_TIME_MISSED = 0.2
"""A row of equal time that took so much more or less than it was to, as a share, says so."""


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
        by_run[cell.facts["run"]].append(_row(cell, results))
    timed_by = _timed_by(plan, results) or reference
    rows = [row for run in by_run.values() for row in run]
    in_order = list(results.values())
    long = plan.cell(f"{reference}-long")
    return Table(
        title="Networks compared, as in table 2 of Hershey et al. 2017",
        columns=(
            Column(name="network", title="network"),
            Column(name="run", title="run"),
            Column(name="num_weights", title="weights", shown=rounded),
            Column(name="num_multiply_adds", title="mult.-adds", shown=rounded),
            *columns_of_training(),
            *columns_of_measures(),
            Column(name="paper_num_weights", title="paper: weights", shown=rounded),
            Column(name="paper_num_multiply_adds", title="paper: mult.-adds", shown=rounded),
            *columns_printed(with_steps=True),
            Column(name="state", title=""),
        ),
        rows=[*rows, *chance_row(in_order, first_column="network")],
        findings=_findings(by_run),
        notes=[
            *common_notes(plan, in_order),
            f"Equal time: the steps that fit the time {timed_by} takes for its equal steps, by each "
            "network's own speed here. They follow from measured times, so another machine, or day, has others.",
            f"Long: {long.settings.steps:,} steps, the learning rate a tenth after {long.facts['drop_step']:,}; the "
            "paper's 17 M steps and drop after 13 M, to scale. It does not print its factor.",
            "The paper's weights and multiply-adds are for its full width and 3,087 labels; its hours are on 10 to 40 "
            "GPUs, its 70 million videos and labels are not to be had.",
        ],
        facts={**common_facts(plan), "width": plan.cells[0].settings.width},
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


def _row(cell: Cell, results: Mapping[str, Result | None]) -> Row:
    network, run = cell.facts["network"], cell.facts["run"]
    figures = {"steps": paper.ARCHITECTURES.get(network), "long": paper.LONG_RUN if network == _REFERENCE else None}
    entry = NETWORKS[network]
    return row_of(
        cell,
        results[cell.name],
        values={
            "network": network,
            "run": _RUNS[run],
            "paper_num_weights": entry.paper_num_weights if run == "steps" else None,
            "paper_num_multiply_adds": entry.paper_num_multiply_adds if run == "steps" else None,
        },
        figures=figures.get(run),
        label=f"{network}, {_RUNS[run]}",
        remark=_time_missed(cell, results),
    )


def _time_missed(cell: Cell, results: Mapping[str, Result | None]) -> str:
    """What to say where the time it took is far from the time it was to take; else nothing."""
    result = results[cell.name]
    if not cell.as_long_as or result is None or result["state"] == "failed":
        return ""
    timed_by = result.get("timed_by") or cell.timed_by(failed_among(results))
    target = results.get(timed_by or "")
    if target is None or target["state"] == "failed":
        return ""
    share = result["seconds"] / target["seconds"]
    if abs(share - 1) <= _TIME_MISSED:
        return ""
    return f"took {share:.2g} of {timed_by}'s time: the speed measured first was another"


def _findings(by_run: Mapping[str, Sequence[Row]]) -> list[str]:
    findings = []
    for run in ("steps", "time"):
        found = {row.values["network"]: row for row in by_run[run] if is_measured(row)}
        if "fully_connected" in found and len(found) > 1:
            best_first = sorted(found, key=lambda network: -map_of(found[network]))
            place = best_first.index("fully_connected") + 1
            alike = [
                network
                for network in best_first
                if network != "fully_connected" and is_overlap(found[network], found["fully_connected"]) is not False
            ]
            findings.append(
                f"The paper's fully connected network is last. Here, at {_RUNS[run]}, it is "
                + ("last, too" if place == len(found) else f"number {place} of {len(found)}")
                + f"; from the best: {', '.join(f'{network} {map_of(found[network]):.3f}' for network in best_first)} "
                + "(mAP). Its 95 % interval "
                + (f"overlaps that of {', '.join(alike)}." if alike else "meets none of the others.")
            )
    long = by_run["long"][0]
    short = next(row for row in by_run["steps"] if row.values["network"] == long.values["network"])
    if all(is_measured(row) for row in (short, long)):
        findings.append(
            f"The paper's long run of ResNet-50 gains 0.030 mAP (0.182 to 0.212). Here {long.values['network']} goes "
            f"from {map_of(short):.3f} to {map_of(long):.3f}{overlap_words((short, long))}."
        )
    return findings
