"""Yes or no from scores: precision, recall and F1 at a threshold, and thresholds fitted on clips.

A score at or above the threshold is a yes. For one label, from its right and wrong yeses and its missed positives:

    precision = right / (right + wrong)       nan without any yes
    recall    = right / (right + missed)      nan without any positive clip
    F-beta    = (1 + beta^2) right / ((1 + beta^2) right + wrong + beta^2 missed)
                nan without any positive clip; 0 where there are positive clips and no yes is right

F-beta is that of counts, so it needs no precision where there is no yes. F1 is F-beta with beta = 1. Sums over
labels ("micro") are the same formulas on added counts.

A threshold is fitted for one of two aims:

    best F-beta    of all thresholds, the one with the largest F-beta; of equals, the highest
    a precision    of the thresholds whose precision reaches a target, the one with the largest recall

All distinct thresholds are tried, each cutting below all clips of equal score.

Few positive clips tempt a fit: of many thresholds the luckiest looks best, and one lucky clip on top is a precision
of 1. Calibrated scores (`evaluation.calibration`), which have learnt from all labels, say how many yeses are to be
expected right: their sum. So the two are pooled, and what is promised counts as much as ten clips that are seen:

    F-beta       right and positive = P / (P + 10) of what is seen + 10 / (P + 10) of what is promised, for P positives
    precision    (right + 10 * promised share) / (yeses + 10)

With that a label needs one positive clip. Cross-fitted on 4 made corpora (9 to 37 labels) and 10 models of ESC-10
(8 positive clips a label), the mean F1 of labels is 0.42 and 0.85, against 0.36 and 0.83 for the best threshold on the
clips alone, and 0.27 and 0.81 for raw scores at 0.5; for a precision of 0.9, 0.87 and 0.91 of the yeses are right, and
find 0.08 and 0.62 of the positive clips. Believing the share seen, 0.73 and 0.90 are right.

Of scores that promise nothing, a label needs `MIN_POSITIVES` positive clips, and a precision is reached where its lower
bound is: the precision at which so many right of so many yeses, or more, would be seen half the time (the one-sided
bound of Clopper and Pearson at 50 %). For 0.9 that asks for 7 right yeses without a wrong one; on
the same models 0.87 and 0.85 are right then, and find 0.06 and 0.13.

References: van Rijsbergen 1979, chapter 7 (F-beta); Clopper and Pearson 1934; Lipton, Elkan and Naryanaswamy 2014
(F1 expected of calibrated scores, and how the best threshold on the clips alone fails for rare labels).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from earwitness.errors import SettingsError

MIN_POSITIVES = 5
"""A label with fewer positive clips gets no threshold of its own, if its scores are not calibrated."""

_PROMISE = 10.0
"""How many clips the promise of calibrated scores counts as."""

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
    is_calibrated: bool = False,
) -> float:
    """The threshold of one label that fits these clips best, for one of the two aims.

    Args:
        scores: finite, [clips] of the label.
        positive_clips: positions of the clips that have it.
        precision: to be reached, in (0, 1), with the largest recall.
        beta: above 0, of the F-beta that is to be largest.
        is_calibrated: whether scores are probabilities, whose promise counts.

    Returns:
        Midway between the scores that it parts, so that it holds for others, and of the scores' type, so that its
        rounding cannot move it across one of them; the lowest score where it says yes to all. nan where the label has
        too few positive clips, or no others; inf where no threshold reaches the precision.

    Raises:
        SettingsError: not one of the two aims is given, or outside what is allowed.
    """
    require_one_aim(precision=precision, beta=beta)
    num_positives = len(positive_clips)
    if num_positives < (1 if is_calibrated else MIN_POSITIVES) or num_positives == len(scores):
        return float("nan")
    promise = _PROMISE if is_calibrated else 0.0
    if beta is not None:
        cuts, best = _best_f_beta(scores, positive_clips, beta=beta, promise=promise)
    else:
        assert precision is not None
        cuts, best = _largest_recall(scores, positive_clips, precision=precision, promise=promise)
        if best < 0:
            return float("inf")
    cut = cuts.scores[best]
    lower = cuts.scores[best + 1] if best + 1 < len(cuts.scores) else cuts.next_score
    middle = scores.dtype.type((float(lower) + float(cut)) / 2)
    return float(middle if middle > lower else cut)


@dataclass(frozen=True)
class _Cuts:
    """The highest distinct scores of a label, falling, and what yes to all at or above each comes to."""

    scores: npt.NDArray[np.floating]
    num_yeses: npt.NDArray[np.int64]
    num_right: npt.NDArray[np.int64]
    promised: npt.NDArray[np.float64]
    """Sum of the scores of the yeses."""
    next_score: float
    """The highest score below them; the lowest of them where there is none."""


def _highest(scores: npt.NDArray[np.floating], positive_clips: npt.NDArray[np.int64], *, num_clips: float) -> _Cuts:
    """The cuts of so many clips with the highest scores, and those that are equal to the last of them."""
    lowest = scores.min()
    if num_clips < len(scores):
        place = len(scores) - max(1, int(num_clips))
        lowest = np.partition(scores, place)[place]
    is_high = scores >= lowest
    high = np.sort(scores[is_high])[::-1]
    ends = np.flatnonzero(np.append(high[1:] != high[:-1], True))
    cuts = high[ends]
    rest = scores[~is_high]
    return _Cuts(
        scores=cuts,
        num_yeses=ends + 1,
        num_right=len(positive_clips) - np.searchsorted(np.sort(scores[positive_clips]), cuts, side="left"),
        promised=np.cumsum(high, dtype=np.float64)[ends],
        next_score=float(rest.max() if len(rest) else cuts[-1]),
    )


def _best_f_beta(
    scores: npt.NDArray[np.floating], positive_clips: npt.NDArray[np.int64], *, beta: float, promise: float
) -> tuple[_Cuts, int]:
    num_positives = len(positive_clips)
    seen = num_positives / (num_positives + promise)
    wanted = seen * num_positives + (1 - seen) * float(scores.sum(dtype=np.float64))
    num_clips = 4 * (1 + beta**2) * (wanted + 1)
    while True:
        cuts = _highest(scores, positive_clips, num_clips=num_clips)
        right = seen * cuts.num_right + (1 - seen) * cuts.promised
        merits = (1 + beta**2) * right / (cuts.num_yeses + beta**2 * wanted)
        best = int(np.argmax(merits))
        # more yeses than this cannot do as well, were all that is wanted among them
        needed = ((1 + beta**2) / merits[best] - beta**2) * wanted if merits[best] > 0 else np.inf
        if needed <= num_clips or num_clips >= len(scores):
            return cuts, best
        num_clips = needed + 1


def _largest_recall(
    scores: npt.NDArray[np.floating], positive_clips: npt.NDArray[np.int64], *, precision: float, promise: float
) -> tuple[_Cuts, int]:
    """The cuts, and the lowest that reaches the precision; -1 where none does."""
    num_positives = len(positive_clips)
    # of more yeses than this too few are right, were all positive clips and all that is promised among them
    num_clips = (num_positives + promise + 1) / precision
    cuts = _highest(scores, positive_clips, num_clips=num_clips + 1)
    if promise:
        reached = (cuts.num_right + promise * cuts.promised / cuts.num_yeses) / (cuts.num_yeses + promise)
        gains = cuts.num_right + cuts.promised
    else:
        wrong = cuts.num_yeses - cuts.num_right
        reached = np.where(cuts.num_right > 0, betaincinv(np.maximum(cuts.num_right, 1), wrong + 1, 1 - _LIMIT), 0.0)
        gains = cuts.num_right.astype(np.float64)
    reaches = (reached >= precision) & (np.diff(gains, prepend=0.0) > 0)
    return cuts, int(np.flatnonzero(reaches)[-1]) if reaches.any() else -1


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
