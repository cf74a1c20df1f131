"""Some clips and labels of scores, in an order of one's own: so that two tables of scores can be laid side by side."""

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
            that of `scores` is quick to read by clip.
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
        parts = [self._scores.label_block(*run)[:, self._clips] for run in _runs(self._labels[first:stop])]
        return np.ascontiguousarray(np.concatenate(parts)) if parts else np.empty((0, self.num_clips))

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        """[clips of the block, labels]."""
        parts = [self._scores.clip_block(*run)[:, self._labels] for run in _runs(self._clips[first:stop])]
        return np.concatenate(parts) if parts else np.empty((0, self.num_labels))


def _runs(positions: Indices) -> list[tuple[int, int]]:
    """The positions as ranges of neighbours, [first, stop) each."""
    if not len(positions):
        return []
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    starts = np.concatenate([[0], breaks])
    stops = np.concatenate([breaks, [len(positions)]])
    return [(int(positions[a]), int(positions[b - 1]) + 1) for a, b in zip(starts, stops, strict=True)]
