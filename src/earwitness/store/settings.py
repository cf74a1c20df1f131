"""What can be chosen about building a store."""

from dataclasses import dataclass, field

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.front_end import FrontEnd
from earwitness.store.failure_budget import FailureBudget


@dataclass(frozen=True, kw_only=True)
class DecodeSettings(DecodeLimits):
    """How the media of a store are decoded: none of it shows in what comes out."""

    max_failures: str | None = None
    """Stop once more clips than this have failed: a number, or a share of all clips such as 1%, which never means
    fewer than 10. None: go on whatever fails."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_failures is not None:
            FailureBudget(self.max_failures)


@dataclass(frozen=True, kw_only=True)
class BuildSettings(DecodeSettings):
    """How a store is built."""

    clips_per_part: int = 1_000
    """Clips of one part, the unit that is committed and resumed."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """How sound becomes frames."""
