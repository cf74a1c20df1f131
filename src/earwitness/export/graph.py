"""A model as an ONNX graph: the front end and the network are exported each by itself, and joined.

waveform -> front_end/... -> [batch, patches, frames, bands] -> [batch * patches, frames, bands] -> network/...
         -> patch_scores, embeddings, and the mean of the former: clip_scores
"""

import functools
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from earwitness import __version__
from earwitness.export.waveform_patches import WaveformPatches
from earwitness.front_end import FrontEnd
from earwitness.models.model_file import Model
from earwitness.models.network import Network
from earwitness.models.onnx_file import (
    CLIP_SCORES,
    EMBEDDINGS,
    FORMAT,
    FORMAT_VERSION,
    NETWORK,
    NETWORK_EMBEDDINGS,
    NETWORK_PATCHES,
    NETWORK_SCORES,
    PATCH_SCORES,
    WAVEFORM,
    missing_extra,
)

try:
    import onnx
    import onnxscript  # noqa: F401 (torch's exporter needs it)
    from onnx import ModelProto, NodeProto, TensorProto, helper
except ModuleNotFoundError as error:
    raise missing_extra(error) from error

OPSET = 20
"""Version of ONNX's operations: ONNX Runtime reads it since 1.17 (2024)."""

_FRONT_END = "front_end/"
_JOIN = "join/"
_CUT_PATCHES = f"{_JOIN}patches"


class _NetworkOutputs(nn.Module):
    """Scores, and embeddings where they are asked for, by one pass."""

    def __init__(self, network: Network, *, with_embeddings: bool) -> None:
        super().__init__()
        self.network = network
        self._with_embeddings = with_embeddings

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        embeddings = self.network.embed(patches)
        scores = torch.sigmoid(self.network.classify(embeddings))
        return (scores, embeddings) if self._with_embeddings else (scores,)


@functools.lru_cache(maxsize=4)
def front_end_graph(front_end: FrontEnd) -> ModelProto:
    """Waveforms [batch, samples] to patches [batch, patches, patch_frames, bands]."""
    example = torch.zeros(2, 2 * front_end.min_patch_samples)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return _export(
        WaveformPatches(front_end), example, free, prefix=_FRONT_END, inputs=[WAVEFORM], outputs=[_CUT_PATCHES]
    )


def network_graph(model: Model, *, with_embeddings: bool) -> ModelProto:
    """Patches [any number, patch_frames, bands] to scores, and embeddings where they are asked for."""
    example = torch.zeros(2, model.front_end.patch_frames, model.front_end.num_bands)
    outputs = [NETWORK_SCORES, NETWORK_EMBEDDINGS] if with_embeddings else [NETWORK_SCORES]
    network = _NetworkOutputs(model.network.cpu().eval(), with_embeddings=with_embeddings)
    free = {0: torch.export.Dim.DYNAMIC}
    return _export(network, example, free, prefix=NETWORK, inputs=[NETWORK_PATCHES], outputs=outputs)


def join(front_end: ModelProto, network: ModelProto, *, front_end_settings: FrontEnd, num_labels: int) -> ModelProto:
    """Both parts in a row, as `models.onnx_file` describes it; without metadata."""
    settings = front_end_settings
    embedding_size = _embedding_size(network)
    nodes = [
        *front_end.graph.node,
        _node("Reshape", [_CUT_PATCHES, f"{_JOIN}flat_shape"], NETWORK_PATCHES),
        *network.graph.node,
        _node("Shape", [_CUT_PATCHES], f"{_JOIN}batch_and_patches", start=0, end=2),
        *_unflattened(NETWORK_SCORES, PATCH_SCORES),
        _node("ReduceMean", [PATCH_SCORES, f"{_JOIN}patch_axis"], CLIP_SCORES, keepdims=0),
    ]
    batch_and_patches = ["batch", "patches"]
    outputs = [_value(PATCH_SCORES, [*batch_and_patches, num_labels]), _value(CLIP_SCORES, ["batch", num_labels])]
    if embedding_size is not None:
        nodes += _unflattened(NETWORK_EMBEDDINGS, EMBEDDINGS)
        outputs.append(_value(EMBEDDINGS, [*batch_and_patches, embedding_size]))
    numbers = [
        *front_end.graph.initializer,
        *network.graph.initializer,
        _integers(f"{_JOIN}flat_shape", [-1, settings.patch_frames, settings.num_bands]),
        _integers(f"{_JOIN}patch_axis", [1]),
        _integers(f"{_JOIN}rest", [-1]),
    ]
    graph = helper.make_graph(nodes, "earwitness", [_value(WAVEFORM, ["batch", "samples"])], outputs, numbers)
    opsets = {entry.domain: entry.version for part in (front_end, network) for entry in part.opset_import}
    whole = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items())],
        ir_version=max(front_end.ir_version, network.ir_version),
        producer_name="earwitness",
        producer_version=__version__,
    )
    onnx.checker.check_model(whole)
    return whole


def describe(whole: ModelProto, model: Model, export: Mapping[str, Any]) -> None:
    """Put the metadata into the file: what the model file says, and `export`."""
    description = {
        "architecture": {"name": model.architecture.name, "arguments": dict(model.architecture.arguments)},
        "labels": model.label_set.to_rows(),
        "front_end": model.front_end.to_dict(),
        "provenance": dict(model.provenance),
        "export": dict(export),
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "description": json.dumps(description, ensure_ascii=False),
    }
    helper.set_model_props(whole, metadata)


def _export(
    module: nn.Module,
    example: Tensor,
    free_axes: Mapping[int, Any],
    *,
    prefix: str,
    inputs: list[str],
    outputs: list[str],
) -> ModelProto:
    """One part, with all names but those of inputs and outputs beginning with `prefix`."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # it speaks of packages for vision models
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's exporter, on its own inner workings
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                dynamic_shapes=(dict(free_axes),),
                input_names=inputs,
                output_names=outputs,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    part: ModelProto = program.model_proto
    part = onnx.compose.add_prefix(part, prefix, rename_inputs=False, rename_outputs=False)
    del part.graph.value_info[:]  # ONNX Runtime finds the shapes itself
    for node in part.graph.node:  # where in our code a node comes from is no business of the file's
        del node.metadata_props[:]
        node.doc_string = ""
    return part


def _embedding_size(network: ModelProto) -> int | None:
    for output in network.graph.output:
        if output.name == NETWORK_EMBEDDINGS:
            return int(output.type.tensor_type.shape.dim[1].dim_value)
    return None


def _unflattened(name: str, output: str) -> list[NodeProto]:
    """[batch * patches, n] back to [batch, patches, n]."""
    shape = f"{_JOIN}{output}_shape"
    return [
        _node("Concat", [f"{_JOIN}batch_and_patches", f"{_JOIN}rest"], shape, axis=0),
        _node("Reshape", [name, shape], output),
    ]


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], name=f"{_JOIN}{output.removeprefix(_JOIN)}", **attributes)


def _value(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _integers(name: str, values: list[int]) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
