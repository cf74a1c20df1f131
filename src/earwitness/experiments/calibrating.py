"""A trained model, its calibration and thresholds fitted to chosen clips of a store that it has not learnt from."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from earwitness.decisions import Calibration, FittedOn, Thresholds
from earwitness.errors import ModelError, ScoreError, SettingsError
from earwitness.evaluation.decision_fits import DecisionFits, fit_decisions
from earwitness.evaluation.thresholds import require_one_aim
from earwitness.experiments.learnt_clips import learnt_before, training_clips
from earwitness.models.model_file import Model
from earwitness.scoring.clip_scores import require_fit
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.scoring.score_settings import ScoreSettings
from earwitness.scoring.score_store import OnPatches, score_store
from earwitness.store.read import Store
from earwitness.subsets.dealing import Dealer
from earwitness.training.clips import clip_groups

_FOLDS = 5
_SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class CalibratedModel:
    """The outcome of `calibrate_model`."""

    model: Model
    """With what was fitted."""
    num_positives: npt.NDArray[np.int64]
    """[labels]: clips that have each label."""
    fits: DecisionFits
    notes: tuple[str, ...]
    """What a reader must know, as sentences; empty where there is nothing."""


def calibrate_model(
    model: Model,
    store: Store,
    *,
    where: str | None = None,
    precision: float | None = None,
    beta: float | None = None,
    is_calibrated: bool = True,
    device: str = "auto",
    on_patches: OnPatches | None = None,
) -> CalibratedModel:
    """Score the selected clips of a store, and fit to them. What the model carried before is replaced.

    Args:
        model: its raw scores are used.
        store: of the clips.
        where: SQL condition over the manifest's columns.
        precision: that yeses are to reach, with the largest recall; or:
        beta: of the F-beta that is to be largest.
        is_calibrated: whether a calibration is wanted, or thresholds of raw scores.
        device: where to compute.
        on_patches: told the number of patches done so far, and of all.

    Raises:
        SettingsError: not one of the two aims is given, or outside what is allowed.
        StoreError: the store does not fit the model.
        SelectionError: `where` is bad or selects nothing.
        ScoreError: the model has learnt from some of the clips, or none of them has a label.
    """
    require_one_aim(precision=precision, beta=beta)
    require_fit(store, front_end=model.front_end, label_set=model.label_set)
    clips = store.select(where)
    notes = _require_unseen(model, store, clips)
    rows, labels = store.label_pairs(clips)
    if not len(rows):
        raise ScoreError(f"{store.folder}: none of the {len(clips)} clips has a label: there is nothing to fit to")
    folds = _folds(store, clips, rows, labels)
    if folds is None:
        notes.append("All clips are of one recording or group, so how well the fits do on others cannot be told.")
    raw = replace(model, calibration=None, thresholds=None)
    with tempfile.TemporaryDirectory(prefix="earwitness-scores-") as folder:
        settings = ScoreSettings(where=where)
        score_store(raw, store, Path(folder), settings=settings, device=device, on_patches=on_patches)
        scores = ScoreFolder.open(folder)
        fits = fit_decisions(
            scores.source,
            scores.positives,
            folds=folds,
            precision=precision,
            beta=beta,
            is_calibrated=is_calibrated,
        )
    fitted_on = FittedOn(store_fingerprint=store.fingerprint, where=where, num_clips=len(clips))
    calibration = None
    if fits.slopes is not None and fits.offsets is not None:
        calibration = Calibration(slopes=fits.slopes, offsets=fits.offsets, fitted_on=fitted_on)
    thresholds = Thresholds(values=fits.thresholds, precision=precision, beta=beta, fitted_on=fitted_on)
    return CalibratedModel(
        model=replace(model, calibration=calibration, thresholds=thresholds),
        num_positives=np.bincount(labels, minlength=len(model.label_set)),
        fits=fits,
        notes=tuple(notes),
    )


def require_new_file(path: Path, *, model: Path, may_overwrite: bool) -> None:
    """Refuse a place for a model before any work is done.

    Raises:
        SettingsError: its name is not that of a model file; or there is one already, and it is not to be overwritten.
        ModelError: no file can be written there.
    """
    if path.is_dir():
        raise ModelError(f"{path}: this is a folder; name a file in it, such as {path / 'calibrated.safetensors'}")
    if path.suffix.lower() != _SUFFIX:
        raise SettingsError(f"{path}: the name of a model file ends in {_SUFFIX}")
    if path.exists() and not may_overwrite:
        what = "this is the model itself" if path.resolve() == model.resolve() else "there is such a file already"
        raise SettingsError(f"{path}: {what}; name another file, or say --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be written ({error.strerror or error})") from error


def _require_unseen(model: Model, store: Store, clips: npt.NDArray[np.int64]) -> list[str]:
    """Sentences on what is in doubt.

    Raises:
        ScoreError: the model, or one it began from, has learnt from some of the clips.
    """
    training = training_clips(model.provenance, store)
    learnt, notes = learnt_before(model, store)
    watched = np.empty(0, np.int64)
    if isinstance(training, str):
        notes.append(f"It cannot be told whether the model has learnt from these clips: {training}.")
    else:
        learnt, watched = np.union1d(learnt, training.train), training.validation
    num_learnt = len(np.intersect1d(clips, learnt))
    if num_learnt:
        raise ScoreError(
            f"{num_learnt} of the {len(clips)} clips were learnt from in training: the model is surer of them than of "
            "any others, so nothing fitted to them would hold; choose others with --where"
        )
    num_watched = len(np.intersect1d(clips, watched))
    if num_watched:
        notes.append(
            f"{num_watched} of the {len(clips)} clips were watched in training: a model or settings chosen by them do "
            "better on them than on new sound, which is likely to need somewhat lower scores."
        )
    return notes


def _folds(
    store: Store, clips: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Folds [clips] of whole groups, every label in its share; None where all clips are of one group."""
    groups = clip_groups(store, clips).numbers
    num_groups = int(groups.max()) + 1
    if num_groups < 2:
        return None
    num_folds = min(_FOLDS, num_groups)
    shape = (num_groups, len(store.label_set))
    of_groups = csr_array((np.ones(len(rows)), (groups[rows], labels)), shape=shape)
    dealer = Dealer(of_groups, np.bincount(groups), [1 / num_folds] * num_folds)
    dealer.deal()
    folds: npt.NDArray[np.int64] = dealer.part_of[groups]
    return folds
