"""One evaluation: the headline measures of scored clips, what chance gives, and a row for every label.

The measures are defined where they are computed: AUC, average precision, d-prime and 1-best accuracy in `metrics`,
lwlrap in `clip_measures`, the micro measures in `micro`, precision, recall and F1 in `thresholds`, the calibration
error in `curves`, intervals in `bootstrap`.

A label without positive or without negative clips is undefined: its AUC, d-prime and average precision are nan, it is
left out of every mean, and `num_undefined_labels` counts it. Means give every defined label the same weight
("class-balanced"). All means are over the same labels, but for those of precision, recall and F1, which leave out a
label without a threshold, and that of precision, which leaves out a label that no clip is answered with: of no yes,
no share is right. Pooled ("micro") measures take in undefined labels, whose false alarms are some: AUC and average
precision of all pairs those of all labels, precision, recall and F1 those of all labels with a threshold. How many
labels each measure is over, `num_labels_in` says.

Where some score is no probability, 0.5 means nothing: unless thresholds are given, there are none then.

Two d-primes have two names, for they differ: `dprime` is that of the mean AUC, as in the paper;
`mean_label_dprime` is the mean of the labels' own. A label's own d-prime holds its AUC half a pair away from
0 and 1 (see `metrics.auc_to_dprime`), so that one label ranked without error does not make the mean infinite;
`dprime` is not held, and infinite where all labels are ranked without error.

Chance is the best that scores can do which do not look at the clip. They give every clip the same: so AUC is
0.5, d-prime 0, the average precision of a label is its prior, and the 1-best answer is always the most
frequent label.

References: Hershey et al. 2017, section 4.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.decisions import NEVER, USUAL_THRESHOLD
from earwitness.errors import ScoreError
from earwitness.evaluation.blocks import require_same_table
from earwitness.evaluation.bootstrap import Replicates, Resampling, interval
from earwitness.evaluation.clip_measures import clip_measures
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.label_measures import measure_labels
from earwitness.evaluation.metrics import Scores, Targets, auc_to_dprime
from earwitness.evaluation.micro import micro_ranking
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores, ScoreSource
from earwitness.evaluation.thresholds import added_up
from earwitness.labels import LabelSet

SCHEMA_VERSION = 3
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
    """At and above which a clip counts as answered with this label; inf: never; nan: it has none."""
    precision: float
    """At the threshold; nan where no clip is answered."""
    recall: float
    """At the threshold."""
    f1: float
    """At the threshold."""
    calibration_error: float
    """How far scores are from the share of clips that have the label; nan where scores are no probabilities."""
    auc_interval: Interval | None
    """95 %, over resampled clips; None without resampling, and where it says nothing (see `bootstrap`)."""
    average_precision_interval: Interval | None
    """Likewise."""

    @property
    def is_defined(self) -> bool:
        """Whether the label has both positive and negative clips."""
        return not math.isnan(self.auc)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: None for what is not finite, but "never" for a threshold that no score reaches."""
        values = finite(vars(self))
        return {**values, "threshold": NEVER} if self.threshold == math.inf else values


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
    num_labels_in: Mapping[str, int] = field(default_factory=dict)
    """Over how many labels the measures are that are over labels, by the name of the field."""

    @property
    def has_answers(self) -> bool:
        """Whether any label has a threshold, without which there are no yeses to be right or wrong."""
        return any(not math.isnan(label.threshold) for label in self.labels)

    @property
    def accuracy(self) -> float | None:
        """Plain accuracy, which is then the 1-best accuracy; None unless every clip has exactly one label."""
        return self.one_best_accuracy if self.is_single_label else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, `accuracy` included; what is not finite becomes None."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("chance", "labels")}
        return {
            "schema_version": SCHEMA_VERSION,
            **finite({**values, "accuracy": self.accuracy}),
            "chance": finite(vars(self.chance)),
            "labels": [label.to_dict() for label in self.labels],
        }


def evaluate(
    scores: Scores | ScoreSource,
    targets: Targets | Positives,
    *,
    label_set: LabelSet,
    thresholds: npt.ArrayLike | None = 0.5,
    resamples: int = 0,
    seed: int = 0,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int | None = None,
    on_labels: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate the scores of clips against their labels.

    The result is the same, to the bit, whatever the memory and the number of threads.

    Args:
        scores: [clips, labels], columns in the order of `label_set`; or where they can be read from.
        targets: bool [clips, labels], or the positives alone.
        label_set: names the columns.
        thresholds: at and above which a clip is answered with a label: one number, or one a label; nan: the label
            has none, and is left out of what is measured there. None: 0.5 if all scores are probabilities, else none.
        resamples: how often clips are drawn anew for 95 % intervals; 0: no intervals.
        seed: of those draws.
        memory_bytes: what the evaluation may hold of scores at a time, if that is enough for one label and one clip.
        workers: threads over labels. None: one for each processor.
        on_labels: called with the number of labels done since the last call.

    Raises:
        ScoreError: there is no clip, the columns do not fit the label set, the shapes differ, a score is nan or
            infinite, or the thresholds are not one a label.
        SettingsError: one resample alone.
    """
    source = ArrayScores(scores) if isinstance(scores, np.ndarray) else scores
    positives = targets if isinstance(targets, Positives) else Positives.from_dense(targets)
    require_same_table(source, positives)
    num_clips, num_labels = source.num_clips, source.num_labels
    if num_labels != len(label_set):
        raise ScoreError(f"scores have {num_labels} columns, but the label set has {len(label_set)} labels")
    if num_clips == 0:
        raise ScoreError("there is no clip to evaluate")
    limits = np.asarray(USUAL_THRESHOLD if thresholds is None else thresholds, dtype=np.float64)
    if limits.shape not in ((), (num_labels,)):
        raise ScoreError(f"thresholds are {limits.shape}; one number is needed, or one for each of {num_labels} labels")
    limits = np.broadcast_to(limits, num_labels)
    resampling = Resampling(num_clips, resamples=resamples, seed=seed) if resamples else None
    measures, drawn = measure_labels(
        source,
        positives,
        label_ids=label_set.ids,
        thresholds=limits,
        resampling=resampling,
        memory_bytes=memory_bytes,
        workers=workers,
        on_labels=on_labels,
    )
    are_probabilities = all(label.are_probabilities for label in measures)
    if thresholds is None and not are_probabilities:
        limits = np.full(num_labels, np.nan)
        measures = [replace(label, decisions=None) for label in measures]
    # half of the memory: as much for a source that turns it
    of_clips = clip_measures(source, positives, memory_bytes=memory_bytes // 2, resampling=resampling)
    micro = micro_ranking(source, positives, memory_bytes=memory_bytes)
    priors = positives.num_positives / num_clips
    auc = np.array([label.auc for label in measures])
    dprimes = auc_to_dprime(auc, num_pairs=positives.num_positives * (num_clips - positives.num_positives))
    rows = tuple(
        LabelResult(
            id=label_id,
            name=name,
            num_positives=num_positives,
            prior=prior,
            auc=label.auc,
            dprime=dprime,
            average_precision=label.average_precision,
            threshold=limit,
            precision=label.decisions.precision if label.decisions is not None else math.nan,
            recall=label.decisions.recall if label.decisions is not None else math.nan,
            f1=label.decisions.f1 if label.decisions is not None else math.nan,
            calibration_error=label.calibration_error if are_probabilities else math.nan,
            auc_interval=label.auc_interval,
            average_precision_interval=label.average_precision_interval,
        )
        for label_id, name, num_positives, prior, dprime, limit, label in zip(
            label_set.ids,
            label_set.names,
            positives.num_positives.tolist(),
            priors.tolist(),
            dprimes.tolist(),
            limits.tolist(),
            measures,
            strict=True,
        )
    )
    defined = [row for row in rows if row.is_defined]
    answers = [label.decisions for label in measures if label.decisions is not None]
    pooled = added_up(answers)
    num_labelled = num_clips - of_clips.num_unlabelled_clips
    means = {name: _mean(defined, own) for name, own in _MEANS.items()}
    values = {
        **means,
        "dprime": float(auc_to_dprime(means["mean_auc"])),
        "one_best_accuracy": of_clips.one_best_accuracy,
        "lwlrap": of_clips.lwlrap,
        "micro_auc": micro.auc,
        "micro_average_precision": micro.average_precision,
        "micro_precision": pooled.precision,
        "micro_recall": pooled.recall,
        "micro_f1": pooled.f1,
    }
    num_labels_in = {name: _num_with(defined, own) for name, own in _MEANS.items()}
    num_labels_in |= {"dprime": len(defined), **dict.fromkeys(_OF_ALL_LABELS, num_labels)}
    num_labels_in |= dict.fromkeys(_OF_ALL_ANSWERS, len(answers))
    intervals = None
    if drawn is not None:
        replicates = {
            **vars(drawn),
            "dprime": auc_to_dprime(drawn.mean_auc),
            "one_best_accuracy": of_clips.drawn_one_best_accuracy,
            "lwlrap": of_clips.drawn_lwlrap,
        }
        intervals = _intervals(values, replicates)
    return Evaluation(
        num_clips=num_clips,
        num_labels=num_labels,
        num_undefined_labels=num_labels - len(defined),
        **values,
        is_single_label=of_clips.is_single_label,
        chance=Chance(
            mean_auc=0.5,
            dprime=0.0,
            mean_label_dprime=0.0,
            mean_average_precision=_mean(defined, "prior"),
            one_best_accuracy=float(positives.num_positives.max() / num_labelled) if num_labelled else math.nan,
        ),
        labels=rows,
        intervals=intervals,
        resamples=resamples,
        num_labels_in=num_labels_in,
    )


_MEANS = {
    "mean_auc": "auc",
    "mean_label_dprime": "dprime",
    "mean_average_precision": "average_precision",
    "mean_precision": "precision",
    "mean_recall": "recall",
    "mean_f1": "f1",
    "calibration_error": "calibration_error",
}
"""Means over labels, and what they are means of."""
_OF_ALL_LABELS = ("one_best_accuracy", "lwlrap", "micro_auc", "micro_average_precision")
_OF_ALL_ANSWERS = ("micro_precision", "micro_recall", "micro_f1")
_NO_SHARES = ("dprime", "mean_label_dprime")


def _mean(rows: Sequence[LabelResult], name: str) -> float:
    values = [value for row in rows if not math.isnan(value := getattr(row, name))]
    return float(np.mean(values)) if values else math.nan


def _num_with(rows: Sequence[LabelResult], name: str) -> int:
    return sum(not math.isnan(getattr(row, name)) for row in rows)


def _intervals(values: Mapping[str, float], replicates: Mapping[str, Replicates | None]) -> dict[str, Interval]:
    """Of the measures that have one, by name."""
    found = {
        name: interval(drawn, values[name], is_share=name not in _NO_SHARES)
        for name, drawn in replicates.items()
        if drawn is not None
    }
    return {name: ends for name, ends in found.items() if ends is not None}


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for JSON: numbers that are not finite become None; intervals become their ends."""
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Interval):
        return finite(vars(value))
    return finite(value) if isinstance(value, Mapping) else value
