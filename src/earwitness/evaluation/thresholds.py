"""Yes or no from scores: precision, recall and F1 at a threshold, and thresholds fitted on clips.

A score at or above the threshold is a yes. For one label, from its right and wrong yeses and its missed positives:

    precision = right / (right + wrong)       nan without any yes
    recall    = right / (right + missed)      nan without any positive clip
    F-beta    = (1 + beta^2) right / ((1 + beta^2) right + wrong + beta^2 missed)
                nan without any positive clip; 0 where there are positive clips and no yes is right

F-beta is that of counts, so it needs no precision where there is no yes. F1 is F-beta with beta = 1. Sums over
labels ("micro") are the same formulas on added counts.

References: van Rijsbergen 1979, chapter 7 (F-beta).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
