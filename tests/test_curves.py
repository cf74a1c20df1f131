"""Curves of a label: against scikit-learn, slow versions and hand values; and the search they stand on."""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve as sklearn_curve

from earwitness.errors import ScoreError
from earwitness.evaluation.cells import cells, search_many
from earwitness.evaluation.curves import Reliability, calibration_error, precision_recall_curve, reliability
from earwitness.evaluation.metrics import average_precision

EXACT = 1e-12
"""Both sides are float64 sums of at most some ten thousand terms in [0, 1]."""


def make_label(*, clips: int = 9_000, share: float = 0.05, decimals: int = 9) -> tuple[npt.NDArray[Any], Any]:
    rng = np.random.default_rng(0)
    is_positive = rng.random(clips) < share
    logits = 2 * rng.normal(size=clips) + 3 * is_positive - 3
    return np.round(1 / (1 + np.exp(-logits)), decimals).astype(np.float32), np.flatnonzero(is_positive)


@pytest.mark.parametrize("decimals", [9, 2, 0])
def test_precision_and_recall_equal_scikit_learn(decimals: int) -> None:
    scores, positive_clips = make_label(decimals=decimals)
    is_positive = np.isin(np.arange(len(scores)), positive_clips)
    precision, recall, thresholds = sklearn_curve(is_positive, scores)
    expected = {float(t): (p, r) for t, p, r in zip(thresholds, precision, recall, strict=False)}
    for most_points in (200, 10_000):
        curve = precision_recall_curve(scores, positive_clips, most_points=most_points)
        assert len(curve.thresholds) == min(most_points, len(np.unique(scores[positive_clips])))
        for t, p, r in zip(curve.thresholds, curve.precision, curve.recall, strict=True):
            assert (p, r) == pytest.approx(expected[float(t)], abs=EXACT)
    assert np.all(np.diff(curve.thresholds) < 0)
    area = np.sum(curve.precision * np.diff(curve.recall, prepend=0.0))
    assert area == pytest.approx(average_precision(scores[:, None], is_positive[:, None])[0], abs=EXACT)


def test_a_thinned_curve_keeps_both_ends_and_spreads_over_recall() -> None:
    scores, positive_clips = make_label()
    curve = precision_recall_curve(scores, positive_clips, most_points=50)
    assert len(curve.recall) == 50
    assert curve.recall[0] == 1 / len(positive_clips)
    assert curve.recall[-1] == 1.0
    assert np.all(np.abs(np.diff(curve.recall) - 1 / 49) <= 1 / len(positive_clips))
    assert len(precision_recall_curve(scores, positive_clips[:0]).recall) == 0


@pytest.mark.parametrize("decimals", [9, 1])
@pytest.mark.parametrize("bins", [2, 10, 15])
def test_reliability_equals_the_slow_version(decimals: int, bins: int) -> None:
    scores, positive_clips = make_label(decimals=decimals)
    measured = reliability(scores, positive_clips, bins=bins)
    edges = [np.float32(i / bins) for i in range(bins + 1)]
    error = 0.0
    for i in range(bins):
        own = [c for c, s in enumerate(scores) if edges[i] < s <= edges[i + 1] or (i == 0 and s == 0)]
        shares = [float(np.isin(c, positive_clips)) for c in own]
        assert measured.counts[i] == len(own)
        if own:
            assert measured.mean_score[i] == pytest.approx(np.mean(scores[own], dtype=np.float64), abs=1e-9)
            assert measured.share_positive[i] == pytest.approx(np.mean(shares), abs=EXACT)
            error += len(own) / len(scores) * abs(np.mean(shares) - np.mean(scores[own], dtype=np.float64))
        else:
            assert math.isnan(measured.mean_score[i])
    assert measured.calibration_error == pytest.approx(error, abs=EXACT)
    assert calibration_error(scores, positive_clips, bins=bins) == measured.calibration_error


def test_calibration_by_hand_and_in_sum() -> None:
    scores = np.array([0.0, 0.1, 0.5, 0.6, 1.0])
    low = reliability(scores, np.array([2, 4]), bins=2)
    assert low.counts.tolist() == [3, 2]
    assert low.mean_score.tolist() == pytest.approx([0.2, 0.8], abs=EXACT)
    assert low.share_positive.tolist() == [1 / 3, 1 / 2]
    assert low.calibration_error == pytest.approx(3 / 5 * (1 / 3 - 0.2) + 2 / 5 * 0.3, abs=EXACT)
    both = low + low
    assert both.counts.tolist() == [6, 4]
    assert both.calibration_error == pytest.approx(low.calibration_error, abs=EXACT)
    assert math.isnan(calibration_error(scores[:0], np.zeros(0, dtype=np.int64)))
    # scores that are the truth are right about it
    assert calibration_error(np.array([0.0, 1.0, 1.0]), np.array([1, 2])) == 0.0


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_scores_that_are_no_probabilities_are_refused(bad: float) -> None:
    with pytest.raises(ScoreError, match=f"clip row 1 .* scores {bad}; .*probabilities"):
        calibration_error(np.array([0.5, bad]), np.array([0]))


@settings(deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60),
    thresholds=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    side=st.sampled_from(["left", "right"]),
)
def test_search_equals_numpy(values: list[float], thresholds: list[float], side: Literal["left", "right"]) -> None:
    for kind in (np.float64, np.float32):
        with np.errstate(over="ignore"):
            ranked = np.sort(np.array(thresholds, dtype=kind))
            scores = np.resize(np.array(values + thresholds, dtype=kind), 5_000)
        ranked, scores = ranked[np.isfinite(ranked)], np.where(np.isfinite(scores), scores, kind(0))
        if len(ranked):
            np.testing.assert_array_equal(search_many(ranked, scores, side=side), np.searchsorted(ranked, scores, side))


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=50), st.integers(2, 32))
def test_cells_keep_the_order(values: list[float], bits: int) -> None:
    ranked = np.sort(np.array(values))
    own = cells(ranked, bits=bits).astype(np.int64)
    assert np.all(np.diff(own) >= 0)
    assert np.all(np.diff(own)[ranked[1:] == ranked[:-1]] == 0)
    assert own.max() < 2**bits


def test_intervals_of_a_reliability_curve_are_wilsons() -> None:
    counts, positives = np.array([0, 1, 7, 40, 1_000]), np.array([0, 1, 0, 13, 990])
    low, high = Reliability(counts, np.zeros(5), positives).share_positive_ends
    assert np.isnan([low[0], high[0]]).all()
    for place in range(1, 5):
        own = binomtest(int(positives[place]), int(counts[place])).proportion_ci(0.95, method="wilson")
        assert (low[place], high[place]) == pytest.approx((own.low, own.high), abs=1e-12)
    # by hand, for none of 7: 0 to z^2 / (7 + z^2)
    assert high[2] == pytest.approx(1.959963984540054**2 / (7 + 1.959963984540054**2), abs=1e-12)
