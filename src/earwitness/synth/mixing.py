"""A scene: a background, and sounds placed over it, that may overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import next_fast_len

from earwitness.synth.sounds import SAMPLE_RATE_HZ, SOUNDS, Waveform

_EVENT_SECONDS = (1.0, 3.5)
_LEVEL_DB = (-3.0, 15.0)
"""Level of a sound over its background, both by root mean square."""
_FADE_SECONDS = 0.01


@dataclass(frozen=True, kw_only=True)
class Background:
    """The noise of one place; clips of one recording share it."""

    tilt_db_per_octave: float
    """0 is white, -6 brown."""
    level_db: float
    """Root mean square below full scale."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Background":
        """A place at random."""
        return cls(tilt_db_per_octave=rng.uniform(-6, 0), level_db=rng.uniform(-40, -28))


@dataclass(frozen=True, kw_only=True)
class Event:
    """A sound in a clip."""

    label: str
    start_seconds: float
    stop_seconds: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A clip before it is encoded."""

    waveform: npt.NDArray[np.float32]
    """[2, samples] at `SAMPLE_RATE_HZ`, within [-1, 1]."""
    events: tuple[Event, ...]
    """By start."""


def mix(rng: np.random.Generator, labels: Sequence[str], *, seconds: float, background: Background) -> Scene:
    """One event of each label in `seconds` of background, each at a level, time and place of its own."""
    floor = 10 ** (background.level_db / 20)
    num_samples = round(seconds * SAMPLE_RATE_HZ)
    mixed = np.stack([floor * _noise(rng, num_samples, background.tilt_db_per_octave) for _ in range(2)])
    events = []
    for label in labels:
        sound = _faded(SOUNDS[label](rng, min(rng.uniform(*_EVENT_SECONDS), seconds)))
        gain = floor * 10 ** (rng.uniform(*_LEVEL_DB) / 20) / _rms(sound)
        start = int(rng.integers(0, num_samples - len(sound) + 1))
        left = rng.uniform(0.3, 0.7)
        mixed[:, start : start + len(sound)] += np.outer((2 * left, 2 - 2 * left), gain * sound)
        stop = start + len(sound)
        events.append(Event(label=label, start_seconds=start / SAMPLE_RATE_HZ, stop_seconds=stop / SAMPLE_RATE_HZ))
    mixed /= max(1.0, np.abs(mixed).max() / 0.95)
    return Scene(waveform=mixed.astype(np.float32), events=tuple(sorted(events, key=lambda e: e.start_seconds)))


def _noise(rng: np.random.Generator, num_samples: int, tilt_db_per_octave: float) -> Waveform:
    """Coloured noise of root mean square one."""
    fft_length = next_fast_len(num_samples, real=True)  # a prime number of samples would take seconds
    spectrum = np.fft.rfft(rng.standard_normal(fft_length))
    hz = np.fft.rfftfreq(fft_length, 1 / SAMPLE_RATE_HZ)
    tilted = spectrum * np.maximum(hz, 50.0) ** (tilt_db_per_octave / 20 / np.log10(2))
    noise = np.fft.irfft(tilted, fft_length)[:num_samples]
    return noise / _rms(noise)


def _rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(waveform**2)))


def _faded(waveform: Waveform) -> Waveform:
    """Without clicks at its ends."""
    ramp = np.arange(len(waveform)) / (_FADE_SECONDS * SAMPLE_RATE_HZ)
    return waveform * np.minimum(1.0, np.minimum(ramp, ramp[::-1]))
