"""The order in which patches are seen: computed, never stored.

"The patch at position p of epoch e" is a pure function of (seed, e, p), a keyed bijection on [0, N). So every
patch is seen exactly once an epoch, any number of processes agree on one global order without talking, and
resuming needs one integer: the step. The whole index space is permuted first and dealt to ranks afterwards.

The bijection is a generalised Feistel network on Z_a x Z_b with a * b >= N and a, b near the square root of N
(Black and Rogaway 2002, "Ciphers with arbitrary finite domains"): halves are added modulo a and b by turns,
and the few values that fall on or beyond N walk on along their cycle until they are inside. It is a shuffle, not
encryption: the rounds are mixing functions, strong enough for statistics only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.errors import SettingsError

MAX_SIZE = 2**62
"""Largest domain: its positions and the products within must fit 64 bits."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The increment of SplitMix64: an odd constant without structure."""

_ROUNDS = 8

Indices = npt.NDArray[np.int64]
_Numbers = np.uint64 | npt.NDArray[np.uint64]


def permute(positions: Indices, *, size: int, key: int) -> Indices:
    """Where a keyed shuffle of [0, size) puts each position.

    Args:
        positions: int64 [n], each in [0, size).
        size: number of things shuffled, 1 to `MAX_SIZE`.
        key: any integer; its lower 64 bits choose the shuffle.

    Returns:
        int64 [n] in [0, size). Over all positions every value comes exactly once.

    Raises:
        ValueError: `size` or a position is out of range.
    """
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"size={size} must lie in [1, {MAX_SIZE}]")
    positions = np.asarray(positions, dtype=np.int64)
    if positions.size and (positions.min() < 0 or positions.max() >= size):
        raise ValueError(f"positions must lie in [0, {size}); came {positions.min()} to {positions.max()}")
    rows = math.isqrt(size - 1) + 1
    high_size, low_size = np.uint64(rows), np.uint64(-(-size // rows))
    round_keys = [np.uint64(_mix_int(key + (turn + 1) * int(GOLDEN))) for turn in range(_ROUNDS)]
    values = _feistel(positions.astype(np.uint64), high_size, low_size, round_keys)
    outside = np.flatnonzero(values >= size)
    while outside.size:
        values[outside] = _feistel(values[outside], high_size, low_size, round_keys)
        outside = outside[values[outside] >= size]
    return values.astype(np.int64)


def permute_each(positions: Indices, *, sizes: Indices, keys: npt.NDArray[np.uint64]) -> Indices:
    """As `permute`, for positions that each belong to a shuffle of their own.

    Args:
        positions: int64 [n], each in [0, its size).
        sizes: int64 [n], each 1 to `MAX_SIZE`.
        keys: uint64 [n].

    Returns:
        int64 [n]: what `permute(positions[i], size=sizes[i], key=keys[i])` gives.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    high_sizes = np.sqrt(sizes - 1).astype(np.int64)  # right but for rounding, which the next two lines mend
    high_sizes -= high_sizes * high_sizes > sizes - 1
    high_sizes += (high_sizes + 1) * (high_sizes + 1) <= sizes - 1
    high = (high_sizes + 1).astype(np.uint64)
    limits = sizes.astype(np.uint64)
    low = (limits + high - np.uint64(1)) // high
    round_keys = [mix(keys + np.uint64((turn + 1) * int(GOLDEN) % 2**64)) for turn in range(_ROUNDS)]
    values = _feistel(np.asarray(positions).astype(np.uint64), high, low, round_keys)
    outside = np.flatnonzero(values >= limits)
    while outside.size:
        values[outside] = _feistel(values[outside], high[outside], low[outside], [k[outside] for k in round_keys])
        outside = outside[values[outside] >= limits[outside]]
    return values.astype(np.int64)


@dataclass(frozen=True)
class BatchPlan:
    """Which patches each training step sees.

    Patches are numbered from 0. Global position `step * batch_size + j` runs through epoch after epoch, each
    with a shuffle of its own, so that every patch comes once an epoch and no patch is dropped: where the
    number of patches is no multiple of the batch, batches straddle the border of two epochs.
    """

    num_patches: int
    """Patches of the corpus."""
    batch_size: int = 128
    """Patches of one step, over all ranks together."""
    seed: int = 0
    """Chooses the order."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_patches <= MAX_SIZE:
            raise SettingsError(f"num_patches={self.num_patches} must lie in [1, {MAX_SIZE}]: there is nothing to draw")
        if self.batch_size < 1:
            raise SettingsError(f"batch_size={self.batch_size} must be at least 1")
        if self.seed < 0:
            raise SettingsError(f"seed={self.seed} must not be negative")

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> Indices:
        """Patch numbers of one rank's share of a step, int64 [batch_size / world_size].

        The shares of all ranks, joined in order of rank, are the batch that a single process draws.

        Raises:
            SettingsError: the batch does not divide among `world_size` ranks.
            ValueError: `step` is negative or `rank` outside [0, world_size).
        """
        positions = self.positions(step, rank=rank, world_size=world_size)
        epochs = positions // self.num_patches
        patches = np.empty_like(positions)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            at = epochs == epoch
            places = positions[at] - epoch * self.num_patches
            patches[at] = permute(places, size=self.num_patches, key=self._epoch_key(epoch))
        return patches

    def positions(self, step: int, *, rank: int = 0, world_size: int = 1) -> Indices:
        """Global positions of one rank's share of a step, int64 [batch_size / world_size].

        Raises:
            SettingsError, ValueError: as `batch`.
        """
        if self.batch_size % world_size:
            raise SettingsError(
                f"batch_size={self.batch_size} does not divide among {world_size} processes; choose a multiple of it"
            )
        if step < 0 or not 0 <= rank < world_size:
            raise ValueError(f"step={step} and rank={rank} must not be negative, rank below world_size={world_size}")
        share = self.batch_size // world_size
        first = step * self.batch_size + rank * share
        return np.arange(first, first + share, dtype=np.int64)

    def _epoch_key(self, epoch: int) -> int:
        return int(np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0])


def _feistel(
    values: npt.NDArray[np.uint64], high_size: _Numbers, low_size: _Numbers, round_keys: Sequence[_Numbers]
) -> npt.NDArray[np.uint64]:
    """`values` through all rounds; sizes and keys are one number each, or arrays as long as `values`."""
    high, low = np.divmod(values, low_size)
    for turn, round_key in enumerate(round_keys):
        if turn % 2:
            low = (low + mix(high + round_key) % low_size) % low_size
        else:
            high = (high + mix(low + round_key) % high_size) % high_size
    return high * low_size + low


def mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014): each input bit changes every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mix_int(x: int) -> int:
    """`mix` of one number, in Python's integers: for a few, that is faster."""
    x %= 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)
