"""Patches through whatever computes, in batches of fixed shapes; and from raw scores to those that people see.

Batches have one of two shapes (the last is filled up), so that a patch's score does not depend on how many others
happen to stand beside it: kernels are chosen by shape.

A network gives raw scores. A clip's raw score is the mean of its patches' raw scores; what people see is that mean,
calibrated where the model carries a calibration, which was fitted to such means. Scores of single patches are shown by
the same map, so that they stand on one scale with those of clips.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.decisions import Calibration

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
            batch = np.require(patches[first : first + size], requirements=("C", "W"))  # what torch takes as it is
            if len(batch) < size:
                batch = np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), dtype=batch.dtype)])
            outputs[first : first + size] = self._run_batch(batch)[: len(outputs) - first]
            first += size
        return outputs

    @abstractmethod
    def _run_batch(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Outputs [batch, num_outputs] of one batch."""


class ScoreRunner(PatchRunner):
    """Gives the raw scores of patches, one a label, and calibrates."""

    calibration: Calibration | None = None
    """The model's; None: raw scores are what people see."""

    def calibrated(self, raw_scores: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Scores as people see them, of raw ones of clips or patches, [..., labels]; the same without a calibration.

        Raw scores are rounded to float32 first, as they are stored, so that every route gives the same numbers.
        """
        rounded: npt.NDArray[np.float32] = raw_scores.astype(np.float32, copy=False)
        return rounded if self.calibration is None else self.calibration.apply(rounded)
