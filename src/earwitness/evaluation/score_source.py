"""Scores of clips that are read in blocks, so that a table larger than memory can be evaluated.

Measures of a label need the scores of all clips for that label (`label_block`), measures of a clip those of all labels
for that clip (`clip_block`). Ranges are half-open. Scores are numbers of any real type, the same for every block.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError


class ScoreSource(Protocol):
    """A table of scores [clips, labels] that can be read both ways."""

    @property
    def num_clips(self) -> int:
        """Clips scored."""

    @property
    def num_labels(self) -> int:
        """Labels scored."""

    def label_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[labels of the block, clips], C-contiguous, of the labels [first, stop)."""

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[clips of the block, labels] of the clips [first, stop)."""


class ArrayScores:
    """A table of scores that is in memory.

    Args:
        scores: [clips, labels], larger is more likely.

    Raises:
        ScoreError: the scores are not a table, or not real numbers.
    """

    def __init__(self, scores: npt.NDArray[Any]) -> None:
        self.scores = np.asarray(scores)
        if self.scores.ndim != 2:
            raise ScoreError(f"scores are {self.scores.shape}; they must be [clips, labels]")
        if self.scores.dtype.kind not in "fiu":
            raise ScoreError(f"scores must be numbers, came {self.scores.dtype}")

    @property
    def num_clips(self) -> int:
        """Clips scored."""
        return int(self.scores.shape[0])

    @property
    def num_labels(self) -> int:
        """Labels scored."""
        return int(self.scores.shape[1])

    def label_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[labels of the block, clips], copied."""
        return np.ascontiguousarray(self.scores[:, first:stop].T)

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[clips of the block, labels], a view."""
        return self.scores[first:stop]
