"""Finding the run of a number among few and many runs, and the patches of many clips by it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.store.balanced_order import BalancedPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.runs import RunFinder


@pytest.mark.parametrize("num_runs", [1, 63, 64, 65, 4_096, 4_097, 64 * 4_096, 64 * 4_096 + 1, 300_000])
@pytest.mark.parametrize("longest", [2, 400])
def test_against_a_binary_search(num_runs: int, longest: int) -> None:
    rng = np.random.default_rng(num_runs + longest)
    stops = np.cumsum(rng.integers(0, longest, num_runs)) + 1
    numbers = np.concatenate([rng.integers(0, stops[-1], 1_000), [0, stops[-1] - 1], stops[:-1][-9:], stops[:9] - 1])
    numbers = numbers[numbers < stops[-1]]
    expected = np.searchsorted(stops, numbers, side="right")
    finder = RunFinder(stops)
    np.testing.assert_array_equal(finder.find(numbers), expected)
    np.testing.assert_array_equal(finder.find(np.tile(numbers, 20)), np.tile(expected, 20))
    assert finder.find(numbers[:0]).tolist() == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30).filter(any))
def test_against_the_runs_written_out(sizes: list[int]) -> None:
    written_out = [run for run, size in enumerate(sizes) for _ in range(size)]
    # far behind 5,000 runs, so that there is a table
    finder = RunFinder(np.cumsum([1] * 5_000 + sizes + [1] * 5_000))
    numbers = np.arange(5_000, 5_000 + len(written_out))
    assert (finder.find(numbers) - 5_000).tolist() == written_out


def test_patches_of_many_clips() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 400, 20_000)
    clips = np.sort(rng.choice(20_000, 12_000, replace=False))
    index = PatchIndex(frames, clips, patch_frames=96, hop_frames=48)
    every = [(clip, first) for clip in clips.tolist() for first in range(0, int(frames[clip]) - 95, 48)]
    assert index.num_patches == len(every)
    numbers = rng.integers(0, len(every), 2_000)
    found_clips, found_frames = index.locate(numbers)
    assert list(zip(found_clips.tolist(), found_frames.tolist(), strict=True)) == [every[n] for n in numbers]
    assert index.patches_of(np.array([[3, 4], [5, 3]])).tolist() == index.patches_per_clip[[[3, 4], [5, 3]]].tolist()


def test_balanced_order_of_many_clips() -> None:
    """Each round of a label, and of no label, is all of its patches: so none is missed where blocks and pieces meet."""
    rng = np.random.default_rng(1)
    frames, counts = rng.integers(0, 400, 30_000), rng.integers(0, 5, 30_000)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    flat = np.concatenate([np.sort(rng.choice(40, count, replace=False)) for count in counts]).astype(np.int32)
    index = PatchIndex(frames, np.arange(30_000), patch_frames=96, hop_frames=96)
    plan = BalancedPlan(index, label_offsets=offsets, label_indices=flat, batch_size=41, seed=1)
    owner = np.repeat(np.arange(30_000), index.patches_per_clip)  # the clip of each patch
    labels_of = np.zeros((30_000, 41), np.bool_)
    labels_of[np.repeat(np.arange(30_000), counts), flat + 1] = True
    labels_of[counts == 0, 0] = True
    expected = [np.flatnonzero(labels_of[owner, kind]) for kind in range(41)]
    kinds = np.repeat(np.arange(41), [len(patches) for patches in expected])
    starts = np.cumsum([0] + [len(patches) for patches in expected])
    found = plan._patches_at(np.arange(len(kinds)))
    for kind in range(41):
        np.testing.assert_array_equal(found[starts[kind] : starts[kind + 1]], expected[kind])
    assert plan._patches_per_label.tolist() == [len(patches) for patches in expected]
