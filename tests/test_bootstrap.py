"""Replicates against the measures themselves and a slow bootstrap that repeats clips; intervals and their coverage."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm, t

from earwitness.errors import SettingsError
from earwitness.evaluation import bootstrap
from earwitness.evaluation.bootstrap import LabelReplicates, ReplicateMeans, Resampling, interval
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import rank_label

EXACT = 1e-12
"""Both sides are float64 sums of at most some ten thousand terms in [0, 1]."""

CASES = ("random", "tied", "constant", "saturated", "integer", "perfect", "one_positive", "one_negative", "no_negative")


def make_label(kind: str, *, clips: int = 500, share: float = 0.1) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(CASES.index(kind))
    is_positive = rng.random(clips) < share
    if kind in ("one_positive", "one_negative", "no_negative"):
        is_positive = np.arange(clips) == 7 if kind == "one_positive" else np.arange(clips) != 7
        is_positive |= kind == "no_negative"
    scores: npt.NDArray[Any] = rng.normal(size=clips) + 1.5 * is_positive
    if kind == "tied":
        scores = np.round(scores, 1)
    elif kind == "constant":
        scores = np.full(clips, 0.25)
    elif kind == "saturated":
        scores = (1 / (1 + np.exp(-60 * scores))).astype(np.float32)
    elif kind == "integer":
        scores = np.round(3 * scores).astype(np.int32)
    elif kind == "perfect":
        scores = is_positive + 0.5 * rng.random(clips)
    return scores, np.flatnonzero(is_positive)


def slow_replicates(
    scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64], resampling: Resampling
) -> npt.NDArray[np.float64]:
    """[AUC and AP, resamples] of tables in which each clip stands as often as its weight says."""
    is_positive = np.isin(np.arange(len(scores)), positive_clips)
    repeated = [
        np.repeat(np.arange(len(scores)), resampling.weights[resampling.groups, column].astype(int))
        for column in range(1, resampling.weights.shape[1])
    ]
    auc, precision = np.array([rank_label(scores[clips], np.flatnonzero(is_positive[clips])) for clips in repeated]).T
    return np.array([auc, np.where(np.isnan(auc), np.nan, precision)])  # labels without negative clips are left out


@pytest.mark.parametrize("most_groups", [4096, 50])
@pytest.mark.parametrize("kind", CASES)
def test_replicates_equal_a_bootstrap_that_repeats_clips(kind: str, most_groups: int) -> None:
    scores, positive_clips = make_label(kind)
    resampling = Resampling(len(scores), resamples=30, seed=1, most_groups=most_groups)
    replicates = resampling.label(scores, positive_clips, most_thresholds=10_000)
    auc, precision = slow_replicates(scores, positive_clips, resampling)
    np.testing.assert_allclose(replicates.auc, auc, rtol=0, atol=EXACT)
    np.testing.assert_allclose(replicates.average_precision, precision, rtol=0, atol=EXACT)
    assert replicates.num_undefined == np.count_nonzero(np.isnan(auc))


@pytest.mark.parametrize("kind", CASES)
def test_clips_as_they_are_give_the_measures_themselves(kind: str) -> None:
    scores, positive_clips = make_label(kind, clips=6_000)
    resampling = Resampling(len(scores), resamples=2, seed=0)
    assert np.all(resampling.weights[:, 0] == 1)
    auc, precision = resampling._weighted(scores, positive_clips, most_thresholds=10_000)
    np.testing.assert_allclose([auc[0], precision[0]], rank_label(scores, positive_clips), rtol=0, atol=EXACT)


@pytest.mark.parametrize("share", [0.03, 0.3])
@pytest.mark.parametrize("shift", [0.7, 2.0, 4.0])
def test_thinning_hardly_changes_an_interval(shift: float, share: float) -> None:
    rng = np.random.default_rng(0)
    positive_clips = np.flatnonzero(rng.random(12_000) < share)
    scores = rng.normal(size=12_000)
    scores[positive_clips] += shift
    resampling = Resampling(len(scores), resamples=200, seed=0)
    whole = resampling.label(scores, positive_clips, most_thresholds=10_000)
    thinned = resampling.label(scores, positive_clips)
    for name in ("auc", "average_precision"):
        difference = getattr(thinned, name) - getattr(whole, name)
        spread = np.std(getattr(whole, name))
        assert 0 < np.std(difference) < 0.2 * spread  # near 0.02, but where a label is ranked almost without error
        assert abs(np.mean(difference)) < 0.05 * spread
        old, new = getattr(whole, f"{name}_interval"), getattr(thinned, f"{name}_interval")
        assert max(abs(new.low - old.low), abs(new.high - old.high)) < 0.03 * (old.high - old.low)


def test_wide_sums_are_exact_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, positive_clips = make_label("tied", clips=6_000)
    narrow = Resampling(len(scores), resamples=20, seed=0)
    monkeypatch.setattr(bootstrap, "_EXACT_IN_FLOAT32", 1_000)
    wide = Resampling(len(scores), resamples=20, seed=0)
    assert (narrow.weights.dtype, wide.weights.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(narrow.label(scores, positive_clips).auc, wide.label(scores, positive_clips).auc)


def test_weights_and_groups() -> None:
    resampling = Resampling(10_000, resamples=50, seed=3)
    again, other = Resampling(10_000, resamples=50, seed=3), Resampling(10_000, resamples=50, seed=4)
    np.testing.assert_array_equal(resampling.weights, again.weights)
    np.testing.assert_array_equal(resampling.groups, again.groups)
    assert not np.array_equal(resampling.groups, other.groups)
    assert set(np.bincount(resampling.groups, minlength=4096).tolist()) == {2, 3}
    assert resampling.weights[:, 1:].mean() == pytest.approx(1.0, abs=0.01)
    assert resampling.weights[:, 1:].var() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(Resampling(4_096, resamples=2, seed=0).groups, np.arange(4_096))
    with pytest.raises(SettingsError, match=r"resamples=1: .* at least 2"):
        Resampling(10, resamples=1, seed=0)


def test_grouping_keeps_the_spread() -> None:
    rng = np.random.default_rng(0)
    positive_clips = np.arange(0, 4_000, 40)
    scores = rng.normal(size=4_000)
    scores[positive_clips] += 1.5
    spreads = [
        np.std(Resampling(4_000, resamples=2_000, seed=seed, most_groups=groups).label(scores, positive_clips).auc)
        for groups in (4_096, 500)
        for seed in range(4)
    ]
    # 2,000 resamples know a spread to 1.6 %, 500 groups to 3.2 %
    assert np.mean(spreads[4:]) == pytest.approx(np.mean(spreads[:4]), rel=0.06)


def test_labels_without_positives_or_negatives() -> None:
    resampling = Resampling(100, resamples=10, seed=0)
    none = resampling.label(np.zeros(100), np.zeros(0, dtype=np.int64))
    assert np.isnan(none.auc).all()
    assert np.isnan(none.average_precision).all()
    assert (none.auc_interval, none.average_precision_interval) == (None, None)
    everyone = resampling.label(np.zeros(100), np.arange(100))
    assert np.isnan(everyone.auc).all()
    assert np.isnan(everyone.average_precision).all()
    assert (everyone.auc_interval, everyone.average_precision_interval) == (None, None)


def test_one_positive_is_absent_from_a_third_of_the_resamples_and_has_no_interval() -> None:
    scores, positive_clips = make_label("one_positive")
    replicates = Resampling(500, resamples=2_000, seed=0).label(scores, positive_clips)
    assert replicates.num_undefined / 2_000 == pytest.approx(math.exp(-1), abs=0.04)
    assert replicates.auc_interval is None


def test_intervals_by_hand() -> None:
    values = np.array([0.7, 0.8, 0.9, np.nan, np.inf])  # standard deviation 0.1
    plain = interval(values, 2.0, is_share=False)
    assert plain == Interval(pytest.approx(2.0 - 1.959964 * 0.1, abs=1e-6), pytest.approx(2.195996, abs=1e-6))
    share = interval(values, 0.8, is_share=True)
    assert share is not None
    reach = 1.959964 * 0.1 / (0.8 * 0.2)
    assert share.low == pytest.approx(1 / (1 + math.exp(-(math.log(4) - reach))), abs=1e-6)
    assert share.high == pytest.approx(1 / (1 + math.exp(-(math.log(4) + reach))), abs=1e-6)
    few = interval(values, 2.0, is_share=False, num_clips=5)
    assert few is not None
    assert few.high - 2.0 == pytest.approx(t.ppf(0.975, 4) * math.sqrt(5 / 4) * 0.1, abs=1e-9)
    many = interval(values, 2.0, is_share=False, num_clips=10**9)
    assert many == Interval(pytest.approx(plain.low, abs=1e-6), pytest.approx(plain.high, abs=1e-6))


def test_no_interval_where_resampling_says_nothing() -> None:
    values = np.array([0.7, 0.8, 0.9])
    assert interval(values, math.nan, is_share=False) is None
    assert interval(values, math.inf, is_share=False) is None
    assert interval(values[:1], 0.7, is_share=True) is None
    assert interval(np.full(3, 0.3), 0.3, is_share=True) is None
    assert interval(values, 1.0, is_share=True) is None
    assert interval(values, 0.8, is_share=True, num_clips=1) is None


def test_means_over_labels_leave_out_what_is_undefined() -> None:
    rng = np.random.default_rng(0)
    table = np.where(rng.random((30, 8)) < 0.3, np.nan, rng.random((30, 8)))
    table[:, 2] = np.nan
    means = ReplicateMeans(8)
    for row in table:
        means.add(row)
    assert np.isnan(means.means()[2])
    kept = np.arange(8) != 2
    np.testing.assert_allclose(means.means()[kept], np.nanmean(table[:, kept], axis=0), rtol=0, atol=EXACT)


def covering(name: str, truth: float, measured: list[LabelReplicates]) -> float:
    intervals = [getattr(one, f"{name}_interval") for one in measured]
    return float(np.mean([i.low <= truth <= i.high for i in intervals if i is not None]))


@pytest.mark.slow
@pytest.mark.parametrize(("num_positives", "least"), [(5, 0.88), (33, 0.89), (400, 0.92)])
def test_intervals_cover_the_truth(num_positives: int, least: float) -> None:
    """Of two unit normals, 2 apart: AUC is known, the expected AP is that of the mean of many draws."""
    rng = np.random.default_rng(0)
    measured, precisions = [], []
    for trial in range(400):
        positive_clips = np.flatnonzero(rng.random(3_000) < num_positives / 3_000)
        if not len(positive_clips):
            continue
        scores = rng.normal(size=3_000)
        scores[positive_clips] += 2.0
        precisions.append(rank_label(scores, positive_clips)[1])
        measured.append(Resampling(3_000, resamples=200, seed=trial).label(scores, positive_clips))
    assert least < covering("auc", float(norm.cdf(2 / math.sqrt(2))), measured) < 0.99
    assert least < covering("average_precision", float(np.mean(precisions)), measured) < 0.99
