"""When things sound: grains laid at their moments, calls one after another, beats and patterns fitted to the time."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from earwitness.synth.envelopes import faded_out
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, num_samples

_SHORTEST_SECONDS = 0.1
"""A repetition of a pattern cut off sooner at the end is left out."""


def add(waveform: Waveform, grain: Waveform, start_seconds: float) -> None:
    """Adds a grain at its moment, in place; what lies before the beginning or after the end is left out."""
    start = num_samples(start_seconds)
    kept = grain[max(0, -start) : max(0, len(waveform) - start)]
    start = max(0, start)
    waveform[start : start + len(kept)] += kept


def laid(grains: Iterable[Waveform], starts_seconds: Waveform, strengths: Waveform, seconds: float) -> Waveform:
    """Grains, each at its moment and times its strength; what reaches beyond the end is cut off."""
    waveform = np.zeros(num_samples(seconds))
    starts = np.rint(starts_seconds * SAMPLE_RATE_HZ).astype(np.int64)
    for grain, start, strength in zip(grains, starts.tolist(), strengths.tolist(), strict=True):
        end = start + len(grain)
        if end <= len(waveform):
            waveform[start:end] += strength * grain
        elif start < len(waveform):
            waveform[start:] += strength * grain[: len(waveform) - start]
    return waveform


def struck(
    rng: np.random.Generator, pool: Sequence[Waveform], starts_seconds: Waveform, seconds: float, *, spread: float = 0.2
) -> Waveform:
    """One of the pool at each moment, of a strength that varies by `spread`."""
    chosen = rng.integers(len(pool), size=len(starts_seconds))
    strengths = np.exp(spread * rng.standard_normal(len(starts_seconds)))
    return laid([pool[number] for number in chosen.tolist()], starts_seconds, strengths, seconds)


def in_turn(
    rng: np.random.Generator, one: Callable[[], Waveform], seconds: float, *, gap_seconds: tuple[float, float]
) -> Waveform:
    """Calls one after another with gaps between, the last one sounding at the very end.

    Gaps shrink, to two fifths at most, for the last call to end with the time; what still does not fit is faded out.
    """
    total = num_samples(seconds)
    calls, gaps = [one()], [0]
    while (spent := sum(map(len, calls)) + sum(gaps)) < total:
        gaps.append(num_samples(rng.uniform(*gap_seconds)))
        calls.append(one())
    shrink = min(1.0, max(0.4, 1 - (spent - total) / max(1, sum(gaps))))
    waveform = np.zeros(max(total, spent))
    position = 0
    for call, gap in zip(calls, gaps, strict=True):
        position += int(shrink * gap)
        waveform[position : position + len(call)] += call
        position += len(call)
    return faded_out(waveform[:total], 0.01)


def fitted(seconds: float, sounding_seconds: float, pause_seconds: float) -> Waveform:
    """When the repetitions of a pattern start: the pauses are stretched until the last one ends in sound."""
    starts = np.arange(0, seconds - _SHORTEST_SECONDS, sounding_seconds + pause_seconds)
    spare_seconds = max(0.0, seconds - starts[-1] - sounding_seconds)
    return np.asarray(starts + spare_seconds * (np.linspace(0, 1, len(starts)) if len(starts) > 1 else 0.5))


def beats(rng: np.random.Generator, seconds: float, *, gap_seconds: float, jitter: float) -> Waveform:
    """Moments so far apart, each out by a share of the gap; what is left over is halved between head and tail."""
    num = int(np.ceil(seconds / gap_seconds))
    head_seconds = (seconds - (num - 1) * gap_seconds) / 2
    wobble = np.clip(jitter * rng.standard_normal(num), -0.4, 0.4)
    return np.asarray(np.maximum(head_seconds + gap_seconds * (np.arange(num) + wobble), 0.0))
