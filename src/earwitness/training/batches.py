"""Batches of random patches, assembled ahead of the network.

What stands in the batch of a step is a function of (seed, step) alone, so a resumed run and any number of processes
see the same patches. A few batches are read ahead in one thread; frames travel as float16 and labels as indices,
dense targets are made on the device, on a GPU while it is still at work on the batch before.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earwitness.store.embeddings import PatchReader
from earwitness.store.patches import PatchIndex
from earwitness.training.augment import Augmentation, Draws, augmented
from earwitness.training.distributed import Processes

BATCHES_AHEAD = 4
"""Read while the network works on the one before."""


class Plan(Protocol):
    """Which patches each step sees: `store.order.BatchPlan` or `store.balanced_order.BalancedPlan`."""

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> npt.NDArray[np.int64]:
        """Patch numbers of one rank's share of a step."""


@dataclass(frozen=True)
class DeviceBatch:
    """What the network learns from, on its device."""

    patches: Tensor
    """float32 [batch, patch_frames, bands]; or embeddings in their place, [batch, embedding_size]."""
    targets: Tensor
    """float32 [batch, labels]."""
    kept: Tensor | None = None
    """bool [batch, embedding_size]: what dropout leaves of the embeddings; None: all."""

    def parts(self, count: int) -> list["DeviceBatch"]:
        """The batch in so many equal parts."""
        kept = [None] * count if self.kept is None else self.kept.chunk(count)
        return [
            DeviceBatch(*part) for part in zip(self.patches.chunk(count), self.targets.chunk(count), kept, strict=True)
        ]


@dataclass(frozen=True)
class Batch:
    """Patches with the labels of their clips, on the CPU."""

    patches: Tensor
    """float16 [batch, patch_frames, bands]; or embeddings in their place, float32 [batch, embedding_size]."""
    label_rows: Tensor
    """int64 [pairs]: the row in the batch of each (row, label) pair."""
    label_indices: Tensor
    """int64 [pairs]: the label of each pair."""
    draws: Draws = field(default_factory=Draws)
    """What is done to the patches by chance."""

    def to_device(self, device: torch.device, *, num_labels: int) -> DeviceBatch:
        """Dense targets, and mixed and blanked patches."""
        patches = self.patches.to(device, non_blocking=True).float()
        targets = torch.zeros(len(patches), num_labels, device=device)
        targets[self.label_rows.to(device, non_blocking=True), self.label_indices.to(device, non_blocking=True)] = 1.0
        draws = self.draws.moved(device)
        return DeviceBatch(*augmented(patches, targets, draws), draws.kept)

    def pinned(self) -> "Batch":
        """In memory that copies to a GPU can read while the processor goes on."""
        return Batch(
            self.patches.pin_memory(),
            self.label_rows.pin_memory(),
            self.label_indices.pin_memory(),
            self.draws.pinned(),
        )


class BatchLoader:
    """Reads this process's share of the batches. Use as a context manager."""

    def __init__(
        self,
        reader: PatchReader,
        index: PatchIndex,
        plan: Plan,
        *,
        augmentation: Augmentation | None = None,
        processes: Processes | None = None,
        pin_memory: bool = False,
    ) -> None:
        self._reader = reader
        self._index = index
        self._plan = plan
        self._augmentation = augmentation
        self._processes = processes or Processes()
        self._pin_memory = pin_memory
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self.seconds_waited = 0.0
        """How long the training has waited for batches so far."""

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def batches(self, first_step: int, last_step: int) -> Iterator[Batch]:
        """The batches of steps `first_step` to `last_step` (exclusive), while the next ones are being read."""
        ahead: deque[Future[Batch]] = deque()
        for step in range(first_step, last_step):
            while len(ahead) < BATCHES_AHEAD and step + len(ahead) < last_step:
                ahead.append(self._executor.submit(self.load, step + len(ahead)))
            asked = time.perf_counter()
            batch = ahead.popleft().result()
            self.seconds_waited += time.perf_counter() - asked
            yield batch

    def load(self, step: int) -> Batch:
        """Read the batch of one step."""
        rank, world_size = self._processes.rank, self._processes.count
        clips, first_frames = self._index.locate(self._plan.batch(step, rank=rank, world_size=world_size))
        draws = Draws()
        if self._augmentation is not None:
            positions = np.arange(rank * len(clips), (rank + 1) * len(clips))
            lengths = self._reader.store.frames_per_clip[clips]
            first_frames = self._augmentation.shift(first_frames, lengths, step=step, positions=positions)
            draws = self._augmentation.draw(step=step, positions=positions)
        patches = torch.from_numpy(self._reader.read_patches(clips, first_frames, self._index.patch_frames))
        rows, labels = self._reader.store.label_pairs(clips)
        batch = Batch(patches, torch.from_numpy(rows), torch.from_numpy(labels), draws)
        return batch.pinned() if self._pin_memory else batch


def on_device(batches: Iterator[Batch], device: torch.device, *, num_labels: int) -> Iterator[DeviceBatch]:
    """Each batch on the device; on a GPU copied and made ready beside the work on the batch before."""
    if device.type != "cuda":
        yield from (batch.to_device(device, num_labels=num_labels) for batch in batches)
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(copying):
            ready = batch.to_device(device, num_labels=num_labels)
        working = torch.cuda.current_stream(device)
        working.wait_stream(copying)
        for tensor in (ready.patches, ready.targets, ready.kept):
            if tensor is not None:
                tensor.record_stream(working)  # its memory is not given away before the work on it is done
        yield ready
