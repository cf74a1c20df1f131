"""Where the sound of a clip ends above: a sharp edge in its long-term spectrum that no natural sound has.

Resampling from a lower rate, a telephone and a codec at few bits cut everything off within some hundred Hz; nature
fades out. An edge is a frequency f where the spectrum falls by 25 dB from just below (0.88 f to 0.98 f) to just above
(1.04 f to 1.16 f), where nothing further up comes back, and where it fell much less before. Levels are averaged in dB,
and no cell below the edge may lie far down, so that single tones count for little.

A mean says little of a sound that changes: a bark may end there whose echo does not. So the loudest moments are looked
at one by one: wherever there is sound just below the edge, there must be next to none above, up to the top.
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

NUM_MOMENTS = 64
"""The loudest moments that are kept."""
WITHIN_DB = 25.0
"""Moments count whose level just below the edge is so near the highest there."""
EMPTY_DB = 17.0
"""A moment ends at the edge where the mean power of all above lies so far below the power just below."""
MIN_SHARE_ENDING = 0.9
"""Of the moments that count."""


@dataclass(frozen=True, kw_only=True)
class BandEdge:
    """A sharp upper edge."""

    hz: float
    drop_db: float


class LoudestMoments:
    """Keeps the spectra of the loudest moments of a clip."""

    def __init__(self) -> None:
        self._kept: NDArray[np.float32] | None = None

    def push(self, power: NDArray[np.float32]) -> None:
        """Take in spectra, float32 [moments, cells]."""
        kept = power if self._kept is None else np.concatenate([self._kept, power])
        if len(kept) > NUM_MOMENTS:
            totals = kept.sum(axis=1)
            kept = kept[np.sort(np.argpartition(-totals, NUM_MOMENTS)[:NUM_MOMENTS])]
        self._kept = kept

    def result(self) -> NDArray[np.float32]:
        """[moments, cells]; none where nothing came."""
        return np.empty((0, 0), np.float32) if self._kept is None else self._kept


def find_edge(
    power: NDArray[np.float64], hz: NDArray[np.float64], *, moments: NDArray[np.float32] | None = None
) -> BandEdge | None:
    """The sharpest edge of a long-term power spectrum.

    Args:
        power: [cells], mean power in each.
        hz: [cells], ascending: the middle of each.
        moments: [moments, cells]: the loudest ones, which must end there, too; None looks at the mean alone.

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
    edge_hz = float(hz[last_above : last_above + 2].mean())
    if moments is not None and not _moments_end_at(edge_hz, moments, hz):
        return None
    return BandEdge(hz=edge_hz, drop_db=float(drops[sharpest]))


def _moments_end_at(edge_hz: float, moments: NDArray[np.float32], hz: NDArray[np.float64]) -> bool:
    """Whether nearly all moments with sound just below an edge have next to none above it."""
    if hz[-1] < 1.04 * edge_hz:
        return True  # there is no above
    below = moments[:, (hz >= 0.88 * edge_hz) & (hz < 0.98 * edge_hz)].mean(axis=1, dtype=np.float64)
    above = moments[:, hz >= 1.04 * edge_hz].mean(axis=1, dtype=np.float64)
    counts = below >= below.max(initial=0.0) * 10 ** (-WITHIN_DB / 10)
    return float(np.mean(above[counts] <= below[counts] * 10 ** (-EMPTY_DB / 10))) >= MIN_SHARE_ENDING


def upper_hz(power: NDArray[np.float64], hz: NDArray[np.float64], *, below_loudest_db: float = 60.0) -> float | None:
    """The highest frequency at which a spectrum is within 60 dB of its loudest; None where there is no power."""
    loudest = power.max(initial=0.0)
    if loudest <= 0:
        return None
    return float(hz[np.flatnonzero(power >= loudest * 10 ** (-below_loudest_db / 10))[-1]])
