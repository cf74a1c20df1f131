"""The paper's figure for a page: each label's d-prime against its prior on a logarithmic axis, coloured by its AP.

Here is the geometry, in units of a view box; `templates/evaluation.html` draws it. All points of one colour are one
path, in which each is a line of no length with round ends: tens of thousands of labels stay small and quick.

References: Hershey et al. 2017, the figure of per-class d-prime against log10 prior, coloured by AP.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earwitness.evaluation.summary import LabelResult
from earwitness.report.running_median import LEAST_LABELS, median_width, running_median
from earwitness.report.svg_plots import Tick

WIDTH, HEIGHT = 640.0, 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 30.0, 634.0, 16.0, 366.0
COLOURS = 10
"""Steps of AP that have a colour of their own."""
_MOST_MEDIANS = 200
_Y_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class LabelScatter:
    """The figure, ready to be drawn."""

    paths: tuple[str, ...]
    """Points by colour, lowest AP first; empty text where there is none."""
    radius: float
    median: str
    """Points of the line of the running median; empty where there are too few labels."""
    median_width: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    low_log_prior: float
    """At the left edge; log10."""
    high_log_prior: float
    low_dprime: float
    """At the bottom edge."""
    high_dprime: float
    zero_y: float | None
    """Where d-prime is 0, as by chance; None where that is outside."""
    num_labels: int
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = _RIGHT
    top: float = _TOP
    bottom: float = _BOTTOM


def label_scatter(labels: Sequence[LabelResult]) -> LabelScatter | None:
    """The figure of the defined ones among the labels; None if there is none."""
    defined = sorted((label for label in labels if label.is_defined), key=lambda label: label.prior)
    if not defined:
        return None
    log_priors = np.log10([label.prior for label in defined])
    dprimes = np.array([label.dprime for label in defined])
    low_x, high_x = _padded(float(log_priors[0]), float(log_priors[-1]), least=0.9)
    low_y, high_y = _padded(float(dprimes.min()), float(dprimes.max()), least=1.0)
    x = _LEFT + (log_priors - low_x) / (high_x - low_x) * (_RIGHT - _LEFT)
    y = _BOTTOM - (dprimes - low_y) / (high_y - low_y) * (_BOTTOM - _TOP)
    colours = np.minimum([label.average_precision * COLOURS for label in defined], COLOURS - 1).astype(int)
    width = median_width(len(defined))
    median = ""
    if len(defined) >= LEAST_LABELS and log_priors[0] < log_priors[-1]:
        _, medians = running_median(log_priors, y, width=width)
        places = np.unique(x)
        chosen = np.unique(np.linspace(0, len(places) - 1, min(_MOST_MEDIANS, len(places))).round().astype(int))
        median = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(places[chosen], medians[chosen], strict=True))
    return LabelScatter(
        paths=tuple(
            "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[colours == colour], y[colours == colour], strict=True))
            for colour in range(COLOURS)
        ),
        radius=round(float(np.clip(90 / math.sqrt(len(defined)), 1.6, 6.0)), 1),
        median=median,
        median_width=width,
        x_ticks=_x_ticks(low_x, high_x),
        y_ticks=_y_ticks(low_y, high_y),
        low_log_prior=low_x,
        high_log_prior=high_x,
        low_dprime=low_y,
        high_dprime=high_y,
        zero_y=_BOTTOM + low_y / (high_y - low_y) * (_BOTTOM - _TOP) if low_y < 0 < high_y else None,
        num_labels=len(defined),
    )


def _padded(low: float, high: float, *, least: float) -> tuple[float, float]:
    """An axis about the values, never shorter than `least`, with some room at both ends."""
    middle, half = (low + high) / 2, max((high - low) / 2, least / 2)
    return middle - 1.08 * half, middle + 1.08 * half


def _x_ticks(low: float, high: float) -> tuple[Tick, ...]:
    """Powers of ten, and on a short axis twice and five times these."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    factors = (1,) if high - low > 3 else (1, 3) if high - low > 1.5 else (1, 2, 5)
    priors = [factor * 10.0**power for power in powers for factor in factors]
    return tuple(
        Tick(at=round(_LEFT + (math.log10(prior) - low) / (high - low) * (_RIGHT - _LEFT), 1), text=_share(prior))
        for prior in priors
        if low <= math.log10(prior) <= high and prior <= 1
    )


def _y_ticks(low: float, high: float) -> tuple[Tick, ...]:
    step = next((s for s in _Y_STEPS if (high - low) / s <= 8), _Y_STEPS[-1])
    values = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    return tuple(
        Tick(
            at=round(_BOTTOM - (float(value) - low) / (high - low) * (_BOTTOM - _TOP), 1),
            text=f"{value:g}".replace("-", "−"),
        )
        for value in values
    )


def _share(prior: float) -> str:
    """`0.002 %`, `5 %`."""
    return f"{100 * prior:.6f}".rstrip("0").rstrip(".") + " %"
