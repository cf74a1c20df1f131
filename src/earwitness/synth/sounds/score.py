"""What instruments and voices play: scales, melodies and chords, and the two ways of sounding them.

What is struck or plucked is a tone for each pitch, made once and placed at every note (`played`); what is bowed or
blown is one tone whose pitch follows the notes (`Line`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from earwitness.synth.envelopes import held
from earwitness.synth.placing import add
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, lagging, num_samples

SUSTAINED_BEATS = (0.5, 1.0, 1.0, 1.5, 2.0)
STRUCK_BEATS = (0.5, 0.5, 1.0, 1.0, 1.5)
_CHORD_BEATS = (1.0, 2.0, 2.0)

_SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 7, 9),
    (0, 3, 5, 7, 10),
)
"""Semitones above the tonic: major, minor, Dorian, and the two pentatonic ones."""


@dataclass(frozen=True)
class Key:
    """A tonic and the scale over it."""

    tonic_hz: float
    scale: tuple[int, ...]

    @classmethod
    def at(cls, tonic_hz: float, position: float) -> Self:
        """The key of that tonic; a position from 0 to 1 chooses the scale."""
        return cls(tonic_hz, _SCALES[int(position * len(_SCALES))])

    def hz(self, degree: int) -> float:
        """The pitch of a step of the scale; 0 is the tonic, steps go on through the octaves."""
        octave, step = divmod(degree, len(self.scale))
        return float(self.tonic_hz * 2 ** (octave + self.scale[step] / 12))


@dataclass(frozen=True)
class Style:
    """What one player keeps to."""

    key: Key
    beat_seconds: float

    @classmethod
    def draw(
        cls,
        source: np.random.Generator,
        low_hz: float,
        high_hz: float,
        min_beat_seconds: float,
        max_beat_seconds: float,
    ) -> Self:
        """A player's key, its tonic between two frequencies, and tempo."""
        tonic, scale, beat = source.uniform(size=3)
        key = Key.at(low_hz * (high_hz / low_hz) ** tonic, scale)
        return cls(key, min_beat_seconds + (max_beat_seconds - min_beat_seconds) * beat)


@dataclass(frozen=True)
class Note:
    """When, how long, how high and how strong something sounds."""

    start_seconds: float
    seconds: float
    hz: float
    strength: float
    degree: int
    """Step of the scale, 0 the tonic."""


@dataclass(frozen=True)
class Line:
    """A melody sample by sample, for what is bowed or blown."""

    pitch_hz: Waveform
    since_seconds: Waveform
    """Since the note began."""
    left_seconds: Waveform
    """Until it ends."""
    strength: Waveform

    @classmethod
    def through(cls, notes: list[Note], seconds: float, *, slide_seconds: float) -> Self:
        """Notes without pauses, the pitch sliding into each."""
        num = num_samples(seconds)
        edges = np.minimum(num, [num_samples(note.start_seconds) for note in notes] + [num])
        lengths = np.diff(edges)
        since = np.arange(num) - np.repeat(edges[:-1], lengths)
        return cls(
            pitch_hz=np.exp(lagging(np.repeat(np.log([note.hz for note in notes]), lengths), slide_seconds)),
            since_seconds=since / SAMPLE_RATE_HZ,
            left_seconds=(np.repeat(lengths, lengths) - since) / SAMPLE_RATE_HZ,
            strength=np.repeat([note.strength for note in notes], lengths),
        )

    def level(self, *, attack_seconds: float, release_seconds: float) -> Waveform:
        """Each note's strength, risen over the attack and fallen over the release."""
        rise = np.minimum(self.since_seconds / attack_seconds, 1.0)
        return np.asarray(self.strength * rise * np.minimum(self.left_seconds / release_seconds, 1.0))


def melody(
    rng: np.random.Generator, style: Style, seconds: float, beats: tuple[float, ...], degrees: range
) -> list[Note]:
    """Notes one after another, by small steps and few leaps, in a rhythm that comes round; the last may overhang."""
    rhythm = rng.choice(beats, size=rng.integers(3, 7)) * style.beat_seconds
    degree, start = int(rng.integers(degrees.start, degrees.stop)), 0.0
    notes: list[Note] = []
    while start < seconds:
        length = rhythm[len(notes) % len(rhythm)]
        notes.append(Note(start, length, style.key.hz(degree), rng.uniform(0.65, 1.0), degree))
        start += length
        step = int(rng.choice([-4, -2, -1, -1, 0, 1, 1, 2, 4]))
        degree += step if degree + step in degrees else -step
    return notes


def chords(
    rng: np.random.Generator, style: Style, seconds: float, members: tuple[int, ...], *, delay_seconds: float
) -> list[Note]:
    """Chords of these degrees above a root that wanders, each member later than the one before."""
    return [
        replace(
            note,
            start_seconds=note.start_seconds + number * delay_seconds,
            hz=style.key.hz(note.degree + member),
            strength=0.7 * note.strength,
        )
        for note in melody(rng, style, seconds, _CHORD_BEATS, range(6))
        for number, member in enumerate(members)
    ]


def played(
    notes: list[Note],
    one: Callable[[float], Waveform],
    seconds: float,
    *,
    release_seconds: float | None = None,
) -> Waveform:
    """Every note placed where it starts; each pitch is made once. With a release, notes end when their time is over."""
    tones: dict[float, Waveform] = {}
    waveform = np.zeros(num_samples(seconds))
    for note in notes:
        tone = tones[note.hz] if note.hz in tones else tones.setdefault(note.hz, one(note.hz))
        if release_seconds is not None:
            tone = tone[: num_samples(note.seconds)]
            tone = tone * held(len(tone), ramp_seconds=release_seconds)
        add(waveform, note.strength * tone, note.start_seconds)
    return waveform
