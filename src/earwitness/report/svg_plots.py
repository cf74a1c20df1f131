"""Small plots that a page draws itself, as SVG in its own text: they take its colours by day and by night.

Here is the geometry, in units of a view box; `templates/plots.html` draws it. For pictures in files, see `figure`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.audio.logmel import hz_to_mel
from earwitness.doctor.findings import Distribution, SourceStatistics
from earwitness.front_end import FrontEnd

WIDTH, HEIGHT = 320.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 8.0, 312.0, 22.0, 128.0
"""A histogram within the view box; words stand around it."""
_BANDS_LEFT, _BANDS_TOP = 26.0, 8.0
"""The same of log-mel by band, which has words on its left and none above."""
_MOST_TICKS = 5
_MIN_LABEL_GAP = 46.0
_TICKS_HZ = (250, 500, 1_000, 2_000, 4_000)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    words: str
    """What it stands for, as text."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A histogram ready to be drawn."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    median_x: float | None
    median: str
    """With its unit; empty where there is none."""
    highest: int
    """Clips, or whatever is counted, of the highest bar."""
    noun: str = "clip"
    """What is counted."""
    baseline: float = _BOTTOM
    left: float = _LEFT
    right: float = _RIGHT
    top: float = _TOP


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Mean and spread of log-mel by band, ready to be drawn."""

    area: str
    """Points of the polygon one standard deviation around the mean."""
    mean: str
    """Points of the line of the mean."""
    whole: str
    """Points of the line of the mean of all clips."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    baseline: float = _BOTTOM
    left: float = _BANDS_LEFT
    right: float = _RIGHT
    top: float = _BANDS_TOP


def histogram(distribution: Distribution, *, noun: str = "clip") -> Histogram:
    """A distribution of clips, or of what the noun says, as bars of equal width; bins need not be equally wide."""
    is_share = distribution.unit == "share"
    unit, factor = ("%", 100.0) if is_share else (distribution.unit, 1.0)
    counts, edges = distribution.counts, [factor * edge for edge in distribution.edges]
    highest = max(counts, default=0)
    step = (_RIGHT - _LEFT) / max(len(counts), 1)
    gap = min(1.0, step / 5)
    bars = []
    for place, count in enumerate(counts):
        height = (_BOTTOM - _TOP) * count / highest if highest else 0.0
        if count:
            height = max(height, 1.5)  # one clip among a million is seen
        bars.append(
            Bar(
                x=round(_LEFT + place * step + gap / 2, 2),
                y=round(_BOTTOM - height, 2),
                width=round(step - gap, 2),
                height=round(height, 2),
                words=f"{_number(edges[place])} to {_number(edges[place + 1])} {unit}: {count:,} "
                + (noun if count == 1 else f"{noun}s"),
            )
        )
    median = None if distribution.median is None else factor * distribution.median
    return Histogram(
        title=distribution.title,
        unit=unit,
        bars=tuple(bars),
        ticks=_edge_ticks(edges, step),
        median_x=None if median is None else round(_LEFT + step * _place(edges, median), 2),
        median="" if median is None else f"{_number(median)} {unit}",
        highest=highest,
        noun=noun,
    )


def bands(
    statistics: SourceStatistics, whole: SourceStatistics, *, front_end: FrontEnd, span: tuple[float, float]
) -> Bands:
    """The log-mel statistics of a source beside those of all clips.

    Args:
        statistics: of the source.
        whole: of all clips.
        front_end: says which frequencies the bands are.
        span: lowest and highest value of the axis, the same for all sources that are compared.
    """
    low, high = span
    mean, spread = np.asarray(statistics.mean), np.asarray(statistics.standard_deviation)
    x = np.linspace(_BANDS_LEFT, _RIGHT, len(mean))

    def points(values: npt.NDArray[np.float64]) -> list[str]:
        y = _BOTTOM - (np.clip(values, low, high) - low) / (high - low) * (_BOTTOM - _BANDS_TOP)
        return [f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)]

    return Bands(
        area=" ".join(points(mean + spread) + points(mean - spread)[::-1]),
        mean=" ".join(points(mean)),
        whole=" ".join(points(np.asarray(whole.mean))),
        x_ticks=_hz_ticks(front_end),
        y_ticks=tuple(
            Tick(
                at=round(_BOTTOM - (value - low) / (high - low) * (_BOTTOM - _BANDS_TOP), 1),
                text=f"{value:g}".replace("-", "−"),
            )
            for value in range(math.ceil(low), math.floor(high) + 1, 2)
        ),
    )


def common_span(statistics: Sequence[SourceStatistics]) -> tuple[float, float]:
    """An axis on which mean and spread of all these sources fit."""
    means = np.array([source.mean for source in statistics])
    spreads = np.array([source.standard_deviation for source in statistics])
    low, high = float(np.min(means - spreads)), float(np.max(means + spreads))
    return math.floor(low), max(math.ceil(high), math.floor(low) + 1)


def _edge_ticks(edges: Sequence[float], step: float) -> tuple[Tick, ...]:
    """A few of the edges, first and last among them, not too close to be read."""
    num_bins = len(edges) - 1
    every = max(1, math.ceil(num_bins / _MOST_TICKS), math.ceil(_MIN_LABEL_GAP / step))
    places = [*range(0, num_bins, every)]
    if (num_bins - places[-1]) * step < 1.5 * _MIN_LABEL_GAP:  # the last label stands left of its tick
        places.pop()
    return tuple(Tick(at=round(_LEFT + place * step, 2), text=_number(edges[place])) for place in [*places, num_bins])


def _place(edges: Sequence[float], value: float) -> float:
    """Where a value lies among the edges, in bins."""
    return float(np.interp(value, edges, np.arange(len(edges))))


def _hz_ticks(front_end: FrontEnd) -> tuple[Tick, ...]:
    low, high = (float(hz_to_mel(hz)) for hz in (front_end.min_hz, front_end.max_hz))
    # band i is centred on step i + 1 of the bands' edges
    step = (high - low) / (front_end.num_bands + 1)
    ticks = []
    for hz in _TICKS_HZ:
        band = (float(hz_to_mel(hz)) - low) / step - 1
        if 0 <= band <= front_end.num_bands - 1:
            at = _BANDS_LEFT + (_RIGHT - _BANDS_LEFT) * band / max(front_end.num_bands - 1, 1)
            ticks.append(Tick(at=round(at, 1), text=f"{hz}" if hz < 1_000 else f"{hz // 1_000}k"))
    return tuple(ticks)


def _number(value: float) -> str:
    """As short as it can be told: `1,000`, `0.25`, `−60`."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")
