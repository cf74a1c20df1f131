"""The trained model that a training begins from: one that is named, or the one that made the embeddings learnt from.

All of it is taken over but its output: the labels are new ones. Where they are the same, ids and order, the output is
kept as well, unless hidden layers for it are asked for.

References: Hershey et al. 2017, the experiment on event detection in Audio Set (a shallow network on embeddings).
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earwitness.errors import SettingsError, StoreError
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture, require_network
from earwitness.models.model_file import Model, digest_weights, load_model
from earwitness.models.network import Network
from earwitness.scoring.clip_scores import require_same_frames
from earwitness.store.embeddings import EXPORTED_MODEL_FILE, Embeddings
from earwitness.store.read import LabelledClips
from earwitness.training.settings import CLASSIFIER_LEARNING_RATE, DEFAULT_NETWORK, TrainSettings


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A model to begin from, for the labels and the settings of one training."""

    model: Model
    digest: str
    """Of its tensors."""
    label_set: LabelSet
    settings: TrainSettings

    @property
    def keeps_classifier(self) -> bool:
        """Whether the model's own output is gone on with."""
        return self.label_set == self.model.label_set and self.settings.num_layers is None

    @property
    def architecture(self) -> Architecture:
        """Of the network that `network` gives."""
        own = self.model.architecture
        if self.keeps_classifier:
            return own
        arguments = {n: v for n, v in own.arguments.items() if n not in ("classifier_layers", "classifier_units")}
        arguments["num_labels"] = len(self.label_set)
        sizes = self._classifier_sizes()
        if sizes["num_layers"]:
            arguments |= {name.replace("num", "classifier"): size for name, size in sizes.items()}
        return Architecture(name=own.name, arguments=arguments)

    def network(self) -> Network:
        """A copy of the model's network, with a new output from torch's current random state unless it is kept."""
        network = deepcopy(self.model.network)
        if not self.keeps_classifier:
            network.put_classifier(num_labels=len(self.label_set), **self._classifier_sizes())
        return network

    def with_classifier_of(self, learnt: Network) -> Network:
        """A copy of the model's network with the classifier that another one has learnt on its embeddings."""
        network = deepcopy(self.model.network)
        network.hidden_on_embedding, network.head = learnt.hidden_on_embedding, learnt.head
        return network

    def describe(self) -> dict[str, Any]:
        """For the records: which model it was, and what is known of it."""
        return {"digest": self.digest, "provenance": dict(self.model.provenance)}

    def _classifier_sizes(self) -> dict[str, int]:
        sizes = {"num_layers": self.settings.num_layers or 0}
        if self.settings.num_units is not None:
            sizes["num_units"] = self.settings.num_units
        return sizes


def read_origin(store: LabelledClips, settings: TrainSettings) -> Origin | None:
    """The model to begin from; None where the training begins anew.

    Raises:
        ModelError: there is no such model, or it is damaged.
        StoreError: the store's frames were made by another front end than the model's; or the embeddings by another
            model than the one beside them, or by an exported one.
        SettingsError: settings contradict the model, or one another.
    """
    path = settings.from_model
    if isinstance(store, Embeddings):
        if path is not None:
            raise SettingsError(
                f"from_model={path}: the embeddings in {store.folder} bring the model that made them; leave --from away"
            )
        if (store.folder / EXPORTED_MODEL_FILE).exists() and not store.model_path.exists():
            raise StoreError(
                f"{store.folder}: the embeddings were made by an exported model, which has no network to put a "
                "classifier on; embed the store again with the model that it was exported from"
            )
        path = store.model_path
    if path is None:
        return None
    model = load_model(path)
    digest = digest_weights(model.network)
    if isinstance(store, Embeddings) and digest != store.header.model_digest:
        raise StoreError(
            f"{store.folder}: the embeddings were made by the model {store.header.model_digest[:12]}, and {path.name} "
            f"there is {digest[:12]}; embed the store again"
        )
    if not isinstance(store, Embeddings):
        require_network(model)
    require_same_frames(store, front_end=model.front_end)
    _require_no_contradiction(settings, model.architecture, path)
    return Origin(model=model, digest=digest, label_set=store.label_set, settings=settings)


def completed(settings: TrainSettings, store: LabelledClips, origin: Origin | None) -> TrainSettings:
    """The settings with what follows from the model to begin from, or from there being none, and from the steps.

    Raises:
        SettingsError: what was left open fits nothing else.
    """
    settings = replace(settings, plan=replace(settings.plan, warmup_steps=settings.effective_warmup_steps))
    if isinstance(store, Embeddings):
        rate = settings.learning_rate or CLASSIFIER_LEARNING_RATE
        return replace(settings, learning_rate=rate)
    if origin is not None:
        return replace(settings, **_sizes(origin.model.architecture))
    width = 1.0 if settings.width is None else settings.width
    return replace(settings, network=settings.network or DEFAULT_NETWORK, width=width)


def _require_no_contradiction(settings: TrainSettings, architecture: Architecture, path: Path) -> None:
    for name, own in _sizes(architecture).items():
        given = getattr(settings, name)
        if given is not None and given != own:
            raise SettingsError(
                f"{name}={given!r} contradicts the model to begin from: in {path} it is {own!r}; leave it away"
            )
    if settings.num_units is not None and not settings.num_layers:
        raise SettingsError(
            f"num_units={settings.num_units} are units of hidden layers, and none are asked for; give num_layers, too"
        )


def _sizes(architecture: Architecture) -> dict[str, Any]:
    arguments = architecture.arguments
    return {
        "network": architecture.name,
        "width": arguments.get("width", 1.0),
        "bottleneck": arguments.get("bottleneck"),
    }
