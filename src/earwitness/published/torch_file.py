"""The tensors of a PyTorch state dictionary (.pth, .pt) or a safetensors file, by name.

A .pth file is a pickle. It is read with `weights_only=True`, which builds tensors and plain containers, and refuses
whatever else a pickle could ask for.
"""

import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from earwitness.errors import ModelError
from earwitness.table_files import first_line

_DAMAGED = (
    *(pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError),
    *(KeyError, IndexError, TypeError, AttributeError, AssertionError),
    *(struct.error, OverflowError, RecursionError, MemoryError),
)
"""What torch raises where a pickle is refused, or makes no sense."""

_DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64})
"""The last of these for what batch norm counts."""
_MAX_NUMBERS = 2**28
"""Of a tensor; VGGish's largest has 50 million."""


def read_torch_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All tensors of a file; of a dictionary that holds one below `state_dict`, that one's.

    Raises:
        ModelError: no such file, damaged, or holds something else than tensors; it is named.
    """
    try:
        if path.suffix == ".safetensors":
            values: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a newer kind of pickle: it is read, or refused below
                values = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, *_DAMAGED) as error:
        # torch explains itself at length, and advises to let pickles run code
        reason = "" if "weights_only" in str(error) else f" ({first_line(error)})"
        raise ModelError(
            f"{path}: not a readable file of tensors: truncated, damaged, or holds code, which is never run{reason}"
        ) from error
    if isinstance(values, dict) and isinstance(values.get("state_dict"), dict):
        values = values["state_dict"]
    if not isinstance(values, dict) or not values:
        raise ModelError(f"{path}: it holds {type(values).__name__}, where tensors by name are needed")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ModelError(f"{path}: {name!r} is {type(value).__name__}, no tensor")
        # a tensor may say any shape of few numbers, by steps of 0
        if value.layout != torch.strided or value.dtype not in _DTYPES or value.numel() > _MAX_NUMBERS:
            raise ModelError(
                f"{path}: tensor {name!r} of shape {list(value.shape)} is of type {value.dtype}, {value.layout}; plain "
                f"tensors of up to {_MAX_NUMBERS:,} numbers are read"
            )
    return {name: value.detach().to(torch.float32).numpy() for name, value in values.items()}
