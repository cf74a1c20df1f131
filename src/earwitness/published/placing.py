"""Tensors of a file into the layers of a network: every one accounted for, by name and shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from earwitness.errors import ModelError
from earwitness.models.network import Network

Tensors = Mapping[str, npt.NDArray[Any]]

CONVOLUTION_AXES = (3, 2, 0, 1)
"""TensorFlow has [rows, columns, in, out], torch [out, in, rows, columns]."""
DEPTHWISE_AXES = (2, 3, 0, 1)
"""TensorFlow has [rows, columns, channels, 1], torch [channels, 1, rows, columns]."""
LINEAR_AXES = (1, 0)
"""TensorFlow has [in, out], torch [out, in]."""

_MAX_MAGNITUDE = 1e5
"""Of weights, biases and statistics; those published stay below 1e4. One bit of an exponent makes 1e16."""

_MAX_NAME = 80


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Where a tensor of the network comes from."""

    name: str
    """In the file."""
    axes: tuple[int, ...] | None = None
    """The file's axes in the network's order; None: they are in that order."""
    value_if_missing: float | None = None
    """For all its numbers, where the file may leave it out."""


def place_tensors(network: Network, wanted: Mapping[str, Wanted], found: Tensors, *, path: Path, what: str) -> None:
    """Give a network the tensors of a file.

    Args:
        network: of which tensors that are not `wanted` stay as they are.
        wanted: by the network's name.
        found: by the file's name.
        path: of the file, for messages.
        what: the network's name, for messages.

    Raises:
        ModelError: a tensor is missing, has another shape, holds what is no number, or belongs nowhere.
    """
    state = network.state_dict()
    used = {each.name for each in wanted.values()}
    leftover = [name for name in found if name not in used]
    for name, each in wanted.items():
        shape = list(state[name].shape)
        if each.name in found:
            tensor = _in_order(found[each.name], shape, each, path=path, what=what)
        elif each.value_if_missing is not None:
            tensor = torch.full(shape, each.value_if_missing)
        else:
            hint = f", and {shortened(leftover[0])!r} belongs nowhere" if leftover else ""
            raise ModelError(
                f"{path}: tensor {each.name!r} is missing{hint}; this is not the file of {what}, or not all of it"
            )
        state[name] = tensor
    if leftover:
        more = f" (nor {len(leftover) - 1} more)" if len(leftover) > 1 else ""
        raise ModelError(f"{path}: tensor {shortened(leftover[0])!r} belongs to no layer of {what}{more}")
    network.load_state_dict(state)


def _in_order(numbers: npt.NDArray[Any], shape: list[int], wanted: Wanted, *, path: Path, what: str) -> torch.Tensor:
    axes = wanted.axes if wanted.axes is not None else tuple(range(len(shape)))
    needed = [shape[axes.index(axis)] for axis in range(len(axes))]
    if list(numbers.shape) != needed:
        raise ModelError(f"{path}: tensor {wanted.name!r} has shape {list(numbers.shape)}, {what} needs {needed}")
    if not np.isfinite(numbers).all():
        raise ModelError(f"{path}: tensor {wanted.name!r} holds something that is no number; the file is damaged")
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest > _MAX_MAGNITUDE:
        raise ModelError(
            f"{path}: tensor {wanted.name!r} holds {largest:.3g}, which no weight of a network is; the file is damaged"
        )
    return torch.from_numpy(np.array(numbers.transpose(axes), dtype=np.float32, order="C"))


def shortened(name: str) -> str:
    """A name from a file, for messages: TFLite's may be hundreds of letters long, of which the last say most."""
    return name if len(name) <= _MAX_NAME else f"...{name[3 - _MAX_NAME :]}"
