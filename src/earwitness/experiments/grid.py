"""A grid search: train with every combination of some settings, and compare by the clips that are watched.

What is compared is the best validation mAP of each trial: on clips set aside from those selected to learn from, so
that clips kept for reporting have no say. Each trial is a run folder like any other. Any number of processes may
work on one search at the same time; how they share it is in `grid_study`.

References: Hershey et al. 2017, section 3.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from earwitness.errors import DivergedError, ModelError, RunError, SelectionError, SettingsError, StoreError
from earwitness.evaluation.summary import Chance, evaluate
from earwitness.experiments.grid_axes import SEARCHED, Axes, Combination, combined
from earwitness.experiments.grid_study import GridStudy, Trial, likely_best
from earwitness.experiments.grid_table import GridTable, write_table
from earwitness.models.precision import choose_device, choose_precision, is_lack_of_memory
from earwitness.store.embeddings import open_reader
from earwitness.store.read import LabelledClips
from earwitness.training.clips import choose_clips
from earwitness.training.distributed import Processes
from earwitness.training.loop import TrainProgress, TrainSummary, train
from earwitness.training.measurements import read_measurements
from earwitness.training.run_folder import OTHER_CLIPS, RunFolder, setting_words
from earwitness.training.settings import TrainSettings
from earwitness.training.setup import set_up

Sampler = Literal["random", "tpe"]

_WAIT_SECONDS = 2.0
"""Between looks at whether the trials of other processes have ended."""

_FREE_SETTINGS = frozenset({*SEARCHED, "device", "threads", "checkpoint_seconds"})
"""Not compared between processes: searched, compared by what they come down to, or without effect on the weights."""


def grid_search(
    store: LabelledClips,
    folder: str | Path,
    *,
    axes: Axes,
    settings: TrainSettings,
    trials: int | None = None,
    sampler: Sampler = "random",
    on_trial: Callable[[int, Combination], None] | None = None,
    on_progress: Callable[[TrainProgress], None] | None = None,
    on_wait: Callable[[int], None] | None = None,
) -> GridTable | None:
    """Train with every combination once; None where it was stopped before the end, and can be taken up.

    A later call may have further values on its axes: their combinations are added.

    Args:
        store: frames or embeddings; the clips that the settings select are learnt from and watched.
        folder: takes the study, the table, and a run folder for each trial.
        axes: the values to try.
        settings: of every training; the axes' values take the place of its own.
        trials: at most so many combinations are tried in all. None: every one.
        sampler: how those are chosen where there are more: at random, or by what went well so far.
        on_trial: told number and combination as this process begins a trial or takes one up.
        on_progress: told after every training step.
        on_wait: told how many trials of other processes are waited for, once nothing else is left to do.

    Raises:
        SettingsError, SelectionError: a value is not allowed, no clips are watched that trials could be judged by, or
            no combination can be trained at all.
        RunError: the folder holds something else or a search with other settings, or cannot be written.
        StoreError: the store cannot be read.
    """
    combinations = axes.combinations(settings)
    if trials is not None and trials < 1:
        raise SettingsError(f"trials={trials} must be at least 1")
    device = choose_device(settings.device)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # a trial may be taken up on another GPU: its settings name none
    clips = choose_clips(store, settings)
    chance = _chance(store, clips.validation)
    _require_possible(store, [combined(settings, combination) for combination in combinations])
    study = GridStudy(folder, combinations)

    def common(before: Mapping[str, Any] | None) -> Mapping[str, Any]:
        now = {
            "settings": settings.to_dict(),
            "device": device.type,
            "arithmetic": choose_precision(settings.precision, device),
            "threads": settings.threads or (before or {}).get("threads") or torch.get_num_threads(),
            "clips": clips.describe(store),
            "store": str(store.folder.resolve()),
            "store_fingerprint": store.fingerprint,
        }
        if before is not None:
            _require_same(study.folder, before, now)
        return now

    shared = study.join(common)
    base = replace(settings, device=device.type, threads=shared["threads"])
    order = _order(combinations, seed=settings.seed if trials is not None else None)

    def propose(so_far: Sequence[Trial]) -> Combination | None:
        tried = [trial.combination for trial in so_far]
        untried = [combination for combination in order if combination not in tried]
        if not untried or (trials is not None and len(tried) >= trials):
            return None
        return likely_best(so_far, untried, seed=settings.seed) if sampler == "tpe" else untried[0]

    while True:
        with ExitStack() as stack:
            trial = study.claim(stack, propose)
            if trial is not None:
                if on_trial is not None:
                    on_trial(trial.number, trial.combination)
                run = study.run_folder(trial.number)
                outcome = _run(store, run, settings=combined(base, trial.combination), on_progress=on_progress)
                if outcome is None:
                    return None
                study.end(trial, **outcome)
        with study.trials() as so_far:
            table = GridTable.of(
                so_far,
                settings=settings,
                chance=chance,
                num_clips=len(clips.validation),
                doubts=clips.doubts(store),
            )
            write_table(table, study.folder)
        num_running = sum(each.state == "running" for each in so_far)
        if trial is None:
            if not num_running:
                return table
            if on_wait is not None:
                on_wait(num_running)
            time.sleep(_WAIT_SECONDS)


def _run(
    store: LabelledClips,
    folder: Path,
    *,
    settings: TrainSettings,
    on_progress: Callable[[TrainProgress], None] | None,
) -> dict[str, Any] | None:
    """What a trial came to, as `GridStudy.end` takes it; None where it was stopped."""
    if reason := _impossible(store, settings):
        return {"value": None, "figures": {"reason": reason}}
    try:
        summary = train(store, folder, settings=settings, on_progress=on_progress)
    except RunError as error:
        if not _is_of_the_settings(error):
            raise
        return {"value": None, "figures": {"reason": str(error).removeprefix(f"{folder}: ")}}
    if not summary.is_finished:
        return None
    return _figures(folder, summary)


def _require_possible(store: LabelledClips, combinations: Sequence[TrainSettings]) -> None:
    """Refuse a search of which no trial can be.

    Raises:
        SettingsError: why the first cannot.
    """
    refusals = []
    for settings in combinations:
        if (reason := _impossible(store, settings)) is None:
            return
        refusals.append(reason)
    raise SettingsError(refusals[0])


def _impossible(store: LabelledClips, settings: TrainSettings) -> str | None:
    """Why there is no such training; None where there is."""
    try:
        with open_reader(store) as reader:
            setup = set_up(reader, settings=settings, processes=Processes())
        with torch.device("meta"):  # shapes without numbers
            setup.architecture.build()
    except (SettingsError, ModelError, StoreError) as error:
        return str(error)
    return None


def _is_of_the_settings(error: RunError) -> bool:
    """Whether a training failed for its settings: with the same ones it would again."""
    return isinstance(error, DivergedError) or is_lack_of_memory(error.__cause__)


def _figures(folder: Path, summary: TrainSummary) -> dict[str, Any]:
    if summary.best_step is None:
        return {"value": None, "figures": {"reason": "no validation gave an mAP: scores were not finite"}}
    path = RunFolder(folder).metrics_path
    rows = {int(row["step"]): row for row in read_measurements(path) if row["kind"] == "validation"}
    if summary.best_step not in rows:
        raise RunError(
            f"{path}: the validation after step {summary.best_step} is missing; remove {folder} to train it again"
        )
    names = ("mean_average_precision", "one_best_accuracy")
    best = {name: float(rows[summary.best_step][name]) for name in names if rows[summary.best_step][name]}
    figures = {
        **best,
        "best_step": summary.best_step,
        **{f"last_{name}": summary.last_validation.get(name) for name in names},
        "steps": summary.step,
        "seconds": summary.seconds,
    }
    return {"value": best["mean_average_precision"], "figures": figures}


def _chance(store: LabelledClips, watched: np.ndarray[Any, np.dtype[np.int64]]) -> Chance:
    """What scores reach on the watched clips that do not look at them."""
    advice = "give --validation-share or --validation-where"
    if not len(watched):
        raise SettingsError(f"trials are compared by clips that are not learnt from, and none are set aside; {advice}")
    targets = store.targets(watched)
    chance = evaluate(np.zeros(targets.shape, np.float32), targets, label_set=store.label_set).chance
    if not np.isfinite(chance.mean_average_precision):
        raise SelectionError(
            f"of the {len(watched)} clips watched, no label has both clips with it and clips without it, so trials "
            f"cannot be compared; {advice} with more clips"
        )
    return chance


def _order(combinations: Sequence[Combination], *, seed: int | None) -> list[Combination]:
    """As they are; shuffled where there is a seed."""
    if seed is None:
        return list(combinations)
    return [combinations[i] for i in np.random.default_rng(seed).permutation(len(combinations))]


def _require_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to join a search whose trials could not be compared with this process's.

    Raises:
        RunError: both sides are named.
    """
    sides = [_flat(common) for common in (before, now)]
    changes = [
        f"{name}: {setting_words(sides[0].get(name))} before, {setting_words(value)} now"
        for name, value in sides[1].items()
        if sides[0].get(name) != value
    ]
    if not changes and before.get("clips") != now["clips"]:
        changes = [OTHER_CLIPS]
    if before.get("store_fingerprint") != now["store_fingerprint"]:
        changes = [f"store: {before.get('store')} before, {now['store']} now"]
    if changes:
        raise RunError(
            f"{folder}: the grid search there was started with other settings ({'; '.join(changes)}); "
            "use the same ones, or another folder"
        )


def _flat(common: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared, without groups; settings that an earlier version did not know by default."""
    flat: dict[str, Any] = {}
    for settings in (TrainSettings().to_dict(), common.get("settings", {})):
        for name, value in settings.items():
            flat |= value if isinstance(value, Mapping) else {name: value}
    flat = {name: value for name, value in flat.items() if name not in _FREE_SETTINGS}
    return flat | {name: common.get(name) for name in ("device", "arithmetic", "threads")}
