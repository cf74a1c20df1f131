"""The paper's third table: how many labels to learn, with and without a bottleneck, all evaluated on the fewest.

Clips that carry none of the labels learnt stay, as clips of no label: so all rows learn from the same sound.

References: Hershey et al. 2017, section 4.2 and table 3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from earwitness.errors import LabelError, SettingsError
from earwitness.paper import printed as paper
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result
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
from earwitness.store.read import Store

NAME = "label-set-size"


def plan(
    sizing: Sizing,
    store: Store,
    *,
    many: int | None = None,
    few: int | None = None,
    bottleneck: int | None = None,
    network: str = "resnet50",
) -> Plan:
    """All labels of the clips learnt from, the `many` most frequent and the `few`, with and without a bottleneck.

    Args:
        sizing: of the trainings.
        store: to be learnt from.
        many: None: the preset's.
        few: these are evaluated. None: the preset's.
        bottleneck: its units. None: the paper's 128 times the width.
        network: of all rows.

    Raises:
        LabelError: the clips have too few labels.
        SettingsError: the numbers do not fall.
    """
    many = many if many is not None else sizing.preset.many_labels
    few = few if few is not None else sizing.preset.few_labels
    learnt = store.select(sizing.sides.where)
    num_carried = len(np.unique(store.label_pairs(learnt)[1]))
    if not 1 <= few < many:
        raise SettingsError(f"many={many} and few={few}: fewer labels than many, and at least 1, are evaluated")
    if many >= num_carried:
        fits = "at least 3 are needed"
        if num_carried >= 3:
            fits = f"--many {max(2, num_carried // 2)} --few {max(1, num_carried // 5)} would fit"
        raise LabelError(
            f"{store.folder}: its {len(learnt):,} clips to learn from carry {num_carried:,} labels, and the {many:,} "
            f"and {few:,} most frequent of more than {many:,} are asked for; {fits}"
        )
    units = bottleneck if bottleneck is not None else max(2, round(paper.BOTTLENECK_UNITS * sizing.preset.width))
    sizes = {"all": None, "many": many, "few": few}
    cells = [
        Cell(
            name=f"{'bottleneck' if with_bottleneck else 'plain'}-{size}",
            # nothing is watched: which clips are would depend on the labels, and all rows are to learn from the same
            settings=sizing.settings(
                NAME, network=network, bottleneck=units if with_bottleneck else None, validation_share=0.0
            ),
            num_labels=number,
            facts={"size": size, "num_labels": number or num_carried, "bottleneck": units if with_bottleneck else None},
        )
        for with_bottleneck in (False, True)
        for size, number in sizes.items()
    ]
    return Plan(experiment=NAME, cells=tuple(cells), test_where=sizing.sides.test_where, evaluated_labels=few)


def table(plan: Plan, results: Mapping[str, Result | None]) -> Table:
    """In the order of the paper's: without the bottleneck first, the most labels first."""
    rows = []
    for cell in plan.cells:
        has_bottleneck, size = cell.facts["bottleneck"] is not None, cell.facts["size"]
        result, figures = results[cell.name], paper.LABEL_SET_SIZE.get((has_bottleneck, size))
        words = f"bottleneck of {cell.facts['bottleneck']}" if has_bottleneck else "no bottleneck"
        values = {
            "bottleneck": words,
            "labels": cell.facts["num_labels"],
            **measured(result),
            "paper_labels": paper.PRINTED_LABELS[size],
            **printed(figures),
        }
        rows.append(
            Row(
                values=values,
                cell=cell.name,
                label=f"{cell.facts['num_labels']} labels, {words}",
                remark=remark_on(result),
            )
        )
    in_order = list(results.values())
    settings = plan.cells[0].settings
    return Table(
        title="How many labels to learn, as in table 3 of Hershey et al. 2017",
        columns=(
            Column(name="bottleneck", title="network"),
            Column(name="labels", title="labels learnt", shown=lambda number: f"{number:,}"),
            Column(name="num_weights", title="weights", shown=rounded),
            Column(name="steps", title="steps", shown=lambda steps: f"{steps:,}"),
            Column(name="seconds", title="time", shown=duration),
            *columns_of_measures(),
            Column(name="paper_labels", title="paper: labels", shown=lambda number: f"{number:,}"),
            *columns_printed(),
            Column(name="state", title=""),
        ),
        rows=[*rows, *chance_row(in_order, first_column="bottleneck")],
        findings=_findings(rows),
        notes=[
            *common_notes(in_order, settings=vars(settings)),
            f"All rows are evaluated on the {plan.evaluated_labels} most frequent labels of the clips learnt from (the "
            "paper: 400). Clips that carry none of the labels learnt stay, as clips of no label.",
            f"{settings.network} everywhere. The paper leaves out all labels without a bottleneck, for its size; its "
            "bottleneck has 128 units at full width.",
        ],
        facts={"experiment": NAME, "width": settings.width, "seed": settings.seed},
    )


def _findings(rows: list[Row]) -> list[str]:
    found: dict[str | None, Any] = {row.cell: row.values.get("mean_average_precision") for row in rows}
    numbers = {str(row.cell).partition("-")[2]: row.values["labels"] for row in rows}
    findings = []
    for size, gain in (("many", 0.034), ("few", 0.011)):
        sides = [found[name] for name in (f"plain-{size}", f"bottleneck-{size}") if found[name] is not None]
        if len(sides) == 2:
            findings.append(
                f"The bottleneck costs the paper {gain:.3f} mAP where it learns {paper.PRINTED_LABELS[size]:,} labels. "
                f"Here, where {numbers[size]:,} are learnt, {_cost(sides)}."
            )
    for kind, words, gain in (("plain", "no bottleneck", 0.005), ("bottleneck", "the bottleneck", 0.004)):
        more = "all" if kind == "bottleneck" else "many"
        sides = [found[name] for name in (f"{kind}-{more}", f"{kind}-few") if found[name] is not None]
        if len(sides) == 2:
            findings.append(
                f"With {words} the paper gains {gain:.3f} mAP from learning more labels than are evaluated "
                f"({paper.PRINTED_LABELS[more]:,} instead of 400). Here the gain is {sides[0] - sides[1]:+.3f}."
            )
    return findings


def _cost(sides: list[float]) -> str:
    difference = sides[0] - sides[1]
    return f"it costs {difference:.3f}" if difference >= 0 else f"it gains {-difference:.3f}"
