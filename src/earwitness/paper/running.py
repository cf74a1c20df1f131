"""The work of a plan: cell after cell, those done before left out, shared by as many processes as come."""

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.errors import DivergedError, ModelError, RunError, SelectionError, SettingsError
from earwitness.experiments.learnt_clips import learnt_before
from earwitness.models.costs import count_multiply_adds
from earwitness.models.model_file import load_model
from earwitness.models.precision import choose_device, choose_precision, is_lack_of_memory
from earwitness.paper.courses import learning_times
from earwitness.paper.detecting import measure_detection
from earwitness.paper.measuring import measure_model
from earwitness.paper.memory import held_to_free_memory, let_go_of_memory
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.study import Result, Study, TakenError, failed_among
from earwitness.report.words import counted
from earwitness.store.embeddings import open_reader
from earwitness.store.most_frequent import most_frequent_labels, with_labels
from earwitness.store.patch_view import with_patches
from earwitness.store.read import Store
from earwitness.training.clips import num_shared_groups
from earwitness.training.distributed import Processes
from earwitness.training.loop import TrainProgress, TrainSummary, train
from earwitness.training.measurements import read_measurements
from earwitness.training.run_folder import RunFolder
from earwitness.training.settings import TrainSettings
from earwitness.training.setup import new_architecture, set_up

_WAIT_SECONDS = 2.0
"""Between looks at whether the cells of other processes have ended."""
_LAST_SHARE = 0.1
"""Of the measurements of a training, over which its last loss is a mean."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """Who is told how it goes."""

    cell: Callable[[str, int, int, int], None]
    """Name, number from 0, number of cells, steps: as a training begins or is taken up."""
    progress: Callable[[TrainProgress], None]
    """After every training step."""
    wait: Callable[[int], None]
    """So many cells of other processes are waited for, once nothing else is left to do."""


def run_plan(
    plan: Plan,
    store: Store,
    study: Study,
    *,
    device: str,
    threads: int | None,
    only: Collection[str] = (),
    told: Told,
) -> bool:
    """Do what is not done; False where it was stopped before the end, and can be taken up.

    Args:
        plan: what to do.
        store: all clips.
        study: the folder.
        device: where to compute.
        threads: of the processor; None: as the experiment was begun with, or as many as torch chooses.
        only: the cells to do now; none named: all.
        told: hears of it.

    Raises:
        SettingsError, SelectionError, LabelError, StoreError: the store does not fit the plan.
        RunError: the folder holds another experiment, or cannot be written.
    """
    for name in only:
        plan.cell(name)
    views = _Views(plan, store)
    _require_fit(plan, views)
    chosen = choose_device(device)
    machine: dict[str, Any] = {
        "device": chosen.type,
        "arithmetic": choose_precision("auto", chosen),
        "threads": threads if study.record_path.exists() or threads is not None else torch.get_num_threads(),
    }
    machine = study.take_up(plan, store=str(store.folder), store_fingerprint=store.fingerprint, machine=machine)
    while True:
        results = study.results(plan)
        failed = failed_among(results)
        missing = [cell for cell in _with_what_they_need(plan, only, failed) if results[cell.name] is None]
        if not missing:
            return True
        num_taken = 0
        for cell in missing:
            if any(results[name] is None for name in cell.needs(failed)):
                continue
            try:
                with study.held(cell.name):
                    if study.result(cell.name) is not None:
                        break
                    now = _Run(cell, study, views, chosen, device=device, threads=machine["threads"])
                    done = {name: result for name, result in results.items() if result is not None}
                    result = now.do(done, failed, told)
                    if result is None:
                        return False
                    study.write_result(cell.name, result)
                    break
            except TakenError:
                num_taken += 1
        else:
            told.wait(num_taken)
            time.sleep(_WAIT_SECONDS)


class _Views:
    """The store with as many labels as a cell learns or is evaluated on, and its patches."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.learnt = store.select(plan.cells[0].settings.where)
        """What all cells choose from."""
        self.test = store.select(plan.test_where, option="--test-where")
        self.of = cache(self._of)

    def _of(self, num_labels: int | None, patch_frames: int | None = None) -> Store:
        view = self.store
        if num_labels is not None:
            view = with_labels(view, most_frequent_labels(view, num_labels, among=self.learnt))
        return view if patch_frames is None else with_patches(view, patch_frames=patch_frames)

    @cached_property
    def num_shared_groups(self) -> int:
        """How many groups have clips on both sides."""
        return num_shared_groups(self.store, self.learnt, self.test)

    @property
    def evaluated(self) -> Store:
        """With the labels that all cells are evaluated on."""
        return self.of(self.plan.evaluated_labels)


def _require_fit(plan: Plan, views: _Views) -> None:
    """Refuse a plan that the store has too few labels or clips for, before anything is trained."""
    test = views.test
    both = np.intersect1d(test, views.learnt)
    if len(both):
        raise SelectionError(
            f"{counted(len(both), 'clip is', 'clips are')} both among those to learn from and those to evaluate on; "
            "choose others by --where and --test-where"
        )
    targets = views.evaluated.label_pairs(test)[1]
    if not len(targets):
        raise SelectionError(
            f"none of the {len(test):,} clips of --test-where carries one of the {len(views.evaluated.label_set):,} "
            "labels to evaluate on"
        )
    if (np.bincount(targets) % len(test) == 0).all():
        raise SelectionError(
            f"no label is on some and not all of the {len(test):,} clips held out, so nothing can be evaluated; choose "
            "others by --test-where"
        )
    for cell in _differing_in_clips(plan):
        with open_reader(views.of(None, cell.patch_frames)) as reader:
            set_up(reader, settings=cell.settings, processes=Processes())


def _differing_in_clips(plan: Plan) -> list[Cell]:
    """One of each kind of choice of clips among the cells, the smallest share first."""
    kinds: dict[Any, Cell] = {}
    for cell in plan.cells:
        kept = cell.settings
        kinds.setdefault((kept.train_share, kept.batch_size, kept.validation_share, cell.patch_frames), cell)
    return sorted(kinds.values(), key=lambda cell: cell.settings.train_share)


def _with_what_they_need(plan: Plan, only: Collection[str], failed: Collection[str]) -> list[Cell]:
    wanted = set(only) or {cell.name for cell in plan.cells}
    for cell in reversed(plan.cells):  # what is needed comes before
        if cell.name in wanted:
            wanted |= set(cell.needs(failed))
    return [cell for cell in plan.cells if cell.name in wanted]


class _Run:
    """One cell at work."""

    def __init__(
        self, cell: Cell, study: Study, views: _Views, chosen: torch.device, *, device: str, threads: int
    ) -> None:
        self.cell, self.study, self.views, self.chosen = cell, study, views, chosen
        self.store = views.of(cell.num_labels, cell.patch_frames)
        self.settings = replace(cell.settings, device=device, threads=threads)

    def do(self, done: Mapping[str, Result], failed: Collection[str], told: Told) -> Result | None:
        """What came of it; None where it was stopped.

        Args:
            done: what came of others.
            failed: those of them that failed.
            told: hears of it.
        """
        cell, folder, settings = self.cell, self.study.run_folder(self.cell.name), self.settings
        timed_by = cell.timed_by(failed)
        if cell.paced_by is not None and timed_by is not None:
            if timed_by == cell.paced_by:
                return {**done[timed_by], "timed_by": timed_by}
            settings = _paced(settings, pace=done[cell.paced_by], seconds=done[timed_by]["seconds"])
        try:
            costs = {} if settings.from_model is not None else _network_costs(self.store, settings)
        except (SettingsError, ModelError) as error:  # there is no such network
            return self._failed(str(error))
        cells = self.views.plan.cells
        told.cell(cell.name, cells.index(cell), len(cells), settings.steps)
        try:
            with held_to_free_memory(self.chosen):
                summary = train(self.store, folder, settings=settings, on_progress=told.progress)
        except RunError as error:
            if not (isinstance(error, DivergedError) or is_lack_of_memory(error.__cause__)):
                raise
            reason = re.split("[;.] [Tt]ry ", str(error).removeprefix(f"{folder}: "))[0]  # advice is on `train`
        else:
            if not summary.is_finished:
                return None
            return {**self._finished(summary, settings, costs), "timed_by": timed_by}
        let_go_of_memory()
        return self._failed(reason)

    def _failed(self, reason: str) -> Result:
        return {"state": "failed", "reason": reason}

    def _finished(self, summary: TrainSummary, settings: TrainSettings, costs: Mapping[str, int]) -> Result:
        evaluation = measure_model(
            summary.model_path,
            self.store,
            self.views.evaluated,
            where=self.views.plan.test_where,
            clips=self.views.test,
            device=settings.device,
        )
        run = RunFolder(self.study.run_folder(self.cell.name))
        if settings.from_model is not None:
            costs = _model_costs(summary.model_path)
        return {
            "state": "finished",
            "steps": summary.step,
            "seconds": learning_times(read_measurements(run.metrics_path), settings.batch_size)[-1][1],
            "num_train_clips": summary.num_train_clips,
            "num_validation_clips": summary.num_validation_clips,
            "num_patches": summary.num_patches,
            "num_labels": len(self.store.label_set),
            "num_shared_groups": self.views.num_shared_groups,
            **self._learnt_before(summary),
            **costs,
            "learning_rate": settings.effective_learning_rate,
            "last_loss": _last_loss(run),
            "best_step": summary.best_step,
            "best_validation": _validation_at(run, summary.best_step),
            "last_validation": summary.last_validation,
            "evaluation": evaluation,
            "detection": self._detection(summary, settings),
            "environment": run.environments()[-1],
        }

    def _learnt_before(self, summary: TrainSummary) -> dict[str, Any]:
        """Of clips and labels here, those that the model it began from has learnt, and why that is not sure."""
        if self.settings.from_model is None:
            return {}
        clips, doubts = learnt_before(load_model(summary.model_path), self.store)
        before = load_model(self.settings.from_model).label_set.ids
        return {
            "num_learnt_before": len(np.intersect1d(self.views.test, clips)),
            "num_learnt_again": len(np.intersect1d(self.views.learnt, clips)),
            "num_known_labels": len(set(before) & set(self.store.label_set.ids)),
            "doubts_of_learnt": doubts,
        }

    def _detection(self, summary: TrainSummary, settings: TrainSettings) -> dict[str, Any] | None:
        """How well it finds events in time; None where that is not asked."""
        plan = self.views.plan
        if plan.events is None:
            return None
        return measure_detection(
            summary.model_path,
            self.store,
            events_path=Path(plan.events),
            where=plan.test_where,
            clips=self.views.test,
            learnt=self.views.learnt,
            device=settings.device,
        )


def _paced(settings: TrainSettings, *, pace: Result, seconds: float) -> TrainSettings:
    """With the steps that take so long at the pace of a training that is done."""
    steps = max(1, round(seconds * pace["steps"] / pace["seconds"]))
    validations = max(1, settings.steps // settings.validation_every)
    return replace(settings, steps=steps, validation_every=max(1, steps // validations))


def _model_costs(path: Path) -> dict[str, int]:
    """Of a network with a classifier put on it."""
    model = load_model(path)
    with torch.device("meta"):  # shapes without numbers
        network = model.architecture.build()
        patch = torch.empty(1, model.front_end.patch_frames, model.front_end.num_bands)
    return {"num_weights": network.num_weights, "num_multiply_adds": count_multiply_adds(network, patch)}


def _network_costs(store: Store, settings: TrainSettings) -> dict[str, int]:
    with torch.device("meta"):  # shapes without numbers
        network = new_architecture(settings, store).build()
        patch = torch.empty(1, store.front_end.patch_frames, store.front_end.num_bands)
    return {"num_weights": network.num_weights, "num_multiply_adds": count_multiply_adds(network, patch)}


def _last_loss(run: RunFolder) -> float | None:
    """Of the training, as a mean over its last tenth."""
    losses = [float(row["loss"]) for row in read_measurements(run.metrics_path) if row["loss"]]
    return float(np.mean(losses[-max(1, round(len(losses) * _LAST_SHARE)) :])) if losses else None


def _validation_at(run: RunFolder, step: int | None) -> dict[str, float]:
    for row in read_measurements(run.metrics_path):
        if row["kind"] == "validation" and int(row["step"]) == step:
            names = ("mean_average_precision", "one_best_accuracy")
            return {name: float(row[name]) for name in names if row[name]}
    return {}
