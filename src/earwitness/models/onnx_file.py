"""The exported model: one ONNX file, from waveform to scores, that says what it is. No torch is needed to use it.

    input   waveform       float32 [batch, samples], mono at the front end's rate, full scale 1
    output  patch_scores   float32 [batch, patches, labels], probabilities
            clip_scores    float32 [batch, labels], their mean over the patches
            embeddings     float32 [batch, patches, embedding_size]; where they were asked for

The scores of a calibrated model are calibrated: those of patches by the map of clips, those of clips are the mapped
mean of raw ones. Then there are also

            raw_patch_scores   float32 [batch, patches, labels]

A model that names nothing gives embeddings only.

Batch and length are free; the sounds of a batch have one length. One that is shorter than a patch is filled up with
zeros to one, as everywhere, and with `fill_last_patch` every last patch is. The metadata are `format`,
`format_version` and `description`, JSON as in the model file (calibration and thresholds, too) with `export` added:
precision, opset, versions, digest of the model, what the check found.

The graph is two parts in a row. The nodes and numbers of the network have names that begin with `network/`, and what
flows into it, `network/patches` [any number, patch_frames, bands], is what our own front end makes, too. So the network
can be cut out and run on patches: of media streamed in constant memory, and of stores. What comes out of it are raw
scores; the calibration in the metadata is applied to them as to those of any model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earwitness.errors import EarwitnessError, MissingExtraError, ModelError
from earwitness.models.description import DescribedModel, described

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT = "earwitness exported model"
FORMAT_VERSION = 1

WAVEFORM, PATCH_SCORES, CLIP_SCORES, EMBEDDINGS = "waveform", "patch_scores", "clip_scores", "embeddings"
RAW_PATCH_SCORES = "raw_patch_scores"
"""Names of the input and the outputs."""

NETWORK = "network/"
"""Names within the network begin so."""
NETWORK_PATCHES, NETWORK_SCORES, NETWORK_EMBEDDINGS = f"{NETWORK}patches", f"{NETWORK}scores", f"{NETWORK}embeddings"
"""What goes into the network, and comes out of it."""


@dataclass(frozen=True, kw_only=True)
class OnnxModel(DescribedModel):
    """An exported model that was read."""

    export: Mapping[str, Any]
    """How it was exported, and what the check found; `earwitness.export` has the keys."""
    num_weights: int
    """All trained numbers of the network."""
    embedding_size: int | None
    """Numbers in an embedding; None: it gives none."""
    content: bytes = field(repr=False)
    """The whole file."""
    network: bytes = field(repr=False)
    """The network alone, as ONNX: patches in, scores and embeddings out."""
    name: str
    """Of the file, for messages."""

    @property
    def digest(self) -> str:
        """32 hex digits over the file: what was made with it names it by."""
        return hashlib.sha256(self.content).hexdigest()[:32]


def load_onnx_model(path: str | Path) -> OnnxModel:
    """Read an exported model.

    Raises:
        ModelError: the file is missing, no ONNX, not made by `earwitness export`, of a newer format, or damaged.
        MissingExtraError: the extra `onnx` is not installed.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file") from error
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror or error})") from error
    return parse_onnx_model(content, name=str(path))


def parse_onnx_model(content: bytes, *, name: str) -> OnnxModel:
    """An exported model from the bytes of its file; errors call it by `name`.

    Raises:
        ModelError, MissingExtraError: as `load_onnx_model`.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    try:
        whole = onnx.load_model_from_string(content)
        is_onnx = bool(whole.graph.node)
    except (DecodeError, ValueError):
        is_onnx = False
    if not is_onnx:
        raise ModelError(f"{name}: not an ONNX file, or one that was cut off")
    description = _description({entry.key: entry.value for entry in whole.metadata_props}, name)
    try:
        model = OnnxModel(
            **described(description),
            export=description["export"],
            num_weights=description["export"]["num_weights"],
            embedding_size=description["export"]["embedding_size"],
            content=content,
            network=_cut_network(whole).SerializeToString(),
            name=name,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{name}: the model's description is damaged ({error})") from error
    except EarwitnessError as error:
        raise ModelError(f"{name}: {error}") from error
    return model


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError:
    """What to say where a package of the extra `onnx` is not there."""
    return MissingExtraError(f"exported models need {error.name}, which is missing; pip install 'earwitness[onnx]'")


def _description(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{name}: an ONNX file, but none that `earwitness export` wrote (its metadata does not say so); labels and "
            "front end are not known, so it cannot be used here"
        )
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise ModelError(f"{name}: format {version} of exported models; this earwitness reads {FORMAT_VERSION}")
    try:
        description: dict[str, Any] = json.loads(metadata["description"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"{name}: the model's description is damaged ({error})") from error
    return description


def _cut_network(whole: ModelProto) -> ModelProto:
    """The network alone; takes apart what it is given.

    Raises:
        ModelError: the file has no such part, or keeps numbers in other files, which are never opened.
    """
    import onnx

    graph = whole.graph
    nodes = [node for node in graph.node if node.name.startswith(NETWORK)]
    numbers = [tensor for tensor in graph.initializer if tensor.name.startswith(NETWORK)]
    made = {name for node in nodes for name in node.output}
    if made.isdisjoint((NETWORK_SCORES, NETWORK_EMBEDDINGS)) or not any(
        NETWORK_PATCHES in node.input for node in nodes
    ):
        raise ModelError("its network is not found in the graph; it was changed after the export, or is damaged")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in numbers):
        raise ModelError("it keeps its numbers in other files, which exported models do not; it is not opened")
    kinds = {NETWORK_PATCHES: 3, NETWORK_SCORES: 2, NETWORK_EMBEDDINGS: 2}
    values = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * num_axes)
        for name, num_axes in kinds.items()
    }
    network = onnx.ModelProto(ir_version=whole.ir_version, opset_import=whole.opset_import)
    network.graph.name = "network"
    network.graph.node.extend(nodes)
    network.graph.initializer.extend(numbers)
    network.graph.input.append(values[NETWORK_PATCHES])
    network.graph.output.extend(values[name] for name in (NETWORK_SCORES, NETWORK_EMBEDDINGS) if name in made)
    return network
