"""A trained model of either kind, a model file or an exported one, and what runs it. Only the former needs torch."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from earwitness.inference.patch_runner import PatchRunner, ScoreRunner
from earwitness.models.description import require_network
from earwitness.models.onnx_file import OnnxModel, load_onnx_model

if TYPE_CHECKING:
    from earwitness.models.model_file import Model

AnyModel: TypeAlias = "Model | OnnxModel"


def open_model(path: str | Path) -> AnyModel:
    """Read a model file, or an exported model where the name ends in `.onnx`.

    Raises:
        ModelError: it is missing, damaged or something else.
        MissingExtraError: it is exported, and the extra `onnx` is not installed.
    """
    if Path(path).suffix.lower() == ".onnx":
        return load_onnx_model(path)
    from earwitness.models.model_file import load_model

    return load_model(path)


def patch_scorer(model: AnyModel, *, device: str = "auto") -> ScoreRunner:
    """What gives the raw scores of patches, on a device by name, and calibrates them.

    Raises:
        SettingsError: there is no such device, or the model does not run there.
        ModelError: an exported model names nothing, or ONNX Runtime refuses it; a model has but a classifier.
        MissingExtraError: it is exported, and the extra `onnx` is not installed.
    """
    require_network(model)
    if isinstance(model, OnnxModel):
        from earwitness.inference.onnx_runner import OnnxScorer

        return OnnxScorer(model, device=device)
    from earwitness.inference.probabilities import PatchScorer
    from earwitness.models.precision import choose_device

    return PatchScorer(model.network, device=choose_device(device), calibration=model.calibration)


def patch_embedder(model: AnyModel, *, device: str = "auto") -> PatchRunner:
    """What gives the embeddings of patches, on a device by name.

    Raises:
        ModelError: an exported model gives none; and as `patch_scorer`.
    """
    require_network(model)
    if isinstance(model, OnnxModel):
        from earwitness.inference.onnx_runner import OnnxEmbedder

        return OnnxEmbedder(model, device=device)
    from earwitness.inference.probabilities import PatchEmbedder
    from earwitness.models.precision import choose_device

    return PatchEmbedder(model.network, device=choose_device(device))
