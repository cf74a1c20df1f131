"""From a plan to sound, block by block: memory does not grow with the length of a clip."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.signal import oaconvolve

from earwitness.synth.kinds import KINDS
from earwitness.synth.places import Place, Stereo, device_of, noise_of
from earwitness.synth.plan import EVENT, NOISE, RECORDING, SOURCE, ClipPlan, Event
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, num_samples

_BLOCK_SECONDS = 10.0
_FADE_SECONDS = 0.01


def mix(plan: ClipPlan, *, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """The clip's sound in blocks [2, samples] at `SAMPLE_RATE_HZ`, within (-1, 1)."""
    place = Place.draw(np.random.default_rng((seed, RECORDING, plan.recording)))
    noise = noise_of(place, np.random.default_rng((seed, NOISE, plan.number)))
    record = device_of(place)
    upcoming = list(enumerate(plan.events))
    sounding: list[tuple[int, Stereo]] = []  # first sample, samples
    end = num_samples(plan.seconds)
    for start in range(0, end, num_samples(_BLOCK_SECONDS)):
        stop = min(start + num_samples(_BLOCK_SECONDS), end)
        while upcoming and num_samples(upcoming[0][1].start_seconds) < stop:
            index, event = upcoming.pop(0)
            sounding.append((num_samples(event.start_seconds), _render(plan, index, event, place, seed)))
        block = noise(stop - start)
        for first, sound in sounding:
            begin, finish = max(first, start), min(first + sound.shape[1], stop)
            block[:, begin - start : finish - start] += sound[:, begin - first : finish - first]
        sounding = [(first, sound) for first, sound in sounding if first + sound.shape[1] > stop]
        yield record(block).astype(np.float32)


def _render(plan: ClipPlan, index: int, event: Event, place: Place, seed: int) -> Stereo:
    """One event in its room, [2, samples]: longer than the event by the room's answer."""
    source = np.random.default_rng((seed, SOURCE, plan.recording, tuple(KINDS).index(event.kind)))
    rng = np.random.default_rng((seed, EVENT, plan.number, index))
    dry = _faded(KINDS[event.kind].sound(source, rng, event.stop_seconds - event.start_seconds))
    dry /= event.distance * np.sqrt(np.mean(dry**2))
    sound = np.sqrt(place.wetness) * oaconvolve(dry[np.newaxis], place.answer, axes=1)
    sound[:, : len(dry)] += np.outer((2 * event.left, 2 - 2 * event.left), dry)
    heard = sound[:, : len(dry)].mean(axis=0)
    sound *= 10 ** ((place.noise_db + event.level_db) / 20) / np.sqrt(np.mean(heard**2))
    return np.asarray(sound)


def _faded(waveform: Waveform) -> Waveform:
    """Without clicks at its ends."""
    ramp = np.arange(len(waveform)) / (_FADE_SECONDS * SAMPLE_RATE_HZ)
    return waveform * np.minimum(1.0, np.minimum(ramp, ramp[::-1]))
