"""What is summed up over clips: statistics of sources, distributions, and shares with their uncertainty."""

from collections.abc import Sequence

import numpy as np
import scipy.special
from numpy.typing import NDArray

from earwitness.doctor.findings import Distribution, SourceStatistics
from earwitness.doctor.frames import FrameMeasures

MAX_SOURCES = 100
"""Sources listed; folders may be as many as clips."""
CONFIDENCE = 0.95

DISTRIBUTIONS = {
    "length": (
        "Length",
        "s",
        (0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
    ),
    "level": ("Level", "dBFS", tuple(float(level) for level in range(-90, 5, 5))),
    "band_edge": ("Highest frequency within 60 dB of the loudest", "Hz", tuple(500.0 * step for step in range(49))),
    "clipped_share": ("Samples in cut-off tops", "share", (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
}
"""Title, unit and edges of each."""


def interval(count: int, total: int) -> tuple[float, float]:
    """The 95 % interval of Clopper and Pearson for a share: `count` of `total` clips drawn at random.

    Reference: Clopper and Pearson 1934, The use of confidence or fiducial limits.
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(scipy.special.betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(scipy.special.betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high


def distribution(name: str, values: NDArray[np.float64]) -> Distribution:
    """A histogram of one of `DISTRIBUTIONS`; nan is no value."""
    title, unit, edges = DISTRIBUTIONS[name]
    values = values[~np.isnan(values)]
    inside = np.clip(np.digitize(values, edges) - 1, 0, len(edges) - 2)
    counts = np.bincount(inside, minlength=len(edges) - 1)
    return Distribution(
        name=name,
        title=title,
        unit=unit,
        edges=edges,
        counts=tuple(int(count) for count in counts),
        median=float(np.median(values)) if len(values) else None,
    )


class SourceTally:
    """Log-mel sums by source."""

    def __init__(self, num_bands: int) -> None:
        self._num_bands = num_bands
        self._sources: dict[str, _Sums] = {}

    def add(self, source: str, frames: FrameMeasures) -> None:
        """Take in a clip."""
        self._sources.setdefault(source, _Sums(self._num_bands)).add(frames)

    def whole(self) -> SourceStatistics:
        """Over all clips."""
        sums = _Sums(self._num_bands)
        for other in self._sources.values():
            sums.join(other)
        return sums.statistics("all")

    def sources(self) -> Sequence[SourceStatistics]:
        """Of each source, most clips first, up to `MAX_SOURCES`."""
        largest = sorted(self._sources.items(), key=lambda item: (-item[1].num_clips, item[0]))
        return [sums.statistics(name) for name, sums in largest[:MAX_SOURCES]]


class _Sums:
    def __init__(self, num_bands: int) -> None:
        self.num_clips = self.num_frames = 0
        self.values = np.zeros(num_bands)
        self.squares = np.zeros(num_bands)

    def add(self, frames: FrameMeasures) -> None:
        self.num_clips += 1
        self.num_frames += frames.num_frames
        self.values += frames.band_sums
        self.squares += frames.band_square_sums

    def join(self, other: "_Sums") -> None:
        self.num_clips += other.num_clips
        self.num_frames += other.num_frames
        self.values += other.values
        self.squares += other.squares

    def statistics(self, name: str) -> SourceStatistics:
        total = max(1, self.num_frames)
        mean, mean_square = self.values / total, self.squares / total
        deviation = np.sqrt(np.maximum(0.0, mean_square - mean**2))
        total_mean = float(mean.mean())
        return SourceStatistics(
            source=name,
            num_clips=self.num_clips,
            num_frames=self.num_frames,
            mean=tuple(mean.tolist()),
            standard_deviation=tuple(deviation.tolist()),
            total_mean=total_mean,
            total_standard_deviation=float(np.sqrt(max(0.0, mean_square.mean() - total_mean**2))),
        )
