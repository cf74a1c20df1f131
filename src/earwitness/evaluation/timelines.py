"""How well the scores of patches say when a label sounds. This text is the definition.

Arrays are [patches, labels]: the patches of a clip side by side, clip after clip. The truth is bool: the label sounds
in the patch.

**Within clips.** For one label and one clip in which it sounds in P of the n patches, some but not all (0 < P < n),
AUC and average precision (AP) are those of `metrics` with patches in the place of clips: AUC is how often a patch in
which the label sounds scores above one of the same clip in which it does not, ties counting one half. Both are
averaged over the label's clips of this kind, then over labels, each with the same weight. A label without such a clip
is undefined: nan, left out of the means, counted. As clips are never compared with one another, nothing but time is
measured: scores that are constant within each clip have an AUC of exactly 0.5, however well they tell clips apart.

Chance is what patches in random order have on average. That is 0.5 for AUC, and for AP (Bestgen 2015)

    (P - 1) / (n - 1) + (n - P) / (n (n - 1)) * (1 + 1/2 + ... + 1/n)

which for few patches is well above their share P / n. Scores that are constant within the clip are below chance
here: tied patches share one threshold, so their AP is that share.

Chance does not listen. A baseline that does, but knows no label: the loudness of each patch, as the score of every
label. Where few sounds share a clip, it tells well when *something* sounds.

**Over all patches.** The measures of `summary` with patches in the place of clips: AP is then the one often called
frame-level, and chance each label's share of all patches. This ranks all patches of all clips together, and so asks
in which clips a label sounds before it asks when: scores that know nothing of time may do well, even better than
those that do. Such scores are therefore measured beside: each clip's score on all its patches ("without time").

References: Bestgen 2015, Exact Expected Average Precision of the Random Baseline for System Evaluation.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.evaluation.metrics import Scores, Targets, rank_labels
from earwitness.evaluation.summary import Evaluation, finite
from earwitness.labels import LabelSet

SCHEMA_VERSION = 1
"""Of `TimelineEvaluation.to_dict`."""


@dataclass(frozen=True)
class LabelWithinClips:
    """One label's row; all but the number of clips are nan where that is 0."""

    id: str
    name: str
    num_clips: int
    """In which it sounds in some patches but not in all."""
    auc: float
    average_precision: float
    chance_average_precision: float

    @property
    def is_defined(self) -> bool:
        """Whether there is such a clip."""
        return self.num_clips > 0


@dataclass(frozen=True)
class WithinClips:
    """The measures within clips. Means are over the defined labels, nan if there is none."""

    num_clips: int
    """In which at least one label sounds in some patches but not in all."""
    num_labels: int
    num_undefined_labels: int
    """Labels without any such clip."""
    mean_auc: float
    """Chance is 0.5."""
    mean_average_precision: float
    chance_mean_average_precision: float
    labels: tuple[LabelWithinClips, ...]
    """In the order of the label set."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; numbers that are not finite become None."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "labels"}
        return {**finite(values), "chance_mean_auc": 0.5, "labels": [finite(vars(label)) for label in self.labels]}


@dataclass(frozen=True, kw_only=True)
class TimelineEvaluation:
    """How well scores of patches say when, by all measures."""

    num_patches: int
    num_clips: int
    within_clips: WithinClips
    loudness_within_clips: WithinClips
    """Of each patch's loudness as the score of every label."""
    over_patches: Evaluation
    """Of the patches' own scores: where an `Evaluation` says clips, these are patches."""
    over_patches_without_time: Evaluation
    """Of each clip's score on all its patches, likewise."""
    unknown_labels: tuple[str, ...] = ()
    """Labels of events that are not in the label set; they were left out."""
    num_overrunning_events: int = 0
    """Events that go on after the end of their clip; they were cut there."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; numbers that are not finite become None."""
        return {
            "schema_version": SCHEMA_VERSION,
            "num_patches": self.num_patches,
            "num_clips": self.num_clips,
            "unknown_labels": list(self.unknown_labels),
            "num_overrunning_events": self.num_overrunning_events,
            "within_clips": self.within_clips.to_dict(),
            "loudness_within_clips": self.loudness_within_clips.to_dict(),
            "over_patches": _of_patches(self.over_patches),
            "over_patches_without_time": _of_patches(self.over_patches_without_time),
        }


def evaluate_within_clips(
    scores: Scores, targets: Targets, patches_per_clip: npt.NDArray[np.int64], *, label_set: LabelSet
) -> WithinClips:
    """Measure within clips how well scores say when.

    Args:
        scores: [patches, labels], clip after clip; only their order within a clip and a label matters.
        targets: bool [patches, labels].
        patches_per_clip: int64 [clips].
        label_set: names the columns.

    Raises:
        ScoreError: the shapes do not fit one another, or a score is nan or infinite.
    """
    if scores.shape != targets.shape or scores.shape != (int(np.sum(patches_per_clip)), len(label_set)):
        raise ScoreError(
            f"scores are {scores.shape}, targets {targets.shape}; both must be [{np.sum(patches_per_clip)} patches of "
            f"these clips, {len(label_set)} labels]"
        )
    num_labels = len(label_set)
    clips_per_label = np.zeros(num_labels, dtype=np.int64)
    sums = np.zeros((3, num_labels))  # AUC, AP, its chance
    num_clips = first = 0
    for num_patches in patches_per_clip.tolist():
        clip = slice(first, first + num_patches)
        first += num_patches
        num_positives = np.count_nonzero(targets[clip], axis=0)
        partly = np.flatnonzero((num_positives > 0) & (num_positives < num_patches))
        if not len(partly):
            continue
        ranking = rank_labels(scores[clip][:, partly], targets[clip][:, partly])
        chances = random_average_precision(num_positives[partly], num_patches)
        sums[:, partly] += (ranking.auc, ranking.average_precision, chances)
        clips_per_label[partly] += 1
        num_clips += 1
    means = np.full_like(sums, np.nan)
    np.divide(sums, clips_per_label, out=means, where=clips_per_label > 0)
    is_defined = clips_per_label > 0
    mean_auc, mean_precision, chance = means[:, is_defined].mean(axis=1) if is_defined.any() else [math.nan] * 3
    rows = zip(label_set.ids, label_set.names, clips_per_label.tolist(), *means.tolist(), strict=True)
    return WithinClips(
        num_clips=num_clips,
        num_labels=num_labels,
        num_undefined_labels=int(np.count_nonzero(~is_defined)),
        mean_auc=float(mean_auc),
        mean_average_precision=float(mean_precision),
        chance_mean_average_precision=float(chance),
        labels=tuple(LabelWithinClips(*row) for row in rows),
    )


def random_average_precision(num_positives: npt.NDArray[Any], num_patches: int) -> npt.NDArray[np.float64]:
    """The average precision that patches in random order have on average.

    Args:
        num_positives: [any], each at least 1.
        num_patches: of the clip, at least 2.
    """
    harmonic = float(np.sum(1.0 / np.arange(1, num_patches + 1)))
    result: npt.NDArray[np.float64] = (num_positives - 1) / (num_patches - 1) + harmonic * (
        num_patches - num_positives
    ) / (num_patches * (num_patches - 1))
    return result


def _of_patches(evaluation: Evaluation) -> dict[str, Any]:
    return {"num_patches" if name == "num_clips" else name: value for name, value in evaluation.to_dict().items()}
