"""The front end: the frozen constants that turn a waveform into log-mel frames and patches.

Defaults are those of the released VGGish code, which fixes what the paper leaves open: 16 kHz mono, 25 ms
periodic Hann windows every 10 ms, 512-point FFT, magnitude, 64 HTK mel bands from 125 to 7,500 Hz,
ln(mel + 0.01).

Terms: a *frame* is one column of the log-mel spectrogram, `num_bands` values; a *patch* is `patch_frames`
consecutive frames, what a network sees. Frames are complete windows only, no padding: the last incomplete
window and the last incomplete patch are dropped, unless `fill_last_patch` fills them up with silence.

A store holds frames, from which patches of any length are cut when read; so `frames_identity` leaves the
patch geometry out, unless the frames were filled up by it, and `identity`, which a model carries, has it in.

References: Hershey et al. 2017, section 3.1; the released VGGish parameters.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from earwitness.errors import SettingsError

_PATCH_FIELDS = frozenset({"patch_frames", "patch_hop_frames"})

_ADDED_FIELDS = {"fill_last_patch": False}
"""Fields that earlier versions did not know, with the value that stands for what they did. At this value a field is
neither written nor digested: what stores and models on disk say stays true."""

_MAX_SIZE = 2**20
_MAX_MEL_WEIGHTS = 2**27
_MAX_PATCH_SAMPLES = 2**27
"""Far beyond any use; a model's file that says more is damaged, and would take all memory."""


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """How sound becomes frames and patches. Checked on creation; compared and hashed by value."""

    sample_rate_hz: int = 16_000
    """Rate of the mono waveform that all media are brought to."""
    window_samples: int = 400
    """Length of the periodic Hann window (25 ms)."""
    hop_samples: int = 160
    """Samples from one frame to the next (10 ms)."""
    fft_length: int = 512
    """Points of the Fourier transform; the window is padded with zeros at its end."""
    num_bands: int = 64
    """Mel bands of a frame."""
    min_hz: float = 125.0
    """Lower edge of the first mel band."""
    max_hz: float = 7_500.0
    """Upper edge of the last mel band."""
    log_offset: float = 0.01
    """Added to the mel magnitudes before the logarithm."""
    patch_frames: int = 96
    """Frames of a patch (0.96 s)."""
    patch_hop_frames: int = 96
    """Frames from the start of one patch to the next; equal to `patch_frames`: no overlap (the paper)."""
    fill_last_patch: bool = False
    """Put silence behind the sound until its last patch is complete, as YAMNet does. False: drop what is left over,
    but fill up sound that is shorter than one patch (the paper says nothing of either)."""
    recipe: str = "mean-downmix/swresample/float16"
    """What is code, not numbers: unweighted mean of channels, FFmpeg's resampler, float16 frames."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int:
                self._require(type(value) is int and value >= 1, field.name, "must be a whole number, at least 1")
                self._require(value <= _MAX_SIZE, field.name, f"must not exceed {_MAX_SIZE:,}")
            elif field.type is bool:
                self._require(isinstance(value, bool), field.name, "must be true or false")
            elif field.type is float:
                is_number = type(value) in (int, float) and math.isfinite(value)
                self._require(is_number, field.name, "must be a finite number")
        self._require(
            self.fft_length >= self.window_samples,
            "fft_length",
            f"must not be below window_samples ({self.window_samples})",
        )
        self._require(
            self.num_bands * self.fft_length <= _MAX_MEL_WEIGHTS,
            "num_bands",
            f"times fft_length={self.fft_length} must not exceed {_MAX_MEL_WEIGHTS:,}",
        )
        self._require(
            self.min_patch_samples <= _MAX_PATCH_SAMPLES,
            "patch_frames",
            f"makes patches of {self.min_patch_samples:,} samples; {_MAX_PATCH_SAMPLES:,} are the most",
        )
        self._require(
            self.patch_hop_frames <= self.patch_frames,
            "patch_hop_frames",
            f"must not exceed patch_frames={self.patch_frames}, or the sound between patches would never be heard",
        )
        self._require(0 <= self.min_hz < self.max_hz, "min_hz", f"must lie in [0, max_hz={self.max_hz})")
        self._require(
            self.max_hz <= self.sample_rate_hz / 2,
            "max_hz",
            f"must not exceed half the sample rate ({self.sample_rate_hz / 2:g} Hz)",
        )
        self._require(self.log_offset > 0, "log_offset", "must be positive (the logarithm of silence)")
        self._require(
            self.recipe == FrontEnd.recipe,
            "recipe",
            f"is unknown to this version, which makes {FrontEnd.recipe!r}",
        )

    def _require(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            raise SettingsError(f"front end: {name}={getattr(self, name)!r} {rule}")

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop_samples / self.sample_rate_hz

    @property
    def patch_seconds(self) -> float:
        """Nominal length of a patch in seconds: frames times the frame step."""
        return self.patch_frames * self.frame_seconds

    @property
    def patch_hop_seconds(self) -> float:
        """Seconds from the start of one patch to the next."""
        return self.patch_hop_frames * self.frame_seconds

    @property
    def min_patch_samples(self) -> int:
        """Fewest samples that give one patch (15,600 by default)."""
        return (self.patch_frames - 1) * self.hop_samples + self.window_samples

    def samples_to_frames(self, num_samples: int) -> int:
        """Number of complete frames in a waveform of `num_samples`."""
        return max(0, (num_samples - self.window_samples) // self.hop_samples + 1)

    def frames_to_patches(self, num_frames: int) -> int:
        """Number of complete patches in `num_frames` frames."""
        return max(0, (num_frames - self.patch_frames) // self.patch_hop_frames + 1)

    def samples_of_silence_behind(self, num_samples: int) -> int:
        """How many zeros follow a waveform of `num_samples` (at least one) before it becomes frames."""
        beyond_first = num_samples - self.min_patch_samples
        if beyond_first <= 0:
            return -beyond_first
        return -beyond_first % (self.patch_hop_frames * self.hop_samples) if self.fill_last_patch else 0

    @property
    def identity(self) -> str:
        """16 hex digits that differ whenever any constant differs; models carry it."""
        return _digest(self.to_dict())

    @property
    def frames_identity(self) -> str:
        """Like `identity`, but of the frames alone: equal whenever a stored frame means the same."""
        left_out = frozenset[str]() if self.fill_last_patch else _PATCH_FIELDS
        return _digest({k: v for k, v in self.to_dict().items() if k not in left_out})

    def differences(self, other: "FrontEnd") -> str:
        """What differs, as `name: mine / theirs` joined by commas; empty where the two are equal."""
        return ", ".join(
            f"{f.name}: {getattr(self, f.name)} / {getattr(other, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {k: v for k, v in asdict(self).items() if k not in _ADDED_FIELDS or v != _ADDED_FIELDS[k]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FrontEnd":
        """The inverse of `to_dict`.

        Raises:
            SettingsError: a field is missing, unknown, or out of range.
        """
        known = {f.name for f in fields(cls)}
        if {*values, *_ADDED_FIELDS} != known:
            raise SettingsError(
                "front end: expected exactly the fields "
                f"{', '.join(sorted(known))}; came {', '.join(sorted(values)) or 'none'}"
            )
        return cls(**values)


def _digest(values: Mapping[str, Any]) -> str:
    # floats and ints of equal value must not differ: 125 and 125.0 are one front end
    canonical = {
        k: float(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else v for k, v in values.items()
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:16]
