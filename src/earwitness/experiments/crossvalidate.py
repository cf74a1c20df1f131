"""Cross-validation: for each value of a column, train on the clips with another value and evaluate on those with it.

Nothing is chosen on a held-out fold: the steps are fixed and the last weights are taken. Each fold is a run folder of
its own, so an interrupted cross-validation goes on where it was.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from earwitness.errors import RunError, SelectionError
from earwitness.evaluation.summary import finite
from earwitness.experiments.evaluating import evaluate_model
from earwitness.models.model_file import load_model
from earwitness.store.read import Store
from earwitness.training.clips import num_shared_groups
from earwitness.training.loop import TrainProgress, train
from earwitness.training.run_folder import write_json
from earwitness.training.settings import TrainSettings

SCHEMA_VERSION = 1

METRICS = ("accuracy", "mean_average_precision", "mean_auc", "dprime", "one_best_accuracy")
"""Summed up over folds, where every fold has them. All but d-prime lie in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over folds."""

    mean: float
    standard_deviation: float
    """Of the folds (n - 1)."""
    low: float
    high: float
    """The 95 % interval of the mean by Student's t over folds, cut at 0 and 1 where the figure lies between; folds
    share training clips, so it is a guide only."""
    per_fold: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite d-prime, and what follows from it, becomes None."""
        per_fold = [value if isfinite(value) else None for value in self.per_fold]
        return {**finite(vars(self)), "per_fold": per_fold}


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The outcome of `crossvalidate`."""

    folds: tuple[Mapping[str, Any], ...]
    """One entry a fold: fold, seconds, num_train_clips, model, baseline (evaluations as dicts, without labels)."""
    model: Mapping[str, Spread]
    """By metric."""
    baseline: Mapping[str, Spread]
    chance: Mapping[str, Spread]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "folds": [dict(fold) for fold in self.folds],
            **{
                name: {metric: spread.to_dict() for metric, spread in spreads.items()}
                for name, spreads in (
                    ("model", self.model),
                    ("baseline", self.baseline),
                    ("chance", self.chance),
                )
            },
        }


def crossvalidate(
    store: Store,
    folder: str | Path,
    *,
    column: str,
    settings: TrainSettings,
    scored_hop_frames: int | None = None,
    on_fold: Callable[[Any, int, int], None] | None = None,
    on_progress: Callable[[TrainProgress], None] | None = None,
) -> CrossValidation | None:
    """Train and evaluate fold by fold; None where the training was stopped before its end.

    Args:
        store: its clips with the settings' `where` are used.
        folder: takes a run folder `fold-VALUE` for each fold, and `crossvalidation.json`.
        column: the manifest column whose values are the folds.
        settings: of every training.
        scored_hop_frames: frames from one scored patch to the next; None: the store's.
        on_fold: told (value, number from 0, number of folds) as each fold begins.
        on_progress: told after every training step.

    Raises:
        SelectionError: there is no such column, or it has fewer than two values.
        SettingsError: the hop is longer than a patch, or none.
    """
    folder = Path(folder)
    folds = _folds(store, column, settings.where)
    hop_frames = scored_hop_frames if scored_hop_frames is not None else store.front_end.patch_hop_frames
    replace(store.front_end, patch_hop_frames=hop_frames)  # refuses what is no hop before anything is trained
    results: list[dict[str, Any]] = []
    for number, value in enumerate(folds):
        if on_fold is not None:
            on_fold(value, number, len(folds))
        held_out = _condition(column, "=", value, settings.where)
        fold_settings = replace(settings, where=_condition(column, "<>", value, settings.where))
        run_folder = folder / _folder_name(value, number)
        summary = train(store, run_folder, settings=fold_settings, on_progress=on_progress)
        if not summary.is_finished:
            return None
        evaluated = {"steps": settings.steps, "scored_hop_frames": hop_frames}
        result = _finished_result(run_folder, evaluated)
        if result is None:
            outcome = evaluate_model(
                load_model(summary.model_path),
                store,
                where=held_out,
                patch_hop_frames=hop_frames,
                device=settings.device,
            )
            result = {
                "fold": value,
                **evaluated,
                "seconds": summary.seconds,
                "num_train_clips": summary.num_train_clips,
                "notes": [*outcome.notes, *_shared_groups(store, held_out, fold_settings.where)],
                "model": outcome.model.to_dict(),
                "baseline": outcome.baseline.to_dict() if outcome.baseline is not None else None,
            }
            write_json(result, run_folder / "evaluation.json")
        results.append(result)
    validation = CrossValidation(
        folds=tuple({**r, **{side: _headline(r[side]) for side in ("model", "baseline")}} for r in results),
        model=_spreads([r["model"] for r in results]),
        baseline=_spreads([r["baseline"] or {} for r in results]),
        chance=_spreads([_chance(r["model"]) for r in results]),
    )
    write_json(validation.to_dict(), folder / "crossvalidation.json")
    return validation


def _folds(store: Store, column: str, where: str | None) -> list[Any]:
    if column not in store.clips.column_names:
        raise SelectionError(
            f"there is no column {column!r} to cross-validate over; columns: {', '.join(store.clips.column_names)}"
        )
    values = store.clips[column].take(store.select(where))
    if values.null_count:
        raise SelectionError(f"column {column!r} is null for {values.null_count} clips; leave them out with --where")
    if not (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type) or pa.types.is_string(values.type)):
        raise SelectionError(f"column {column!r} holds {values.type}; folds are whole numbers, text, or true and false")
    folds = sorted(pc.unique(values).to_pylist())
    if len(folds) < 2:
        raise SelectionError(f"column {column!r} has only the value {folds[0]!r}; at least two folds are needed")
    if len(folds) > 100:
        raise SelectionError(f"column {column!r} has {len(folds)} values; at most 100 folds are meant")
    return folds


def _shared_groups(store: Store, held_out: str, learnt: str | None) -> list[str]:
    """A sentence where recordings lie on both sides; nothing to say where they do not."""
    shared = num_shared_groups(store, store.select(held_out), store.select(learnt))
    if not shared:
        return []
    return [f"{shared} groups (recordings) have clips on both sides, so the figures may flatter the model"]


def _condition(column: str, sign: str, value: Any, where: str | None) -> str:
    literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
    name = '"' + column.replace('"', '""') + '"'
    condition = f"{name} {sign} {literal}"
    return condition if where is None else f"({where}) AND {condition}"


def _folder_name(value: Any, number: int) -> str:
    """`fold-VALUE`; with the fold's number where the value cannot stand in a file name as it is."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in str(value))[:100]
    return f"fold-{name}" if name == str(value) else f"fold-{number}-{name}"


def _finished_result(run_folder: Path, evaluated: dict[str, Any]) -> dict[str, Any] | None:
    path = run_folder / "evaluation.json"
    if not path.exists():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete it to evaluate again") from error
    return result if all(result.get(name) == value for name, value in evaluated.items()) else None


def _headline(evaluation: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if evaluation is None else {k: v for k, v in evaluation.items() if k != "labels"}


def _chance(evaluation: dict[str, Any]) -> dict[str, Any]:
    chance: dict[str, Any] = dict(evaluation["chance"])
    if evaluation["accuracy"] is not None:
        chance["accuracy"] = chance["one_best_accuracy"]
    return chance


def _spreads(evaluations: list[dict[str, Any]]) -> dict[str, Spread]:
    spreads = {}
    for metric in METRICS:
        values = [_figure(evaluation, metric) for evaluation in evaluations]
        if not any(isnan(value) for value in values):
            spreads[metric] = _spread(np.array(values), within=(-inf, inf) if metric == "dprime" else (0.0, 1.0))
    return spreads


def _figure(evaluation: Mapping[str, Any], metric: str) -> float:
    """As it was before JSON, which has no infinity; nan where it is undefined."""
    value = evaluation.get(metric)
    if value is None:
        return inf if metric == "dprime" and evaluation.get("mean_auc") == 1 else nan
    return float(value)


def _spread(values: np.ndarray[Any, np.dtype[np.float64]], *, within: tuple[float, float]) -> Spread:
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if isfinite(mean) else nan
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5
    return Spread(
        mean=mean,
        standard_deviation=deviation,
        low=float(np.maximum(mean - reach, within[0])),
        high=float(np.minimum(mean + reach, within[1])),
        per_fold=tuple(values.tolist()),
    )
