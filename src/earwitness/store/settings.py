"""What can be chosen about building a store."""

from dataclasses import dataclass, field
from math import inf

from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd
from earwitness.parallel import usable_cpus


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """How a store is built."""

    workers: int = field(default_factory=usable_cpus)
    """Processes that decode; by default one for each processor."""
    clips_per_part: int = 1_000
    """Clips of one part, the unit that is committed and resumed."""
    timeout_seconds: float = 600.0
    """A clip that takes longer goes to the failures."""
    memory_limit_mib: int = 4_096
    """A clip that needs more memory goes to the failures."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """How sound becomes frames."""

    def __post_init__(self) -> None:
        for name in ("workers", "clips_per_part", "timeout_seconds", "memory_limit_mib"):
            if not 0 < getattr(self, name) < inf:  # a nan is neither
                raise SettingsError(f"{name}={getattr(self, name)} must be positive and finite")
