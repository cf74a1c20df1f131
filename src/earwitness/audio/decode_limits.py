"""What decoding in processes of its own may take."""

from dataclasses import dataclass
from math import inf

from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """How many media are decoded at a time, and what each may take: none of it shows in what comes out."""

    workers: int | None = None
    """Processes that decode at a time. None: one for each processor, of this machine or of the cluster."""
    timeout_seconds: float = 1_200.0
    """A clip that takes longer goes to the failures; waiting for a processor does not count."""
    cpu_limit_seconds: float = 600.0
    """A clip that needs more processor time goes to the failures."""
    memory_limit_mib: int = 1_024
    """A clip that needs more memory goes to the failures. Most need less than 50 MiB; a film of 24 hours at 60 pictures
    a second needs 770, for the tables of its MP4."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not 0 < value < inf:  # a nan is neither
                raise SettingsError(f"{name}={value} must be positive and finite")
