"""Micro measures: AUC and average precision of all (clip, label) pairs in one ranking.

A pair is positive if the clip has the label. AUC and AP are defined as in `metrics`, ties included, with pairs of a
clip and a label in place of clips; scores are so compared between labels as well. Frequent labels weigh more here
than in the class-balanced means.

Exact without sorting all scores: what is asked is how many scores lie above, and at or above, each distinct score of
the positive pairs, and `rank_counts` has that block by block. The counts are integers, so that blocks of any size and
order give the same result.
"""

from dataclasses import dataclass

import numpy as np

from earwitness.evaluation.blocks import label_blocks, label_rows, require_same_table
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.rank_counts import RankCounter
from earwitness.evaluation.score_source import ScoreSource


@dataclass(frozen=True)
class MicroRanking:
    """All pairs of a clip and a label in one ranking."""

    auc: float
    """nan without positive or without negative pairs."""
    average_precision: float
    """nan without positive pairs."""


def micro_ranking(source: ScoreSource, positives: Positives, *, memory_bytes: int = 512 << 20) -> MicroRanking:
    """Micro AUC and average precision, streamed by blocks of labels; the scores are read twice.

    Args:
        source: the scores; larger is more likely.
        positives: the labels of the same clips.
        memory_bytes: of the blocks that are read. Some 30 numbers for every positive pair, and 100 MiB at most to
            count in, come on top.

    Raises:
        ScoreError: scores and labels differ in number, or a score is nan or infinite.
    """
    require_same_table(source, positives)
    num_positives = len(positives.clips)
    if not num_positives:
        return MicroRanking(float("nan"), float("nan"))
    own = [scores[positives.of(label)] for label, scores in label_rows(source, memory_bytes=memory_bytes)]
    thresholds, counts = np.unique(np.concatenate(own), return_counts=True)
    num_pairs = source.num_clips * source.num_labels
    counter = RankCounter(thresholds, num_scores=num_pairs)
    for _, block in label_blocks(source, memory_bytes=memory_bytes):
        counter.add(block.ravel())
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
