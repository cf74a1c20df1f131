"""A plan: the trainings and evaluations of one experiment, as plain data.

Everything that decides the figures is in it, so a folder that keeps its plan can tell whether another call asks for
the same. What is not known before the work, the steps of a training that shall take as long as another, is said as a
rule.
"""

from collections.abc import Collection, Mapping
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
    patch_frames: int | None = None
    """It learns from patches of so many frames, side by side. None: from those of the store."""
    as_long_as: tuple[str, ...] = ()
    """It shall take the training time of the first of these cells that has not failed. None named: its settings say how
    many steps it takes."""
    paced_by: str | None = None
    """The cell of the same network, whose speed says how many steps that is; where it is the one whose time is taken,
    this one is the same and is not trained again."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the table needs to know of it; plain values."""

    def timed_by(self, failed: Collection[str]) -> str | None:
        """The cell whose time it takes, where some have failed; None where it takes that of none, or all have."""
        return next((name for name in self.as_long_as if name not in failed), None)

    def needs(self, failed: Collection[str]) -> tuple[str, ...]:
        """The cells that must be done before, where some have failed."""
        return tuple(name for name in (self.timed_by(failed), self.paced_by) if name is not None)

    def why_not(self, failed: Collection[str]) -> str | None:
        """Why it cannot be done, where some have failed; None where it can."""
        if self.paced_by is None or (self.paced_by not in failed and self.timed_by(failed) is not None):
            return None
        return f"{self.paced_by} at equal steps, whose speed it shall have, failed"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "settings": self.settings.to_dict(),
            "num_labels": self.num_labels,
            "patch_frames": self.patch_frames,
            "as_long_as": list(self.as_long_as),
            "paced_by": self.paced_by,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Cell":
        """The inverse of `to_dict`."""
        settings = TrainSettings.from_dict(values["settings"])
        return cls(**{**values, "settings": settings, "as_long_as": tuple(values["as_long_as"])})


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
    events: str | None = None
    """A table of true events, which they are to find in time. None: that is not asked."""
    events_digest: str | None = None
    """Of that table's bytes."""

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
