"""A trained model on chosen clips of a store, with the baseline beside it and a look at what it was trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import EarwitnessError
from earwitness.evaluation.summary import Evaluation, evaluate
from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.experiments.timelines import TrueTimelines
from earwitness.inference.any_model import AnyModel, patch_scorer
from earwitness.scoring.baseline import baseline_features, baseline_scores
from earwitness.scoring.clip_scores import require_fit, score_clips
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.clips import TrainingClips, choose_clips
from earwitness.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation:
    """The outcome of `evaluate_model`."""

    clips: npt.NDArray[np.int64]
    """[clips], ascending indexes in the store."""
    scores: npt.NDArray[np.float32]
    """[clips, labels]."""
    targets: npt.NDArray[np.bool_]
    """[clips, labels]."""
    model: Evaluation
    baseline: Evaluation | None
    """Logistic regression learnt from the clips the model learnt from; None where these are not known."""
    baseline_scores: npt.NDArray[np.float64] | None
    """[clips, labels] of the baseline."""
    timeline: TimelineEvaluation | None
    """Against true events; None where none were given."""
    is_same_corpus: bool | None
    """Whether the store is the one that the model was trained on, by fingerprint; None where the model does not say."""
    notes: tuple[str, ...]
    """What a reader of the figures must know, as sentences; empty where there is nothing."""


def evaluate_model(
    model: AnyModel,
    store: Store,
    *,
    where: str | None = None,
    events_path: str | Path | None = None,
    patch_hop_frames: int | None = None,
    device: str = "auto",
    on_patches: Callable[[int], None] | None = None,
) -> ModelEvaluation:
    """Score the selected clips of a store and evaluate the scores, each patch scored once.

    Args:
        model: its patch geometry is used.
        store: of the clips.
        where: SQL condition over the manifest's columns.
        events_path: a table of true events (see `datasets.events`), to hold the timelines against; it is read and
            checked before anything is scored.
        patch_hop_frames: frames from one scored patch to the next; None: the model's own.
        device: where to compute.
        on_patches: called with the number of patches done so far, now and then.

    Raises:
        StoreError: the store does not fit the model.
        SelectionError: `where` is bad or selects nothing.
        ManifestError: the table of events cannot be used.
        ScoreError: it has no event in any of these clips.
        SettingsError: the hop is longer than a patch, or none.
    """
    front_end = model.front_end
    if patch_hop_frames is not None:
        front_end = replace(front_end, patch_hop_frames=patch_hop_frames)
    require_fit(store, front_end=model.front_end, label_set=model.label_set)
    clips = store.select(where)
    targets = store.targets(clips)
    truth = TrueTimelines.read(events_path, store, clips, front_end) if events_path is not None else None
    scorer = patch_scorer(model, device=device)
    is_same_corpus = _is_same_corpus(model.provenance, store)
    notes = list(truth.notes) if truth is not None else []
    with FrameReader(store) as reader:
        scores = score_clips(
            scorer,
            reader,
            clips,
            front_end=front_end,
            on_patches=on_patches,
            on_scores=truth.push if truth is not None else None,
        )
        training = training_clips(model.provenance, store)
        ever_learnt, doubts = _learnt_before(model, store)
        notes += doubts
        baseline = baseline_result = None
        if isinstance(training, str):
            why = _corpora_differ(model.provenance, store) if is_same_corpus is False else training
            notes.append(f"No baseline, and no look for clips that were learnt from: {why}.")
        else:
            learnt = training.train
            baseline_result = baseline_scores(
                baseline_features(reader, learnt.tolist()),
                store.targets(learnt),
                baseline_features(reader, clips.tolist()),
            )
            baseline = evaluate(baseline_result, targets, label_set=store.label_set)
            num_learnt = len(np.intersect1d(clips, np.union1d(learnt, ever_learnt)))
            if num_learnt:
                notes.append(
                    f"{num_learnt} of the {len(clips)} evaluated clips were learnt from in training, so these "
                    "figures say little about new sound; choose others with --where."
                )
            num_watched = len(np.intersect1d(clips, training.validation))
            if num_watched:
                notes.append(
                    f"{num_watched} of the {len(clips)} evaluated clips were watched in training: a model or settings "
                    "chosen by them do better on them than on new sound."
                )
    evaluation = evaluate(scores, targets, label_set=store.label_set)
    if baseline is not None and baseline.mean_average_precision > evaluation.mean_average_precision:
        notes.append(
            "The baseline does better than the model: it has learnt too little, or too long from too few clips "
            "(--recipe small-data is for those)."
        )
    return ModelEvaluation(
        clips=clips,
        scores=scores,
        targets=targets,
        model=evaluation,
        baseline=baseline,
        baseline_scores=baseline_result,
        timeline=truth.judge(scores) if truth is not None else None,
        is_same_corpus=is_same_corpus,
        notes=tuple(notes),
    )


def _learnt_before(model: AnyModel, store: Store) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The clips of this store that the models before it have learnt from, and sentences where they cannot be told."""
    clips, doubts = np.empty(0, np.int64), []
    later = model.provenance
    while origin := later.get("origin"):  # the model it began from, the one before that, and so on
        training = training_clips(origin["provenance"], store)
        if isinstance(training, str):
            path = later["settings"].get("from_model") or "that of the embeddings"
            doubts.append(
                f"The model began from another one ({path}, digest {origin['digest'][:12]}), of which it cannot be "
                f"told whether it has learnt from these clips: {training}."
            )
        else:
            clips = np.union1d(clips, training.train)
        later = origin["provenance"]
    return clips, doubts


def _is_same_corpus(provenance: Mapping[str, Any], store: Store) -> bool | None:
    fingerprint = provenance.get("store_fingerprint")
    return None if fingerprint is None else bool(fingerprint == store.fingerprint)


def _corpora_differ(provenance: Mapping[str, Any], store: Store) -> str:
    """Both corpora side by side."""
    clips = provenance.get("clips") or {}
    learnt = f", {clips['num_train']:,} clips learnt from" if "num_train" in clips else ""
    there, here = str(provenance["store_fingerprint"])[:12], store.fingerprint[:12]
    return (
        f"the model was trained on another corpus (fingerprint {there}{learnt}) than this store (fingerprint {here}, "
        f"{store.num_clips:,} clips)"
    )


def training_clips(provenance: Mapping[str, Any], store: Store) -> TrainingClips | str:
    """The clips of this store that a model of this provenance learnt from and watched, or why they cannot be told."""
    is_same_corpus = _is_same_corpus(provenance, store)
    if is_same_corpus is None:
        return "the model does not say what it was trained on"
    if not is_same_corpus:
        return "the model was trained on another store"
    try:
        clips = choose_clips(store, TrainSettings.from_dict(provenance["settings"]))
    except (KeyError, TypeError, EarwitnessError):
        return "the model was trained by another version, whose settings are not understood here"
    if clips.describe(store) != provenance.get("clips"):
        return "the model was trained by another version, which chose its clips otherwise"
    return clips
