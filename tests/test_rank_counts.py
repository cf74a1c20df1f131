"""Counts above each positive, by bins, against counting one by one; on few clips with few bins, and on many."""

import math
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from earwitness.evaluation import rank_counts
from earwitness.evaluation.metrics import rank_label
from earwitness.evaluation.rank_counts import RankCounter, count_ranks

EXACT = 1e-12
"""Both sides are float64 sums of terms in [0, 1]."""

ALWAYS_BINS = {
    "_FEW_CLIPS": 0,
    "_FEW_VALUES": 0,
    "_MOST_BITS": 5,
    "_BITS_PER_VALUE": 9,
    "_BLOCK_CLIPS": 7,
    "_CROWD_CLIPS": 5,
    "_CROWD_PER_VALUE": 0,
}
"""All that is done with a million clips, done with a handful."""

TYPES = ("float16", "float32", "float64", ">f4", "int8", "int16", "int64", "uint8", "uint32", "uint64", "longdouble")

CASES = (
    *("random", "logits", "uniform", "tied", "coarse", "signed", "saturated", "constant", "steps", "around_zero"),
    *("one_positive", "all_positive", "one_negative", "many_positives", "subnormal", "largest"),
)


def slow_counts(scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64]) -> list[tuple[int, ...]]:
    """As the definition says it."""
    own = scores[positive_clips]
    return [
        (int((scores > x).sum()), int((scores >= x).sum()), int((own > x).sum()), int((own >= x).sum()))
        for x in sorted(set(own.tolist()))
    ]


def counts_of(scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64]) -> list[tuple[int, ...]]:
    counts = count_ranks(scores, positive_clips)
    columns = (counts.above, counts.at_or_above, counts.positives_above, counts.positives_at_or_above)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def make_case(kind: str, *, clips: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(CASES.index(kind))
    num_positives = {"one_positive": 1, "all_positive": clips, "one_negative": clips - 1}.get(kind, clips // 300)
    if kind == "many_positives":
        num_positives = clips // 3
    positive_clips = np.sort(rng.choice(clips, num_positives, replace=False)).astype(np.int64)
    logits = rng.normal(size=clips) * 2 - 3
    logits[positive_clips] += 2
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    scores: npt.NDArray[Any] = {
        "logits": logits.astype(np.float32),
        "uniform": rng.random(clips),
        "tied": np.round(probabilities, 2),
        "coarse": np.round(probabilities, 4),
        "signed": np.round(logits * 4).astype(np.float32) / 4,
        "saturated": (1 / (1 + np.exp(-60 * (logits + 3)))).astype(np.float32),
        "constant": np.full(clips, 0.25, np.float32),
        "steps": (logits > -3).astype(np.float64),
        "around_zero": rng.choice(np.array([-0.0, 0.0, 1e-30, -1e-30, 1.0], np.float32), clips),
        "subnormal": (rng.integers(-40, 41, clips) * np.float32(1e-45)).astype(np.float32),
        "largest": rng.choice(np.finfo(np.float32).max * np.linspace(-1, 1, 4001, dtype=np.float32), clips),
    }.get(kind, probabilities)
    return scores, positive_clips


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_bins_count_as_one_by_one(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(TYPES)))
    clips = data.draw(st.integers(1, 60))
    if dtype.kind == "f":
        element = st.floats(allow_nan=False, allow_infinity=False, width=16)
        scores = np.array(data.draw(st.lists(element, min_size=clips, max_size=clips)), dtype=dtype)
    else:
        limits = np.iinfo(dtype)
        edges = st.sampled_from([limits.min, limits.min + 1, limits.max - 1, limits.max, 0, 1])
        element_of_any_size = st.integers(limits.min, limits.max) | st.integers(0, 9) | edges
        scores = np.array(data.draw(st.lists(element_of_any_size, min_size=clips, max_size=clips)), dtype=dtype)
    positive = data.draw(st.sets(st.integers(0, clips - 1), min_size=1))
    positive_clips = np.array(sorted(positive), dtype=np.int64)
    limits_of_bins = {
        **ALWAYS_BINS,
        "_MOST_BITS": data.draw(st.integers(1, 9)),
        "_FEW_VALUES": data.draw(st.integers(0, 3)),
    }
    with mock.patch.multiple(rank_counts, **limits_of_bins):
        assert counts_of(scores, positive_clips) == slow_counts(scores, positive_clips)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("clips", [5_000, 150_000])
def test_measures_equal_scikit_learn(kind: str, clips: int) -> None:
    scores, positive_clips = make_case(kind, clips=clips)
    targets = np.zeros(clips, dtype=np.bool_)
    targets[positive_clips] = True
    auc, precision = rank_label(scores, positive_clips)
    if kind == "all_positive":
        assert math.isnan(auc)
    else:
        assert auc == pytest.approx(roc_auc_score(targets, scores.astype(np.float64)), abs=EXACT)
    assert precision == pytest.approx(average_precision_score(targets, scores.astype(np.float64)), abs=EXACT)


@pytest.mark.parametrize("kind", CASES)
def test_only_the_order_counts_to_the_bit(kind: str) -> None:
    scores, positive_clips = make_case(kind, clips=40_000)
    plain = rank_label(scores, positive_clips)
    order = np.random.default_rng(0).permutation(len(scores))
    place = np.argsort(order)
    ranks = np.unique(scores, return_inverse=True)[1]
    for changed, changed_clips in (
        (scores[order], place[positive_clips]),
        (scores.astype(np.float64), positive_clips),
        (ranks, positive_clips),
        (ranks.astype(np.float32) - 9000, positive_clips),
        (ranks.astype(np.float64) ** 3 - 1e9, positive_clips),
        (scores.astype(np.longdouble), positive_clips),  # sorted
    ):
        np.testing.assert_array_equal(rank_label(changed, changed_clips), plain)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.int16])
@pytest.mark.parametrize("lowest", [0, -3000])
def test_scores_may_come_in_parts(dtype: type, lowest: int) -> None:
    rng = np.random.default_rng(4)
    scores = rng.integers(lowest, 3000, 20_000).astype(dtype)
    values = np.unique(scores[:500])
    expected = np.sort(scores)
    for parts in (1, 7):
        counter = RankCounter(values, num_scores=len(scores))
        for part in np.array_split(rng.permutation(scores), parts):
            counter.add(part)
        above, at_or_above = counter.counts()
        np.testing.assert_array_equal(above, len(scores) - np.searchsorted(expected, values, side="right"))
        np.testing.assert_array_equal(at_or_above, len(scores) - np.searchsorted(expected, values, side="left"))


def test_undefined() -> None:
    assert all(map(math.isnan, rank_label(np.arange(4.0), np.array([], dtype=np.int64))))
    auc, precision = rank_label(np.arange(4.0), np.arange(4))
    assert math.isnan(auc)
    assert precision == 1.0
