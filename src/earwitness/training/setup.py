"""What a training works with, found out before any work: device, clips, order of patches, network.

All of it follows from the settings, the store and the machine; nothing here changes while training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from earwitness.errors import RunError, SettingsError, StoreError
from earwitness.front_end import FrontEnd
from earwitness.inference.probabilities import PatchEmbedder
from earwitness.models.description import Architecture
from earwitness.models.network import Classifier, Network
from earwitness.models.precision import choose_precision
from earwitness.scoring.clip_scores import patches_of
from earwitness.scoring.embedding import write_embeddings
from earwitness.store.balanced_order import BalancedPlan
from earwitness.store.embeddings import EmbeddingReader, Embeddings, PatchReader
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.read import LabelledClips
from earwitness.training.augment import Augmentation
from earwitness.training.batches import BatchLoader, Plan
from earwitness.training.clips import TrainingClips, choose_clips
from earwitness.training.distributed import Processes
from earwitness.training.learner import with_shared_batch_norm
from earwitness.training.origin import Origin, completed, read_origin
from earwitness.training.run_folder import RunRecord, flat_settings
from earwitness.training.settings import DEFAULT_NETWORK, PATCH_CHANGES, TrainSettings
from earwitness.training.validation import Validation


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Made by `set_up`."""

    settings: TrainSettings
    """As asked for, and what follows from the model to begin from."""
    processes: Processes
    reader: PatchReader
    device: torch.device
    precision: Literal["float32", "bfloat16"]
    clips: TrainingClips
    index: PatchIndex
    """Of the patches learnt from."""
    front_end: FrontEnd
    """By which patches are cut: that of the model to begin from, or else the store's."""
    architecture: Architecture
    """Of the network that is kept in the end."""
    origin: Origin | None
    """The model to begin from; None: the training begins anew."""
    learns_on_embeddings: bool
    """Whether nothing but the classifier learns, and every patch is the same each time: so the rest of the network is
    run only once for each."""

    def record(self) -> RunRecord:
        """What decides the weights, for the run folder and the model."""
        store = self.reader.store
        return RunRecord(
            settings=self.settings.to_dict(),
            resolved={
                "learning_rate": self.settings.effective_learning_rate,
                "precision": self.precision,
                "device": self.device.type,
                "threads": torch.get_num_threads(),
                "processes": self.processes.count,
            },
            clips=self.clips.describe(store),
            store=str(store.folder.resolve()),
            store_fingerprint=store.fingerprint,
            front_end=self.front_end.to_dict(),
            origin=self.origin.describe() if self.origin is not None else None,
        )

    def common(self) -> dict[str, Any]:
        """What all processes must have alike, by name: on each machine `torchrun` is given a command of its own."""
        record = self.record()
        common = {**flat_settings(record.settings), **record.resolved}
        common["from_model"] = self.origin.digest if self.origin is not None else None  # its path may be another one
        del common["threads"]  # no matter
        return common

    def fresh_network(self) -> Network:
        """What learns, with its first weights: the same at every call. On embeddings it is the classifier alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            network = self.architecture.build() if self.origin is None else self.origin.network()
        if self.learns_on_embeddings:
            network = Classifier(network)
        elif self.settings.freeze:
            network.freeze_embedding()
        network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return with_shared_batch_norm(network, self.device) if self.settings.sync_batch_norm else network

    def whole_network(self, network: Network) -> Network:
        """The network to keep, which takes patches: what learnt, and with a classifier alone also what is before it."""
        if not self.learns_on_embeddings or self.origin is None:
            return network
        return self.origin.with_classifier_of(network)

    def with_embeddings(self, path: Path, *, on_patches: Callable[[int, int], None]) -> "Setup":
        """The same, reading embeddings in the place of patches where only a classifier learns on them.

        Args:
            path: where the embeddings of the chosen clips are written first, unless they are there already.
            on_patches: told the number of patches embedded so far, and of all.

        Raises:
            RunError, StoreError: they cannot be written or read.
        """
        if not self.learns_on_embeddings or self.origin is None or isinstance(self.reader.store, Embeddings):
            return self
        network, clips = self.origin.model.network, np.union1d(self.clips.train, self.clips.validation)

        def write() -> None:
            if path.exists():
                return
            embedder = PatchEmbedder(network, device=self.device)
            try:
                write_embeddings(path, embedder, self.reader, clips, front_end=self.front_end, on_patches=on_patches)
            except OSError as error:
                raise RunError(f"{path}: the embeddings cannot be written ({error.strerror or error})") from error

        self.processes.from_first(write)
        reader = self.processes.together(
            lambda: EmbeddingReader(
                self.reader.store,
                path,
                clips=clips,
                front_end=self.front_end,
                embedding_size=network.embedding_size,
            )
        )
        return replace(self, reader=reader)

    def loader(self, *, embedding_size: int) -> BatchLoader:
        """Reads this process's share of the batches."""
        settings = self.settings
        return BatchLoader(
            self.reader,
            self.index,
            self._plan(),
            augmentation=Augmentation(
                settings=settings.small_data,
                seed=settings.seed,
                patch_frames=self.front_end.patch_frames,
                num_bands=self.front_end.num_bands,
                embedding_size=embedding_size,
            ),
            processes=self.processes,
            pin_memory=self.device.type == "cuda",
        )

    def validation(self) -> Validation:
        """Scores the watched clips."""
        return Validation(
            self.reader,
            self.clips.validation,
            front_end=self.front_end,
            precision=self.precision,
            device=self.device,
            processes=self.processes,
        )

    def _plan(self) -> Plan:
        store, settings = self.reader.store, self.settings
        if not settings.small_data.balanced:
            return BatchPlan(self.index.num_patches, batch_size=settings.batch_size, seed=settings.seed)
        return BalancedPlan(
            self.index,
            label_offsets=store.label_offsets,
            label_indices=store.label_indices,
            batch_size=settings.batch_size,
            seed=settings.seed,
        )


def set_up(reader: PatchReader, *, settings: TrainSettings, processes: Processes) -> Setup:
    """Find out what the settings come down to for the reader's store, on this machine.

    Raises:
        SettingsError, SelectionError, StoreError: they do not fit the store, the machine or the processes.
        ModelError: there is no such model to begin from, or it is damaged.
    """
    settings.patches_at_once(num_processes=processes.count)
    device = processes.choose_device(settings.device)
    store = reader.store
    origin = read_origin(store, settings)
    settings = completed(settings, store, origin)
    front_end = store.front_end if origin is None else origin.model.front_end
    learns_on_embeddings = _learns_on_embeddings(settings, store, front_end)
    for name, size in (("mask_frames", front_end.patch_frames), ("mask_bands", front_end.num_bands)):
        if (widest := getattr(settings.small_data, name)) >= size:
            raise SettingsError(f"{name}={widest} may blank out a whole patch, which has {size}; use fewer")
    clips = choose_clips(store, settings)
    patches_of(store, np.union1d(clips.train, clips.validation), front_end=front_end)  # refuses those without any
    index = PatchIndex(
        store.frames_per_clip,
        clips.train,
        patch_frames=front_end.patch_frames,
        # How patches are drawn to learn from; the model still scores new sound at the store's own hop.
        hop_frames=settings.patch_hop_frames or front_end.patch_hop_frames,
    )
    if index.num_patches < settings.batch_size:
        raise StoreError(
            f"{store.folder}: the {len(clips.train)} clips learnt from hold {index.num_patches} patches, fewer than "
            f"one batch of {settings.batch_size}; use a smaller --batch-size or more clips"
        )
    # Where a classifier is all that is run, bfloat16 would cost precision and save nothing.
    precision = "float32" if learns_on_embeddings and settings.precision == "auto" else settings.precision
    return Setup(
        settings=settings,
        processes=processes,
        reader=reader,
        device=device,
        precision=choose_precision(precision, device),
        clips=clips,
        index=index,
        front_end=front_end,
        architecture=new_architecture(settings, store) if origin is None else origin.architecture,
        origin=origin,
        learns_on_embeddings=learns_on_embeddings,
    )


def _learns_on_embeddings(settings: TrainSettings, store: LabelledClips, front_end: FrontEnd) -> bool:
    """Whether embeddings made once can take the place of patches.

    Raises:
        SettingsError: there are embeddings only, and settings that ask for new patches.
    """
    own_hop = front_end.patch_hop_frames
    new_patches = [("patch_hop_frames", own_hop)] if settings.patch_hop_frames not in (None, own_hop) else []
    new_patches += [(name, 0) for name in PATCH_CHANGES if getattr(settings.small_data, name)]
    if isinstance(store, Embeddings):
        if new_patches:
            options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in new_patches)
            raise SettingsError(
                f"{', '.join(name for name, _ in new_patches)}: embeddings are of patches as they are; give {options}, "
                f"or train on the store itself with --from {store.model_path} --freeze"
            )
        return True
    return settings.freeze and not new_patches


def new_architecture(settings: TrainSettings, store: LabelledClips) -> Architecture:
    """Of a network that begins anew, as the settings have it for the store's patches and labels."""
    arguments = {
        "num_labels": len(store.label_set),
        "patch_frames": store.front_end.patch_frames,
        "num_bands": store.front_end.num_bands,
        "width": settings.width,
    }
    for name in ("num_layers", "num_units", "bottleneck"):
        if getattr(settings, name) is not None:
            arguments[name] = getattr(settings, name)
    return Architecture(name=settings.network or DEFAULT_NETWORK, arguments=arguments)
