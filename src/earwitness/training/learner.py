"""The network as it is trained: in its arithmetic, in parts of a batch, over several processes, compiled where asked.

Weights, names and state stay those of the plain network; all of this is wrapped around it.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from shutil import which
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from earwitness.errors import SettingsError
from earwitness.models.network import Network
from earwitness.models.precision import autocast
from earwitness.training.batches import DeviceBatch
from earwitness.training.distributed import Processes
from earwitness.training.settings import TrainSettings

_STEPS_WORTH_COMPILING = 10_000
"""Fewer are over before the translation has paid for itself: a minute or two at some tens of steps a second."""


class Learner:
    """Computes loss and gradients of batches."""

    def __init__(
        self,
        network: Network,
        *,
        settings: TrainSettings,
        precision: Literal["float32", "bfloat16"],
        device: torch.device,
        processes: Processes,
    ) -> None:
        """Wrap `network`, which is on `device`; with several processes, all must do so at the same time."""
        self._network, self._processes = network, processes
        self._parts, self._precision, self._device = settings.accumulate, precision, device
        passes: nn.Module = _Passes(network, dropout=settings.small_data.dropout)
        self._shared: DistributedDataParallel | None = None
        if processes.count > 1:
            # Running statistics are averaged over the processes below, instead of the first one's being sent round.
            with warnings.catch_warnings():  # newer versions of torch prefer another name, which older ones do not know
                warnings.simplefilter("ignore", FutureWarning)
                passes = self._shared = DistributedDataParallel(
                    passes, device_ids=[device] if device.type == "cuda" else None, broadcast_buffers=False
                )
        self._passes: Callable[..., Any] = passes
        if settings.compile == "always" or (settings.compile == "auto" and _is_worth_compiling(settings, device)):
            self._passes = torch.compile(passes)
        learning = [module for module in network.modules() if module.training]
        self._statistics = [b for m in learning for b in m.buffers(recurse=False) if b.is_floating_point()]

    def add_gradients(self, batch: DeviceBatch, *, on_part: Callable[[Tensor, Tensor, Tensor], None]) -> None:
        """Add the gradients of this process's share of a batch; they come out as those of the whole batch.

        Args:
            batch: the share.
            on_part: told loss [], logits and targets [patches, labels] of each part that went through the network.
        """
        parts = batch.parts(self._parts)
        for number, part in enumerate(parts):
            with self._together_only_if(number == len(parts) - 1):
                with autocast(self._precision, self._device):
                    logits = self._passes(part.patches, part.kept)
                logits = logits.float()
                loss = F.binary_cross_entropy_with_logits(logits, part.targets, reduction="none").sum(dim=1).mean()
                (loss / len(parts)).backward()  # type: ignore[no-untyped-call]
            on_part(loss.detach(), logits.detach(), part.targets)
        self._processes.average(self._statistics)

    def _together_only_if(self, is_last: bool) -> AbstractContextManager[None]:
        """Gradients of the parts before the last are kept, not yet summed over processes."""
        return nullcontext() if self._shared is None or is_last else self._shared.no_sync()


class _Passes(nn.Module):
    """Patches to logits, with dropout before the classifier."""

    def __init__(self, network: Network, *, dropout: float) -> None:
        super().__init__()
        self.network = network
        self._kept_share = 1 - dropout

    def forward(self, patches: Tensor, kept: Tensor | None) -> Tensor:
        if kept is None:
            logits: Tensor = self.network(patches)
            return logits
        embedding = self.network.embed(patches)
        return self.network.classify(embedding * kept / self._kept_share)


def _is_worth_compiling(settings: TrainSettings, device: torch.device) -> bool:
    """Whether it is likely to be faster in the end, and whether what it needs is there."""
    if device.type != "cuda" or settings.steps < _STEPS_WORTH_COMPILING:
        return False
    return find_spec("triton") is not None and any(which(compiler) for compiler in ("cc", "gcc", "clang"))


def with_shared_batch_norm(network: Network, device: torch.device) -> Network:
    """The network with batch norm over the patches of all processes.

    Raises:
        SettingsError: the device cannot.
    """
    if device.type != "cuda":
        raise SettingsError(
            f"sync_batch_norm: PyTorch synchronises batch norm on GPUs only, and this trains on {device.type}; "
            "leave it out, and each process has its own batch statistics, as in the paper"
        )
    shared: Network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return shared


def make_optimizer(network: Network, settings: TrainSettings, device: torch.device) -> torch.optim.Adam:
    """Adam, as in the paper, for what is not frozen; with weight decay AdamW, which spares biases, batch norm and other
    vectors.
    """
    is_fused = device.type in ("cpu", "cuda")
    rate, decay = settings.effective_learning_rate, settings.small_data.weight_decay
    learning = [p for p in network.parameters() if p.requires_grad]
    if not decay:
        return torch.optim.Adam(learning, lr=rate, fused=is_fused)
    matrices = [p for p in learning if p.ndim > 1]
    vectors = [p for p in learning if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, fused=is_fused)
