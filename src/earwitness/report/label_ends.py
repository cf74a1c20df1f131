"""The labels that are heard best and worst: the same in terminal, summary, page and model card."""

from collections.abc import Sequence
from dataclasses import dataclass

from earwitness.evaluation.summary import LabelResult

LEAST_POSITIVES = 10
"""Fewest clips of a label that is shown as heard best or worst, where enough labels have so many."""


@dataclass(frozen=True, kw_only=True)
class LabelEnds:
    """Both ends of the labels by average precision."""

    best: tuple[LabelResult, ...]
    """Best first."""
    worst: tuple[LabelResult, ...]
    """Worst first; empty where all labels are among the best."""
    is_limited: bool
    """Whether labels of fewer than `LEAST_POSITIVES` clips were left out."""


def label_ends(labels: Sequence[LabelResult], *, most: int) -> LabelEnds:
    """Up to `most` labels from either end; all of them as the best where there are no more than `2 * most`."""
    defined = [label for label in labels if label.is_defined]
    frequent = [label for label in defined if label.num_positives >= LEAST_POSITIVES]
    is_limited = 2 * most < len(frequent) < len(defined)
    ranked = sorted(frequent if is_limited else defined, key=lambda label: -label.average_precision)
    if len(ranked) <= 2 * most:
        return LabelEnds(best=tuple(ranked), worst=(), is_limited=False)
    return LabelEnds(best=tuple(ranked[:most]), worst=tuple(ranked[: -most - 1 : -1]), is_limited=is_limited)
