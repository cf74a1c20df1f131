"""Batches of random patches, assembled ahead of the network.

What stands in the batch of a step is a function of (seed, step) alone, so a resumed run and any number of processes
see the same patches. A few batches are read ahead in one thread; frames travel as float16 and labels as indices,
dense targets are made on the device.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.reading import FrameReader

_BATCHES_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """Patches with the labels of their clips, on the CPU."""

    patches: Tensor
    """float16 [batch, patch_frames, bands]."""
    label_rows: Tensor
    """int64 [pairs]: the row in the batch of each (row, label) pair."""
    label_indices: Tensor
    """int64 [pairs]: the label of each pair."""

    def to_device(self, device: torch.device, *, num_labels: int) -> tuple[Tensor, Tensor]:
        """Patches float32 and dense targets float32 [batch, labels], on the device."""
        patches = self.patches.to(device, non_blocking=True).float()
        targets = torch.zeros(len(patches), num_labels, device=device)
        targets[self.label_rows.to(device, non_blocking=True), self.label_indices.to(device, non_blocking=True)] = 1.0
        return patches, targets


class BatchLoader:
    """Iterates over the batches of steps `first_step` to `last_step` (exclusive). Use as a context manager."""

    def __init__(
        self,
        reader: FrameReader,
        index: PatchIndex,
        plan: BatchPlan,
        *,
        patch_frames: int,
        pin_memory: bool = False,
    ) -> None:
        self._reader = reader
        self._index = index
        self._plan = plan
        self._patch_frames = patch_frames
        self._pin_memory = pin_memory
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def batches(self, first_step: int, last_step: int) -> Iterator[Batch]:
        """The batches in order; each is handed out once, while the next ones are being read."""
        ahead: deque[Future[Batch]] = deque()
        for step in range(first_step, last_step):
            while len(ahead) < _BATCHES_AHEAD and step + len(ahead) < last_step:
                ahead.append(self._executor.submit(self.load, step + len(ahead)))
            yield ahead.popleft().result()

    def load(self, step: int) -> Batch:
        """Read the batch of one step."""
        clips, first_frames = self._index.locate(self._plan.batch(step))
        patches = torch.from_numpy(self._reader.read_patches(clips, first_frames, self._patch_frames))
        rows, labels = self._label_pairs(clips)
        batch = Batch(patches, torch.from_numpy(rows), torch.from_numpy(labels))
        if self._pin_memory:
            batch = Batch(batch.patches.pin_memory(), batch.label_rows.pin_memory(), batch.label_indices.pin_memory())
        return batch

    def _label_pairs(self, clips: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        store = self._reader.store
        firsts = store.label_offsets[clips]
        counts = store.label_offsets[clips + 1] - firsts
        rows = np.repeat(np.arange(len(clips)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        labels = store.label_indices[np.repeat(firsts, counts) + within].astype(np.int64)
        return rows, labels
