"""The training loop: the paper's recipe, by steps.

Batches of 128 patches drawn at random from all patches, each with the labels of its clip; Adam at a constant rate;
sigmoid cross-entropy, summed over labels and averaged over the batch; batch norm in the networks and no other
regularisation. No random number is drawn after the first weights, so on one CPU with one number of threads a training
that was stopped and resumed gives bit for bit the weights of one that ran through.

References: Hershey et al. 2017, section 3.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earwitness.errors import RunError, StoreError
from earwitness.evaluation.summary import evaluate
from earwitness.inference.probabilities import PatchScorer
from earwitness.models.model_file import Architecture, Model, save_model
from earwitness.models.network import Network
from earwitness.models.precision import autocast, choose_device, choose_precision
from earwitness.scoring.clip_scores import score_clips
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.batches import BatchLoader
from earwitness.training.clips import TrainingClips, choose_clips
from earwitness.training.measurements import MeasurementLog
from earwitness.training.run_folder import RunFolder, RunRecord, load_checkpoint, save_checkpoint
from earwitness.training.running_means import RunningMeans
from earwitness.training.settings import TrainSettings
from earwitness.training.stopping import stop_on_signals

_MEASURE_EVERY_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class TrainProgress:
    """Told after every step."""

    step: int
    """Steps done so far, those before a resumption included."""
    num_steps: int
    patches_per_second: float
    """Over the steps since the last measurement."""
    measured: dict[str, float | None] = field(default_factory=dict)
    """The latest figures, named as the columns of `metrics.csv`; those of watched clips begin with `validation_`."""


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """What a call of `train` came to."""

    model_path: Path
    """Where the model is, or will be once the run is finished."""
    step: int
    num_steps: int
    num_patches: int
    """Patches learnt from."""
    num_train_clips: int
    num_validation_clips: int
    seconds: float
    """Training time in all, resumptions included, validation too."""
    last_validation: dict[str, float | None]
    was_finished: bool
    """Whether there was nothing left to do."""

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done; False where it was stopped and can be resumed."""
        return self.step >= self.num_steps


def train(
    store: Store,
    folder: str | Path,
    *,
    settings: TrainSettings,
    on_progress: Callable[[TrainProgress], None] | None = None,
) -> TrainSummary:
    """Train a network on a store, or take up the training that `folder` holds.

    Ctrl-C and SIGTERM let the step end, write a checkpoint and return with `is_finished` False.

    Raises:
        SettingsError, SelectionError, StoreError: the settings do not fit the store or the machine.
        RunError: the folder holds another run, is used by another process or cannot be written, the loss is no
            longer a number, or the device has too little memory.
    """
    device = choose_device(settings.device)
    run = RunFolder(folder)
    clips = choose_clips(store, settings)
    index = PatchIndex(
        store.frames_per_clip,
        clips.train,
        patch_frames=store.front_end.patch_frames,
        # How patches are drawn to learn from; the model still scores new sound at the store's own hop.
        hop_frames=settings.patch_hop_frames or store.front_end.patch_hop_frames,
    )
    if index.num_patches < settings.batch_size:
        raise StoreError(
            f"{store.folder}: the {len(clips.train)} clips learnt from hold {index.num_patches} patches, fewer than "
            f"one batch of {settings.batch_size}; use a smaller --batch-size or more clips"
        )
    threads = settings.threads or run.threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with FrameReader(store) as reader:
            training = _Training(run, reader, index, clips, settings, device)
            with run.held():
                checkpoint = load_checkpoint(run.checkpoint_path)
                run.take_up(training.record(), step_reached=checkpoint["step"] if checkpoint else 0)
                if checkpoint:
                    training.resume(checkpoint)
                return training.run_to_end(on_progress)
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{run.folder}: the training does not fit into the memory of {device} ({str(error).splitlines()[0]}); "
            "try a smaller --batch-size or --width, in a new folder"
        ) from error


class _Training:
    """The state of one training, and its steps in the order they run."""

    def __init__(
        self,
        run: RunFolder,
        reader: FrameReader,
        index: PatchIndex,
        clips: TrainingClips,
        settings: TrainSettings,
        device: torch.device,
    ) -> None:
        self.run, self.reader, self.index, self.clips = run, reader, index, clips
        self.settings, self.device = settings, device
        self.store, self.front_end = reader.store, reader.store.front_end
        self.precision = choose_precision(settings.precision, device)
        self.plan = BatchPlan(index.num_patches, batch_size=settings.batch_size, seed=settings.seed)
        self.architecture = Architecture(
            name=settings.network,
            arguments={
                "num_labels": len(self.store.label_set),
                "patch_frames": self.front_end.patch_frames,
                "num_bands": self.front_end.num_bands,
                "width": settings.width,
            },
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = self.architecture.build()
        self.network: Network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=settings.effective_learning_rate, fused=device.type in ("cpu", "cuda")
        )
        self.step = 0
        self.seconds = 0.0
        self.means = RunningMeans(device)
        self.last_validation: dict[str, float | None] = {}

    def record(self) -> RunRecord:
        """What decides the weights, for the run folder and the model."""
        return RunRecord(
            settings=self.settings.to_dict(),
            resolved={
                "learning_rate": self.settings.effective_learning_rate,
                "precision": self.precision,
                "device": self.device.type,
                "threads": torch.get_num_threads(),
            },
            clips=self.clips.describe(self.store),
            store=str(self.store.folder.resolve()),
            store_fingerprint=self.store.fingerprint,
            front_end=self.front_end.to_dict(),
        )

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.means.state.copy_(state["means"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.last_validation = state["last_validation"]

    def run_to_end(self, on_progress: Callable[[TrainProgress], None] | None) -> TrainSummary:
        """Train until all steps are done or a stop is asked for."""
        settings = self.settings
        if self.step >= settings.steps and self.run.model_path.exists():
            return self._summary(was_finished=True)
        loader = BatchLoader(
            self.reader,
            self.index,
            self.plan,
            patch_frames=self.front_end.patch_frames,
            pin_memory=self.device.type == "cuda",
        )
        log = MeasurementLog(self.run.metrics_path, self.run.tensorboard_path, last_step=self.step)
        started = last_measured = last_saved = time.monotonic()
        earlier_seconds, measured_step = self.seconds, self.step
        measured: dict[str, float | None] = {}
        with loader, log, stop_on_signals() as stop_asked:
            self.network.train()
            for batch in loader.batches(self.step, settings.steps):
                self._learn(*batch.to_device(self.device, num_labels=len(self.store.label_set)))
                self.step += 1

                now = time.monotonic()
                self.seconds = earlier_seconds + now - started
                rate = (self.step - measured_step) * settings.batch_size / max(now - last_measured, 1e-9)
                is_last = self.step == settings.steps
                is_validation_due = is_last or self.step % settings.validation_every == 0
                if is_validation_due or self.step % _MEASURE_EVERY_STEPS == 0:
                    measured |= self._measure(log, rate)
                    measured_step, last_measured = self.step, now
                if is_validation_due:
                    measured |= {f"validation_{name}": value for name, value in self._validate(log).items()}
                    last_measured += time.monotonic() - now  # validating is not training time
                if on_progress is not None:
                    on_progress(
                        TrainProgress(
                            step=self.step, num_steps=settings.steps, patches_per_second=rate, measured=measured
                        )
                    )
                if stop_asked():
                    break
                if time.monotonic() - last_saved >= settings.checkpoint_seconds and not is_last:
                    self._save_checkpoint()
                    last_saved = time.monotonic()
            self.seconds = earlier_seconds + time.monotonic() - started
            self._save_checkpoint()
        if self.step >= settings.steps:
            self._save_model()
        return self._summary()

    def _learn(self, patches: Tensor, targets: Tensor) -> None:
        """One update. patches [batch, patch_frames, bands], targets [batch, labels]."""
        with autocast(self.precision, self.device):
            logits = self.network(patches)
        logits = logits.float()
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.means.add(loss.detach(), logits.detach(), targets)

    def _measure(self, log: MeasurementLog, rate: float) -> dict[str, float | None]:
        figures = self.means.take()
        if not isfinite(figures["loss"] or 0.0):
            raise RunError(
                f"{self.run.folder}: the loss is no longer a number after step {self.step}; the training diverged. "
                f"Try a learning rate below {self.settings.effective_learning_rate:g} (--learning-rate) or "
                "--precision float32, in a new folder"
            )
        log.write(step=self.step, seconds=self.seconds, kind="train", patches_per_second=rate, **figures)
        return figures

    def _validate(self, log: MeasurementLog) -> dict[str, float | None]:
        if not len(self.clips.validation):
            return {}
        scorer = PatchScorer(self.network, device=self.device)
        scores = score_clips(scorer, self.reader, self.clips.validation, front_end=self.front_end)
        self.network.train()
        evaluation = evaluate(scores, self.store.targets(self.clips.validation), label_set=self.store.label_set)
        figures = {name: getattr(evaluation, name) for name in ("one_best_accuracy", "mean_average_precision")}
        self.last_validation = {name: value if isfinite(value) else None for name, value in figures.items()}
        log.write(step=self.step, seconds=self.seconds, kind="validation", **self.last_validation)
        return self.last_validation

    def _save_checkpoint(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "means": self.means.state,
            "step": self.step,
            "seconds": self.seconds,
            "last_validation": self.last_validation,
        }
        save_checkpoint(state, self.run.checkpoint_path)

    def _save_model(self) -> None:
        model = Model(
            network=self.network,
            architecture=self.architecture,
            label_set=self.store.label_set,
            front_end=self.front_end,
            provenance={**vars(self.record()), "environments": self.run.environments()},
        )
        save_model(model, self.run.model_path)

    def _summary(self, *, was_finished: bool = False) -> TrainSummary:
        return TrainSummary(
            model_path=self.run.model_path,
            step=self.step,
            num_steps=self.settings.steps,
            num_patches=self.index.num_patches,
            num_train_clips=len(self.clips.train),
            num_validation_clips=len(self.clips.validation),
            seconds=self.seconds,
            last_validation=self.last_validation,
            was_finished=was_finished,
        )
