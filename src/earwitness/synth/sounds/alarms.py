"""Alarms and signals: sirens, horns, bells, beeps and telephones.

Alike on purpose: siren and two-tone horn (one band, sweeping or alternating), smoke alarm, reversing beeps and cricket
(beeps in threes or even), church bell, bicycle bell and a telephone's bell (what rings out slowly, briefly, or in
bursts), car horn and brass, buzzer and a car's hum.

Patterns with pauses are fitted to the time (`fitted`), so that they begin and end in sound.
"""

import numpy as np

from earwitness.synth.chance import slow_noise
from earwitness.synth.envelopes import held
from earwitness.synth.oscillators import decaying, harmonics, phase, ringing
from earwitness.synth.placing import add, fitted, struck
from earwitness.synth.signals import Waveform, band, num_samples, resonance, resonances, times

_CHURCH_PARTIALS = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.67, 3.0, 4.0, 5.3, 6.7])
"""Of a tuned bell to its prime: hum, prime, minor tierce, quint, nominal, and what lies above."""

_BELL_STEPS = (1.0, 9 / 8, 4 / 3)
"""From a tower's lowest bell to its others."""

_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1_209, 1_336, 1_477)
"""Each telephone key sounds the tone of its row and that of its column (ITU-T Q.23)."""


def siren(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A rich tone that sweeps up and down: wails of seconds, or yelps of a fraction of one."""
    is_yelping, wail_seconds, yelp_seconds = source.random() < 0.4, source.uniform(1.8, 6.0), source.uniform(0.22, 0.6)
    low_hz, span = source.uniform(420, 750), source.uniform(1.8, 2.8)
    rising, ratio = source.uniform(0.3, 0.8), source.uniform(0.45, 0.85)
    horn_hz = source.uniform(900, 2_500)
    sweep_seconds = (yelp_seconds if is_yelping else wail_seconds) * rng.uniform(0.95, 1.05)
    part = (times(seconds) / sweep_seconds + rng.uniform(0, 1)) % 1
    height = np.sin(np.pi / 2 * np.minimum(part / rising, (1 - part) / (1 - rising)))
    tone = harmonics(low_hz * span**height * _passing(rng, seconds), decaying(12, ratio))
    return (tone + 3 * resonance(tone, horn_hz, 0.4 * horn_hz)) * held(len(tone), ramp_seconds=0.01)


def two_tone_horn(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A high and a low note by turns, evenly, as European emergency horns sound."""
    low_hz, interval = source.uniform(340, 620), source.uniform(1.17, 1.5)
    note_seconds, lag_seconds = source.uniform(0.3, 0.75), source.uniform(0.003, 0.03)
    ratio, reed_hz, odd = source.uniform(0.6, 0.9), source.uniform(1_000, 2_800), source.uniform(0.2, 1.0)
    part = times(seconds) / note_seconds + rng.uniform(0, 2)
    # nought on the low note and one on the high one, with a slope as short as the horn's lag
    away = (0.5 - np.abs(part % 2 - 1)) * note_seconds / lag_seconds
    is_high = np.clip(0.5 - away, 0, 1)
    amplitudes = decaying(14, ratio) * np.where(np.arange(14) % 2, odd, 1.0)
    tone = harmonics(low_hz * interval**is_high * _passing(rng, seconds), amplitudes)
    return (tone + 3 * resonance(tone, reed_hz, 0.3 * reed_hz)) * held(len(tone), ramp_seconds=0.01)


def smoke_alarm(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Three piercing beeps near 3 kHz and a pause, again and again."""
    hz, octave, waver = source.uniform(2_750, 3_500), source.uniform(0.0, 0.3), source.uniform(0.0, 0.01)
    beep_seconds, gap_seconds = source.uniform(0.12, 0.45), source.uniform(0.08, 0.3)
    pause_seconds = gap_seconds + source.uniform(0.35, 0.6)
    beeps = np.arange(3) * (beep_seconds + gap_seconds)
    starts = fitted(seconds, beeps[-1] + beep_seconds, pause_seconds)
    t = times(seconds)
    drift = 1 + 0.001 * slow_noise(rng, len(t)) + waver * np.sin(2 * np.pi * rng.uniform(6, 9) * t)
    return _level(np.add.outer(starts, beeps).ravel(), beep_seconds, seconds) * harmonics(hz * drift, (1.0, octave))


def telephone(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Rings and pauses: two gongs struck in turn by a clapper, or two electronic notes that warble."""
    is_mechanical, trills_hz = source.random() < 0.5, source.uniform(9, 15)
    notes_hz = source.uniform(700, 1_500) * np.array([1.0, source.uniform(1.12, 1.35)])
    decay_seconds, partials = source.uniform(0.1, 0.3), np.array([1.0, 2.4, 4.3]) * source.uniform(0.95, 1.1, 3)
    overtones = source.uniform(0.05, 0.6, 5)
    ring_seconds, pause_seconds = rng.uniform(0.94, 1.06) * source.uniform((0.5, 0.4), (1.6, 0.7))
    starts = fitted(seconds, ring_seconds, pause_seconds)
    if not is_mechanical:
        is_high = (trills_hz * times(seconds) + rng.uniform(0, 1)) % 1 < 0.5
        warble = harmonics(notes_hz[is_high.astype(np.int64)], np.concatenate(([1.0], overtones)))
        return _level(starts, ring_seconds, seconds) * warble
    strikes = np.arange(round(trills_hz * ring_seconds)) / trills_hz
    waveform = np.zeros(num_samples(seconds))
    for note_hz, delay_seconds in zip(notes_hz, (0.0, 0.5 / trills_hz), strict=True):
        gong = _bell(rng, note_hz * partials, np.array([1.0, 0.8, 0.5]), decay_seconds, seconds)
        waveform += struck(rng, [gong], np.add.outer(starts, strikes + delay_seconds).ravel(), seconds, spread=0.1)
    return waveform


def church_bell(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Slow strokes of one to three bells, their partials inharmonic, beating, and long in ringing out."""
    prime_hz, num_bells = source.uniform(170, 620), int(source.integers(1, 4))
    partials = _CHURCH_PARTIALS * source.uniform(0.985, 1.015, len(_CHURCH_PARTIALS))
    strengths = source.uniform(0.3, 1.0, len(partials)) * np.linspace(1.0, 0.5, len(partials))
    gap_seconds, decay_seconds = source.uniform(0.8, 2.0), source.uniform(1.6, 4.0)
    beat_hz = source.uniform(0.5, 2.5)
    starts = np.arange(0, seconds, gap_seconds * rng.uniform(0.95, 1.05))
    starts[1:] += 0.02 * gap_seconds * rng.standard_normal(len(starts) - 1)
    waveform = np.zeros(num_samples(seconds))
    for number in range(num_bells):
        struck_hz = prime_hz * _BELL_STEPS[num_bells - 1 - number] * partials
        # a bell is not quite round: its low partials come as twins that beat
        twins_hz = np.concatenate((struck_hz, struck_hz[:5] + beat_hz))
        bell = _bell(rng, twins_hz, np.concatenate((strengths, 0.5 * strengths[:5])), decay_seconds, seconds)
        waveform += struck(rng, [bell], starts[number::num_bells], seconds, spread=0.1)
    return waveform


def bicycle_bell(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A bright little bell: a trill of strokes as the lever is pushed, then it rings out; again and again."""
    low_hz, decay_seconds = source.uniform(1_300, 2_900), source.uniform(0.15, 0.5)
    partials = source.uniform((1.0, 1.005, 1.5, 2.3, 3.4), (1.0, 1.015, 1.9, 2.9, 3.75))
    strokes, strokes_hz = int(source.integers(1, 9)), source.uniform(13, 26)
    pause_seconds = source.uniform(0.25, 0.6)
    bell = _bell(rng, low_hz * partials, np.array([1.0, 0.6, 0.6, 0.8, 0.4]), decay_seconds, seconds)
    trill = np.arange(strokes) / (strokes_hz * rng.uniform(0.93, 1.07))
    starts = fitted(seconds, trill[-1] + 0.15, pause_seconds)
    return struck(rng, [bell], np.add.outer(starts, trill).ravel(), seconds, spread=0.1)


def car_horn(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Honks, short and long, of two steady rich notes together."""
    low_hz, interval = source.uniform(280, 480), source.uniform(1.18, 1.34)
    ratio, bell_hz, bend = source.uniform(0.75, 0.93), source.uniform(1_300, 3_200), source.uniform(0.0, 0.06)
    honk_seconds, second_note = source.uniform(0.25, 0.9), source.uniform(0.0, 1.2)
    level = _bursts(rng, seconds, burst_seconds=honk_seconds, ramp_seconds=0.025)
    pitch_hz = low_hz * rng.uniform(0.99, 1.01) * (1 - bend * (1 - level))
    amplitudes = decaying(20, ratio)
    notes = harmonics(pitch_hz, amplitudes) + second_note * harmonics(interval * pitch_hz, amplitudes)
    return level * (notes + 3 * resonance(notes, bell_hz, 0.35 * bell_hz))


def reversing_beeps(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Even beeps of one plain note, one or two a second, as a lorry backs."""
    hz, overtones = source.uniform(900, 1_700), source.uniform(0.0, 0.5, 3)
    beep_seconds = source.uniform(0.22, 0.5)
    gap_seconds = beep_seconds * source.uniform(0.8, 1.2)
    level = _level(fitted(seconds, beep_seconds, gap_seconds), beep_seconds, seconds)
    return level * harmonics(hz * rng.uniform(0.99, 1.01) * _passing(rng, seconds), np.concatenate(([1.0], overtones)))


def buzzer(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Harsh bursts of the mains through an armature that rattles, with short pauses."""
    hz, wear = source.uniform(95, 260), source.uniform(0.0, 0.6)
    box_hz, ratio = source.uniform((400, 1_500), (1_200, 4_000)), source.uniform(0.93, 0.985)
    buzz_seconds = source.uniform(0.35, 1.6)
    level = _bursts(rng, seconds, burst_seconds=buzz_seconds, ramp_seconds=0.008)
    steady_hz = hz * rng.uniform(0.99, 1.01) * (1 + 0.004 * slow_noise(rng, len(level), changes_per_second=30))
    rattle = harmonics(steady_hz, decaying(80, ratio))
    rattle *= 1 + wear * np.sign(np.sin(phase(steady_hz / 2)))
    return level * resonances(rattle, box_hz, 0.3 * box_hz, (2, 2), direct=0.4)


def phone_dialling(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Telephone keys one after another, each two steady tones, one low and one high."""
    tone_seconds, gap_seconds = source.uniform(0.07, 0.26), source.uniform(0.05, 0.2)
    twist, line_hz = source.uniform(0.7, 1.4), source.uniform((250, 2_800), (500, 3_800))
    by_hand = source.uniform(0.0, 0.35)
    num = int(seconds / (tone_seconds + gap_seconds) * 2) + 2
    lengths = tone_seconds * rng.uniform(1 - by_hand, 1 + by_hand, num)
    starts = np.cumsum(lengths + gap_seconds * rng.uniform(1 - by_hand, 1 + by_hand, num))
    waveform = np.zeros(num_samples(seconds))
    for start, length, key in zip(starts - starts[0], lengths, rng.integers(12, size=num), strict=True):
        angle = 2 * np.pi * times(length)
        tones = np.sin(_ROWS_HZ[key // 3] * angle) + twist * np.sin(_COLUMNS_HZ[key % 3] * angle)
        add(waveform, tones * held(len(tones), ramp_seconds=0.004), start)
    return band(waveform, line_hz[0], line_hz[1], order=1)


def _passing(rng: np.random.Generator, seconds: float) -> Waveform:
    """How a vehicle's motion bends the pitch, [samples] about 1: it may stand, or pass and fall in pitch."""
    mach, moment = rng.choice((0.0, 0.03, 0.06)), rng.uniform(0.2, 0.8)
    return np.asarray(1 - mach * np.tanh((times(seconds) - moment * seconds) / 0.6))


def _level(starts_seconds: Waveform, length_seconds: float, seconds: float) -> Waveform:
    """One during each of the equal beeps that start at these moments, nought between."""
    level, beep = np.zeros(num_samples(seconds)), held(num_samples(length_seconds), ramp_seconds=0.005)
    for start in starts_seconds:
        add(level, beep, start)
    return level


def _bursts(rng: np.random.Generator, seconds: float, *, burst_seconds: float, ramp_seconds: float) -> Waveform:
    """The level of bursts of unlike lengths with short pauses."""
    level, start = np.zeros(num_samples(seconds)), 0.0
    while start < seconds:
        length = burst_seconds * rng.uniform(0.5, 1.8)
        add(level, held(num_samples(length), ramp_seconds=ramp_seconds), start)
        start += length + rng.uniform(0.07, 0.28)
    return level


def _bell(
    rng: np.random.Generator, partials_hz: Waveform, strengths: Waveform, decay_seconds: float, seconds: float
) -> Waveform:
    """One stroke, for so long at most; the lowest partial falls to 1/e in the decay, the higher ones sooner."""
    decays = decay_seconds * (partials_hz[0] / partials_hz) ** 0.7
    angles = rng.uniform(0, 2 * np.pi, len(partials_hz))
    return ringing(partials_hz, strengths, decays, min(5 * decays.max(), seconds), angles=angles)
