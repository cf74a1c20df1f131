"""What every network has in common: the two ways through it, and how layers are sized and initialised."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from earwitness.errors import SettingsError


class Network(nn.Module, ABC):
    """Patches in, one logit a label out. Subclasses set `head` and implement `embed`."""

    head: nn.Linear
    """The last layer: embedding to logits."""

    def forward(self, patches: Tensor) -> Tensor:
        """Logits [batch, labels] of patches [batch, patch_frames, num_bands]."""
        logits: Tensor = self.head(self.embed(patches))
        return logits

    @abstractmethod
    def embed(self, patches: Tensor) -> Tensor:
        """The layer before the output, [batch, embedding_size], of patches [batch, patch_frames, num_bands]."""

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self.head.in_features

    @property
    def num_weights(self) -> int:
        """All trained numbers: weights, biases, batch-norm scales and shifts."""
        return sum(parameter.numel() for parameter in self.parameters())


def scaled(size: int, width: float) -> int:
    """A hidden layer's size at `width`, rounded.

    Raises:
        SettingsError: nothing would be left of the layer.
    """
    result = round(size * width)
    if result < 1:
        raise SettingsError(f"width={width} leaves nothing of a layer of {size}; use at least {1 / size:.3g}")
    return result


def initialise(network: nn.Module) -> None:
    """He's initialisation for layers followed by ReLU; batch norm starts as the identity.

    References: He et al. 2015, "Delving Deep into Rectifiers".
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


def initialise_head(head: nn.Linear) -> None:
    """Small weights and no bias: every label starts near probability 0.5, whatever the embedding's scale."""
    with torch.no_grad():
        head.weight.normal_(std=0.01)
        head.bias.zero_()
