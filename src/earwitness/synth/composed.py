"""Soundtracks composed of one's own labelled clips: labels for the whole, true times known.

    FOLDER/corpus.json          the settings, the manifest's digest among them; first to be written
    FOLDER/sources.json         where each clip sounds; another call must find the same
    FOLDER/media/000/soundtrack-000000.flac ...
    FOLDER/labels.csv           the label set
    FOLDER/events.parquet       what truly sounds and when: clip_id, label, start_seconds, stop_seconds, level_db over
                                the noise, source_clip_id
    FOLDER/manifest.parquet     the soundtracks with the labels of their clips; written last

A soundtrack is faint noise, over which one to five clips sound, each some times, at other levels, in an order by
chance; they may overlap. All come from one part of one fold (see `sources`), which is the soundtrack's `fold` and
`group`; the last fold is the test split. Times are those between which clips truly sound. The same settings and clips
make the same files; an interrupted corpus is finished by the same command, and one asked for more soundtracks grows.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from earwitness.errors import CorpusError, SettingsError
from earwitness.files import PARTIAL_SUFFIX, locked, replacing, replacing_path
from earwitness.manifest import Manifest
from earwitness.parallel import run_tasks
from earwitness.synth.corpus import SETTINGS_FILE, describe, require_ours, write_error
from earwitness.synth.encode import encode
from earwitness.synth.settings import ComposeSettings
from earwitness.synth.signals import SAMPLE_RATE_HZ, num_samples
from earwitness.synth.sources import Part, Source, Span, digest_of, read_sources, require_same_sources
from earwitness.synth.truth import CLIP_COLUMNS, EVENTS_FILE, LABELS_FILE, MANIFEST_FILE

_NUM_SOURCES_SHARES = (0.22, 0.30, 0.26, 0.15, 0.07)
"""Of soundtracks with one, two ... clips, as in made corpora."""
_LENGTH_SPREAD = 0.5
"""Standard deviation of the logarithm of lengths."""
_COVERAGE = (0.08, 0.5)
"""Share of a soundtrack that one clip fills, as often as it takes. No occurrence is longer than the last."""
_NOISE_RMS = 1e-3
_LEVEL_DB = (15.0, 36.0)
"""Of a clip over the noise, by root mean square over where it sounds."""
_OCCURRENCE_LEVEL_DB = 3.0
_FADE_SECONDS = 0.01
_LOUDEST = 0.95
_TIMEOUT_SECONDS = 600.0

_EVENT_COLUMNS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("label", pa.string()),
        ("start_seconds", pa.float64()),
        ("stop_seconds", pa.float64()),
        ("level_db", pa.float64()),
        ("source_clip_id", pa.string()),
    ],
    metadata={"schema_version": "1"},
)


@dataclass(frozen=True)
class Occurrence:
    """A clip, or a piece of it, in a soundtrack."""

    source: Source
    from_seconds: float
    """Where the piece begins in the clip."""
    seconds: float
    at_seconds: float
    """Where it begins in the soundtrack."""
    level_db: float

    @property
    def events(self) -> Iterator[Span]:
        """Where it sounds in the soundtrack."""
        for start, stop in self.source.spans:
            first = max(start, self.from_seconds)
            last = min(stop, self.from_seconds + self.seconds)
            if last > first:
                shift = self.at_seconds - self.from_seconds
                yield round(first + shift, 3), round(last + shift, 3)


@dataclass(frozen=True, kw_only=True)
class Soundtrack:
    """What one will be."""

    number: int
    seconds: float
    part: Part
    occurrences: tuple[Occurrence, ...]
    """By start."""

    @property
    def clip_id(self) -> str:
        """Such as `soundtrack-000017`."""
        return f"soundtrack-{self.number:06d}"

    @property
    def media(self) -> str:
        """Path in the corpus."""
        return f"media/{self.number // 1000:03d}/{self.clip_id}.flac"

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all that sounds; sorted."""
        return tuple(sorted({label for occurrence in self.occurrences for label in occurrence.source.labels}))


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A composed corpus."""

    manifest_path: Path
    num_clips: int
    num_resumed: int
    seconds_of_sound: float
    num_events: int
    num_labels: int
    num_sources: int
    """Clips that it is made of."""
    left_out: tuple[tuple[str, str], ...]
    """Clips that could not be used, and why."""


@dataclass(frozen=True)
class _Task:
    folder: str
    seed: int
    soundtrack: Soundtrack


def compose_corpus(
    folder: str | Path,
    manifest: Manifest,
    *,
    clips: int,
    seed: int,
    mean_seconds: float,
    workers: int = 1,
    on_clips: Callable[[str, int, int], None] | None = None,
) -> Composed:
    """Compose soundtracks of the clips of a manifest, or go on with them.

    Args:
        folder: made if needed; must be empty, or hold a corpus of the same settings and clips.
        manifest: the clips; `fold` and `group` are heeded.
        clips: soundtracks to make.
        seed: decides everything.
        mean_seconds: mean length of a soundtrack.
        workers: processes at work.
        on_clips: told what is being done, how many are done and of how many.

    Raises:
        CorpusError: the folder holds something else or was begun with other clips, another process works in it, or it
            cannot be written.
        ManifestError: no clip has sound and a label.
        SettingsError: a number is not allowed.
    """
    folder = Path(folder)
    if workers < 1:
        raise SettingsError(f"workers={workers} must be at least 1")
    settings = ComposeSettings(clips=clips, seed=seed, mean_seconds=mean_seconds, manifest_digest=digest_of(manifest))
    try:
        require_ours(folder, settings)
        (folder / "media").mkdir(parents=True, exist_ok=True)
        with locked(folder, busy=CorpusError(f"{folder}: another process is making this corpus; wait for it to end")):
            require_ours(folder, settings)
            with replacing(folder / SETTINGS_FILE) as file:
                file.write((json.dumps(describe(settings), indent=2) + "\n").encode())
            return _make(folder, manifest, settings, workers, on_clips or (lambda *_: None))
    except OSError as error:
        raise write_error(folder, error) from error


def _make(
    folder: Path,
    manifest: Manifest,
    settings: ComposeSettings,
    workers: int,
    on_clips: Callable[[str, int, int], None],
) -> Composed:
    sources = read_sources(
        manifest,
        seed=settings.seed,
        workers=workers,
        on_clips=lambda done, of: on_clips("listening to clips", done, of),
    )
    require_same_sources(folder, sources)
    soundtracks = [plan_soundtrack(settings, sources.parts, number) for number in range(settings.clips)]
    missing = [soundtrack for soundtrack in soundtracks if not (folder / soundtrack.media).exists()]
    num_resumed = done = settings.clips - len(missing)
    tasks = (_Task(str(folder), settings.seed, soundtrack) for soundtrack in missing)
    try:
        for outcome in run_tasks(_write, tasks, workers=workers, timeout_seconds=_TIMEOUT_SECONDS):
            if outcome.failure is not None:
                raise CorpusError(
                    f"{folder}: {outcome.task.soundtrack.clip_id} could not be made: {outcome.failure.message}"
                )
            done += 1
            on_clips("making soundtracks", done, settings.clips)
    finally:
        for unfinished in (folder / "media").rglob("*" + PARTIAL_SUFFIX):  # of workers that were stopped
            unfinished.unlink()
    last_fold = max(part.fold for part in sources.parts)
    labels = sorted({label for part in sources.parts for source in part.sources for label in source.labels})
    events = [row for soundtrack in soundtracks for row in _event_rows(soundtrack)]
    _write_tables(folder, [_clip_row(soundtrack, last_fold) for soundtrack in soundtracks], events, labels)
    return Composed(
        manifest_path=folder / MANIFEST_FILE,
        num_clips=settings.clips,
        num_resumed=num_resumed,
        seconds_of_sound=sum(soundtrack.seconds for soundtrack in soundtracks),
        num_events=len(events),
        num_labels=len(labels),
        num_sources=sources.num_clips,
        left_out=sources.left_out,
    )


def plan_soundtrack(settings: ComposeSettings, parts: tuple[Part, ...], number: int) -> Soundtrack:
    """The soundtrack of that number: a pure function of its arguments."""
    rng = np.random.default_rng((settings.seed, number))
    part = parts[number % len(parts)]
    spread = np.exp(_LENGTH_SPREAD * rng.standard_normal() - _LENGTH_SPREAD**2 / 2)  # of mean one
    seconds = round(max(2.0, float(settings.mean_seconds * np.clip(spread, 1 / 4, 4))), 2)
    wanted = 1 + int(rng.choice(len(_NUM_SOURCES_SHARES), p=_NUM_SOURCES_SHARES))
    chosen: list[Source] = []
    for place in rng.permutation(len(part.sources)).tolist():
        source = part.sources[place]
        heard = {label for other in chosen for label in other.labels}
        if len(chosen) < wanted and not heard & set(source.labels):  # so that events of a label are told apart
            chosen.append(source)
    occurrences = [occurrence for source in chosen for occurrence in _placed(rng, source, seconds)]
    return Soundtrack(
        number=number,
        seconds=seconds,
        part=part,
        occurrences=tuple(sorted(occurrences, key=lambda occurrence: occurrence.at_seconds)),
    )


def _placed(rng: np.random.Generator, source: Source, seconds: float) -> Iterator[Occurrence]:
    """Occurrences of a clip that do not overlap one another, anywhere in the soundtrack."""
    share = float(rng.uniform(*_COVERAGE))
    length = min(source.end - source.begin, _COVERAGE[1] * seconds)
    number = max(1, round(share * seconds / length))
    starts = np.sort(rng.uniform(0, max(0.0, seconds - number * length), size=number)) + np.arange(number) * length
    level_db = rng.uniform(*_LEVEL_DB)
    for start in starts.tolist():
        where = rng.uniform(source.begin, max(source.begin, source.end - length))
        start_of_piece = _begin_where_it_sounds(source, float(where), length)
        yield Occurrence(
            source,
            from_seconds=round(start_of_piece, 3),
            seconds=round(min(length, source.end - start_of_piece), 3),
            at_seconds=round(min(start, seconds - length), 3),
            level_db=round(float(level_db + rng.uniform(-_OCCURRENCE_LEVEL_DB, _OCCURRENCE_LEVEL_DB)), 2),
        )


def _begin_where_it_sounds(source: Source, where: float, length: float) -> float:
    """The same place, or the next where the clip sounds, so that no piece is silent."""
    for start, stop in source.spans:
        if where < stop - min(0.05, stop - start) / 2:
            return min(max(where, start), max(source.begin, source.end - min(length, stop - start)))
    return source.begin


def render(soundtrack: Soundtrack, *, seed: int) -> npt.NDArray[np.float32]:
    """The sound [samples] at `SAMPLE_RATE_HZ`."""
    noise = np.random.default_rng((seed, soundtrack.number, 1)).normal(
        scale=_NOISE_RMS, size=num_samples(soundtrack.seconds)
    )
    sounds: dict[str, npt.NDArray[np.float32]] = {}
    for occurrence in soundtrack.occurrences:
        source = occurrence.source
        if source.clip_id not in sounds:
            sounds[source.clip_id] = source.read()
        whole = sounds[source.clip_id]
        first = num_samples(occurrence.from_seconds)
        piece = whole[first : first + num_samples(occurrence.seconds)].astype(np.float64)
        if not len(piece):
            continue
        ramp = (np.arange(len(piece)) + 1) / (_FADE_SECONDS * SAMPLE_RATE_HZ)
        piece *= np.minimum(1.0, np.minimum(ramp, ramp[::-1]))
        heard = np.concatenate([whole[num_samples(start) : num_samples(stop)] for start, stop in source.spans])
        piece *= _NOISE_RMS * 10 ** (occurrence.level_db / 20) / np.sqrt(np.mean(heard.astype(np.float64) ** 2))
        begin = num_samples(occurrence.at_seconds)
        fitting = piece[: max(0, len(noise) - begin)]
        noise[begin : begin + len(fitting)] += fitting
    peak = np.abs(noise).max()
    return np.asarray(noise if peak <= _LOUDEST else noise * (_LOUDEST / peak), np.float32)


def _write(task: _Task) -> bool:
    path = Path(task.folder) / task.soundtrack.media
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = render(task.soundtrack, seed=task.seed)
        with replacing_path(path) as partial:
            rng = np.random.default_rng((task.seed, task.soundtrack.number, 2))
            encode([np.stack([sound, sound])], partial, suffix=".flac", sample_rate_hz=SAMPLE_RATE_HZ, rng=rng)
    except OSError as error:
        raise write_error(path, error) from error
    return True


def _clip_row(soundtrack: Soundtrack, last_fold: int) -> dict[str, Any]:
    return {
        "clip_id": soundtrack.clip_id,
        "media": soundtrack.media,
        "labels": list(soundtrack.labels),
        "seconds": soundtrack.seconds,
        "split": "test" if soundtrack.part.fold == last_fold else "train",
        "fold": soundtrack.part.fold,
        "group": soundtrack.part.name,
    }


def _event_rows(soundtrack: Soundtrack) -> Iterator[dict[str, Any]]:
    for occurrence in soundtrack.occurrences:
        for start, stop in occurrence.events:
            for label in occurrence.source.labels:
                yield {
                    "clip_id": soundtrack.clip_id,
                    "label": label,
                    "start_seconds": start,
                    "stop_seconds": min(stop, soundtrack.seconds),
                    "level_db": occurrence.level_db,
                    "source_clip_id": occurrence.source.clip_id,
                }


def _write_tables(folder: Path, clips: list[dict[str, Any]], events: list[dict[str, Any]], labels: list[str]) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("index", "id", "name"))
    rows.writerows((index, label, label) for index, label in enumerate(labels))
    with replacing(folder / LABELS_FILE) as file:
        file.write(text.getvalue().encode())
    tables = ((EVENTS_FILE, events, _EVENT_COLUMNS), (MANIFEST_FILE, clips, CLIP_COLUMNS))
    for name, values, columns in tables:
        with replacing(folder / name) as file:
            pyarrow.parquet.write_table(pa.Table.from_pylist(values, schema=columns), file)
