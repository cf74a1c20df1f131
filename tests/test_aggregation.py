"""Aggregations, held against their formulas and read in pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.evaluation.aggregation import ClipAggregator
from earwitness.evaluation.aggregation_names import AGGREGATIONS

RNG = np.random.default_rng(5)
SLOW = {
    "mean": lambda p: sum(p) / len(p),
    "max": lambda p: max(p),
    "top3": lambda p: sum(sorted(p)[-3:]) / min(3, len(p)),
    "linear_softmax": lambda p: sum(x * x for x in p) / sum(p) if sum(p) else 0.0,
}


def test_by_hand():
    scores = np.array([[0.5, 0.0], [0.1, 0.0], [0.2, 0.0], [0.4, 0.0], [1.0, 0.25]])
    rows = np.array([0, 0, 0, 0, 1])
    expected = {
        "mean": [[0.3, 0], [1, 0.25]],
        "max": [[0.5, 0], [1, 0.25]],
        "top3": [[1.1 / 3, 0], [1, 0.25]],
        "linear_softmax": [[0.46 / 1.2, 0], [1, 0.25]],
    }
    assert set(expected) == set(AGGREGATIONS)
    for name in AGGREGATIONS:
        out = np.full((2, 2), np.nan)
        aggregator = ClipAggregator(name, out)
        aggregator.push(rows, scores)
        aggregator.finish()
        np.testing.assert_allclose(out, expected[name], rtol=1e-15)


@pytest.mark.parametrize("name", AGGREGATIONS)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=8), step=st.integers(1, 12))
def test_pieces_do_not_show(name, counts, step):
    rows = np.repeat(np.arange(len(counts)), counts)
    scores = np.random.default_rng(sum(counts)).random((len(rows), 3)).astype(np.float32)
    scores[::5] = 0
    out = np.full((3, len(counts)), np.nan, dtype=np.float32)
    aggregator = ClipAggregator(name, out.T)
    for first in range(0, len(rows), step):
        aggregator.push(rows[first : first + step], scores[first : first + step])
    aggregator.finish()
    slow = [[SLOW[name](scores[rows == clip, label].tolist()) for clip in range(len(counts))] for label in range(3)]
    np.testing.assert_allclose(out, slow, atol=1e-7)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_what_is_no_number_stays_so(name):
    out = np.zeros((1, 2))
    aggregator = ClipAggregator(name, out)
    aggregator.push(np.zeros(4, dtype=np.int64), np.array([[0.1, 0.1], [np.nan, 0.1], [0.2, 0.1], [0.3, 0.1]]))
    aggregator.finish()
    assert np.isnan(out[0, 0])
    assert out[0, 1] == pytest.approx(0.1)
