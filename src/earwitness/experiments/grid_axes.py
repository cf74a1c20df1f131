"""What a grid search goes over: the values of up to five settings, and their combinations.

Hershey et al. 2017, section 3, searched the learning rate and the batch size of every network (and numbers of
machines, which are no matter here), and N = 2..6 layers of M = 500..4,000 units of the fully connected one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from earwitness.errors import SettingsError
from earwitness.training.settings import TrainSettings

Combination = dict[str, float | int]
"""Values by the name of the setting in `TrainSettings`; those left to the network (None) are not in it."""

SEARCHED = {
    "learning_rate": "learning_rates",
    "batch_size": "batch_sizes",
    "num_layers": "layers",
    "num_units": "units",
    "width": "widths",
}
"""The settings that can be searched, and the axes that hold their values."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The values to try of each setting; None: its one value in the settings."""

    learning_rates: tuple[float, ...] | None = None
    """Learning rates to try."""
    batch_sizes: tuple[int, ...] | None = None
    """Batch sizes to try."""
    layers: tuple[int, ...] | None = None
    """Numbers of hidden layers to try, of the fully connected network (paper: 2 to 6)."""
    units: tuple[int, ...] | None = None
    """Numbers of units of each of them to try (paper: 500 to 4,000)."""
    widths: tuple[float, ...] | None = None
    """Widths to try."""

    def __post_init__(self) -> None:
        for axis in fields(self):
            values = getattr(self, axis.name)
            if values is not None and not len(values):
                raise SettingsError(f"{axis.name} names no value to try; give at least one, or leave it away")

    def combinations(self, settings: TrainSettings) -> list[Combination]:
        """Every combination once, the last axis fastest; settings without an axis keep their value.

        Raises:
            SettingsError: there is no axis, or a value is outside what is allowed for this network.
        """
        if all(getattr(self, axis) is None for axis in SEARCHED.values()):
            options = ", ".join("--" + axis.replace("_", "-") for axis in SEARCHED.values())
            raise SettingsError(f"there is nothing to search over; give values to try by some of {options}")
        tried: dict[str, Sequence[float | int]] = {}
        for name, axis in SEARCHED.items():
            given = getattr(self, axis)
            own = getattr(settings, name)
            if given is not None:
                is_whole = name not in ("learning_rate", "width")
                tried[name] = tuple(dict.fromkeys(int(v) if is_whole else float(v) for v in given))
            elif own is not None:
                tried[name] = (own,)
        combinations: list[Combination] = []
        for values in product(*tried.values()):
            combination = dict(zip(tried, values, strict=True))
            if self.units is not None and combination.get("num_layers") == 0:
                del combination["num_units"]  # no layer has them
            if combination not in combinations:
                combined(settings, combination)
                combinations.append(combination)
        return combinations


def combined(settings: TrainSettings, combination: Combination) -> TrainSettings:
    """The settings with the values of a combination.

    Raises:
        SettingsError: a value is outside what is allowed for this network.
    """
    values: dict[str, Any] = dict(combination)
    return replace(settings, **values)


def is_log_scaled(name: str) -> bool:
    """Whether values of that setting are compared by their ratio; numbers of layers are by their difference."""
    return name != "num_layers"


def nearest(asked: Combination, combinations: Collection[Combination]) -> Combination:
    """The combination closest to the one asked for; each setting counts by its range."""

    def scaled(name: str, value: float) -> float:
        return math.log(value) if is_log_scaled(name) else value

    spans = {}
    for name in asked:
        values = [scaled(name, combination[name]) for combination in combinations if name in combination]
        spans[name] = (max(values) - min(values) if values else 0.0) or 1.0

    def distance(combination: Combination) -> float:
        steps = [scaled(name, value) - scaled(name, asked[name]) for name, value in combination.items()]
        return sum((step / spans[name]) ** 2 for step, name in zip(steps, combination, strict=True))

    return min(combinations, key=distance)
