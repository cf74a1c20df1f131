"""The order in which every label comes equally often: pure, without repetition, the same for any number of ranks."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.store.balanced_order import BalancedPlan
from earwitness.store.order import MAX_SIZE, permute, permute_each
from earwitness.store.patches import PatchIndex

CLIP_LABELS = [[0], [0], [0, 2], [1], [], [2], [0], [1, 2], [0, 1], [3]]
FRAMES = np.array([300, 96, 200, 500, 150, 100, 50, 192, 96, 400])  # clip 6 is shorter than a patch
CLIPS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8])  # label 3 is not learnt from


def made_plan(batch_size: int, seed: int = 3) -> tuple[BalancedPlan, PatchIndex]:
    index = PatchIndex(FRAMES, CLIPS, patch_frames=96, hop_frames=48)
    offsets = np.concatenate([[0], np.cumsum([len(labels) for labels in CLIP_LABELS])])
    flat = np.array([label for labels in CLIP_LABELS for label in labels], dtype=np.int32)
    plan = BalancedPlan(index, label_offsets=offsets, label_indices=flat, batch_size=batch_size, seed=seed)
    return plan, index


def patches_by_label(index: PatchIndex) -> dict[int, set[int]]:
    clips, _ = index.locate(np.arange(index.num_patches))
    return {
        label: {
            n for n, clip in enumerate(clips) if (label in CLIP_LABELS[clip] if label >= 0 else not CLIP_LABELS[clip])
        }
        for label in (-1, 0, 1, 2)
    }


@given(
    positions=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 2**64 - 1)), min_size=1)
)
def test_many_shuffles_at_once(positions):
    places = np.array([place % size for place, size, _ in positions])
    sizes = np.array([size for _, size, _ in positions])
    keys = np.array([key for *_, key in positions], dtype=np.uint64)
    expected = [permute(np.array([p]), size=int(s), key=int(k))[0] for p, s, k in zip(places, sizes, keys, strict=True)]
    assert permute_each(places, sizes=sizes, keys=keys).tolist() == expected


@pytest.mark.parametrize("size", [1, 2, 9, 10, 2**52 + 1, 2**53 - 1, (2**26 + 1) ** 2, MAX_SIZE - 1, MAX_SIZE])
def test_sizes_whose_square_roots_round(size):
    keys = np.arange(20, dtype=np.uint64)
    places = np.random.default_rng(0).integers(0, size, 20)
    expected = [permute(np.array([p]), size=size, key=int(k))[0] for p, k in zip(places, keys, strict=True)]
    assert permute_each(places, sizes=np.full(20, size), keys=keys).tolist() == expected


def test_every_label_once_a_turn_and_its_patches_without_repetition():
    plan, index = made_plan(batch_size=4)  # four kinds: three labels, and none; so a batch is a turn
    by_label = patches_by_label(index)
    turns = np.array([plan.batch(step) for step in range(3 * 5 * 7 * 11)])
    for turn in turns:
        # one patch may stand for several labels: there must be a way to give each label one
        assert can_be_given(turn.tolist(), by_label)
    unlabelled = by_label[-1]
    seen = [patch for patch in turns.ravel() if patch in unlabelled]
    assert len(seen) == len(turns)
    for first in range(0, len(seen) - len(unlabelled), len(unlabelled)):
        assert set(seen[first : first + len(unlabelled)]) == unlabelled


def can_be_given(patches: list[int], by_label: dict[int, set[int]]) -> bool:
    return any(
        all(patch in by_label[label] for label, patch in zip(by_label, order, strict=True))
        for order in itertools.permutations(patches)
    )


def test_rare_labels_come_as_often_as_common_ones():
    """Here with one label each, so that what was drawn can be told from the clip."""
    frames = np.full(111, 96)
    labels = np.array([0] * 100 + [1] * 10 + [2], dtype=np.int32)
    index = PatchIndex(frames, np.arange(111), patch_frames=96, hop_frames=96)
    plan = BalancedPlan(index, label_offsets=np.arange(112), label_indices=labels, batch_size=30, seed=1)
    drawn = np.concatenate([plan.batch(step) for step in range(20)])
    assert np.bincount(labels[drawn]).tolist() == [200, 200, 200]
    assert (np.bincount(drawn)[:100] == 2).all()  # two rounds, each patch once in each
    assert (np.bincount(drawn)[100:110] == 20).all()
    orders = [drawn[labels[drawn] == 1][first : first + 10].tolist() for first in range(0, 200, 10)]
    assert all(sorted(order) == list(range(100, 110)) for order in orders)
    assert len({tuple(order) for order in orders}) > 15  # a new order each round


@given(share=st.integers(1, 9), world_size=st.integers(1, 5), step=st.integers(0, 50), seed=st.integers(0, 9))
def test_ranks_together_are_the_batch_of_one_process(share, world_size, step, seed):
    plan, _ = made_plan(share * world_size, seed)
    shares = [plan.batch(step, rank=rank, world_size=world_size) for rank in range(world_size)]
    np.testing.assert_array_equal(np.concatenate(shares), plan.batch(step))
    finer, _ = made_plan(1, seed)  # and the place in a batch does not matter, only the position overall
    one_by_one = [finer.batch(step * share * world_size + n)[0] for n in range(share * world_size)]
    np.testing.assert_array_equal(one_by_one, plan.batch(step))
