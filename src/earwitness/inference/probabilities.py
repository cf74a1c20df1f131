"""Patches to probabilities: the one place where a trained network is run for its scores.

Scores that people compare are float32 without TF32. Batches have one of two shapes (the last is filled up), so that
a patch's score does not depend on how many others happen to stand beside it: kernels are chosen by shape.
"""

import numpy as np
import numpy.typing as npt
import torch

from earwitness.models.network import Network

BATCH_PATCHES = 64
"""Patches of a batch. Larger ones gain nothing on a CPU."""

_SMALL_BATCH_PATCHES = 8
"""What is left over is scored in batches of this size: a clip of ten seconds needs two, not a large one."""


class PatchScorer:
    """Runs a network in evaluation mode on one device."""

    def __init__(self, network: Network, *, device: torch.device, batch_patches: int = BATCH_PATCHES) -> None:
        self.network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.device = device
        self.batch_patches = batch_patches

    def __call__(self, patches: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """Probabilities [patches, labels] of patches [patches, patch_frames, bands], any number of them."""
        num_labels = self.network.head.out_features
        scores = np.empty((len(patches), num_labels), dtype=np.float32)
        first = 0
        while first < len(patches):
            size = self.batch_patches if len(patches) - first >= self.batch_patches else _SMALL_BATCH_PATCHES
            batch = patches[first : first + size]
            full = np.zeros((size, *batch.shape[1:]), dtype=np.float16)
            full[: len(batch)] = batch
            scores[first : first + len(batch)] = self._score(full)[: len(batch)]
            first += size
        return scores

    def _score(self, batch: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), exact_float32():
            logits = self.network(torch.from_numpy(batch).to(self.device, dtype=torch.float32))
            result: npt.NDArray[np.float32] = torch.sigmoid(logits).cpu().numpy()
        return result


class exact_float32:  # noqa: N801 (reads as a statement)
    """Within it, float32 products on a GPU are float32, not TF32."""

    def __enter__(self) -> None:
        self._before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self._before
