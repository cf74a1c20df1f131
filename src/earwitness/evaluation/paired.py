"""Two models on the same clips: how much better is one, and is that more than chance?

The clips are resampled as in `bootstrap`, with the same weights for both models, so that what makes clips easy or hard
for both falls out of the difference. Measures are those of `summary`, over the same labels; a difference is always
a - b. `share_better` and `share_worse` are the shares of resamples in which a is ahead of b, and b of a; in the rest
both are equal, as they often are where a label is ranked without error. Where one of them is near 1, the order of
the two would hold on other clips.

**Intervals of a label** are percentiles of the resampled differences, so that no end lies where none of these does: of
a b that is perfect in every resample, a is never said to be ahead perhaps. They are expanded for few clips (Hesterberg
2015): with t as in `bootstrap`, the ends are the quantiles at Phi(-t) and Phi(t), which for many clips are those at
2.5 and 97.5 %. The measured difference is always within. Of 400 test sets of 3 to 50 positives, these cover the
expected difference in 93 to 100 %; without the expansion 90 to 99 %, and m +- t * s in 92 to 100 %.

**Intervals of means over labels** are plain, m +- 1.96 s. Repeating a positive lifts the precision of the worse model
more than that of the better one, and over some hundred labels percentiles may leave out the difference itself. They
are cut where a model would have to be beyond 0 or 1: a - b is at most 1 less the least that b has in any resample, and
at most the most that a has; and likewise below.

References: Efron and Tibshirani 1993; Berg-Kirkpatrick, Burkett and Klein 2012 (paired bootstrap of two systems);
Hesterberg 2015, "What teachers should know about the bootstrap" (expanded percentiles).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from earwitness.decisions import USUAL_THRESHOLD
from earwitness.errors import ScoreError
from earwitness.evaluation.blocks import label_rows, require_same_table
from earwitness.evaluation.bootstrap import AnswerReplicates, ReplicateMeans, Replicates, Resampling, interval
from earwitness.evaluation.clip_measures import ClipMeasures, clip_measures
from earwitness.evaluation.curves import are_probabilities
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import auc_to_dprime, rank_label
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.evaluation.thresholds import Decisions, added_up, at_threshold
from earwitness.labels import LabelSet

_UPPER = 0.975
"""Upper end of a 95 % interval."""

Measured = tuple[float, Replicates]
"""A measure, and the same in every resample."""


@dataclass(frozen=True)
class PairedDifference:
    """One measure of two models on the same clips; nan and None where it is undefined."""

    a: float
    b: float
    difference: float
    """a - b."""
    interval: Interval | None
    """95 %, of the difference."""
    share_better: float
    """Share of the resamples in which a is ahead of b; those in which both are equal count for neither."""
    share_worse: float
    """Likewise of b ahead of a."""


@dataclass(frozen=True)
class LabelComparison:
    """One label's row."""

    id: str
    name: str
    num_positives: int
    average_precision: PairedDifference

    @property
    def is_defined(self) -> bool:
        """Whether the label has both positive and negative clips."""
        return not math.isnan(self.average_precision.difference)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same clips."""

    num_clips: int
    num_labels: int
    num_undefined_labels: int
    """Labels without positive or without negative clips, left out of the means."""
    resamples: int
    metrics: Mapping[str, PairedDifference]
    """As in `summary.Evaluation`: `mean_average_precision`, `mean_auc`, `dprime` (that of the mean AUC),
    `one_best_accuracy`, `lwlrap`; and `mean_f1` and `micro_f1` where both models have thresholds, or probabilities."""
    labels: tuple[LabelComparison, ...]
    """In the order of the label set."""
    is_single_label: bool = False
    """Whether every clip has exactly one label."""
    are_equal: bool = False
    """Whether the scores of both are the same numbers."""


def compare_scores(
    a: ScoreSource,
    b: ScoreSource,
    positives: Positives,
    *,
    label_set: LabelSet,
    thresholds_a: npt.NDArray[np.float64] | None = None,
    thresholds_b: npt.NDArray[np.float64] | None = None,
    resamples: int = 200,
    seed: int = 0,
    memory_bytes: int = 512 << 20,
    on_labels: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare two models' scores of the same clips, streamed by blocks of labels.

    Args:
        a: the scores of one model.
        b: the scores of the other, of the same clips and labels in the same order.
        positives: the labels of the clips.
        label_set: names the labels.
        thresholds_a: [labels] of the one model. None: 0.5 if all its scores are probabilities, else none.
        thresholds_b: likewise of the other.
        resamples: how often clips are drawn anew.
        seed: of those draws.
        memory_bytes: of the blocks that are read.
        on_labels: called with the number of labels done since the last call.

    Raises:
        ScoreError: scores and labels differ in number, or a score is nan or infinite.
        SettingsError: fewer than two resamples.
    """
    require_same_table(a, positives)
    require_same_table(b, positives)
    if positives.num_labels != len(label_set):
        raise ScoreError(f"scores have {positives.num_labels} columns, but the label set has {len(label_set)} labels")
    resampling = Resampling(positives.num_clips, resamples=resamples, seed=seed)
    answers_a, answers_b = _Answers(resampling, thresholds_a), _Answers(resampling, thresholds_b)
    means_a, means_b = _Means(resamples), _Means(resamples)
    rows = []
    are_equal = True
    sides = (label_rows(source, memory_bytes=memory_bytes // 2) for source in (a, b))
    for (label, scores_a), (_, scores_b) in zip(*sides, strict=True):
        clips = positives.of(label)
        num_rarer = min(len(clips), positives.num_clips - len(clips))
        own_a, own_b = means_a.add(scores_a, clips, resampling), means_b.add(scores_b, clips, resampling)
        precision = paired_difference(own_a, own_b, num_clips=num_rarer, is_share=True)
        answers_a.add(label, scores_a, clips, is_defined=~np.isnan(own_a[1]))
        answers_b.add(label, scores_b, clips, is_defined=~np.isnan(own_b[1]))
        are_equal = are_equal and bool(np.array_equal(scores_a, scores_b))
        rows.append(LabelComparison(label_set.ids[label], label_set.names[label], len(clips), precision))
        if on_labels is not None:
            on_labels(1)
    aucs = means_a.auc(), means_b.auc()
    of_clips_a, of_clips_b = (
        clip_measures(source, positives, memory_bytes=memory_bytes // 2, resampling=resampling) for source in (a, b)
    )
    shares: dict[str, tuple[Measured, Measured]] = {
        "mean_average_precision": (means_a.average_precision(), means_b.average_precision()),
        "mean_auc": aucs,
        "one_best_accuracy": (_accuracy(of_clips_a), _accuracy(of_clips_b)),
        "lwlrap": (_lwlrap(of_clips_a), _lwlrap(of_clips_b)),
    }
    if answers_a.are_there and answers_b.are_there:
        shares["mean_f1"] = answers_a.mean_f1(), answers_b.mean_f1()
        shares["micro_f1"] = answers_a.micro_f1(), answers_b.micro_f1()
    metrics = {name: paired_difference(*both, is_share=True) for name, both in shares.items()}
    dprimes = ((float(auc_to_dprime(auc)), auc_to_dprime(drawn)) for auc, drawn in aucs)
    order = ("mean_average_precision", "mean_auc", "dprime", "one_best_accuracy", "lwlrap", "mean_f1", "micro_f1")
    metrics["dprime"] = paired_difference(*dprimes)
    return Comparison(
        num_clips=positives.num_clips,
        num_labels=positives.num_labels,
        num_undefined_labels=sum(not row.is_defined for row in rows),
        resamples=resamples,
        metrics={name: metrics[name] for name in order if name in metrics},
        labels=tuple(rows),
        is_single_label=of_clips_a.is_single_label,
        are_equal=are_equal,
    )


def paired_difference(
    a: Measured, b: Measured, *, num_clips: int | None = None, is_share: bool = False
) -> PairedDifference:
    """The difference of two models in one measure.

    Args:
        a: the measure of one model, and its replicates.
        b: the same of the other, in the same resamples. Resamples in which the difference is undefined are left out.
        num_clips: for one label: its positive or its negative clips, the fewer; None for means of labels.
        is_share: whether both lie in [0, 1].

    Returns:
        No interval if the difference is not finite, there are fewer than two clips, or all resamples agree.
    """
    with np.errstate(invalid="ignore"):  # infinite less infinite
        difference = float(np.subtract(a[0], b[0]))
        differences = a[1] - b[1]
    num_known = np.count_nonzero(~np.isnan(differences))
    ends = interval(differences, difference, is_share=False, num_clips=num_clips)
    if ends is not None and num_clips is not None:
        ends = _expanded_percentiles(differences, difference, num_clips)
    elif ends is not None and is_share:
        ends = _within_shares(ends, a, b)
    return PairedDifference(
        a[0],
        b[0],
        difference,
        ends,
        np.count_nonzero(differences > 0) / num_known if num_known else math.nan,
        np.count_nonzero(differences < 0) / num_known if num_known else math.nan,
    )


def _expanded_percentiles(differences: Replicates, difference: float, num_clips: int) -> Interval:
    """Percentiles of the differences, further out for few clips, and never without the measured one."""
    reach = float(stdtrit(num_clips - 1, _UPPER)) * math.sqrt(num_clips / (num_clips - 1))
    low, high = np.quantile(differences[np.isfinite(differences)], [float(ndtr(-reach)), float(ndtr(reach))])
    return Interval(min(float(low), difference), max(float(high), difference))


def _within_shares(ends: Interval, a: Measured, b: Measured) -> Interval:
    """The interval without what would need one of both beyond 0 or 1 while the other is as it was in some resample."""
    (least_a, most_a), (least_b, most_b) = (
        (min(measure, float(np.nanmin(drawn))), max(measure, float(np.nanmax(drawn)))) for measure, drawn in (a, b)
    )
    return Interval(max(ends.low, -most_b, least_a - 1.0), min(ends.high, most_a, 1.0 - least_b))


class _Means:
    """One model's means over the defined labels, with their replicates."""

    def __init__(self, resamples: int) -> None:
        self._aucs: list[float] = []
        self._precisions: list[float] = []
        self._drawn_auc = ReplicateMeans(resamples)
        self._drawn_precision = ReplicateMeans(resamples)
        self._undefined: Measured = math.nan, np.full(resamples, np.nan)

    def add(self, scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], resampling: Resampling) -> Measured:
        """Add one label; its average precision."""
        auc, precision = rank_label(scores, positive_clips)
        if math.isnan(auc):
            return self._undefined
        drawn = resampling.label(scores, positive_clips, measures=(auc, precision))
        self._aucs.append(auc)
        self._precisions.append(precision)
        self._drawn_auc.add(drawn.auc)
        self._drawn_precision.add(drawn.average_precision)
        return precision, drawn.average_precision

    def auc(self) -> Measured:
        return _mean(self._aucs), self._drawn_auc.means()

    def average_precision(self) -> Measured:
        return _mean(self._precisions), self._drawn_precision.means()


class _Answers:
    """One model's answers at its thresholds, with their replicates."""

    def __init__(self, resampling: Resampling, thresholds: npt.NDArray[np.float64] | None) -> None:
        self._resampling, self._thresholds = resampling, thresholds
        self.are_there = True
        """Whether there are any: thresholds, or so far nothing but probabilities."""
        self._f1: list[float] = []
        self._drawn_f1 = ReplicateMeans(resampling.resamples)
        self._decisions: list[Decisions] = []
        self._pooled = AnswerReplicates(*(np.zeros(resampling.resamples) for _ in range(3)))

    def add(
        self,
        label: int,
        scores: npt.NDArray[Any],
        positive_clips: npt.NDArray[np.int64],
        *,
        is_defined: npt.NDArray[np.bool_],
    ) -> None:
        """Add one label, and in which resamples it is defined."""
        if self._thresholds is None:
            self.are_there = self.are_there and are_probabilities(scores)
        if not self.are_there:
            return
        threshold = USUAL_THRESHOLD if self._thresholds is None else float(self._thresholds[label])
        decisions = at_threshold(scores, positive_clips, threshold)
        drawn = self._resampling.answers(scores, positive_clips, threshold)
        self._decisions.append(decisions)
        self._pooled += drawn
        if 0 < len(positive_clips) < len(scores):
            self._f1.append(decisions.f1)
            self._drawn_f1.add(np.where(is_defined, drawn.f1, np.nan))

    def mean_f1(self) -> Measured:
        return _mean(self._f1), self._drawn_f1.means()

    def micro_f1(self) -> Measured:
        return added_up(self._decisions).f1, self._pooled.f1


def _accuracy(measures: ClipMeasures) -> Measured:
    assert measures.drawn_one_best_accuracy is not None
    return measures.one_best_accuracy, measures.drawn_one_best_accuracy


def _lwlrap(measures: ClipMeasures) -> Measured:
    assert measures.drawn_lwlrap is not None
    return measures.lwlrap, measures.drawn_lwlrap


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
