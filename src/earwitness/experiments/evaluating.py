"""Scores held against labels: those of a trained model, with the baseline beside it and a look at what it was trained
on, or those of a folder alone, whatever made them.

Scores go to disk as they are made and are evaluated from there, block by block, so memory does not grow with clips and
labels. What needs them all at once, such as true events and the baseline, is for corpora where that is possible.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.errors import SettingsError
from earwitness.evaluation.aggregation_names import Aggregation
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores, ScoreSource
from earwitness.evaluation.summary import DEFAULT_MEMORY_BYTES, Evaluation, evaluate
from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.experiments.fitted_on import fit_notes, fit_notes_of_scores
from earwitness.experiments.learnt_clips import corpora_differ, is_the_same_corpus, learnt_before, training_clips
from earwitness.experiments.timelines import TrueTimelines
from earwitness.inference.any_model import AnyModel
from earwitness.models.description import DescribedModel
from earwitness.scoring.baseline import baseline_features, baseline_scores
from earwitness.scoring.clip_scores import require_fit
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.scoring.score_settings import Level, ScoreSettings
from earwitness.scoring.score_store import FITTED_AGGREGATION, score_store
from earwitness.scoring.scorer import require_scorable
from earwitness.store.read import LabelledClips, Store
from earwitness.store.reading import FrameReader
from earwitness.training.clips import TrainingClips

_MANY_CLIPS = 10_000
_RESAMPLES, _RESAMPLES_OF_MANY = 1_000, 200
"""Ends of 95 % intervals are steady to some hundredths of their length with 1,000; where clips are many, intervals are
short, and 200 tell as much as anybody asks."""

_BASELINE_CLIPS = 100_000
_BASELINE_PAIRS = 20_000_000
"""Training clips times labels, of which one core fits some 100,000 a second."""

_UNKNOWN_CLIPS = (
    "Scores alone do not tell whether the model has learnt from these clips: `earwitness evaluate MODEL STORE` looks.",
)


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation:
    """The outcome of `evaluate_model` and `evaluate_scores`."""

    source: ScoreSource
    """The scores; a row for each clip, or each patch. To be read as long as the folder is there that they lie in."""
    positives: Positives
    """Which rows carry which labels."""
    folder: ScoreFolder | None
    """Where the scores lie; None where they were not to be kept, and are in memory."""
    clips: npt.NDArray[np.int64]
    """[clips], ascending indexes in the store."""
    level: Level
    """What a row is."""
    model: Evaluation
    baseline: Evaluation | None
    """Logistic regression learnt from the clips the model learnt from; None where these are not known, or too many."""
    baseline_scores: npt.NDArray[np.float64] | None
    """[clips, labels] of the baseline."""
    timeline: TimelineEvaluation | None
    """Against true events; None where none were given."""
    is_same_corpus: bool | None
    """Whether the store is the one that the model was trained on, by fingerprint; None where that is not known."""
    notes: tuple[str, ...]
    """What a reader of the figures must know, as sentences; empty where there is nothing."""

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """All scores [rows, labels], in memory: for some thousand clips."""
        scores: npt.NDArray[np.float32] = self.source.clip_block(0, self.source.num_clips)
        return scores

    @property
    def targets(self) -> npt.NDArray[np.bool_]:
        """All labels, bool [rows, labels], in memory: for some thousand clips."""
        return self.positives.to_dense()


def evaluate_model(
    model: AnyModel,
    store: LabelledClips,
    *,
    folder: Path | None = None,
    model_path: Path | None = None,
    where: str | None = None,
    events_path: str | Path | None = None,
    patch_hop_frames: int | None = None,
    aggregation: Aggregation = "mean",
    level: Level = "clip",
    with_baseline: bool = True,
    resamples: int | None = 0,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    device: str = "auto",
    on_patches: Callable[[int, int], None] | None = None,
    on_labels: Callable[[int], None] | None = None,
) -> ModelEvaluation:
    """Score the selected clips of a store and evaluate the scores, each patch scored once.

    Args:
        model: its patch geometry is used.
        store: of the clips; or embeddings, see `score_store`.
        folder: where the scores are to lie; those that are there of the same model, clips and settings are not made
            again. None: they are not kept, and given back in memory.
        model_path: where the model lies, to be named by the scores.
        where: SQL condition over the manifest's columns.
        events_path: a table of true events (see `datasets.events`), to hold the timelines against; it is read and
            checked before anything is scored, and then all clips are scored anew.
        patch_hop_frames: frames from one scored patch to the next; None: the model's own.
        aggregation: how the scores of a clip's patches become its score.
        level: whether clips are evaluated, or patches.
        with_baseline: fit the baseline, where that is possible.
        resamples: how often clips are drawn anew for intervals. None: by their number; see `default_resamples`.
        memory_bytes: what the evaluation may hold of scores at a time.
        device: where to compute.
        on_patches: told the number of patches done so far, and of all that are to be done.
        on_labels: told the number of labels measured since the last call.

    Raises:
        StoreError: the store does not fit the model.
        SelectionError: `where` is bad or selects nothing.
        ManifestError: the table of events cannot be used.
        ScoreError: it has no event in any of these clips; or the folder holds other scores.
        SettingsError: the hop is longer than a patch, or none; clips are to be drawn, but rows are patches.
    """
    settings = ScoreSettings(where=where, patch_hop_frames=patch_hop_frames, aggregation=aggregation, level=level)
    _require_clips(level, resamples)
    if level == "patch" and events_path is not None:
        raise SettingsError("level=patch and true events: timelines are of patches anyway; leave level=patch away")
    front_end = settings.front_end_of(model.front_end)
    require_scorable(model, store, patch_hop_frames=patch_hop_frames)
    require_fit(store, front_end=model.front_end, label_set=model.label_set)
    clips = store.select(where)
    truth = None
    if events_path is not None:
        if not isinstance(store, Store):
            raise SettingsError(f"{events_path}: true events are held against a store; {store.folder} has embeddings")
        truth = TrueTimelines.read(events_path, store, clips, front_end)
    with _kept(folder) as scores_path:
        score_store(
            model,
            store,
            scores_path,
            settings=settings,
            model_path=model_path,
            device=device,
            on_patches=on_patches,
            on_scores=truth.push if truth is not None else None,
        )
        scored = ScoreFolder.open(scores_path)
        positives = scored.positives
        source: ScoreSource = scored.source
        if folder is None:
            source = ArrayScores(np.ascontiguousarray(source.clip_block(0, source.num_clips)))
    beside = _beside(model, store, clips, positives, level=level, with_baseline=with_baseline)
    evaluation = evaluate(
        source,
        positives,
        label_set=store.label_set,
        thresholds=scored.header.threshold_values,
        resamples=_number_of_resamples(resamples, len(clips), level),
        memory_bytes=memory_bytes,
        on_labels=on_labels,
    )
    notes = [*(truth.notes if truth is not None else ()), *beside.notes, *_of_level(level, positives, len(clips))]
    if level == "clip" and aggregation != FITTED_AGGREGATION and (model.calibration or model.thresholds):
        notes.append(
            "The model's calibration and thresholds were fitted to means over patches; these scores, aggregated by "
            f"{aggregation}, are raw, and held against 0.5."
        )
    baseline = beside.baseline
    if baseline is not None and baseline.mean_average_precision > evaluation.mean_average_precision:
        notes.append(
            "The baseline does better than the model: it has learnt too little, or too long from too few clips "
            "(--recipe small-data is for those)."
        )
    return ModelEvaluation(
        source=source,
        positives=positives,
        folder=scored if folder is not None else None,
        clips=clips,
        level=level,
        model=evaluation,
        baseline=baseline,
        baseline_scores=beside.baseline_scores,
        timeline=truth.judge(source.clip_block(0, len(clips))) if truth is not None else None,
        is_same_corpus=is_the_same_corpus(model.provenance, store),
        notes=tuple(notes),
    )


def evaluate_scores(
    folder: ScoreFolder,
    *,
    resamples: int | None = 0,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    on_labels: Callable[[int], None] | None = None,
) -> ModelEvaluation:
    """Evaluate the scores of a folder by the labels that it keeps. For the arguments see `evaluate_model`.

    Raises:
        ScoreError: a score is no finite number, or a file is missing or damaged.
        SettingsError: clips are to be drawn, but rows are patches.
    """
    level = folder.header.level
    _require_clips(level, resamples)
    evaluation = evaluate(
        folder.source,
        folder.positives,
        label_set=folder.label_set,
        thresholds=folder.header.threshold_values,
        resamples=_number_of_resamples(resamples, folder.num_clips, level),
        memory_bytes=memory_bytes,
        on_labels=on_labels,
    )
    return ModelEvaluation(
        source=folder.source,
        positives=folder.positives,
        folder=folder,
        clips=folder.clips["clip_number"].to_numpy(),
        level=level,
        model=evaluation,
        baseline=None,
        baseline_scores=None,
        timeline=None,
        is_same_corpus=None,
        notes=(
            *notes_of_scores(folder),
            *_of_no_probabilities(evaluation),
            *_of_level(level, folder.positives, folder.num_clips),
        ),
    )


def notes_of_scores(folder: ScoreFolder) -> tuple[str, ...]:
    """What a reader of figures made from a folder of scores must know of its model, which is not at hand."""
    return (*(_UNKNOWN_CLIPS if folder.header.is_of_a_model else ()), *fit_notes_of_scores(folder))


def _of_no_probabilities(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.has_answers:
        yield (
            "Not all of these scores are probabilities, numbers from 0 to 1, so there is no threshold that all go by: "
            "precision, recall, F1, calibration error and reliability are left out."
        )


def default_resamples(num_clips: int) -> int:
    """How often clips are drawn anew for intervals where nobody says: 1,000 times below 10,000 clips, else 200."""
    return _RESAMPLES if num_clips < _MANY_CLIPS else _RESAMPLES_OF_MANY


def _number_of_resamples(asked: int | None, num_clips: int, level: Level) -> int:
    if asked is not None:
        return asked
    return 0 if level == "patch" else default_resamples(num_clips)


def _require_clips(level: Level, resamples: int | None) -> None:
    if level == "patch" and resamples:
        raise SettingsError(
            f"resamples={resamples}: intervals are over clips drawn anew, and these rows are patches, which are not "
            "independent of one another; leave it away, or evaluate clips"
        )


def _of_level(level: Level, positives: Positives, num_clips: int) -> Iterator[str]:
    if level == "patch":
        yield (
            f"What is evaluated are the {positives.num_clips:,} patches of {num_clips:,} clips. Each was given all "
            "labels of its clip, whether they sound in it or not."
        )


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """The folder, or one that vanishes."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="earwitness-scores-") as name:
        yield Path(name)


@dataclass(frozen=True, kw_only=True)
class _Beside:
    """What is said beside the model's figures."""

    baseline: Evaluation | None
    baseline_scores: npt.NDArray[np.float64] | None
    notes: list[str]


def _beside(
    model: DescribedModel,
    store: LabelledClips,
    clips: npt.NDArray[np.int64],
    positives: Positives,
    *,
    level: Level,
    with_baseline: bool,
) -> _Beside:
    """The baseline, as far as it can be had, and what is known of the clips that were learnt from."""
    training = training_clips(model.provenance, store)
    ever_learnt, notes = learnt_before(model, store)
    notes += fit_notes(model, store, clips)
    if isinstance(training, str):
        is_other = is_the_same_corpus(model.provenance, store) is False
        why = corpora_differ(model.provenance, store) if is_other else training
        notes.append(
            "Whether the model has learnt from some of these clips, which would flatter it, cannot be told, and there "
            f"is no baseline: {why}."
        )
        return _Beside(baseline=None, baseline_scores=None, notes=notes)
    baseline = scores = None
    if with_baseline and level == "clip":
        if not isinstance(store, Store):
            notes.append("No baseline: it is fitted to frames, and these are embeddings.")
        elif why_not := _unaffordable(training, clips, len(store.label_set)):
            notes.append(f"No baseline: {why_not}.")
        else:
            with FrameReader(store) as reader:
                scores = baseline_scores(
                    baseline_features(reader, training.train.tolist()),
                    store.targets(training.train),
                    baseline_features(reader, clips.tolist()),
                )
            baseline = evaluate(scores, positives, label_set=store.label_set)
    num_learnt = len(np.intersect1d(clips, np.union1d(training.train, ever_learnt)))
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
    return _Beside(baseline=baseline, baseline_scores=scores, notes=notes)


def _unaffordable(training: TrainingClips, clips: npt.NDArray[np.int64], num_labels: int) -> str | None:
    """Why the baseline is not fitted; None where it is."""
    num_clips, num_pairs = len(training.train) + len(clips), len(training.train) * num_labels
    if num_clips > _BASELINE_CLIPS:
        return (
            f"it is fitted to up to {_BASELINE_CLIPS:,} clips, for whose frames are read, and these are {num_clips:,}"
        )
    if num_pairs > _BASELINE_PAIRS:
        return (
            f"{num_labels:,} labels of {len(training.train):,} training clips would take hours; it is fitted to up to "
            f"{_BASELINE_PAIRS:,} pairs of both"
        )
    return None
