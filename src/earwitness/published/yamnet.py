"""Which tensor of a published YAMNet belongs where in ours.

- Keras (.h5, as released): `layer1/conv/kernel`, `layer2/depthwise_conv/depthwise_kernel`,
  `layer2/pointwise_conv/kernel` and, below `.../bn`, `beta`, `moving_mean` and `moving_variance` (no `gamma`: it does
  not scale);
  `dense/kernel` and `dense/bias`, whatever number Keras has put behind `dense`.
- PyTorch (the conversion by w-hc): `layer1.fused.conv.weight`, `layer2.depthwise_conv.bn.bias`, `classifier.weight` ...
- TFLite: by the order of layers, for converters name tensors as they like. Batch norm is folded into weights and biases
  there, and stays so: our network is built without it. The front end of the file is passed over; ours does the same.

References: tensorflow/models, research/audioset/yamnet; w-hc/torch_audioset.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from earwitness.errors import ModelError
from earwitness.front_end import FrontEnd
from earwitness.models.network import Network
from earwitness.models.yamnet import SEPARABLE_LAYERS
from earwitness.published.placing import (
    CONVOLUTION_AXES,
    DEPTHWISE_AXES,
    LINEAR_AXES,
    Tensors,
    Wanted,
    place_tensors,
    shortened,
)
from earwitness.published.tflite import TFLiteLayer

FRONT_END = FrontEnd(log_offset=0.001, patch_hop_frames=48, fill_last_patch=True)
"""What the release makes of sound: patches of 0.96 s every 0.48 s, the last one filled up with silence."""

_LAYER = re.compile(r"(?:^|/)(layer\d+/(?:conv|depthwise_conv|pointwise_conv)(?:/bn)?/[a-z_]+)$")
_DENSE = re.compile(r"(?:^|/)(?:dense(?:_\d+)?|logits)/(kernel|bias)$")

_NORM = {
    "weight": ("gamma", 1.0),
    "bias": ("beta", None),
    "running_mean": ("moving_mean", None),
    "running_var": ("moving_variance", None),
}
"""Keras' name for each tensor of a batch norm, and the value that stands for one that is not there."""


def place_keras_tensors(network: Network, found: Tensors, *, path: Path) -> None:
    """Give a network with batch norm the tensors of a Keras file.

    Raises:
        ModelError: they are not YAMNet's; a tensor is named.
    """
    wanted = {
        "head.weight": Wanted(name="dense/kernel", axes=LINEAR_AXES),
        "head.bias": Wanted(name="dense/bias"),
    }
    for ours, theirs in _parts():
        is_depthwise = theirs.endswith("depthwise_conv")
        kernel = f"{theirs}/depthwise_kernel" if is_depthwise else f"{theirs}/kernel"
        wanted[f"{ours}.0.weight"] = Wanted(name=kernel, axes=DEPTHWISE_AXES if is_depthwise else CONVOLUTION_AXES)
        for name, (keras_name, value) in _NORM.items():
            wanted[f"{ours}.1.{name}"] = Wanted(name=f"{theirs}/bn/{keras_name}", value_if_missing=value)
    place_tensors(network, wanted, _by_short_names(found, path), path=path, what="yamnet")


def place_torch_tensors(network: Network, found: Tensors, *, path: Path) -> None:
    """Give a network with batch norm the tensors of a PyTorch file.

    Raises:
        ModelError: they are not YAMNet's; a tensor is named.
    """
    wanted = {f"head.{name}": Wanted(name=f"classifier.{name}") for name in ("weight", "bias")}
    for ours, theirs in _parts():
        part = theirs.replace("/conv", "/fused").replace("/", ".")
        wanted[f"{ours}.0.weight"] = Wanted(name=f"{part}.conv.weight")
        for name in _NORM:
            wanted[f"{ours}.1.{name}"] = Wanted(name=f"{part}.bn.{name}")
    counted = {name: tensor for name, tensor in found.items() if not name.endswith(".num_batches_tracked")}
    place_tensors(network, wanted, counted, path=path, what="yamnet")


def place_tflite_layers(network: Network, layers: Sequence[TFLiteLayer], *, path: Path) -> None:
    """Give a network without batch norm its layers of a TFLite file, as `network_layers` gives them.

    Raises:
        ModelError: they are not YAMNet's; a tensor is named.
    """
    parts = _parts()
    wanted: dict[str, Wanted] = {}
    found: dict[str, npt.NDArray[Any]] = {}
    for number, layer in enumerate(layers):
        ours = f"{parts[number][0]}.0" if number < len(parts) else "head"
        axes = {"convolution": (0, 3, 1, 2), "depthwise convolution": (3, 0, 1, 2)}.get(layer.kind)
        assert layer.bias is not None
        for name, tensor_name, numbers in (("weight", layer.name, layer.weight), ("bias", layer.bias_name, layer.bias)):
            label = (
                f"{shortened(tensor_name)} (layer {number + 1}, {name})"  # names need not be unique in a TFLite file
            )
            found[label] = numbers
            wanted[f"{ours}.{name}"] = Wanted(name=label, axes=axes if name == "weight" else None)
    place_tensors(network, wanted, found, path=path, what="yamnet")


def network_layers(layers: Sequence[TFLiteLayer], *, path: Path) -> Sequence[TFLiteLayer]:
    """The layers from the first convolution on: those before belong to the front end.

    Raises:
        ModelError: they are not in yamnet's order, or have other strides.
    """
    strides = [2, *(stride for _, each in SEPARABLE_LAYERS for stride in (each, 1)), 1]
    kinds = ["convolution", *["depthwise convolution", "convolution"] * len(SEPARABLE_LAYERS), "fully connected layer"]
    first = next((i for i, layer in enumerate(layers) if layer.kind == "convolution"), len(layers))
    own = layers[first:]
    if len(own) != len(kinds):
        raise ModelError(
            f"{path}: it has {len(own)} layers with weights behind its front end, yamnet has {len(kinds)}; this is the "
            "file of another network"
        )
    for layer, kind, stride in zip(own, kinds, strides, strict=True):
        if layer.kind != kind or layer.bias is None or layer.strides != (stride, stride):
            raise ModelError(
                f"{path}: tensor {shortened(layer.name)!r} belongs to a {layer.kind} with strides {layer.strides}"
                f"{'' if layer.bias is not None else ' and no bias'}; yamnet has a {kind} with strides "
                f"{(stride, stride)} and a bias there"
            )
        # a ReLU may also follow as an operator of its own; others compute something else
        if layer.activation not in ("none", "ReLU" if layer.kind != "fully connected layer" else "none"):
            raise ModelError(
                f"{path}: tensor {shortened(layer.name)!r} belongs to a {layer.kind} with activation "
                f"{layer.activation}, which yamnet does not have there; this is the file of another network"
            )
        if layer.dilations != (1, 1):
            raise ModelError(
                f"{path}: tensor {shortened(layer.name)!r} belongs to a {layer.kind} with dilations {layer.dilations}; "
                "yamnet has none; this is the file of another network"
            )
    return own


def num_outputs(biases: Sequence[npt.NDArray[Any]], *, path: Path) -> int:
    """How many labels a file has, by the bias of its output, if that is there.

    Raises:
        ModelError: it is not.
    """
    if not biases:
        raise ModelError(f"{path}: it has no output layer of yamnet; this is the file of another network")
    return int(biases[-1].size)


def keras_output_biases(found: Tensors) -> list[npt.NDArray[Any]]:
    """Of Keras' last layer, if it is there."""
    return [found[name] for name in found if name.endswith("bias") and _DENSE.search(name)]


def _parts() -> list[tuple[str, str]]:
    """Each convolution with its batch norm: the name in our network, and in Keras, in the order they run."""
    parts = [("stem", "layer1/conv")]
    for number in range(len(SEPARABLE_LAYERS)):
        parts.append((f"separable.{number}.0", f"layer{number + 2}/depthwise_conv"))
        parts.append((f"separable.{number}.1", f"layer{number + 2}/pointwise_conv"))
    return parts


def _by_short_names(found: Tensors, path: Path) -> dict[str, npt.NDArray[Any]]:
    """The same tensors, named without the scopes that Keras puts before a layer's own name."""
    short: dict[str, npt.NDArray[Any]] = {}
    for name, numbers in found.items():
        layer, dense = _LAYER.search(name), _DENSE.search(name)
        key = layer[1] if layer else f"dense/{dense[1]}" if dense else name
        if key in short:
            raise ModelError(f"{path}: tensor {name!r} is there twice, by two paths")
        short[key] = numbers
    return short
