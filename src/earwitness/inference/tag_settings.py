"""What can be chosen about tagging."""

from dataclasses import dataclass

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
    threshold: float = 0.5
    """In the timeline a label is heard while its patches score at least this."""

    def __post_init__(self) -> None:
        if self.top < 1:
            raise SettingsError(f"top={self.top} must be at least 1")
        for name in ("threshold", "min_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name}={getattr(self, name)} must lie in [0, 1]")
