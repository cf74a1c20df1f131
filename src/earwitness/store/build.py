"""From a manifest to a store: in parallel, resumable, one row at a time in exactly one of two places.

Workers decode clips to spool files under `tmp/`; this process puts finished clips together into parts, in the
order of the manifest, and commits each part when its last clip is done. A clip that fails becomes a row that
says why. Interrupted anywhere, the same command goes on with the parts that are missing. The store does not
depend on the number of workers: on one machine, every file of it comes out the same, byte for byte.
"""

import contextlib
import csv
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow.compute as pc

from earwitness.errors import LabelError
from earwitness.files import replacing
from earwitness.labels import LabelSet
from earwitness.manifest import RANGE_COLUMNS, Manifest, plain_labels
from earwitness.parallel import Failure, Outcome, run_tasks
from earwitness.store.claim import claimed, existing_header
from earwitness.store.decode import ClipTask, decode_clip
from earwitness.store.decoded import DecodedClip
from earwitness.store.files import write_error
from earwitness.store.header import StoreHeader, Totals, digest_table, write_header
from earwitness.store.index import write_index
from earwitness.store.parts import (
    FAILURES_FILE,
    PARTS_FOLDER,
    PartCounts,
    check_columns,
    committed_counts,
    copy_raw_frames,
    read_rows,
    write_part,
)
from earwitness.store.settings import BuildSettings
from earwitness.store.versions import decoder_versions

_SPOOL_FOLDER = "tmp"

_PLACES = ("media", "start_seconds", "stop_seconds", *RANGE_COLUMNS)
"""Columns of the manifest that say where a clip's sound lies."""


@dataclass(frozen=True, kw_only=True)
class BuildProgress:
    """How far a build is; given after every clip."""

    num_clips: int
    """Rows of the manifest."""
    num_done: int
    """Rows stored or failed, those of earlier runs included."""
    num_resumed: int
    """Rows found done when this run began."""
    num_failed: int
    num_warned: int
    seconds_of_sound: float
    """Sound stored, that of earlier runs included."""


@dataclass(frozen=True, kw_only=True)
class BuildSummary:
    """What a build has made."""

    num_clips: int
    """Rows of the manifest: stored and failed."""
    num_stored: int
    num_failed: int
    num_warned: int
    """Stored clips with warnings."""
    seconds_of_sound: float
    num_parts: int
    num_resumed_parts: int
    """Parts found done when this run began; all of them where the store was complete already."""

    @property
    def was_complete(self) -> bool:
        """Whether there was nothing left to do."""
        return self.num_resumed_parts == self.num_parts


def build_store(
    manifest: Manifest,
    folder: str | Path,
    *,
    settings: BuildSettings,
    label_set: LabelSet | None = None,
    progress: Callable[[BuildProgress], None] | None = None,
) -> BuildSummary:
    """Build the store of a manifest, or go on with an unfinished one. A finished one is left as it is.

    Args:
        manifest: the clips.
        folder: made if needed; must be empty, or hold an unfinished or finished store of the same manifest.
        settings: workers, limits, front end.
        label_set: the labels and their order; by default those of the manifest, sorted.
        progress: called after every clip.

    Raises:
        LabelError: a row carries a label outside the set, or there is no label at all.
        ManifestError: a column of the manifest is one that the store fills.
        StoreError: the folder cannot be written, is used by another build, holds something else, or a store
            of another manifest, front end or label set; or the disk is full. Parts that are finished stay.
    """
    folder = Path(folder)
    check_columns(manifest.table.column_names)
    header = StoreHeader(
        front_end=settings.front_end,
        label_set=_labels_of(manifest, label_set),
        manifest_digest=digest_table(manifest.table),
        manifest_source=Path(manifest.source).name,
        num_rows=len(manifest),
        clips_per_part=settings.clips_per_part,
        built_with=(decoder_versions(),),
    )
    try:
        if (found := existing_header(folder, header)) and found.totals:
            return _summary(header, found.totals, num_resumed_parts=header.num_parts)
        folder.mkdir(parents=True, exist_ok=True)
        with claimed(folder):
            # another build may have finished between the look above and the lock
            if (found := existing_header(folder, header)) and found.totals:
                return _summary(header, found.totals, num_resumed_parts=header.num_parts)
            if found:
                others = tuple(versions for versions in found.built_with if versions not in header.built_with)
                header = replace(header, built_with=others + header.built_with)
            return _Build(manifest, folder, header, settings, progress).run()
    except OSError as error:
        raise write_error(Path(error.filename) if isinstance(error.filename, str) else folder, error) from error


@dataclass
class _OpenPart:
    """A part of which some clips are still in work."""

    results: list[DecodedClip | Failure | None]
    num_missing: int


class _Build:
    """One run of a build in a folder that is locked."""

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        header: StoreHeader,
        settings: BuildSettings,
        progress: Callable[[BuildProgress], None] | None,
    ) -> None:
        self.manifest = manifest
        self.folder = folder
        self.header = header
        self.settings = settings
        self.progress = progress
        self.spool_folder = folder / _SPOOL_FOLDER / str(os.getpid())  # a name of its own: orphans write elsewhere
        self.open_parts: dict[int, _OpenPart] = {}
        self.num_done = self.num_resumed = self.num_failed = self.num_warned = 0
        self.num_frames = self.num_samples = 0

    def run(self) -> BuildSummary:
        write_header(self.folder, self.header)
        (self.folder / PARTS_FOLDER).mkdir(exist_ok=True)
        self._wipe_spool()
        self.spool_folder.mkdir(parents=True)
        try:
            missing = [part for part in range(self.header.num_parts) if not self._resume(part)]
            self.num_resumed = self.num_done
            self._build_parts(missing)
        finally:
            self._wipe_spool()
        return self._finish(num_resumed_parts=self.header.num_parts - len(missing))

    def _wipe_spool(self) -> None:
        shutil.rmtree(self.folder / _SPOOL_FOLDER, ignore_errors=True)

    def _rows_of(self, part: int) -> range:
        first = part * self.header.clips_per_part
        return range(first, min(first + self.header.clips_per_part, self.header.num_rows))

    def _resume(self, part: int) -> bool:
        counts = committed_counts(
            self.folder, part, num_rows=len(self._rows_of(part)), num_bands=self.header.front_end.num_bands
        )
        if counts is None:
            return False
        self._count(counts)
        return True

    def _count(self, counts: PartCounts) -> None:
        self.num_done += counts.num_rows
        self.num_failed += counts.num_failed
        self.num_warned += counts.num_warned
        self.num_frames += counts.num_frames
        self.num_samples += counts.num_samples

    def _build_parts(self, missing: list[int]) -> None:
        outcomes = run_tasks(
            decode_clip,
            self._tasks(missing),
            workers=self.settings.workers,
            timeout_seconds=self.settings.timeout_seconds,
            memory_limit_bytes=self.settings.memory_limit_mib * 2**20,
        )
        with contextlib.closing(outcomes):
            for outcome in outcomes:
                self._take(outcome)
                if self.progress:
                    self.progress(
                        BuildProgress(
                            num_clips=self.header.num_rows,
                            num_done=self.num_done,
                            num_resumed=self.num_resumed,
                            num_failed=self.num_failed,
                            num_warned=self.num_warned,
                            seconds_of_sound=self.num_samples / self.header.front_end.sample_rate_hz,
                        )
                    )

    def _tasks(self, missing: list[int]) -> Iterator[ClipTask]:
        for part in missing:
            rows = self._rows_of(part)
            self.open_parts[part] = _OpenPart([None] * len(rows), len(rows))
            table = self.manifest.table.slice(rows.start, len(rows))
            columns = table.select([name for name in _PLACES if name in table.column_names]).to_pylist()
            for row, values in zip(rows, columns, strict=True):
                yield ClipTask(
                    row=row,
                    spool_path=str(self._spool_path(row)),
                    front_end=self.header.front_end,
                    **(dict.fromkeys(_PLACES) | values),
                )

    def _spool_path(self, row: int) -> Path:
        return self.spool_folder / f"{row:09d}"

    def _take(self, outcome: Outcome[ClipTask, DecodedClip]) -> None:
        part, place = divmod(outcome.task.row, self.header.clips_per_part)
        result = outcome.value or outcome.failure
        if result is None:
            raise AssertionError("an outcome is a value or a failure")
        if isinstance(result, Failure):
            self._spool_path(outcome.task.row).unlink(missing_ok=True)
        self._count(_counts_of(result))
        open_part = self.open_parts[part]
        open_part.results[place] = result
        open_part.num_missing -= 1
        if not open_part.num_missing:
            self._commit(part, [result for result in self.open_parts.pop(part).results if result])

    def _commit(self, part: int, results: list[DecodedClip | Failure]) -> None:
        rows = self._rows_of(part)
        table = plain_labels(self.manifest.table.slice(rows.start, len(rows)))

        def append_frames(place: int, append: Callable[[npt.NDArray[Any] | bytes], None]) -> None:
            spool_path = self._spool_path(rows[place])
            copy_raw_frames(spool_path, append)
            spool_path.unlink()

        write_part(
            self.folder,
            part,
            rows=table,
            label_indices=[self.header.label_set.indices(labels) for labels in table["labels"].to_pylist()],
            results=results,
            append_frames=append_frames,
            num_bands=self.header.front_end.num_bands,
        )

    def _finish(self, *, num_resumed_parts: int) -> BuildSummary:
        fingerprint = write_index(self.folder, self.header)
        _write_failures(self.folder, self.header.num_parts)
        totals = Totals(
            num_clips=self.header.num_rows - self.num_failed,
            num_failed=self.num_failed,
            num_warned=self.num_warned,
            num_frames=self.num_frames,
            seconds_of_sound=self.num_samples / self.header.front_end.sample_rate_hz,
        )
        write_header(self.folder, replace(self.header, totals=totals, fingerprint=fingerprint))
        return _summary(self.header, totals, num_resumed_parts=num_resumed_parts)


def _summary(header: StoreHeader, totals: Totals, *, num_resumed_parts: int) -> BuildSummary:
    return BuildSummary(
        num_clips=header.num_rows,
        num_stored=totals.num_clips,
        num_failed=totals.num_failed,
        num_warned=totals.num_warned,
        seconds_of_sound=totals.seconds_of_sound,
        num_parts=header.num_parts,
        num_resumed_parts=num_resumed_parts,
    )


def _counts_of(result: DecodedClip | Failure) -> PartCounts:
    if isinstance(result, Failure):
        return PartCounts(num_rows=1, num_failed=1, num_warned=0, num_frames=0, num_samples=0)
    return PartCounts(
        num_rows=1,
        num_failed=0,
        num_warned=int(bool(result.warnings)),
        num_frames=result.num_frames,
        num_samples=result.num_samples,
    )


def _labels_of(manifest: Manifest, label_set: LabelSet | None) -> LabelSet:
    """The label set to use, after a look at every label of the manifest."""
    column = manifest.table["labels"]
    used = set(pc.unique(pc.list_flatten(column)).to_pylist())
    if label_set is None:
        if not used:
            raise LabelError(f"{manifest.source}: no clip has a label; give a label set if that is meant")
        return LabelSet.of(sorted(used))
    if not used <= label_set.index_of.keys():
        for row, labels in enumerate((labels for chunk in column.chunks for labels in chunk.to_pylist()), start=1):
            try:
                label_set.indices(labels)
            except LabelError as error:
                raise LabelError(f"{manifest.source}: row {row}: {error}") from error
    return label_set


def _write_failures(folder: Path, num_parts: int) -> None:
    with replacing(folder / FAILURES_FILE) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["clip_id", "media", "kind", "reason"])
        for part in range(num_parts):
            rows = read_rows(folder, part, ["clip_id", "media", "failure_kind", "failure_reason"])
            for row in rows.filter(pc.is_valid(rows["failure_kind"])).to_pylist():
                writer.writerow(row.values())
        text.detach()
