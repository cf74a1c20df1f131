"""What every network has in common: the two ways through it, the output with its optional bottleneck, the classifier
that may take the output's place, and how layers are made, sized and initialised.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal, Self

import torch
from torch import Tensor, nn

from earwitness.errors import SettingsError


class Network(nn.Module, ABC):
    """Patches in, one logit a label out: an embedding, and a classifier on it.

    A subclass builds its body, implements `features`, and calls `add_output` at the end of its `__init__`.
    """

    bottleneck: nn.Linear | None
    """Features to fewer numbers; None: the output reads the features themselves."""
    hidden_on_embedding: nn.Sequential
    """The classifier's hidden layers; empty, as in the paper's networks, unless `put_classifier` made some."""
    head: nn.Linear
    """The last layer, which gives the logits."""

    _is_embedding_frozen = False

    def forward(self, patches: Tensor) -> Tensor:
        """Logits [batch, labels] of patches [batch, patch_frames, num_bands]."""
        return self.classify(self.embed(patches))

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits [batch, labels] of embeddings [batch, embedding_size]."""
        logits: Tensor = self.head(self.hidden_on_embedding(embeddings))
        return logits

    def embed(self, patches: Tensor) -> Tensor:
        """What the classifier reads, [batch, embedding_size], of patches [batch, patch_frames, num_bands].

        In the paper's networks it is the layer before the output. That is the bottleneck where there is one. It has
        no activation (the paper names none): its numbers have both signs, and together with the output it is one
        matrix of low rank.
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
        self.hidden_on_embedding = nn.Sequential()
        self.head = nn.Linear(num_features if bottleneck is None else bottleneck, num_labels)
        initialise(self)
        _initialise_head(self.head)

    def put_classifier(self, *, num_labels: int, num_layers: int = 0, num_units: int = 1_000) -> None:
        """Put a fresh classifier on the embedding, in place of the one there: hidden layers of ReLU, and the output.

        Args:
            num_labels: outputs.
            num_layers: hidden layers; 0: the output alone, which is logistic regression on embeddings.
            num_units: units of each of them.

        Raises:
            SettingsError: layers without units.

        References: Hershey et al. 2017, the experiment on event detection in Audio Set.
        """
        if num_layers < 0 or num_units < 1:
            raise SettingsError(
                f"a classifier of {num_layers} hidden layers of {num_units} units cannot be; 0 layers are logistic "
                "regression, and a layer has at least one unit"
            )
        sizes = [self.embedding_size, *[num_units] * num_layers]
        layers = [layer for size_in, size_out in pairwise(sizes) for layer in (nn.Linear(size_in, size_out), nn.ReLU())]
        self.hidden_on_embedding = nn.Sequential(*layers)
        initialise(self.hidden_on_embedding)
        self.head = nn.Linear(sizes[-1], num_labels)
        _initialise_head(self.head)

    def freeze_embedding(self) -> None:
        """From now on only the classifier learns: all before it keeps its weights, and batch norm its statistics."""
        self._is_embedding_frozen = True
        self.requires_grad_(False)
        for module in (self.hidden_on_embedding, self.head):
            module.requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        """As of any module; what is frozen stays in evaluation mode, in which batch norm uses its statistics."""
        super().train(mode)
        if self._is_embedding_frozen:
            for module in self.children():
                module.train(mode and module in (self.hidden_on_embedding, self.head))
        return self

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        first_layer = next(iter(self.hidden_on_embedding), self.head)
        assert isinstance(first_layer, nn.Linear)
        return first_layer.in_features

    @property
    def num_weights(self) -> int:
        """All trained numbers: weights, biases, batch-norm scales and shifts."""
        return sum(parameter.numel() for parameter in self.parameters())


class Classifier(Network):
    """The classifier of a network by itself: embeddings take the place of patches. Its layers are the network's."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.bottleneck = None
        self.hidden_on_embedding, self.head = network.hidden_on_embedding, network.head

    def features(self, patches: Tensor) -> Tensor:
        """The embeddings that came, [batch, embedding_size]."""
        return patches


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


def _initialise_head(head: nn.Linear) -> None:
    with torch.no_grad():  # small weights: every label starts not far from probability 0.5
        head.weight.normal_(std=0.01)
        head.bias.zero_()
