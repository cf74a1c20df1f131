"""Measures within clips, and all pairs in one ranking: against hand values, scikit-learn and slow versions."""

import math
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, roc_auc_score

from earwitness.errors import ScoreError
from earwitness.evaluation.clip_measures import clip_measures
from earwitness.evaluation.metrics import average_precision, one_best_accuracy, roc_auc
from earwitness.evaluation.micro import micro_ranking
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores

EXACT = 1e-12
"""Both sides are float64 sums of at most some ten thousand terms in [0, 1]."""

CASES = ("random", "tied", "constant", "saturated", "float64", "float16", "integer", "signed_zeros", "one_label")


def make_case(
    kind: str, *, clips: int = 400, labels: int = 60
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], ArrayScores, Positives]:
    rng = np.random.default_rng(CASES.index(kind))
    targets = rng.random((clips, labels)) < rng.uniform(0.0, 0.2, labels)
    targets[:3] = False
    logits = 2 * rng.normal(size=(clips, labels)) + targets - 3
    scores: npt.NDArray[Any] = logits.astype(np.float32)
    if kind == "tied":
        scores = np.round(scores)
    elif kind == "constant":
        scores = np.full((clips, labels), 0.25)
    elif kind == "saturated":
        scores = (1 / (1 + np.exp(-30 * logits))).astype(np.float32)
    elif kind == "float64":
        scores = 1 + 1e-12 * logits  # float32 sees one value only
    elif kind == "float16":
        scores = scores.astype(np.float16)
    elif kind == "integer":
        scores = np.round(3 * scores).astype(np.int64)
    elif kind == "signed_zeros":
        scores = np.round(scores / 4) * rng.choice([-1.0, 1.0], scores.shape).astype(np.float32)
    elif kind == "one_label":
        targets = np.eye(labels, dtype=bool)[rng.integers(0, labels, clips)]
    return scores, targets, ArrayScores(scores), Positives.from_dense(targets)


def slow_lwlrap(scores: npt.NDArray[Any], targets: npt.NDArray[np.bool_]) -> float:
    precisions = [
        sum(bool(own) for own, other in zip(of_clip, row, strict=True) if other >= row[label])
        / sum(bool(other >= row[label]) for other in row)
        for row, of_clip in zip(scores, targets, strict=True)
        for label in np.flatnonzero(of_clip)
    ]
    return math.fsum(precisions) / len(precisions)


@pytest.mark.parametrize("kind", CASES)
def test_clip_measures_equal_scikit_learn_and_the_plain_ones(kind: str) -> None:
    scores, targets, source, positives = make_case(kind)
    measures = clip_measures(source, positives)
    expected = label_ranking_average_precision_score(targets, scores, sample_weight=targets.sum(axis=1))
    assert measures.lwlrap == pytest.approx(expected, abs=EXACT)
    assert measures.one_best_accuracy == pytest.approx(one_best_accuracy(scores, targets), abs=EXACT)
    assert measures.is_single_label == (kind == "one_label")
    assert measures.num_unlabelled_clips == np.count_nonzero(~targets.any(axis=1))


@pytest.mark.parametrize("kind", ["random", "tied"])
def test_lwlrap_equals_the_slow_version(kind: str) -> None:
    scores, targets, source, positives = make_case(kind, clips=60, labels=20)
    assert clip_measures(source, positives).lwlrap == pytest.approx(slow_lwlrap(scores, targets), abs=EXACT)


def test_clip_measures_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.5, 0.5, 0.5], [0.2, 0.3, 0.1], [0.1, 0.2, 0.3]], dtype=np.float32)
    targets = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    measures = clip_measures(ArrayScores(scores), Positives.from_dense(targets))
    # the pairs: first of one; two of three; one of three tied; second of two
    assert measures.lwlrap == pytest.approx((1 + 2 / 3 + 1 / 3 + 1 / 2) / 4, abs=EXACT)
    assert measures.one_best_accuracy == pytest.approx((1 + 1 / 3 + 0) / 3, abs=EXACT)
    assert measures.num_unlabelled_clips == 1


def test_lwlrap_is_the_weighted_mean_of_the_labels_own() -> None:
    scores, targets, source, positives = make_case("random")
    weights = targets.sum(axis=0) / targets.sum()
    by_label = [
        np.mean([targets[clip][row >= row[label]].mean() for clip, row in enumerate(scores) if targets[clip, label]])
        for label in range(targets.shape[1])
    ]
    assert clip_measures(source, positives).lwlrap == pytest.approx(float(weights @ by_label), abs=EXACT)


@pytest.mark.parametrize("kind", CASES)
def test_micro_ranking_equals_scikit_learn(kind: str) -> None:
    scores, targets, source, positives = make_case(kind)
    micro = micro_ranking(source, positives)
    assert micro.auc == pytest.approx(roc_auc_score(targets.ravel(), scores.ravel()), abs=EXACT)
    expected = average_precision_score(targets.ravel(), scores.ravel())
    assert micro.average_precision == pytest.approx(expected, abs=EXACT)
    # the same pairs as clips of one label
    assert micro.auc == pytest.approx(roc_auc(scores.reshape(-1, 1), targets.reshape(-1, 1))[0], abs=EXACT)
    expected = average_precision(scores.reshape(-1, 1), targets.reshape(-1, 1))[0]
    assert micro.average_precision == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("kind", ["random", "tied", "saturated"])
def test_blocks_and_order_do_not_matter(kind: str) -> None:
    scores, targets, source, positives = make_case(kind)
    plain, micro = clip_measures(source, positives), micro_ranking(source, positives)
    for memory_bytes in (1, 60_000, 1 << 30):
        assert clip_measures(source, positives, memory_bytes=memory_bytes) == plain
        assert micro_ranking(source, positives, memory_bytes=memory_bytes) == micro
    order = np.random.default_rng(0).permutation(scores.shape[1])
    turned = ArrayScores(scores[::-1, order]), Positives.from_dense(targets[::-1, order])
    assert micro_ranking(*turned) == micro
    assert clip_measures(*turned).lwlrap == pytest.approx(plain.lwlrap, abs=EXACT)
    assert clip_measures(*turned).one_best_accuracy == pytest.approx(plain.one_best_accuracy, abs=EXACT)
    # any monotone map, here into other cells
    mapped = ArrayScores(np.arctan(scores.astype(np.float64)) * 1e-30)
    assert micro_ranking(mapped, positives) == micro
    assert clip_measures(mapped, positives) == plain


def test_many_labels() -> None:
    """More than are compared, or counted, at once."""
    rng = np.random.default_rng(0)
    scores = rng.random((3, 70_000), dtype=np.float32)
    targets = rng.random(scores.shape) < 0.001
    measures = clip_measures(ArrayScores(scores), Positives.from_dense(targets))
    expected = label_ranking_average_precision_score(targets, scores, sample_weight=targets.sum(axis=1))
    assert measures.lwlrap == pytest.approx(expected, abs=EXACT)


def test_memory_is_bounded() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, 200)).astype(np.float32)
    positives = Positives.from_pairs(np.arange(2_000), np.arange(2_000) % 200, num_clips=20_000, num_labels=200)
    positives.pairs_of_clips(0, 0)  # the index by clip is the positives' own
    budget = 4 << 20
    for measure in (clip_measures, micro_ranking):
        tracemalloc.start()
        measure(ArrayScores(scores), positives, memory_bytes=budget)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * budget  # the whole is 16 MB


def test_nothing_to_measure() -> None:
    source = ArrayScores(np.zeros((3, 2), dtype=np.float32))
    none = Positives.from_dense(np.zeros((3, 2), dtype=bool))
    measures, micro = clip_measures(source, none), micro_ranking(source, none)
    assert math.isnan(measures.lwlrap)
    assert math.isnan(measures.one_best_accuracy)
    assert measures.num_unlabelled_clips == 3
    assert math.isnan(micro.auc)
    assert math.isnan(micro.average_precision)
    micro = micro_ranking(source, Positives.from_dense(np.ones((3, 2), dtype=bool)))
    assert math.isnan(micro.auc)
    assert micro.average_precision == 1.0
    empty = clip_measures(ArrayScores(np.zeros((0, 2))), Positives.from_dense(np.zeros((0, 2), dtype=bool)))
    assert not empty.is_single_label
    no_labels = clip_measures(ArrayScores(np.zeros((2, 0))), Positives.from_dense(np.zeros((2, 0), dtype=bool)))
    assert no_labels.num_unlabelled_clips == 2


@pytest.mark.parametrize("measure", [clip_measures, micro_ranking])
def test_unusable_input_is_refused(measure: Any) -> None:
    scores, targets, _, positives = make_case("random")
    with pytest.raises(ScoreError, match=r"scores are \(400, 59\), targets \(400, 60\)"):
        measure(ArrayScores(scores[:, 1:]), positives)
    for bad in (np.nan, np.inf, -np.inf):
        broken = scores.copy()
        broken[310, 7] = bad
        with pytest.raises(ScoreError, match=f"clip row 310, label column 7 .* is {bad}"):
            measure(ArrayScores(broken), Positives.from_dense(targets), memory_bytes=100_000)
