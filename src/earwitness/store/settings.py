"""What can be chosen about building a store."""

from dataclasses import dataclass, field
from math import inf

from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd
from earwitness.store.failure_budget import FailureBudget


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """How media are decoded: none of it shows in what comes out."""

    workers: int | None = None
    """Processes that decode at a time. None: one for each processor, of this machine or of the cluster."""
    timeout_seconds: float = 1_200.0
    """A clip that takes longer goes to the failures; waiting for a processor does not count."""
    cpu_limit_seconds: float = 600.0
    """A clip that needs more processor time goes to the failures."""
    memory_limit_mib: int = 1_024
    """A clip that needs more memory goes to the failures. Most need less than 50 MiB; a film of 24 hours at 60 pictures
    a second needs 770, for the tables of its MP4."""
    max_failures: str | None = None
    """Stop once more clips than this have failed: a number, or a share of all clips such as 1%, which never means
    fewer than 10. None: go on whatever fails."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not 0 < value < inf:  # a nan is neither
                raise SettingsError(f"{name}={value} must be positive and finite")
        if self.max_failures is not None:
            FailureBudget(self.max_failures)


@dataclass(frozen=True, kw_only=True)
class BuildSettings(DecodeSettings):
    """How a store is built."""

    clips_per_part: int = 1_000
    """Clips of one part, the unit that is committed and resumed."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """How sound becomes frames."""
