"""Machines and tools: motors, blades, and what strikes or scrapes at a pace.

Alike on purpose: vacuum cleaner, fan and an aeroplane (broad noise with a whine, a flutter or a falling comb), typing
and clock (clicks, irregular or even), hammer and footsteps, drill and saw, sewing machine and typing.
"""

import numpy as np
import numpy.typing as npt

from earwitness.synth.chance import slow_noise, white
from earwitness.synth.oscillators import bump_turn, decaying, harmonic_turn, pulse_turn, read, ringing, turns_made
from earwitness.synth.placing import beats, struck
from earwitness.synth.signals import (
    SAMPLE_RATE_HZ,
    Numbers,
    Waveform,
    band,
    high_pass,
    lagging,
    low_pass,
    num_samples,
    resonance,
    times,
)


def drill(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A gear whine that spins up, labours and spins down with the trigger; some sources hammer as they turn."""
    whine_hz, labour = source.uniform(260, 800), source.uniform(0.08, 0.25)
    gears = source.uniform(0.05, 1.0, 10) * decaying(10, 0.85)
    is_hammering, blows_hz = source.random() < 0.4, source.uniform(25, 50)
    grit, grit_hz = source.uniform(0.15, 0.5), source.uniform(1_500, 4_500)
    press_seconds = source.uniform(0.9, 2.5)
    trigger = _pressed(rng, seconds, press_seconds=press_seconds, rest_seconds=0.3)
    speed = lagging(trigger, 0.09)
    bite = lagging(trigger, 0.4)
    drift = 1 + 0.015 * slow_noise(rng, len(speed), changes_per_second=8)
    turns = turns_made(whine_hz * speed * (1 - labour * bite) * drift)
    whine = read(harmonic_turn(gears), turns)
    crumbs = grit * band(white(rng, seconds), 500, grit_hz, order=1) * bite * 4
    if is_hammering:
        blows = read(bump_turn([0.0], [1.0], 4.0), turns * (blows_hz / whine_hz))
        return speed * (0.4 * whine * (0.4 + blows) + 2 * crumbs * blows)
    return speed * (whine + crumbs)


def saw(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Rasping strokes to and fro, each brighter in its middle, the push louder than the pull."""
    strokes_hz, pull = source.uniform(0.9, 2.0), source.uniform(0.2, 0.7)
    tooth_samples, teeth = int(source.integers(30, 110)), source.uniform(1.0, 4.0)
    wood_hz, wood_width_hz = source.uniform(300, 900), source.uniform(150, 500)
    t = times(seconds)
    pace = strokes_hz * rng.uniform(0.92, 1.08) * (1 + 0.05 * slow_noise(rng, len(t), changes_per_second=1))
    blade = np.sin(2 * np.pi * (turns_made(pace) + rng.uniform(0, 1)))
    grain = rng.standard_normal(1 << 16)
    tooth = teeth * np.exp(-(np.arange(len(grain)) % tooth_samples) / (0.12 * tooth_samples))
    grain = grain * (0.3 + tooth) + tooth
    path = np.cumsum(np.abs(blade)) * 0.7
    scrape = np.interp(path % (len(grain) - 1), np.arange(len(grain)), grain)
    body = resonance(scrape, wood_hz, wood_width_hz)
    return (high_pass(scrape, 400, order=1) + 2 * body) * np.abs(blade) ** 1.5 * np.where(blade > 0, 1.0, pull)


def vacuum_cleaner(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A steady rush of air with a motor's whine, brighter and duller as the nozzle is pushed to and fro."""
    motor_hz, whine = source.uniform(280, 750), source.uniform(0.8, 2.5)
    partials = source.uniform(0.1, 1.0, 8) * decaying(8, 0.75)
    hollow_hz = source.uniform((350, 1_400), (900, 3_500))
    push_hz, depth = source.uniform(0.35, 0.9), source.uniform(0.2, 0.5)
    noise = white(rng, seconds)
    wander = 0.2 * slow_noise(rng, len(noise), changes_per_second=1)
    push = np.sin(2 * np.pi * (turns_made(np.full(len(noise), push_hz)) + wander + rng.uniform(0, 1)))
    turns = turns_made(motor_hz * rng.uniform(0.97, 1.03) * (1 + 0.025 * push))
    motor = read(harmonic_turn(whine * partials / partials.max()), turns)
    dull = 4 * resonance(noise, hollow_hz[0], 250)
    bright = 2 * resonance(noise, hollow_hz[1], 1_200)
    return motor + band(noise, 200, 6_000, order=1) + (1 - depth * push) * dull + (1 + depth * push) * bright


def fan(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A soft low rush that flutters with the blades over a mains hum; some rattle once a turn."""
    turns_hz, blades = source.uniform(2.5, 6), int(source.integers(3, 6))
    flutter, hum = source.uniform(0.3, 0.7), source.uniform(0.2, 1.0)
    mains_hz = float(source.choice((100, 120)))
    air_hz, rattle = source.uniform(500, 1_400), source.uniform(-1.0, 1.0)
    noise = white(rng, seconds)
    turns = turns_made(turns_hz * (1 + 0.02 * slow_noise(rng, len(noise), changes_per_second=1)))
    blade = read(bump_turn(np.arange(blades) / blades, np.ones(blades), 2.5 * blades), turns)
    rush = low_pass(noise, air_hz) * (1 - flutter + 1.5 * flutter * blade)
    rattling = max(0.0, rattle) * band(noise, 1_500, 4_500, order=1) * read(bump_turn([0.0], [1.0], 60.0), turns)
    mains = read(pulse_turn([0.0], [1.0], num_harmonics=9, last=0.02), turns_made(np.full(len(noise), mains_hz)))
    return 3 * rush + rattling + 0.8 * hum * mains


def typing(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Keys struck in uneven runs, each a clack going down and a lighter one coming up, the space bar deeper."""
    gap_seconds, travel_seconds = source.uniform(0.09, 0.19), source.uniform(0.05, 0.09)
    key_hz, case_hz = source.uniform(1_800, 4_500), source.uniform(250, 600)
    decay_seconds, release = source.uniform(0.004, 0.012), source.uniform(0.25, 0.6)
    num = int(seconds / gap_seconds) + 3
    is_word_end = rng.random(num) < 0.17
    gaps = gap_seconds * rng.lognormal(0, 0.35, num) + is_word_end * rng.uniform(0.05, 0.2, num)
    starts = np.cumsum(gaps) - gaps[0]
    pitches = key_hz * rng.uniform(0.8, 1.25, 8)
    keys = [_knock(rng, (hz, 1.7 * hz, case_hz), decay_seconds=decay_seconds) for hz in pitches]
    space = [_knock(rng, (0.5 * key_hz, case_hz, 0.7 * case_hz), decay_seconds=1.8 * decay_seconds)]
    down = struck(rng, keys, starts[~is_word_end], seconds) + 1.3 * struck(rng, space, starts[is_word_end], seconds)
    return down + release * struck(rng, keys, starts + travel_seconds * rng.uniform(0.8, 1.2, num), seconds)


def clock(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Ticks and tocks, even as only a clock is, each a few clicks of the escapement through the case."""
    gap_seconds = 1 / source.uniform(1.8, 5.5)
    tick_hz, tock = source.uniform(1_300, 5_000, 3), source.uniform(0.6, 0.9)
    decay_seconds, limp = source.uniform(0.004, 0.02), source.uniform(-0.06, 0.06)
    clicks_seconds = np.concatenate(([0.0], source.uniform(0.004, 0.018, 2)))
    strengths = np.concatenate(([1.0], source.uniform(0.2, 0.9, 2)))
    starts = beats(rng, seconds, gap_seconds=gap_seconds, jitter=0.0)
    starts[1::2] += limp * gap_seconds
    is_tock = np.arange(len(starts)) % 2 == rng.integers(2)
    waveform = np.zeros(num_samples(seconds))
    for ratio, chosen in ((1.0, starts[~is_tock]), (tock, starts[is_tock])):
        pool = [_knock(rng, ratio * tick_hz, decay_seconds=decay_seconds)]
        for delay_seconds, strength in zip(clicks_seconds, strengths, strict=True):
            waveform += strength * struck(rng, pool, chosen + delay_seconds, seconds, spread=0.05)
    return waveform


def sewing_machine(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A fast even clatter of needle and feed, in seams that speed up and slow down, over a motor's hum."""
    stitches_hz, feed = source.uniform(7, 15), source.uniform(0.35, 0.65)
    needle_hz, body_hz = source.uniform(900, 3_000), source.uniform(180, 420)
    hum_ratio, hum, chatter = source.integers(9, 18), source.uniform(0.1, 0.4), source.uniform(0.1, 0.4)
    seam_seconds = source.uniform(1.2, 3.5)
    pedal = _pressed(rng, seconds, press_seconds=seam_seconds, rest_seconds=0.25)
    speed = lagging(pedal, 0.12) * (1 + 0.05 * slow_noise(rng, len(pedal), changes_per_second=1.5))
    turns = turns_made(stitches_hz * np.maximum(speed, 0))
    needles = [_knock(rng, (body_hz, needle_hz, 1.6 * needle_hz), decay_seconds=0.012) for _ in range(4)]
    feeds = [_knock(rng, (1.5 * body_hz, 2.1 * needle_hz), decay_seconds=0.008) for _ in range(4)]
    clatter = struck(rng, needles, _passed(turns), seconds) + 0.6 * struck(rng, feeds, _passed(turns + feed), seconds)
    motor = read(pulse_turn([0.0], [1.0], num_harmonics=20, last=0.03), turns * hum_ratio)
    rattle = band(white(rng, seconds), 600, 4_000, order=1) * read(bump_turn([0.1, feed], [1.0, 0.6], 6.0), turns)
    return clatter + speed * (0.2 * hum * motor + chatter * rattle)


def hammer(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Blows on a nail: a crack, the board's thud, and a ring that rises as the nail goes in, nail after nail."""
    gap_seconds, blows = source.uniform(0.3, 0.6), int(source.integers(4, 9))
    board_hz, nail_hz = source.uniform((120, 280), (260, 650)), source.uniform(1_400, 3_600)
    ring_seconds, ring = source.uniform(0.012, 0.06), source.uniform(0.15, 0.6)
    rise = source.uniform(1.15, 1.6)
    starts = beats(rng, seconds, gap_seconds=gap_seconds * rng.uniform(0.92, 1.08), jitter=0.05)
    blow = (np.arange(len(starts)) + rng.integers(blows)) % blows
    waveform = np.zeros(num_samples(seconds))
    for depth in range(blows):
        pitch_hz = nail_hz * rise ** (depth / blows)
        nail = ringing(
            (pitch_hz, 2.4 * pitch_hz), (ring, 0.6 * ring), (ring_seconds, 0.65 * ring_seconds), 6 * ring_seconds
        )
        thud = _knock(rng, board_hz, decay_seconds=0.035)
        thud[: len(nail)] += nail[: len(thud)]
        waveform += struck(rng, [thud], starts[blow == depth], seconds)
    return waveform


def _pressed(rng: np.random.Generator, seconds: float, *, press_seconds: float, rest_seconds: float) -> Waveform:
    """One while a trigger is pressed and nought while it rests, from nought at the first sample."""
    num = 2 * int(seconds / press_seconds + 2)
    lengths = rng.uniform(0.6, 1.4, num) * np.tile((press_seconds, rest_seconds), num // 2)
    is_pressed = np.searchsorted(np.cumsum(lengths), times(seconds)) % 2 == 0
    is_pressed[0] = False
    return np.asarray(is_pressed, dtype=np.float64)


def _passed(turns: Waveform) -> Waveform:
    """The moments in seconds at which a wheel completes a turn."""
    return np.flatnonzero(np.diff(np.floor(turns)) > 0) / SAMPLE_RATE_HZ


def _knock(rng: np.random.Generator, modes_hz: Numbers, *, decay_seconds: float) -> Waveform:
    """A short blow: a click of noise and the modes of what was struck."""
    strengths = rng.uniform(0.5, 1.0, len(modes_hz))
    decays = decay_seconds * np.sqrt(np.min(modes_hz) / np.asarray(modes_hz))
    modes = ringing(modes_hz, strengths, decays, 6 * decay_seconds)
    click: npt.NDArray[np.float64] = rng.standard_normal(len(modes)) * np.exp(-times(6 * decay_seconds) / 0.0025)
    return modes + 0.7 * click
