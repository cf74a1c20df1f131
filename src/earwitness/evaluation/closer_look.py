"""A closer look at scores that were measured: errors, confusions, curves; for people, not for headlines.

All of it comes from one reading of the scores by label, and for clips with one label each one more by clip.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.blocks import label_rows
from earwitness.evaluation.confusions import Confusion, find_confusions, single_label_confusions
from earwitness.evaluation.curves import (
    PrecisionRecall,
    Reliability,
    are_probabilities,
    precision_recall_curve,
    reliability,
)
from earwitness.evaluation.extremes import Extremes
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource

MOST_MATRIX_LABELS = 1_000
"""Of which a confusion matrix is kept."""
_CURVE_POINTS = 40


@dataclass(frozen=True, kw_only=True)
class CloserLook:
    """What there is to see in the scores of all labels."""

    extremes: Extremes
    confusions: tuple[Confusion, ...]
    """Most evidence first."""
    matrix: npt.NDArray[np.float64] | None
    """[true labels, answered labels] in clips, where every clip has one label and the labels are not too many."""
    curves: Mapping[int, PrecisionRecall]
    """By label, of those asked for that have positives; at most 40 points."""
    reliability: Reliability | None
    """Of all labels together; None where a score is no probability."""


def look_closer(
    scores: ScoreSource,
    positives: Positives,
    *,
    curves_of: Collection[int],
    is_single_label: bool,
    memory_bytes: int = 256 * 2**20,
    on_labels: Callable[[int], None] | None = None,
) -> CloserLook:
    """Look at scores closely.

    Args:
        scores: of all clips and labels; finite.
        positives: which clips carry which labels.
        curves_of: labels whose curves are wanted.
        is_single_label: whether every clip has exactly one label.
        memory_bytes: of the blocks that are read; at least one label is.
        on_labels: called with the number of labels done since the last call.
    """
    extremes = Extremes.empty(scores.num_labels, num_false_alarms=50, num_missed=10)
    curves: dict[int, PrecisionRecall] = {}
    pooled: Reliability | None = None
    all_probable = True
    for label, row in label_rows(scores, memory_bytes=memory_bytes):
        own = positives.of(label)
        extremes.put(label, row, own)
        if label in curves_of and len(own):
            curves[label] = precision_recall_curve(row, own, most_points=_CURVE_POINTS)
        all_probable = all_probable and are_probabilities(row)
        if all_probable:
            one = reliability(row, own)
            pooled = one if pooled is None else pooled + one
        if on_labels is not None:
            on_labels(1)
    with_matrix = is_single_label and scores.num_labels <= MOST_MATRIX_LABELS
    return CloserLook(
        extremes=extremes,
        confusions=tuple(find_confusions(extremes, positives)),
        matrix=single_label_confusions(scores, positives) if with_matrix else None,
        curves=curves,
        reliability=pooled if all_probable else None,
    )
