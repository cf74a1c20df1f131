"""Yes or no from scores: precision, recall and F1 at a threshold, and thresholds fitted on clips.

A score at or above the threshold is a yes. For one label, from its right and wrong yeses and its missed positives:

    precision = right / (right + wrong)       nan without any yes
    recall    = right / (right + missed)      nan without any positive clip
    F-beta    = (1 + beta^2) right / ((1 + beta^2) right + wrong + beta^2 missed)
                nan without any positive clip; 0 where there are positive clips and no yes is right

F-beta is that of counts, so it needs no precision where there is no yes. F1 is F-beta with beta = 1. Sums over
labels ("micro") are the same formulas on added counts.

A threshold is fitted for one of two aims:

    best F-beta    of the thresholds, the one with the largest F-beta
    a precision    of the thresholds whose precision holds up, the one with the largest recall

All distinct thresholds are tried, each cutting below all clips of equal score. Only those at the score of a positive
clip can be best: a lower cut down to the next positive adds nothing but wrong yeses. Of equals, the highest is taken.

Few positive clips tempt a fit: of many thresholds the luckiest looks best, and one lucky clip on top is a precision
of 1. So a label with fewer than `MIN_POSITIVES` positive (or no negative) clips has none. And a precision holds up not
where the share of right yeses reaches the target, but where its lower bound does: the precision at which so many right
of so many yeses, or more, would be seen half the time (the one-sided bound of Clopper and Pearson at 50 %). For 0.9
that asks for 7 right yeses and no wrong one, for 0.8 for 4, for 0.5 for 1. A stricter bound, at 80 % say, would ask for
16, and leave most rare labels without a threshold.

References: van Rijsbergen 1979, chapter 7 (F-beta); Clopper and Pearson 1934; Lipton, Elkan and Naryanaswamy 2014
(thresholds for F1, and how they fail for rare labels).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from earwitness.errors import SettingsError

MIN_POSITIVES = 5
"""A label with fewer positive clips gets no threshold of its own."""

_LIMIT = 0.5
"""Confidence of the lower bound on a precision."""


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Yeses of one label over clips, or of several labels added up."""

    true_positives: int
    """Yeses that are right."""
    false_positives: int
    """Yeses that are wrong."""
    false_negatives: int
    """Positive clips that got no yes."""

    @property
    def num_positives(self) -> int:
        """Clips that have the label."""
        return self.true_positives + self.false_negatives

    @property
    def precision(self) -> float:
        """Share of the yeses that are right; nan without any yes."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the positive clips that got a yes; nan without any positive clip."""
        return _share(self.true_positives, self.num_positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of the two, of counts; nan without any positive clip."""
        return self.f_beta(1.0)

    def f_beta(self, beta: float) -> float:
        """F-beta, in which recall weighs beta times as much as precision; nan without any positive clip."""
        if not self.num_positives:
            return float("nan")
        weighted = (1 + beta**2) * self.true_positives
        return weighted / (weighted + self.false_positives + beta**2 * self.false_negatives)


def at_threshold(
    scores: npt.NDArray[np.floating], positive_clips: npt.NDArray[np.int64], threshold: float
) -> Decisions:
    """What one label's scores decide at a threshold.

    Args:
        scores: [clips] of the label.
        positive_clips: positions of the clips that have it.
        threshold: scores at or above it are a yes; inf says no to all.
    """
    # as a double, lest it be rounded to the scores' own type
    threshold = np.float64(threshold)
    right = int(np.count_nonzero(scores[positive_clips] >= threshold))
    return Decisions(
        true_positives=right,
        false_positives=int(np.count_nonzero(scores >= threshold)) - right,
        false_negatives=len(positive_clips) - right,
    )


def added_up(decisions: Iterable[Decisions]) -> Decisions:
    """The counts of several labels (or folds) added up, for micro precision, recall and F1."""
    rows = list(decisions)
    return Decisions(
        true_positives=sum(row.true_positives for row in rows),
        false_positives=sum(row.false_positives for row in rows),
        false_negatives=sum(row.false_negatives for row in rows),
    )


def fit_threshold(
    scores: npt.NDArray[np.floating],
    positive_clips: npt.NDArray[np.int64],
    *,
    precision: float | None = None,
    beta: float | None = None,
) -> float:
    """The threshold of one label that fits these clips best, for one of the two aims.

    Args:
        scores: finite, [clips] of the label.
        positive_clips: positions of the clips that have it.
        precision: to be reached, in (0, 1), with the largest recall.
        beta: above 0, of the F-beta that is to be largest.

    Returns:
        Midway between the scores that it parts, so that it holds for others, and of the scores' type, so that its
        rounding cannot move it across one of them; the lowest score where it says yes to all. nan where the label has
        too few positive clips, or no others; inf where no threshold reaches the precision.

    Raises:
        SettingsError: not one of the two aims is given, or outside what is allowed.
    """
    require_one_aim(precision=precision, beta=beta)
    num_positives = len(positive_clips)
    if num_positives < MIN_POSITIVES or num_positives == len(scores):
        return float("nan")
    own = np.sort(scores[positive_clips])
    cuts, firsts = np.unique(own, return_index=True)
    right = num_positives - firsts
    # of the clips, few score as high as any positive: only these need be sorted
    is_high = scores >= cuts[0]
    high = np.sort(scores[is_high])
    yeses = len(high) - np.searchsorted(high, cuts, side="left")
    if beta is not None:
        merits = (1 + beta**2) * right / (yeses + beta**2 * num_positives)
        best = len(cuts) - 1 - int(np.argmax(merits[::-1]))
    else:
        holds_up = np.flatnonzero(betaincinv(right, yeses - right + 1, 1 - _LIMIT) >= precision)
        if not len(holds_up):
            return float("inf")
        best = int(holds_up[0])
    cut = cuts[best]
    below = high[: len(high) - yeses[best]] if best else scores[~is_high]
    if not len(below):
        return float(cut)
    lower = below.max()
    middle = scores.dtype.type((float(lower) + float(cut)) / 2)
    return float(middle if middle > lower else cut)


def require_one_aim(*, precision: float | None, beta: float | None) -> None:
    """Refuse aims that cannot be fitted for.

    Raises:
        SettingsError: both or none is given, or outside what is allowed.
    """
    if (precision is None) == (beta is None):
        raise SettingsError("thresholds are fitted for a precision or for an F-beta: choose one of the two")
    if precision is not None and not 0 < precision < 1:
        raise SettingsError(f"precision={precision} must lie in (0, 1); 0.9 asks that nine of ten yeses be right")
    if beta is not None and not 0 < beta < float("inf"):
        raise SettingsError(f"f_beta={beta} must be above 0 and finite; 1 weighs precision and recall alike")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
