"""Curves of one label, for pages: precision against recall, and how far scores are probabilities.

**Precision and recall** at a threshold t are those of answering every clip that scores at or above t:

    precision = of the clips answered, the share that have the label
    recall    = of the clips that have the label, the share that is answered

The points are at the distinct scores of the label's clips, where recall changes; between them precision can only
fall as more clips are answered. The mean of precision over the label's clips is its average precision (`metrics`).

**Reliability**: scores in [0, 1] fall into `bins` bins of equal width. Bin i (from 0) holds the scores in
(i / bins, (i + 1) / bins], the first bin 0 as well; edges are rounded to the scores' own precision.

    calibration error = sum over bins of (clips of the bin / all clips) * |share positive - mean score|

which is the expected calibration error of Guo et al. 2017 for one label's own probability. It says nothing on how
well the label is ranked, and for a rare label it is at most about the mean score plus the prior: read it beside them.

The share positive of a bin has a 95 % interval of Wilson's, as if its pairs of clip and label were drawn independently;
several labels of one clip are not, so it is rather too narrow than too wide.

References: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Guo et al.
2017, "On Calibration of Modern Neural Networks", section 2; Davis and Goadrich 2006 (precision and recall are not to
be joined by straight lines).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from earwitness.errors import ScoreError
from earwitness.evaluation.cells import search_many

_WILSON = float(ndtri(0.975))


@dataclass(frozen=True)
class PrecisionRecall:
    """One label's precision and recall, by rising recall."""

    thresholds: npt.NDArray[Any]
    """[points]: answering the clips that score at or above it; falling."""
    precision: npt.NDArray[np.float64]
    """float64 [points]."""
    recall: npt.NDArray[np.float64]
    """float64 [points]; the last is 1."""


@dataclass(frozen=True)
class Reliability:
    """How often clips have the label, by their score. Several add up to that of all their clips together."""

    counts: npt.NDArray[np.int64]
    """int64 [bins]: clips."""
    score_sums: npt.NDArray[np.float64]
    """float64 [bins]: the sum of their scores."""
    num_positives: npt.NDArray[np.int64]
    """int64 [bins]: clips that have the label."""

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            self.counts + other.counts,
            self.score_sums + other.score_sums,
            self.num_positives + other.num_positives,
        )

    @property
    def mean_score(self) -> npt.NDArray[np.float64]:
        """float64 [bins]; nan where a bin is empty."""
        return _share(self.score_sums, self.counts)

    @property
    def share_positive(self) -> npt.NDArray[np.float64]:
        """float64 [bins]; nan where a bin is empty."""
        return _share(self.num_positives, self.counts)

    @property
    def share_positive_ends(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """float64 [bins] each: the ends of Wilson's 95 % interval of the share; nan where a bin is empty."""
        square = _WILSON**2
        centre = _share(self.num_positives + square / 2, self.counts) / (1 + _share(square, self.counts))
        wrong = self.counts - self.num_positives
        spread = np.sqrt(_share(self.num_positives * wrong, self.counts) + square / 4)
        reach = _WILSON * _share(spread, self.counts) / (1 + _share(square, self.counts))
        return np.maximum(centre - reach, 0.0), np.minimum(centre + reach, 1.0)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error; nan without clips."""
        total = int(np.sum(self.counts))
        return float(np.sum(np.abs(self.num_positives - self.score_sums))) / total if total else float("nan")


def precision_recall_curve(
    scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], *, most_points: int = 200
) -> PrecisionRecall:
    """Precision and recall of one label; exact at every point.

    Args:
        scores: [clips], of the label; finite.
        positive_clips: positions of the clips that have the label, each once.
        most_points: where there are more, as many are kept, evenly spread over recall, first and last among them.

    Returns:
        The points; none where no clip has the label.
    """
    thresholds, counts = np.unique(scores[positive_clips], return_counts=True)
    recalled = np.cumsum(counts[::-1])
    if len(thresholds) > most_points:
        wanted = np.linspace(recalled[0], recalled[-1], most_points)
        kept = np.unique(np.searchsorted(recalled, wanted, side="left"))
    else:
        kept = np.arange(len(thresholds))
    thresholds, recalled = thresholds[::-1][kept], recalled[kept]
    if not len(thresholds):
        return PrecisionRecall(thresholds, np.zeros(0), np.zeros(0))
    levels = search_many(thresholds[::-1], scores[np.flatnonzero(scores >= thresholds[-1])], side="right")
    answered = np.cumsum(np.bincount(levels)[:0:-1])
    return PrecisionRecall(thresholds, recalled / answered, recalled / len(positive_clips))


def reliability(scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], *, bins: int = 15) -> Reliability:
    """Counts of one label's clips by score.

    Args:
        scores: float [clips], of the label, in [0, 1].
        positive_clips: positions of the clips that have the label, each once.
        bins: of equal width, at least two.

    Raises:
        ScoreError: a score is outside [0, 1] or nan.
    """
    if not (scores.min(initial=0.0) >= 0.0 and scores.max(initial=0.0) <= 1.0):
        clip = int(np.flatnonzero(~((scores >= 0.0) & (scores <= 1.0)))[0])
        raise ScoreError(
            f"clip row {clip} (from 0) scores {scores[clip]}; calibration is measured of probabilities, in [0, 1]"
        )
    edges = (np.arange(1, bins) / bins).astype(scores.dtype)
    # most clips lie in the lowest bin, which is what the others leave
    higher = np.flatnonzero(scores > edges[0])
    higher_scores = scores[higher]
    higher_bins = search_many(edges, higher_scores, side="left")
    counts = np.bincount(higher_bins, minlength=bins)
    sums = np.bincount(higher_bins, weights=higher_scores, minlength=bins).astype(np.float64, copy=False)
    counts[0] = len(scores) - len(higher)
    sums[0] = np.sum(scores, dtype=np.float64) - np.sum(sums)
    positive_bins = search_many(edges, scores[positive_clips], side="left")
    return Reliability(counts, sums, np.bincount(positive_bins, minlength=bins))


def are_probabilities(scores: npt.NDArray[Any]) -> bool:
    """Whether scores are floats in [0, 1]; there is at least one."""
    return bool(scores.dtype.kind == "f" and scores.min() >= 0 and scores.max() <= 1)


def calibration_error(scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], *, bins: int = 15) -> float:
    """Expected calibration error of one label; arguments and errors as for `reliability`."""
    return reliability(scores, positive_clips, bins=bins).calibration_error


def _share(parts: npt.NDArray[Any] | float, wholes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    shares = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
