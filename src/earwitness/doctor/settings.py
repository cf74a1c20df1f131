"""What can be chosen about an inspection, each threshold with its reason."""

from dataclasses import dataclass, field
from math import inf, isfinite

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
    memory_limit_mib: int = 1_024
    """A clip that needs more memory to decode is a finding."""
    split_column: str | None = None
    """Column of the sides of a split. None: `split`, or else `fold`, where there is one."""
    source_column: str | None = None
    """Column to keep log-mel statistics by. None: `source`, or else the column of the split, or else the folder of
    the media."""
    min_seconds: float = 0.96
    """Clips below it are very short: it is one patch; what is shorter is filled up with silence."""
    silent_dbfs: float = -55.0
    """A clip whose loudest tenth of a second lies below is silent. The quietest of ESC-10's 400 clips reaches -45."""
    max_quiet_share: float = 0.5
    """A clip with more of its length below -80 dBFS is mostly silent: most of its patches carry labels that they do not
    hold."""
    min_band_hz: float = 7_000.0
    """A clip with a sharp upper edge below is band-limited. The front end hears up to 7,500 Hz; edges above, such as
    those of most codecs, take nothing from it."""
    min_clips_per_label: int = 10
    """Labels of fewer clips are reported: below it, hardly any is left to learn from once folds are set aside."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """How sound becomes frames; of a store, its own is used."""

    def __post_init__(self) -> None:
        for name in (
            "workers",
            "timeout_seconds",
            "memory_limit_mib",
            "min_seconds",
            "min_band_hz",
            "min_clips_per_label",
        ):
            if not 0 < getattr(self, name) < inf:  # a nan is neither
                raise SettingsError(f"{name}={getattr(self, name)} must be positive and finite")
        if not isfinite(self.silent_dbfs):
            raise SettingsError(f"silent_dbfs={self.silent_dbfs} must be a number")
        if self.seed < 0:
            raise SettingsError(f"seed={self.seed} must be 0 or more")
        if not 0 <= self.max_quiet_share <= 1:
            raise SettingsError(f"max_quiet_share={self.max_quiet_share} must lie between 0 and 1")
        if self.sample is not None and self.sample < 1:
            raise SettingsError(f"sample={self.sample} must be at least 1; leave it away to scan all clips")
