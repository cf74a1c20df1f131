"""What people do with hands and feet.

Alike on purpose: `applause` fills the band of rain but its claps keep time; `footsteps` are even where hooves come in
groups.
"""

import math

import numpy as np

from earwitness.synth.placing import add
from earwitness.synth.signals import Waveform, high_pass, num_samples, resonance, times


def applause(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Pairs of hands, few or very many, each clapping on at a pace of its own."""
    size, cupped, eagerness, distance = source.uniform(size=4)
    hands_hz = 700 * 4 ** (1 - cupped) * source.uniform(0.65, 1.5, size=16)
    claps = [_clap(rng, hz, rng.uniform(0.002, 0.006)) for hz in hands_hz]
    waveform = np.zeros(num_samples(seconds))
    for person in range(round(5 * 24**size)):
        period = (0.2 + 0.1 * (1 - eagerness)) * rng.uniform(0.85, 1.25)
        pauses = period * rng.normal(1.0, 0.07, size=int(seconds / period) + 2).clip(0.7, 1.3)
        strength = rng.lognormal(0.0, 0.2 + 0.6 * distance)
        for moment in np.cumsum(pauses) - period * rng.uniform(0.5, 1.5):
            add(waveform, strength * rng.uniform(0.7, 1.3) * claps[person % 16], moment)
    return waveform


def footsteps(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Steps at an even pace: heel and sole on a floor that may thud, knock, click or crunch."""
    pace, weight, floor, hardness, grit, roll = source.uniform(size=6)
    feet = [_step(rng, 90 + 130 * weight, 300 * 9**floor, hardness, grit**3, 0.04 + 0.09 * roll) for _ in range(6)]
    count = math.ceil(seconds * (1.9 + 1.4 * pace))
    waveform = np.zeros(num_samples(seconds))
    for number in range(count):
        moment = seconds / count * (number + 0.06 * rng.random())
        add(waveform, rng.uniform(0.75, 1.1) * feet[2 * int(rng.integers(3)) + number % 2], moment)
    return waveform


def _clap(rng: np.random.Generator, hz: float, decay_seconds: float) -> Waveform:
    """A crack of noise in the hollow of two hands."""
    t = times(0.03)
    crack = rng.standard_normal(len(t)) * np.exp(-t / decay_seconds)
    clap = resonance(crack, hz, 0.5 * hz) + 0.05 * crack
    return np.asarray(clap / np.sqrt(np.mean(clap**2)))


def _step(
    rng: np.random.Generator, thud_hz: float, floor_hz: float, hardness: float, grit: float, roll_seconds: float
) -> Waveform:
    """A heel, and after `roll_seconds` the softer sole; grit crunches under both."""
    t = times(0.28)
    after = np.maximum(t - roll_seconds, 0.0)
    noise = rng.standard_normal(len(t))
    knock = np.exp(-t / (0.004 + 0.012 * (1 - hardness)))
    sole = 0.35 * (t >= roll_seconds) * np.exp(-after / 0.02)
    thud = np.sin(2 * np.pi * thud_hz * t) * np.exp(-t / 0.03)
    floor = resonance(noise * (knock + sole), floor_hz * rng.uniform(0.9, 1.1), 0.4 * floor_hz)
    grains = noise * (rng.random(len(t)) < 0.08) * np.sin(np.pi * t / t[-1]) ** 0.5 * np.exp(-t / 0.1)
    return (
        (1.2 - hardness) * thud
        + (0.5 + 3 * hardness) * floor
        + 0.2 * hardness * noise * knock
        + 2 * grit * high_pass(grains, 1_200)
    )
