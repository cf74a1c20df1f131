"""The measures: AUC, d-prime, average precision, 1-best accuracy, confusion. This text is their definition.

Arrays are [clips, labels]. Scores are any numbers of which larger means more likely; only their order is
used, within a label (AUC, average precision) or within a clip (1-best, confusion). They are never rescaled.
Targets are bool: the clip has the label.

For one label with P positive and N negative clips:

    AUC  = share of the P * N (positive, negative) pairs in which the positive has the larger score;
           a pair of equal scores counts one half
    AP   = mean over the P positives of the precision at that positive's score: of the clips that score at or
           above it, the share that are positive. Clips of equal score share one threshold, so that their
           order cannot matter, and a constant score has the label's prior P / (P + N) as its AP
    d'   = sqrt(2) * inverse normal CDF of an AUC

Both need only, for every positive, how many clips score above and at or above it; these counts are exact
integers (`rank_counts` has them without sorting the clips). So an AUC is one division of integers, and the terms of an
AP are added from the lowest positive score up: neither can depend on the order of the clips, on how they are read, or
on more of the scores than their order. AUC is undefined (nan) without positives or without negatives, AP without
positives.

For one clip that has labels:

    1-best = 1 if the label with the largest score is among the clip's labels, else 0. Labels that share the
             largest score share the answer: the value is the share of them that are the clip's, which is what
             picking one of them at random gives on average. No order of labels is preferred

Clips without labels have no 1-best and are left out of it. They count as negatives in AUC and AP.

References: Hershey et al. 2017, section 4 (AUC, d-prime, mAP; 1-best during training); Fawcett 2006 (AUC with
ties); Macmillan and Creelman 2004 (the half-count bound of d-prime).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from earwitness.errors import ScoreError
from earwitness.evaluation.rank_counts import count_ranks

Scores = npt.NDArray[Any]
"""Numbers [clips, labels], larger is more likely."""
Targets = npt.NDArray[np.bool_]
"""bool [clips, labels]: the clip has the label."""
PerLabel = npt.NDArray[np.float64]
"""float64 [labels]."""

_BLOCK_LABELS = 64
"""Labels copied out together: whole cache lines of a clip-major table, little memory."""
_BLOCK_CLIPS = 4096
"""Clips compared together where a clip's labels are ranked."""


@dataclass(frozen=True)
class Ranking:
    """How well each label ranks the clips."""

    num_positives: npt.NDArray[np.int64]
    """int64 [labels]: clips that have the label."""
    auc: PerLabel
    """float64 [labels]; nan without positives or without negatives."""
    average_precision: PerLabel
    """float64 [labels]; nan without positives."""


def rank_labels(scores: Scores, targets: Targets) -> Ranking:
    """AUC and average precision of each label, which share their counts.

    Args:
        scores: [clips, labels].
        targets: bool [clips, labels].

    Raises:
        ScoreError: the shapes differ, the targets are not bool, or a score is nan or infinite.
    """
    scores, targets = _checked(scores, targets)
    num_labels = scores.shape[1]
    num_positives = np.count_nonzero(targets, axis=0).astype(np.int64)
    auc = np.full(num_labels, np.nan)
    precision = np.full(num_labels, np.nan)
    for start in range(0, num_labels, _BLOCK_LABELS):
        block = slice(start, start + _BLOCK_LABELS)
        label_scores = np.ascontiguousarray(scores[:, block].T)
        label_targets = np.ascontiguousarray(targets[:, block].T)
        for label, (own, is_positive) in enumerate(zip(label_scores, label_targets, strict=True), start=start):
            auc[label], precision[label] = rank_label(own, np.flatnonzero(is_positive))
    return Ranking(num_positives, auc, precision)


def rank_label(scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64]) -> tuple[float, float]:
    """AUC and average precision of one label.

    Args:
        scores: finite numbers [clips].
        positive_clips: positions of the clips that have the label, each once.

    Returns:
        AUC, nan without positives or without negatives; AP, nan without positives.
    """
    positives, negatives = len(positive_clips), len(scores) - len(positive_clips)
    if not positives:
        return math.nan, math.nan
    counts = count_ranks(scores, positive_clips)
    own = counts.positives_at_or_above - counts.positives_above  # positives of each distinct score
    precision = float((own * (counts.positives_at_or_above / counts.at_or_above)).sum()) / positives
    if not negatives:
        return math.nan, precision
    # every negative above a positive loses its pair, every equal one loses half of it
    lost_halves = counts.above - counts.positives_above + counts.at_or_above - counts.positives_at_or_above
    return 1.0 - int(own @ lost_halves) / (2 * positives * negatives), precision


def roc_auc(scores: Scores, targets: Targets) -> PerLabel:
    """Area under the ROC curve of each label over clips; equal scores count one half.

    Args:
        scores: [clips, labels].
        targets: bool [clips, labels].

    Returns:
        float64 [labels]; nan where a label has no positive or no negative clip.

    Raises:
        ScoreError: the shapes differ, the targets are not bool, or a score is nan or infinite.
    """
    return rank_labels(scores, targets).auc


def average_precision(scores: Scores, targets: Targets) -> PerLabel:
    """Average precision of each label, ranked over clips; equal scores share one threshold.

    Args:
        scores: [clips, labels].
        targets: bool [clips, labels].

    Returns:
        float64 [labels]; nan where a label has no positive clip, 1 where it has no negative one.

    Raises:
        ScoreError: the shapes differ, the targets are not bool, or a score is nan or infinite.
    """
    return rank_labels(scores, targets).average_precision


def auc_to_dprime(auc: npt.ArrayLike, *, num_pairs: npt.ArrayLike | None = None) -> Any:
    """d-prime, sqrt(2) * inverse normal CDF of an AUC: the distance of two unit normals that would have this
    AUC.

    Args:
        auc: one AUC or an array of them, in [0, 1] or nan.
        num_pairs: how many (positive, negative) pairs lie behind each AUC. If given, an AUC is held half a
            pair away from 0 and 1, so that a label ranked without error has a finite d-prime that grows with
            the evidence for it. If None, 1 gives inf and 0 gives -inf.

    Returns:
        float64 of the shape of `auc`; nan stays nan.
    """
    auc = np.asarray(auc, dtype=np.float64)
    if num_pairs is not None:
        margin = 0.5 / np.maximum(np.asarray(num_pairs, dtype=np.float64), 1.0)
        auc = np.clip(auc, margin, 1.0 - margin)
    return np.sqrt(2.0) * ndtri(auc)


def one_best_accuracy(scores: Scores, targets: Targets) -> float:
    """Share of clips whose top-scored label is among their labels; labels tied for the top share the answer.

    Args:
        scores: [clips, labels]; compared within a clip.
        targets: bool [clips, labels]. Clips without a label are left out.

    Returns:
        A number in [0, 1]; nan if no clip has a label. Where every clip has one label this is plain accuracy.

    Raises:
        ScoreError: the shapes differ, the targets are not bool, or a score is nan or infinite.
    """
    scores, targets = _checked(scores, targets)
    right = 0.0
    labelled = 0
    for answers, block in _top_labels(scores, targets):
        right += float(np.sum(answers, where=block))
        labelled += int(np.count_nonzero(block.any(axis=1)))
    return right / labelled if labelled else float("nan")


def confusion_matrix(scores: Scores, targets: Targets) -> npt.NDArray[np.float64]:
    """How often each label was answered for each label, where every clip has exactly one.

    Args:
        scores: [clips, labels]; compared within a clip.
        targets: bool [clips, labels], one label a clip.

    Returns:
        float64 [true labels, answered labels]: numbers of clips. A clip whose largest score is shared by k
        labels counts 1/k for each, so that rows add up to the clips of a label, and trace / clips is the
        1-best accuracy.

    Raises:
        ScoreError: as for `one_best_accuracy`, and if a clip has no label or several.
    """
    scores, targets = _checked(scores, targets)
    if not has_one_label_each(targets):
        raise ScoreError("confusion matrix: every clip must have exactly one label; use AUC and AP instead")
    counts = np.zeros((targets.shape[1],) * 2)
    for answers, block in _top_labels(scores, targets):
        counts += block.T.astype(np.float64) @ answers
    return counts


def has_one_label_each(targets: Targets) -> bool:
    """Whether every clip has exactly one label (and there is a clip)."""
    return bool(len(targets)) and bool(np.all(np.count_nonzero(targets, axis=1) == 1))


def _top_labels(scores: Scores, targets: Targets) -> Iterator[tuple[npt.NDArray[np.float64], Targets]]:
    """By blocks of clips: the answer, shared by the top-scored labels [clips, labels], and the targets."""
    if scores.shape[1] == 0:
        return
    for start in range(0, len(scores), _BLOCK_CLIPS):
        block = scores[start : start + _BLOCK_CLIPS]
        is_top = block == block.max(axis=1, keepdims=True)
        yield is_top / np.count_nonzero(is_top, axis=1, keepdims=True), targets[start : start + _BLOCK_CLIPS]


def _checked(scores: Scores, targets: Targets) -> tuple[Scores, Targets]:
    scores, targets = np.asarray(scores), np.asarray(targets)
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ScoreError(f"scores are {scores.shape}, targets {targets.shape}; both must be [clips, labels] and equal")
    if targets.dtype != np.bool_:
        raise ScoreError(f"targets must be bool (the clip has the label), came {targets.dtype}")
    if scores.dtype.kind not in "fiu":
        raise ScoreError(f"scores must be numbers, came {scores.dtype}")
    # minimum and maximum show nan and infinity without a mask as large as the scores
    if scores.size and not np.isfinite([scores.min(), scores.max()]).all():
        clip, label = next(
            (start + int(row), int(column))
            for start in range(0, len(scores), _BLOCK_CLIPS)
            for row, column in np.argwhere(~np.isfinite(scores[start : start + _BLOCK_CLIPS]))[:1]
        )
        raise ScoreError(
            f"scores: clip row {clip}, label column {label} (both from 0) is {scores[clip, label]}; "
            "every score must be a finite number"
        )
    return scores, targets
