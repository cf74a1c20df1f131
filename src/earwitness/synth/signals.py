"""Waveforms of made sounds, and what can be done to any of them: filters, inertia, straight lines between points.

Waveforms are float64 [samples] at `SAMPLE_RATE_HZ`. What is random lives in `chance`, what sounds in `oscillators`,
how loudness moves in `envelopes`, and when things sound in `placing`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter

SAMPLE_RATE_HZ = 24_000
"""Of all sounds until they are encoded; the front end looks no higher than 7.5 kHz."""

HIGHEST_HZ = 11_000.0
"""No tone is made above this, so that none folds back."""

Waveform = npt.NDArray[np.float64]
Numbers = Sequence[float] | Waveform


def num_samples(seconds: float) -> int:
    """Samples in so many seconds, rounded."""
    return round(seconds * SAMPLE_RATE_HZ)


def times(seconds: float) -> Waveform:
    """The time of each sample, from 0."""
    return np.arange(num_samples(seconds)) / SAMPLE_RATE_HZ


def lines(at_samples: npt.ArrayLike, values: npt.ArrayLike, num: int) -> Waveform:
    """Straight lines between points, read at each of `num` samples; level before the first and after the last.

    Args:
        at_samples: where the points lie, rising; they need not be whole numbers.
        values: of the points.
        num: length of the result.
    """
    at, heights = np.asarray(at_samples, dtype=np.float64), np.asarray(values, dtype=np.float64)
    bounds = np.clip(np.ceil(at), 0, num).astype(np.int64)
    lengths = np.diff(np.concatenate(([0], bounds, [num])))
    slopes = np.concatenate(([0.0], np.diff(heights) / np.diff(at), [0.0]))
    offsets = np.concatenate((heights[:1], heights)) - slopes * np.concatenate((at[:1], at))
    # twice as fast as np.interp, which looks for the place of each sample
    drawn = np.arange(float(num))
    drawn *= np.repeat(slopes, lengths)
    drawn += np.repeat(offsets, lengths)
    return drawn


def lagging(target: Waveform, seconds: float) -> Waveform:
    """Follows the target with the inertia of so many seconds, from its first value."""
    kept = np.exp(-1 / (seconds * SAMPLE_RATE_HZ))
    return np.asarray(lfilter([1 - kept], [1, -kept], target, zi=[kept * target[0]])[0])


def band(waveform: Waveform, low_hz: float, high_hz: float, *, order: int = 2) -> Waveform:
    """What lies between two frequencies."""
    return _filtered(waveform, (low_hz, high_hz), "bandpass", order)


def low_pass(waveform: Waveform, hz: float, *, order: int = 2) -> Waveform:
    """What lies below a frequency."""
    return _filtered(waveform, hz, "lowpass", order)


def high_pass(waveform: Waveform, hz: float, *, order: int = 2) -> Waveform:
    """What lies above a frequency."""
    return _filtered(waveform, hz, "highpass", order)


def resonance(waveform: Waveform, hz: float, width_hz: float) -> Waveform:
    """What a resonance of that frequency and width at -3 dB makes of it."""
    gain, poles = _resonator(hz, width_hz)
    return np.asarray(lfilter([gain], poles, waveform))


def resonances(
    waveform: Waveform, hz: Iterable[float], widths_hz: Iterable[float], gains: Iterable[float], *, direct: float = 0.0
) -> Waveform:
    """The sum of several resonances of a waveform, each times its gain, and of so much of the waveform itself."""
    # as one filter: it takes hardly longer than any one of them
    zeros, poles = np.array([direct]), np.ones(1)
    for centre_hz, width_hz, gain in zip(hz, widths_hz, gains, strict=True):
        own_gain, own_poles = _resonator(centre_hz, width_hz)
        zeros = np.convolve(zeros, own_poles)
        zeros[: len(poles)] += gain * own_gain * poles
        poles = np.convolve(poles, own_poles)
    return np.asarray(lfilter(zeros, poles, waveform))


def _resonator(hz: float, width_hz: float) -> tuple[float, Waveform]:
    """Gain and denominator of a filter of two poles."""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
    return float(1 - radius), np.array([1.0, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ), radius**2])


def _filtered(waveform: Waveform, hz: float | tuple[float, float], kind: str, order: int) -> Waveform:
    return np.asarray(lfilter(*butter(order, hz, btype=kind, fs=SAMPLE_RATE_HZ), waveform))
