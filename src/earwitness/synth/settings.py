"""What can be chosen about a made corpus."""

from dataclasses import asdict, dataclass
from typing import Any

from earwitness.errors import SettingsError

MOST_KINDS = 62
"""Kinds of sound there are."""


@dataclass(frozen=True, kw_only=True)
class SynthSettings:
    """What to make. Checked on creation."""

    clips: int = 300
    """Media files to make."""
    seed: int = 1
    """The same seed makes the same files. Fewer clips are the beginning of more."""
    mean_seconds: float = 30.0
    """Mean length of a clip; from an eighth to five times of it occur (the paper's videos: 276)."""
    kinds: int = MOST_KINDS
    """So many kinds of sound, the commonest first. Their parents, such as `animal`, are labels beside them."""
    prior_decades: float = 2.0
    """The commonest kind is 10 to the power of this as frequent as the rarest."""
    flaws: float = 1.0
    """Multiplies how often labels are missing, wrong, coarse or inaudible; 0: they are true."""

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise SettingsError(f"clips={self.clips} must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise SettingsError(f"seed={self.seed} must lie in [0, 2**63)")
        if not 2 <= self.mean_seconds <= 3_600:
            raise SettingsError(f"mean_seconds={self.mean_seconds} must lie in [2, 3600]")
        if not 2 <= self.kinds <= MOST_KINDS:
            raise SettingsError(f"kinds={self.kinds} must lie in [2, {MOST_KINDS}]")
        if not 0 <= self.prior_decades <= 6:
            raise SettingsError(f"prior_decades={self.prior_decades} must lie in [0, 6]")
        if not 0 <= self.flaws <= 3:
            raise SettingsError(f"flaws={self.flaws} must lie in [0, 3]; 0 gives true labels, 1 those of metadata")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ComposeSettings:
    """What to compose of clips. Checked on creation."""

    clips: int
    """Soundtracks to make."""
    seed: int
    """The same seed makes the same files. Fewer soundtracks are the beginning of more."""
    mean_seconds: float
    """Mean length of a soundtrack."""
    manifest_digest: str
    """Of the clips that they are made of."""

    def __post_init__(self) -> None:
        SynthSettings(clips=self.clips, seed=self.seed, mean_seconds=self.mean_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
