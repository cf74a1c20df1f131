"""For each positive clip of a label, how many clips score above it and how many at or above it: exact, mostly unsorted.

AUC and average precision need no more than these counts (see `metrics`). Sorting all scores would give them, but a
label has few positives among many clips, and the order of clips that lie between two positives does not matter.

So scores fall into many narrow bins from the lowest positive to the highest, which are counted. A bin without a
positive is done with that: its clips lie above every positive below it. Clips in the bin of a positive are compared
with that positive, so that ties, be they as many as they like, take one look more. Where several positives of different
scores share a bin, its clips are compared with each of them, or sorted, whichever takes less.

Measured on 1,000,000 float32 scores with 33 positives on one core: 3 ms, against 32 ms for sorting them. So there is no
compiled code: NumPy's own loops are enough.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""int64 [values]: of each distinct score of positives, ascending."""
ToBins = Callable[[npt.NDArray[Any]], npt.NDArray[np.intp]]
"""Scores to the numbers of their bins, which never fall where scores rise."""

_FEW_CLIPS = 6000
"""Sorted without further ado."""
_FEW_VALUES = 12
"""Compared with all clips without further ado: two passes each, of which the bins take about 30."""
_MOST_BITS = 22
"""Of a bin's number: more counters than this outgrow the cache."""
_BITS_PER_VALUE = 4
"""Bits of a bin's number beyond those of the number of values, so that few bins hold one."""
_BITS_PER_CLIP = -4
"""Bits of a bin's number beyond those of the number of clips: the bins take little to clear and to add up."""
_BLOCK_CLIPS = 2**17
"""Turned into bins together, in the cache; nothing as long as the scores is held besides them."""
_CROWD_CLIPS, _CROWD_PER_VALUE = 2**22, 4
"""Scores sorted together at least, where they come in blocks: each time, all values that share bins are looked up."""
_SORTING_NANOSECONDS = 25.0
"""Per clip."""
_COMPARING_NANOSECONDS = 0.18
"""Per clip and value."""
_CALL_NANOSECONDS = 3000.0
"""Per value compared."""


@dataclass(frozen=True)
class RankCounts:
    """Of the distinct scores of a label's positive clips, ascending."""

    above: Counts
    """Clips that score above it."""
    at_or_above: Counts
    """Clips that score at or above it."""
    positives_above: Counts
    """Of the positive clips alone."""
    positives_at_or_above: Counts
    """Likewise."""


def count_ranks(scores: npt.NDArray[Any], positive_clips: npt.NDArray[np.int64]) -> RankCounts:
    """Count the clips above, and at or above, each positive.

    Args:
        scores: finite numbers [clips] of one label; 0.0 and -0.0 are the same score.
        positive_clips: positions of the positive clips, each once, at least one.
    """
    own = np.sort(scores[positive_clips])
    changes = (own[1:] != own[:-1]).nonzero()[0]
    edges = np.empty(len(changes) + 2, dtype=np.int64)  # of the runs of equal scores
    edges[0], edges[-1] = 0, len(own)
    np.add(changes, 1, out=edges[1:-1])
    values = own[edges[:-1]]
    if len(scores) > _FEW_CLIPS and len(values) > _FEW_VALUES:
        counter = RankCounter(values, num_scores=len(scores))
        counter.add(scores)
        above, at_or_above = counter.counts()
    else:
        above, at_or_above = _by_sorting_or_comparing(scores, values)
    return RankCounts(above, at_or_above, len(own) - edges[1:], len(own) - edges[:-1])


class RankCounter:
    """Counts scores, as they come, above each of some values, and at or above it.

    Args:
        values: ascending, distinct, finite, of the type of the scores; at least one.
        num_scores: about how many are to come.
    """

    def __init__(self, values: npt.NDArray[Any], *, num_scores: int) -> None:
        self._values = values
        bits = max(len(values).bit_length() + _BITS_PER_VALUE, num_scores.bit_length() + _BITS_PER_CLIP)
        self._to_bins = _bins_between(values, bits=min(bits, num_scores.bit_length(), _MOST_BITS))
        self._above, self._at_or_above = np.zeros((2, len(values)), dtype=np.int64)
        """Of scores that were compared with every value."""
        if self._to_bins is None:
            return
        self._own_bins = self._to_bins(values)
        self._is_next_alike = self._own_bins[1:] == self._own_bins[:-1]
        self._is_crowded = np.zeros(len(values), dtype=np.bool_)
        """The values that share their bin."""
        self._is_crowded[1:] = self._is_next_alike
        self._is_crowded[:-1] |= self._is_next_alike
        self._crowded_values = values[self._is_crowded]
        num_bins = int(self._own_bins[-1]) + 2  # the last one is of all that lies above
        self._counts = np.zeros(num_bins, dtype=np.int64)
        self._has_value = np.zeros(num_bins, dtype=np.bool_)
        self._has_value[self._own_bins] = True
        self._value_in = np.zeros(num_bins, dtype=np.intp)
        self._value_in[self._own_bins] = np.arange(len(values))
        self._relations = np.zeros((len(values), 3), dtype=np.int64)
        """Scores of a value's bin below, at and above it; of no meaning for crowded ones."""
        self._crowd: list[npt.NDArray[Any]] = []
        """Scores in bins of several values, each of which must be compared with all of them."""
        self._num_crowd = 0

    def add(self, scores: npt.NDArray[Any]) -> None:
        """Count some scores [any number]."""
        if self._to_bins is None:
            above, at_or_above = _by_sorting_or_comparing(scores, self._values)
            self._above += above
            self._at_or_above += at_or_above
            return
        step = max(_BLOCK_CLIPS, len(self._counts))
        for start in range(0, len(scores), step):
            block = scores[start : start + step]
            bins = self._to_bins(block)
            self._counts += np.bincount(bins, minlength=len(self._counts))
            near = np.flatnonzero(self._has_value.take(bins))
            near_scores, near_values = block.take(near), self._value_in.take(bins.take(near))
            limits = self._values.take(near_values)
            relations = (near_scores >= limits).view(np.int8) + (near_scores > limits).view(np.int8)
            found = np.bincount(3 * near_values + relations, minlength=self._relations.size)
            self._relations += found.reshape(-1, 3)
            if len(self._crowded_values):
                self._crowd.append(near_scores[self._is_crowded.take(near_values)])
                self._num_crowd += len(self._crowd[-1])
                if self._num_crowd > max(_CROWD_CLIPS, _CROWD_PER_VALUE * len(self._crowded_values)):
                    self._compare_crowd()

    def counts(self) -> tuple[Counts, Counts]:
        """How many of the scores added are above each value, and how many at or above it."""
        if self._to_bins is None:
            return self._above, self._at_or_above
        self._compare_crowd()
        higher = np.sum(self._counts) - np.cumsum(self._counts)[self._own_bins]  # in the bins above
        # those of crowded bins are among the compared ones: each bin once
        crowded = np.where(self._is_crowded, self._counts[self._own_bins], 0)
        crowded[1:][self._is_next_alike] = 0
        compared = higher - (np.sum(crowded) - np.cumsum(crowded))
        above = np.where(self._is_crowded, compared + self._above, higher + self._relations[:, 2])
        equal = np.where(self._is_crowded, self._at_or_above - self._above, self._relations[:, 1])
        return above, above + equal

    def _compare_crowd(self) -> None:
        if self._crowd:
            above, at_or_above = _by_sorting_or_comparing(np.concatenate(self._crowd), self._crowded_values)
            self._above[self._is_crowded] += above
            self._at_or_above[self._is_crowded] += at_or_above
            self._crowd, self._num_crowd = [], 0


def _bins_between(values: npt.NDArray[Any], *, bits: int) -> ToBins | None:
    """At most 2^bits bins from the lowest value to the highest, one below and one above; None if there are none.

    Integers, and floats from 0 up, go by their bits: a float's ascend with it, and part small numbers as finely as
    large ones. If a value is negative, they go by their distance from the lowest.
    """
    kind, size = values.dtype.kind, values.itemsize
    if size > 8:
        return None
    if kind == "f" and values[0] < 0:
        real: Any = np.float64 if size == 8 else np.float32
        lowest, num_bins = real(values[0]), real(2**bits)
        with np.errstate(over="ignore", divide="ignore"):
            scale = num_bins / (real(values[-1]) - lowest)
        if not 0 < scale < np.inf:
            return None

        def by_distance(some: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
            with np.errstate(over="ignore"):
                distances: npt.NDArray[Any] = some.astype(real) - lowest
                distances *= scale
            np.clip(distances, -1, num_bins, out=distances)
            distances += 1
            return distances.astype(np.intp)

        return by_distance

    native, unsigned = values.dtype.newbyteorder("="), np.dtype(f"u{size}")

    def ascending(some: npt.NDArray[Any]) -> npt.NDArray[Any]:
        some = some.astype(native, copy=False)
        if kind == "f" and some.min() <= 0:
            some = np.maximum(some, native.type(0)) + native.type(0)  # -0.0 becomes 0.0
        keys: npt.NDArray[Any] = some.view(unsigned)
        return keys ^ unsigned.type(1 << (8 * size - 1)) if kind == "i" else keys

    lowest_key, highest_key = map(int, ascending(values[[0, -1]]))
    width = max((highest_key - lowest_key).bit_length() - bits, 0)  # a bin is 2^width keys wide
    first = max((lowest_key >> width) - 1, 0)
    last = min((highest_key >> width) + 1, int(np.iinfo(unsigned).max) >> width)

    def by_bits(some: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        bins: npt.NDArray[Any] = np.right_shift(ascending(some), unsigned.type(width))
        np.clip(bins, first, last, out=bins)
        bins -= unsigned.type(first)
        return bins.astype(np.intp)

    return by_bits


def _by_sorting_or_comparing(scores: npt.NDArray[Any], values: npt.NDArray[Any]) -> tuple[Counts, Counts]:
    comparing = len(values) * (_CALL_NANOSECONDS + _COMPARING_NANOSECONDS * len(scores))
    if comparing > _SORTING_NANOSECONDS * len(scores):
        ranked = np.sort(scores)
        above = len(ranked) - ranked.searchsorted(values, side="right")
        return above, len(ranked) - ranked.searchsorted(values, side="left")
    above, at_or_above = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.int64)
    is_counted = np.empty(len(scores), dtype=np.bool_)
    for index, value in enumerate(values):
        above[index] = np.count_nonzero(np.greater(scores, value, out=is_counted))
        at_or_above[index] = np.count_nonzero(np.greater_equal(scores, value, out=is_counted))
    return above, at_or_above
