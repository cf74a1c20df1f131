"""What a clip will be, before a sample of it is made: who sounds when, and what its metadata will say.

A plan is a pure function of (settings, number of the clip), cheap, and all that the tables of a corpus are written
from; the audio follows from it. Two clips in a row are one recording: one place with a cast of kinds that both clips
draw on, and the same dog if a dog barks in both. Recordings are dealt to five folds: none is on two sides of a split.

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
_CAST_KINDS = 4
"""Kinds that belong to a recording's place; its clips have others, too."""
_CAST_SHARE = 0.5
"""Chance that a further kind of a clip is of the cast."""
_FLAWS = {"missing": 0.15, "wrong": 0.06, "coarse": 0.10}
"""Chances of each sounding kind. The first, which the clip is about, is never missing."""
_INAUDIBLE = 0.20
"""Chance of each clip."""
_LENGTH_SPREAD = 0.7
"""Standard deviation of the logarithm of lengths."""
_COVERAGE = (0.08, 0.6)
"""Share of a clip that one kind fills. No event is longer than the last: short clips have times to find, too."""
_LEVEL_DB = (-4.0, 16.0)
"""Of a kind over the noise, by root mean square."""
_EVENT_LEVEL_DB = 3.0
_FARTHEST = 2.5
"""Distance over that of a source at hand: the direct sound falls against the room's answer."""
_GOLDEN = (np.sqrt(5) - 1) / 2

CONTAINERS = (".mp4", ".mp4", ".mp4", ".mp4", ".webm", ".webm", ".mp3", ".mp3", ".m4a", ".ogg", ".flac", ".wav")
"""A deck of them is dealt again and again."""

# one stream of random numbers for each purpose
_CLIP, RECORDING, _CONTAINERS, _PRIMARY, SOURCE, EVENT, NOISE, _LABELS, ENCODING, _CAST = range(10)


@dataclass(frozen=True)
class Event:
    """One sound in a clip."""

    kind: str
    start_seconds: float
    stop_seconds: float
    level_db: float
    """Over the noise, with what the room adds, as one channel, by root mean square; before the device."""
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
    def is_test(self) -> bool:
        """Whether it is of the test split: the last fold."""
        return self.fold == NUM_FOLDS

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
    rng = np.random.default_rng((settings.seed, _CLIP, number))
    spread = np.exp(_LENGTH_SPREAD * rng.standard_normal() - _LENGTH_SPREAD**2 / 2)  # of mean one
    seconds = round(float(settings.mean_seconds * np.clip(spread, 1 / 8, 5)), 2)
    kinds = _draw_kinds(rng, settings, cast=_cast(settings, recording), is_first=part == 0)
    events = [event for kind in kinds for event in _draw_events(rng, kind, seconds)]
    deck, card = divmod(number, len(CONTAINERS))
    order = np.random.default_rng((settings.seed, _CONTAINERS, deck)).permutation(len(CONTAINERS))
    return ClipPlan(
        number=number,
        seconds=seconds,
        recording=recording,
        fold=recording % NUM_FOLDS + 1,
        suffix=CONTAINERS[order[card]],
        kinds=kinds,
        events=tuple(sorted(events, key=lambda event: (event.start_seconds, event.kind))),
        flaws=tuple(_draw_flaws(np.random.default_rng((settings.seed, _LABELS, number)), settings, kinds)),
    )


def prior(settings: SynthSettings) -> npt.NDArray[np.float64]:
    """How likely each kind is, commonest first; sums to one."""
    weights = 10 ** np.linspace(0, -settings.prior_decades, settings.kinds)
    return np.asarray(weights / weights.sum())


def _cast(settings: SynthSettings, recording: int) -> list[str]:
    """The kinds of a recording's place. The first is dealt: golden-ratio steps along the prior, fold by fold."""
    position, fold_index = divmod(recording, NUM_FOLDS)
    start = np.random.default_rng((settings.seed, _PRIMARY, fold_index)).random()
    place = (start + position * _GOLDEN) % 1.0
    first = tuple(KINDS)[int(np.searchsorted(np.cumsum(prior(settings))[:-1], place, side="right"))]
    others = _by_prior(np.random.default_rng((settings.seed, _CAST, recording)), settings)
    return [first, *(kind for kind in others if kind != first)][:_CAST_KINDS]


def _by_prior(rng: np.random.Generator, settings: SynthSettings) -> list[str]:
    """All kinds, drawn by their prior without replacement."""
    arrivals = rng.exponential(size=settings.kinds) / prior(settings)  # earliest first: exponential with these rates
    names = tuple(KINDS)
    return [names[i] for i in np.argsort(arrivals)]


def _draw_kinds(
    rng: np.random.Generator, settings: SynthSettings, *, cast: list[str], is_first: bool
) -> tuple[str, ...]:
    """The kinds of a clip, that which it is about first: some of the cast, some from anywhere."""
    num_kinds = min(settings.kinds, 1 + int(rng.choice(len(_NUM_KINDS_SHARES), p=_NUM_KINDS_SHARES)))
    strangers = _by_prior(rng, settings)
    kinds = [cast[0] if is_first else cast[int(rng.integers(min(2, len(cast))))]]
    for is_of_cast in rng.random(num_kinds - 1) < _CAST_SHARE:
        candidates = [*cast, *strangers] if is_of_cast else strangers
        kinds.append(next(kind for kind in candidates if kind not in kinds))
    return tuple(kinds)


def _draw_events(rng: np.random.Generator, kind: str, seconds: float) -> Iterator[Event]:
    """Events of one kind that do not overlap one another and lie anywhere in the clip."""
    longest = _COVERAGE[1] * seconds
    shortest_usual, longest_usual = (
        min(usual, longest) for usual in (KINDS[kind].min_seconds, KINDS[kind].max_seconds)
    )
    wanted = seconds * rng.uniform(*_COVERAGE)
    num_events = max(1, round(wanted / ((shortest_usual + longest_usual) / 2)))
    lengths = rng.uniform(shortest_usual, longest_usual, size=num_events)
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
    """Whether a label is flawed and how are drawn apart: milder metadata have fewer of the same flaws."""
    names = tuple(KINDS)[: settings.kinds]
    absent = [kind for kind in names if kind not in kinds]
    for kind in kinds:
        lookalikes = [other for other in KINDS[kind].lookalikes if other in absent] or absent
        chances = dict(_FLAWS)
        if kind == kinds[0]:
            del chances["missing"]
        if not lookalikes:
            del chances["wrong"]
        fate, choice, likeness = rng.random(3)
        mistaken = lookalikes[int(likeness * len(lookalikes))] if lookalikes else None
        if mistaken in absent:
            absent.remove(str(mistaken))  # each label is explained by one flaw
        if fate < settings.flaws * sum(chances.values()):
            shares = np.cumsum(list(chances.values()))
            flaw = tuple(chances)[int(np.searchsorted(shares, choice * shares[-1], side="right"))]
            given = {"missing": None, "wrong": mistaken, "coarse": KINDS[kind].parents[0]}[flaw]
            yield Flaw(flaw, kind, given)
    fate, choice = rng.random(2)
    if fate < settings.flaws * _INAUDIBLE and absent:
        shares = np.cumsum(prior(settings)[[names.index(kind) for kind in absent]])
        yield Flaw("inaudible", None, absent[int(np.searchsorted(shares, choice * shares[-1], side="right"))])
