"""How far scores are probabilities, for a page: geometry in units of a view box, drawn by `evaluation_pieces.html`."""

from dataclasses import dataclass

import numpy as np

from earwitness.evaluation.curves import Reliability
from earwitness.report.svg_plots import Bar

_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 354.0, 20.0, 340.0
_COUNTS_TOP, _COUNTS_BOTTOM = 350.0, 394.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A bin of scores."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """The 95 % interval of a bin's share."""

    x: float
    low_y: float
    high_y: float


@dataclass(frozen=True, kw_only=True)
class SquareTick:
    """A mark on both axes."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class ReliabilityPlot:
    """The diagram, ready to be drawn: dots over the scores, and bars of how many there are (on a logarithmic scale)."""

    dots: tuple[Dot, ...]
    line: str
    """Points of the line from dot to dot."""
    bins: tuple[Bar, ...]
    whiskers: tuple[Whisker, ...]
    ticks: tuple[SquareTick, ...]
    calibration_error: float
    left: float = _LEFT
    right: float = _RIGHT
    top: float = _TOP
    bottom: float = _BOTTOM
    counts_bottom: float = _COUNTS_BOTTOM
    width: float = 364.0
    height: float = 426.0


def reliability_plot(reliability: Reliability) -> ReliabilityPlot:
    """The diagram of the bins that are not empty."""
    side = _RIGHT - _LEFT
    counts = reliability.counts
    step = side / len(counts)
    highest = np.log1p(counts.max()) if counts.any() else 1.0
    lows, highs = reliability.share_positive_ends
    dots, bars, whiskers = [], [], []
    for place, count in enumerate(counts.tolist()):
        if not count:
            continue
        score, share = float(reliability.mean_score[place]), float(reliability.share_positive[place])
        low, high = float(lows[place]), float(highs[place])
        words = (
            f"{count:,} scores about {score:.3g}: {100 * share:.3g} % are true "
            f"(95 %: {100 * low:.3g} to {100 * high:.3g})"
        )
        whiskers.append(
            Whisker(
                x=round(_LEFT + score * side, 1),
                low_y=round(_BOTTOM - low * side, 1),
                high_y=round(_BOTTOM - high * side, 1),
            )
        )
        dots.append(Dot(x=round(_LEFT + score * side, 1), y=round(_BOTTOM - share * side, 1), words=words))
        height = max((_COUNTS_BOTTOM - _COUNTS_TOP) * float(np.log1p(count)) / highest, 1.5)
        bars.append(
            Bar(
                x=round(_LEFT + place * step + 1, 1),
                y=round(_COUNTS_BOTTOM - height, 1),
                width=round(step - 2, 1),
                height=round(height, 1),
                words=words,
            )
        )
    return ReliabilityPlot(
        dots=tuple(dots),
        line=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        bins=tuple(bars),
        whiskers=tuple(whiskers),
        ticks=tuple(
            SquareTick(x=_LEFT + value * side, y=_BOTTOM - value * side, text=f"{value:g}") for value in _TICKS
        ),
        calibration_error=reliability.calibration_error,
    )
