"""Many processes as one training, started by `torchrun`; a single process is the case of one.

Each process has a share of every batch, and all hold the same weights. The first (rank 0) alone writes, prints and
decides what hangs on clocks or files. What one process finds wrong ends all of them: `together` and `from_first` say
so everywhere, and only the first process tells it.
"""

import atexit
import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from earwitness.errors import EarwitnessError, RunError, SettingsError, ToldElsewhereError
from earwitness.models.precision import choose_device

Result = TypeVar("Result")

_PATIENCE = timedelta(hours=6)
"""How long a process waits for the others: the first one may be embedding a large store. One that ends is noticed at
once, by its closed connections and by torchrun."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those of the training. All methods but the properties must be called by all of them."""

    rank: int = 0
    """From 0, over all machines."""
    count: int = 1
    local_rank: int = 0
    """From 0, on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether it is this one that writes and prints."""
        return self.rank == 0

    def together(self, function: Callable[[], Result]) -> Result:
        """What `function`, which must not talk to other processes, gives in this one.

        Raises:
            EarwitnessError: that of the lowest process that met one; in the others `ToldElsewhereError`.
        """
        result: Result | None = None
        error: EarwitnessError | None = None
        try:
            result = function()
        except EarwitnessError as met:
            error = met
        self._end_on_error(error)
        return result  # type: ignore[return-value]

    def from_first(self, function: Callable[[], Result]) -> Result:
        """What `function` gives in the first process, which alone calls it.

        Raises:
            EarwitnessError: the first process met one; in the others `ToldElsewhereError`.
        """
        result = self.together(lambda: function() if self.is_first else None)
        if self.count == 1:
            return result  # type: ignore[return-value]
        box: list[Any] = [result]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        given: Result = box[0]
        return given

    def require_same(self, values: Mapping[str, Any]) -> None:
        """Make sure that all processes have the same values by each name.

        Raises:
            RunError: they have not; in all but the first `ToldElsewhereError`.
        """
        everywhere = self.gather(values)
        for name in values:
            found = [other[name] for other in everywhere]
            if any(value != found[0] for value in found):
                ranks = ", ".join(f"{rank}: {value!r}" for rank, value in enumerate(found))
                self._end_on_error(RunError(f"{name} of the processes differ ({ranks}); all must have the same"))

    def gather(self, value: Result) -> list[Result]:
        """The values of all processes, in order of rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def any(self, *claims: bool) -> tuple[bool, ...]:
        """Whether each claim holds in at least one process."""
        if self.count == 1:
            return claims
        votes = torch.tensor(claims, dtype=torch.int32)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return tuple(bool(vote) for vote in votes.tolist())

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Make float tensors the mean over all processes, in place."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view_as(t) for t, p in zip(tensors, parts, strict=True)])

    def choose_device(self, name: str) -> torch.device:
        """The device of this process: with several, each takes a GPU of its own.

        Raises:
            SettingsError: there is no such device, or not one for each process.
        """
        if self.count == 1:
            return choose_device(name)
        if name.startswith("cuda:"):
            raise SettingsError(f"device {name!r} names one GPU for {self.count} processes; use auto or cuda")
        num_gpus = torch.cuda.device_count()
        if not num_gpus or name not in ("auto", "cuda"):
            return choose_device(name)
        if self.local_rank >= num_gpus:
            raise SettingsError(
                f"there are more processes than GPUs on this machine ({num_gpus}); start one for each GPU (torchrun "
                "--nproc-per-node), or use --device cpu"
            )
        torch.cuda.set_device(self.local_rank)  # first of all: each process that touches GPU 0 takes memory there
        return choose_device(f"cuda:{self.local_rank}")

    @contextmanager
    def lost_others_said(self) -> Iterator[None]:
        """Within it, the end of another process is a `RunError`."""
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not _is_lost_connection(error):
                raise
            atexit.unregister(_part)  # there is nobody to take leave of
            raise RunError(
                f"process {self.rank} of {self.count} has lost another one, which ended or was killed; the same "
                "command goes on from the last checkpoint"
            ) from error

    def _end_on_error(self, error: EarwitnessError | None) -> None:
        if self.count == 1:
            if error is not None:
                raise error
            return
        errors = self.gather(None if error is None else (type(error).__name__, str(error)))
        rank, met = next(((rank, e) for rank, e in enumerate(errors) if e is not None), (0, None))
        if met is None:
            return
        if not self.is_first:
            raise ToldElsewhereError(f"process {self.rank} of {self.count} ends with the first: {met[1]}")
        if error is not None:
            raise error
        raise RunError(f"in process {rank} of {self.count}: {met[1]}")


def join_processes() -> Processes:
    """Meet the other processes that `torchrun` started; alone, where it did not start this one.

    Those who have met stay together to the end of the program.

    Raises:
        RunError: the others cannot be reached.
    """
    if not dist.is_available():
        return Processes()
    if not dist.is_initialized():
        if not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys() or os.environ["WORLD_SIZE"] == "1":
            return Processes()
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        try:
            dist.init_process_group(backend, timeout=_PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise RunError(
                f"the {os.environ['WORLD_SIZE']} processes of the training do not reach one another ({error})"
            ) from error
        atexit.register(_part)
    return Processes(
        rank=dist.get_rank(), count=dist.get_world_size(), local_rank=int(os.environ.get("LOCAL_RANK", "0"))
    )


def _part() -> None:
    if dist.is_initialized():
        gc.collect()  # what still holds the group, in circles, would keep its threads beyond the interpreter's end
        dist.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    kinds = (dist.DistBackendError, dist.DistNetworkError, dist.DistStoreError)
    return isinstance(error, kinds) or "gloo" in str(error)
