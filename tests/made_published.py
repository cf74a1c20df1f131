"""Published files, made here: the tensors of a network of ours under the names and in the layouts of others."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from earwitness.models.network import Network
from earwitness.models.registry import create_network

Tensors = dict[str, np.ndarray]


def made_network(name: str, *, width: float = 1.0, num_labels: int = 521, **options: Any) -> Network:
    """A network in which every tensor is other than a fresh one, and scores spread over [0, 1]."""
    torch.manual_seed(5)
    network = create_network(name, num_labels=num_labels, width=width, **options).eval()
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif key.endswith(("bias", "running_mean")):
                tensor.normal_(std=0.1)
            elif tensor.ndim == 4 and tensor.shape[1] == 1:  # one channel in: what comes in is not to vanish
                tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
        network.head.weight.normal_(std=0.3)
    return network


def yamnet_parts() -> list[tuple[str, str]]:
    """Ours and Keras' name of each convolution, written out by another rule than the program's."""
    names = [("stem", "layer1/conv")]
    for layer in range(2, 15):
        names += [
            (f"separable.{layer - 2}.{i}", f"layer{layer}/{kind}_conv")
            for i, kind in ((0, "depthwise"), (1, "pointwise"))
        ]
    return names


def yamnet_as_keras(network: Network) -> Tensors:
    """By Keras' names, below each layer's own group."""
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    found = {"dense/dense/kernel": state["head.weight"].T, "dense/dense/bias": state["head.bias"]}
    for ours, theirs in yamnet_parts():
        weight = state[f"{ours}.0.weight"]
        if "depthwise" in theirs:
            found[f"{theirs}/{theirs}/depthwise_kernel"] = weight.transpose(2, 3, 0, 1)
        else:
            found[f"{theirs}/{theirs}/kernel"] = weight.transpose(2, 3, 1, 0)
        for name, keras_name in (("bias", "beta"), ("running_mean", "moving_mean"), ("running_var", "moving_variance")):
            found[f"{theirs}/bn/{theirs}/bn/{keras_name}"] = state[f"{ours}.1.{name}"]
    return found


def yamnet_as_torch(network: Network) -> dict[str, torch.Tensor]:
    """By the names of w-hc's conversion."""
    state = network.state_dict()
    found = {f"classifier.{name}": state[f"head.{name}"] for name in ("weight", "bias")}
    for ours, theirs in yamnet_parts():
        part = "layer1.fused" if theirs == "layer1/conv" else theirs.replace("/", ".")
        found[f"{part}.conv.weight"] = state[f"{ours}.0.weight"]
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            found[f"{part}.bn.{name}"] = state[f"{ours}.1.{name}"]
    return found


VGGISH_LAYERS = {
    **{"convolutions.0": "conv1", "convolutions.3": "conv2", "convolutions.6": "conv3/conv3_1"},
    **{"convolutions.8": "conv3/conv3_2", "convolutions.11": "conv4/conv4_1", "convolutions.13": "conv4/conv4_2"},
    **{"hidden.0": "fc1/fc1_1", "hidden.2": "fc1/fc1_2", "hidden.4": "fc2"},
}


def vggish_as_tensorflow(network: Network) -> Tensors:
    """By the names of the released checkpoint."""
    found = {}
    for ours, theirs in VGGISH_LAYERS.items():
        weight = network.state_dict()[f"{ours}.weight"].numpy()
        found[f"vggish/{theirs}/weights"] = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
        found[f"vggish/{theirs}/biases"] = network.state_dict()[f"{ours}.bias"].numpy()
    return found


def vggish_as_torch(network: Network) -> dict[str, torch.Tensor]:
    """By the names of torchvggish, its post-processor's among them."""
    state = network.state_dict()
    found = {
        f"{ours.replace('convolutions', 'features').replace('hidden', 'embeddings')}.{name}": state[f"{ours}.{name}"]
        for ours in VGGISH_LAYERS
        for name in ("weight", "bias")
    }
    return {**found, "pproc.pca_matrix": torch.eye(128), "pproc.pca_means": torch.zeros(128, 1)}


def write_keras(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """As Keras before version 3 does: `:0` behind every name."""
    with h5py.File(path, "w") as file:
        for name, tensor in tensors.items():
            file[f"{name}:0"] = tensor
    return path


class TFLiteTensor:
    """A tensor of a TFLite file; `scales` make it one of 8 bits."""

    def __init__(
        self, name: str, numbers: np.ndarray, *, scales: Sequence[float] = (), zeros: Sequence[int] = (), axis: int = 0
    ) -> None:
        self.name, self.numbers, self.axis = name, numbers, axis
        self.scales, self.zeros = np.array(scales, "<f4"), np.array(zeros, "<i8")


TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}
CONVOLUTION, DEPTHWISE, FULLY_CONNECTED, MEAN = 3, 4, 9, 40

Operator = tuple[int, Sequence[TFLiteTensor], int]
"""Builtin code, tensors after the one that is computed, stride."""


def write_tflite(
    path: Path, operators: Sequence[Operator], *, options: Mapping[int, Mapping[int, Any]] | None = None
) -> Path:
    """One graph, as far as a reader of weights looks; `options` are more of those of some operators, by number."""
    codes = sorted({code for code, _, _ in operators})
    tensors = [tensor for _, inputs, _ in operators for tensor in inputs]
    number_of = {id(tensor): number for number, tensor in enumerate(tensors, start=1)}  # 0 is computed
    graph = {
        0: [{0: np.array([1, 1], "<i4"), 3: "computed"}]
        + [
            {
                0: np.array(tensor.numbers.shape, "<i4"),
                1: ("<b", TYPES[tensor.numbers.dtype.name]),
                2: ("<I", number),
                3: tensor.name,
                4: {2: tensor.scales, 3: tensor.zeros, 6: ("<i", tensor.axis)},
            }
            for number, tensor in enumerate(tensors, start=1)
        ],
        3: [
            {
                0: ("<I", codes.index(code)),
                1: np.array([0, *(number_of[id(tensor)] for tensor in inputs)], "<i4"),
                4: {1: ("<i", stride), 2: ("<i", stride), **(options or {}).get(number, {})},
            }
            for number, (code, inputs, stride) in enumerate(operators)
        ],
    }
    model = {
        0: ("<I", 3),
        1: [{0: ("<b", code), 3: ("<i", code)} for code in codes],
        2: [graph],
        4: [{}] + [{0: np.frombuffer(tensor.numbers.tobytes(), np.uint8)} for tensor in tensors],
    }
    data = bytearray(b"\0\0\0\0TFL3")
    place = _put_table(data, model)
    data[:4] = struct.pack("<I", place)
    path.write_bytes(data)
    return path


def _put_table(data: bytearray, fields: Mapping[int, Any]) -> int:
    """Append a table and what it refers to; its place."""
    num_fields = max(fields, default=-1) + 1
    offsets = {field: 4 + 8 * number for number, field in enumerate(fields)}
    vtable = len(data)
    data += struct.pack("<HH", 4 + 2 * num_fields, 4 + 8 * len(fields))
    data += b"".join(struct.pack("<H", offsets.get(field, 0)) for field in range(num_fields))
    place = len(data)
    data += struct.pack("<i", place - vtable) + bytes(8 * len(fields))
    for field, value in fields.items():
        at = place + offsets[field]
        if isinstance(value, tuple):
            struct.pack_into(value[0], data, at, value[1])
        else:
            struct.pack_into("<I", data, at, _put(data, value) - at)
    return place


def _put(data: bytearray, value: Any) -> int:
    if isinstance(value, Mapping):
        return _put_table(data, value)
    place = len(data)
    if isinstance(value, str):
        value = np.frombuffer(value.encode(), np.uint8)
    data += struct.pack("<I", len(value))
    if isinstance(value, np.ndarray):
        data += value.tobytes()
        return place
    first = len(data)
    data += bytes(4 * len(value))
    for number, each in enumerate(value):
        at = first + 4 * number
        struct.pack_into("<I", data, at, _put_table(data, each) - at)
    return place


def yamnet_operators(network: Network, *, bits: int = 32) -> list[Operator]:
    """A network without batch norm as TFLite's operators, behind a front end's; weights of 8 bits where asked for."""
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    mel = TFLiteTensor("mel", np.ones((64, 257), np.float32))
    operators: list[Operator] = [(FULLY_CONNECTED, [mel, TFLiteTensor("offset", np.full(64, 1e-3, np.float32))], 1)]
    strides = {"layer1/conv": 2} | {f"layer{number}/depthwise_conv": 2 for number in (3, 5, 7, 13)}
    for ours, theirs in yamnet_parts():
        is_depthwise = "depthwise" in theirs
        weight = state[f"{ours}.0.weight"].transpose((1, 2, 3, 0) if is_depthwise else (0, 2, 3, 1))
        tensor = _tensor(theirs, weight, axis=3 if is_depthwise else 0, bits=bits)
        bias = TFLiteTensor(f"{theirs}/bias", state[f"{ours}.0.bias"])
        operators.append((DEPTHWISE if is_depthwise else CONVOLUTION, [tensor, bias], strides.get(theirs, 1)))
    head = _tensor("dense", state["head.weight"], axis=0, bits=bits)
    return [*operators, (MEAN, [], 1), (FULLY_CONNECTED, [head, TFLiteTensor("dense/bias", state["head.bias"])], 1)]


def _tensor(name: str, numbers: np.ndarray, *, axis: int, bits: int) -> TFLiteTensor:
    if bits == 32:
        return TFLiteTensor(name, np.ascontiguousarray(numbers))
    others = tuple(each for each in range(numbers.ndim) if each != axis)
    scales = np.abs(numbers).max(axis=others) / 127
    along = [len(scales) if each == axis else 1 for each in range(numbers.ndim)]
    quantised = np.round(numbers / scales.reshape(along)).astype(np.int8)
    return TFLiteTensor(name, quantised, scales=scales, zeros=np.zeros(len(scales)), axis=axis)
