"""Vehicles: engines, blades and wheels.

Alike on purpose: car and motorcycle (the one drifts, the other climbs through gears), helicopter and train (thumps over
a rumble, many or in pairs), aeroplane and vacuum cleaner (broad noise with a whine, which falls or stays), car and bee.
"""

import numpy as np

from earwitness.synth.chance import slow_noise, white
from earwitness.synth.oscillators import bump_turn, harmonic_turn, pulse_turn, read, ringing, turns_made
from earwitness.synth.placing import beats, struck
from earwitness.synth.signals import HIGHEST_HZ, SAMPLE_RATE_HZ, Waveform, band, lagging, low_pass, resonances, times


def car(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A low hum of even strokes through an exhaust, over tyre noise, at a speed that drifts and sometimes climbs."""
    cylinders = int(source.choice((3, 4, 4, 6, 8)))
    cycle_hz, brightness = source.uniform(8, 19), source.uniform(0.0003, 0.003)
    strengths = 1 + 0.15 * source.standard_normal(8)[:cylinders]
    exhaust_hz = source.uniform((140, 450), (350, 1_100))
    tyres_hz, tyres = source.uniform(500, 1_500), source.uniform(0.3, 1.0)
    t = times(seconds)
    climb = rng.uniform(-0.25, 0.6) * t / seconds
    drift = lagging(0.10 * slow_noise(rng, len(t), changes_per_second=0.7), 0.4)
    turns = turns_made(cycle_hz * np.exp(climb + drift))
    firing = np.arange(cylinders) / cylinders
    engine = _engine(rng, turns, firing, strengths, brightness=brightness, exhaust_hz=exhaust_hz)
    return engine + tyres * band(white(rng, seconds), 0.4 * tyres_hz, tyres_hz, order=1)


def motorcycle(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A harsh, uneven hum that climbs, drops as the gear changes, and climbs again."""
    high_hz, span = source.uniform(55, 120), source.uniform(0.45, 0.68)
    second_stroke, weaker = source.uniform(0.32, 0.48), source.uniform(0.3, 0.9)
    brightness, exhaust_hz = source.uniform(0.002, 0.02), source.uniform((250, 900), (600, 2_200))
    gear_seconds = source.uniform(0.9, 2.2)
    t = times(seconds)
    ends = np.cumsum(gear_seconds * rng.uniform(0.7, 1.3, size=int(seconds / gear_seconds * 1.5) + 2))
    starts = np.concatenate(([0.0], ends))
    gear = np.searchsorted(ends, t)
    climb = ((t - starts[gear]) / (starts[gear + 1] - starts[gear])) ** 0.7
    turns = turns_made(high_hz * lagging(span ** (1 - climb) * (1 + 0.02 * slow_noise(rng, len(t))), 0.05))
    firing, strengths = np.array([0.0, second_stroke]), np.array([1.0, weaker])
    engine = _engine(rng, turns, firing, strengths, brightness=brightness, exhaust_hz=exhaust_hz)
    throttle = np.where((t - starts[gear] < 0.16) & (gear > 0), 0.25, 1.0)
    return np.asarray(engine * lagging(throttle, 0.02) * (0.6 + 0.4 * climb))


def train(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Clacks of wheels over rail joints, in pairs, over a rumble and a hiss."""
    period_seconds, pair_seconds = source.uniform(0.55, 1.0), source.uniform(0.11, 0.19)
    clack_hz, rail_hz = source.uniform(250, 700), source.uniform(900, 2_400, 3)
    rumble_hz, hiss_hz = source.uniform(200, 450), source.uniform(1_500, 3_500)
    hiss, softer = source.uniform(0.05, 0.2), source.uniform(0.5, 1.0)
    starts = beats(rng, seconds, gap_seconds=period_seconds * rng.uniform(0.9, 1.1), jitter=0.01)
    pool = [_clack(rng, clack_hz, rail_hz) for _ in range(5)]
    clacks = struck(rng, pool, starts, seconds) + softer * struck(rng, pool, starts + pair_seconds, seconds)
    noise = white(rng, seconds)
    sway = 1 + 0.25 * slow_noise(rng, len(noise), changes_per_second=3)
    return 2 * clacks + sway * (2 * low_pass(noise, rumble_hz) + hiss * band(noise, 400, hiss_hz, order=1))


def helicopter(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Blade slaps, some ten to twenty a second, dull thumps of noise under the whine of a turbine."""
    blades, slaps_hz = int(source.integers(2, 6)), source.uniform(9, 20)
    strengths = 1 + 0.12 * source.standard_normal(5)[:blades]
    slap_hz, sharpness = source.uniform(500, 1_600), source.uniform(1.2, 4.0)
    whine_hz, whine, tail_hz = source.uniform(1_200, 4_000), source.uniform(0.02, 0.12), source.uniform(60, 110)
    noise = white(rng, seconds)
    approach = 1 + 0.03 * lagging(slow_noise(rng, len(noise), changes_per_second=0.5), 0.5)
    turns = turns_made(slaps_hz / blades * approach)
    at = np.arange(blades) / blades
    slaps = band(noise, 80, slap_hz) * (0.12 + read(bump_turn(at, strengths, sharpness * blades**2), turns))
    thumps = read(pulse_turn(at, strengths, num_harmonics=int(blades * 500 / slaps_hz), last=0.01), turns)
    tail = read(pulse_turn([0.0], [1.0], num_harmonics=20, last=0.02), turns * (tail_hz / slaps_hz * blades))
    turbine = whine * np.sin(turns * (2 * np.pi * whine_hz / slaps_hz * blades))
    level = 1 + 0.2 * slow_noise(rng, len(noise), changes_per_second=2)
    return level * (3 * slaps + 0.6 * thumps) + 0.1 * tail + turbine


def aeroplane(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A jet that passes: a roar that swells and dulls again, its echo's comb, and a whine that falls in pitch."""
    mach, echo_seconds = source.uniform(0.2, 0.45), source.uniform(0.002, 0.006)
    whine_hz, whine = source.uniform(900, 2_600), source.uniform(0.2, 0.8)
    partials = np.array([1.0, source.uniform(0.2, 0.9), source.uniform(0.1, 0.5)])
    bright_hz = source.uniform(2_000, 5_000)
    t = times(seconds)
    away = (t - seconds * rng.uniform(0.3, 0.6)) / (seconds * rng.uniform(0.12, 0.25))
    near = 1 / np.sqrt(1 + away**2)
    roar = white(rng, seconds)
    roar = 3 * low_pass(roar, 500, order=1) + near * band(roar, 300, bright_hz, order=1)
    heard = np.arange(len(t)) - SAMPLE_RATE_HZ * echo_seconds * (0.15 + near)
    echo = np.interp(heard, np.arange(len(t)), roar)
    fan = whine * read(harmonic_turn(partials), turns_made(whine_hz * (1 - mach * away * near)))
    flutter = 1 + 0.15 * slow_noise(rng, len(t), changes_per_second=6)
    return near * flutter * (roar + 0.8 * echo + fan)


def _engine(
    rng: np.random.Generator,
    turns: Waveform,
    firing: Waveform,
    strengths: Waveform,
    *,
    brightness: float,
    exhaust_hz: Waveform,
) -> Waveform:
    """Strokes fired at some points of a cycle, through the resonances of an exhaust, with breath in their rhythm."""
    fastest_hz = np.diff(turns).max() * SAMPLE_RATE_HZ
    strokes = read(pulse_turn(firing, strengths, num_harmonics=int(HIGHEST_HZ / fastest_hz), last=brightness), turns)
    breath = read(0.4 * bump_turn(firing, strengths, 2.0 * len(firing) ** 2), turns)
    beat = strokes + breath * band(rng.standard_normal(len(turns)), 200, 5_500, order=1)
    return resonances(beat, exhaust_hz, 0.3 * exhaust_hz, (4, 4), direct=1.0)


def _clack(rng: np.random.Generator, thud_hz: float, rail_hz: Waveform) -> Waveform:
    """A wheel on a rail joint: a dull crack of noise and the rail's ring."""
    t = times(0.2)
    crack = low_pass(rng.standard_normal(len(t)), thud_hz)
    decays = 0.03 * np.sqrt(rail_hz.min() / rail_hz)
    ring = ringing(rail_hz, rng.uniform(0.3, 1.0, len(rail_hz)), decays, 0.2)
    return np.asarray(crack / crack.std() * np.exp(-t / 0.03) + 0.3 * ring)
