"""Which run a number falls in, where runs of different lengths lie end to end: the clip of a patch, for one.

A binary search among 70 million ends waits for the memory some twenty times for each number. So a table says for every
so many numbers in which run they begin: what is left is to search among the few runs between two of its entries, which
lie side by side in memory. Drawing from many clips takes hardly longer than drawing from few.
"""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

_RUNS_AN_ENTRY = 4
"""How many runs lie between two entries, on average: half as many to twice as many."""
_FEW = 4_096
"""Ends that a binary search finds in a processor's cache."""


class RunFinder:
    """Finds runs by their ends. Memory: 0.5 to 2 bytes a run, beside the ends themselves."""

    def __init__(self, stops: Indices) -> None:
        """Make the table.

        Args:
            stops: int64 [runs], ascending, kept and not to be changed: run r holds the numbers from the end of the one
                before to `stops[r]`, exclusive. Ends may repeat: such a run is empty.
        """
        self._stops = stops
        self._shift = 0
        """Numbers between two entries, as a power of two."""
        self._table: npt.NDArray[np.unsignedinteger] | None = None
        """The run that number `entry << shift` falls in; behind the last number, the last run."""
        if len(stops) > _FEW:
            self._shift = max(0, round(np.log2(max(1, stops[-1]) * _RUNS_AN_ENTRY / len(stops))))
            entries = np.arange((int(stops[-1]) >> self._shift) + 2, dtype=np.int64) << self._shift
            runs = np.minimum(np.searchsorted(stops, entries, side="right"), len(stops) - 1)
            self._table = runs.astype(np.min_scalar_type(len(stops)))

    def find(self, numbers: Indices) -> Indices:
        """The run of each number, int64 [n]; all must be at least 0 and below the last end."""
        if self._table is None:
            return np.searchsorted(self._stops, numbers, side="right")
        entries = numbers >> self._shift
        low, high = self._table[entries].astype(np.int64), self._table[entries + 1].astype(np.int64)
        for _ in range(int(np.max(high - low, initial=0)).bit_length()):
            middle = (low + high) >> 1
            is_beyond = self._stops[middle] <= numbers
            low = np.where(is_beyond, middle + 1, low)
            high = np.where(is_beyond, high, middle)
        found: Indices = low
        return found
