"""A model as an ONNX graph: the front end and the network are exported each by itself, and joined.

waveform -> front_end/... -> [batch, patches, frames, bands] -> [batch * patches, frames, bands] -> network/...
         -> patch_scores, embeddings, and the mean of the former: clip_scores

A calibration stands between raw scores and scores, in float64 as in `decisions`.
"""

import functools
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from earwitness import __version__
from earwitness.decisions import LOGIT_RANGE, Calibration
from earwitness.export.waveform_patches import WaveformPatches
from earwitness.front_end import FrontEnd
from earwitness.labels import NO_LABELS
from earwitness.models.description import DescribedModel
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
    RAW_PATCH_SCORES,
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
_SLOPES, _OFFSETS = f"{_JOIN}calibration_slopes", f"{_JOIN}calibration_offsets"
_LOWEST, _HIGHEST, _ONE = f"{_JOIN}lowest", f"{_JOIN}highest", f"{_JOIN}one"


class _NetworkOutputs(nn.Module):
    """Scores and embeddings, as far as they are asked for, by one pass."""

    def __init__(self, network: Network, *, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._names = names

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        outputs = {NETWORK_EMBEDDINGS: self.network.embed(patches)}
        if NETWORK_SCORES in self._names:
            outputs[NETWORK_SCORES] = torch.sigmoid(self.network.classify(outputs[NETWORK_EMBEDDINGS]))
        return tuple(outputs[name] for name in self._names)


@functools.lru_cache(maxsize=4)
def front_end_graph(front_end: FrontEnd) -> ModelProto:
    """Waveforms [batch, samples] to patches [batch, patches, patch_frames, bands]."""
    example = torch.zeros(2, 2 * front_end.min_patch_samples)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return _export(
        WaveformPatches(front_end), example, free, prefix=_FRONT_END, inputs=[WAVEFORM], outputs=[_CUT_PATCHES]
    )


def network_graph(model: Model, *, with_embeddings: bool) -> ModelProto:
    """Patches [any number, patch_frames, bands] to raw scores, and embeddings where they are asked for; to embeddings
    alone, if the model names nothing.
    """
    example = torch.zeros(2, model.front_end.patch_frames, model.front_end.num_bands)
    outputs = [NETWORK_SCORES] if model.label_set != NO_LABELS else []
    outputs += [NETWORK_EMBEDDINGS] if with_embeddings else []
    network = _NetworkOutputs(model.network.cpu().eval(), names=outputs)
    free = {0: torch.export.Dim.DYNAMIC}
    return _export(network, example, free, prefix=NETWORK, inputs=[NETWORK_PATCHES], outputs=outputs)


def join(front_end: ModelProto, network: ModelProto, model: DescribedModel) -> ModelProto:
    """Both parts in a row, as `models.onnx_file` describes it; without metadata."""
    settings, num_labels = model.front_end, len(model.label_set)
    embedding_size = _embedding_size(network)
    nodes = [
        *front_end.graph.node,
        _node("Reshape", [_CUT_PATCHES, f"{_JOIN}flat_shape"], NETWORK_PATCHES),
        *network.graph.node,
        _node("Shape", [_CUT_PATCHES], f"{_JOIN}batch_and_patches", start=0, end=2),
    ]
    batch_and_patches = ["batch", "patches"]
    outputs = []
    if model.label_set != NO_LABELS:
        nodes += _scores(model.calibration)
        outputs = [_value(PATCH_SCORES, [*batch_and_patches, num_labels]), _value(CLIP_SCORES, ["batch", num_labels])]
        if model.calibration is not None:
            outputs.append(_value(RAW_PATCH_SCORES, [*batch_and_patches, num_labels]))
    if embedding_size is not None:
        nodes += _unflattened(NETWORK_EMBEDDINGS, EMBEDDINGS)
        outputs.append(_value(EMBEDDINGS, [*batch_and_patches, embedding_size]))
    numbers = [
        *front_end.graph.initializer,
        *network.graph.initializer,
        _integers(f"{_JOIN}flat_shape", [-1, settings.patch_frames, settings.num_bands]),
        _integers(f"{_JOIN}patch_axis", [1]),
        _integers(f"{_JOIN}rest", [-1]),
        *_calibration_numbers(model.calibration),
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


def describe(whole: ModelProto, model: DescribedModel, export: Mapping[str, Any]) -> None:
    """Put the metadata into the file: what the model file says, and `export`."""
    description = {**model.describe(), "export": dict(export)}
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


def _scores(calibration: Calibration | None) -> list[NodeProto]:
    """The network's scores to those of patches and of clips."""
    axis = f"{_JOIN}patch_axis"
    if calibration is None:
        return [
            *_unflattened(NETWORK_SCORES, PATCH_SCORES),
            _node("ReduceMean", [PATCH_SCORES, axis], CLIP_SCORES, keepdims=0),
        ]
    exact, mean, rounded = (f"{_JOIN}raw_{name}" for name in ("float64", "mean_float64", "mean"))
    return [
        *_unflattened(NETWORK_SCORES, RAW_PATCH_SCORES),
        *_calibrated(RAW_PATCH_SCORES, PATCH_SCORES),
        _node("Cast", [RAW_PATCH_SCORES], exact, to=TensorProto.DOUBLE),
        _node("ReduceMean", [exact, axis], mean, keepdims=0),
        _node("Cast", [mean], rounded, to=TensorProto.FLOAT),
        *_calibrated(rounded, CLIP_SCORES),
    ]


def _calibrated(raw: str, output: str) -> list[NodeProto]:
    """`Calibration.apply`: the sigmoid of slope * logit + offset."""
    names = ("float64", "inside", "outside", "log", "log_rest", "logit", "scaled", "shifted", "score")
    exact, inside, rest, log, log_rest, logit, scaled, shifted, score = (f"{_JOIN}{output}_{name}" for name in names)
    return [
        _node("Cast", [raw], exact, to=TensorProto.DOUBLE),
        _node("Clip", [exact, _LOWEST, _HIGHEST], inside),
        _node("Sub", [_ONE, inside], rest),
        _node("Log", [inside], log),
        _node("Log", [rest], log_rest),
        _node("Sub", [log, log_rest], logit),
        _node("Mul", [logit, _SLOPES], scaled),
        _node("Add", [scaled, _OFFSETS], shifted),
        _node("Sigmoid", [shifted], score),
        _node("Cast", [score], output, to=TensorProto.FLOAT),
    ]


def _calibration_numbers(calibration: Calibration | None) -> list[TensorProto]:
    if calibration is None:
        return []
    lowest, highest = LOGIT_RANGE
    arrays = {
        _SLOPES: calibration.slopes,
        _OFFSETS: calibration.offsets,
        _LOWEST: np.array(lowest),
        _HIGHEST: np.array(highest),
        _ONE: np.array(1.0),
    }
    return [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], name=f"{_JOIN}{output.removeprefix(_JOIN)}", **attributes)


def _value(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _integers(name: str, values: list[int]) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
