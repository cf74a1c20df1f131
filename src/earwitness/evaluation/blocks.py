"""Reading a source of scores by checked blocks, as many clips or labels at a time as a budget of memory holds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource

SCORE_BYTES = 8
"""A score's size at most; what it is shows only once a block is read."""


def require_same_table(source: ScoreSource, positives: Positives) -> None:
    """Scores and labels are of equally many clips and labels.

    Raises:
        ScoreError: they are not.
    """
    scored, labelled = (source.num_clips, source.num_labels), (positives.num_clips, positives.num_labels)
    if scored != labelled:
        raise ScoreError(f"scores are {scored}, targets {labelled}; both must be [clips, labels] and equal")


def clip_blocks(source: ScoreSource, *, memory_bytes: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """All scores by blocks of clips: the first clip, and scores [clips of the block, labels].

    Raises:
        ScoreError: a score is nan or infinite.
    """
    size = max(1, memory_bytes // max(SCORE_BYTES * source.num_labels, 1))
    for first in range(0, source.num_clips, size):
        block = source.clip_block(first, min(first + size, source.num_clips))
        _require_finite(block, first_clip=first, first_label=0)
        yield first, block


def label_blocks(source: ScoreSource, *, memory_bytes: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """All scores by blocks of labels: the first label, and scores [labels of the block, clips].

    Raises:
        ScoreError: a score is nan or infinite.
    """
    size = max(1, memory_bytes // max(SCORE_BYTES * source.num_clips, 1))
    for first in range(0, source.num_labels, size):
        block = source.label_block(first, min(first + size, source.num_labels))
        _require_finite(block.T, first_clip=0, first_label=first)
        yield first, block


def label_rows(source: ScoreSource, *, memory_bytes: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Each label with its scores [clips], read by blocks of labels.

    Raises:
        ScoreError: a score is nan or infinite.
    """
    for first, block in label_blocks(source, memory_bytes=memory_bytes):
        yield from enumerate(block, start=first)


def _require_finite(scores: npt.NDArray[Any], *, first_clip: int, first_label: int) -> None:
    """Scores are [clips, labels]."""
    # minimum and maximum show nan and infinity without a mask as large as the scores
    if scores.size and not (np.isfinite(scores.min()) and np.isfinite(scores.max())):
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise ScoreError(
            f"scores: clip row {first_clip + row}, label column {first_label + column} (both from 0) is "
            f"{scores[row, column]}; every score must be a finite number"
        )
