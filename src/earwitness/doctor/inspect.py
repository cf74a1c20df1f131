"""The two entries of the doctor: a manifest, whose media are decoded, and a store, whose frames are read."""

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from earwitness.audio.source import Source, media_source
from earwitness.doctor.clips import ClipMeasures, MediaTask, examine_media, examine_stored, stored_tasks
from earwitness.doctor.findings import CorpusReport, Finding
from earwitness.doctor.inspection import Corpus, Inspection
from earwitness.doctor.settings import InspectSettings
from earwitness.errors import StoreError
from earwitness.labels import LabelSet
from earwitness.manifest import RANGE_COLUMNS, Manifest
from earwitness.parallel import run_tasks
from earwitness.store.header import digest_table, read_header
from earwitness.store.read import Store

CLIPS_PER_TASK = 200
"""Of a store: some tenths of a second of work."""
ALONE_UP_TO_CLIPS = 2_000
"""Stores of up to so many clips are read in this process: starting others would take longer."""


@dataclass(frozen=True, kw_only=True)
class InspectProgress:
    """How far an inspection is; given after every clip."""

    num_clips: int
    """To be scanned."""
    num_done: int
    num_with_findings: int
    """So far, of those done; copies are found at the end."""
    seconds_of_sound: float


Progress = Callable[[InspectProgress], None]


def inspect_manifest(
    manifest: Manifest,
    *,
    settings: InspectSettings | None = None,
    label_set: LabelSet | None = None,
    progress: Progress | None = None,
) -> CorpusReport:
    """Decode the clips of a manifest, or a sample of them, and say what is wrong with them.

    Args:
        manifest: the clips.
        settings: thresholds, sample, workers.
        label_set: the labels that were meant, to find holes; None: the manifest's own.
        progress: called after every clip.

    Raises:
        ManifestError: the split or source column is not there.
    """
    settings = settings or InspectSettings()
    started = time.monotonic()
    corpus = Corpus(
        name=manifest.source,
        is_store=False,
        manifest_digest=digest_table(manifest.table),
        fingerprint=None,
        table=manifest.table,
        label_set=label_set,
    )
    inspection = Inspection(corpus, settings, num_bands=settings.front_end.num_bands)
    rows = _drawn(len(manifest), settings)
    outcomes = run_tasks(
        examine_media,
        _media_tasks(manifest, rows, settings),
        workers=settings.workers,
        timeout_seconds=settings.timeout_seconds,
        memory_limit_bytes=settings.memory_limit_mib * 2**20,
    )
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            if outcome.value is not None:
                inspection.add(outcome.value)
            elif outcome.failure is not None:
                inspection.fail(outcome.task.row, outcome.failure)
            _tell(progress, inspection, len(rows))
    return inspection.report(is_sample=len(rows) < len(manifest), seconds_taken=time.monotonic() - started)


def inspect_store(
    store: Store, *, settings: InspectSettings | None = None, progress: Progress | None = None
) -> CorpusReport:
    """Read the frames of a store, or a sample of its clips, and say what is wrong with them.

    Raises:
        ManifestError: the split or source column is not there.
        StoreError: a part is missing or damaged.
    """
    settings = settings or InspectSettings()
    started = time.monotonic()
    corpus = Corpus(
        name=str(store.folder),
        is_store=True,
        manifest_digest=read_header(store.folder).manifest_digest,
        fingerprint=store.fingerprint,
        table=store.clips,
        failures=tuple(
            Finding(
                kind="undecodable",
                clip_id=row["clip_id"],
                media=row["media"],
                start_seconds=None,
                stop_seconds=None,
                detail=f"{row['kind']}: {row['reason']}",
            )
            for row in store.failures().to_pylist()
            if row["kind"] != "dropped"  # on purpose
        ),
        label_set=store.label_set,
    )
    inspection = Inspection(corpus, settings, num_bands=store.front_end.num_bands)
    clips = _drawn(store.num_clips, settings)
    for measures in _stored_clips(store, clips, settings):
        inspection.add(measures)
        _tell(progress, inspection, len(clips))
    return inspection.report(is_sample=len(clips) < store.num_clips, seconds_taken=time.monotonic() - started)


def _stored_clips(store: Store, clips: list[int], settings: InspectSettings) -> Iterable[ClipMeasures]:
    tasks = stored_tasks(str(store.folder), clips, clips_per_task=CLIPS_PER_TASK)
    if settings.workers == 1 or len(clips) <= ALONE_UP_TO_CLIPS:
        for task in tasks:
            yield from examine_stored(task)
        return
    outcomes = run_tasks(
        examine_stored,
        tasks,
        workers=settings.workers,
        timeout_seconds=CLIPS_PER_TASK * settings.timeout_seconds,
        memory_limit_bytes=None,
    )
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            if outcome.value is None:
                raise StoreError(
                    f"{store.folder}: clips could not be read ({outcome.failure and outcome.failure.message})"
                )
            yield from outcome.value


def _drawn(num_clips: int, settings: InspectSettings) -> list[int]:
    """Ascending numbers of the clips to scan."""
    if settings.sample is None or settings.sample >= num_clips:
        return list(range(num_clips))
    rng = np.random.default_rng(settings.seed)
    return [int(clip) for clip in np.sort(rng.choice(num_clips, settings.sample, replace=False))]


def _media_tasks(manifest: Manifest, rows: list[int], settings: InspectSettings) -> Iterable[MediaTask]:
    places = ["media", "start_seconds", "stop_seconds", *RANGE_COLUMNS]
    table = manifest.table.select([name for name in places if name in manifest.table.column_names])
    for first in range(0, len(rows), 1_000):
        some = rows[first : first + 1_000]
        for row, cells in zip(some, table.take(some).to_pylist(), strict=True):
            yield MediaTask(
                row=row,
                source=_source(cells),
                start_seconds=cells["start_seconds"],
                stop_seconds=cells["stop_seconds"],
                front_end=settings.front_end,
            )


def _source(cells: dict[str, Any]) -> Source:
    return media_source(cells["media"], *(cells.get(name) for name in RANGE_COLUMNS))


def _tell(progress: Progress | None, inspection: Inspection, num_clips: int) -> None:
    if progress is not None:
        progress(
            InspectProgress(
                num_clips=num_clips,
                num_done=inspection.num_scanned,
                num_with_findings=inspection.num_with_findings,
                seconds_of_sound=inspection.seconds_of_sound,
            )
        )
