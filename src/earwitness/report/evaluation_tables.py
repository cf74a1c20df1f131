"""The headline measures of an evaluation in words and rows: the same in terminal, summary, page and model card."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from earwitness.evaluation.interval import Interval
from earwitness.evaluation.paired import Comparison
from earwitness.evaluation.summary import Chance, Evaluation
from earwitness.report.words import counted, measure


@dataclass(frozen=True)
class Measure:
    """A field of an evaluation, by its name for people."""

    field: str
    name: str


RANKING = (
    Measure("mean_auc", "AUC, mean of labels"),
    Measure("dprime", "d-prime of the mean AUC"),
    Measure("mean_label_dprime", "d-prime, mean of labels"),
    Measure("mean_average_precision", "mAP"),
    Measure("one_best_accuracy", "1-best accuracy"),
    Measure("lwlrap", "lwlrap"),
    Measure("micro_auc", "AUC, all pairs pooled"),
    Measure("micro_average_precision", "AP, all pairs pooled"),
)
"""Measures of order alone."""
PLAIN_ACCURACY = "accuracy"
"""What the 1-best accuracy is called where every clip has exactly one label."""
ANSWERS = (
    Measure("mean_precision", "precision, mean of labels"),
    Measure("mean_recall", "recall, mean of labels"),
    Measure("mean_f1", "F1, mean of labels"),
    Measure("micro_precision", "precision, all pairs"),
    Measure("micro_recall", "recall, all pairs"),
    Measure("micro_f1", "F1, all pairs"),
    Measure("calibration_error", "calibration error, mean of labels"),
)
"""Measures of answers at thresholds, and of scores as probabilities."""
_MEAN_OF = " of labels"

DEFINITIONS = (
    "AUC counts ties as one half; average precision gives tied scores one threshold. Means give every "
    "label the same weight. The d-prime of the paper is that of the mean AUC; a label's own is that of its AUC, "
    "held half a pair of clips away from 0 and 1, so that no single label makes the mean infinite. 1-best: the "
    "top-scored label is one of the clip's. Chance is the best that scores can do which do not look at the clip: the "
    "most frequent label as the 1-best, the prior as average precision. The baseline is logistic "
    "regression on the mean and standard deviation of each clip's log-mel frames."
)
"""What the headline measures mean, for readers of a summary or a page."""
MORE_DEFINITIONS = (
    "lwlrap ranks the labels of each clip instead of the clips of each label: of every true pair of clip and label, "
    "the share of true labels among those at or above it in its clip, averaged over all true pairs. Pooled measures "
    "rank or count all pairs of clip and label together, so that frequent labels weigh most; they take in labels that "
    "are left out of the means, whose false alarms are some, too. Precision, recall and F1 are at each label's "
    "threshold. A label that no clip is answered with has a recall and an F1 of 0 but no precision, so the mean of "
    "precision is over the other labels: where it is not over as many labels as the rest, the row says over how many. "
    "The calibration error is how far scores lie from the share of clips that have the label."
)
"""The same of the measures beyond."""


def headline_table(evaluation: Evaluation, baseline: Evaluation | None) -> str:
    """The headline measures beside the baseline's and chance, as an aligned table that is Markdown too.

    A line below it says how many clips and labels it rests on, and how many labels had to be left out.
    """
    return f"{markdown_table(headline_rows(evaluation, baseline))}\n\n{headline_basis(evaluation)}"


def headline_rows(
    evaluation: Evaluation, baseline: Evaluation | None, *, measures: Sequence[Measure] = RANKING[:5]
) -> list[list[str]]:
    """The rows of that table, header first: the measure's name, then the model's, the baseline's and chance.

    Where there are intervals, the model's stand beside it. A measure without a value by chance has a dash there. Those
    of answers are left out where there are none.
    """
    measures = [row for row in measures if not _is_left_out(row, evaluation)]
    sides: list[tuple[str, Evaluation | Chance]] = [("model", evaluation)]
    if baseline is not None:
        sides.append(("baseline", baseline))
    if any(hasattr(evaluation.chance, row.field) for row in measures):
        sides.append(("chance", evaluation.chance))
    header = [name for name, _ in sides]
    has_intervals = any(row.field in (evaluation.intervals or {}) for row in measures)
    if has_intervals:
        header.insert(1, "95 %")
    rows = [["metric", *header]]
    for row in measures:
        values = [measure(getattr(side, row.field)) if hasattr(side, row.field) else "–" for _, side in sides]
        if has_intervals:
            values.insert(1, interval_words((evaluation.intervals or {}).get(row.field)))
        rows.append([_name(row, evaluation, baseline), *values])
    return rows


def _is_left_out(row: Measure, evaluation: Evaluation) -> bool:
    """Whether it is a measure of answers, or of probabilities, and there are none."""
    if row not in ANSWERS or evaluation.num_undefined_labels == evaluation.num_labels:
        return False
    return math.isnan(evaluation.calibration_error) if row.field == "calibration_error" else not evaluation.has_answers


def _name(row: Measure, evaluation: Evaluation, baseline: Evaluation | None) -> str:
    """A measure's name, with the number of labels where a mean is not over all defined ones."""
    if row.field == "one_best_accuracy" and evaluation.is_single_label:
        return PLAIN_ACCURACY
    sides = [side for side in (evaluation, baseline) if side is not None]
    numbers = [side.num_labels_in.get(row.field) for side in sides]
    usual = evaluation.num_labels - evaluation.num_undefined_labels
    if not row.name.endswith(_MEAN_OF) or all(number in (usual, None) for number in numbers):
        return row.name
    own, *others = numbers
    also = f" (baseline {others[0] or 0:,})" if others and others[0] != own else ""
    return f"{row.name.removesuffix(_MEAN_OF)} of {counted(own or 0, 'label')}{also}"


def headline_basis(measured: Evaluation | Comparison) -> str:
    """How many clips and labels the figures rest on, and how many labels had to be left out, in a sentence."""
    left_out = ""
    if measured.num_undefined_labels:
        left_out = (
            f"; {measured.num_undefined_labels:,} of them left out of the means, having no positive or no negative clip"
        )
    return f"{counted(measured.num_clips, 'clip')}, {counted(measured.num_labels, 'label')}{left_out}."


def interval_words(interval: Interval | None) -> str:
    """`0.312 to 0.325`; a dash where there is none."""
    return "–" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"


def markdown_table(rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """Rows, header first, as an aligned Markdown table; columns after the first of text lean right."""
    cells = [[markdown_cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    rule = [":" + "-" * (w - 1) if i < text_columns else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines = []
    for row in (cells[0], rule, *cells[1:]):
        sides = (str.ljust if i < text_columns else str.rjust for i in range(len(row)))
        padded = (side(value, width) for side, value, width in zip(sides, row, widths, strict=True))
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def markdown_cell(value: str) -> str:
    """Text in one line that ends no cell and begins no HTML."""
    return " ".join(value.split()).replace("|", "\\|").replace("<", "\\<")
