"""What a training works with, found out before any work: device, clips, order of patches, network.

All of it follows from the settings, the store and the machine; nothing here changes while training.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from earwitness.errors import StoreError
from earwitness.models.model_file import Architecture
from earwitness.models.network import Network
from earwitness.models.precision import choose_precision
from earwitness.store.balanced_order import BalancedPlan
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.reading import FrameReader
from earwitness.training.augment import Augmentation
from earwitness.training.batches import BatchLoader, Plan
from earwitness.training.clips import TrainingClips, choose_clips
from earwitness.training.distributed import Processes
from earwitness.training.learner import with_shared_batch_norm
from earwitness.training.run_folder import RunRecord
from earwitness.training.settings import TrainSettings
from earwitness.training.validation import Validation


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Made by `set_up`."""

    settings: TrainSettings
    processes: Processes
    reader: FrameReader
    device: torch.device
    precision: Literal["float32", "bfloat16"]
    clips: TrainingClips
    index: PatchIndex
    """Of the patches learnt from."""
    architecture: Architecture

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
            front_end=store.front_end.to_dict(),
        )

    def fresh_network(self) -> Network:
        """The network with its first weights: the same at every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            network = self.architecture.build()
        network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return with_shared_batch_norm(network, self.device) if self.settings.sync_batch_norm else network

    def loader(self, *, embedding_size: int) -> BatchLoader:
        """Reads this process's share of the batches."""
        store, settings = self.reader.store, self.settings
        return BatchLoader(
            self.reader,
            self.index,
            self._plan(),
            augmentation=Augmentation(
                settings=settings.small_data,
                seed=settings.seed,
                patch_frames=store.front_end.patch_frames,
                num_bands=store.front_end.num_bands,
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


def set_up(reader: FrameReader, *, settings: TrainSettings, processes: Processes) -> Setup:
    """Find out what the settings come down to for the reader's store, on this machine.

    Raises:
        SettingsError, SelectionError, StoreError: they do not fit the store, the machine or the processes.
    """
    settings.patches_at_once(num_processes=processes.count)
    device = processes.choose_device(settings.device)
    store, front_end = reader.store, reader.store.front_end
    clips = choose_clips(store, settings)
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
    arguments = {
        "num_labels": len(store.label_set),
        "patch_frames": front_end.patch_frames,
        "num_bands": front_end.num_bands,
        "width": settings.width,
    }
    for name in ("num_layers", "num_units", "bottleneck"):
        if getattr(settings, name) is not None:
            arguments[name] = getattr(settings, name)
    return Setup(
        settings=settings,
        processes=processes,
        reader=reader,
        device=device,
        precision=choose_precision(settings.precision, device),
        clips=clips,
        index=index,
        architecture=Architecture(name=settings.network, arguments=arguments),
    )
