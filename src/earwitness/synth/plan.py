"""What a clip will be, before a sample of it is made: who sounds when, and what its metadata will say.

A plan is a pure function of (settings, number of the clip), cheap, and all that the tables of a corpus are written
from; the audio follows from it. Two clips in a row are one recording: one place, and the same dog if a dog barks in
both. Recordings are dealt to five folds, so none is on two sides of a split.

Metadata err as they do on the web. For every sounding kind, with the chances given below: its label is *missing*, or
*wrong* (a lookalike's stands in its place), or *coarse* (its parents' alone). And a clip may have the label of
something that is *inaudible*: in the picture, or in nothing but the title.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.synth.kinds import KINDS, labels_of
from earwitness.synth.settings import SynthSettings

CLIPS_PER_RECORDING = 2
NUM_FOLDS = 5

GENERATOR_VERSION = 1
"""Goes up whenever the same settings begin to make something else."""

_NUM_KINDS_SHARES = (0.22, 0.30, 0.26, 0.15, 0.07)
"""Of clips with one, two ... kinds; with their parents they have about five labels."""
_MISSING, _WRONG, _COARSE, _INAUDIBLE = 0.15, 0.06, 0.10, 0.20
"""Chances of flaws: of each sounding kind, the last of each clip. The first, which it is about, is never missing."""
_LENGTH_SPREAD = 0.7
"""Standard deviation of the logarithm of lengths."""
_COVERAGE = (0.08, 0.6)
"""Share of a clip that one kind fills, where events of its length can."""
_LEVEL_DB = (-4.0, 16.0)
"""Of a kind over the noise, by root mean square."""
_EVENT_LEVEL_DB = 3.0
_FARTHEST = 4.0
"""Distance over that of a source at hand: the direct sound falls, the room's answer does not."""
_GOLDEN = (np.sqrt(5) - 1) / 2

CONTAINERS = (".mp4", ".mp4", ".mp4", ".mp4", ".webm", ".webm", ".mp3", ".mp3", ".m4a", ".ogg", ".flac", ".wav")
"""A deck of them is dealt again and again."""

# one stream of random numbers for each purpose
_CLIP, RECORDING, _CONTAINERS, _PRIMARY, SOURCE, EVENT, NOISE, _LABELS, ENCODING = range(9)


@dataclass(frozen=True)
class Event:
    """One sound in a clip."""

    kind: str
    start_seconds: float
    stop_seconds: float
    level_db: float
    """Over the noise, both by root mean square; before the device."""
    distance: float
    """1 is at hand."""
    left: float
    """Share of the left side, 0 to 1."""


@dataclass(frozen=True)
class Flaw:
    """A label that is not what it should be."""

    flaw: str
    """missing, wrong, coarse or inaudible."""
    kind: str | None
    """What truly sounds; None where nothing does."""
    given: str | None
    """What the metadata have in its place; None where they have nothing of their own."""


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """One clip."""

    number: int
    seconds: float
    recording: int
    fold: int
    """1 to `NUM_FOLDS`; the last is the test split."""
    suffix: str
    kinds: tuple[str, ...]
    """What sounds in it."""
    events: tuple[Event, ...]
    """By start."""
    flaws: tuple[Flaw, ...]

    @property
    def clip_id(self) -> str:
        """Such as `clip-000017`."""
        return f"clip-{self.number:06d}"

    @property
    def media(self) -> str:
        """Path in the corpus; a thousand files share a folder."""
        return f"media/{self.number // 1000:03d}/{self.clip_id}{self.suffix}"

    @property
    def true_labels(self) -> tuple[str, ...]:
        """What sounds, and its parents; sorted."""
        return tuple(sorted(labels_of(self.kinds)))

    @property
    def given_labels(self) -> tuple[str, ...]:
        """What the metadata say; sorted."""
        flawed = {flaw.kind for flaw in self.flaws}
        labels = set(labels_of(tuple(kind for kind in self.kinds if kind not in flawed)))
        for flaw in self.flaws:
            if flaw.flaw == "coarse":
                labels.update(KINDS[str(flaw.kind)].parents)
            elif flaw.given is not None:
                labels.update(labels_of((flaw.given,)))
        return tuple(sorted(labels))


def plan_clip(settings: SynthSettings, number: int) -> ClipPlan:
    """The clip of that number."""
    recording, part = divmod(number, CLIPS_PER_RECORDING)
    round_of_folds, fold_index = divmod(recording, NUM_FOLDS)
    rng = np.random.default_rng((settings.seed, _CLIP, number))
    spread = np.exp(_LENGTH_SPREAD * rng.standard_normal() - _LENGTH_SPREAD**2 / 2)  # of mean one
    seconds = round(float(settings.mean_seconds * np.clip(spread, 1 / 8, 5)), 2)
    position_in_fold = round_of_folds * CLIPS_PER_RECORDING + part
    kinds = _draw_kinds(rng, settings, first=_primary(settings, fold_index, position_in_fold))
    events = [event for kind in kinds for event in _draw_events(rng, kind, seconds)]
    deck, card = divmod(number, len(CONTAINERS))
    order = np.random.default_rng((settings.seed, _CONTAINERS, deck)).permutation(len(CONTAINERS))
    return ClipPlan(
        number=number,
        seconds=seconds,
        recording=recording,
        fold=fold_index + 1,
        suffix=CONTAINERS[order[card]],
        kinds=kinds,
        events=tuple(sorted(events, key=lambda event: (event.start_seconds, event.kind))),
        flaws=tuple(_draw_flaws(np.random.default_rng((settings.seed, _LABELS, number)), settings, kinds)),
    )


def prior(settings: SynthSettings) -> npt.NDArray[np.float64]:
    """How likely each kind is, commonest first; sums to one."""
    weights = 10 ** np.linspace(0, -settings.prior_decades, settings.kinds)
    return np.asarray(weights / weights.sum())


def _primary(settings: SynthSettings, fold_index: int, position: int) -> str:
    """The first kind of a fold's clip at `position`: golden-ratio steps along the prior spread every kind evenly."""
    start = np.random.default_rng((settings.seed, _PRIMARY, fold_index)).random()
    place = (start + position * _GOLDEN) % 1.0
    return tuple(KINDS)[int(np.searchsorted(np.cumsum(prior(settings))[:-1], place, side="right"))]


def _draw_kinds(rng: np.random.Generator, settings: SynthSettings, *, first: str) -> tuple[str, ...]:
    """`first` and others by their prior, all different."""
    num_kinds = min(settings.kinds, 1 + int(rng.choice(len(_NUM_KINDS_SHARES), p=_NUM_KINDS_SHARES)))
    names = tuple(KINDS)[: settings.kinds]
    # weighted drawing without replacement: the smallest of exponential times with these rates
    arrivals = rng.exponential(size=len(names)) / prior(settings)
    others = [names[i] for i in np.argsort(arrivals) if names[i] != first]
    return (first, *others[: num_kinds - 1])


def _draw_events(rng: np.random.Generator, kind: str, seconds: float) -> Iterator[Event]:
    """Events of one kind that do not overlap one another and lie anywhere in the clip."""
    entry = KINDS[kind]
    wanted = seconds * rng.uniform(*_COVERAGE)
    num_events = max(1, round(wanted / ((entry.min_seconds + entry.max_seconds) / 2)))
    lengths = np.minimum(rng.uniform(entry.min_seconds, entry.max_seconds, size=num_events), seconds)
    lengths = lengths[: max(1, int(np.searchsorted(np.cumsum(lengths), 0.9 * seconds)))]
    spare = np.sort(rng.uniform(0, seconds - lengths.sum(), size=len(lengths)))
    starts = spare + np.cumsum(lengths) - lengths
    level_db, distance, left = rng.uniform(*_LEVEL_DB), _FARTHEST ** rng.uniform(), rng.uniform(0.25, 0.75)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        yield Event(
            kind=kind,
            start_seconds=round(start, 3),
            stop_seconds=round(min(start + length, seconds), 3),
            level_db=round(float(level_db + rng.uniform(-_EVENT_LEVEL_DB, _EVENT_LEVEL_DB)), 2),
            distance=round(float(distance), 3),
            left=round(float(left), 3),
        )


def _draw_flaws(rng: np.random.Generator, settings: SynthSettings, kinds: tuple[str, ...]) -> Iterator[Flaw]:
    """The same draws whatever `settings.flaws` is, so that milder metadata are flawed in fewer of the same places."""
    fates = rng.random(len(kinds) + 1) / max(settings.flaws, 1e-12)
    absent = [kind for kind in tuple(KINDS)[: settings.kinds] if kind not in kinds]
    for kind, fate in zip(kinds, fates[:-1], strict=True):
        lookalikes = [other for other in KINDS[kind].lookalikes if other in absent]
        mistaken = lookalikes[rng.integers(len(lookalikes))] if lookalikes else None
        if fate < _MISSING and kind != kinds[0]:
            yield Flaw("missing", kind, None)
        elif _MISSING <= fate < _MISSING + _WRONG and mistaken is not None:
            yield Flaw("wrong", kind, mistaken)
        elif _MISSING + _WRONG <= fate < _MISSING + _WRONG + _COARSE and KINDS[kind].parents:
            yield Flaw("coarse", kind, KINDS[kind].parents[0])
    if fates[-1] < _INAUDIBLE and absent:
        shares = prior(settings)[[tuple(KINDS).index(kind) for kind in absent]]
        yield Flaw("inaudible", None, absent[int(rng.choice(len(absent), p=shares / shares.sum()))])
