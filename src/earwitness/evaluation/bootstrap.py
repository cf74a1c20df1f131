"""How far measures would differ on other clips: a bootstrap over clips, affordable for thousands of labels.

**Resamples.** A resample gives every clip a weight drawn from Poisson(1), as if the clip had come that many times; a
measure of a resample (a replicate) is the measure of `metrics` with clips so repeated. The weights are shared by all
labels, so that clips with several labels, and the means over labels, are right; and by all models that are compared
on the same clips (`paired`). Where a resample has no positive or no negative clip of a label, its replicate is nan
and left out.

**Groups.** With more than 4,096 clips, these are dealt at random into 4,096 equal groups, and a weight is drawn for
each group. Clips fall into groups by chance alone, so sums over groups vary between resamples as much as sums over
clips do; only how well this spread is known falls, to about 1 / sqrt(2 * 4,096) = 1.1 % of it. Up to 4,096 clips,
each has its own weight.

**Cost.** A label needs one count of its clips by (level, group), where level i holds the scores from the i-th
lowest distinct score of its positives up to the next. The product of this table with the weights [groups,
resamples] has the weighted clips of each level in every resample, and sums from the top down give all replicates
of AUC and AP at once. Clips below the lowest positive are not looked at. What is counted of answers at
a threshold (yeses, right ones, misses) is one more such table, of three rows; 1-best accuracy and lwlrap are sums over
clips, added up by group.

**Thinning.** A label with more than 128 distinct scores of positives keeps 128 of them as thresholds: quantiles at
(1 - cos(pi * i / 128)) / 2, which are dense at both ends, where few positives are spread over many clips. Scores of
one level then count as equal in AUC, and precision is taken in the middle of the level (unless all its positives are
equal). Replicates are moved by what this changes in the measure itself, so that they stay around the exact one. The
rest hardly changes: measured for priors of 1 to 50 % and AUC of 0.69 to 0.9998, the spread by at most 2.1 % (200
resamples know it to 5 %), and the ends of intervals by at most 1.7 % of their width, mostly by less than 0.5 %.

**Intervals** are 95 %, from the standard deviation s of the replicates around the measure m itself. A measure in
[0, 1] is taken on the logit scale, logit(m) +- t * s / (m * (1 - m)), so that the interval stays in [0, 1]; others
(d-prime, differences of means) plainly, m +- t * s; for differences of one label see `paired`. Percentiles of the
replicates are not used: repeating a positive lifts the precision at its own score, so that the replicates of every
label lie above its AP. The percentiles of mAP may thus leave out mAP itself, while s is hardly touched. For means
t = 1.96. For one label of n clips (n: its positives or its negatives, the fewer) t = sqrt(n / (n - 1)) * the Student
quantile of n - 1 degrees of freedom, because the spread of few positives is known badly. What is sought is the
expected measure on as many clips of the same kind; AP depends on their number.

How often they cover it (`benchmarks/bootstrap.py`, 400 test sets): 94 to 96 % for AP with 5 to 300 positives; for
AUC 95 % with 300 positives and 92 % with 33. A label of few positives ranked almost without error has too narrow an
interval (78 % at an AUC of 0.998 with 33 positives): its AUC hangs on rare misses that its clips may not show.

There is no interval where there are fewer than two such clips, or where all replicates agree (as with a label ranked
without error): resampling then says nothing.

References: Efron and Tibshirani 1993; Hanley and MacGibbon 2006 (Poisson weights); Boyd, Eng and Page 2013 (intervals
of average precision on the logit scale); Hershey et al. 2017, section 4 (the measures).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, stdtrit

from earwitness.errors import SettingsError
from earwitness.evaluation.cells import search_many
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import rank_label

Replicates = npt.NDArray[np.float64]
"""float64 [resamples]: a measure in every resample; nan where it is undefined."""

_MOST_GROUPS = 4096
_MOST_THRESHOLDS = 128
_FEW_CLIPS = 1000
"""Up to this many, their weights are added up one by one; more are counted by group first."""
_CONFIDENCE = 0.95
_EXACT_IN_FLOAT32 = 2**24
"""Up to here float32 holds every integer, so that sums of weights are exact, in half the time of float64."""


@dataclass(frozen=True)
class LabelReplicates:
    """One label in every resample."""

    auc: Replicates
    average_precision: Replicates
    auc_interval: Interval | None
    """None where the label has fewer than two positive or negative clips, or all replicates agree."""
    average_precision_interval: Interval | None
    """Likewise."""

    @property
    def num_undefined(self) -> int:
        """Resamples in which the label has no positive or no negative clip."""
        return int(np.count_nonzero(np.isnan(self.auc)))


@dataclass(frozen=True)
class AnswerReplicates:
    """Answers at a threshold in every resample, of one label or of several added up; undefined as in `Decisions`."""

    true_positives: Replicates
    false_positives: Replicates
    false_negatives: Replicates

    def __add__(self, other: "AnswerReplicates") -> "AnswerReplicates":
        return AnswerReplicates(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> Replicates:
        """Nan without any yes."""
        return _shares(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> Replicates:
        """Nan without any positive clip."""
        return _shares(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> Replicates:
        """Nan without any positive clip."""
        halves = self.true_positives + (self.false_positives + self.false_negatives) / 2
        f1 = _shares(self.true_positives, halves)
        f1[self.true_positives + self.false_negatives == 0] = np.nan
        return f1


class ReplicateMeans:
    """The mean over labels of a measure, in every resample: of the labels that have one in it.

    Args:
        resamples: as many as the replicates that are added.
    """

    def __init__(self, resamples: int) -> None:
        self._sums = np.zeros(resamples)
        self._counts = np.zeros(resamples, dtype=np.int64)

    def add(self, values: Replicates) -> None:
        """Add one label."""
        is_defined = ~np.isnan(values)
        self._sums[is_defined] += values[is_defined]
        self._counts += is_defined

    def means(self) -> Replicates:
        """Over the labels added so far; nan where none has a value."""
        means = np.full(len(self._sums), np.nan)
        np.divide(self._sums, self._counts, out=means, where=self._counts > 0)
        return means


class Resampling:
    """Weights of clips, the same for all labels: a function of the arguments alone.

    Args:
        num_clips: clips to be weighted.
        resamples: how often, at least two.
        seed: of the weights and of the groups.
        most_groups: more clips than this share weights.

    Raises:
        SettingsError: fewer than two resamples.
    """

    def __init__(self, num_clips: int, *, resamples: int, seed: int, most_groups: int = _MOST_GROUPS) -> None:
        if resamples < 2:
            raise SettingsError(f"resamples={resamples}: an interval needs at least 2; 200 are usual")
        self.resamples = resamples
        rng = np.random.default_rng(seed)
        num_groups = max(1, min(num_clips, most_groups))
        groups = np.arange(num_clips, dtype=np.int32) % num_groups
        self.groups = groups if num_clips <= most_groups else rng.permutation(groups)
        """int32 [clips]: the group of each."""
        weights = rng.poisson(1.0, (num_groups, resamples))
        # first the clips as they are, so that each label's measure is computed like its replicates
        columns = np.concatenate((np.ones((num_groups, 1), dtype=weights.dtype), weights), axis=1)
        totals = np.bincount(groups, minlength=num_groups) @ columns
        kind = np.float32 if totals.max() < _EXACT_IN_FLOAT32 else np.float64
        self.weights: npt.NDArray[Any] = columns.astype(kind)
        """float [groups, 1 + resamples]: the first column is 1."""
        self._totals = totals.astype(np.float64)

    def label(
        self,
        scores: npt.NDArray[Any],
        positive_clips: npt.NDArray[np.int64],
        *,
        measures: tuple[float, float] | None = None,
        most_thresholds: int = _MOST_THRESHOLDS,
    ) -> LabelReplicates:
        """AUC and average precision of one label in every resample.

        Args:
            scores: finite numbers [clips].
            positive_clips: positions of the clips that have the label, each once.
            measures: its AUC and average precision, where they are known already.
            most_thresholds: more distinct scores of positives than this are thinned.

        Returns:
            Both are nan in every resample that has no positive or no negative clip.
        """
        if not len(positive_clips):
            none = np.full(self.weights.shape[1] - 1, np.nan)
            return LabelReplicates(none, none, None, None)
        auc, precision = self._weighted(scores, positive_clips, most_thresholds)
        exact_auc, exact_precision = rank_label(scores, positive_clips) if measures is None else measures
        num_rarer = min(len(positive_clips), len(scores) - len(positive_clips))
        auc, precision = (
            np.clip(values[1:] + (exact - values[0]), 0.0, 1.0)
            for values, exact in ((auc, exact_auc), (precision, exact_precision))
        )
        precision[np.isnan(auc)] = np.nan  # without negatives it is 1, which says nothing
        return LabelReplicates(
            auc,
            precision,
            interval(auc, exact_auc, is_share=True, num_clips=num_rarer),
            interval(precision, exact_precision, is_share=True, num_clips=num_rarer),
        )

    def answers(
        self, scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], threshold: float
    ) -> AnswerReplicates:
        """What one label's scores answer at a threshold in every resample; arguments as for `at_threshold`."""
        yeses = np.flatnonzero(scores >= np.float64(threshold))
        is_right = scores[positive_clips] >= np.float64(threshold)
        found, lost = positive_clips[is_right], positive_clips[~is_right]
        kinds = np.repeat(np.arange(3), [len(yeses), len(found), len(lost)])
        answered, right, missed = self._by_level(kinds, np.concatenate((yeses, found, lost)), 3)[:, 1:]
        return AnswerReplicates(right, answered - right, missed)

    def mean(self, values: npt.NDArray[np.float64], clips: npt.NDArray[np.int64]) -> Replicates:
        """In every resample, the mean of values that belong to clips; nan where none of these clips is in it.

        Args:
            values: finite.
            clips: the clip that each belongs to; a clip may have several, or none.
        """
        groups, num_groups = self.groups[clips], len(self.weights)
        drawn = self.weights[:, 1:].astype(np.float64)
        sums = np.bincount(groups, weights=values, minlength=num_groups) @ drawn
        return _shares(sums, np.bincount(groups, minlength=num_groups) @ drawn)

    def _weighted(
        self, scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], most_thresholds: int
    ) -> tuple[Replicates, Replicates]:
        """AUC and average precision by each column of weights."""
        own = scores[positive_clips]
        distinct = np.unique(own)
        thresholds = distinct if len(distinct) <= most_thresholds else _thinned(own, most_thresholds)
        own_levels = search_many(thresholds, own, side="right") - 1
        reached = np.flatnonzero(scores >= thresholds[0])
        reached_scores = scores[reached]
        levels = search_many(thresholds, reached_scores, side="right") - 1

        answered = self._by_level(levels, reached, len(thresholds))
        right = self._by_level(own_levels, positive_clips, len(thresholds))
        wrong = answered - right
        tied = np.zeros_like(wrong)
        equal = np.flatnonzero(thresholds[levels] == reached_scores)
        own_equal = np.flatnonzero(thresholds[own_levels] == own)
        if len(equal) > len(own_equal):
            tied += self._by_level(levels[equal], reached[equal], len(thresholds))
            tied -= self._by_level(own_levels[own_equal], positive_clips[own_equal], len(thresholds))
        answered_above, right_above, wrong_above = (_sums_from_above(counts) for counts in (answered, right, wrong))
        num_right = right_above[0].copy()
        if len(distinct) > len(thresholds):
            # of a level with several scores, half of the clips lie above a positive of it
            is_mixed = np.bincount(search_many(thresholds, distinct, side="right") - 1) > 1
            tied[is_mixed] = wrong[is_mixed]
            answered_above[is_mixed] -= answered[is_mixed] / 2
            right_above[is_mixed] -= right[is_mixed] / 2
        num_wrong = self._totals - num_right
        with np.errstate(invalid="ignore", divide="ignore"):  # a level, or a resample, without clips
            precisions = np.where(right > 0, right_above / answered_above, 0.0)
            average_precision = np.sum(right * precisions, axis=0) / num_right
            lost = np.sum(right * (wrong_above - tied / 2), axis=0)
            auc = 1.0 - lost / (num_right * num_wrong)
        return auc, average_precision

    def _by_level(
        self, levels: npt.NDArray[np.intp], clips: npt.NDArray[np.intp], num_levels: int
    ) -> npt.NDArray[np.float64]:
        """The weights of clips added up by level: float64 [levels, 1 + resamples], exact integers."""
        if len(clips) <= _FEW_CLIPS:
            sums = np.zeros((num_levels, self.weights.shape[1]))
            order = np.argsort(levels, kind="stable")
            present, starts = np.unique(levels[order], return_index=True)
            sums[present] = np.add.reduceat(self.weights[self.groups[clips[order]]], starts, axis=0)
            return sums
        num_groups = len(self.weights)
        cells = levels * num_groups
        cells += self.groups[clips]
        counts = np.bincount(cells, minlength=num_levels * num_groups).reshape(num_levels, num_groups)
        weighted: npt.NDArray[np.float64] = (counts.astype(self.weights.dtype) @ self.weights).astype(np.float64)
        return weighted


def interval(values: Replicates, measure: float, *, is_share: bool, num_clips: int | None = None) -> Interval | None:
    """A 95 % interval around a measure.

    Args:
        values: the measure in every resample; those that are not finite are left out.
        measure: the measure itself.
        is_share: whether it lies in [0, 1].
        num_clips: for a measure of one label: its positive or its negative clips, the fewer; None for means of
            labels.

    Returns:
        None if the measure is not finite, there are fewer than two clips, or the values do not differ.
    """
    values = values[np.isfinite(values)]
    if not math.isfinite(measure) or len(values) < 2 or (num_clips is not None and num_clips < 2):
        return None
    spread = float(np.std(values, ddof=1))
    if spread <= np.finfo(np.float64).eps or (is_share and not 0.0 < measure < 1.0):
        return None
    if num_clips is None:
        reach = float(stdtrit(np.inf, (1 + _CONFIDENCE) / 2)) * spread
    else:
        quantile = float(stdtrit(num_clips - 1, (1 + _CONFIDENCE) / 2))
        reach = quantile * math.sqrt(num_clips / (num_clips - 1)) * spread
    if not is_share:
        return Interval(measure - reach, measure + reach)
    centre, reach = float(logit(measure)), reach / (measure * (1 - measure))
    return Interval(float(expit(centre - reach)), float(expit(centre + reach)))


def _shares(parts: Replicates, wholes: Replicates) -> Replicates:
    """Nan where the whole is 0."""
    shares = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares


def _thinned(own: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """At most so many of the positives' scores, the lowest among them; distinct, ascending."""
    quantiles = (1.0 - np.cos(np.pi * np.arange(most) / most)) / 2
    return np.unique(np.sort(own)[(quantiles * len(own)).astype(np.int64)])


def _sums_from_above(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each level and all above it."""
    return np.cumsum(counts[::-1], axis=0)[::-1]
