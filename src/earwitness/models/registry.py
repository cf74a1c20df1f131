"""The networks by name: one row each. Looking here costs no import of torch; `create_network` does.

Every network is a `torch.nn.Module` built with the keyword arguments `num_labels, patch_frames, num_bands, width,
bottleneck`, and offers `forward(patches) -> logits [batch, labels]` and `embed(patches) -> [batch, embedding_size]`,
the layer before the output, for patches [batch, patch_frames, num_bands]. The sigmoid and the loss live outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from earwitness.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from earwitness.models.network import Network


@dataclass(frozen=True, kw_only=True)
class Release:
    """A network whose weights were published: what its authors print of it. None: they do not print it."""

    num_labels: int
    """Its outputs; 0: it was published up to the embedding."""
    num_weights: int | None = None
    num_multiply_adds: int | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """What is known of a network before it is built."""

    module: str
    class_name: str
    learning_rate: float
    """Default for Adam at batch 128."""
    paper_num_weights: int | None = None
    """As the paper prints it, for patches of 96 x 64 and 3,087 labels. None: it is not one of the paper's."""
    paper_num_multiply_adds: int | None = None
    released: Release | None = None
    """None: its weights were not published."""
    remark: str | None = None
    """On the figures printed, where they do not come out."""


# The paper prints one learning rate, the fully connected network's. The others are ours: docs/design.md says why.
NETWORKS = {
    "alexnet": NetworkEntry(
        module="earwitness.models.alexnet",
        class_name="AlexNet",
        learning_rate=1e-4,  # ours
        paper_num_weights=37_300_000,
        paper_num_multiply_adds=767_000_000,
    ),
    "fully_connected": NetworkEntry(
        module="earwitness.models.fully_connected",
        class_name="FullyConnected",
        learning_rate=3e-5,  # the paper's
        paper_num_weights=11_200_000,
        paper_num_multiply_adds=11_200_000,
    ),
    "inception_v3": NetworkEntry(
        module="earwitness.models.inception_v3",
        class_name="InceptionV3",
        learning_rate=3e-4,  # ours
        paper_num_weights=28_000_000,
        paper_num_multiply_adds=4_700_000_000,
        remark="the network as the paper describes it needs 5.438 G multiply-adds; its 4.7 G are not reconciled",
    ),
    "resnet50": NetworkEntry(
        module="earwitness.models.resnet50",
        class_name="ResNet50",
        learning_rate=3e-4,  # ours
        paper_num_weights=30_000_000,
        paper_num_multiply_adds=1_900_000_000,
    ),
    "vgg": NetworkEntry(
        module="earwitness.models.vgg",
        class_name="VGG",
        learning_rate=1e-4,  # ours
        paper_num_weights=62_000_000,
        paper_num_multiply_adds=2_400_000_000,
    ),
    "vggish": NetworkEntry(
        module="earwitness.models.vggish",
        class_name="VGGish",
        learning_rate=1e-4,  # ours
        released=Release(num_labels=0),
    ),
    "yamnet": NetworkEntry(
        module="earwitness.models.yamnet",
        class_name="YAMNet",
        learning_rate=3e-4,  # ours
        released=Release(num_labels=521, num_weights=3_700_000, num_multiply_adds=69_200_000),
    ),
}


STAND_INS = {
    "published_embeddings": NetworkEntry(
        module="earwitness.models.published_embeddings", class_name="PublishedEmbeddings", learning_rate=1e-3
    ),
}
"""What stands in a model for a network that is not there. None of them can be chosen for a training."""


def network_entry(name: str) -> NetworkEntry:
    """The registry's row for `name`.

    Raises:
        ModelError: no network has that name; the nearest is named.
    """
    try:
        return NETWORKS[name]
    except KeyError:
        near = get_close_matches(name, NETWORKS, n=1, cutoff=0.4)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ModelError(f"unknown network {name!r}; known: {', '.join(sorted(NETWORKS))}{hint}") from None


def create_network(
    name: str,
    *,
    num_labels: int,
    patch_frames: int = 96,
    num_bands: int = 64,
    width: float = 1.0,
    bottleneck: int | None = None,
    classifier_layers: int = 0,
    classifier_units: int = 1_000,
    **options: Any,
) -> Network:
    """Build a network with fresh weights from torch's current random state.

    Args:
        name: a key of `NETWORKS`.
        num_labels: outputs.
        patch_frames: frames of a patch.
        num_bands: mel bands of a frame.
        width: multiplies the units or channels of every hidden layer; 1 is the paper's size.
        bottleneck: units of a layer before the output (paper: 128), which `embed` then gives; None: there is none.
        classifier_layers: hidden layers between what `embed` gives and the output; 0: none, as in the paper's networks.
        classifier_units: units of each of these.
        options: further arguments of that network's class; an unknown one is refused.

    Raises:
        ModelError: unknown network or option.
        SettingsError: sizes that leave a layer empty, a patch too small for the network.
    """
    entry = STAND_INS.get(name) or network_entry(name)
    if num_labels < 1:
        raise SettingsError(f"num_labels={num_labels} must be at least 1")
    if not 0 < width <= 16:
        raise SettingsError(f"width={width} must lie in (0, 16]; 1 is the paper's size")
    network_class = getattr(import_module(entry.module), entry.class_name)
    try:
        network: Network = network_class(
            num_labels=num_labels,
            patch_frames=patch_frames,
            num_bands=num_bands,
            width=width,
            bottleneck=bottleneck,
            **options,
        )
    except TypeError as error:
        raise ModelError(f"network {name!r} cannot be built with these arguments: {error}") from error
    if classifier_layers:
        network.put_classifier(num_labels=num_labels, num_layers=classifier_layers, num_units=classifier_units)
    return network
