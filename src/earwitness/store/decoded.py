"""What is known of a clip once it is decoded; travels from the workers to the process that writes the parts.

Its names are columns of a part (`parts.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodedClip:
    """A clip whose frames lie in its spool file."""

    num_frames: int
    num_samples: int
    """Samples at the front end's rate."""
    is_padded: bool
    """Whether silence was added at its end to fill one patch."""
    warnings: tuple[str, ...]
    """What the decoder complained of, in sentences."""
    media_container: str | None
    media_codec: str | None
    media_sample_rate_hz: int | None
    media_num_channels: int | None
    frames_digest: str | None = None
    """Of its frames' bytes; None where an earlier version stored it."""
