"""What can be chosen about tagging."""

from dataclasses import dataclass
from typing import Literal

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
        if self.top < 1:
            raise SettingsError(f"top={self.top} must be at least 1")
        for name in ("threshold", "min_score"):
            value = getattr(self, name)
            if value != "own" and not 0 <= value <= 1:
                raise SettingsError(f"{name}={value} must lie in [0, 1]")
