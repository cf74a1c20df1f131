"""Sparse positives against dense tables, and scores in memory read in blocks."""

import numpy as np
import pytest

from earwitness.errors import ScoreError
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores


@pytest.mark.parametrize(
    ("clips", "labels", "share"), [(50, 7, 0.3), (1, 1, 1.0), (9, 4, 0.0), (0, 3, 0.5), (3, 0, 0.5)]
)
def test_dense_and_back(clips: int, labels: int, share: float) -> None:
    targets = np.random.default_rng(0).random((clips, labels)) < share
    positives = Positives.from_dense(targets)
    assert (positives.num_clips, positives.num_labels) == (clips, labels)
    np.testing.assert_array_equal(positives.to_dense(), targets)
    np.testing.assert_array_equal(positives.num_positives, targets.sum(axis=0))
    np.testing.assert_array_equal(positives.labels_per_clip, targets.sum(axis=1))
    for label in range(labels):
        np.testing.assert_array_equal(positives.of(label), np.flatnonzero(targets[:, label]))
    for first, stop in ((0, clips), (clips // 3, clips // 2), (clips, clips)):
        np.testing.assert_array_equal(positives.clip_block(first, stop), targets[first:stop])
        rows, columns = positives.pairs_of_clips(first, stop)
        np.testing.assert_array_equal(np.stack([rows, columns]), np.nonzero(targets[first:stop]))
    for values in (positives.offsets, positives.clips, positives.num_positives, positives.labels_per_clip):
        assert values.dtype == np.int64


def test_pairs_in_any_order_and_more_than_once() -> None:
    targets = np.random.default_rng(1).random((30, 5)) < 0.4
    clips, labels = np.nonzero(targets)
    order = np.random.default_rng(2).permutation(2 * len(clips)) % len(clips)
    shuffled = Positives.from_pairs(clips[order].astype(np.int32), labels[order], num_clips=30, num_labels=5)
    np.testing.assert_array_equal(shuffled.clips, Positives.from_dense(targets).clips)
    np.testing.assert_array_equal(shuffled.to_dense(), targets)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ScoreError, match=r"pairs: clip 4 is outside \[0, 4\)"):
        Positives.from_pairs(np.array([0, 4]), np.array([0, 0]), num_clips=4, num_labels=1)
    with pytest.raises(ScoreError, match=r"pairs: label -1 is outside \[0, 1\)"):
        Positives.from_pairs(np.array([0]), np.array([-1]), num_clips=4, num_labels=1)
    with pytest.raises(ScoreError, match=r"\(2,\) clips and \(1,\) labels"):
        Positives.from_pairs(np.array([0, 1]), np.array([0]), num_clips=4, num_labels=1)
    with pytest.raises(ScoreError, match=r"targets must be bool .* came int64"):
        Positives.from_dense(np.zeros((2, 2), dtype=np.int64))  # type: ignore[arg-type]
    with pytest.raises(ScoreError, match=r"targets are \(2,\); they must be \[clips, labels\]"):
        Positives.from_dense(np.zeros(2, dtype=np.bool_))
    with pytest.raises(ScoreError, match=r"scores are \(2,\); they must be \[clips, labels\]"):
        ArrayScores(np.zeros(2))
    with pytest.raises(ScoreError, match="scores must be numbers, came <U1"):
        ArrayScores(np.array([["a"]]))


def test_scores_in_memory_are_read_both_ways() -> None:
    scores = np.random.default_rng(0).random((20, 6))
    source = ArrayScores(scores)
    block = source.label_block(2, 5)
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, scores[:, 2:5].T)
    np.testing.assert_array_equal(source.clip_block(3, 9), scores[3:9])
