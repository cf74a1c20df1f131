"""draft"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.cells import search_many
from earwitness.evaluation.metrics import rank_labels

Replicates = npt.NDArray[np.float64]
_MOST_GROUPS = 4096
_MOST_THRESHOLDS = 256


@dataclass(frozen=True)
class LabelReplicates:
    auc: Replicates
    average_precision: Replicates


class Resampling:
    def __init__(self, num_clips: int, resamples: int, seed: int, most_groups: int = _MOST_GROUPS) -> None:
        rng = np.random.default_rng(seed)
        num_groups = max(1, min(num_clips, most_groups))
        group_of = np.arange(num_clips, dtype=np.int32) % num_groups
        self.group_of = group_of if num_clips <= most_groups else rng.permutation(group_of)
        self.weights = rng.poisson(1.0, (num_groups, resamples))

    def label(
        self,
        scores: npt.NDArray[Any],
        positive_clips: npt.NDArray[np.int64],
        *,
        auc: float | None = None,
        average_precision: float | None = None,
        most_thresholds: int = _MOST_THRESHOLDS,
    ) -> LabelReplicates:
        return replicate_label(scores, positive_clips, self.group_of, self.weights.astype(np.float32), most_thresholds)


def replicate_label(scores, positive_clips, group_of, weights, most_thresholds):
    num_groups, resamples = weights.shape
    if not len(positive_clips):
        none = np.full(resamples, np.nan)
        return LabelReplicates(none, none)
    own = scores[positive_clips]
    thresholds, own_levels = np.unique(own, return_inverse=True)
    is_thinned = len(thresholds) > most_thresholds
    if is_thinned:
        ranked = np.sort(own)
        thresholds = np.unique(ranked[np.arange(most_thresholds) * len(ranked) // most_thresholds])
        own_levels = search_many(thresholds, own, side="right") - 1
    num_levels = len(thresholds)

    def by_level(levels, clips):
        counts = np.bincount(levels * num_groups + group_of[clips], minlength=num_levels * num_groups)
        return counts.reshape(num_levels, num_groups).astype(weights.dtype) @ weights

    reached = np.flatnonzero(scores >= thresholds[0])
    reached_scores = scores[reached]
    levels = search_many(thresholds, reached_scores, side="right") - 1
    answered = by_level(levels, reached)
    right = by_level(own_levels, positive_clips)
    wrong = answered - right
    if is_thinned:
        tied = wrong
    else:
        equal = np.flatnonzero(thresholds[levels] == reached_scores)
        tied = by_level(levels[equal], reached[equal]) - right if len(equal) > len(positive_clips) else np.zeros_like(wrong)

    def at_or_above(of_level):
        return np.cumsum(of_level[::-1], axis=0)[::-1].astype(np.float64)

    answered_above, right_above, wrong_above = at_or_above(answered), at_or_above(right), at_or_above(wrong)
    num_right = right_above[0]
    total = np.bincount(group_of, minlength=num_groups).astype(weights.dtype) @ weights
    num_wrong = total - num_right
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.divide(right_above, answered_above, out=np.zeros_like(right_above), where=answered_above > 0)
        average_precision = np.sum(right * precision, axis=0) / num_right
        auc = 1.0 - np.sum(right * (wrong_above - tied / 2), axis=0) / (num_right * num_wrong)
    return LabelReplicates(auc, average_precision)
