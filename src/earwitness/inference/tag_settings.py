"""What can be chosen about tagging."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class TagSettings:
    """What is said of a file."""

    timeline: bool = False
    """Also say when each label is heard."""
    top: int = 5
    """At most so many labels a file, best first."""
    min_score: float = 0.0
    """Only labels with at least this score."""
    threshold: float | Literal["own"] = "own"
    """In the timeline a label is heard while its patches score at least this. own: the model's own thresholds, one for
    each label (`earwitness calibrate` fits them), which the tags of a file must reach, too; 0.5 where it has none."""

    def __post_init__(self) -> None:
        if not isinstance(self.top, int | np.integer) or self.top < 1:
            raise SettingsError(f"top={self.top!r} must be a whole number, at least 1")
        for name in ("threshold", "min_score"):
            value = getattr(self, name)
            if name == "threshold" and value == "own":
                continue
            require_number(name, value)
            if not 0 <= value <= 1:
                raise SettingsError(f"{name}={value} must lie in [0, 1]")


def require_number(name: str, value: Any) -> None:
    """Refuse a setting that is no number, as Python may give it.

    Raises:
        SettingsError: it is none.
    """
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise SettingsError(f"{name}={value!r} must be a number")
