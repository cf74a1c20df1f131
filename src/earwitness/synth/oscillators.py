"""What sounds by itself: buzzes, glides, wheels, and partials that ring out.

A wheel is one turn of a waveform or a level, made once (`harmonic_turn`, `pulse_turn`, `bump_turn`) and read over and
over at the pace of `turns_made`: whatever it holds then costs the same, at any speed and however that changes.
"""

import numpy as np

from earwitness.synth.signals import HIGHEST_HZ, SAMPLE_RATE_HZ, Numbers, Waveform, num_samples, times

_TURN_SAMPLES = 8_192
"""Of one turn: at 8 turns a second, an engine's slowest, reading the nearest one still adds no audible images."""

_ROW_SAMPLES = 160
"""Ringing partials are multiplied out in rows of so many."""


def phase(hz: Waveform) -> Waveform:
    """The phase in radians of an oscillator whose frequency is given at each sample."""
    return np.asarray(2 * np.pi / SAMPLE_RATE_HZ * np.cumsum(hz))


def glide(from_hz: float, to_hz: float, seconds: float) -> Waveform:
    """A pure tone that glides evenly in pitch and swells and fades as half a sine."""
    t = times(seconds)
    return np.sin(phase(from_hz * (to_hz / from_hz) ** (t / seconds))) * np.sin(np.pi * t / seconds)


def buzz(pitch_hz: Waveform, dullness: Waveform | float) -> Waveform:
    """All harmonics of a gliding pitch, falling by so many nepers over 1 kHz; of mean square one."""
    # the sum of r**k sin(kx) over all k, sin(x) / (1 - 2 r cos(x) + r**2), in terms of tan(x / 2) and of r = exp(-d) by
    # tanh(d / 2): two functions to compute instead of three
    tangent = np.tan(np.pi / SAMPLE_RATE_HZ * np.cumsum(pitch_hz))
    damping = np.tanh(dullness / 2_000 * pitch_hz)
    return np.asarray(tangent * (1 + damping) * np.sqrt(2 * damping) / (damping**2 + tangent**2))


def decaying(num: int, ratio: float) -> Waveform:
    """Amplitudes of `num` harmonics, each `ratio` times the one before."""
    return np.asarray(ratio ** np.arange(num), dtype=np.float64)


def harmonics(hz: Waveform, amplitudes: Numbers) -> Waveform:
    """Harmonics of a changing pitch, those below `HIGHEST_HZ` at the pitch's highest."""
    one_turn = harmonic_turn(amplitudes[: int(HIGHEST_HZ / hz.max())])
    return _nearest(one_turn, np.cumsum(hz) * (_TURN_SAMPLES / SAMPLE_RATE_HZ))


def turns_made(hz: Waveform) -> Waveform:
    """Turns made so far by a wheel whose speed is given at each sample."""
    return np.cumsum(hz) / SAMPLE_RATE_HZ


def read(one_turn: Waveform, turned: Waveform) -> Waveform:
    """What a wheel sounds that has made so many turns; it sounds `one_turn` in each."""
    return _nearest(one_turn, turned * _TURN_SAMPLES)


def harmonic_turn(amplitudes: Numbers) -> Waveform:
    """One turn that holds a sine of amplitude given for each multiple of the turning frequency."""
    # sines, not cosines, so that harmonics do not all peak together
    return np.asarray(np.fft.irfft(-0.5j * _TURN_SAMPLES * np.concatenate(([0.0], amplitudes)), _TURN_SAMPLES))


def pulse_turn(positions: Numbers, strengths: Numbers, *, num_harmonics: int, last: float) -> Waveform:
    """One turn with a pulse at each position (in turns): harmonics that fall evenly, to `last` times at the last."""
    order = np.arange(1, num_harmonics + 1)
    comb = np.exp(-2j * np.pi * np.outer(order, positions)) @ np.asarray(strengths)
    one_turn = np.fft.irfft(np.concatenate(([0], comb * last ** (order / num_harmonics))), _TURN_SAMPLES)
    return np.asarray(one_turn / one_turn.std())


def bump_turn(positions: Numbers, strengths: Numbers, sharpness: float) -> Waveform:
    """One turn of a level that peaks at each position (in turns) and is nearly nought between."""
    away = 2 * np.pi * (np.arange(_TURN_SAMPLES)[:, None] / _TURN_SAMPLES - np.asarray(positions))
    return np.asarray(np.exp(sharpness * (np.cos(away) - 1)) @ np.asarray(strengths))


def ringing(
    hz: Numbers, amplitudes: Numbers, decay_seconds: Numbers, seconds: float, *, angles: Numbers | float = 0.0
) -> Waveform:
    """Partials that start together and each fall to 1/e in a time of its own; those above `HIGHEST_HZ` are left out.

    Args:
        hz: of each partial.
        amplitudes: of each at the start.
        decay_seconds: of each; infinity where it does not decay.
        seconds: length of the result.
        angles: phase of each at the start, in radians.
    """
    partials_hz = np.asarray(hz)
    is_heard = partials_hz < HIGHEST_HZ
    rates = (2j * np.pi * partials_hz - 1 / np.asarray(decay_seconds))[is_heard] / SAMPLE_RATE_HZ
    starts = (np.asarray(amplitudes) * np.exp(1j * np.asarray(angles)))[is_heard]
    # exp(rate (row a + b)) = exp(rate row a) exp(rate b): two short tables of exponentials, multiplied out. By einsum,
    # not by a matrix product, whose threads would fight those of other workers.
    num = num_samples(seconds)
    coarse = starts * np.exp(np.outer(np.arange(num // _ROW_SAMPLES + 1) * _ROW_SAMPLES, rates))
    fine = np.exp(np.outer(rates, np.arange(_ROW_SAMPLES)))
    rows = np.einsum("ak,kb->ab", np.hstack([coarse.real, coarse.imag]), np.vstack([fine.imag, fine.real]))
    return np.asarray(rows.ravel()[:num])


def _nearest(one_turn: Waveform, turned_samples: Waveform) -> Waveform:
    """The samples of a wheel that has made so many `_TURN_SAMPLES`-ths of a turn."""
    place = turned_samples.astype(np.int64)
    place &= _TURN_SAMPLES - 1  # a power of two: several times as fast as a remainder
    return np.asarray(one_turn[place])
