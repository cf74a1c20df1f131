"""The measures of every label, in one pass over the scores by blocks of labels.

Blocks are read and measured in several threads (NumPy lets go of the interpreter in all that takes long here), each of
which holds one block at a time. A label's measures depend on nothing but its own scores, and what is added over labels
is added in their order: the result is the same, to the bit, for every size of blocks and number of threads.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.evaluation.blocks import SCORE_BYTES
from earwitness.evaluation.bootstrap import AnswerReplicates, LabelReplicates, ReplicateMeans, Replicates, Resampling
from earwitness.evaluation.curves import calibration_error
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import auc_to_dprime, rank_label
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.evaluation.thresholds import Decisions, at_threshold
from earwitness.parallel import usable_cpus

_BLOCKS_PER_WORKER = 4
"""At least, so that threads end at about the same time."""
_LEAST_BLOCK_BYTES = 2**24
"""Less is not worth a thread."""

_Measured = TypeVar("_Measured")


@dataclass(frozen=True)
class LabelMeasures:
    """The measures of one label; nan where undefined."""

    auc: float
    average_precision: float
    calibration_error: float
    """nan where the scores are no probabilities, too."""
    are_probabilities: bool
    """Whether the scores are floats in [0, 1]."""
    decisions: Decisions | None
    """At the label's threshold; None where that is nan."""
    auc_interval: Interval | None
    """None without resampling, and where it says nothing (see `bootstrap`)."""
    average_precision_interval: Interval | None
    """Likewise."""


_MeasuredLabel = tuple[LabelMeasures, LabelReplicates | None, AnswerReplicates | None]
"""A label's measures, and ranks and answers in every resample: None where undefined, and without resampling."""


@dataclass(frozen=True)
class MeanReplicates:
    """What clips drawn anew give: float64 [resamples], means over the labels that are then defined, and answers of all
    labels together; nan where there are none.
    """

    mean_auc: Replicates
    mean_label_dprime: Replicates
    mean_average_precision: Replicates
    mean_precision: Replicates
    mean_recall: Replicates
    mean_f1: Replicates
    micro_precision: Replicates
    micro_recall: Replicates
    micro_f1: Replicates


def measure_labels(
    source: ScoreSource,
    positives: Positives,
    *,
    label_ids: Sequence[str],
    thresholds: npt.NDArray[np.float64],
    resampling: Resampling | None,
    memory_bytes: int,
    workers: int | None,
    on_labels: Callable[[int], None] | None,
) -> tuple[list[LabelMeasures], MeanReplicates | None]:
    """Measure every label.

    Args:
        source: of as many clips and labels as `positives`; at least one clip.
        positives: which clips carry which labels.
        label_ids: what complaints call the labels.
        thresholds: [labels]; nan: the label has none.
        resampling: draws the clips anew; None: never.
        memory_bytes: of the blocks that all threads hold together.
        workers: threads. None: one for each processor.
        on_labels: called with the number of labels done since the last call.

    Returns:
        Each label's measures, in order; and those over clips drawn anew, None without resampling.

    Raises:
        ScoreError: a score is nan or infinite.
    """
    workers = workers or usable_cpus()
    num_labels = source.num_labels
    num_pairs = positives.num_positives * (positives.num_clips - positives.num_positives)
    size = _block_labels(source, memory_bytes=memory_bytes, workers=workers)

    def measure(first: int) -> list[_MeasuredLabel]:
        block = source.label_block(first, min(first + size, num_labels))
        return [
            _measure(
                scores,
                positives.of(label),
                label_id=label_ids[label],
                threshold=float(thresholds[label]),
                resampling=resampling,
            )
            for label, scores in enumerate(block, start=first)
        ]

    measures: list[LabelMeasures] = []
    drawn = _Drawn(resampling.resamples) if resampling is not None else None
    for block in _in_order(measure, range(0, num_labels, size), workers=workers):
        for label, replicates, answers in block:
            if drawn is not None:
                drawn.add(replicates, answers, num_pairs=int(num_pairs[len(measures)]))
            measures.append(label)
        if on_labels is not None:
            on_labels(len(block))
    return measures, drawn.means() if drawn is not None else None


class _Drawn:
    """What clips drawn anew give, label after label."""

    def __init__(self, resamples: int) -> None:
        self._ranking = [ReplicateMeans(resamples) for _ in range(3)]
        self._answers = [ReplicateMeans(resamples) for _ in range(3)]
        self._pooled = AnswerReplicates(*(np.zeros(resamples) for _ in range(3)))

    def add(self, ranks: LabelReplicates | None, answers: AnswerReplicates | None, *, num_pairs: int) -> None:
        """Add a label: its ranks, None where it is undefined; its answers, None where it has no threshold."""
        if answers is not None:
            self._pooled += answers
        if ranks is None:
            return
        values = ranks.auc, auc_to_dprime(ranks.auc, num_pairs=num_pairs), ranks.average_precision
        for mean, value in zip(self._ranking, values, strict=True):
            mean.add(value)
        if answers is not None:
            for mean, value in zip(self._answers, (answers.precision, answers.recall, answers.f1), strict=True):
                mean.add(np.where(np.isnan(ranks.auc), np.nan, value))  # of the labels defined in the resample

    def means(self) -> MeanReplicates:
        auc, dprime, average_precision = (mean.means() for mean in self._ranking)
        precision, recall, f1 = (mean.means() for mean in self._answers)
        return MeanReplicates(
            mean_auc=auc,
            mean_label_dprime=dprime,
            mean_average_precision=average_precision,
            mean_precision=precision,
            mean_recall=recall,
            mean_f1=f1,
            micro_precision=self._pooled.precision,
            micro_recall=self._pooled.recall,
            micro_f1=self._pooled.f1,
        )


def _block_labels(source: ScoreSource, *, memory_bytes: int, workers: int) -> int:
    """Labels of a block: what memory holds, but enough blocks for all threads where they are worth it."""
    label_bytes = SCORE_BYTES * source.num_clips  # of float32, half is left to sort scores in
    shared_out = -(-source.num_labels // (_BLOCKS_PER_WORKER * workers))
    worth_it = _LEAST_BLOCK_BYTES // label_bytes
    return max(1, min(memory_bytes // (workers * label_bytes), max(shared_out, worth_it)))


def _in_order(measure: Callable[[int], _Measured], starts: Sequence[int], *, workers: int) -> Iterator[_Measured]:
    if workers == 1 or len(starts) == 1:
        yield from map(measure, starts)
        return
    with ThreadPoolExecutor(min(workers, len(starts))) as threads:
        yield from threads.map(measure, starts)


def _measure(
    scores: npt.NDArray[Any],
    positive_clips: npt.NDArray[np.int64],
    *,
    label_id: str,
    threshold: float,
    resampling: Resampling | None,
) -> _MeasuredLabel:
    lowest, highest = scores.min(), scores.max()  # they show nan and infinity without a mask as long as the scores
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        clip = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ScoreError(
            f"scores: clip row {clip} (from 0), label {label_id!r} is {scores[clip]}; every score must be a finite "
            "number"
        )
    is_probable = bool(scores.dtype.kind == "f" and lowest >= 0 and highest <= 1)
    auc, precision = rank_label(scores, positive_clips)
    is_defined = not math.isnan(auc)
    replicates = None
    if resampling is not None and is_defined:
        replicates = resampling.label(scores, positive_clips, measures=(auc, precision))
    answers = None
    if resampling is not None and not math.isnan(threshold):
        answers = resampling.answers(scores, positive_clips, threshold)
    measures = LabelMeasures(
        auc=auc,
        average_precision=precision if is_defined else math.nan,
        calibration_error=calibration_error(scores, positive_clips) if is_defined and is_probable else math.nan,
        are_probabilities=is_probable,
        decisions=None if math.isnan(threshold) else at_threshold(scores, positive_clips, threshold),
        auc_interval=replicates.auc_interval if replicates is not None else None,
        average_precision_interval=replicates.average_precision_interval if replicates is not None else None,
    )
    return measures, replicates, answers
