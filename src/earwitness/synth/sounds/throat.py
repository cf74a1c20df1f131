"""A human voice: a buzz of gliding pitch and breath noise through formants that move, and hiss for the consonants.

The pitch is that of the vocal folds, the formants are the resonances of the mouth. All is planned as a list
of `Moment`s, and moves evenly from each to the next.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import scipy.fft

from earwitness.synth.chance import white
from earwitness.synth.oscillators import buzz
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, lines, num_samples

_FRAME_SAMPLES, _HOP_SAMPLES = 512, 256
"""Windows of the filter whose formants move."""
_BLOCK_FRAMES = 256
"""Filtered together, so that memory does not grow with the sound."""

_FORMANT_WIDTHS_HZ = (90.0, 120.0, 170.0, 260.0)
_FORMANT_GAINS = (1.0, 0.7, 0.45, 0.25)

_PITCHES_HZ_AND_SIZES = ((85.0, 150.0, 1.0), (160.0, 250.0, 1.16), (250.0, 360.0, 1.35))
"""Lowest and highest usual pitch, and formants relative to a man's, of men, women and children."""

Formants = tuple[float, ...]
"""Three frequencies in Hz; the fourth is a person's own."""

Shape = tuple[tuple[float, float, float, float, float], ...]
"""Moments of an utterance: when and pitch relative to its length and pitch, voiced, aspirated, hiss."""


@dataclass(frozen=True)
class Person:
    """What does not change while someone speaks."""

    pitch_hz: float
    size: float
    """Formant frequencies relative to a man's."""
    dullness: float
    """Nepers by which the folds' harmonics fall over 1 kHz."""
    breath: float
    """Breath noise in vowels, relative to the folds."""
    pace: float
    """1 is usual, 1.3 hurried."""
    liveliness: float
    """How far pitch moves, 0 to 1."""

    @classmethod
    def draw(cls, source: np.random.Generator, *, age: float | None = None) -> Self:
        """Someone; `age` from 0 chooses a man, from 1/3 a woman, from 2/3 a child, None any."""
        kind, pitch, size, dullness, breath, pace, liveliness = source.uniform(size=7)
        low_hz, high_hz, usual_size = _PITCHES_HZ_AND_SIZES[int(3 * (kind if age is None else age))]
        return cls(
            pitch_hz=low_hz * (high_hz / low_hz) ** pitch,
            size=usual_size * (0.94 + 0.12 * size),
            dullness=0.35 + 0.55 * dullness,
            breath=0.02 + 0.25 * breath**2,
            pace=0.85 + 0.5 * pace,
            liveliness=liveliness,
        )

    def formants(self, mans_hz: Formants) -> Formants:
        """A man's formants, scaled to this person's size."""
        return tuple(hz * self.size for hz in mans_hz)


class Moment(NamedTuple):
    """A moment of a voice; everything moves evenly to the next."""

    seconds: float
    pitch_hz: float
    voiced: float
    """Strength of the folds."""
    aspirated: float
    """Strength of noise that passes the formants, as in h."""
    hiss: float
    """Strength of noise made behind the teeth, as in s."""
    hiss_hz: float
    formants_hz: Formants


@dataclass(frozen=True)
class _Resonances:
    """Resonances that move from frame to frame."""

    hz: Waveform
    """[resonances, frames]."""
    widths_hz: tuple[float, ...]
    peak_gains: tuple[float, ...]

    def gains(self, frames: slice) -> Waveform:
        """Gain of each frequency of a window's spectrum in these frames: [frames, bins]."""
        bins_hz = np.arange(_FRAME_SAMPLES // 2 + 1) * (SAMPLE_RATE_HZ / _FRAME_SAMPLES)
        total = np.zeros((len(self.hz[0, frames]), len(bins_hz)))
        for hz, width_hz, peak in zip(self.hz[:, frames], self.widths_hz, self.peak_gains, strict=True):
            away = np.subtract.outer(hz / width_hz, bins_hz / width_hz)
            away *= away
            away += 1
            total += np.divide(peak, away, out=away)
        return total


def planned(shape: Shape, start: float, length: float, pitch_hz: float, formants_hz: Formants) -> list[Moment]:
    """A shape set in time and pitch."""
    return [
        Moment(start + at * length, pitch_hz * ratio, voiced, aspirated, hiss, 3_000.0, formants_hz)
        for at, ratio, voiced, aspirated, hiss in shape
    ]


def uttered(
    rng: np.random.Generator, person: Person, plan: list[Moment], seconds: float, *, wobble: Waveform | float = 1.0
) -> Waveform:
    """The sound of a planned voice; `wobble` multiplies the pitch at each sample."""
    num = num_samples(seconds)
    num_frames = _num_frames(num)
    at = SAMPLE_RATE_HZ * np.array([m.seconds for m in plan])
    tracks = zip(*((m.pitch_hz, m.voiced, m.aspirated, m.hiss) for m in plan), strict=True)
    pitch_hz, voiced, aspirated, hiss = (lines(at, track, num) for track in tracks)
    hiss_hz = lines(at / _HOP_SAMPLES, [m.hiss_hz for m in plan], num_frames)
    formants_hz = [lines(at / _HOP_SAMPLES, hz, num_frames) for hz in zip(*(m.formants_hz for m in plan), strict=True)]
    formants_hz.append(np.full(num_frames, 3_500 * person.size))
    noise = white(rng, seconds)
    mouth = _Resonances(np.array(formants_hz), _FORMANT_WIDTHS_HZ, _FORMANT_GAINS)
    teeth = _Resonances(hiss_hz[None], (900.0,), (0.5,))
    folds = buzz(pitch_hz * wobble, person.dullness) * voiced
    return _through([(folds + noise * aspirated, mouth), (noise * hiss, teeth)])


def _num_frames(num: int) -> int:
    """Windows that so many samples take, the first of them half before the beginning."""
    return num // _HOP_SAMPLES + 2


def _through(parts: list[tuple[Waveform, _Resonances]]) -> Waveform:
    """The sum of waveforms of one length, each through moving resonances: windows that overlap by half."""
    num = len(parts[0][0])
    num_frames = _num_frames(num)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME_SAMPLES) / _FRAME_SAMPLES)
    windows = [_windows(np.pad(waveform, (_HOP_SAMPLES, 2 * _FRAME_SAMPLES))) for waveform, _ in parts]
    hops = np.zeros((num_frames + 1, _HOP_SAMPLES))
    for first in range(0, num_frames, _BLOCK_FRAMES):
        frames = slice(first, min(first + _BLOCK_FRAMES, num_frames))
        spectrum = sum(
            scipy.fft.rfft(own[frames] * window) * resonances.gains(frames)
            for own, (_, resonances) in zip(windows, parts, strict=True)
        )
        filtered = scipy.fft.irfft(spectrum)
        hops[frames] += filtered[:, :_HOP_SAMPLES]
        hops[first + 1 : frames.stop + 1] += filtered[:, _HOP_SAMPLES:]
    return np.asarray(hops.ravel()[_HOP_SAMPLES : _HOP_SAMPLES + num])


def _windows(waveform: Waveform) -> Waveform:
    """A view of the overlapping windows, [frames, samples]."""
    return np.lib.stride_tricks.sliding_window_view(waveform, _FRAME_SAMPLES)[::_HOP_SAMPLES]
