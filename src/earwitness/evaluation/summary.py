"""One evaluation: the headline measures of scored clips, what chance gives, and a row for every label.

A label without positive or without negative clips is undefined: its AUC, d-prime and average precision are
nan, it is left out of every mean, and `num_undefined_labels` counts it. Means give every defined label the
same weight ("class-balanced"). All means are over the same labels.

Two d-primes have two names, for they differ: `dprime` is that of the mean AUC, as in the paper;
`mean_label_dprime` is the mean of the labels' own. A label's own d-prime holds its AUC half a pair away from
0 and 1 (see `metrics.auc_to_dprime`), so that one label ranked without error does not make the mean infinite.

Chance is the best that scores can do which do not look at the clip. They give every clip the same: so AUC is
0.5, d-prime 0, the average precision of a label is its prior, and the 1-best answer is always the most
frequent label.

References: Hershey et al. 2017, section 4.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import (
    Scores,
    Targets,
    auc_to_dprime,
    has_one_label_each,
    one_best_accuracy,
    rank_labels,
)
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.labels import LabelSet

SCHEMA_VERSION = 2
"""Of `Evaluation.to_dict`."""
DEFAULT_MEMORY_BYTES = 512 * 2**20
"""What an evaluation may hold of scores at a time."""


@dataclass(frozen=True)
class Chance:
    """What scores give that do not look at the clip; fields as in `Evaluation`."""

    mean_auc: float
    dprime: float
    mean_label_dprime: float
    mean_average_precision: float
    one_best_accuracy: float


@dataclass(frozen=True)
class LabelResult:
    """One label's row. `auc`, `dprime` and `average_precision` are nan where the label is undefined."""

    id: str
    name: str
    num_positives: int
    prior: float
    """Share of the clips that have the label."""
    auc: float
    dprime: float
    """From this label's AUC, held half a pair away from 0 and 1."""
    average_precision: float
    threshold: float
    """At and above which a clip counts as answered with this label."""
    precision: float
    """At the threshold; nan where no clip is answered."""
    recall: float
    """At the threshold."""
    f1: float
    """At the threshold."""
    calibration_error: float
    """How far scores are from the share of clips that have the label; nan where scores are no probabilities."""
    auc_interval: Interval | None
    """95 %, over resampled clips; None without resampling and where the label is undefined."""
    average_precision_interval: Interval | None
    """Likewise."""

    @property
    def is_defined(self) -> bool:
        """Whether the label has both positive and negative clips."""
        return not math.isnan(self.auc)


@dataclass(frozen=True)
class Evaluation:
    """The measures of one scored set of clips. Means are over the defined labels, nan if there is none."""

    num_clips: int
    num_labels: int
    num_undefined_labels: int
    """Labels without positive or without negative clips."""
    mean_auc: float
    dprime: float
    """From `mean_auc`, as in the paper; infinite if that is 1."""
    mean_label_dprime: float
    """Mean of the labels' own d-primes."""
    mean_average_precision: float
    """mAP."""
    one_best_accuracy: float
    """Share of the clips with labels whose top-scored label is among theirs; nan if no clip has a label."""
    micro_auc: float
    """Of all (clip, label) pairs ranked together."""
    micro_average_precision: float
    """Likewise."""
    lwlrap: float
    """Label-weighted label-ranking average precision."""
    mean_precision: float
    """Mean of the labels' precisions at their thresholds, where they have one."""
    mean_recall: float
    """Likewise of their recalls."""
    mean_f1: float
    """Likewise of their F1."""
    micro_precision: float
    """At the thresholds, of all answers together."""
    micro_recall: float
    """Likewise, of all (clip, label) pairs that are true."""
    micro_f1: float
    """Of those two."""
    calibration_error: float
    """Mean over the labels."""
    is_single_label: bool
    """Whether every clip has exactly one label."""
    chance: Chance
    labels: tuple[LabelResult, ...]
    """In the order of the label set."""
    intervals: Mapping[str, Interval] | None = None
    """95 % intervals over resampled clips, by the name of the field; None without resampling."""
    resamples: int = 0
    """How often clips were drawn anew for the intervals."""

    @property
    def accuracy(self) -> float | None:
        """Plain accuracy, which is then the 1-best accuracy; None unless every clip has exactly one label."""
        return self.one_best_accuracy if self.is_single_label else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, `accuracy` included; numbers that are not finite become None."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("chance", "labels")}
        return {
            "schema_version": SCHEMA_VERSION,
            **finite({**values, "accuracy": self.accuracy}),
            "chance": finite(vars(self.chance)),
            "labels": [finite(vars(label)) for label in self.labels],
        }


def evaluate(
    scores: Scores | ScoreSource,
    targets: Targets | Positives,
    *,
    label_set: LabelSet,
    thresholds: npt.ArrayLike = 0.5,
    resamples: int = 0,
    seed: int = 0,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    on_labels: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate the scores of clips against their labels.

    Args:
        scores: [clips, labels], columns in the order of `label_set`; or where they can be read from.
        targets: bool [clips, labels], or the positives alone.
        label_set: names the columns.
        thresholds: at and above which a clip is answered with a label: one number, or one a label.
        resamples: how often clips are drawn anew for 95 % intervals; 0: no intervals.
        seed: of those draws.
        memory_bytes: what the evaluation may hold of scores at a time.
        on_labels: called with the number of labels done since the last call.

    Raises:
        ScoreError: there is no clip, the columns do not fit the label set, the shapes differ, or a score is
            nan or infinite.
    """
    if isinstance(targets, Positives):
        targets = targets.to_dense()
    if not isinstance(scores, np.ndarray):
        scores = scores.clip_block(0, scores.num_clips)
    ranking = rank_labels(scores, targets)
    num_clips, num_labels = targets.shape
    if num_labels != len(label_set):
        raise ScoreError(f"scores have {num_labels} columns, but the label set has {len(label_set)} labels")
    if num_clips == 0:
        raise ScoreError("there is no clip to evaluate")
    is_defined = ~np.isnan(ranking.auc)
    priors = ranking.num_positives / num_clips
    dprimes = auc_to_dprime(ranking.auc, num_pairs=ranking.num_positives * (num_clips - ranking.num_positives))
    precisions = np.where(is_defined, ranking.average_precision, np.nan)
    limits = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), num_labels)
    answered = scores >= limits
    right, answers = np.count_nonzero(answered & targets, axis=0), np.count_nonzero(answered, axis=0)
    micro = rank_labels(scores.reshape(-1, 1), targets.reshape(-1, 1))
    with np.errstate(invalid="ignore"):
        at_threshold = right / answers, right / ranking.num_positives, 2 * right / (answers + ranking.num_positives)
        pooled = right.sum() / np.array([answers.sum(), targets.sum(), (answers.sum() + targets.sum()) / 2])
        calibration = np.where(is_defined, np.abs(scores.mean(axis=0) - priors), np.nan)

    def mean(values: Any) -> float:
        values = values[is_defined]
        values = values[~np.isnan(values)]
        return float(np.mean(values)) if len(values) else math.nan

    num_labelled = np.count_nonzero(targets.any(axis=1))
    mean_auc = mean(ranking.auc)
    if on_labels is not None:
        on_labels(num_labels)
    drawn = _drawn_again(scores, targets, resamples, seed) if resamples else None
    aucs = _intervals(drawn[0]) if drawn is not None else [None] * num_labels
    aps = _intervals(drawn[1]) if drawn is not None else [None] * num_labels
    means = None if drawn is None else _intervals(np.nanmean(drawn, axis=2).T)
    return Evaluation(
        num_clips=num_clips,
        num_labels=num_labels,
        num_undefined_labels=int(np.count_nonzero(~is_defined)),
        mean_auc=mean_auc,
        dprime=float(auc_to_dprime(mean_auc)),
        mean_label_dprime=mean(dprimes),
        mean_average_precision=mean(precisions),
        one_best_accuracy=one_best_accuracy(scores, targets),
        micro_auc=float(micro.auc[0]),
        micro_average_precision=float(micro.average_precision[0]),
        lwlrap=_lwlrap(scores, targets),
        mean_precision=mean(at_threshold[0]),
        mean_recall=mean(at_threshold[1]),
        mean_f1=mean(at_threshold[2]),
        micro_precision=float(pooled[0]),
        micro_recall=float(pooled[1]),
        micro_f1=float(pooled[2]),
        calibration_error=mean(calibration),
        is_single_label=has_one_label_each(targets),
        chance=Chance(
            mean_auc=0.5,
            dprime=0.0,
            mean_label_dprime=0.0,
            mean_average_precision=mean(priors),
            one_best_accuracy=float(ranking.num_positives.max() / num_labelled) if num_labelled else math.nan,
        ),
        labels=tuple(
            LabelResult(*row)
            for row in zip(
                label_set.ids,
                label_set.names,
                ranking.num_positives.tolist(),
                priors.tolist(),
                ranking.auc.tolist(),
                dprimes.tolist(),
                precisions.tolist(),
                limits.tolist(),
                *(values.tolist() for values in at_threshold),
                calibration.tolist(),
                aucs,
                aps,
                strict=True,
            )
        ),
        intervals=dict(zip(("mean_auc", "mean_average_precision"), means, strict=True)) if means else None,
        resamples=resamples,
    )


def _drawn_again(scores: Scores, targets: Targets, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """[AUC and AP, resamples, labels] of clips drawn anew with replacement."""
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(scores), len(scores)) for _ in range(resamples)]
    rankings = [rank_labels(scores[clips], targets[clips]) for clips in drawn]
    return np.array([[r.auc for r in rankings], [r.average_precision for r in rankings]])


def _intervals(drawn: npt.NDArray[np.float64]) -> list[Interval]:
    """Of each column of [resamples, columns]."""
    return [Interval(*pair) for pair in np.nanpercentile(drawn, [2.5, 97.5], axis=0).T.tolist()]


def _lwlrap(scores: Scores, targets: Targets) -> float:
    per_clip = rank_labels(scores.T, targets.T)
    defined = per_clip.num_positives > 0
    if not defined.any():
        return math.nan
    return float(np.average(per_clip.average_precision[defined], weights=per_clip.num_positives[defined]))


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for JSON: numbers that are not finite become None; intervals become their ends."""
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Interval):
        return finite(vars(value))
    return finite(value) if isinstance(value, Mapping) else value
