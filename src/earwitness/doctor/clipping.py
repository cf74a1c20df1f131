"""Whether the peaks of a waveform are cut off flat, at whatever level: sound that was clipped and turned down counts.

A peak of natural sound is a parabola: a stretch of samples above a threshold that is entered with slope s, lasts L
and rises by h above the threshold has s L / (4 h) = 1. Where the top is cut off, it is entered as steeply, lasts as
long and rises less: the *flatness* s L / (4 h) is larger. Tones of any pitch stay near 1; squares do not, and count as
clipped.

Looked for in three ways, in each channel and polarity by itself, at the file's own rate:
- flat tops: stretches of three samples or more (at full scale: two) within 0.2 % of the highest sample, entered by a
  step of more than 0.4 %. What was not changed since it was clipped shows them, and almost nothing else does;
- flattened tops: of all that rises above 85 % of a high quantile, which share is flat; and whether samples pile up
  there. Codecs, resampling and rooms make cut-off peaks ripple and overshoot, so the maximum says little;
- flattened tops above 75 %, for heavy clipping, after which ripples are large.

Thresholds were set on clips of ESC-10 clipped by 3 to 20 dB, turned down, and encoded: see the tests for what is found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLAT_TOP = 0.002
"""Depth of a flat top, relative to its level."""
FLAT_STEP = 0.004
"""A flat top is entered and left by a step larger than this, relative to its level."""
FLAT_STEPS = 6.0
"""And so many times its own unevenness; of a parabola of three samples it is three times."""
FULL_SCALE = 0.9999
"""At the end of the scale, where integers cannot go on, two samples make a flat top."""
LEVEL_SPREAD = 0.02
"""Blocks whose maximum lies further below the highest are not cut off at the same level."""
HIGH_QUANTILE = 1e-3
"""Of the samples of a block: so many lie above the reference for flattened tops, but never fewer than
`MIN_HIGH_SAMPLES`."""
MIN_HIGH_SAMPLES = 48
LOUD_BLOCKS = 0.7
"""Blocks whose maximum lies below this share of the highest are too quiet to be cut off."""
REACH = 0.75
"""If fewer of them reach this share of the maximum, the block is peaky, as natural sound is, and nothing is cut off."""
MIN_FLATNESS = 2.5
MIN_RUN_SAMPLES = 3
MIN_LEVEL = 0.003
"""Blocks that stay below -50 dBFS are not looked at: there, steps are those of 16-bit samples."""


@dataclass(frozen=True, kw_only=True)
class Clipping:
    """How much of a waveform is cut off."""

    num_flat_tops: int
    """Stretches that are flat to 0.2 %."""
    flat_share: float
    """Samples in flat or flattened tops, of all."""
    flattened_share: float
    """Of the samples above 85 % of the reference: those in flattened tops."""
    pile: float
    """Samples above 85 % of the reference, for each between 70 % and 85 %: natural sound has fewer the higher."""
    heavy_share: float
    """Samples in flattened tops above 75 % of the reference, of all."""
    level: float
    """Highest sample of the polarity that is cut off."""
    at_seconds: float | None
    """Where most of it is; None where there is none."""

    @property
    def is_clipped(self) -> bool:
        """Three flat tops are no accident. Flattened ones must be many, most of what reaches so high, and piled up
        there.
        """
        return (
            self.num_flat_tops >= 3
            or (self.flattened_share >= 0.4 and self.flat_share >= 5e-4 and self.pile >= 0.6)
            or self.heavy_share >= 0.02
        )


class ClippingMeter:
    """One polarity of one channel, in blocks."""

    def __init__(self) -> None:
        self._num_samples = 0
        self._tops = _Count(2)
        self._flattened = _Count(4)
        self._worst = 0
        self._at_seconds: float | None = None

    def push(self, samples: NDArray[np.float32], *, peak: float, start_seconds: float) -> None:
        """Take in a block.

        Args:
            samples: float32 [samples], to be looked at where they are highest.
            peak: its maximum.
            start_seconds: where it begins.
        """
        self._num_samples += len(samples)
        if peak < MIN_LEVEL:
            return
        num_flat = 0
        if self._tops.is_of_level(peak, 1 - LEVEL_SPREAD):
            num_tops, num_flat = _flat_tops(samples, peak)
            self._tops.add(num_tops, num_flat)
        if self._flattened.is_of_level(peak, LOUD_BLOCKS):
            high = samples[samples >= REACH * peak]
            count = max(MIN_HIGH_SAMPLES, round(HIGH_QUANTILE * len(samples)))
            if len(high) >= count:
                reference = float(np.partition(high, len(high) - count)[len(high) - count])
                num_high, num_flattened = _flattened(samples, 0.85 * reference)
                num_below = int(np.count_nonzero(samples >= 0.7 * reference)) - num_high
                num_heavy = _flattened(samples, 0.75 * reference)[1]
                self._flattened.add(num_high, num_flattened, num_heavy, num_below)
                num_flat = max(num_flat, num_flattened)
        if num_flat > self._worst:
            self._worst, self._at_seconds = num_flat, start_seconds

    def result(self) -> Clipping:
        """Over all blocks so far."""
        total = max(1, self._num_samples)
        num_tops, num_top_samples = self._tops.counts
        num_high, num_flattened, num_heavy, num_below = self._flattened.counts
        return Clipping(
            num_flat_tops=num_tops,
            flat_share=max(num_top_samples, num_flattened) / total,
            flattened_share=num_flattened / max(1, num_high),
            pile=num_high / max(1, num_below),
            heavy_share=num_heavy / total,
            level=self._tops.level,
            at_seconds=self._at_seconds,
        )


class _Count:
    """Sums over the blocks that are about as loud as the loudest; begun anew where a louder one comes."""

    def __init__(self, num_counts: int) -> None:
        self.level = 0.0
        self.counts = [0] * num_counts

    def is_of_level(self, peak: float, share: float) -> bool:
        if peak * share > self.level:
            self.counts = [0] * len(self.counts)
        self.level = max(self.level, peak)
        return peak >= share * self.level

    def add(self, *counts: int) -> None:
        self.counts = [before + count for before, count in zip(self.counts, counts, strict=True)]


def _flat_tops(samples: NDArray[np.float32], peak: float) -> tuple[int, int]:
    """Number of flat tops, and of samples in them."""
    runs = _Runs.above(samples, peak * (1 - FLAT_TOP))
    if runs is None:
        return 0, 0
    step = np.maximum(FLAT_STEP * peak, FLAT_STEPS * (runs.height - runs.lowest))
    least = 2 if peak >= FULL_SCALE else MIN_RUN_SAMPLES
    is_flat = (runs.num_samples >= least) & (np.minimum(runs.rise, runs.fall) > step)
    return int(is_flat.sum()), int(runs.num_samples[is_flat].sum())


def _flattened(samples: NDArray[np.float32], threshold: float) -> tuple[int, int]:
    """Samples above the threshold, and those of them in flattened tops."""
    runs = _Runs.above(samples, threshold)
    if runs is None:
        return 0, 0
    slope = 0.5 * (runs.rise + runs.fall)
    # the stretch begins and ends between samples: where a straight line crosses the threshold
    length = runs.num_samples - 1 + (runs.first - threshold) / runs.rise + (runs.last - threshold) / runs.fall
    flatness = slope * length / (4 * np.maximum(runs.height - threshold, 1e-6))
    is_flat = (flatness > MIN_FLATNESS) & (runs.num_samples >= MIN_RUN_SAMPLES)
    return int(runs.num_samples.sum()), int(runs.num_samples[is_flat].sum())


@dataclass(frozen=True)
class _Runs:
    """Stretches of samples at or above a threshold, [stretches] each, without those at the block's ends."""

    num_samples: NDArray[np.int64]
    first: NDArray[np.float32]
    last: NDArray[np.float32]
    height: NDArray[np.float32]
    """The highest sample."""
    lowest: NDArray[np.float32]
    rise: NDArray[np.float32]
    """The step up into the stretch."""
    fall: NDArray[np.float32]
    """The step down behind it."""

    @classmethod
    def above(cls, samples: NDArray[np.float32], threshold: float) -> "_Runs | None":
        above = np.flatnonzero(samples >= threshold)
        if not len(above):
            return None
        breaks = np.flatnonzero(np.diff(above) != 1)
        starts, stops = np.append(0, breaks + 1), np.append(breaks, len(above) - 1)
        first, last = above[starts], above[stops]
        height, lowest = (extreme.reduceat(samples[above], starts) for extreme in (np.maximum, np.minimum))
        inside = (first > 0) & (last < len(samples) - 1)
        if not inside.any():
            return None
        first, last = first[inside], last[inside]
        return cls(
            num_samples=last - first + 1,
            first=samples[first],
            last=samples[last],
            height=height[inside],
            lowest=lowest[inside],
            rise=samples[first] - samples[first - 1],
            fall=samples[last] - samples[last + 1],
        )
