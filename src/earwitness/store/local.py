"""The engine of one machine: worker processes decode clips to spool files, this process puts them together.

Clips of several parts are in work at a time, so that no worker waits for the end of a part. A part is committed when
its last clip is done.
"""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from earwitness.manifest import RANGE_COLUMNS
from earwitness.parallel import run_tasks, usable_cpus
from earwitness.store.decode import ClipTask, decode_clip
from earwitness.store.part_jobs import PartJob, Result, counts_of
from earwitness.store.parts import Append, PartCounts, copy_raw_frames
from earwitness.store.settings import DecodeSettings

_PLACES = ("media", "start_seconds", "stop_seconds", *RANGE_COLUMNS)
"""Columns of the manifest that say where a clip's sound lies."""


def make_parts(
    jobs: Iterable[PartJob], spool_folder: Path, settings: DecodeSettings
) -> Generator[PartCounts, None, None]:
    """Make parts with the processes of this machine; an `Engine`, which yields the counts of each clip.

    Raises:
        StoreError: something cannot be written.
        OSError: likewise.
    """
    # orphans of others write elsewhere, even where machines and processes are numbered anew after a restart
    spool_folder.mkdir(parents=True, exist_ok=True)
    own_folder = Path(tempfile.mkdtemp(dir=spool_folder, prefix=f"{socket.gethostname()}-{os.getpid()}-"))
    in_work: dict[int, tuple[PartJob, dict[int, Result], int]] = {}

    def spool_path(part: int, place: int) -> Path:
        return own_folder / f"{part:06d}-{place:06d}"

    def tasks() -> Iterator[ClipTask]:
        for job in jobs:
            places = range(job.rows.num_rows) if job.places is None else job.places
            in_work[job.part] = (job, {}, len(places))
            columns = [name for name in _PLACES if name in job.rows.column_names]
            media = job.rows.select(columns).take(list(places)).to_pylist()
            for place, values in zip(places, media, strict=True):
                path = str(spool_path(job.part, place))
                yield ClipTask(part=job.part, place=place, spool_path=path, front_end=job.front_end, **values)

    def commit(job: PartJob, results: dict[int, Result]) -> None:
        def append_frames(place: int, append: Append) -> None:
            copy_raw_frames(spool_path(job.part, place), append)
            spool_path(job.part, place).unlink()

        job.commit(results, append_frames)

    outcomes = run_tasks(
        decode_clip,
        tasks(),
        workers=settings.workers or usable_cpus(),
        timeout_seconds=settings.timeout_seconds,
        cpu_limit_seconds=settings.cpu_limit_seconds,
        memory_limit_bytes=settings.memory_limit_mib * 2**20,
    )
    try:
        with contextlib.closing(outcomes):
            for outcome in outcomes:
                task, result = outcome.task, outcome.value or outcome.failure
                assert result is not None
                if outcome.failure:
                    spool_path(task.part, task.place).unlink(missing_ok=True)
                job, results, num_wanted = in_work[task.part]
                results[task.place] = result
                if len(results) == num_wanted:
                    del in_work[task.part]
                    commit(job, results)
                yield counts_of(result)
    finally:
        shutil.rmtree(own_folder, ignore_errors=True)
