"""The labels of an evaluation as the page's script reads them: columns of short numbers in one JSON object.

Tens of thousands of labels are a few megabytes this way; the rows of the table are made from it as they are scrolled
into view. A number is an integer, in the unit of `UNITS` of its column; null where it is undefined. It has one decimal
more than is shown, so that sorting tells equal ones apart, and is rounded such that halves, rounded up, show what the
number itself would, rounded once. Thresholds stand there as they are shown.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from earwitness.evaluation.confusions import Confusion
from earwitness.evaluation.summary import Evaluation, LabelResult
from earwitness.report.label_columns import two_digits

UNITS = {
    "auc": 1e-4,
    "dprime": 1e-3,
    "average_precision": 1e-4,
    "low": 1e-4,
    "high": 1e-4,
    "precision": 1e-4,
    "recall": 1e-4,
    "calibration_error": 1e-4,
    "baseline": 1e-4,
}
"""Columns that a label may have, beside `name`, `id` and `positives`; `low` and `high` are the interval of the AP."""
_NEVER = 1e300
"""A threshold that no score reaches: above all that others are, so that it is sorted there; the script knows it."""
FORMATS = {
    "positives": "count",
    "prior": "share",
    "auc": "fixed3",
    "dprime": "fixed2",
    "average_precision": "fixed3",
    "low": "interval",
    "threshold": "threshold",
    "precision": "fixed3",
    "recall": "fixed3",
    "calibration_error": "fixed3",
    "baseline": "fixed3",
}
"""How the script writes a column's numbers; `label_columns` does the same for rows that need no script."""
PLOT = {"x": "prior", "isLog": True, "y": "dprime", "tip": [["dprime", "d′"], ["average_precision", "AP"]]}
"""Which columns are the axes of the figure, and what is said of a dot."""
PANEL = {
    "big": "average_precision",
    "title": "AP",
    "facts": [
        ["auc", "AUC"],
        ["dprime", "d′"],
        ["baseline", "baseline's AP"],
        ["calibration_error", "calibration error"],
        ["threshold", "threshold"],
        ["precision", "precision there"],
        ["recall", "recall there"],
    ],
}
"""What is said of the chosen label."""
CONFUSED_LABELS = 3
"""Others named with a label."""
MOST_CONFUSED = 30_000
"""Such pairs on a page; those with the most evidence."""
LEAST_EVIDENCE = 10.83
"""Of a confusion: one that chance gives to one pair in a thousand has as much."""


def label_columns(evaluation: Evaluation, baseline: Evaluation | None) -> dict[str, Any]:
    """Columns by name; those in which every label is undefined are left out, and ids that are the names."""
    labels = evaluation.labels
    columns: dict[str, Any] = {"name": [label.name for label in labels]}
    if any(label.id != label.name for label in labels):
        columns["id"] = [label.id for label in labels]
    columns["positives"] = [label.num_positives for label in labels]
    values = {name: [_value(label, name) for label in labels] for name in UNITS if name != "baseline"}
    if baseline is not None:
        values["baseline"] = [label.average_precision for label in baseline.labels]
    thresholds = [_threshold(label.threshold) for label in labels]
    if any(threshold is not None for threshold in thresholds):
        columns["threshold"] = thresholds
    for name, column in values.items():
        numbers = rounded(column, UNITS[name])
        if any(number is not None for number in numbers):
            columns[name] = numbers
    return columns


def confused_columns(confusions: Iterable[Confusion], *, num_labels: int) -> list[list[int]]:
    """By label, for its few most evident confusions: the other label, clips with it, clips, ten times the lift."""
    columns: list[list[int]] = [[] for _ in range(num_labels)]
    num_pairs = 0
    for pair in confusions:  # most evidence first
        if pair.evidence < LEAST_EVIDENCE or num_pairs == MOST_CONFUSED:
            break
        own = columns[pair.said]
        if len(own) < 4 * CONFUSED_LABELS:
            own += [pair.true, pair.num_clips, pair.num_false_alarms, round(10 * pair.lift)]
            num_pairs += 1
    return columns


def embedded_json(value: Any) -> Markup:
    """JSON as it may stand within a `script` element, whatever text is in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def first_rows(evaluation: Evaluation, *, most: int) -> list[LabelResult]:
    """The labels with the highest average precision, undefined ones last: the rows that need no script."""
    return sorted(evaluation.labels, key=_by_precision)[:most]


def _by_precision(label: LabelResult) -> float:
    return -label.average_precision if label.is_defined else math.inf


def _value(label: LabelResult, name: str) -> float:
    if name in ("low", "high"):
        interval = label.average_precision_interval
        return math.nan if interval is None else float(getattr(interval, name))
    if name == "average_precision" and not label.is_defined:
        return math.nan
    return float(getattr(label, name))


def _threshold(threshold: float) -> float | None:
    if math.isnan(threshold):
        return None
    return _NEVER if threshold == math.inf else two_digits(threshold)


def rounded(values: Sequence[float], unit: float) -> list[int | None]:
    """Numbers in a unit that is a power of ten, as whole ones of which the last digit is not shown.

    A number n of them is shown as floor((n + 5) / 10) tens: what `words.fixed` makes of the value. None where it is
    not finite.
    """
    digits = round(-math.log10(unit)) - 1
    numbers: list[int | None] = []
    for value in values:
        if math.isfinite(value):
            shown = 10 * round(float(f"{value:.{digits}f}") * 10**digits)
            numbers.append(min(max(round(value / unit), shown - 5), shown + 4))
        else:
            numbers.append(None)
    return numbers


def curve_points(curves: Mapping[int, Sequence[tuple[float, float]]]) -> dict[str, list[int]]:
    """By label, recall and precision of each point in turn, in thousandths."""
    return {
        str(label): [round(1_000 * value) for point in points for value in point] for label, points in curves.items()
    }
