"""False alarms, missed positives and confused labels: against slow, obvious versions, and in any order of clips."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from earwitness.errors import ScoreError
from earwitness.evaluation.blocks import label_rows
from earwitness.evaluation.confusions import Confusion, find_confusions, single_label_confusions
from earwitness.evaluation.extremes import NONE, Extremes
from earwitness.evaluation.metrics import confusion_matrix
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores


def made(seed: int, *, clips: int = 60, labels: int = 7) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Scores with many ties, and labels of very different frequency: none, all, one clip among them."""
    rng = np.random.default_rng(seed)
    targets = rng.random((clips, labels)) < rng.uniform(0, 0.5, labels)
    targets[:, 0], targets[:, 1], targets[:, 2] = False, True, np.arange(clips) == 3
    scores = np.round(rng.random((clips, labels)) * 12) / 12
    scores[:, 3] = 0.5
    scores[:, 4] += targets[:, 5]  # the fifth label is scored high where the sixth is true
    return scores, targets


def extremes_of(
    scores: npt.NDArray[np.float64],
    targets: npt.NDArray[np.bool_],
    *,
    num_false_alarms: int = 50,
    num_missed: int = 10,
    memory_bytes: int = 10**6,
) -> Extremes:
    extremes = Extremes.empty(targets.shape[1], num_false_alarms=num_false_alarms, num_missed=num_missed)
    positives = Positives.from_dense(targets)
    for label, row in label_rows(ArrayScores(scores), memory_bytes=memory_bytes):
        extremes.put(label, row, positives.of(label))
    return extremes


@pytest.mark.parametrize("seed", range(20))
def test_extremes_are_what_sorting_gives(seed: int) -> None:
    scores, targets = made(seed)
    extremes = extremes_of(scores, targets, num_false_alarms=10, num_missed=4)
    for label in range(scores.shape[1]):
        clips = sorted(np.flatnonzero(~targets[:, label]), key=lambda clip: (-scores[clip, label], clip))
        alarms = clips[:10]
        if len(clips) > 10:
            alarms = [clip for clip in alarms if scores[clip, label] > scores[clips[10], label]]
        missed = sorted(np.flatnonzero(targets[:, label]), key=lambda clip: (scores[clip, label], clip))[:4]
        for clips, row, values in (
            (alarms, extremes.false_alarms[label], extremes.false_alarm_scores[label]),
            (missed, extremes.missed[label], extremes.missed_scores[label]),
        ):
            assert row.tolist() == clips + [NONE] * (len(row) - len(clips))
            assert values[: len(clips)].tolist() == scores[clips, label].tolist()
            assert np.isnan(values[len(clips) :]).all()


def test_extremes_are_the_same_from_every_block_size() -> None:
    scores, targets = made(1)
    whole = extremes_of(scores, targets)
    for memory_bytes in (1, 60 * 8 * 5, 10**9):
        blocks = extremes_of(scores, targets, memory_bytes=memory_bytes)
        for name in ("false_alarms", "false_alarm_scores", "missed", "missed_scores"):
            np.testing.assert_array_equal(getattr(blocks, name), getattr(whole, name))


def slow_confusions(scores: npt.NDArray[np.float64], targets: npt.NDArray[np.bool_], most: int) -> list[Confusion]:
    found = []
    extremes = extremes_of(scores, targets, num_false_alarms=most)
    for said in range(targets.shape[1]):
        alarms = [clip for clip in extremes.false_alarms[said] if clip != NONE]
        negatives = np.flatnonzero(~targets[:, said])
        for true in range(targets.shape[1]):
            n, k = len(alarms), sum(bool(targets[clip, true]) for clip in alarms)
            if k < 3:
                continue
            chance = float(np.mean(targets[negatives, true]))
            if k / n > chance:
                terms = [k * math.log(k / n / chance)]
                if k < n:
                    terms.append((n - k) * math.log((1 - k / n) / (1 - chance)))
                found.append(Confusion(said, true, n, k, chance, 2 * sum(terms)))
    return sorted(found, key=lambda pair: (-pair.evidence, pair.said, pair.true))


@pytest.mark.parametrize("seed", range(10))
def test_confusions_are_what_counting_gives(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earwitness.evaluation.confusions._BLOCK_LABELS", 3)
    scores, targets = made(seed)
    found = find_confusions(extremes_of(scores, targets, num_false_alarms=12), Positives.from_dense(targets))
    slow = slow_confusions(scores, targets, 12)
    assert [(x.said, x.true, x.num_false_alarms, x.num_clips) for x in found] == [
        (x.said, x.true, x.num_false_alarms, x.num_clips) for x in slow
    ]
    for ours, theirs in zip(found, slow, strict=True):
        assert (ours.chance, ours.evidence) == pytest.approx((theirs.chance, theirs.evidence), rel=1e-12)
        assert ours.lift > 1


def test_only_the_most_evident_of_a_label_are_kept() -> None:
    scores, targets = made(0)
    extremes, positives = extremes_of(scores, targets, num_false_alarms=12), Positives.from_dense(targets)
    every = find_confusions(extremes, positives)
    kept = find_confusions(extremes, positives, most_per_label=1)
    assert kept == [pair for place, pair in enumerate(every) if pair.said not in {x.said for x in every[:place]}]
    assert len(kept) < len(every)


def test_confusions_by_hand() -> None:
    """Eight clips: the two highest for label 0 carry label 1, as do three of the seven clips without label 0."""
    targets = np.zeros((8, 2), dtype=bool)
    targets[7, 0] = targets[[0, 1, 2, 3], 1] = True
    scores = np.tile(np.linspace(1.0, 0.0, 8)[:, None], (1, 2))
    extremes = extremes_of(scores, targets, num_false_alarms=2)
    assert extremes.false_alarms.tolist() == [[0, 1], [4, 5]]
    (pair,) = find_confusions(extremes, Positives.from_dense(targets), least_clips=1)
    assert (pair.said, pair.true, pair.num_false_alarms, pair.num_clips) == (0, 1, 2, 2)
    assert (pair.share, pair.chance, pair.lift) == (1.0, 4 / 7, 1.75)
    assert pair.evidence == pytest.approx(4 * math.log(1.75))


def test_what_is_heard_instead_comes_first_and_order_does_not_matter() -> None:
    scores, targets = made(3, clips=400)
    pair = find_confusions(extremes_of(scores, targets), Positives.from_dense(targets))[0]
    assert (pair.said, pair.true) == (4, 5)
    order = np.random.default_rng(0).permutation(400)
    again = find_confusions(extremes_of(scores[order], targets[order]), Positives.from_dense(targets[order]))
    assert again == find_confusions(extremes_of(np.exp(scores), targets), Positives.from_dense(targets))


def test_without_false_alarms_there_is_nothing() -> None:
    targets = np.eye(4, dtype=bool)
    assert (
        find_confusions(extremes_of(np.zeros((4, 4)), targets, num_false_alarms=2), Positives.from_dense(targets)) == []
    )


def test_confusions_of_other_labels_are_refused() -> None:
    scores, targets = made(1)
    with pytest.raises(ScoreError, match="false alarms of 7 labels, positives of 6"):
        find_confusions(extremes_of(scores, targets), Positives.from_dense(targets[:, :6]))


def test_matrix_by_blocks_is_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earwitness.evaluation.confusions._BLOCK_CLIPS", 7)
    scores = np.round(np.random.default_rng(0).random((50, 5)), 1)
    targets = np.eye(5, dtype=bool)[np.arange(50) % 5]
    counts = single_label_confusions(ArrayScores(scores), Positives.from_dense(targets))
    np.testing.assert_allclose(counts, confusion_matrix(scores, targets), rtol=1e-14)
