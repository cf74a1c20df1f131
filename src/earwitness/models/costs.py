"""What a network costs: weights and multiply-adds, without building it in memory.

A multiply-add is counted once, as in the paper, and only in convolutions and linear layers: batch norm, activations
and pools add less than a hundredth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.models.network import Network
from earwitness.models.registry import create_network


@dataclass(frozen=True, kw_only=True)
class NetworkCosts:
    """The size of a network, and the work of one patch in one forward pass."""

    num_weights: int
    """All trained numbers: weights, biases, batch-norm scales and shifts."""
    num_multiply_adds: int
    embedding_size: int


def network_costs(
    name: str, *, num_labels: int, patch_frames: int = 96, num_bands: int = 64, **options: Any
) -> NetworkCosts:
    """The costs of the network that `create_network` would build with these arguments.

    It is built on torch's meta device, which has shapes but no numbers: no memory is used, nothing is computed, and
    the random state stays as it is.

    Raises:
        ModelError: unknown network or option.
        SettingsError: sizes that leave a layer empty.
    """
    with torch.device("meta"):
        network = create_network(name, num_labels=num_labels, patch_frames=patch_frames, num_bands=num_bands, **options)
        patch = torch.empty(1, patch_frames, num_bands)
    return NetworkCosts(
        num_weights=network.num_weights,
        num_multiply_adds=count_multiply_adds(network, patch),
        embedding_size=network.embedding_size,
    )


def count_multiply_adds(network: Network, patch: Tensor) -> int:
    """Multiply-adds of one patch [1, patch_frames, num_bands], counted while the layers run."""
    total = 0

    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features

    was_training = network.training
    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    try:
        with torch.inference_mode():
            network.eval()(patch)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return total
