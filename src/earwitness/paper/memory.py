"""Too little memory as an error that can be told, not as the end of the process.

A GPU says when its memory is used up. A processor's system promises more than it has, and ends the process that takes
it at its word; so while a training runs there, it is held to what is free.
"""

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_LEFT_FREE_BYTES = 256 * 2**20
"""For the system and for what other libraries take without asking."""


@contextmanager
def held_to_free_memory(device: torch.device, *, free_bytes: int | None = None) -> Iterator[None]:
    """Within it, memory of the processor that is not there is refused.

    Args:
        device: on another one nothing is changed.
        free_bytes: what may be taken. None: what the machine, or the container, has.
    """
    free = free_bytes if free_bytes is not None else _free_bytes()
    if device.type != "cpu" or free is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + max(free - _LEFT_FREE_BYTES, _LEFT_FREE_BYTES)
    allowed = [value for value in (limit, soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def let_go_of_memory() -> None:
    """After a training that did not fit: what it held is free for the next."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _free_bytes() -> int | None:
    """Of the machine, or of the container where that is less; None where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        most = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return free if most == "max" else min(free, int(most) - used)


def _data_bytes() -> int:
    """What the limit is held against: private memory that can be written to, touched or not."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
