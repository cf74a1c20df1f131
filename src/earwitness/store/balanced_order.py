"""An order of patches in which every label comes equally often, computed like the plain one (`order.py`).

The labels come in turns: in each turn every label once, in an order of its own; and each label's patches are gone
through without repetition, in a new order each time they are through. So "the patch at position p" is again a pure
function of (seed, p). Clips without labels are drawn like those of one more label. A patch with several labels is
drawn for each of them.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.store.order import BatchPlan, Indices, mix, permute_each
from earwitness.store.patches import PatchIndex
from earwitness.store.runs import RunFinder

_BLOCK = 8
"""Pairs whose patches are counted together: memory holds one sum for 8, and drawing a patch looks 8 clips up."""
_ROWS_AT_ONCE = 1 << 19
_BLOCKS_AT_ONCE = 1 << 16


class BalancedPlan:
    """Which patches each training step sees. Memory: 5 bytes for each label of each clip."""

    def __init__(
        self,
        index: PatchIndex,
        *,
        label_offsets: Indices,
        label_indices: npt.NDArray[np.int32],
        batch_size: int,
        seed: int,
    ) -> None:
        """Sort the clips by label.

        Args:
            index: of the patches to draw from.
            label_offsets: int64 [all clips of the store + 1].
            label_indices: int32: of the store, as in `store.index`.
            batch_size: patches of one step, over all ranks together.
            seed: chooses the order.
        """
        self.batch_size = batch_size
        self.places = BatchPlan(index.num_patches, batch_size=batch_size, seed=seed)
        digest = hashlib.sha256(f"{seed}/balanced".encode()).digest()
        self._key = np.uint64(int.from_bytes(digest[:8], "little"))

        self._index = index
        num_kinds = int(np.max(label_indices, initial=-1)) + 2  # no label at all, and each label
        num_pairs, num_patches = np.zeros(num_kinds, np.int64), np.zeros(num_kinds, np.int64)
        for rows, kinds in _pairs(index, label_offsets, label_indices, num_kinds):
            num_pairs += np.bincount(kinds, minlength=num_kinds)
            # float64 counts exactly up to 2^53
            num_patches += np.bincount(kinds, index.patches_of(rows), minlength=num_kinds).astype(np.int64)
        self._pair_rows = np.zeros(-(-int(num_pairs.sum()) // _BLOCK) * _BLOCK, np.min_scalar_type(len(index.clips)))
        """Kind by kind the rows of its clips, ascending; filled up to whole blocks."""
        next_places = np.cumsum(num_pairs) - num_pairs
        for rows, kinds in _pairs(index, label_offsets, label_indices, num_kinds):
            by_kind = np.argsort(kinds, kind="stable")
            counts = np.bincount(kinds, minlength=num_kinds)
            shifts = next_places - (np.cumsum(counts) - counts)
            self._pair_rows[shifts[kinds[by_kind]] + np.arange(len(kinds))] = rows[by_kind]
            next_places += counts
        self._block_stops = np.zeros(len(self._pair_rows) // _BLOCK, np.int64)
        for first in range(0, len(self._block_stops), _BLOCKS_AT_ONCE):
            pair_rows = self._pair_rows[first * _BLOCK : (first + _BLOCKS_AT_ONCE) * _BLOCK].reshape(-1, _BLOCK)
            self._block_stops[first : first + _BLOCKS_AT_ONCE] = index.patches_of(pair_rows).sum(axis=1)
        np.cumsum(self._block_stops, out=self._block_stops)
        self._blocks = RunFinder(self._block_stops)
        self._patches_per_label = num_patches[num_pairs > 0]
        self._label_starts = np.cumsum(self._patches_per_label) - self._patches_per_label

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> Indices:
        """Patch numbers of one rank's share of a step; see `BatchPlan.batch`."""
        positions = self.places.positions(step, rank=rank, world_size=world_size)
        num_labels = len(self._label_starts)
        turns, places = np.divmod(positions, num_labels)
        turn_keys = self._keys(turns, np.full_like(turns, -1))
        labels = permute_each(places, sizes=np.full_like(places, num_labels), keys=turn_keys)
        sizes = self._patches_per_label[labels]
        rounds, numbers = np.divmod(turns, sizes)  # a label has come once in each turn before
        numbers = permute_each(numbers, sizes=sizes, keys=self._keys(rounds, labels))
        numbers += self._label_starts[labels]
        return self._patches_at(numbers)

    def _patches_at(self, numbers: Indices) -> Indices:
        """The patches with these numbers, counted through kind by kind and clip by clip."""
        blocks = self._blocks.find(numbers)
        rows = self._pair_rows[blocks[:, None] * _BLOCK + np.arange(_BLOCK)]
        sizes = self._index.patches_of(rows)
        stops = np.cumsum(sizes, axis=1)
        within_blocks = numbers - self._block_stops[blocks] + stops[:, -1]
        at = np.arange(len(numbers)), np.count_nonzero(stops <= within_blocks[:, None], axis=1)
        patches: Indices = self._index.first_patches[rows[at]] + within_blocks - (stops[at] - sizes[at])
        return patches

    def _keys(self, numbers: Indices, labels: Indices) -> npt.NDArray[np.uint64]:
        return mix(mix(self._key + numbers.astype(np.uint64)) + labels.astype(np.uint64))


def _pairs(
    index: PatchIndex, label_offsets: Indices, label_indices: npt.NDArray[np.int32], num_kinds: int
) -> Iterator[tuple[Indices, npt.NDArray[np.integer[Any]]]]:
    """Rows of clips that have patches with the kinds they belong to: label + 1, or 0 without any; in pieces."""
    for first in range(0, len(index.clips), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(index.clips)))
        rows = rows[index.patches_of(rows) > 0]
        starts = np.asarray(label_offsets)[index.clips[rows]]
        counts = np.asarray(label_offsets)[index.clips[rows] + 1] - starts
        places = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
        kinds = np.asarray(label_indices)[places] + 1
        without = rows[counts == 0]
        kinds = np.concatenate([kinds, np.zeros(len(without), kinds.dtype)])
        # 16 bits are sorted in one go each way, without comparing
        yield np.concatenate([np.repeat(rows, counts), without]), kinds.astype(np.min_scalar_type(num_kinds))
