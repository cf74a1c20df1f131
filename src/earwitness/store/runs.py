"""Which run a number falls in, where runs of different lengths lie end to end: the clip of a patch, for one.

A binary search among 70 million ends waits for the memory some twenty times for each number. So every 64th end is
kept apart, and every 64th of those, until the last fit a processor's cache: what is left is to compare each number
with 64 neighbours, once for each level. Drawing from many clips takes hardly longer than drawing from few.
"""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

_STRIDE = 64
_TOP_SIZE = 4_096
"""Ends that a binary search finds in the cache."""
_MANY = 16_384
"""Numbers for which their neighbours, too, would need much memory; among many, the search waits less for each."""


class RunFinder:
    """Finds runs by their ends. Memory: 2 % of the ends, beside themselves."""

    def __init__(self, stops: Indices) -> None:
        """Keep the ends of the runs, which must not change any more.

        Args:
            stops: int64 [runs], ascending: run r holds the numbers from the end of the one before to `stops[r]`,
                exclusive. Ends may repeat: such a run is empty.
        """
        self._levels = [stops]
        while len(self._levels[-1]) > _TOP_SIZE:
            below = self._levels[-1]
            # the last one stands for all that come behind the last full stride
            every = np.append(np.arange(_STRIDE - 1, len(below) - 1, _STRIDE), len(below) - 1)
            self._levels.append(below[every])

    def find(self, numbers: Indices) -> Indices:
        """The run of each number, int64 [n]; all must be at least 0 and below the last end."""
        if len(numbers) > _MANY:
            return np.searchsorted(self._levels[0], numbers, side="right")
        *below, top = self._levels
        runs = np.searchsorted(top, numbers, side="right")
        for level in reversed(below):
            firsts = runs * _STRIDE
            neighbours = np.minimum(firsts[:, None] + np.arange(_STRIDE), len(level) - 1)
            runs = firsts + np.count_nonzero(level[neighbours] <= numbers[:, None], axis=1)
        return runs
