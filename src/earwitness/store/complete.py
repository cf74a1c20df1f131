"""What every building and changing of a store ends in: parts that are missing are made, then index, list of failures
and header are written again.

A store that is being changed says in its header that it is unfinished, before its first part changes. Whatever
interrupts the change, completing the store from there makes it whole.
"""

import contextlib
import csv
import io
import itertools
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from earwitness.errors import StoreError
from earwitness.files import PARTIAL_SUFFIX, replacing
from earwitness.manifest import plain_labels
from earwitness.places import Place, listing
from earwitness.store.claim import claimed
from earwitness.store.failure_budget import FailureBudget
from earwitness.store.files import spool_folder_of, write_error
from earwitness.store.header import StoreHeader, Totals, read_header, write_header
from earwitness.store.index import write_index
from earwitness.store.part_jobs import Engine, PartJob
from earwitness.store.parts import (
    FAILURES_FILE,
    PARTS_FOLDER,
    PartCounts,
    committed_counts,
    count_rows,
    failed_rows,
    read_rows,
    remove_rows,
    rows_path,
    stored_rows,
)
from earwitness.store.settings import DecodeSettings


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
    seconds_before: float
    """Sound stored when this run began."""


Progress = Callable[[BuildProgress], None]


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


def summary(header: StoreHeader, *, num_resumed_parts: int | None = None) -> BuildSummary:
    """Of a finished store; all parts were there before where `num_resumed_parts` is None."""
    totals = header.totals
    assert totals is not None
    return BuildSummary(
        num_clips=header.num_rows,
        num_stored=totals.num_clips,
        num_failed=totals.num_failed,
        num_warned=totals.num_warned,
        seconds_of_sound=totals.seconds_of_sound,
        num_parts=header.num_parts,
        num_resumed_parts=header.num_parts if num_resumed_parts is None else num_resumed_parts,
    )


def make_missing_parts(
    folder: Place,
    header: StoreHeader,
    table: pa.Table,
    *,
    settings: DecodeSettings,
    engine: Engine,
    progress: Progress | None,
    forgiven: Collection[str] = (),
) -> BuildSummary:
    """Make the parts that are not there and finish the store; `folder` is held by this process.

    Args:
        folder: the store.
        header: as it is on the disk, unfinished.
        table: all rows of the manifest.
        settings: how to decode.
        engine: who builds.
        progress: called as counts come in.
        forgiven: see `build_store`.
    """
    data_folder = folder / header.data_folder
    (data_folder / PARTS_FOLDER).mkdir(exist_ok=True)
    before, missing = PartCounts(), []
    names = listing(data_folder / PARTS_FOLDER)
    for part, rows in enumerate(header.part_rows):
        if rows_path(data_folder, part).name in names:
            counts = committed_counts(data_folder, part, num_rows=len(rows), num_bands=header.front_end.num_bands)
            if counts is not None:
                before += counts
                continue
            remove_rows(data_folder, part)
        missing.append((part, rows))

    def jobs() -> Iterator[PartJob]:
        for part, rows in missing:
            yield part_job(data_folder, header, part, table.slice(rows.start, len(rows)))

    run_jobs(
        folder,
        header,
        jobs(),
        before=before,
        settings=settings,
        engine=engine,
        progress=progress,
        forgiven=forgiven,
    )
    return summary(finish_store(folder, header), num_resumed_parts=header.num_parts - len(missing))


def part_job(
    data_folder: Place, header: StoreHeader, part: int, rows: pa.Table, places: tuple[int, ...] | None = None
) -> PartJob:
    """The job to make a part of these rows, or to try some of them again."""
    rows = plain_labels(rows)  # a job that travels shall not take the labels of the whole manifest along
    indices = [header.label_set.indices(labels) for labels in rows["labels"].to_pylist()]
    return PartJob(data_folder, part, rows, indices, header.front_end, places)


def run_jobs(
    folder: Place,
    header: StoreHeader,
    jobs: Iterable[PartJob],
    *,
    before: PartCounts,
    settings: DecodeSettings,
    engine: Engine,
    progress: Progress | None,
    forgiven: Collection[str] = (),
) -> PartCounts:
    """Let an engine do its jobs while progress is told and failures are watched; gives all counts together. For
    `forgiven` see `build_store`.

    Raises:
        StoreError: more clips have failed than the settings allow.
    """
    budget = FailureBudget(settings.max_failures) if settings.max_failures is not None else None
    counts = before
    judged = replace(before, failures={kind: n for kind, n in before.failures.items() if kind not in forgiven})
    spool_folder = spool_folder_of(folder)
    data_folder = folder / header.data_folder
    _remove_leftovers(data_folder, spool_folder)  # of an earlier run
    try:
        with contextlib.closing(engine(jobs, spool_folder, settings)) as increments:
            for increment in itertools.chain([PartCounts()], increments):  # failures of earlier runs may be too many
                counts, judged = counts + increment, judged + increment
                if progress and increment.num_rows:
                    progress(
                        BuildProgress(
                            num_clips=header.num_rows,
                            num_done=counts.num_rows,
                            num_resumed=before.num_rows,
                            num_failed=counts.num_failed,
                            num_warned=counts.num_warned,
                            seconds_of_sound=counts.num_samples / header.front_end.sample_rate_hz,
                            seconds_before=before.num_samples / header.front_end.sample_rate_hz,
                        )
                    )
                if budget and (objection := budget.objection(judged, num_rows=header.num_rows)):
                    raise StoreError(f"{folder}: {objection}")
    finally:
        _remove_leftovers(data_folder, spool_folder)
    return counts


def _remove_leftovers(data_folder: Place, spool_folder: Path) -> None:
    shutil.rmtree(spool_folder, ignore_errors=True)
    if isinstance(data_folder, Path):
        for partial in (data_folder / PARTS_FOLDER).glob(f"*{PARTIAL_SUFFIX}"):
            partial.unlink(missing_ok=True)


def finish_store(folder: Place, header: StoreHeader) -> StoreHeader:
    """Write index, list of failures and header anew from the parts, all of which must be there."""
    data_folder = folder / header.data_folder
    header = write_what_follows(header, data_folder, index_to=data_folder, failures_to=folder)
    write_header(folder, header)
    return header


def write_what_follows(header: StoreHeader, data_folder: Place, *, index_to: Place, failures_to: Place) -> StoreHeader:
    """Write index and list of failures as they follow from the parts; gives the header of the finished store."""
    counts, failed = PartCounts(), list[pa.Table]()

    def stored() -> Iterator[pa.Table]:
        nonlocal counts
        for part in range(header.num_parts):
            rows = read_rows(data_folder, part)
            counts += count_rows(rows)
            failed.append(failed_rows(rows))
            yield stored_rows(rows)

    fingerprint = write_index(index_to, header, stored())
    _write_failures(failures_to, failed)
    totals = Totals(
        num_clips=counts.num_rows - counts.num_failed,
        num_failed=counts.num_failed,
        num_warned=counts.num_warned,
        num_frames=counts.num_frames,
        seconds_of_sound=counts.num_samples / header.front_end.sample_rate_hz,
    )
    return replace(header, totals=totals, fingerprint=fingerprint)


def begin_change(folder: Place, header: StoreHeader) -> StoreHeader:
    """Let the header say that the store is unfinished, before a part changes."""
    header = replace(header, totals=None, fingerprint=None)
    write_header(folder, header)
    return header


@contextlib.contextmanager
def held_store(folder: Place) -> Iterator[StoreHeader]:
    """Hold a store to change it; gives its header. One whose change was interrupted is finished first.

    Raises:
        StoreError: there is none, another process holds it, parts of it are missing, or it cannot be written.
    """
    read_header(folder)  # no lock where there is no store
    try:
        with claimed(folder):
            header = read_header(folder)
            if not header.is_finished:
                parts = range(header.num_parts)
                names = listing(folder / header.data_folder / PARTS_FOLDER)
                missing = [part for part in parts if rows_path(folder, part).name not in names]
                if missing:
                    raise StoreError(
                        f"{folder}: the store is unfinished, {len(missing)} of {header.num_parts} parts are missing; "
                        "run the command that builds it again first"
                    )
                header = finish_store(folder, header)
            yield header
    except OSError as error:
        raise write_error(folder, error) from error


def _write_failures(folder: Place, failed: Iterable[pa.Table]) -> None:
    """Write the list of failures, from those of each part."""
    with replacing(folder / FAILURES_FILE) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["clip_id", "media", "kind", "reason"])
        for rows in failed:
            writer.writerows(row.values() for row in rows.to_pylist())
        text.detach()
