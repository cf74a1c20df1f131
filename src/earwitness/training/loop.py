"""The training loop: the paper's recipe, by steps.

Batches of 128 patches drawn at random from all patches, each with the labels of its clip; Adam at a constant rate;
sigmoid cross-entropy, summed over labels and averaged over the batch; batch norm in the networks and no other
regularisation. What goes beyond the paper is off unless asked for. Every random number is a function of the seed, the
step and the place in the batch, so on one CPU with one number of threads a training that was stopped and resumed
gives bit for bit the weights of one that ran through, and any number of processes see the same batches.

References: Hershey et al. 2017, section 3.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from earwitness.errors import DivergedError, RunError, ToldElsewhereError
from earwitness.inference.probabilities import exact_float32
from earwitness.models.model_file import Model, save_model
from earwitness.models.network import Network
from earwitness.models.precision import is_lack_of_memory
from earwitness.store.embeddings import open_reader
from earwitness.store.read import LabelledClips
from earwitness.table_files import first_line
from earwitness.training.averaging import AveragedNetwork
from earwitness.training.batches import DeviceBatch, on_device
from earwitness.training.distributed import join_processes
from earwitness.training.learner import Learner, make_optimizer
from earwitness.training.learning_rate import learning_rate
from earwitness.training.measurements import MeasurementLog
from earwitness.training.run_folder import RunFolder, load_checkpoint, save_checkpoint
from earwitness.training.running_means import RunningMeans
from earwitness.training.settings import TrainSettings
from earwitness.training.setup import Setup, set_up
from earwitness.training.stopping import stop_on_signals
from earwitness.training.validation import Best, Validation

_MEASURE_EVERY_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class TrainProgress:
    """Told after every step."""

    step: int
    """Steps done so far, those before a resumption included."""
    num_steps: int
    patches_per_second: float
    """Over the steps since the last measurement, of all processes together."""
    measured: dict[str, float | None] = field(default_factory=dict)
    """The latest figures, named as the columns of `metrics.csv`; those of watched clips begin with `validation_`."""
    embedded_share: float | None = None
    """Share of the patches that are embedded, while that is being done before the first step; else None."""


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """What a call of `train` came to."""

    model_path: Path
    """Where the model is, or will be once the run is finished."""
    best_path: Path | None
    """The model as it was at the best validation; None where there was none."""
    best_step: int | None
    step: int
    num_steps: int
    num_patches: int
    """Patches learnt from."""
    num_train_clips: int
    num_validation_clips: int
    validation_doubts: str | None
    """Why the figures of the clips watched say little, as a sentence; None where they do not."""
    num_processes: int
    seconds: float
    """Training time in all, resumptions included, validation too."""
    last_validation: dict[str, float | None]
    was_finished: bool
    """Whether there was nothing left to do."""
    stopped_early: bool
    """Whether it ended because validations did not get better any more."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do; False where it was stopped and can be resumed."""
        return self.stopped_early or self.step >= self.num_steps


def train(
    store: LabelledClips,
    folder: str | Path,
    *,
    settings: TrainSettings,
    on_progress: Callable[[TrainProgress], None] | None = None,
) -> TrainSummary:
    """Train a network on a store, or a classifier on embeddings, or take up the training that `folder` holds.

    Started by torchrun in several processes, all of them must call this; the first one writes and tells progress.
    Ctrl-C and SIGTERM let the step end, write a checkpoint and return with `is_finished` False.

    Raises:
        SettingsError, SelectionError, StoreError: the settings do not fit the store or the machine.
        ModelError: the model to begin from is missing or damaged.
        RunError: the folder holds another run, is used by another process or cannot be written, the loss is no
            longer a number, the device has too little memory, or another process of the training has ended.
        ToldElsewhereError: the first process raises the error that ended the training.
    """
    processes = join_processes()
    run = RunFolder(folder)
    with processes.lost_others_said(), ExitStack() as stack:
        threads = settings.threads or processes.from_first(run.threads)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            processes.require_same({f"{store.folder}: the stores": store.fingerprint})
            reader = stack.enter_context(processes.together(lambda: open_reader(store)))
            setup = processes.together(lambda: set_up(reader, settings=settings, processes=processes))
            processes.require_same(setup.common())
            training = processes.together(lambda: _Training(run, setup))
            checkpoint = processes.from_first(lambda: training.take_up(stack))
            if checkpoint:
                training.resume(checkpoint)
            return training.run_to_end(on_progress)
        except (RuntimeError, MemoryError) as error:
            if not is_lack_of_memory(error):
                raise
            raise RunError(
                f"{run.folder}: the training does not fit into the memory of the device "
                f"({first_line(error)}); try --accumulate 2 or more, or a smaller --batch-size or --width, "
                "in a new folder"
            ) from error


class _Training:
    """The state of one training, and its steps in the order they run."""

    def __init__(self, run: RunFolder, setup: Setup) -> None:
        self.run, self.setup = run, setup
        self.settings, self.processes, self.device = setup.settings, setup.processes, setup.device
        self.network = setup.fresh_network()
        self.averaged: AveragedNetwork | None = None
        if self.settings.small_data.average_decay:
            self.averaged = AveragedNetwork(setup.fresh_network(), decay=self.settings.small_data.average_decay)
        self.optimizer = make_optimizer(self.network, self.settings, self.device)
        self.step = 0
        self.seconds = 0.0
        self.means = RunningMeans(self.device)
        self.best = Best()
        self.last_validation: dict[str, float | None] = {}

    def take_up(self, stack: ExitStack) -> Mapping[str, Any] | None:
        """Hold the run folder while `stack` is open, and give the checkpoint to go on from. The first process alone."""
        stack.enter_context(self.run.held())
        checkpoint = load_checkpoint(self.run.checkpoint_path)
        step_reached = 0
        is_finished = False
        if checkpoint:
            step_reached = checkpoint["step"]
            since = checkpoint.get("best", {}).get("validations_since", 0)
            is_finished = step_reached >= self.settings.steps or self._is_enough(since)
        self.run.take_up(self.setup.record(), step_reached=step_reached, is_finished=is_finished)
        return checkpoint

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.network.load_state_dict(state["averaged"])
        if self.processes.is_first:
            self.means.state.copy_(state["means"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.best = Best(**state.get("best", {}))
        self.last_validation = state["last_validation"]

    def run_to_end(self, on_progress: Callable[[TrainProgress], None] | None) -> TrainSummary:
        """Train until all steps are done, validations get no better, or a stop is asked for."""
        settings, processes = self.settings, self.processes
        if self._is_done() and processes.from_first(self.run.model_path.exists):
            return self._summary(was_finished=True)
        self.network.train()
        learner = Learner(
            self.network, settings=settings, precision=self.setup.precision, device=self.device, processes=processes
        )
        started = time.monotonic()
        setup = self.setup.with_embeddings(
            self.run.embeddings_path, on_patches=lambda *counts: self._tell_embedded(on_progress, *counts)
        )
        validation = setup.validation()
        loader = setup.loader(embedding_size=self.network.embedding_size)
        num_labels = self.network.head.out_features
        last_measured = last_saved = time.monotonic()
        earlier_seconds, measured_step, measured_wait = self.seconds, self.step, 0.0
        measured: dict[str, float | None] = {}
        with ExitStack() as stack:
            if self.device.type == "cuda" and self.setup.precision == "float32":
                stack.enter_context(exact_float32())
            log = None
            if processes.is_first:
                log = MeasurementLog(self.run.metrics_path, self.run.tensorboard_path, last_step=self.step)
                stack.enter_context(log)
            stop_asked = stack.enter_context(stop_on_signals())
            stack.enter_context(loader)
            last_step = self.step if self._is_done() else settings.steps
            batches = loader.batches(self.step, last_step)
            for batch in on_device(batches, self.device, num_labels=num_labels):
                self._learn(learner, batch)
                self.step += 1

                now = time.monotonic()
                self.seconds = earlier_seconds + now - started
                passed = max(now - last_measured, 1e-9)
                rate = (self.step - measured_step) * settings.batch_size / passed
                is_validation_due = self.step == settings.steps or self.step % settings.validation_every == 0
                if is_validation_due or self.step % _MEASURE_EVERY_STEPS == 0:
                    waited = (loader.seconds_waited - measured_wait) / passed
                    measured |= self._measure(log, patches_per_second=rate, waiting_share=waited)
                    measured_step, measured_wait, last_measured = self.step, loader.seconds_waited, now
                if is_validation_due:
                    measured |= {f"validation_{name}": v for name, v in self._validate(validation, log).items()}
                    last_measured += time.monotonic() - now  # validating is not training time
                if on_progress is not None and processes.is_first:
                    on_progress(
                        TrainProgress(
                            step=self.step, num_steps=settings.steps, patches_per_second=rate, measured=measured
                        )
                    )
                is_save_due = processes.is_first and time.monotonic() - last_saved >= settings.checkpoint_seconds
                is_stop_asked, is_save_due = processes.any(stop_asked(), is_save_due)
                if is_stop_asked or self._is_done():
                    break
                if is_save_due:
                    self._save_checkpoint()
                    last_saved = time.monotonic()
            self.seconds = earlier_seconds + time.monotonic() - started
            self._save_checkpoint()
        if self._is_done():
            self._save_model(self.run.model_path)
        return self._summary()

    def _learn(self, learner: Learner, batch: DeviceBatch) -> None:
        """One update."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        learner.add_gradients(batch, on_part=self.means.add)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.follow(self.network, step=self.step + 1)

    def _measure(self, log: MeasurementLog | None, **figures: float) -> dict[str, float | None]:
        means = self.means.take(self.processes)
        self._end_unless(isfinite(means["loss"] or 0.0))
        if log is not None:
            rate = learning_rate(self.settings, self.step - 1)
            log.write(step=self.step, seconds=self.seconds, kind="train", learning_rate=rate, **figures, **means)
        return means

    def _validate(self, validation: Validation, log: MeasurementLog | None) -> dict[str, float | None]:
        figures = validation(self._network_to_keep())
        if figures:
            self.last_validation = figures
            if log is not None:
                log.write(step=self.step, seconds=self.seconds, kind="validation", **figures)
            if self.best.judge(figures, step=self.step):
                self._save_model(self.run.best_path)
        return figures

    def _is_done(self) -> bool:
        return self.step >= self.settings.steps or self._is_enough(self.best.validations_since)

    def _is_enough(self, validations_since: int) -> bool:
        return self.settings.stop_after is not None and validations_since >= self.settings.stop_after

    def _save_checkpoint(self) -> None:
        means = self.processes.total(self.means.state)
        weights = self.network.state_dict()
        # The loss is that of the weights before the last update. At an error, the checkpoint before is kept.
        self._end_unless(all(bool(torch.isfinite(tensor).all()) for tensor in (means, *weights.values())))
        state = {
            "network": weights,
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged.network.state_dict() if self.averaged is not None else None,
            "means": means,
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best.to_dict(),
            "last_validation": self.last_validation,
        }
        self.processes.from_first(lambda: save_checkpoint(state, self.run.checkpoint_path))

    def _save_model(self, path: Path) -> None:
        def save() -> None:
            model = Model(
                network=self.setup.whole_network(self._network_to_keep()),
                architecture=self.setup.architecture,
                label_set=self.setup.reader.store.label_set,
                front_end=self.setup.front_end,
                provenance={
                    **vars(self.setup.record()),
                    "environments": self.run.environments(),
                    "step": self.step,
                },
            )
            save_model(model, path)

        self.processes.from_first(save)

    def _network_to_keep(self) -> Network:
        return self.network if self.averaged is None else self.averaged.network

    def _tell_embedded(self, on_progress: Callable[[TrainProgress], None] | None, done: int, of: int) -> None:
        if on_progress is not None:
            on_progress(
                TrainProgress(
                    step=self.step, num_steps=self.settings.steps, patches_per_second=0.0, embedded_share=done / of
                )
            )

    def _end_unless(self, is_finite: bool) -> None:
        """All processes know the same, and the first one says it."""
        if is_finite:
            return
        rate = self.settings.effective_learning_rate
        error = DivergedError(
            f"{self.run.folder}: a loss or weight is no longer a number after step {self.step}; the training diverged. "
            f"Try a learning rate below {rate:g} (--learning-rate), --warmup-steps or --precision float32, in a new "
            "folder"
        )
        raise error if self.processes.is_first else ToldElsewhereError(str(error))

    def _summary(self, *, was_finished: bool = False) -> TrainSummary:
        return TrainSummary(
            model_path=self.run.model_path,
            best_path=self.run.best_path if self.best.step is not None else None,
            best_step=self.best.step,
            step=self.step,
            num_steps=self.settings.steps,
            num_patches=self.setup.index.num_patches,
            num_train_clips=len(self.setup.clips.train),
            num_validation_clips=len(self.setup.clips.validation),
            validation_doubts=self.setup.clips.doubts(self.setup.reader.store),
            num_processes=self.processes.count,
            seconds=self.seconds,
            last_validation=self.last_validation,
            was_finished=was_finished,
            stopped_early=self.step < self.settings.steps and self._is_done(),
        )
