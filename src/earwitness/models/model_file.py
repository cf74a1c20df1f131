"""The model file: one safetensors file that says what it is.

Its metadata holds `format`, `format_version` and `description`, a JSON object with the architecture and its
arguments, the label set, the front end, and the provenance (what it was trained on, how, by which version). Where
`earwitness calibrate` has fitted them, it also holds `calibration` and `thresholds` (see `earwitness.decisions`).
Tensors are the network's state by name. Nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from earwitness.errors import EarwitnessError, ModelError
from earwitness.files import replacing
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture, DescribedModel, described
from earwitness.models.model_header import FORMAT, require_no_folder
from earwitness.models.network import Network
from earwitness.table_files import first_line

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Model(DescribedModel):
    """A network with what its inputs and outputs mean."""

    network: Network

    @property
    def digest(self) -> str:
        """32 hex digits: what was made with the model names it by."""
        return digest_weights(self.network)

    @property
    def num_weights(self) -> int:
        """All trained numbers."""
        return self.network.num_weights


def save_model(model: Model, path: str | Path) -> None:
    """Write the model, whole or not at all.

    Raises:
        ModelError: the file cannot be written.
    """
    path = Path(path)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "description": json.dumps(model.describe(), ensure_ascii=False),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(save(tensors, metadata=metadata))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: the model cannot be written ({error})") from error


def digest_weights(network: Network) -> str:
    """32 hex digits over names, shapes and numbers of a network's state: what a model that came from it names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()[:32]


def load_model(path: str | Path) -> Model:
    """Read a model, on the CPU and in evaluation mode.

    Raises:
        ModelError: the file is missing, no model of ours, of a newer format, damaged, or a tensor does not fit.
    """
    path = Path(path)
    require_no_folder(path)
    if not path.exists():
        raise ModelError(f"{path}: there is no such model file")
    if path.suffix.lower() == ".onnx":
        raise ModelError(f"{path}: this is an exported model; give the model file it was made from (.safetensors)")
    try:
        with safe_open(path, framework="pt") as file:
            description = _description(file.metadata() or {}, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: not a model file, which is a safetensors file ({error}); published weights become one by "
            "`earwitness import`"
        ) from error
    try:
        fields = described(description)
        label_set: LabelSet = fields["label_set"]
        architecture: Architecture = fields["architecture"]
        _require_layers(architecture, fields["front_end"], num_tensors=len(tensors))
        with torch.device("meta"):  # shapes alone, whatever sizes are said: fresh weights would be overwritten
            network = architecture.build()
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{path}: the model's description is damaged ({first_line(error)})") from error
    except EarwitnessError as error:
        raise ModelError(f"{path}: {error}") from error
    _load_tensors(network, tensors, path)
    if network.head.out_features != len(label_set):
        raise ModelError(f"{path}: the network has {network.head.out_features} outputs but {len(label_set)} labels")
    try:
        return Model(network=network.eval(), **fields)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _description(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path}: a safetensors file, but not a model of earwitness (its metadata does not say so)")
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise ModelError(f"{path}: model format {version}; this earwitness reads {FORMAT_VERSION}")
    try:
        description: dict[str, Any] = json.loads(metadata["description"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the model's description is damaged ({error})") from error
    if not isinstance(description, dict):
        raise ModelError(f"{path}: the model's description is damaged ({type(description).__name__})")
    return description


def _require_layers(architecture: Architecture, front_end: FrontEnd, *, num_tensors: int) -> None:
    """Refuse more layers than there are tensors, which would take forever to build, and another size of patch.

    Raises:
        ModelError: the arguments are not those of this file's network.
    """
    arguments = architecture.arguments
    for name in ("num_layers", "classifier_layers"):
        if arguments.get(name, 0) > num_tensors:
            raise ModelError(f"{name}={arguments[name]} cannot be, for there are {num_tensors} tensors")
    for name in ("patch_frames", "num_bands"):
        if name in arguments and arguments[name] != getattr(front_end, name):
            raise ModelError(
                f"{name} of the network is {arguments[name]}, and of its front end {getattr(front_end, name)}"
            )


def _load_tensors(network: Network, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name not in tensors:
            raise ModelError(f"{path}: tensor {name!r} is missing")
        if tensors[name].shape != tensor.shape:
            raise ModelError(
                f"{path}: tensor {name!r} has shape {list(tensors[name].shape)}, the network needs {list(tensor.shape)}"
            )
    unknown = sorted(set(tensors) - set(expected))
    if unknown:
        raise ModelError(f"{path}: tensor {unknown[0]!r} belongs to no layer of the network")
    network.to_empty(device="cpu").load_state_dict(dict(tensors))
