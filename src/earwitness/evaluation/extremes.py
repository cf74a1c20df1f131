"""Where a label is most wrong: the clips that score highest without carrying it, and lowest though they carry it.

No threshold is needed for either. They are what people should listen to, and what `confusions` counts.

A **false alarm** of a label is one of the `num_false_alarms` clips without it that score highest. Where the last of
them shares its score with clips that would be one too many, none of those with this score is taken: so which clips are
taken depends on the scores alone, never on the order of the clips, and a constant score has no false alarms.

A **missed positive** is one of the `num_missed` clips with the label that score lowest; of equal scores, the earlier.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NONE = -1
"""In place of a clip where a label has fewer."""


@dataclass(frozen=True, eq=False)
class Extremes:
    """The clips at the wrong ends of each label's ranking; places without a clip hold `NONE` and nan."""

    false_alarms: npt.NDArray[np.int64]
    """int64 [labels, num_false_alarms]: positions of clips, highest score first."""
    false_alarm_scores: npt.NDArray[np.float64]
    """float64 [labels, num_false_alarms]."""
    missed: npt.NDArray[np.int64]
    """int64 [labels, num_missed]: positions of clips, lowest score first."""
    missed_scores: npt.NDArray[np.float64]
    """float64 [labels, num_missed]."""

    @classmethod
    def empty(cls, num_labels: int, *, num_false_alarms: int, num_missed: int) -> "Extremes":
        """With room for so many, to be filled by `put`."""
        return cls(
            false_alarms=np.full((num_labels, num_false_alarms), NONE, dtype=np.int64),
            false_alarm_scores=np.full((num_labels, num_false_alarms), np.nan),
            missed=np.full((num_labels, num_missed), NONE, dtype=np.int64),
            missed_scores=np.full((num_labels, num_missed), np.nan),
        )

    def put(self, label: int, row: npt.NDArray[Any], positives: npt.NDArray[np.int64]) -> None:
        """Find those of one label.

        Args:
            label: its index.
            row: [clips], its scores.
            positives: positions of its clips, ascending.
        """
        alarms = _highest_without(row, positives, most=self.false_alarms.shape[1])
        missed = positives[np.argsort(row[positives], kind="stable")[: self.missed.shape[1]]]
        self.false_alarms[label, : len(alarms)] = alarms
        self.false_alarm_scores[label, : len(alarms)] = row[alarms]
        self.missed[label, : len(missed)] = missed
        self.missed_scores[label, : len(missed)] = row[missed]


def _highest_without(row: npt.NDArray[Any], positives: npt.NDArray[np.int64], *, most: int) -> npt.NDArray[np.int64]:
    """Positions of the highest scores that are no positives, highest first, equal ones by position."""
    num_negatives = len(row) - len(positives)
    if num_negatives <= most:
        negatives = np.delete(np.arange(len(row)), positives)
    else:
        # so many of the highest that enough negatives are among them, and one that would be too many
        reach = min(most + 1 + len(positives), len(row))
        border = np.partition(row, len(row) - reach)[len(row) - reach]
        near = np.flatnonzero(row >= border)
        near = near[~_is_in(near, positives)]
        excess = np.partition(row[near], len(near) - most - 1)[len(near) - most - 1]
        negatives = near[row[near] > excess]
    return negatives[np.argsort(-row[negatives].astype(np.float64), kind="stable")]


def _is_in(values: npt.NDArray[np.int64], ascending: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the values are among the ascending ones."""
    if not len(ascending):
        return np.zeros(len(values), dtype=np.bool_)
    places = np.searchsorted(ascending, values)
    places[places == len(ascending)] = 0
    return np.asarray(ascending[places] == values)
