"""An order of patches in which every label comes equally often, computed like the plain one (`order.py`).

The labels come in turns: in each turn every label once, in an order of its own; and each label's patches are gone
through without repetition, in a new order each time they are through. So "the patch at position p" is again a pure
function of (seed, p). Clips without labels are drawn like those of one more label. A patch with several labels is
drawn for each of them.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from earwitness.store.order import BatchPlan, Indices, mix, permute_each
from earwitness.store.patches import PatchIndex


class BalancedPlan:
    """Which patches each training step sees. Memory: two numbers for each label of each clip."""

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

        rows = np.flatnonzero(index.patches_per_clip)
        firsts = np.asarray(label_offsets)[index.clips[rows]]
        counts = np.asarray(label_offsets)[index.clips[rows] + 1] - firsts
        pair_rows = np.repeat(rows, counts)
        within = np.arange(len(pair_rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        pair_labels = np.asarray(label_indices)[np.repeat(firsts, counts) + within].astype(np.int64)
        pair_rows = np.concatenate([pair_rows, rows[counts == 0]])
        pair_labels = np.concatenate([pair_labels, np.full(np.count_nonzero(counts == 0), -1)])
        by_label = np.argsort(pair_labels, kind="stable")
        pair_rows, pair_labels = pair_rows[by_label], pair_labels[by_label]

        self._pair_first_patches = index.first_patches[pair_rows]
        self._pair_stops = np.cumsum(index.patches_per_clip[pair_rows])
        """Label by label, the patches of each pair of label and clip, counted through."""
        _, label_firsts = np.unique(pair_labels, return_index=True)
        before = np.concatenate([[0], self._pair_stops])
        self._label_starts = before[label_firsts]
        self._patches_per_label = np.diff(np.append(self._label_starts, before[-1]))

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
        pairs = np.searchsorted(self._pair_stops, numbers, side="right")
        pair_starts = np.concatenate([[0], self._pair_stops])[pairs]
        patches: Indices = self._pair_first_patches[pairs] + numbers - pair_starts
        return patches

    def _keys(self, numbers: Indices, labels: Indices) -> npt.NDArray[np.uint64]:
        return mix(mix(self._key + numbers.astype(np.uint64)) + labels.astype(np.uint64))
