"""The paper's third table: how many labels to learn, with and without a bottleneck, all evaluated on the fewest.

Clips that carry none of the labels learnt stay, as clips of no label: so all rows learn from the same sound.

References: Hershey et al. 2017, section 4.2 and table 3.
"""

from collections.abc import Mapping

import numpy as np

from earwitness.errors import LabelError, SettingsError
from earwitness.paper import printed as paper
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result
from earwitness.paper.table import Column, Row, Table, grouped, rounded
from earwitness.paper.table_parts import (
    chance_row,
    columns_of_measures,
    columns_of_training,
    columns_printed,
    common_facts,
    common_notes,
    is_measured,
    map_of,
    overlap_words,
    row_of,
)
from earwitness.report.words import counted
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
        fits = "The experiment needs at least 3"
        if num_carried >= 3:
            fits = f"Try --many {max(2, num_carried // 2)} --few {max(1, num_carried // 5)}"
        raise LabelError(
            f"{store.folder}: its {counted(len(learnt), 'clip')} to learn from carry {counted(num_carried, 'label')}; "
            f"--many {many} needs more than {many:,}. {fits}"
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
        words = f"bottleneck of {cell.facts['bottleneck']}" if has_bottleneck else "no bottleneck"
        rows.append(
            row_of(
                cell,
                results[cell.name],
                values={
                    "bottleneck": words,
                    "labels": cell.facts["num_labels"],
                    "paper_labels": paper.PRINTED_LABELS[size],
                },
                figures=paper.LABEL_SET_SIZE.get((has_bottleneck, size)),
                label=f"{counted(cell.facts['num_labels'], 'label')}, {words}",
            )
        )
    in_order = list(results.values())
    settings = plan.cells[0].settings
    return Table(
        title="How many labels to learn, as in table 3 of Hershey et al. 2017",
        columns=(
            Column(name="bottleneck", title="network"),
            Column(name="labels", title="labels learnt", shown=grouped),
            Column(name="num_weights", title="weights", shown=rounded),
            *columns_of_training(),
            *columns_of_measures(),
            Column(name="paper_labels", title="paper: labels", shown=grouped),
            *columns_printed(),
            Column(name="state", title=""),
        ),
        rows=[*rows, *chance_row(in_order, first_column="bottleneck")],
        findings=_findings(rows),
        notes=[
            *common_notes(plan, in_order),
            f"All rows are evaluated on the {counted(plan.evaluated_labels or 0, 'most frequent label')} of the clips "
            "learnt from (the paper: 400). Clips that carry none of the labels learnt stay, as clips of no label.",
            f"{settings.network} everywhere. The paper leaves out all labels without a bottleneck, for its size; its "
            "bottleneck has 128 units at full width.",
        ],
        facts={**common_facts(plan), "width": settings.width},
    )


def _findings(rows: list[Row]) -> list[str]:
    done = {str(row.cell): row for row in rows if is_measured(row)}
    findings = []
    for size in ("many", "few"):
        sides = [done[name] for name in (f"plain-{size}", f"bottleneck-{size}") if name in done]
        if len(sides) == 2:
            printed = [paper.LABEL_SET_SIZE[kind, size].mean_average_precision for kind in (False, True)]
            findings.append(
                f"The bottleneck costs the paper {printed[0] - printed[1]:.3f} mAP where it learns "
                f"{paper.PRINTED_LABELS[size]:,} labels. Here, where {sides[0].values['labels']:,} "
                f"{'is' if sides[0].values['labels'] == 1 else 'are'} learnt, {_cost(sides)}{overlap_words(sides)}."
            )
    for has_bottleneck, kind, words in ((False, "plain", "no bottleneck"), (True, "bottleneck", "the bottleneck")):
        sizes = [size for size in paper.PRINTED_LABELS if f"{kind}-{size}" in done]
        if len(sizes) < 2 or sizes[-1] != "few":
            continue
        theirs = [
            f"{paper.LABEL_SET_SIZE[has_bottleneck, size].mean_average_precision:.3f} with {number:,}"
            for size, number in paper.PRINTED_LABELS.items()
            if (has_bottleneck, size) in paper.LABEL_SET_SIZE
        ]
        few = done[f"{kind}-few"]
        ours = [f"{map_of(few):.3f} with {few.values['labels']:,}"]
        for size in reversed(sizes[:-1]):
            row = done[f"{kind}-{size}"]
            ours.insert(0, f"{map_of(row):.3f} with {row.values['labels']:,}{overlap_words((row, few))}")
        findings.append(
            f"With {words} the paper's mAP by the number of labels learnt is {', '.join(theirs)}. Here it is "
            f"{', '.join(ours)}; intervals are held against the last."
        )
    return findings


def _cost(sides: list[Row]) -> str:
    difference = map_of(sides[0]) - map_of(sides[1])
    return f"it costs {difference:.3f}" if difference >= 0 else f"it gains {-difference:.3f}"
