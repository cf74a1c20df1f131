"""Two models on the same clips: how much better is one, and is that more than chance?

The clips are resampled as in `bootstrap`, with the same weights for both models, so that what makes clips easy or hard
for both falls out of the difference. Measures are those of `summary`, over the same labels; a difference is always
a - b. Its interval is plain (m +- 1.96 s), and `share_better` is the share of resamples in which a is ahead, with
equal ones counted half: near 1 or near 0 the order of the two would hold on other clips, near 0.5 it would not.

References: Efron and Tibshirani 1993; Berg-Kirkpatrick, Burkett and Klein 2012 (paired bootstrap of two systems).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.evaluation.blocks import label_rows, require_same_table
from earwitness.evaluation.bootstrap import ReplicateMeans, Replicates, Resampling, interval
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import auc_to_dprime, rank_label
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.labels import LabelSet

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
    """Share of the resamples in which a is ahead of b; equal ones count half."""


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
    """`mean_average_precision`, `mean_auc` and `dprime` (that of the mean AUC), as in `summary.Evaluation`."""
    labels: tuple[LabelComparison, ...]
    """In the order of the label set."""


def compare_scores(
    a: ScoreSource,
    b: ScoreSource,
    positives: Positives,
    *,
    label_set: LabelSet,
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
    means_a, means_b = _Means(resamples), _Means(resamples)
    rows = []
    sides = (label_rows(source, memory_bytes=memory_bytes // 2) for source in (a, b))
    for (label, scores_a), (_, scores_b) in zip(*sides, strict=True):
        clips = positives.of(label)
        num_rarer = min(len(clips), positives.num_clips - len(clips))
        precision = paired_difference(
            means_a.add(scores_a, clips, resampling), means_b.add(scores_b, clips, resampling), num_clips=num_rarer
        )
        rows.append(LabelComparison(label_set.ids[label], label_set.names[label], len(clips), precision))
        if on_labels is not None:
            on_labels(1)
    aucs = means_a.auc(), means_b.auc()
    return Comparison(
        num_clips=positives.num_clips,
        num_labels=positives.num_labels,
        num_undefined_labels=sum(not row.is_defined for row in rows),
        resamples=resamples,
        metrics={
            "mean_average_precision": paired_difference(means_a.average_precision(), means_b.average_precision()),
            "mean_auc": paired_difference(*aucs),
            "dprime": paired_difference(*((float(auc_to_dprime(m)), auc_to_dprime(drawn)) for m, drawn in aucs)),
        },
        labels=tuple(rows),
    )


def paired_difference(a: Measured, b: Measured, *, num_clips: int | None = None) -> PairedDifference:
    """The difference of two models in one measure.

    Args:
        a: the measure of one model, and its replicates.
        b: the same of the other, in the same resamples. Resamples in which the difference is undefined are left out.
        num_clips: as for `bootstrap.interval`.
    """
    with np.errstate(invalid="ignore"):  # infinite less infinite
        difference = float(np.subtract(a[0], b[0]))
        differences = a[1] - b[1]
    num_known = np.count_nonzero(~np.isnan(differences))
    wins = np.count_nonzero(differences > 0) + np.count_nonzero(differences == 0) / 2
    return PairedDifference(
        a[0],
        b[0],
        difference,
        interval(differences, difference, is_share=False, num_clips=num_clips),
        wins / num_known if num_known else math.nan,
    )


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


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
