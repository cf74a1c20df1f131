"""Patches to probabilities, or to embeddings, by a trained network in torch.

Scores that people compare are float32 without TF32.
"""

import threading
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earwitness.decisions import Calibration
from earwitness.inference.patch_runner import BATCH_PATCHES, PatchRunner, ScoreRunner
from earwitness.models.network import Network


class _NetworkRunner(PatchRunner):
    """Runs a network in evaluation mode on one device."""

    def __init__(
        self, network: Network, *, num_outputs: int, device: torch.device, batch_patches: int = BATCH_PATCHES
    ) -> None:
        super().__init__(num_outputs=num_outputs, batch_patches=batch_patches)
        self.network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.device = device

    def _run_batch(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), exact_float32():
            patches = torch.from_numpy(np.array(batch))  # a copy: a batch may be a read-only view, of which torch warns
            outputs = self._outputs(patches.to(self.device, dtype=torch.float32))
            result: npt.NDArray[np.float32] = outputs.cpu().numpy()
        return result

    @abstractmethod
    def _outputs(self, patches: Tensor) -> Tensor:
        """What is asked for, [batch, num_outputs], of float32 patches on the device."""


class PatchScorer(_NetworkRunner, ScoreRunner):
    """Gives the raw scores of patches, probabilities, and calibrates."""

    def __init__(
        self,
        network: Network,
        *,
        device: torch.device,
        batch_patches: int = BATCH_PATCHES,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(network, num_outputs=network.head.out_features, device=device, batch_patches=batch_patches)
        self.calibration = calibration

    def _outputs(self, patches: Tensor) -> Tensor:
        logits: Tensor = self.network(patches)
        scores: Tensor = torch.sigmoid(logits)
        return scores


class PatchEmbedder(_NetworkRunner):
    """Gives the embeddings of patches: what the network's classifier reads."""

    def __init__(self, network: Network, *, device: torch.device, batch_patches: int = BATCH_PATCHES) -> None:
        super().__init__(network, num_outputs=network.embedding_size, device=device, batch_patches=batch_patches)

    def _outputs(self, patches: Tensor) -> Tensor:
        embeddings: Tensor = self.network.embed(patches)
        return embeddings


class exact_float32:  # noqa: N801 (reads as a statement)
    """Within it, float32 products on a GPU are float32, not TF32.

    The setting is one of the whole process: the first thread within changes it, and the last one out puts it back.
    """

    _lock = threading.Lock()
    _num_within = 0
    _before = (False, False)

    def __enter__(self) -> None:
        own = exact_float32
        with own._lock:
            if not own._num_within:
                own._before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            own._num_within += 1

    def __exit__(self, *_: object) -> None:
        own = exact_float32
        with own._lock:
            own._num_within -= 1
            if not own._num_within:
                torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = own._before
