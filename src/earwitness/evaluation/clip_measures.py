"""Measures that compare the labels of one clip with one another: lwlrap and 1-best accuracy, by blocks of clips.

For one clip with a label, and the label's score there (a pair):

    precision = of the labels that score at or above it in this clip, the share that are the clip's
    lwlrap    = mean of this precision over all pairs of all clips

which is the label-weighted label-ranking average precision of DCASE 2019 task 2: the mean of each label's own mean
precision, weighted by how many clips carry the label, or the label-ranking average precision of clips weighted by
how many labels they carry. Labels of equal score share one threshold, so that their order cannot matter: each counts
all of them (the worst rank any order could give them, and all of the clip's own among them). A constant score so
has the clip's share of labels that are its own.

Both are means over clips, or over pairs, so clips drawn anew (`bootstrap`) give both again at no cost worth naming.

1-best accuracy is defined in `metrics`. Both leave out clips without labels, which are counted.

References: Fonseca et al. 2019, "Audio tagging with noisy labels and minimal supervision" (lwlrap); Schapire and
Singer 2000 and scikit-learn's `label_ranking_average_precision_score` (ties).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.blocks import clip_blocks, require_same_table
from earwitness.evaluation.bootstrap import Replicates, Resampling
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource

_COMPARED_BYTES = 2 << 20
"""Of scores compared at once: they and the outcome stay in a core's cache."""
_MOST_COUNTED = 2**16 - 1
"""Comparisons counted at once: what a uint16 holds, which is summed several times as fast as wider integers."""


@dataclass(frozen=True)
class ClipMeasures:
    """Measures over clips; nan where no clip has a label."""

    one_best_accuracy: float
    """Share of the clips with labels whose top-scored label is theirs; labels that tie for the top share it."""
    lwlrap: float
    """Label-weighted label-ranking average precision."""
    is_single_label: bool
    """Whether every clip has exactly one label (and there is a clip)."""
    num_unlabelled_clips: int
    """Clips without labels, which both measures leave out."""
    drawn_one_best_accuracy: Replicates | None = None
    """In every resample; None without resampling."""
    drawn_lwlrap: Replicates | None = None
    """Likewise."""


def clip_measures(
    source: ScoreSource,
    positives: Positives,
    *,
    memory_bytes: int = 64 << 20,
    resampling: Resampling | None = None,
) -> ClipMeasures:
    """1-best accuracy and lwlrap, streamed by blocks of clips.

    Args:
        source: the scores; larger is more likely, compared within a clip.
        positives: the labels of the same clips.
        memory_bytes: of the blocks that are read. A few integers for every pair come on top.
        resampling: draws the clips anew; None: never.

    Raises:
        ScoreError: scores and labels differ in number, or a score is nan or infinite.
    """
    require_same_table(source, positives)
    # kept by pair and summed at the end, so that the sums are the same for every size of blocks
    precisions = np.zeros(len(positives.clips))
    answers = np.zeros(len(positives.clips))
    clip_of = np.zeros(len(positives.clips), dtype=np.int64)
    done = 0
    for first, block in clip_blocks(source, memory_bytes=memory_bytes):
        clips, labels = positives.pairs_of_clips(first, first + len(block))
        if not len(clips):
            continue
        own = block[clips, labels]
        at_or_above = _labels_at_or_above(block, clips, own)
        pairs = slice(done, done + len(clips))
        precisions[pairs] = _own_at_or_above(clips, own) / at_or_above
        answers[pairs] = (own == block.max(axis=1)[clips]) / at_or_above
        clip_of[pairs] = first + clips
        done += len(clips)
    num_labelled = int(np.count_nonzero(positives.labels_per_clip))
    drawn_accuracy = drawn_lwlrap = None
    if resampling is not None:
        labelled = np.flatnonzero(positives.labels_per_clip)
        by_clip = np.zeros(source.num_clips)
        np.add.at(by_clip, clip_of, answers)
        drawn_accuracy = resampling.mean(by_clip[labelled], labelled)
        drawn_lwlrap = resampling.mean(precisions, clip_of)
    return ClipMeasures(
        one_best_accuracy=float(np.sum(answers)) / num_labelled if num_labelled else float("nan"),
        lwlrap=float(np.mean(precisions)) if num_labelled else float("nan"),
        is_single_label=source.num_clips > 0 and bool(np.all(positives.labels_per_clip == 1)),
        num_unlabelled_clips=source.num_clips - num_labelled,
        drawn_one_best_accuracy=drawn_accuracy,
        drawn_lwlrap=drawn_lwlrap,
    )


def _labels_at_or_above(
    scores: npt.NDArray[Any], clips: npt.NDArray[np.int64], thresholds: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """For each threshold, how many labels of its clip score at or above it."""
    counts = np.zeros(len(clips), dtype=np.int64)
    size = max(1, _COMPARED_BYTES // (scores.shape[1] * scores.itemsize))
    for start in range(0, len(clips), size):
        some = slice(start, start + size)
        reached = (scores[clips[some]] >= thresholds[some, None]).view(np.uint8)
        for column in range(0, reached.shape[1], _MOST_COUNTED):
            counts[some] += np.add.reduce(reached[:, column : column + _MOST_COUNTED], axis=1, dtype=np.uint16)
    return counts


def _own_at_or_above(clips: npt.NDArray[np.int64], own: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each pair, how many pairs of its clip score at or above it. Clips ascend."""
    order = np.lexsort((own, clips))
    ranked_clips, ranked = clips[order], own[order]
    is_new = np.concatenate(([True], (ranked_clips[1:] != ranked_clips[:-1]) | (ranked[1:] != ranked[:-1])))
    first_equal = np.flatnonzero(is_new)[np.cumsum(is_new) - 1]
    counts = np.empty(len(own), dtype=np.int64)
    counts[order] = np.searchsorted(clips, ranked_clips, side="right") - first_equal
    return counts
