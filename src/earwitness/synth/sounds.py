"""Procedural sounds, one function for each kind: `(rng, seconds) -> waveform`.

Each returns float64 [samples] at `SAMPLE_RATE_HZ`, about `seconds` long and of any level (the mixer sets it);
pitch, pace and timbre vary with `rng`. Kinds share frequency ranges on purpose: `bird` rises where `whistle`
falls, `siren` and `speech` overlap, so that telling them apart takes more than an average spectrum.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

SAMPLE_RATE_HZ = 24_000
"""One that PCM, MP3, Opus and AAC all take; the front end looks no higher than 7.5 kHz."""

_VOWELS_HZ = (
    (750, 1_200, 2_500),
    (300, 2_200, 2_900),
    (500, 1_800, 2_500),
    (350, 800, 2_300),
    (550, 900, 2_400),
)

Waveform = npt.NDArray[np.float64]
Sound = Callable[[np.random.Generator, float], Waveform]


def bark(rng: np.random.Generator, seconds: float) -> Waveform:
    """Short hoarse bursts with a pitch that jumps up and falls."""
    base_hz = rng.uniform(250, 600)

    def one() -> Waveform:
        t = _times(rng.uniform(0.10, 0.22))
        pitch_hz = base_hz * (1 + 0.5 * np.exp(-(((t - 0.03) / 0.05) ** 2)))
        voice = _harmonics(pitch_hz, num=12, decay=0.8) + 0.3 * rng.standard_normal(len(t))
        return _band(voice, 200, 4_500) * _fade(t, attack=0.01, decay=0.07)

    return _repeated(rng, one, seconds, min_gap=0.15, max_gap=0.6)


def bell(rng: np.random.Generator, seconds: float) -> Waveform:
    """Strokes with inharmonic partials that ring out slowly, the high ones first."""
    base_hz = rng.uniform(300, 900)
    ratios = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.74, 3.76]) * rng.uniform(0.99, 1.01, 7)

    def one() -> Waveform:
        t = _times(rng.uniform(1.2, 2.2))
        partials = [np.sin(2 * np.pi * base_hz * r * t) * np.exp(-t * 1.5 * r) / np.sqrt(r) for r in ratios]
        return np.asarray(np.sum(partials, axis=0) * _fade(t, attack=0.003, decay=2.0))

    return _repeated(rng, one, seconds, min_gap=-0.9, max_gap=-0.2)


def bird(rng: np.random.Generator, seconds: float) -> Waveform:
    """Quick chirps that rise."""
    low_hz, ratio = rng.uniform(1_800, 3_500), rng.uniform(1.3, 1.7)
    length = rng.uniform(0.08, 0.2)
    return _repeated(rng, lambda: _glide(low_hz, low_hz * ratio, length), seconds, min_gap=0.02, max_gap=0.25)


def drum(rng: np.random.Generator, seconds: float) -> Waveform:
    """A steady beat: low skin, rattle and cymbal in turn."""
    beat_seconds = rng.uniform(0.16, 0.3)
    skin_hz = rng.uniform(80, 160)
    pattern = rng.integers(0, 3, size=8)

    def skin(t: Waveform) -> Waveform:
        return 2 * np.sin(2 * np.pi * skin_hz * (t - 0.3 * np.exp(-t / 0.03) * 0.03)) * np.exp(-t / 0.08)

    def rattle(t: Waveform) -> Waveform:
        return _band(rng.standard_normal(len(t)), 300, 5_000) * np.exp(-t / 0.06)

    def cymbal(t: Waveform) -> Waveform:
        return 0.7 * _band(rng.standard_normal(len(t)), 5_000, 11_000) * np.exp(-t / 0.03)

    beat = _times(beat_seconds)
    hits = [(skin, rattle, cymbal)[pattern[i % 8]](beat) for i in range(int(seconds / beat_seconds) + 1)]
    return np.concatenate(hits)[: _num_samples(seconds)]


def engine(rng: np.random.Generator, seconds: float) -> Waveform:
    """A hum of many harmonics whose speed drifts, rough from uneven strokes."""
    t = _times(seconds)
    drift = 1 + 0.25 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * t + rng.uniform(0, 6.3))
    speed_hz = rng.uniform(35, 80) * drift
    hum = _harmonics(speed_hz, num=40, decay=0.93)
    strokes = 1 + 0.6 * np.sin(_phase(speed_hz / 2)) + 0.2 * _slow_noise(rng, len(t))
    return hum * strokes + 0.2 * _band(rng.standard_normal(len(t)), 100, 2_000)


def rain(rng: np.random.Generator, seconds: float) -> Waveform:
    """Hiss with drops: short pings at random times."""
    num = _num_samples(seconds)
    drops = np.zeros(num)
    for start in rng.integers(0, num, size=int(seconds * rng.uniform(40, 120))):
        t = _times(0.012)[: num - start]
        ping = np.sin(2 * np.pi * rng.uniform(1_500, 6_000) * t) * np.exp(-t / 0.003)
        drops[start : start + len(t)] += rng.exponential(1.0) * ping
    return drops + 0.25 * _band(rng.standard_normal(num), 1_000, 9_000)


def siren(rng: np.random.Generator, seconds: float) -> Waveform:
    """A tone with harmonics that sweeps up and down."""
    t = _times(seconds)
    low_hz, high_hz = rng.uniform(450, 750), rng.uniform(1_100, 1_600)
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * t / rng.uniform(0.4, 2.5) + rng.uniform(0, 6.3))
    return _harmonics(low_hz * (high_hz / low_hz) ** sweep, num=5, decay=0.5)


def speech(rng: np.random.Generator, seconds: float) -> Waveform:
    """Syllables: pulses of a gliding voice through the resonances of changing vowels."""
    voice_hz = rng.uniform(90, 240)

    def one() -> Waveform:
        t = _times(rng.uniform(0.12, 0.3))
        pitch_hz = voice_hz * np.linspace(rng.uniform(0.9, 1.25), rng.uniform(0.8, 1.1), len(t))
        source = _harmonics(pitch_hz, num=25, decay=0.95) + 0.05 * rng.standard_normal(len(t))
        formants_hz = _VOWELS_HZ[rng.integers(len(_VOWELS_HZ))]
        mouth = np.sum([_resonance(source, hz, 80 + 0.05 * hz) for hz in formants_hz], axis=0)
        return np.asarray(mouth * np.hanning(len(t)) ** 0.5)

    return _repeated(rng, one, seconds, min_gap=0.0, max_gap=0.12)


def whistle(rng: np.random.Generator, seconds: float) -> Waveform:
    """Quick glides that fall."""
    low_hz, ratio = rng.uniform(1_800, 3_500), rng.uniform(1.3, 1.7)
    length = rng.uniform(0.08, 0.2)
    return _repeated(rng, lambda: _glide(low_hz * ratio, low_hz, length), seconds, min_gap=0.02, max_gap=0.25)


SOUNDS: dict[str, Sound] = {f.__name__: f for f in (bark, bell, bird, drum, engine, rain, siren, speech, whistle)}
"""Every kind by its label."""


def _num_samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _times(seconds: float) -> Waveform:
    return np.arange(_num_samples(seconds)) / SAMPLE_RATE_HZ


def _phase(hz: Waveform) -> Waveform:
    return np.asarray(2 * np.pi / SAMPLE_RATE_HZ * np.cumsum(hz))


def _harmonics(pitch_hz: Waveform, *, num: int, decay: float) -> Waveform:
    """Sum of harmonics below 11 kHz; each is `decay` times the one before."""
    phase = _phase(pitch_hz)
    num = min(num, int(11_000 / pitch_hz.max()))
    return np.asarray(np.sum([decay**k * np.sin((k + 1) * phase) for k in range(num)], axis=0))


def _glide(from_hz: float, to_hz: float, seconds: float) -> Waveform:
    t = _times(seconds)
    return np.sin(_phase(from_hz * (to_hz / from_hz) ** (t / seconds))) * np.sin(np.pi * t / seconds)


def _fade(t: Waveform, *, attack: float, decay: float) -> Waveform:
    """Rises over `attack` seconds, falls to 1/e in `decay` more, ends at nought."""
    return np.asarray(np.minimum(t / attack, 1.0) * np.exp(-t / decay) * np.minimum((t[-1] - t) / 0.01, 1.0))


def _band(waveform: Waveform, low_hz: float, high_hz: float) -> Waveform:
    sos = butter(2, (low_hz, high_hz), btype="bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(sosfilt(sos, waveform))


def _resonance(waveform: Waveform, hz: float, width_hz: float) -> Waveform:
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
    poles = [1.0, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ), radius**2]
    return np.asarray(lfilter([1 - radius], poles, waveform))


def _slow_noise(rng: np.random.Generator, num_samples: int) -> Waveform:
    """Noise that changes some ten times a second, of standard deviation one."""
    steps = max(2, num_samples * 10 // SAMPLE_RATE_HZ)
    moments = np.linspace(0, steps - 1, num_samples)
    return np.asarray(np.interp(moments, np.arange(steps), rng.standard_normal(steps)))


def _repeated(
    rng: np.random.Generator, one: Callable[[], Waveform], seconds: float, *, min_gap: float, max_gap: float
) -> Waveform:
    """Instances of a sound one after another until `seconds` are full; negative gaps overlap them."""
    waveform = np.zeros(_num_samples(seconds))
    position = 0
    while position < len(waveform):
        instance = one()
        kept = instance[: len(waveform) - position]
        waveform[position : position + len(kept)] += kept
        position += len(instance) + _num_samples(rng.uniform(min_gap, max_gap))
    return waveform
