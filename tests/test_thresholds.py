"""Decisions at thresholds and their fit: by hand, against the slow obvious version, and by what must not matter."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import fbeta_score, precision_score, recall_score

from earwitness.errors import SettingsError
from earwitness.evaluation.thresholds import MIN_POSITIVES, Decisions, added_up, at_threshold, fit_threshold


def test_at_threshold_by_hand() -> None:
    scores = np.array([0.1, 0.5, 0.5, 0.9], dtype=np.float32)
    found = at_threshold(scores, np.array([1, 3]), 0.5)
    assert found == Decisions(true_positives=2, false_positives=1, false_negatives=0)
    assert (found.precision, found.recall, found.f1) == (2 / 3, 1.0, 0.8)
    none = at_threshold(scores, np.array([0, 1]), math.inf)
    assert math.isnan(none.precision)
    assert (none.recall, none.f1) == (0.0, 0.0)
    absent = at_threshold(scores, np.array([], dtype=np.int64), 0.5)
    assert absent.precision == 0.0
    assert math.isnan(absent.recall)
    assert math.isnan(absent.f1)
    assert added_up([found, none, absent]) == Decisions(true_positives=2, false_positives=4, false_negatives=2)


def test_thresholds_are_not_rounded() -> None:
    score = np.float32(0.3)  # above 0.3
    assert at_threshold(np.array([score]), np.array([0]), 0.3).true_positives == 1
    assert at_threshold(np.array([score]), np.array([0]), float(score) + 1e-9).true_positives == 0


def test_at_threshold_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        truth = rng.random(40) < 0.3
        scores = rng.integers(0, 8, 40) / 8
        threshold = rng.random()
        found = at_threshold(scores, np.flatnonzero(truth), threshold)
        says = scores >= threshold
        assert found.recall == pytest.approx(recall_score(truth, says))
        assert found.f_beta(2.0) == pytest.approx(fbeta_score(truth, says, beta=2))
        if says.any():
            assert found.precision == pytest.approx(precision_score(truth, says))


def slowly(
    scores: np.ndarray, truth: np.ndarray, *, precision: float | None, beta: float | None, is_calibrated: bool
) -> float | None:
    """The lowest score that is a yes, found by trying all thresholds; None where there is none."""
    num_positives, weight = int(truth.sum()), Fraction(10 if is_calibrated else 0)
    best, best_merit = None, Fraction(-1)
    for cut in sorted(set(scores.tolist()), reverse=True):
        says = scores >= cut
        yeses, right = int(says.sum()), int(truth[says].sum())
        promised = sum((Fraction(score) for score in scores[says].tolist()), Fraction(0))
        if beta is not None:
            seen = num_positives / (num_positives + weight)
            everything = seen * num_positives + (1 - seen) * sum(map(Fraction, scores.tolist()))
            square = Fraction(beta) ** 2
            merit = (1 + square) * (seen * right + (1 - seen) * promised) / (yeses + square * everything)
            if merit > best_merit:
                best, best_merit = cut, merit
        elif is_calibrated:
            if (right + weight * promised / yeses) / (yeses + weight) >= precision and right + promised > best_merit:
                best, best_merit = cut, right + promised
        else:  # the lower bound is reached where so many right ones come at most half the time at the target
            merit = Fraction(right)
            if right and binom.sf(right - 1, yeses, precision) <= 0.5 and merit > best_merit:
                best, best_merit = cut, merit
    return best


@pytest.mark.parametrize("is_calibrated", [False, True])
@pytest.mark.parametrize("aim", [{"beta": 1.0}, {"beta": 0.5}, {"beta": 2.0}, {"precision": 0.5}, {"precision": 0.8}])
def test_fit_against_all_thresholds(aim: dict[str, float], is_calibrated: bool) -> None:
    rng = np.random.default_rng(3)
    kinds = set()
    for number in range(60):
        num_clips = int(rng.integers(12, 120))
        truth = rng.random(num_clips) < rng.choice([0.1, 0.4, 0.9])
        raw = rng.normal(size=num_clips) + 2.5 * truth - rng.choice([0, 3])
        scores = (1 / (1 + np.exp(-raw))).astype(np.float32)
        if number % 3 == 0:
            scores = np.round(scores * 6).astype(np.float32) / 6  # ties
        found = fit_threshold(scores, np.flatnonzero(truth), **aim, is_calibrated=is_calibrated)
        if truth.sum() < (1 if is_calibrated else MIN_POSITIVES) or truth.all():
            assert math.isnan(found)
            kinds.add("nan")
            continue
        aims = {"precision": None, "beta": None} | aim
        expected = slowly(scores, truth, **aims, is_calibrated=is_calibrated)
        if expected is None:
            assert found == math.inf
            kinds.add("inf")
            continue
        kinds.add("found")
        np.testing.assert_array_equal(scores >= found, scores >= expected)
        below = scores[scores < expected]
        if len(below):
            assert found == pytest.approx((float(below.max()) + expected) / 2)
        else:
            assert found == expected
    assert "found" in kinds


def test_neighbours_without_room_between_them() -> None:
    high = np.float32(0.5)
    low = np.nextafter(high, np.float32(0))
    scores = np.array([low] * 20 + [high] * 6, dtype=np.float32)
    found = fit_threshold(scores, np.arange(20, 26), beta=1.0)
    assert at_threshold(scores, np.arange(20, 26), found).f1 == 1.0


def test_invariant_under_order_and_monotone_maps() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(500) < 0.05
    scores = (rng.random(500) / 2 + truth * 0.2).astype(np.float64)
    order = rng.permutation(500)
    for aim in ({"beta": 1.0}, {"precision": 0.6}):
        found = fit_threshold(scores, np.flatnonzero(truth), **aim)
        shuffled = fit_threshold(scores[order], np.flatnonzero(truth[order]), **aim)
        assert found == shuffled
        mapped = fit_threshold(scores**3, np.flatnonzero(truth), **aim)
        np.testing.assert_array_equal(scores >= found, scores**3 >= mapped)


def test_few_lucky_clips_are_not_believed() -> None:
    scores = np.linspace(0, 1, 200)
    six = np.arange(194, 200)
    assert fit_threshold(scores, six, precision=0.9) == math.inf, "six of six, and half of the time by luck"
    assert 193 / 199 < fit_threshold(scores, np.arange(193, 200), precision=0.9) * 1.01 < 1
    assert math.isnan(fit_threshold(scores, six[: MIN_POSITIVES - 1], beta=1.0))


def test_a_promise_stands_in_for_few_clips() -> None:
    """One positive clip on top; the calibration says 0.8 above the gap, and 0.02 below it."""
    scores = np.where(np.arange(100) < 10, 0.8, 0.02) + np.arange(100, 0, -1) / 10_000
    found = fit_threshold(scores, np.array([0]), beta=1.0, is_calibrated=True)
    assert 0.03 < found < 0.8
    assert fit_threshold(scores, np.array([0]), precision=0.95, is_calibrated=True) == math.inf


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        ({}, "choose one"),
        ({"precision": 0.9, "beta": 1.0}, "choose one"),
        ({"precision": 0.0}, r"precision=0.0 must lie in \(0, 1\)"),
        ({"precision": 1.0}, "precision=1.0"),
        ({"precision": math.nan}, "precision=nan"),
        ({"beta": 0.0}, "f_beta=0.0"),
        ({"beta": math.inf}, "f_beta=inf"),
    ],
)
def test_bad_aims(aim: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        fit_threshold(np.zeros(9), np.arange(3), **aim)
