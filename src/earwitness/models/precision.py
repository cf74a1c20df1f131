"""Where and in which arithmetic a network runs.

`float32` is exact in the sense people compare by: no TF32, no bfloat16. `bfloat16` autocasts the network and is used
for training wherever the processor computes in it; `auto` chooses it only there.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from earwitness.errors import SettingsError

Precision = Literal["auto", "float32", "bfloat16"]


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` is the first CUDA GPU where there is one, else the CPU. `mps` is Apple's GPU.

    Raises:
        SettingsError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"unknown device {name!r}; use auto, cpu, cuda, one GPU by its number as in cuda:1, or mps")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {name!r} is not to be had here ({str(error).splitlines()[0]}); use auto or cpu"
        ) from error
    return device


def is_lack_of_memory(error: BaseException | None) -> bool:
    """Whether it is what torch or NumPy say where memory runs out; on the processor torch has no error for it alone."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator: can't" in str(error)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast on this device, not only possible."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without these instructions oneDNN emulates bfloat16, several times slower than float32.
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, bool)() for check in checks)
    return False


def choose_precision(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Resolve `auto` for training on `device`."""
    if precision == "auto":
        return "bfloat16" if computes_in_bfloat16(device) else "float32"
    return precision


def autocast(precision: Literal["float32", "bfloat16"], device: torch.device) -> AbstractContextManager[object]:
    """The context in which forward passes of that precision run."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
