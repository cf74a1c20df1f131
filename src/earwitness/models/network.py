"""What every network has in common: the two ways through it, the output with its optional bottleneck, and how layers
are made, sized and initialised.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from earwitness.errors import SettingsError


class Network(nn.Module, ABC):
    """Patches in, one logit a label out.

    A subclass builds its body, implements `features`, and calls `add_output` at the end of its `__init__`.
    """

    bottleneck: nn.Linear | None
    """Features to fewer numbers; None: the output reads the features themselves."""
    head: nn.Linear
    """The last layer: embedding to logits."""

    def forward(self, patches: Tensor) -> Tensor:
        """Logits [batch, labels] of patches [batch, patch_frames, num_bands]."""
        logits: Tensor = self.head(self.embed(patches))
        return logits

    def embed(self, patches: Tensor) -> Tensor:
        """The layer before the output, [batch, embedding_size], of patches [batch, patch_frames, num_bands].

        That is the bottleneck where there is one. It has no activation (the paper names none): its numbers have
        both signs, and together with the output it is one matrix of low rank.
        """
        features = self.features(patches)
        if self.bottleneck is None:
            return features
        embedding: Tensor = self.bottleneck(features)
        return embedding

    @abstractmethod
    def features(self, patches: Tensor) -> Tensor:
        """What the body makes of patches [batch, patch_frames, num_bands]: [batch, num_features]."""

    def add_output(self, *, num_features: int, num_labels: int, bottleneck: int | None) -> None:
        """Put the last layers on the body, and give every layer its first weights.

        Args:
            num_features: numbers that `features` gives.
            num_labels: outputs.
            bottleneck: units of the layer between them (paper: 128 in its experiments on the number of labels).

        Raises:
            SettingsError: a bottleneck without units.
        """
        self.bottleneck = None
        if bottleneck is not None:
            if bottleneck < 1:
                raise SettingsError(
                    f"bottleneck={bottleneck} makes no layer; use 128 as in the paper, or leave it away"
                )
            self.bottleneck = nn.Linear(num_features, bottleneck)
        self.head = nn.Linear(num_features if bottleneck is None else bottleneck, num_labels)
        initialise(self)
        with torch.no_grad():  # small weights: every label starts not far from probability 0.5
            self.head.weight.normal_(std=0.01)
            self.head.bias.zero_()

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


def require_patch(
    network: str, *, patch_frames: int, num_bands: int, min_patch_frames: int = 1, min_bands: int = 1
) -> None:
    """Refuse a patch of which the network's strides and pools would leave nothing.

    Raises:
        SettingsError: the patch is smaller than the smallest that works, which is named.
    """
    if patch_frames < min_patch_frames:
        raise SettingsError(
            f"patch_frames={patch_frames} is too short for {network}; its shortest patch has {min_patch_frames} frames"
        )
    if num_bands < min_bands:
        raise SettingsError(f"num_bands={num_bands} is too few for {network}; it needs at least {min_bands} mel bands")


def conv_norm_relu(
    num_in: int,
    num_out: int,
    kernel: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: Literal["same", "valid"] = "same",
) -> nn.Sequential:
    """A convolution, batch norm (which has the bias) and ReLU. `valid`: no padding."""
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(num_out),
        nn.ReLU(inplace=True),
    )


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
