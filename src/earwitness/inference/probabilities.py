"""Patches to probabilities, or to embeddings: the one place where a trained network is run for what people compare.

Scores that people compare are float32 without TF32. Batches have one of two shapes (the last is filled up), so that
a patch's score does not depend on how many others happen to stand beside it: kernels are chosen by shape.

A network gives raw scores. A clip's raw score is the mean of its patches' raw scores; what people see is that mean,
calibrated where the model carries a calibration, which was fitted to such means. Scores of single patches are shown by
the same map, so that they stand on one scale with those of clips.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earwitness.decisions import Calibration
from earwitness.models.network import Network

BATCH_PATCHES = 64
"""Patches of a batch. Larger ones gain nothing on a CPU."""

_SMALL_BATCH_PATCHES = 8
"""What is left over is scored in batches of this size: a clip of ten seconds needs two, not a large one."""


class _PatchRunner(ABC):
    """Runs a network in evaluation mode on one device."""

    def __init__(self, network: Network, *, device: torch.device, batch_patches: int = BATCH_PATCHES) -> None:
        self.network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.device = device
        self.batch_patches = batch_patches

    def _run(self, patches: npt.NDArray[Any], *, num_outputs: int) -> npt.NDArray[np.float32]:
        """Outputs [patches, num_outputs] of any number of patches."""
        outputs = np.empty((len(patches), num_outputs), dtype=np.float32)
        first = 0
        while first < len(patches):
            size = self.batch_patches if len(patches) - first >= self.batch_patches else _SMALL_BATCH_PATCHES
            batch = np.require(patches[first : first + size], requirements=("C", "W"))  # what torch takes as it is
            if len(batch) < size:
                batch = np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), dtype=batch.dtype)])
            outputs[first : first + size] = self._run_batch(batch)[: len(outputs) - first]
            first += size
        return outputs

    def _run_batch(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), exact_float32():
            patches = torch.from_numpy(np.array(batch))  # a copy: a batch may be a read-only view, of which torch warns
            outputs = self._outputs(patches.to(self.device, dtype=torch.float32))
            result: npt.NDArray[np.float32] = outputs.cpu().numpy()
        return result

    @abstractmethod
    def _outputs(self, patches: Tensor) -> Tensor:
        """What is asked for, [batch, num_outputs], of float32 patches on the device."""


class PatchScorer(_PatchRunner):
    """Gives the raw scores of patches, and calibrates."""

    def __init__(
        self,
        network: Network,
        *,
        device: torch.device,
        batch_patches: int = BATCH_PATCHES,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(network, device=device, batch_patches=batch_patches)
        self._calibration = calibration

    def calibrated(self, raw_scores: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Scores as people see them, of raw ones of clips or patches, [..., labels]; the same without a calibration.

        Raw scores are rounded to float32 first, as they are stored, so that every route gives the same numbers.
        """
        rounded: npt.NDArray[np.float32] = raw_scores.astype(np.float32, copy=False)
        return rounded if self._calibration is None else self._calibration.apply(rounded)

    def __call__(self, patches: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Raw probabilities [patches, labels] of patches [patches, patch_frames, bands], any number of them."""
        return self._run(patches, num_outputs=self.network.head.out_features)

    def _outputs(self, patches: Tensor) -> Tensor:
        logits: Tensor = self.network(patches)
        scores: Tensor = torch.sigmoid(logits)
        return scores


class PatchEmbedder(_PatchRunner):
    """Gives the embeddings of patches: what the network's classifier reads."""

    def __call__(self, patches: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Embeddings [patches, embedding_size] of patches [patches, patch_frames, bands], any number of them."""
        return self._run(patches, num_outputs=self.network.embedding_size)

    def _outputs(self, patches: Tensor) -> Tensor:
        embeddings: Tensor = self.network.embed(patches)
        return embeddings


class exact_float32:  # noqa: N801 (reads as a statement)
    """Within it, float32 products on a GPU are float32, not TF32."""

    def __enter__(self) -> None:
        self._before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self._before
