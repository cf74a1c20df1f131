"""What the tables of all experiments are made of: columns, rows, notes, our figures and the paper's beside them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from earwitness.paper.measuring import figure
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.printed import Printed
from earwitness.paper.sizing import condition_words
from earwitness.paper.study import Result
from earwitness.paper.table import Column, Row, grouped, rounded, three_decimals
from earwitness.report.words import counted, duration
from earwitness.training.clips import FEW_CLIPS

MEASURES = {"mean_auc": "AUC", "dprime": "d'", "mean_average_precision": "mAP"}


def columns_of_training() -> list[Column]:
    """How long it learnt."""
    return [
        Column(name="steps", title="steps", shown=grouped),
        Column(name="seconds", title="time", shown=duration),
    ]


def columns_of_measures() -> list[Column]:
    """Ours, those of chance being in a row of their own, then the paper's; ends of intervals in CSV and JSON alone."""
    columns = [Column(name=name, title=title, shown=three_decimals) for name, title in MEASURES.items()]
    for name in MEASURES:
        columns += [Column(name=f"{name}_{end}", title="") for end in ("low", "high")]
    return columns


def columns_printed(*, with_steps: bool = False) -> list[Column]:
    """The paper's."""
    columns: list[Column] = []
    if with_steps:
        columns += [
            Column(name="paper_steps", title="paper: steps", shown=rounded),
            Column(name="paper_hours", title="paper: hours", shown=lambda hours: f"{hours:g}"),
        ]
    for name, title in MEASURES.items():
        columns.append(Column(name=f"paper_{name}", title=f"paper: {title}", shown=three_decimals))
    return columns


def row_of(
    cell: Cell,
    result: Result | None,
    *,
    values: Mapping[str, Any],
    figures: Printed | None,
    label: str,
    remark: str = "",
) -> Row:
    """The row of a cell.

    Args:
        cell: that.
        result: what came of it; None: it is not done.
        values: what the table says of it beside that.
        figures: the paper's, where it has such a row.
        label: in pictures.
        remark: what must be said of its figures.
    """
    all_values = {**values, **_measured(result), **_printed(figures)}
    return Row(values=all_values, cell=cell.name, label=label, remark=_remark_on(result) or remark)


def chance_row(results: Sequence[Result | None], *, first_column: str) -> list[Row]:
    """What scores give that do not look at the clip, from the first cell that has it: all have the same."""
    for result in results:
        if result is not None and result["state"] == "finished":
            chance = {name: result["evaluation"]["chance"][name] for name in MEASURES}
            return [Row(values={first_column: "chance", **chance}, cell=None, label="chance")]
    return []


def is_measured(row: Row) -> bool:
    """Whether a row has a mAP: it is done, and did not fail."""
    return row.values.get("mean_average_precision") is not None


def map_of(row: Row) -> float:
    """The mAP of a row that is measured."""
    return float(row.values["mean_average_precision"])


def overlap_words(rows: Sequence[Row]) -> str:
    """In brackets, whether the intervals of two rows' mAP overlap; nothing where one has none."""
    if (overlap := is_overlap(*rows)) is None:
        return ""
    return f" (their 95 % intervals {'overlap' if overlap else 'do not meet'})"


def is_overlap(one: Row, other: Row) -> bool | None:
    """Whether the intervals of two rows' mAP overlap; None where one has none."""
    ends = [row.values.get(f"mean_average_precision_{end}") for row in (one, other) for end in ("low", "high")]
    low, high, other_low, other_high = ends
    if low is None or high is None or other_low is None or other_high is None:
        return None
    return bool(low <= other_high and other_low <= high)


def common_facts(plan: Plan) -> dict[str, Any]:
    """For JSON: what all rows are made with."""
    settings = plan.cells[0].settings
    return {
        "experiment": plan.experiment,
        "where": settings.where,
        "test_where": plan.test_where,
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
    }


def common_notes(plan: Plan, results: Sequence[Result | None], *, with_settings: bool = True) -> list[str]:
    """What holds for all rows.

    Args:
        plan: all of it.
        results: of the cells.
        with_settings: say those of the trainings, which are of networks of one width.
    """
    done = [result for result in results if result is not None and result["state"] == "finished"]
    if not done:
        return []
    evaluation, settings = done[0]["evaluation"], plan.cells[0].settings
    undefined = evaluation["num_undefined_labels"]
    learnt = sorted({result["num_train_clips"] for result in done})
    watched = min(result["num_validation_clips"] for result in done)
    notes = [
        f"Held out: `{condition_words(plan.test_where)}` ({counted(evaluation['num_clips'], 'clip')}); learnt from: "
        f"`{condition_words(settings.where or 'true')}` ({'up to ' if len(learnt) > 1 else ''}"
        f"{counted(learnt[-1], 'clip')}{f', {watched:,} more watched' if watched else ''}).",
        f"Evaluated on {counted(evaluation['num_labels'], 'label')}"
        + (f", of which {undefined} {_are(undefined)} on none or all of the clips and not counted" if undefined else "")
        + "; scores are means over a clip's patches, measures means over labels. CSV and JSON have 95 % intervals over "
        "clips drawn anew.",
    ]
    if with_settings:
        notes.append(
            f"All networks at {settings.width:g} of the paper's width, batches of {settings.batch_size} patches, "
            f"seed {settings.seed}; one training each, so small differences between rows may be chance."
        )
    if 0 < watched < FEW_CLIPS:
        notes.append(f"Only {counted(watched, 'clip')} {_are(watched)} watched: their figures say little.")
    if shared := max(result["num_shared_groups"] for result in done):
        notes.append(
            f"{counted(shared, 'group')} (recordings) {'has' if shared == 1 else 'have'} clips on both sides, so the "
            "figures may flatter the models."
        )
    return notes


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _measured(result: Result | None) -> dict[str, Any]:
    """What a row says of its cell: state, sizes, time and figures."""
    if result is None:
        return {"state": "not run"}
    values: dict[str, Any] = {"state": result["state"]}
    if result["state"] == "failed":
        return values
    evaluation = result["evaluation"]
    for name in MEASURES:
        values[name] = "inf" if math.isinf(figure(evaluation, name)) else evaluation[name]
        ends = evaluation["intervals"].get(name)
        values |= {f"{name}_{end}": ends[end] if ends else None for end in ("low", "high")}
    names = ("steps", "seconds", "num_weights", "num_multiply_adds", "num_train_clips", "num_patches", "last_loss")
    values |= {name: result[name] for name in names}
    values |= {name: result[name] for name in ("num_validation_clips", "best_step")}
    for when in ("best", "last"):
        values[f"{when}_watched_map"] = result[f"{when}_validation"].get("mean_average_precision")
    return values


def _printed(figures: Printed | None) -> dict[str, Any]:
    """What a row says of the paper."""
    if figures is None:
        return {}
    return {f"paper_{name}": value for name, value in vars(figures).items() if value is not None}


def _remark_on(result: Result | None) -> str:
    """Why a row has no figures; nothing where it has."""
    if result is None:
        return "not run yet"
    return f"failed: {result['reason']}" if result["state"] == "failed" else ""
