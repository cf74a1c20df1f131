"""The training loop: the paper's recipe, by steps.

Batches of 128 patches drawn at random from all patches, each with the labels of its clip; Adam at a constant rate;
sigmoid cross-entropy, summed over labels and averaged over the batch; batch norm in the networks and no other
regularisation. No random number is drawn after the first weights, so on one machine with one number of threads a
training that was stopped and resumed gives bit for bit the weights of one that ran through.

References: Hershey et al. 2017, section 3.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from earwitness.errors import RunError, StoreError
from earwitness.evaluation.metrics import average_precision, one_best_accuracy
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
from earwitness.training.run_folder import (
    RunFolder,
    load_checkpoint,
    open_run,
    save_checkpoint,
    threads_of_run,
)
from earwitness.training.settings import TrainSettings

_LOG_EVERY_STEPS = 50


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
        RunError: the folder holds another run or cannot be written, or the loss is no longer a number.
    """
    device = choose_device(settings.device)
    threads = settings.threads or threads_of_run(folder)
    if threads is not None:
        torch.set_num_threads(threads)
    clips = choose_clips(store, settings)
    front_end = store.front_end
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
    run = open_run(folder, settings=settings, store=store, threads=torch.get_num_threads())
    with FrameReader(store) as reader:
        training = _Training(run, reader, index, clips, settings, device)
        return training.run_to_end(on_progress)


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
            self.network.parameters(),
            lr=settings.effective_learning_rate,
            fused=device.type in ("cpu", "cuda"),
        )
        self.step = 0
        self.seconds = 0.0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.hits_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.last_validation: dict[str, float | None] = {}
        self._resume()

    def run_to_end(self, on_progress: Callable[[TrainProgress], None] | None) -> TrainSummary:
        """Train until all steps are done or a stop is asked for."""
        settings = self.settings
        if self.step >= settings.steps and self.run.model_path.exists():
            return self._summary()
        plan = BatchPlan(self.index.num_patches, batch_size=settings.batch_size, seed=settings.seed)
        loader = BatchLoader(
            self.reader,
            self.index,
            plan,
            patch_frames=self.front_end.patch_frames,
            pin_memory=self.device.type == "cuda",
        )
        log = MeasurementLog(self.run, last_step=self.step)
        started = last_logged = last_saved = time.monotonic()
        earlier_seconds, logged_step = self.seconds, self.step
        measured: dict[str, float | None] = {}
        with loader, log, _stop_on_signals() as stop_asked:
            self.network.train()
            for batch in loader.batches(self.step, settings.steps):
                self._learn(*batch.to_device(self.device, num_labels=len(self.store.label_set)))
                self.step += 1

                now = time.monotonic()
                self.seconds = earlier_seconds + now - started
                rate = (self.step - logged_step) * settings.batch_size / max(now - last_logged, 1e-9)
                is_last = self.step == settings.steps
                is_validation_due = is_last or self.step % settings.validation_every == 0
                if is_validation_due or self.step % _LOG_EVERY_STEPS == 0:
                    measured |= self._measure_training(log, rate)
                    logged_step, last_logged = self.step, now
                if is_validation_due:
                    measured |= {f"validation_{name}": value for name, value in self._validate(log).items()}
                    last_logged += time.monotonic() - now  # validating is not training time
                if on_progress is not None:
                    on_progress(
                        TrainProgress(
                            step=self.step,
                            num_steps=settings.steps,
                            patches_per_second=rate,
                            measured=measured,
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
        with torch.no_grad():
            best = logits.argmax(dim=1, keepdim=True)
            self.loss_sum += loss.detach()
            self.hits_sum += targets.gather(1, best).mean()

    def _measure_training(self, log: MeasurementLog, rate: float) -> dict[str, float | None]:
        num_steps = self.step - log.last_training_step
        figures: dict[str, float | None] = {
            "loss": float(self.loss_sum) / num_steps,
            "one_best_accuracy": float(self.hits_sum) / num_steps,
        }
        self.loss_sum.zero_()
        self.hits_sum.zero_()
        if not math.isfinite(figures["loss"] or 0.0):
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
        targets = self.store.targets(self.clips.validation)
        precisions = average_precision(scores, targets)
        accuracy = one_best_accuracy(scores, targets)
        self.last_validation = {
            "one_best_accuracy": None if math.isnan(accuracy) else accuracy,
            "mean_average_precision": None if np.isnan(precisions).all() else float(np.nanmean(precisions)),
        }
        log.write(step=self.step, seconds=self.seconds, kind="validation", **self.last_validation)
        return self.last_validation

    def _resume(self) -> None:
        state = load_checkpoint(self.run.checkpoint_path)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.loss_sum.copy_(state["loss_sum"])
        self.hits_sum.copy_(state["hits_sum"])
        self.last_validation = state["last_validation"]

    def _save_checkpoint(self) -> None:
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "loss_sum": self.loss_sum,
            "hits_sum": self.hits_sum,
            "last_validation": self.last_validation,
        }
        save_checkpoint(state, self.run.checkpoint_path)

    def _save_model(self) -> None:
        record = self.run.read_record()
        provenance = {
            name: record[name] for name in ("settings", "learning_rate", "store_fingerprint", "versions", "commit")
        }
        model = Model(
            network=self.network,
            architecture=self.architecture,
            label_set=self.store.label_set,
            front_end=self.front_end,
            provenance={**provenance, "precision": self.precision, "num_train_clips": len(self.clips.train)},
        )
        save_model(model, self.run.model_path)

    def _summary(self) -> TrainSummary:
        return TrainSummary(
            model_path=self.run.model_path,
            step=self.step,
            num_steps=self.settings.steps,
            num_patches=self.index.num_patches,
            num_train_clips=len(self.clips.train),
            num_validation_clips=len(self.clips.validation),
            seconds=self.seconds,
            last_validation=self.last_validation,
        )


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turns Ctrl-C and SIGTERM into a question that the loop asks after each step; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False
    previous: dict[int, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, previous[number])

    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        previous[stop_signal] = signal.signal(stop_signal, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
