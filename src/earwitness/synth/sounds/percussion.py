"""Drums and jingles: what keeps a beat, and no tune. `drum_kit` and `tambourine` are alike on purpose."""

import numpy as np

from earwitness.synth.envelopes import fade
from earwitness.synth.oscillators import phase, ringing
from earwitness.synth.placing import add
from earwitness.synth.signals import Waveform, band, high_pass, num_samples, times


def drum_kit(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Bass drum, snare, tom and cymbals on a beat of sixteen steps that comes round with small changes."""
    tempo, skin, snap, ring, busy, loudness = source.uniform(size=6)
    pattern = source.random((4, 16))
    drums = (
        _skin(rng, 55 + 50 * skin, 0.12),
        _snare(rng, 170 + 150 * skin, snap),
        _skin(rng, 110 + 120 * skin, 0.18),
        _cymbal(rng, 0.02 + 0.1 * ring**2) * (0.25 + 0.5 * loudness),
    )
    waveform = np.zeros(num_samples(seconds))
    step_seconds = 0.1 + 0.06 * tempo
    for number in range(int(seconds / step_seconds) + 1):
        step = number % 16
        likely = (
            0.95 if step % 8 == 0 else 0.15 + 0.2 * busy,
            0.97 if step % 8 == 4 else 0.1 * busy,
            0.12 * busy if step >= 12 else 0.03,
            0.98 if step % 2 == 0 else 0.2 + 0.6 * busy,
        )
        for drum, chance, fixed in zip(drums, likely, pattern[:, step], strict=True):
            if 0.85 * fixed + 0.15 * rng.random() < chance:
                add(waveform, rng.uniform(0.7, 1.0) * drum, number * step_seconds)
    return waveform


def tambourine(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Small metal jingles shaken back and forth in even steps, with accents where the hand strikes the frame."""
    tempo, size, ring, slap, accent = source.uniform(size=5)
    jingles = [_jingle(source, 2_200 + 2_000 * (1 - size), 0.03 + 0.09 * ring) for _ in range(4)]
    hit = 0.6 * slap * _skin(rng, 220 + 200 * size, 0.04)
    waveform = np.zeros(num_samples(seconds))
    step_seconds = 0.085 + 0.06 * tempo
    for number in range(int(seconds / step_seconds) + 1):
        is_accent = number % (4, 3, 8)[int(3 * accent)] == 0
        moment = number * step_seconds + 0.008 * rng.random()
        for strength, late_seconds in ((1.0, 0.0), (0.6, 0.012), (0.4, 0.027)):
            loud = strength * (1.0 if is_accent else rng.uniform(0.25, 0.45))
            add(waveform, loud * jingles[rng.integers(4)], moment + late_seconds * rng.uniform(0.7, 1.3))
        if is_accent:
            add(waveform, hit, moment)
    return waveform


def _skin(rng: np.random.Generator, hz: float, decay_seconds: float) -> Waveform:
    """A drum's skin: a tone that drops as it dies, with the beater's click."""
    t = times(5 * decay_seconds)
    tone = np.sin(phase(hz * (1 + 1.5 * np.exp(-t / 0.02))))
    tone *= fade(t, attack_seconds=0.002, decay_seconds=decay_seconds)
    return tone + 0.3 * band(rng.standard_normal(len(t)), 300, 4_000) * np.exp(-t / 0.004)


def _snare(rng: np.random.Generator, hz: float, snap: float) -> Waveform:
    """A small skin over rattling wires."""
    t = times(0.3)
    wires = band(rng.standard_normal(len(t)), 900 + 800 * snap, 9_000) * np.exp(-t / (0.04 + 0.06 * snap))
    return wires + 0.8 * np.sin(phase(hz * (1 + 0.4 * np.exp(-t / 0.01)))) * np.exp(-t / 0.05)


def _cymbal(rng: np.random.Generator, decay_seconds: float) -> Waveform:
    """Hiss of metal."""
    t = times(5 * decay_seconds)
    return high_pass(rng.standard_normal(len(t)), 4_000) * fade(t, attack_seconds=0.001, decay_seconds=decay_seconds)


def _jingle(source: np.random.Generator, lowest_hz: float, decay_seconds: float) -> Waveform:
    """A pair of small cymbals: many partials in no order."""
    partials_hz = lowest_hz * source.uniform(1.0, 4.0, size=14)
    decays = decay_seconds * source.uniform(0.4, 1.0, size=14)
    return ringing(partials_hz, source.uniform(0.3, 1.0, size=14), decays, 5 * decay_seconds)
