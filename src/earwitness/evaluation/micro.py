"""Micro measures: AUC and average precision of all (clip, label) pairs in one ranking.

A pair is positive if the clip has the label. AUC and AP are defined as in `metrics`, ties included, with pairs of a
clip and a label in place of clips; scores are so compared between labels as well. Frequent labels weigh more here
than in the class-balanced means.

Exact without sorting all scores: what is asked is how many scores lie above, and at or above, each distinct score of
the positive pairs. Scores fall into cells that keep their order (`_cells`); only those in the same cell as a positive
are sorted and compared one by one, the rest are counted by cell. The counts are integers, so that blocks of any size
and order give the same result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.blocks import clip_blocks, require_same_table
from earwitness.evaluation.cells import cells
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource

_MOST_CELL_BITS = 24
"""2 ** 15 cells for each doubling of the score: even with a positive in every tenth, most scores share none."""
_CELL_BYTES = 4 * (8 + 8 + 1)
"""Of the tables for each cell, times four: they take a quarter of the memory."""
_BLOCK_SHARE = 6
"""Blocks as read take a sixth of the memory: beside them are cells, positions and the sorted scores."""


@dataclass(frozen=True)
class MicroRanking:
    """All pairs of a clip and a label in one ranking."""

    auc: float
    """nan without positive or without negative pairs."""
    average_precision: float
    """nan without positive pairs."""


def micro_ranking(source: ScoreSource, positives: Positives, *, memory_bytes: int = 512 << 20) -> MicroRanking:
    """Micro AUC and average precision, streamed by blocks of clips; the scores are read twice.

    Args:
        source: the scores; larger is more likely.
        positives: the labels of the same clips.
        memory_bytes: for blocks and what is counted in them. A few numbers for every positive pair come on top.

    Raises:
        ScoreError: scores and labels differ in number, or a score is nan or infinite.
    """
    require_same_table(source, positives)
    num_positives = len(positives.clips)
    if not num_positives:
        return MicroRanking(float("nan"), float("nan"))
    own = [
        block[positives.pairs_of_clips(first, first + len(block))]
        for first, block in clip_blocks(source, memory_bytes=memory_bytes)
    ]
    thresholds, counts = np.unique(np.concatenate(own), return_counts=True)
    num_pairs = source.num_clips * source.num_labels
    counter = _Counter(thresholds, most_cells=min(memory_bytes // _CELL_BYTES, num_pairs))
    for _, block in clip_blocks(source, memory_bytes=memory_bytes // _BLOCK_SHARE):
        counter.add(block)
    above, at_or_above = counter.counts()
    positives_at_or_above = np.cumsum(counts[::-1])[::-1]
    positives_above = positives_at_or_above - counts
    precision = float(np.sum(counts * (positives_at_or_above / at_or_above))) / num_positives
    num_negatives = num_pairs - num_positives
    if not num_negatives:
        return MicroRanking(float("nan"), precision)
    # each threshold's own in floats: the sum of the integers may pass 2 ** 63
    lost_halves = np.sum(counts.astype(np.float64) * (above - positives_above + at_or_above - positives_at_or_above))
    return MicroRanking(float(1.0 - lost_halves / (2 * num_positives * num_negatives)), precision)


class _Counter:
    """Counts scores above, and at or above, each of the ascending thresholds."""

    def __init__(self, thresholds: npt.NDArray[Any], *, most_cells: int) -> None:
        self._thresholds = thresholds
        self._bits = _MOST_CELL_BITS
        own_cells = cells(thresholds, bits=self._bits)
        while self._bits > 1 and own_cells[-1] - own_cells[0] > most_cells:
            own_cells >>= np.uint32(1)
            self._bits -= 1
        # one cell holds all below the lowest threshold's, one all above the highest's
        self._lowest = max(int(own_cells[0]), 1) - 1
        self._highest = int(own_cells[-1]) + 1
        self._cells = own_cells - np.uint32(self._lowest)
        self._by_cell = np.zeros(self._highest - self._lowest + 1, dtype=np.int64)
        self._is_shared = np.zeros(len(self._by_cell), dtype=np.bool_)
        self._is_shared[self._cells] = True
        self._above = np.zeros(len(thresholds), dtype=np.int64)
        self._at_or_above = np.zeros(len(thresholds), dtype=np.int64)

    def add(self, scores: npt.NDArray[Any]) -> None:
        """Count scores of any shape."""
        scores = scores.ravel()
        own_cells = cells(scores, bits=self._bits)
        np.clip(own_cells, self._lowest, self._highest, out=own_cells)
        own_cells -= np.uint32(self._lowest)
        self._by_cell += np.bincount(own_cells, minlength=len(self._by_cell))
        shared = scores[np.flatnonzero(self._is_shared[own_cells])]
        if not len(shared):
            return
        shared.sort()
        before = np.searchsorted(shared, self._thresholds, side="left")
        self._at_or_above += len(shared) - before
        # few thresholds are met exactly, and only they need a second search
        is_met = np.flatnonzero(shared[np.minimum(before, len(shared) - 1)] == self._thresholds)
        before[is_met] = np.searchsorted(shared, self._thresholds[is_met], side="right")
        self._above += len(shared) - before

    def counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """How many of all scores added are above each threshold, and how many at or above."""
        alone = np.where(self._is_shared, 0, self._by_cell)
        higher = (np.sum(alone) - np.cumsum(alone))[self._cells]
        return self._above + higher, self._at_or_above + higher
