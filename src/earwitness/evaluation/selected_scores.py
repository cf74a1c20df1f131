"""Some clips and labels of scores, in an order of one's own: so that two tables of scores can be laid side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.score_source import ScoreSource

Indices = npt.NDArray[np.int64]


class SelectedScores:
    """A score source over another.

    Args:
        scores: to be selected from.
        clips: positions in `scores`, in the order wanted. Neighbours are read together, so that an order much like
            that of `scores` is quick to read by clip; but never more at a time than the block has numbers (or one
            label of all clips, one clip of all labels).
        labels: likewise.
    """

    def __init__(self, scores: ScoreSource, *, clips: Indices, labels: Indices) -> None:
        self._scores, self._clips, self._labels = scores, clips, labels

    @property
    def num_clips(self) -> int:
        """Clips selected."""
        return len(self._clips)

    @property
    def num_labels(self) -> int:
        """Labels selected."""
        return len(self._labels)

    def label_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[labels of the block, clips], C-contiguous."""
        step = _step(stop - first, kept=self.num_clips, of=self._scores.num_clips)
        runs = _runs(self._labels[first:stop], most=step)
        parts = [self._scores.label_block(*run)[:, self._clips] for run in runs]
        return np.ascontiguousarray(np.concatenate(parts)) if parts else np.empty((0, self.num_clips))

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[clips of the block, labels]."""
        step = _step(stop - first, kept=self.num_labels, of=self._scores.num_labels)
        runs = _runs(self._clips[first:stop], most=step)
        parts = [self._scores.clip_block(*run)[:, self._labels] for run in runs]
        return np.concatenate(parts) if parts else np.empty((0, self.num_labels))


def _step(size: int, *, kept: int, of: int) -> int:
    """How much is read at a time for a block of this size: as many numbers as it has, or one row."""
    return max(1, size * kept // max(of, 1))


def _runs(positions: Indices, *, most: int) -> Iterator[tuple[int, int]]:
    """The positions as ranges of at most so many neighbours, [first, stop) each."""
    for run in np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1):
        for start in range(0, len(run), most):
            part = run[start : start + most]
            yield int(part[0]), int(part[-1]) + 1
