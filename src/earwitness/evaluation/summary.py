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
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from earwitness.errors import ScoreError
from earwitness.evaluation.metrics import (
    Scores,
    Targets,
    auc_to_dprime,
    has_one_label_each,
    one_best_accuracy,
    rank_labels,
)
from earwitness.labels import LabelSet

SCHEMA_VERSION = 1
"""Of `Evaluation.to_dict`."""


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
    is_single_label: bool
    """Whether every clip has exactly one label."""
    chance: Chance
    labels: tuple[LabelResult, ...]
    """In the order of the label set."""

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


def evaluate(scores: Scores, targets: Targets, *, label_set: LabelSet) -> Evaluation:
    """Evaluate the scores of clips against their labels.

    Args:
        scores: [clips, labels], columns in the order of `label_set`.
        targets: bool [clips, labels].
        label_set: names the columns.

    Raises:
        ScoreError: there is no clip, the columns do not fit the label set, the shapes differ, or a score is
            nan or infinite.
    """
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

    def mean(values: Any) -> float:
        return float(np.mean(values[is_defined])) if is_defined.any() else math.nan

    num_labelled = np.count_nonzero(targets.any(axis=1))
    mean_auc = mean(ranking.auc)
    return Evaluation(
        num_clips=num_clips,
        num_labels=num_labels,
        num_undefined_labels=int(np.count_nonzero(~is_defined)),
        mean_auc=mean_auc,
        dprime=float(auc_to_dprime(mean_auc)),
        mean_label_dprime=mean(dprimes),
        mean_average_precision=mean(precisions),
        one_best_accuracy=one_best_accuracy(scores, targets),
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
                strict=True,
            )
        ),
    )


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for JSON: numbers that are not finite become None."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
