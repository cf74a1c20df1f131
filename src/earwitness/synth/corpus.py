"""The made corpus on disk: media files made in parallel, and the tables that say what is in them.

    FOLDER/corpus.json             the settings; first to be written
    FOLDER/media/000/clip-000000.mp4 ...
    FOLDER/labels.csv              the label set: kinds of sound and their parents
    FOLDER/events.parquet          what truly sounds and when, and every flaw of the metadata
    FOLDER/manifest_true.parquet   the clips with true labels
    FOLDER/manifest.parquet        the clips with the labels of their metadata; written last

On one machine every file is the same, byte for byte, for the same settings, whatever the number of workers. A media
file is whole or not there. Interrupted, or out of room on the disk, the tables list the clips that are made; the same
command goes on from there, and one that asks for more clips adds them.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.errors import CorpusError, SettingsError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked, replacing, replacing_path
from earwitness.parallel import run_tasks
from earwitness.synth.encode import encode
from earwitness.synth.kinds import KINDS, label_set_of
from earwitness.synth.mixing import mix
from earwitness.synth.plan import ENCODING, GENERATOR_VERSION, ClipPlan, plan_clip
from earwitness.synth.settings import ComposeSettings, SynthSettings
from earwitness.synth.signals import SAMPLE_RATE_HZ
from earwitness.synth.truth import MANIFEST_FILE, write_tables

SETTINGS_FILE = "corpus.json"

_SCHEMA_VERSION = 1
_RESERVE_FILE = "reserve" + PARTIAL_SUFFIX
_RESERVED_BYTES = 2**18, 1_000, 12
"""Room kept for the tables while media are made: for any corpus, for each clip, for each of its seconds."""
_TIMEOUT_SECONDS = 3_600.0

AnySettings = SynthSettings | ComposeSettings


@dataclass(frozen=True, kw_only=True)
class SynthProgress:
    """How far it is; given after every clip."""

    num_clips: int
    num_done: int
    num_resumed: int
    """Clips found made when this run began."""
    seconds_made: float
    """Sound made in this run."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A made corpus."""

    manifest_path: Path
    num_clips: int
    num_resumed: int
    seconds_of_sound: float
    """Of all clips."""
    num_labels_given: int
    num_flaws: int
    """Labels missing, wrong, coarse or inaudible, clip by clip."""
    num_labels: int
    """Of the label set."""
    labels_not_tested: tuple[str, ...]
    """Labels that no clip of the test split has by its metadata."""


@dataclass(frozen=True)
class _Task:
    folder: str
    number: int
    settings: SynthSettings


def make_corpus(
    folder: str | Path,
    *,
    settings: SynthSettings,
    workers: int = 1,
    progress: Callable[[SynthProgress], None] | None = None,
) -> Corpus:
    """Make a corpus, or go on with one.

    Args:
        folder: made if needed; must be empty, or hold a corpus of the same settings with as many clips or fewer.
        settings: what to make.
        workers: processes at work.
        progress: called after every clip.

    Raises:
        CorpusError: the folder holds something else, another process works in it, or it cannot be written. Clips that
            were made are listed in its tables.
        SettingsError: `workers` is not positive.
    """
    folder = Path(folder)
    if workers < 1:
        raise SettingsError(f"workers={workers} must be at least 1")
    try:
        require_ours(folder, settings)
        (folder / "media").mkdir(parents=True, exist_ok=True)
        busy = CorpusError(f"{folder}: another process is making this corpus; wait for it to end")
        with locked(folder, busy=busy):
            require_ours(folder, settings)
            with replacing(folder / SETTINGS_FILE) as file:
                file.write((json.dumps(describe(settings), indent=2) + "\n").encode())
            return _make(folder, settings, workers, progress)
    except OSError as error:
        raise write_error(folder, error) from error


def require_ours(folder: Path, settings: AnySettings) -> None:
    """Refuse a folder that holds anything but a beginning of this corpus."""
    if folder.exists() and not folder.is_dir():
        raise CorpusError(f"{folder}: this is a file; a corpus is a folder, choose a new or empty one")
    path = folder / SETTINGS_FILE
    if not path.exists():
        ours = {LOCK_FILE, SETTINGS_FILE + PARTIAL_SUFFIX, "media"}
        if folder.is_dir() and any(
            entry.name not in ours or (entry.name == "media" and any(entry.iterdir())) for entry in folder.iterdir()
        ):
            raise CorpusError(f"{folder}: the folder is not empty and holds no made corpus; choose a new or empty one")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        clips = int(found["settings"]["clips"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path}: not a readable description of a made corpus ({error})") from error
    wanted = describe(replace(settings, clips=clips))
    if differences := _differences(found, wanted):
        raise CorpusError(
            f"{folder}: holds another corpus. There / asked for: {differences}. "
            "Choose another folder, or remove this one"
        )
    if settings.clips < clips:
        raise CorpusError(
            f"{folder}: holds a corpus of {clips} clips, {settings.clips} were asked for; the same command with "
            f"--clips {clips} or more goes on with it, and --where 'fold = 1' selects fewer later"
        )


def describe(settings: AnySettings) -> dict[str, Any]:
    return {"schema_version": _SCHEMA_VERSION, "generator": GENERATOR_VERSION, "settings": settings.to_dict()}


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Such as `seed 1 / 2, kinds 62 / 20`; empty where the same."""
    then = {**found, **found["settings"]}
    now = {**wanted, **wanted["settings"]}
    names = [name for name in now if name != "settings" and then.get(name) != now[name]]
    return ", ".join(f"{name} {then.get(name)} / {now[name]}" for name in names)


def _make(
    folder: Path, settings: SynthSettings, workers: int, progress: Callable[[SynthProgress], None] | None
) -> Corpus:
    num_resumed = sum(_is_made(folder, plan) for plan in _plans(settings))
    num_done, seconds_made = num_resumed, 0.0
    missing = (plan for plan in _plans(settings) if not _is_made(folder, plan))
    tasks = (_Task(str(folder), plan.number, settings) for plan in missing)
    try:
        _reserve(folder, settings)
        with contextlib.closing(
            run_tasks(_make_clip, tasks, workers=workers, timeout_seconds=_TIMEOUT_SECONDS)
        ) as outcomes:
            for outcome in outcomes:
                if outcome.value is None:
                    why = outcome.failure.message if outcome.failure else "no reason was given"
                    raise CorpusError(f"{folder}: clip {outcome.task.number} could not be made: {why}")
                num_done += 1
                seconds_made += outcome.value
                if progress:
                    progress(
                        SynthProgress(
                            num_clips=settings.clips,
                            num_done=num_done,
                            num_resumed=num_resumed,
                            seconds_made=seconds_made,
                        )
                    )
    finally:  # whatever happened: what is made can be used
        (folder / _RESERVE_FILE).unlink(missing_ok=True)
        for unfinished in (folder / "media").rglob("*" + PARTIAL_SUFFIX):  # of workers that were stopped
            unfinished.unlink()
        made = _Counted(plan for plan in _plans(settings) if _is_made(folder, plan))
        label_set = label_set_of(tuple(KINDS)[: settings.kinds])
        write_tables(folder, made, label_set)
    return Corpus(
        manifest_path=folder / MANIFEST_FILE,
        num_clips=made.num_clips,
        num_resumed=num_resumed,
        seconds_of_sound=made.seconds_of_sound,
        num_labels_given=made.num_labels_given,
        num_flaws=made.num_flaws,
        num_labels=len(label_set),
        labels_not_tested=tuple(label for label in label_set.ids if label not in made.tested_labels),
    )


def _reserve(folder: Path, settings: SynthSettings) -> None:
    """Hold room on the disk, so that the tables can be written when nothing else fits any more."""
    fixed, each_clip, each_second = _RESERVED_BYTES
    with (folder / _RESERVE_FILE).open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(
                file.fileno(), 0, fixed + round(settings.clips * (each_clip + each_second * settings.mean_seconds))
            )


def _is_made(folder: Path, plan: ClipPlan) -> bool:
    try:
        return (folder / plan.media).stat().st_size > 0
    except FileNotFoundError:
        return False


def _plans(settings: SynthSettings) -> Iterator[ClipPlan]:
    return (plan_clip(settings, number) for number in range(settings.clips))


class _Counted:
    """Plans that are added up as they go by."""

    def __init__(self, plans: Iterator[ClipPlan]) -> None:
        self._plans = plans
        self.num_clips = self.num_labels_given = self.num_flaws = 0
        self.seconds_of_sound = 0.0
        self.tested_labels: set[str] = set()

    def __iter__(self) -> Iterator[ClipPlan]:
        for plan in self._plans:
            self.num_clips += 1
            self.seconds_of_sound += plan.seconds
            self.num_labels_given += len(plan.given_labels)
            self.num_flaws += len(plan.flaws)
            if plan.is_test:
                self.tested_labels.update(plan.given_labels)
            yield plan


def _make_clip(task: _Task) -> float:
    """Make one media file; its seconds."""
    plan = plan_clip(task.settings, task.number)
    path = Path(task.folder) / plan.media
    rng = np.random.default_rng((task.settings.seed, ENCODING, task.number))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_path(path) as partial:
            blocks = mix(plan, seed=task.settings.seed)
            encode(blocks, partial, suffix=plan.suffix, sample_rate_hz=SAMPLE_RATE_HZ, rng=rng)
    except OSError as error:  # FFmpeg's errors are among them
        raise write_error(path, error) from error
    return plan.seconds


def write_error(path: Path, error: OSError) -> CorpusError:
    reason = error.strerror or str(error) or os.strerror(error.errno or 0)
    return CorpusError(
        f"{path}: the made corpus cannot be written ({reason}); once it can be, the same command goes on"
    )
