"""A figure with a dot for every label, for a page: geometry in units of a view box, drawn by `evaluation_pieces.html`.

All points of one kind are one path, in which each is a line of no length with round ends: tens of thousands of labels
stay small and quick. `label_scatter` is the paper's figure; `comparison_scatter` lays two models side by side.

References: Hershey et al. 2017, the figure of per-class d-prime against log10 prior, coloured by AP.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.paired import LabelComparison
from earwitness.evaluation.summary import LabelResult
from earwitness.report.comparison_facts import side_ahead
from earwitness.report.running_median import LEAST_LABELS, median_width, running_median
from earwitness.report.svg_plots import Tick

COLOURS = 10
"""Steps of AP that have a colour of their own."""
_MOST_MEDIANS = 200
_Y_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0)
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SIDES = ((0, "even"), (1, "a-ahead"), (-1, "b-ahead"))
"""How dots are drawn by the side that is evidently ahead; those on top last."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where the axes lie in the view box, and which values are at their ends."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def x(self, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """A place on the axis to the right."""
        return self.left + (np.asarray(value) - self.low_x) / (self.high_x - self.low_x) * (self.right - self.left)

    def y(self, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """A place on the axis upwards."""
        return self.bottom - (np.asarray(value) - self.low_y) / (self.high_y - self.low_y) * (self.bottom - self.top)

    def line(self, start: tuple[float, float], end: tuple[float, float]) -> str:
        """A straight line between two pairs of values, as the path of an SVG."""
        return f"M{self.x(start[0]):.1f} {self.y(start[1]):.1f}L{self.x(end[0]):.1f} {self.y(end[1]):.1f}"


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """The figure, ready to be drawn."""

    frame: Frame
    paths: tuple[tuple[str, str], ...]
    """Class and points of each kind, from below; no text where there is none."""
    radius: float
    dashes: str
    """A dashed line, as a path: chance, or where both are equal."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_name: str
    y_name: str
    description: str
    median: str = ""
    """Points of the line of the running median; empty where there are too few labels."""
    median_width: int = 0


def label_scatter(labels: Sequence[LabelResult]) -> Scatter | None:
    """Each label's d-prime against its prior on a logarithmic axis, coloured by its AP; None if none is defined."""
    defined = sorted((label for label in labels if label.is_defined), key=lambda label: label.prior)
    if not defined:
        return None
    log_priors = np.log10([label.prior for label in defined])
    dprimes = np.array([label.dprime for label in defined])
    low_x, high_x = _padded(float(log_priors[0]), float(log_priors[-1]), least=0.9)
    low_y, high_y = _padded(float(dprimes.min()), float(dprimes.max()), least=1.0)
    frame = Frame(
        **{"width": 640.0, "height": 432.0, "left": 30.0, "right": 634.0, "top": 16.0, "bottom": 398.0},
        **{"low_x": low_x, "high_x": high_x, "low_y": low_y, "high_y": high_y},
    )
    x, y = frame.x(log_priors), frame.y(dprimes)
    colours = np.minimum([label.average_precision * COLOURS for label in defined], COLOURS - 1).astype(int)
    width = median_width(len(defined))
    median = ""
    if len(defined) >= LEAST_LABELS and log_priors[0] < log_priors[-1]:
        _, medians = running_median(log_priors, y, width=width)
        places = np.unique(x)
        chosen = np.unique(np.linspace(0, len(places) - 1, min(_MOST_MEDIANS, len(places))).round().astype(int))
        median = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(places[chosen], medians[chosen], strict=True))
    return Scatter(
        frame=frame,
        paths=tuple((f"ap{colour}", _points(x[colours == colour], y[colours == colour])) for colour in range(COLOURS)),
        radius=_radius(len(defined)),
        dashes=frame.line((low_x, 0.0), (high_x, 0.0)) if low_y < 0 < high_y else "",
        x_ticks=_prior_ticks(frame),
        y_ticks=_dprime_ticks(frame),
        x_name="prior: share of clips with the label",
        y_name="d′",
        description=f"d-prime of {len(defined):,} labels against their prior, coloured by average precision; the table "
        "has the same numbers",
        median=median,
        median_width=width,
    )


def comparison_scatter(labels: Sequence[LabelComparison]) -> Scatter | None:
    """Each label's AP of A against that of B; None if none is defined."""
    defined = [label for label in labels if label.is_defined]
    if not defined:
        return None
    frame = Frame(
        **{"width": 480.0, "height": 480.0, "left": 34.0, "right": 474.0, "top": 18.0, "bottom": 442.0},
        **{"low_x": -0.01, "high_x": 1.01, "low_y": -0.01, "high_y": 1.01},
    )
    sides = np.array([side_ahead(label) for label in defined])
    x = frame.x([label.average_precision.b for label in defined])
    y = frame.y([label.average_precision.a for label in defined])
    return Scatter(
        frame=frame,
        paths=tuple((name, _points(x[sides == side], y[sides == side])) for side, name in _SIDES),
        radius=_radius(len(defined)),
        dashes=frame.line((0.0, 0.0), (1.0, 1.0)),
        x_ticks=tuple(Tick(at=round(float(frame.x(share)), 1), text=f"{share:g}") for share in _SHARES),
        y_ticks=tuple(Tick(at=round(float(frame.y(share)), 1), text=f"{share:g}") for share in _SHARES),
        x_name="AP of B",
        y_name="AP of A",
        description=f"average precision of {len(defined):,} labels, by A against by B; the table has the same numbers",
    )


def _points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> str:
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True))


def _radius(num_labels: int) -> float:
    return round(float(np.clip(90 / math.sqrt(num_labels), 1.6, 6.0)), 1)


def _padded(low: float, high: float, *, least: float) -> tuple[float, float]:
    """An axis about the values, never shorter than `least`, with some room at both ends."""
    middle, half = (low + high) / 2, max((high - low) / 2, least / 2)
    return middle - 1.08 * half, middle + 1.08 * half


def _prior_ticks(frame: Frame) -> tuple[Tick, ...]:
    """Powers of ten, and on a short axis multiples of these."""
    length = frame.high_x - frame.low_x
    powers = range(math.floor(frame.low_x), math.ceil(frame.high_x) + 1)
    factors = (1,) if length > 3 else (1, 3) if length > 1.5 else (1, 2, 5)
    priors = [factor * 10.0**power for power in powers for factor in factors]
    return tuple(
        Tick(at=round(float(frame.x(math.log10(prior))), 1), text=_share(prior))
        for prior in priors
        if frame.low_x <= math.log10(prior) <= frame.high_x and prior <= 1
    )


def _dprime_ticks(frame: Frame) -> tuple[Tick, ...]:
    length = frame.high_y - frame.low_y
    step = next((s for s in _Y_STEPS if length / s <= 8), _Y_STEPS[-1])
    values = np.arange(math.ceil(frame.low_y / step), math.floor(frame.high_y / step) + 1) * step
    return tuple(
        Tick(at=round(float(frame.y(value)), 1), text=f"{value:g}".replace("-", "−")) for value in values.tolist()
    )


def _share(prior: float) -> str:
    """`0.002 %`, `5 %`."""
    return f"{100 * prior:.6f}".rstrip("0").rstrip(".") + " %"
