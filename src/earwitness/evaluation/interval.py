"""An interval around a measure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float
