"""Calibration of the scores of clips: that of the clips with score 0.3 three in ten have the label.

For one label, the raw score p of a clip becomes sigmoid(a * logit(p) + b), Platt's map on the logit, with slope
a = exp(alpha) > 0, so that the order of clips stays. Two numbers a label can be learnt from some dozens of positive
clips; most labels of a large label set have fewer. So labels learn from one another (partial pooling): their
(alpha, b) are taken to be drawn from one two-dimensional normal distribution, whose mean and covariance are learnt from
all labels together. A label with many positive clips goes its own way, one with few follows the others, and how
strictly is what the data say about how much labels differ. With few labels, two weak assumptions hold: the common mean
is near the identity (alpha = b = 0, give or take 1), and labels differ from it by about 0.25 in alpha and 0.5 in b,
with the weight of five labels.

Platt kept his targets off 0 and 1 to the same end, lest two numbers fit few clips too well; here the common
distribution does that, and with these targets as well, log loss on unseen clips was larger
(`benchmarks/calibration.py`). A label without positive clips is
one that was looked for and not found: its scores go down, as far as its negative clips bear it out.

The fit is the usual one for such models: (alpha, b) of every label at the largest posterior by Fisher's scoring, the
distribution by expectation maximisation with the Laplace approximation. Clips enter as numbers and mean logits of
bins of 1/8 of a logit for each label and class, so the work does not grow with their number; what is lost is below
a hundredth in alpha and b.

References: Platt 1999; Guo et al. 2017 (networks are overconfident); Gelman et al., Bayesian Data Analysis, chapter 5
(partial pooling).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.decisions import logits, sigmoid
from earwitness.evaluation.blocks import label_rows
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource

_BINS_PER_LOGIT = 8
_LARGEST_LOGIT = 20.0
_BINS = int(2 * _LARGEST_LOGIT * _BINS_PER_LOGIT)
MEMORY_BYTES = 128 * 2**20
"""Of the scores read at a time."""
_LABELS_AT_ONCE = 64
"""Fitted together: their bins stay in the cache."""

_MEAN_VARIANCE = np.diag([1.0, 1.0])
"""Of the assumption on the common mean of (alpha, b)."""
_USUAL_COVARIANCE = np.diag([0.25**2, 0.5**2])
"""Of (alpha, b) between labels, as assumed ..."""
_USUAL_WEIGHT = 5.0
"""... with the weight of so many labels."""
_ROUNDS = 20
_ROUNDING = 1e-12
"""Of a loss, relative to it."""
_STEPS_AT_FIRST, _STEPS_A_ROUND, _HALVINGS = 8, 2, 12

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BinnedLogits:
    """Raw scores of clips, binned by logit, for every fold of clips, label and class."""

    counts: npt.NDArray[np.float32]
    """[folds, labels, 2 * bins]: clips; negative ones, then positive ones."""
    sums: npt.NDArray[np.float32]
    """[folds, labels, 2 * bins]: of their logits."""

    def without(self, fold: int | None) -> tuple[Floats, Floats]:
        """Counts and mean logits [labels, 2 * bins] of all folds but one."""
        kept = [number for number in range(len(self.counts)) if number != fold]
        counts = self.counts[kept].sum(axis=0, dtype=np.float64)
        sums = self.sums[kept].sum(axis=0, dtype=np.float64)
        return counts, np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)


def bin_logits(
    scores: ScoreSource, positives: Positives, *, folds: npt.NDArray[np.int64] | None = None
) -> BinnedLogits:
    """Bin raw scores, each in [0, 1].

    Args:
        scores: of clips.
        positives: the clips that have each label.
        folds: [clips], numbered from 0; None: all clips are of one.
    """
    num_folds = 1 if folds is None else int(folds.max()) + 1
    size = num_folds * 2 * _BINS
    counts = np.empty((scores.num_labels, size), dtype=np.float32)
    sums = np.empty((scores.num_labels, size), dtype=np.float32)
    starts = np.zeros(scores.num_clips, np.int64) if folds is None else folds * (2 * _BINS)
    for label, raw in label_rows(scores, memory_bytes=MEMORY_BYTES):
        numbers = np.clip(logits(raw), -_LARGEST_LOGIT, _LARGEST_LOGIT)
        bins = ((numbers + _LARGEST_LOGIT) * _BINS_PER_LOGIT).astype(np.int64)
        bins = np.minimum(bins, _BINS - 1) + starts
        bins[positives.of(label)] += _BINS
        counts[label] = np.bincount(bins, minlength=size)
        sums[label] = np.bincount(bins, weights=numbers, minlength=size)
    shape = (scores.num_labels, num_folds, 2 * _BINS)
    return BinnedLogits(counts.reshape(shape).swapaxes(0, 1), sums.reshape(shape).swapaxes(0, 1))


def fit_calibration(binned: BinnedLogits, *, without_fold: int | None = None) -> tuple[Floats, Floats]:
    """Slopes and offsets [labels], fitted to all clips, or to all but those of one fold."""
    counts, means = binned.without(without_fold)
    blocks = [slice(first, first + _LABELS_AT_ONCE) for first in range(0, len(counts), _LABELS_AT_ONCE)]
    labels = [_Labels(counts[block], means[block]) for block in blocks]
    mean, covariance = np.zeros(2), _USUAL_COVARIANCE
    maps, information = np.zeros((len(counts), 2)), np.zeros((len(counts), 2, 2))
    for number in range(_ROUNDS):
        inverse = np.linalg.inv(covariance)
        for _ in range(_STEPS_A_ROUND if number else _STEPS_AT_FIRST):
            for block, own in zip(blocks, labels, strict=True):
                maps[block], information[block] = own.step(maps[block], mean, inverse)
        mean = np.linalg.solve(len(maps) * inverse + np.linalg.inv(_MEAN_VARIANCE), inverse @ maps.sum(axis=0))
        apart = maps - mean
        scatter = np.linalg.inv(information).sum(axis=0) + apart.T @ apart
        covariance = (scatter + _USUAL_WEIGHT * _USUAL_COVARIANCE) / (len(maps) + _USUAL_WEIGHT)
    return np.exp(maps[:, 0]), maps[:, 1]


class _Labels:
    """The log loss of some labels as a function of their maps (alpha, b), [labels, 2]."""

    def __init__(self, counts: Floats, means: Floats) -> None:
        used = np.flatnonzero(counts.any(axis=0))
        self._counts, self._logits = counts[:, used], means[:, used]
        self._positives = np.where(used >= _BINS, self._counts, 0.0)

    def step(self, maps: Floats, mean: Floats, inverse: Floats) -> tuple[Floats, Floats]:
        """One step of Fisher's scoring towards the largest posterior, halved until it is none down.

        Returns:
            The new maps, and the information [labels, 2, 2] at the old ones, that of the distribution included.
        """
        scaled = np.exp(maps[:, :1]) * self._logits
        scores = sigmoid(scaled + maps[:, 1:])
        weights = self._counts * scores * (1 - scores)
        rests = self._counts * scores - self._positives
        slope = np.stack([(rests * scaled).sum(axis=1), rests.sum(axis=1)], axis=1) + (maps - mean) @ inverse
        information = np.empty((len(maps), 2, 2))
        information[:, 0, 0] = np.einsum("lb,lb,lb->l", weights, scaled, scaled)
        information[:, 0, 1] = information[:, 1, 0] = np.einsum("lb,lb->l", weights, scaled)
        information[:, 1, 1] = weights.sum(axis=1)
        information += inverse
        change = np.linalg.solve(information, slope[:, :, None])[:, :, 0]
        before = self._losses(maps, mean, inverse)
        new = maps - change
        for _ in range(_HALVINGS):
            is_worse = ~(self._losses(new, mean, inverse) <= before + _ROUNDING * np.abs(before))
            if not is_worse.any():
                return new, information
            change[is_worse] /= 2
            new = maps - change
        new[is_worse] = maps[is_worse]
        return new, information

    def _losses(self, maps: Floats, mean: Floats, inverse: Floats) -> Floats:
        """[labels]: minus the logarithm of the posterior, but for a constant."""
        numbers = np.exp(maps[:, :1]) * self._logits + maps[:, 1:]
        softplus = np.log1p(np.exp(-np.abs(numbers))) + np.maximum(numbers, 0.0)
        losses: Floats = np.einsum("lb,lb->l", self._counts, softplus)
        losses -= np.einsum("lb,lb->l", self._positives, numbers)
        apart = maps - mean
        losses += 0.5 * np.einsum("li,ij,lj->l", apart, inverse, apart)
        return losses
