"""Sounds of weather, water and fire: noises, and grains of sound strewn at random moments.

Alike on purpose: `rain`, `stream` and `fire` (and applause) are all strewn grains, told apart by the grains: short
pings, bubbles that rise in pitch, sharp snaps in clumps. `wind` and `surf` are both noise that swells, the one
with a howl that wanders, the other in waves that break and hiss away. `thunder` is as low as far engines.
"""

from collections.abc import Sequence

import numpy as np
from scipy.signal import lfilter

from earwitness.synth.chance import log_uniform, slow_noise, uniform_each, white
from earwitness.synth.oscillators import phase
from earwitness.synth.placing import laid
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, band, high_pass, lines, low_pass, num_samples, times

_CONTROL_HZ = 100
"""Points a second of envelopes that are computed coarsely and drawn as straight lines between."""


def rain(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A steady hiss with drops, from a few clear pings on a roof to a downpour on leaves."""
    drops_per_second, lowest_hz = log_uniform(source, 15, 220), log_uniform(source, 500, 2_500)
    hiss_from_hz, hiss, ring_seconds, gusts = uniform_each(
        source, (300, 2_500), (0.04, 0.3), (0.001, 0.006), (0.0, 0.2)
    )
    t = times(0.02)
    pitches_hz = lowest_hz * source.uniform(1.0, 2.8, size=12)
    drops = [np.sin(2 * np.pi * hz * t) * np.exp(-t / ring_seconds) for hz in pitches_hz]
    falling = _strewn(rng, drops, seconds, per_second=drops_per_second, clumping=gusts)
    gust = 1 + gusts * slow_noise(rng, len(falling), changes_per_second=0.7)
    return falling + hiss * gust * band(white(rng, seconds), hiss_from_hz, 9_000, order=1)


def wind(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Noise in slow gusts, with a howl whose pitch goes up and down with them."""
    howl_hz, rumble_hz = log_uniform(source, 300, 1_000), log_uniform(source, 150, 600)
    width_hz, howl, sweep, gusts, pace = uniform_each(
        source, (40, 200), (0.25, 1.2), (0.25, 0.5), (0.45, 0.85), (0.4, 1.6)
    )
    num = num_samples(seconds)
    gust = slow_noise(rng, num, changes_per_second=pace) + 0.2 * slow_noise(rng, num, changes_per_second=6)
    angle = phase(howl_hz * np.exp(sweep * np.clip(gust, -2, 2)))
    in_phase, across = (slow_noise(rng, num, changes_per_second=width_hz) for _ in range(2))
    howling = howl * (in_phase * np.cos(angle) + across * np.sin(angle))
    rushing = low_pass(white(rng, seconds), rumble_hz, order=1)
    return (5 * rushing + 1.5 * howling) * np.exp(gusts * gust)


def thunder(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Claps that crack when near, roll on unevenly in a low rumble, and die away over seconds."""
    nearness, rumble_hz, clap_seconds, attack_seconds, roll_seconds, rolls_per_second = uniform_each(
        source, (0.0, 1.0), (130, 400), (3.0, 9.0), (0.02, 0.12), (0.25, 0.9), (1.5, 5.0)
    )
    num_claps = max(1, round(seconds / clap_seconds))
    strikes = np.zeros(_num_points(seconds))
    for clap in np.split(strikes, np.linspace(0, len(strikes), num_claps + 1, dtype=int)[1:-1]):
        rolls = (rng.random(len(clap)) < rolls_per_second / _CONTROL_HZ) * rng.exponential(1.0, len(clap))
        clap[:] = (rolls + 0.5 * rolls_per_second / _CONTROL_HZ) * np.exp(-np.linspace(0, 2.2, len(clap)))
        clap[0] = 2.0
    rolling = low_pass(white(rng, seconds), rumble_hz)
    rolling *= np.exp(0.3 * slow_noise(rng, len(rolling), changes_per_second=12))
    cracking = band(white(rng, seconds), 400, 4_000, order=1)
    cracks = _rolls((strikes / 2) ** 3, 0.01, 0.12, len(rolling))
    return 6 * rolling * _rolls(strikes, attack_seconds, roll_seconds, len(rolling)) + nearness * cracking * cracks


def surf(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Waves that swell quickly, break with a bright roar and hiss away slowly."""
    wave_seconds, roar_hz, foam_hz = uniform_each(source, (3.5, 9.0), (250, 800), (1_200, 3_000))
    foam, swell_share, lag = uniform_each(source, (0.3, 1.2), (0.15, 0.4), (0.02, 0.12))
    waves = np.arange(_num_points(seconds)) / _CONTROL_HZ / wave_seconds
    waves += rng.random() + 0.12 * _slow_points(rng, seconds, changes_per_second=1 / wave_seconds)
    ordinals = np.floor(waves - np.floor(waves.min())).astype(int)
    heights = np.exp(0.35 * rng.standard_normal(ordinals.max() + 1))[ordinals]
    roaring = low_pass(white(rng, seconds), roar_hz, order=1)
    hissing = high_pass(white(rng, seconds), foam_hz)
    roar = _drawn(0.12 + heights * _wave(waves, swell_share), len(roaring))
    hiss = _drawn(0.02 + heights * _wave(waves - lag, swell_share) ** 1.5, len(roaring))
    return 3 * roar * roaring + foam * hiss * hissing


def stream(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Babbling water: a great many bubbles, each a short note that rises, over an unsteady rush."""
    bubbles_per_second, lowest_hz = log_uniform(source, 40, 200), log_uniform(source, 300, 900)
    rise, ring_seconds, rush, rush_hz, babble = uniform_each(
        source, (0.1, 0.6), (0.008, 0.025), (0.1, 0.5), (400, 1_500), (0.2, 0.9)
    )
    pitches_hz = lowest_hz * 5 ** source.random(16)
    bubbles = [_bubble(hz, rise, ring_seconds * (lowest_hz / hz) ** 0.5) for hz in pitches_hz]
    babbling = _strewn(rng, bubbles, seconds, per_second=bubbles_per_second, clumping=babble)
    unsteady = 1 + 0.25 * slow_noise(rng, len(babbling), changes_per_second=9)
    return babbling + rush * unsteady * band(white(rng, seconds), rush_hz / 2, 2 * rush_hz, order=1)


def dripping(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Single drops into water, from a tap's even beat to a cave's uneven one: a tick, then a note that rises."""
    period_seconds, unevenness, rise, ring_seconds, tick = uniform_each(
        source, (0.14, 0.42), (0.02, 0.45), (0.1, 0.7), (0.012, 0.05), (0.05, 0.5)
    )
    pitches_hz = log_uniform(source, 500, 1_800) * source.uniform(1.0, 1.6, size=3)
    drops = [_bubble(hz, rise, ring_seconds) for hz in pitches_hz]
    for drop in drops:
        drop[:72] += tick * source.standard_normal(72) * np.linspace(1, 0, 72)
    num = num_samples(seconds)
    waveform = np.zeros(num + max(map(len, drops)))
    num_drops = 1 + max(1, round(seconds / period_seconds))
    places = np.cumsum(1 + unevenness * rng.uniform(-1, 1, size=num_drops))
    places = (places - places[0]) / (places[-1] - places[0])
    for start in (places * (num - num_samples(0.06))).astype(int):
        drop = drops[rng.integers(3)]
        waveform[start : start + len(drop)] += rng.uniform(0.5, 1.0) * drop
    return waveform[:num]


def fire(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Crackles: sharp snaps of very different strength that come in clumps, over a low flutter and a faint hiss."""
    snaps_per_second, sharpest_hz = log_uniform(source, 8, 60), source.uniform(3_000, 9_000)
    flutter_hz, flutter, hiss, clumping = uniform_each(source, (120, 400), (0.5, 1.5), (0.02, 0.07), (0.5, 1.1))
    lengths = source.uniform(0.0006, 0.005, size=16)
    t = times(0.03)
    snaps = [band(source.standard_normal(len(t)) * np.exp(-t / s), 500, sharpest_hz, order=1) for s in lengths]
    crackling = _strewn(rng, snaps, seconds, per_second=snaps_per_second, clumping=clumping, heaviness=1.6)
    noise = white(rng, seconds)
    licking = np.exp(0.6 * slow_noise(rng, len(noise), changes_per_second=9))
    return crackling + flutter * licking * low_pass(noise, flutter_hz) + hiss * high_pass(noise, 2_000)


def _bubble(hz: float, rise: float, ring_seconds: float) -> Waveform:
    """A decaying pure note that rises by that share while it rings."""
    t = times(5 * ring_seconds)
    return np.asarray(np.sin(phase(hz * (1 + rise * t / t[-1]))) * np.exp(-t / ring_seconds))


def _wave(waves: Waveform, swell_share: float) -> Waveform:
    """The height of the sea: each wave, one unit long, rises in that share of it and sinks in the rest."""
    place = waves % 1.0
    return np.where(place < swell_share, place / swell_share, np.exp(-4 * (place - swell_share))) ** 2


def _num_points(seconds: float) -> int:
    """Points of an envelope at `_CONTROL_HZ`, up to the end and one beyond."""
    return int(seconds * _CONTROL_HZ) + 2


def _slow_points(rng: np.random.Generator, seconds: float, *, changes_per_second: float) -> Waveform:
    """`slow_noise` at `_CONTROL_HZ`."""
    per_point = changes_per_second * SAMPLE_RATE_HZ / _CONTROL_HZ
    return slow_noise(rng, _num_points(seconds), changes_per_second=per_point)


def _drawn(points: Waveform, num: int) -> Waveform:
    """An envelope given at `_CONTROL_HZ`, at each of `num` samples."""
    return lines(np.arange(len(points)) * (SAMPLE_RATE_HZ / _CONTROL_HZ), points, num)


def _rolls(strikes: Waveform, attack_seconds: float, decay_seconds: float, num: int) -> Waveform:
    """An envelope of `num` samples in which every strike, given at `_CONTROL_HZ`, rises and dies away."""
    rise, fall = np.exp(-1 / (_CONTROL_HZ * attack_seconds)), np.exp(-1 / (_CONTROL_HZ * decay_seconds))
    return _drawn(lfilter([1.0], [1.0, -fall], lfilter([1 - rise], [1.0, -rise], strikes)), num)


def _strewn(
    rng: np.random.Generator,
    grains: Sequence[Waveform],
    seconds: float,
    *,
    per_second: float,
    clumping: float,
    heaviness: float = 1.0,
) -> Waveform:
    """Grains at random moments, each of random strength.

    Args:
        rng: draws moments, strengths and which grain.
        grains: what is strewn, each as often as any other.
        seconds: length of the result.
        per_second: grains on average.
        clumping: 0 spreads them evenly over time; 1 makes some moments several times as busy as others.
        heaviness: the power that strengths are raised to; more makes a few stand out.
    """
    waiting = np.cumsum(np.exp(clumping * _slow_points(rng, seconds, changes_per_second=5)))
    chosen = rng.integers(len(grains), size=rng.poisson(seconds * per_second))
    moments = np.interp(rng.uniform(0, waiting[-1], len(chosen)), waiting, np.arange(len(waiting))) / _CONTROL_HZ
    strengths = rng.exponential(1.0, len(chosen)) ** heaviness
    return laid([grains[number] for number in chosen.tolist()], moments, strengths, seconds)
