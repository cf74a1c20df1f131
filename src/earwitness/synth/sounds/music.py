"""Melody instruments: what is plucked or struck, bowed or blown, and plays a phrase in a scale.

Alike on purpose: `guitar` and `harp`, `piano` and `marimba`, `organ` and `brass`, `violin` and a singer, and `flute`
beside a person's whistling.
"""

from dataclasses import replace
from itertools import cycle

import numpy as np

from earwitness.synth.chance import slow_noise, white
from earwitness.synth.envelopes import faded_out
from earwitness.synth.oscillators import buzz, harmonics, ringing
from earwitness.synth.signals import Waveform, band, high_pass, resonance, resonances, times
from earwitness.synth.sounds.score import STRUCK_BEATS, SUSTAINED_BEATS, Line, Note, Style, chords, melody, played


def marimba(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Wooden bars that ring shortly, their second partial two octaves up; quick runs and repeated notes."""
    style = Style.draw(source, 130.0, 350.0, 0.22, 0.4)
    hardness, ring, tuning, doubling = source.uniform(size=4)
    ratios = np.array([1.0, 3.9 + 0.15 * tuning, 9.2 + 1.2 * tuning])

    def one(hz: float) -> Waveform:
        decays = (0.12 + 0.2 * ring) * np.array([1.0, 0.35, 0.15]) * (300 / hz) ** 0.4
        bar = ringing(hz * ratios, np.array([1.0, 0.1 + 0.5 * hardness, 0.4 * hardness]), decays, 1.0)
        return _with_knock(rng, bar, 2.0 * hz, 0.3 + 0.5 * hardness)

    notes = melody(rng, style, seconds, (0.25, 0.5, 0.5, 1.0), range(12))
    doubled = [replace(n, hz=style.key.hz(n.degree + 2)) for n in notes if rng.random() < 0.7 * doubling]
    return played([*notes, *doubled], one, seconds)


def guitar(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Plucked strings of nylon or steel: picked phrases over strummed chords."""
    style = Style.draw(source, 82.0, 160.0, 0.3, 0.6)
    place, steel, ring, strumming = source.uniform(size=4)
    pluck = rng.uniform(0.0, 0.02)

    def one(hz: float) -> Waveform:
        dullness = 0.18 - 0.12 * steel
        return _string(hz, place=0.08 + 0.2 * place + pluck, dullness=dullness, ring_seconds=0.6 + 0.9 * ring)

    notes = melody(rng, style, seconds, STRUCK_BEATS, range(5, 15))
    strums = chords(rng, style, seconds, (0, 2, 4, 7), delay_seconds=rng.uniform(0.015, 0.035))
    chosen = strums if strumming > 0.6 else [*notes, *strums] if strumming > 0.3 else notes
    return played(chosen, one, seconds)


def piano(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Struck strings with slightly stretched partials: a melody over chords, each tone with the hammer's knock."""
    style = Style.draw(source, 98.0, 196.0, 0.3, 0.6)
    softness, ring, accompaniment = source.uniform(size=3)

    def one(hz: float) -> Waveform:
        stretch = 0.0004 * (hz / 260) ** 1.2
        dullness = (0.25 + 0.35 * softness) * (hz / 260) ** 0.4
        tone = _string(hz, place=0.12, dullness=dullness, ring_seconds=(0.4 + 0.5 * ring), stretch=stretch)
        return _with_knock(rng, tone, 400.0, 0.15)

    notes = melody(rng, style, seconds, STRUCK_BEATS, range(7, 18))
    below = chords(rng, style, seconds, (-7, 0, 2, 4) if accompaniment > 0.5 else (-7, 0), delay_seconds=0.0)
    return played([*notes, *below], one, seconds)


def harp(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Soft plucked strings that ring on: quick runs through three octaves, up and down."""
    style = Style.draw(source, 110.0, 220.0, 0.3, 0.6)
    place, softness, ring, pace, leap = source.uniform(size=5)
    lowest, highest = 0, 3 * len(style.key.scale)

    def one(hz: float) -> Waveform:
        dullness = (0.3 + 0.4 * softness) * (hz / 220) ** 0.3
        return _string(hz, place=0.3 + 0.2 * place, dullness=dullness, ring_seconds=0.7 + 0.8 * ring)

    step = 2 if leap > 0.5 else 1
    degree, way, start = int(rng.integers(lowest, highest)), step, 0.0
    notes: list[Note] = []
    while start < seconds:
        if not lowest <= degree + way <= highest or rng.random() < 0.05:
            way = step if degree < (lowest + highest) / 2 else -step
            start += rng.uniform(0.0, 0.2)
        degree += way
        notes.append(Note(start, 0.0, style.key.hz(degree), rng.uniform(0.6, 1.0), degree))
        start += (0.07 + 0.08 * pace) * rng.uniform(0.9, 1.1)
    return played(notes, one, seconds)


def organ(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Chords of steady pipes or drawbars that start and stop at once, at one level throughout."""
    style = Style.draw(source, 98.0, 196.0, 0.35, 0.7)
    trembling, tremble_hz = source.uniform(size=2)
    pulls = source.uniform(size=8) ** 2
    ratios, pulls[1] = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]), 1.0

    def one(hz: float) -> Waveform:
        pipes = ratios * rng.uniform(0.9985, 1.0015, size=8)
        return ringing(hz * pipes, pulls / ratios**0.25, np.full(8, np.inf), 2.1 * style.beat_seconds)

    below = chords(rng, style, seconds, (-7, 0, 2, 4), delay_seconds=0.0)
    notes = melody(rng, style, seconds, (0.5, 1.0, 1.0, 2.0), range(7, 15))
    t = times(seconds)
    tremble = 1 + 0.35 * max(0.0, trembling - 0.4) * np.sin(2 * np.pi * (5 + 2 * tremble_hz) * t)
    return np.asarray(tremble * played([*below, *notes], one, seconds, release_seconds=0.03))


def violin(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A bowed string: bright harmonics through the body's resonances, vibrato, bow noise, slides between notes."""
    style = Style.draw(source, 196.0, 440.0, 0.35, 0.65)
    vibrato_hz, depth, brightness, bow = source.uniform(size=4)
    body_hz = np.array([290.0, 470.0, 1_050.0, 2_600.0]) * source.uniform(0.85, 1.15, size=4)
    line = Line.through(melody(rng, style, seconds, SUSTAINED_BEATS, range(11)), seconds, slide_seconds=0.025)
    vibrato = (0.004 + 0.01 * depth) * np.minimum(line.since_seconds / 0.25, 1.0)
    t = times(seconds)
    pitch_hz = line.pitch_hz * (1 + vibrato * np.sin(2 * np.pi * (4.8 + 1.6 * vibrato_hz) * t))
    scrape = (0.02 + 0.1 * bow) * band(white(rng, seconds), 1_500, 7_000)
    string = buzz(pitch_hz, 0.35 + 0.3 * (1 - brightness)) + scrape
    level = line.level(attack_seconds=0.06, release_seconds=0.05) * (1 + 0.1 * slow_noise(rng, len(t)))
    return level * resonances(string, body_hz, 0.25 * body_hz, np.ones(4), direct=0.35)


def flute(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Few harmonics over breath; steady notes with a puff at the onset and a level that wavers."""
    style = Style.draw(source, 330.0, 620.0, 0.3, 0.6)
    breath, overtone, waver_hz, depth = source.uniform(size=4)
    line = Line.through(melody(rng, style, seconds, SUSTAINED_BEATS, range(11)), seconds, slide_seconds=0.008)
    t = times(seconds)
    waver = 1 + (0.05 + 0.25 * depth) * np.sin(2 * np.pi * (4.5 + 1.5 * waver_hz) * t)
    pitch_hz = line.pitch_hz * (1 + 0.002 * slow_noise(rng, len(t)))
    pipe = harmonics(pitch_hz, (1.0, 0.1 + 0.5 * overtone, 0.12))
    puff = (0.03 + 0.17 * breath) * (1 + 4 * np.exp(-line.since_seconds / 0.03)) * band(white(rng, seconds), 700, 5_000)
    level = line.level(attack_seconds=0.05, release_seconds=0.05)
    return np.asarray(level * (waver * pipe + puff))


def brass(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """One to three horns in parallel: every note grows brighter as it grows louder."""
    style = Style.draw(source, 116.0, 240.0, 0.3, 0.6)
    size, interval, brightness, swell, rasp = source.uniform(size=5)
    line = Line.through(melody(rng, style, seconds, SUSTAINED_BEATS, range(9)), seconds, slide_seconds=0.012)
    growth = np.minimum(line.since_seconds / (0.05 + 0.25 * swell), 1.0)
    level = line.level(attack_seconds=0.05, release_seconds=0.06) * (0.5 + 0.5 * growth)
    lip = 1 + (0.002 + 0.004 * rasp) * slow_noise(rng, len(level), changes_per_second=30.0)
    dullness = 0.35 + 0.5 * (1 - brightness) + 1.6 * (1 - level)
    ratios = np.array([1.0, 1.25 if interval > 0.5 else 1.2, 1.5])[: 1 + int(3 * size)]
    ratios *= rng.normal(1.0, 0.002, size=len(ratios))
    horns = np.sum([buzz(line.pitch_hz * lip * ratio, dullness) for ratio in ratios], axis=0)
    return high_pass(level * horns, 150)


def bass(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """An electronic bass line: a short figure over and over, each note opening and closing a filter."""
    style = Style.draw(source, 40.0, 75.0, 0.38, 0.56)
    bright, closing, square, glide_amount = source.uniform(size=4)
    figure = source.integers(0, 8, size=8)
    changed = rng.integers(8)
    figure[changed] = rng.integers(0, 8)
    step_seconds = style.beat_seconds / 4 * (1 + int(2 * source.random()))
    notes = [
        Note(number * step_seconds, step_seconds, style.key.hz(degree), rng.uniform(0.7, 1.0), degree)
        for number, degree in zip(range(int(seconds / step_seconds) + 1), cycle(figure.tolist()), strict=False)
    ]
    line = Line.through(notes, seconds, slide_seconds=0.003 + 0.03 * glide_amount**2)
    dullness = 0.5 + 1.5 * (1 - bright) + 5 * (1 - np.exp(-line.since_seconds / (0.05 + 0.3 * closing)))
    wave = buzz(line.pitch_hz, dullness)
    if square > 0.5:  # without most of its even harmonics
        wave -= 0.6 * buzz(2 * line.pitch_hz, dullness)
    return np.asarray(wave * line.level(attack_seconds=0.005, release_seconds=0.02))


def _string(hz: float, *, place: float, dullness: float, ring_seconds: float, stretch: float = 0.00005) -> Waveform:
    """A string plucked or struck at `place` of its length; harmonics fall by `dullness` nepers each."""
    number = np.arange(1, min(40, int(9 / dullness)) + 1)  # above, they are 80 dB down
    amplitudes = np.sin(np.pi * place * number) / number**0.5 * np.exp(-dullness * number)
    decays = ring_seconds * (220 / hz) ** 0.4 / (1 + 0.12 * number)
    partials_hz = hz * number * np.sqrt(1 + stretch * number**2)
    return faded_out(ringing(partials_hz, amplitudes, decays, min(1.6, 5 * ring_seconds)), 0.05)


def _with_knock(rng: np.random.Generator, tone: Waveform, hz: float, strength: float) -> Waveform:
    """The tone with a dull knock of mallet or hammer at its onset."""
    t = times(0.04)
    knock = resonance(rng.standard_normal(len(t)) * np.exp(-t / 0.006), hz, hz)
    tone[: len(t)] += strength * knock / np.abs(knock).max()
    return tone
