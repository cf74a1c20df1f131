"""A plan: the trainings and evaluations of one experiment, as plain data.

Everything that decides the figures is in it, so a folder that keeps its plan can tell whether another call asks for
the same. What is not known before the work, the steps of a training that shall take as long as another, is said as a
rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from earwitness.errors import SettingsError
from earwitness.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training and its evaluation."""

    name: str
    """Of its folder, too."""
    settings: TrainSettings
    num_labels: int | None = None
    """It learns so many labels, the most frequent of the clips learnt from. None: all."""
    as_long_as: str | None = None
    """The cell whose training time this one shall take; the steps of its settings are then those of `paced_by`."""
    paced_by: str | None = None
    """The cell of the same network, whose speed says how many steps that is."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the table needs to know of it; plain values."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The cells that must be done before."""
        return tuple(name for name in (self.as_long_as, self.paced_by) if name is not None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "settings": self.settings.to_dict(),
            "num_labels": self.num_labels,
            "as_long_as": self.as_long_as,
            "paced_by": self.paced_by,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cell":
        """The inverse of `to_dict`."""
        return cls(**{**values, "settings": TrainSettings.from_dict(values["settings"])})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All of an experiment."""

    experiment: str
    cells: tuple[Cell, ...]
    """In the order in which they are done; all choose from the same clips, those of their settings' `where`."""
    test_where: str
    """SQL condition over the manifest's columns: the clips that all cells are evaluated on."""
    evaluated_labels: int | None = None
    """They are evaluated on so many labels, the most frequent of the clips learnt from. None: on all."""

    def cell(self, name: str) -> Cell:
        """The cell of that name.

        Raises:
            SettingsError: there is none.
        """
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise SettingsError(f"{self.experiment} has no part {name!r}; it has {', '.join(c.name for c in self.cells)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "cells": [cell.to_dict() for cell in self.cells]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """The inverse of `to_dict`."""
        return cls(**{**values, "cells": tuple(Cell.from_dict(cell) for cell in values["cells"])})
