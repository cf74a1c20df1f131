"""Where a recording was made and with what: the noise there, how the room answers, what the device does to sound.

All clips of one recording share a place. Rooms are exponentially decaying noise, different on the two sides; devices
cut the band, and press loud moments softly instead of clipping them.

References: Moorer 1979, "About this reverberation business" (decaying noise as a room's answer).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from earwitness.synth.signals import SAMPLE_RATE_HZ

Stereo = npt.NDArray[np.float64]
"""[2, samples] at `SAMPLE_RATE_HZ`; full scale is 1."""

_DEVICES_HZ = ((300.0, 3_400.0), (150.0, 5_500.0), (80.0, 8_000.0), (40.0, 11_000.0), (20.0, 11_500.0))
"""Telephone, old camcorder, phone's video, camera, recorder."""
_DEVICE_SHARES = (0.08, 0.17, 0.25, 0.3, 0.2)
_MAINS_HZ = (50.0, 60.0)
_DIRECT_SECONDS = 0.003
"""The first of a room's answer is too close to the direct sound to be told from it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place and device."""

    noise_pole: float
    """Colour of the noise: the pole of a one-pole low pass; 0 is white, near 1 brown."""
    noise_db: float
    """Root mean square of the noise as one channel, below full scale."""
    noise_swing_db: float
    """How much the noise comes and goes."""
    hum_hz: float
    hum_db: float
    """Of the mains' hum, relative to the noise."""
    reverberation_seconds: float
    """Time in which the room's answer falls by 60 dB."""
    wetness: float
    """Energy of the room's answer over that of the direct sound, for a source at hand."""
    device_hz: tuple[float, float]
    drive_db: float
    """Gain before the device's limiter."""
    seed: int
    """Of the room's noise."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Place":
        """A place at random; three in ten are outdoors, almost without an answer."""
        is_outdoors = rng.random() < 0.3
        return cls(
            noise_pole=float(rng.uniform(0.0, 0.97)),
            noise_db=float(rng.uniform(-46, -30)),
            noise_swing_db=float(rng.uniform(0, 4)),
            hum_hz=float(rng.choice(_MAINS_HZ)),
            hum_db=float(rng.uniform(-30, -3)),
            reverberation_seconds=float(0.12 if is_outdoors else np.exp(rng.uniform(np.log(0.2), np.log(2.2)))),
            wetness=float(0.02 if is_outdoors else 10 ** rng.uniform(-1.5, 0.0)),
            device_hz=_DEVICES_HZ[int(rng.choice(len(_DEVICES_HZ), p=_DEVICE_SHARES))],
            drive_db=float(rng.choice((0.0, 0.0, 6.0, 12.0))),
            seed=int(rng.integers(2**31)),
        )

    @cached_property
    def answer(self) -> Stereo:
        """The room's impulse response without the direct sound, of energy one on either side."""
        rng = np.random.default_rng(self.seed)
        t = np.arange(round(self.reverberation_seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        decay = 10 ** (-3 * t / self.reverberation_seconds) * (t > _DIRECT_SECONDS)
        tail = lfilter([0.6], [1, -0.4], rng.standard_normal((2, len(t))) * decay)  # air and walls dampen treble
        return np.asarray(tail / np.sqrt((tail**2).sum(axis=1, keepdims=True)))


def noise_of(place: Place, rng: np.random.Generator) -> Callable[[int], Stereo]:
    """A function that gives the place's next samples of noise: [2, number asked for]."""
    pole = place.noise_pole
    state = np.zeros((2, 1))
    level = 10 ** (place.noise_db / 20)
    gain = np.sqrt(2) * level  # the two sides are independent: their mean is 3 dB below either
    hum_gain = np.sqrt(2) * level * 10 ** (place.hum_db / 20)
    swing_hz, swing_phase = rng.uniform(0.02, 0.2), rng.uniform(0, 2 * np.pi)
    position = 0

    def more(num: int) -> Stereo:
        nonlocal state, position
        t = (position + np.arange(num)) / SAMPLE_RATE_HZ
        position += num
        # a one-pole low pass of unit white noise has the variance 1 / (1 - pole**2)
        noise, state = lfilter([np.sqrt(1 - pole**2)], [1, -pole], rng.standard_normal((2, num)), zi=state)
        swing = 10 ** (place.noise_swing_db / 20 * np.sin(2 * np.pi * swing_hz * t + swing_phase))
        return np.asarray(gain * swing * noise + hum_gain * np.sin(2 * np.pi * place.hum_hz * t))

    return more


def device_of(place: Place) -> Callable[[Stereo], Stereo]:
    """A function that turns the next samples of sound into what the device records of them, within (-1, 1)."""
    sos = butter(2, place.device_hz, btype="bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    state = np.zeros((len(sos), 2, 2))
    drive = 10 ** (place.drive_db / 20)

    def record(sound: Stereo) -> Stereo:
        nonlocal state
        filtered, state = sosfilt(sos, sound, zi=state)
        return np.asarray(np.tanh(drive * filtered))

    return record
