"""What can be chosen about an inspection, each threshold with its reason."""

from dataclasses import dataclass, field

from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd
from earwitness.parallel import usable_cpus


@dataclass(frozen=True, kw_only=True)
class InspectSettings:
    """How a corpus is inspected."""

    sample: int | None = None
    """Clips to scan, drawn at random; shares then come with an interval. None scans all. Labels are counted over all
    clips either way."""
    seed: int = 0
    """Of the sample."""
    workers: int = field(default_factory=usable_cpus)
    """Processes at work; by default one for each processor."""
    timeout_seconds: float = 600.0
    """A clip that takes longer to decode is a finding."""
    memory_limit_mib: int = 4_096
    """A clip that needs more memory to decode is a finding."""
    split_column: str | None = None
    """Column of the sides of a split. None: `split`, or else `fold`, where there is one."""
    source_column: str | None = None
    """Column to keep log-mel statistics by. None: `source`, or else the column of the split, or else the folder of
    the media."""
    min_seconds: float = 0.96
    """Clips below it are very short: it is one patch; what is shorter is filled up with silence."""
    min_clips_per_label: int = 10
    """Labels of fewer clips are reported: below it, hardly any is left to learn from once folds are set aside."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """How sound becomes frames; of a store, its own is used."""

    def __post_init__(self) -> None:
        for name in ("workers", "timeout_seconds", "memory_limit_mib", "min_seconds", "min_clips_per_label"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"{name}={getattr(self, name)} must be positive")
        if self.sample is not None and self.sample < 1:
            raise SettingsError(f"sample={self.sample} must be at least 1; leave it away to scan all clips")
