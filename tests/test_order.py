"""The computed order: a bijection, the same for any number of processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.errors import SettingsError
from earwitness.store.order import MAX_SIZE, BatchPlan, permute
from earwitness.store.patches import PatchIndex

SIZES = st.integers(1, 3_000)
KEYS = st.integers(0, 2**64 - 1)


@given(size=SIZES, key=KEYS)
def test_every_value_comes_once(size, key):
    values = permute(np.arange(size), size=size, key=key)
    assert values.dtype == np.int64
    np.testing.assert_array_equal(np.sort(values), np.arange(size))


@given(size=st.integers(1, MAX_SIZE), key=KEYS, data=st.data())
def test_large_domains_stay_inside_and_do_not_collide(size, key, data):
    positions = np.array(
        data.draw(st.lists(st.integers(0, size - 1), unique=True, min_size=1, max_size=50)), dtype=np.int64
    )
    values = permute(positions, size=size, key=key)
    assert values.min() >= 0
    assert values.max() < size
    assert len(np.unique(values)) == len(positions)


def test_a_value_depends_on_nothing_but_its_position():
    size, key = 10**12, 5
    positions = np.random.default_rng(0).integers(0, size, 1_000)
    one_by_one = [permute(np.array([p]), size=size, key=key)[0] for p in positions[:20]]
    np.testing.assert_array_equal(permute(positions, size=size, key=key)[:20], one_by_one)


def _permute_slowly(position: int, size: int, key: int) -> int:
    """The same network in Python's unbounded integers, from its description."""
    mask = 2**64 - 1

    def mix(x):
        x &= mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    a = next(n for n in range(1, size + 1) if n * n >= size)
    b = next(n for n in range(1, size + 1) if n * a >= size)
    while True:
        high, low = divmod(position, b)
        for turn in range(8):
            round_key = mix(key + (turn + 1) * 0x9E3779B97F4A7C15)
            if turn % 2 == 0:
                high = (high + mix(low + round_key)) % a
            else:
                low = (low + mix(high + round_key)) % b
        position = high * b + low
        if position < size:
            return position


@given(size=st.integers(1, 500), key=KEYS, data=st.data())
def test_against_a_slow_reimplementation(size, key, data):
    position = data.draw(st.integers(0, size - 1))
    assert permute(np.array([position]), size=size, key=key)[0] == _permute_slowly(position, size, key)


def test_the_shuffle_is_fixed_for_all_time():
    # a change of these numbers would change the order of every run that is resumed
    np.testing.assert_array_equal(permute(np.arange(10), size=10, key=1), [9, 2, 6, 3, 5, 4, 1, 7, 0, 8])
    np.testing.assert_array_equal(BatchPlan(1_000, batch_size=4, seed=7).batch(3), [283, 860, 185, 316])


@pytest.mark.parametrize("size", [2, 3, 7, 10, 100])
def test_each_position_lands_everywhere_equally_often(size):
    num_keys = 4_000
    landed = np.array([permute(np.array([0, size - 1]), size=size, key=key) for key in range(num_keys)])
    expected = num_keys / size
    for column in landed.T:
        chi_square = (((np.bincount(column, minlength=size) - expected) ** 2) / expected).sum()
        # mean size - 1, standard deviation sqrt(2 (size - 1)): six of them are beyond chance
        assert chi_square < size - 1 + 6 * np.sqrt(2 * size)


def test_neighbours_are_scattered():
    size = 1_000_000
    values = permute(np.arange(100_000), size=size, key=3)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02
    counts = np.bincount(values // 10_000, minlength=100)  # 1,000 a bin expected
    assert counts.min() > 850
    assert counts.max() < 1_150


@pytest.mark.parametrize("size", [0, -1, MAX_SIZE + 1])
def test_sizes_out_of_range(size):
    with pytest.raises(ValueError, match="size="):
        permute(np.array([0]), size=size, key=0)


def test_positions_out_of_range():
    with pytest.raises(ValueError, match=r"positions must lie in \[0, 10\); came -1 to 10"):
        permute(np.array([-1, 10]), size=10, key=0)


@given(
    num_patches=st.integers(1, 60),
    share=st.integers(1, 9),
    world_size=st.integers(1, 5),
    seed=st.integers(0, 2**70),
    step=st.integers(0, 50),
)
def test_ranks_together_are_the_batch_of_one_process(num_patches, share, world_size, seed, step):
    plan = BatchPlan(num_patches, batch_size=share * world_size, seed=seed)
    shares = [plan.batch(step, rank=rank, world_size=world_size) for rank in range(world_size)]
    np.testing.assert_array_equal(np.concatenate(shares), plan.batch(step))


@given(num_patches=st.integers(1, 60), batch_size=st.integers(1, 150), seed=st.integers(0, 1_000))
def test_every_patch_comes_once_an_epoch(num_patches, batch_size, seed):
    plan = BatchPlan(num_patches, batch_size=batch_size, seed=seed)
    num_epochs = 3
    steps = -(-num_epochs * num_patches // batch_size)
    seen = np.concatenate([plan.batch(step) for step in range(steps)])[: num_epochs * num_patches]
    for epoch in seen.reshape(num_epochs, num_patches):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(num_patches))


def test_epochs_and_seeds_differ():
    first, second = (BatchPlan(1_000, batch_size=1_000, seed=1).batch(step) for step in (0, 1))
    other = BatchPlan(1_000, batch_size=1_000, seed=2).batch(0)
    assert (first != second).mean() > 0.9
    assert (first != other).mean() > 0.9


def test_plans_that_cannot_be():
    with pytest.raises(SettingsError, match="does not divide among 3 processes"):
        BatchPlan(10, batch_size=128, seed=0).batch(0, rank=0, world_size=3)
    with pytest.raises(SettingsError, match="nothing to draw"):
        BatchPlan(0, batch_size=128, seed=0)
    with pytest.raises(SettingsError, match="batch_size=0"):
        BatchPlan(10, batch_size=0, seed=0)
    with pytest.raises(SettingsError, match="seed=-1"):
        BatchPlan(10, batch_size=1, seed=-1)
    with pytest.raises(ValueError, match="rank=2"):
        BatchPlan(10, batch_size=2, seed=0).batch(0, rank=2, world_size=2)


@given(
    frames=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    patch_frames=st.integers(1, 12),
    hop_frames=st.integers(1, 12),
    data=st.data(),
)
def test_patches_against_a_loop(frames, patch_frames, hop_frames, data):
    clips = data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=12))
    expected = [
        (clip, first)
        for clip in clips
        for first in range(0, frames[clip], hop_frames)
        if first + patch_frames <= frames[clip]
    ]
    index = PatchIndex(
        np.array(frames), np.array(clips, dtype=np.int64), patch_frames=patch_frames, hop_frames=hop_frames
    )
    assert index.num_patches == len(expected)
    found = index.locate(np.arange(index.num_patches))
    assert list(zip(*(array.tolist() for array in found), strict=True)) == expected


def test_patch_numbers_out_of_range():
    index = PatchIndex(np.array([96, 200]), np.array([0, 1]), patch_frames=96, hop_frames=96)
    assert index.num_patches == 3
    with pytest.raises(IndexError, match=r"\[0, 3\); came 3 to 3"):
        index.locate(np.array([3]))
    with pytest.raises(SettingsError, match="hop_frames=0"):
        PatchIndex(np.array([96]), np.array([0]), patch_frames=96, hop_frames=0)
