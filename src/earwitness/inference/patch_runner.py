"""Patches through whatever computes, in batches of fixed shapes.

Batches have one of two shapes (the last is filled up), so that a patch's score does not depend on how many others
happen to stand beside it: kernels are chosen by shape.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH_PATCHES = 64
"""Patches of a batch. Larger ones gain nothing on a CPU."""

_SMALL_BATCH_PATCHES = 8
"""What is left over is scored in batches of this size: a clip of ten seconds needs two, not a large one."""


class PatchRunner(ABC):
    """Gives some numbers for every patch: scores, or an embedding."""

    def __init__(self, *, num_outputs: int, batch_patches: int = BATCH_PATCHES) -> None:
        self.num_outputs = num_outputs
        """Numbers given for a patch."""
        self.batch_patches = batch_patches

    def __call__(self, patches: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Outputs [patches, num_outputs] of patches [patches, patch_frames, bands], any number of them."""
        outputs = np.empty((len(patches), self.num_outputs), dtype=np.float32)
        first = 0
        while first < len(patches):
            size = self.batch_patches if len(patches) - first >= self.batch_patches else _SMALL_BATCH_PATCHES
            batch = patches[first : first + size]
            full = np.zeros((size, *batch.shape[1:]), dtype=batch.dtype)
            full[: len(batch)] = batch
            outputs[first : first + len(batch)] = self._run_batch(full)[: len(batch)]
            first += size
        return outputs

    @abstractmethod
    def _run_batch(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Outputs [batch, num_outputs] of one batch."""
