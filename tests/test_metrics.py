"""The measures against hand values, scikit-learn, slow obvious versions, and what they must not depend on."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from earwitness.errors import ScoreError
from earwitness.evaluation.metrics import (
    auc_to_dprime,
    average_precision,
    confusion_matrix,
    has_one_label_each,
    one_best_accuracy,
    rank_labels,
    roc_auc,
)

EXACT = 1e-12
"""Both sides are float64 sums of at most a few thousand terms in [0, 1]."""

CASES = ("random", "tied", "constant", "saturated", "float16", "integer", "one_positive", "one_negative")


def make_case(kind: str, *, clips: int = 700, labels: int = 70) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(CASES.index(kind))
    targets = rng.random((clips, labels)) < rng.uniform(0.02, 0.6, labels)
    scores: npt.NDArray[Any] = rng.normal(size=(clips, labels)) + targets
    if kind == "tied":
        scores = np.round(scores, 1)
    elif kind == "constant":
        scores = np.full((clips, labels), 0.25)
    elif kind == "saturated":
        scores = (1 / (1 + np.exp(-60 * scores))).astype(np.float32)  # thousands of exact 1.0 and 0.0
    elif kind == "float16":
        scores = scores.astype(np.float16)
    elif kind == "integer":
        scores = np.round(3 * scores).astype(np.int32)
    elif kind in ("one_positive", "one_negative"):
        targets = np.zeros((clips, labels), dtype=bool)
        targets[rng.integers(0, clips, labels), np.arange(labels)] = True
        if kind == "one_negative":
            targets = ~targets
    targets[0] |= ~targets.any(axis=0)
    return scores, targets


def pairwise_auc(scores: npt.NDArray[Any], targets: npt.NDArray[np.bool_]) -> float:
    """One label, as the definition says it."""
    wins = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive in scores[targets]
        for negative in scores[~targets]
    ]
    return math.fsum(wins) / len(wins)


def stepwise_precision(scores: npt.NDArray[Any], targets: npt.NDArray[np.bool_]) -> float:
    """One label: walk down the distinct scores, add (recall gained) x (precision there)."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        answered = scores >= threshold
        recall = float(targets[answered].sum() / targets.sum())
        area += (recall - recall_before) * float(targets[answered].mean())
        recall_before = recall
    return area


@pytest.mark.parametrize("kind", CASES)
def test_ranking_equals_scikit_learn(kind: str) -> None:
    scores, targets = make_case(kind)
    auc, precision = roc_auc(scores, targets), average_precision(scores, targets)
    for label in range(targets.shape[1]):
        expected = roc_auc_score(targets[:, label], scores[:, label])
        assert auc[label] == pytest.approx(expected, abs=EXACT)
        expected = average_precision_score(targets[:, label], scores[:, label])
        assert precision[label] == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("kind", ["random", "tied", "constant"])
def test_ranking_equals_the_slow_versions(kind: str) -> None:
    scores, targets = make_case(kind, clips=60, labels=9)
    auc, precision = roc_auc(scores, targets), average_precision(scores, targets)
    for label in range(9):
        assert auc[label] == pytest.approx(pairwise_auc(scores[:, label], targets[:, label]), abs=EXACT)
        slow = stepwise_precision(scores[:, label], targets[:, label])
        assert precision[label] == pytest.approx(slow, abs=EXACT)


def test_hand_values() -> None:
    #                  distinct         tied at 0.5     perfect         reversed
    scores = np.array([[0.9, 0.5, 4.0, 1.0], [0.8, 0.5, 3.0, 2.0], [0.7, 0.5, 2.0, 3.0], [0.6, 0.1, 1.0, 4.0]])
    targets = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    ranking = rank_labels(scores, targets)
    assert ranking.num_positives.tolist() == [2, 1, 2, 2]
    # label 0: pairs won 0.9>0.8, 0.9>0.6, 0.7>0.6 of 4; label 1: two halves and one win of 3
    np.testing.assert_allclose(ranking.auc, [3 / 4, 2 / 3, 1.0, 0.0], rtol=0, atol=EXACT)
    # label 0: (1/1 + 2/3) / 2; label 1: 1 of the 3 at 0.5; label 3: (1/3 + 2/4) / 2
    np.testing.assert_allclose(ranking.average_precision, [5 / 6, 1 / 3, 1.0, 5 / 12], rtol=0, atol=EXACT)


def test_constant_scores_give_chance_exactly() -> None:
    scores, targets = make_case("constant")
    assert np.all(roc_auc(scores, targets) == 0.5)
    np.testing.assert_allclose(average_precision(scores, targets), targets.mean(axis=0), rtol=0, atol=EXACT)


def test_undefined_labels_are_nan() -> None:
    targets = np.array([[False, True, True], [False, True, False]])
    ranking = rank_labels(np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.1]]), targets)
    assert np.isnan(ranking.auc).tolist() == [True, True, False]
    np.testing.assert_array_equal(ranking.average_precision, [np.nan, 1.0, 1.0])


def test_no_clips_and_no_labels() -> None:
    assert np.isnan(roc_auc(np.empty((0, 3)), np.empty((0, 3), dtype=bool))).tolist() == [True] * 3
    assert roc_auc(np.empty((3, 0)), np.empty((3, 0), dtype=bool)).shape == (0,)
    assert math.isnan(one_best_accuracy(np.empty((0, 3)), np.empty((0, 3), dtype=bool)))
    assert math.isnan(one_best_accuracy(np.empty((3, 0)), np.empty((3, 0), dtype=bool)))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_only_the_order_of_scores_counts_and_not_that_of_clips(data: st.DataObject) -> None:
    clips, labels = data.draw(st.integers(1, 25)), data.draw(st.integers(1, 5))
    seed = data.draw(st.integers(0, 2**32 - 1))
    levels = data.draw(st.integers(1, 30))
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, (clips, labels)).astype(np.float64)
    targets = rng.random((clips, labels)) < 0.4
    plain = rank_labels(scores, targets)
    order = rng.permutation(clips)
    # float64 cubes and doublings of small integers are exact, so no tie is made or broken
    for changed, matching in (
        (scores**3, targets),
        (2.0 * scores - 7.0, targets),
        (scores[order], targets[order]),
    ):
        ranking = rank_labels(changed, matching)
        np.testing.assert_array_equal(ranking.auc, plain.auc)
        np.testing.assert_allclose(ranking.average_precision, plain.average_precision, rtol=0, atol=EXACT)
    # reversing the scores mirrors the AUC
    np.testing.assert_allclose(rank_labels(-scores, targets).auc, 1.0 - plain.auc, rtol=0, atol=EXACT)
    mirrored = one_best_accuracy(scores[:, ::-1], targets[:, ::-1])
    assert one_best_accuracy(scores, targets) == pytest.approx(mirrored, abs=EXACT, nan_ok=True)


def test_layout_and_precision_of_the_table_do_not_matter() -> None:
    scores, targets = make_case("saturated", clips=300, labels=150)  # more than two blocks of labels
    plain = rank_labels(scores, targets)
    for table in (np.asfortranarray(scores), scores.astype(np.float64)):
        np.testing.assert_array_equal(rank_labels(table, targets).auc, plain.auc)
        np.testing.assert_array_equal(rank_labels(table, targets).average_precision, plain.average_precision)


def test_dprime_by_hand_and_by_scipy() -> None:
    # from the paper's table: AUC beside d-prime, both printed to three decimals
    for auc, dprime in ((0.851, 1.471), (0.894, 1.764), (0.926, 2.041), (0.959, 2.452)):
        assert auc_to_dprime(auc) == pytest.approx(dprime, abs=0.01)  # AUC is rounded to 0.0005
    values = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(auc_to_dprime(values), math.sqrt(2) * norm.ppf(values), rtol=0, atol=EXACT)
    assert auc_to_dprime(0.5) == 0.0
    assert np.isnan(auc_to_dprime(np.nan))
    assert auc_to_dprime([0.0, 1.0]).tolist() == [-np.inf, np.inf]


def test_dprime_held_half_a_pair_away_from_perfect() -> None:
    held = auc_to_dprime([0.0, 0.7, 1.0, np.nan], num_pairs=[50, 50, 50, 0])
    np.testing.assert_allclose(held[:3], math.sqrt(2) * norm.ppf([0.01, 0.7, 0.99]), rtol=0, atol=EXACT)
    assert np.isnan(held[3])


def test_one_best_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.3, 0.8, 0.8], [0.5, 0.5, 0.5], [0.1, 0.2, 0.9]])
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)
    # right; one of two tied; two of three tied; no label: left out
    assert one_best_accuracy(scores, targets) == pytest.approx((1 + 1 / 2 + 2 / 3) / 3, abs=EXACT)
    assert math.isnan(one_best_accuracy(scores[3:], targets[3:]))


def test_one_best_equals_argmax_without_ties() -> None:
    scores, targets = make_case("random", clips=5000, labels=12)  # more than one block of clips
    scores = scores.astype(np.float64)
    labelled = targets.any(axis=1)
    right = targets[np.arange(len(scores)), scores.argmax(axis=1)][labelled].mean()
    assert one_best_accuracy(scores, targets) == pytest.approx(float(right), abs=EXACT)


def test_confusion_matrix() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 6, 5000)
    targets = np.eye(6, dtype=bool)[truth]
    scores = rng.normal(size=(5000, 6)) + targets
    counts = confusion_matrix(scores, targets)
    expected = np.zeros((6, 6))
    np.add.at(expected, (truth, scores.argmax(axis=1)), 1)
    np.testing.assert_array_equal(counts, expected)
    tied = np.round(scores)
    counts = confusion_matrix(tied, targets)
    np.testing.assert_allclose(counts.sum(axis=1), np.bincount(truth), rtol=0, atol=1e-9)
    assert np.trace(counts) / 5000 == pytest.approx(one_best_accuracy(tied, targets), abs=1e-9)
    targets[7] = False
    assert not has_one_label_each(targets)
    with pytest.raises(ScoreError, match="exactly one label"):
        confusion_matrix(scores, targets)


@pytest.mark.parametrize("function", [roc_auc, average_precision, rank_labels, one_best_accuracy, confusion_matrix])
def test_unusable_input_is_refused(function: Any) -> None:
    scores, targets = np.zeros((5000, 3), dtype=np.float32), np.eye(3, dtype=bool)[np.arange(5000) % 3]
    with pytest.raises(ScoreError, match=r"scores are \(5000, 3\), targets \(5000, 2\)"):
        function(scores, targets[:, :2])
    with pytest.raises(ScoreError, match=r"scores are \(5000,\)"):
        function(scores[:, 0], targets[:, 0])
    with pytest.raises(ScoreError, match=r"targets must be bool.*float64"):
        function(scores, targets.astype(np.float64))
    with pytest.raises(ScoreError, match="scores must be numbers"):
        function(scores.astype(str), targets)
    for bad in (np.nan, np.inf, -np.inf):
        broken = scores.copy()
        broken[4500, 2] = bad
        with pytest.raises(ScoreError, match=f"clip row 4500, label column 2 .* is {bad}"):
            function(broken, targets)
