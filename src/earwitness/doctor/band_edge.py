"""Where the sound of a clip ends above: a sharp edge in its long-term spectrum that no natural sound has.

Resampling from a lower rate, a telephone and a codec at few bits cut everything off within some hundred Hz; nature
fades out. An edge is a frequency f where the spectrum falls by 25 dB from just below (0.88 f to 0.98 f) to just above
(1.04 f to 1.16 f), where nothing further up comes back, and where it fell much less before. Levels are averaged in dB,
and no cell below the edge may lie far down, so that single tones count for little.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_DROP_DB = 25.0
MIN_STEEPER = 2.0
"""The drop at an edge is at least so many times the fall over as wide a stretch below it."""
MAX_RETURN_DB = 10.0
"""Three cells in a row further up may be so much louder than what follows the edge: animals leave gaps between their
harmonics."""
MIN_EDGE_HZ = 1_800.0
"""The lowest rate that sound is kept at is 4 kHz; below its edge, voices of animals end as sharply."""
FLOOR_DB = 100.0
"""What lies so far below the loudest cell is taken for nothing."""


@dataclass(frozen=True, kw_only=True)
class BandEdge:
    """A sharp upper edge."""

    hz: float
    drop_db: float


def find_edge(power: NDArray[np.float64], hz: NDArray[np.float64]) -> BandEdge | None:
    """The sharpest edge of a long-term power spectrum.

    Args:
        power: [cells], mean power in each.
        hz: [cells], ascending: the middle of each.

    Returns:
        None where there is no sharp edge, or no power at all.
    """
    loudest = power.max(initial=0.0)
    if loudest <= 0:
        return None
    level = 10 * np.log10(np.maximum(power, loudest * 10 ** (-FLOOR_DB / 10)))
    sums = np.append(0.0, np.cumsum(level))
    edges = 0.5 * (hz[1:] + hz[:-1])
    edges = edges[edges >= MIN_EDGE_HZ]
    bounds = np.searchsorted(hz, np.multiply.outer([0.78, 0.88, 0.98, 1.04, 1.16], edges))

    def mean(first: int, stop: int, least: int) -> NDArray[np.float64]:
        counts = bounds[stop] - bounds[first]
        means = (sums[bounds[stop]] - sums[bounds[first]]) / np.maximum(counts, 1)
        return np.where(counts >= least, means, np.nan)

    before, below, above = mean(0, 1, 1), mean(1, 2, 1), mean(3, 4, 2)
    runs = np.convolve(level, np.full(3, 1 / 3), mode="valid")  # runs[i]: cells i to i + 2
    highest_from = np.append(np.maximum.accumulate(runs[::-1])[::-1], np.full(3, -np.inf))
    returning = highest_from[bounds[4]]
    drops = below - above
    lowest_below = np.minimum.reduceat(np.append(level, np.inf), bounds[1:3].T.ravel())[::2]
    with np.errstate(invalid="ignore"):  # nan: too few cells
        is_edge = (drops >= np.maximum(MIN_DROP_DB, MIN_STEEPER * (before - below))) & (
            returning <= above + MAX_RETURN_DB
        )
        is_edge &= lowest_below >= above + MIN_DROP_DB / 2
    if not is_edge.any():
        return None
    sharpest = int(np.argmax(np.where(is_edge, drops, -np.inf)))
    first, stop = int(bounds[1, sharpest]), int(bounds[4, sharpest])
    last_above = first + int(np.flatnonzero(level[first:stop] >= below[sharpest] - MIN_DROP_DB / 2)[-1])
    return BandEdge(hz=float(hz[last_above : last_above + 2].mean()), drop_db=float(drops[sharpest]))


def upper_hz(power: NDArray[np.float64], hz: NDArray[np.float64], *, below_loudest_db: float = 60.0) -> float | None:
    """The highest frequency at which a spectrum is within 60 dB of its loudest; None where there is no power."""
    loudest = power.max(initial=0.0)
    if loudest <= 0:
        return None
    return float(hz[np.flatnonzero(power >= loudest * 10 ** (-below_loudest_db / 10))[-1]])
