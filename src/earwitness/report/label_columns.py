"""The columns of the table of labels: their heads, what they mean, and their numbers as text."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np

from earwitness.evaluation.summary import LabelResult
from earwitness.report.words import fixed

_LEAST_PLAIN = 1e-4
"""Below, a threshold is written with an exponent; the page's script does the same."""


@dataclass(frozen=True, kw_only=True)
class LabelColumn:
    """One column of the table of labels on a page."""

    name: str
    """As in the label data."""
    title: str
    explanation: str
    text: Callable[[Any], str]
    """Of what a row is about."""
    kind: str = "number"
    """Class of its cells."""
    is_plain: bool = False
    """Whether its head says what it is, and needs no word below the table."""


def label_columns_shown(available: Collection[str]) -> list[LabelColumn]:
    """The columns of those names that are available, and those that always are."""
    always = {"name", "positives", "prior", "bar"}
    return [column for column in _COLUMNS if column.name in always or column.name in available]


def share_text(share: float) -> str:
    """A share in per cent, three digits: `12.3`, `0.00120`; the page's script does the same, halves upwards."""
    if share <= 0:
        return "0"
    value = 100 * share
    last = Decimal(1).scaleb(-max(0, 2 - math.floor(math.log10(value))))
    return f"{Decimal(value).quantize(last, ROUND_HALF_UP):f}"


def threshold_text(threshold: float) -> str:
    """A threshold, two digits; `never` where no score reaches it, a dash where there is none."""
    if math.isnan(threshold):
        return "–"
    if math.isinf(threshold):
        return "never"
    if 0 < threshold < _LEAST_PLAIN:
        return f"{threshold:.1e}".replace("e-0", "e-").replace(".0e", "e")
    return np.format_float_positional(two_digits(threshold), trim="-")


def score_text(score: float) -> str:
    """A score: two digits, and two decimals from 0.1 on."""
    return f"{score:.2g}" if score < 0.1 else f"{score:.2f}"


def two_digits(value: float) -> float:
    """The number to two significant digits."""
    return float(f"{value:.2g}")


def _decimals(field: str, digits: int) -> Callable[[LabelResult], str]:
    def text(label: LabelResult) -> str:
        value: float = getattr(label, field)
        return fixed(value, digits) if math.isfinite(value) and label.is_defined else "–"

    return text


def _interval(label: LabelResult) -> str:
    interval = label.average_precision_interval
    return "–" if interval is None else f"{interval.low:.3f} … {interval.high:.3f}"


_COLUMNS = (
    LabelColumn(
        name="name",
        title="label",
        explanation="display name",
        text=lambda label: label.name,
        kind="text",
        is_plain=True,
    ),
    LabelColumn(
        name="positives",
        title="clips",
        explanation="clips that carry the label",
        text=lambda label: f"{label.num_positives:,}",
        is_plain=True,
    ),
    LabelColumn(
        name="average_precision", title="AP", explanation="average precision", text=_decimals("average_precision", 3)
    ),
    LabelColumn(
        name="bar",
        title="",
        explanation="AP as a bar from 0 to 1; the upright line is chance",
        text=lambda label: "",
        kind="with-bar",
        is_plain=True,
    ),
    LabelColumn(
        name="low",
        title="95 % of AP",
        explanation="interval over draws of the clips; a dash where no draw changes it, or it is of fewer "
        "than two clips",
        text=_interval,
    ),
    LabelColumn(
        name="auc",
        title="AUC",
        explanation="how often a clip with the label scores above one without it",
        text=_decimals("auc", 3),
    ),
    LabelColumn(
        name="dprime", title="d′", explanation="d-prime, from the label's own AUC", text=_decimals("dprime", 2)
    ),
    LabelColumn(
        name="prior",
        title="prior %",
        explanation="share of all clips that carry the label",
        text=lambda label: share_text(label.prior),
    ),
    LabelColumn(
        name="threshold",
        title="thr.",
        explanation="threshold: at and above it, a clip is answered with the label; never: no clip is",
        text=lambda label: threshold_text(label.threshold),
    ),
    LabelColumn(name="precision", title="P", explanation="precision at the threshold", text=_decimals("precision", 3)),
    LabelColumn(name="recall", title="R", explanation="recall at the threshold", text=_decimals("recall", 3)),
    LabelColumn(
        name="calibration_error",
        title="calib.",
        explanation="calibration error: how far scores lie from the share of clips that truly have the label",
        text=_decimals("calibration_error", 3),
    ),
)
