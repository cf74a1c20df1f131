"""Calibration and thresholds of all labels fitted to scored clips, and what they are worth on clips they have not seen.

A fit looks better on its own clips than on others. So the clips are dealt into folds, everything is fitted again
without each of them, and measured on that one ("cross-fitting"). What is handed out is fitted to all clips, of which
there are a few more: its worth is that measured, or a little better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.decisions import logits, sigmoid
from earwitness.errors import ScoreError
from earwitness.evaluation.blocks import label_rows
from earwitness.evaluation.calibration import MEMORY_BYTES, Floats, bin_logits, fit_calibration
from earwitness.evaluation.curves import calibration_error
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.evaluation.thresholds import Decisions, added_up, at_threshold, fit_threshold, require_one_aim

RAW_THRESHOLD = 0.5
"""What raw scores are compared with, where nothing was fitted."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """How good scores and yeses are, for every label that has positive clips; nan and None for the others."""

    calibration_errors: Floats
    """[labels]."""
    log_losses: Floats
    """[labels]: mean over clips of minus the logarithm of what the truth was given."""
    decisions: tuple[Decisions | None, ...]
    """[labels]; None where there was no threshold to try."""

    @property
    def mean_calibration_error(self) -> float:
        """Over the labels that have one."""
        return _mean(self.calibration_errors)

    @property
    def mean_log_loss(self) -> float:
        """Over the labels that have one."""
        return _mean(self.log_losses)

    def of_labels(self, chosen: npt.NDArray[np.bool_]) -> list[Decisions]:
        """The decisions of some labels that have any."""
        return [own for own, is_chosen in zip(self.decisions, chosen, strict=True) if is_chosen and own is not None]


@dataclass(frozen=True, kw_only=True)
class DecisionFits:
    """What was fitted, and its worth."""

    slopes: Floats | None
    """[labels]; None where no calibration was asked for."""
    offsets: Floats | None
    """[labels]."""
    thresholds: Floats
    """[labels] of scores, calibrated if asked for; nan where there are too few clips, inf where none is good enough."""
    raw: Worth
    """Of raw scores, and of a threshold of 0.5."""
    fitted: Worth | None
    """Of what is fitted, by cross-fitting; None without folds. Thresholds count in the folds without which there was
    one."""


def fit_decisions(
    scores: ScoreSource,
    positives: Positives,
    *,
    folds: npt.NDArray[np.int64] | None,
    precision: float | None = None,
    beta: float | None = None,
    is_calibrated: bool = True,
) -> DecisionFits:
    """Fit a calibration, and thresholds for one of two aims.

    Args:
        scores: raw ones, in [0, 1].
        positives: the clips that have each label.
        folds: [clips], numbered from 0, at least two; None: nothing is cross-fitted.
        precision: to be reached, with the largest recall; or:
        beta: of the F-beta that is to be largest.
        is_calibrated: whether a calibration is wanted.

    Raises:
        SettingsError: not one of the two aims is given, or outside what is allowed.
        ScoreError: no clip has any label.
    """
    require_one_aim(precision=precision, beta=beta)
    if not len(positives.clips):
        raise ScoreError(f"none of the {positives.num_clips} clips has a label: there is nothing to fit to")
    num_labels = positives.num_labels
    num_folds = 0 if folds is None else int(folds.max()) + 1
    maps: list[tuple[Floats, Floats]] = []  # without each fold, then without none
    if is_calibrated:
        binned = bin_logits(scores, positives, folds=folds)
        maps = [fit_calibration(binned, without_fold=fold) for fold in range(num_folds)]
        maps.append(fit_calibration(binned))
    thresholds = np.empty(num_labels)
    raw, fitted = _Measurements(), _Measurements()
    for label, own in label_rows(scores, memory_bytes=MEMORY_BYTES):
        positive_clips = positives.of(label)
        numbers = logits(own)
        given = [_mapped(numbers, slopes[label], offsets[label]) for slopes, offsets in maps] or [own]
        thresholds[label] = fit_threshold(
            given[-1], positive_clips, precision=precision, beta=beta, is_calibrated=is_calibrated
        )
        raw.add(own, positive_clips, at_threshold(own, positive_clips, RAW_THRESHOLD))
        if folds is None:
            continue
        unseen = np.empty_like(given[-1])
        decisions = []
        for fold in range(num_folds):
            is_out = folds == fold
            seen = given[fold if is_calibrated else -1]
            unseen[is_out] = seen[is_out]
            where = np.cumsum(is_out) - 1  # of a clip among those of the fold
            is_own = is_out[positive_clips]
            threshold = fit_threshold(
                seen[~is_out],
                positive_clips[~is_own] - where[positive_clips[~is_own]] - 1,
                precision=precision,
                beta=beta,
                is_calibrated=is_calibrated,
            )
            if not np.isnan(threshold):
                decisions.append(at_threshold(seen[is_out], where[positive_clips[is_own]], threshold))
        fitted.add(unseen, positive_clips, added_up(decisions) if decisions else None)
    return DecisionFits(
        slopes=maps[-1][0] if is_calibrated else None,
        offsets=maps[-1][1] if is_calibrated else None,
        thresholds=thresholds,
        raw=raw.worth(),
        fitted=fitted.worth() if folds is not None else None,
    )


class _Measurements:
    """Gathers the `Worth` of label after label."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._losses: list[float] = []
        self._decisions: list[Decisions | None] = []

    def add(
        self, scores: npt.NDArray[np.floating], positive_clips: npt.NDArray[np.int64], decisions: Decisions | None
    ) -> None:
        has_positives = len(positive_clips) > 0
        self._errors.append(calibration_error(scores, positive_clips) if has_positives else float("nan"))
        self._losses.append(_log_loss(scores, positive_clips) if has_positives else float("nan"))
        self._decisions.append(decisions if has_positives else None)

    def worth(self) -> Worth:
        return Worth(
            calibration_errors=np.array(self._errors),
            log_losses=np.array(self._losses),
            decisions=tuple(self._decisions),
        )


def mean_of(decisions: Sequence[Decisions], name: str) -> float:
    """Mean over labels of `precision`, `recall` or `f1`, of those where it is defined."""
    return _mean(np.array([getattr(own, name) for own in decisions]))


def _mapped(numbers: Floats, slope: float, offset: float) -> npt.NDArray[np.float32]:
    """Scores of one label, with the rounding of `Calibration.apply`."""
    scores: npt.NDArray[np.float32] = sigmoid(slope * numbers + offset).astype(np.float32)
    return scores


def _log_loss(scores: npt.NDArray[np.floating], positive_clips: npt.NDArray[np.int64]) -> float:
    numbers = logits(scores)
    total = np.sum(np.log1p(np.exp(-np.abs(numbers))) + np.maximum(numbers, 0.0)) - np.sum(numbers[positive_clips])
    return float(total) / len(scores)


def _mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
