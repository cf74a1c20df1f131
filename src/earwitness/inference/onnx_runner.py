"""Patches to probabilities, or to embeddings, by an exported model in ONNX Runtime on the CPU; without torch."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ModelError, SettingsError
from earwitness.inference.patch_runner import BATCH_PATCHES, PatchRunner, ScoreRunner
from earwitness.models.description import require_labels
from earwitness.models.onnx_file import NETWORK_EMBEDDINGS, NETWORK_PATCHES, NETWORK_SCORES, OnnxModel, missing_extra

try:
    import onnxruntime
except ModuleNotFoundError as error:
    raise missing_extra(error) from error


class _OnnxRunner(PatchRunner):
    """Runs the network that was cut out of an exported model."""

    def __init__(self, model: OnnxModel, output: str, *, num_outputs: int, device: str, batch_patches: int) -> None:
        super().__init__(num_outputs=num_outputs, batch_patches=batch_patches)
        if device not in ("auto", "cpu"):
            raise SettingsError(
                f"device {device!r}: exported models run on the CPU here; use auto or cpu, or the model that "
                f"{model.name} was exported from"
            )
        self._output = output
        self._session = open_session(model.network, name=model.name)

    def _run_batch(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        outputs: npt.NDArray[np.float32]
        [outputs] = self._session.run([self._output], {NETWORK_PATCHES: batch.astype(np.float32)})
        return outputs


class OnnxScorer(_OnnxRunner, ScoreRunner):
    """Gives the raw scores of patches, and calibrates."""

    def __init__(self, model: OnnxModel, *, device: str = "auto", batch_patches: int = BATCH_PATCHES) -> None:
        """Make the network ready.

        Raises:
            SettingsError: another device than the CPU is asked for.
            ModelError: it names nothing, or cannot be run.
        """
        require_labels(model)
        num_labels = len(model.label_set)
        super().__init__(model, NETWORK_SCORES, num_outputs=num_labels, device=device, batch_patches=batch_patches)
        self.calibration = model.calibration


class OnnxEmbedder(_OnnxRunner):
    """Gives the embeddings of patches."""

    def __init__(self, model: OnnxModel, *, device: str = "auto", batch_patches: int = BATCH_PATCHES) -> None:
        """Make the network ready.

        Raises:
            SettingsError: another device than the CPU is asked for.
            ModelError: it gives no embeddings, or cannot be run.
        """
        if (size := model.embedding_size) is None:
            raise ModelError(f"{model.name}: it gives no embeddings; export the model again with --embeddings")
        super().__init__(model, NETWORK_EMBEDDINGS, num_outputs=size, device=device, batch_patches=batch_patches)


def open_session(content: bytes, *, name: str) -> Any:
    """An ONNX Runtime session on the CPU. It takes as many threads as torch would.

    Raises:
        ModelError: ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    num_threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    options.intra_op_num_threads = int(num_threads) if num_threads.isdecimal() else 0  # 0: one a core
    options.log_severity_level = 3  # errors; what it warns of is its own business
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base but this
        words = str(error).strip().splitlines()
        raise ModelError(
            f"{name}: ONNX Runtime cannot run it ({words[0] if words else type(error).__name__})"
        ) from error
