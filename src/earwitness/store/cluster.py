"""The engine of a cluster: Ray gives whole parts to its nodes, and every part is made there as it would be here.

A task of Ray's makes one part with one decoding process under the limits of the local engine (`local.py`), writes it
where the store lies, and commits it. What travels to a task are rows of the manifest, what comes back are counts; no
frame enters Ray's object store. All nodes must see the store under the same path, or it lies behind a URL.

A task whose process or node is lost is given to another. So a part may be made twice, even at the same time by a node
that was thought dead: both write the same bytes under names of their own before one rename, and a part that is there
already is not made again. How tasks are given out is in `ray_tasks`.
"""

import os
import re
import shutil
import socket
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from earwitness.errors import ClusterError, EarwitnessError
from earwitness.places import UrlPath
from earwitness.ray_tasks import (
    bare_main,
    connected,
    require_address,
    require_versions,
    require_visible,
    run_on_cluster,
)
from earwitness.store.files import spool_folder_of, write_error
from earwitness.store.lease import is_running
from earwitness.store.local import make_parts
from earwitness.store.part_jobs import Engine, PartJob
from earwitness.store.parts import PARTS_FOLDER, PartCounts, committed_counts, read_rows, rows_path
from earwitness.store.settings import DecodeSettings
from earwitness.store.versions import decoder_versions


def cluster_engine(address: str) -> Engine:
    """An `Engine` that makes parts on a Ray cluster.

    Args:
        address: `HOST:PORT` of a cluster's head, `auto` for the cluster that this machine belongs to, or `local`.

    Raises:
        SettingsError: it is none of these.
    """
    require_address(address)

    def make(jobs: Iterable[PartJob], spool_folder: Path, settings: DecodeSettings) -> Generator[PartCounts]:
        with connected(address, settings.workers) as ray:
            yield from _make_on(ray, jobs, spool_folder, settings)

    return make


def _make_on(ray: Any, jobs: Iterable[PartJob], spool_folder: Path, settings: DecodeSettings) -> Generator[PartCounts]:
    made = run_on_cluster(
        ray,
        _make_part,
        map(_fit_to_travel, jobs),
        spool_folder.absolute(),
        settings,
        decoder_versions(),
        workers=settings.workers,
        name_of=lambda job: f"part {job.part}",
    )
    with closing(made):
        for job, counts in made:
            require_visible(
                rows_path(job.data_folder, job.part),
                remedy="all nodes must see the store's folder under the same path, or the store must lie behind a URL",
            )
            yield counts


def _fit_to_travel(job: PartJob) -> PartJob:
    """A slice of a table would take the whole table along; and nodes have working directories of their own."""
    rows = job.rows.take(list(range(job.rows.num_rows)))
    return replace(job, rows=rows, data_folder=job.data_folder.absolute())


# What runs on the nodes.


def _make_part(
    job: PartJob, spool_folder: Path, settings: DecodeSettings, versions: Mapping[str, str]
) -> PartCounts | EarwitnessError:
    """Make and commit one part, but for what is done already. Errors for people are given back,
    since Ray wraps those that are raised.
    """
    node = socket.gethostname()
    try:
        require_versions(decoder_versions(), versions)
        if isinstance(job.data_folder, UrlPath):
            spool_folder = spool_folder_of(job.data_folder)
            _remove_orphans(spool_folder)
        elif not (job.data_folder / PARTS_FOLDER).is_dir():
            raise ClusterError(
                f"node {node} sees no folder {job.data_folder / PARTS_FOLDER}: all nodes must see the store under the "
                "same path, or it must lie behind a URL"
            )
        counts, rest = _without_done(job)
        if rest is not None:
            rest = replace(rest, writer=f"{node}-{os.getpid()}")
            with bare_main():
                for more in make_parts([rest], spool_folder, replace(settings, workers=1)):
                    counts += more
    except EarwitnessError as error:
        return error
    except OSError as error:
        return write_error(job.data_folder, error)
    return counts


def _remove_orphans(spool_folder: Path) -> None:
    """Remove what tasks that were lost on this node have left of the frames of a store behind a URL."""
    ours = re.compile(rf"{re.escape(socket.gethostname())}-(\d+)-\w+")
    for folder in spool_folder.glob("*"):
        found = ours.fullmatch(folder.name)
        # a process makes one part at a time: what has our own number is of one before us
        if found and (int(found[1]) == os.getpid() or not is_running(int(found[1]))):
            shutil.rmtree(folder, ignore_errors=True)


def _without_done(job: PartJob) -> tuple[PartCounts, PartJob | None]:
    """Counts of the rows that a lost task has done, and the job for the others; None where it did all."""
    if job.places is None:
        num_rows, num_bands = job.rows.num_rows, job.front_end.num_bands
        counts = committed_counts(job.data_folder, job.part, num_rows=num_rows, num_bands=num_bands)
        return (PartCounts(), job) if counts is None else (counts, None)
    rows = read_rows(job.data_folder, job.part, ["failure_kind", "num_samples", "num_frames", "warnings"])
    failed = pc.is_valid(rows["failure_kind"]).to_pylist()
    counts = PartCounts()
    for place in job.places:
        if not failed[place]:
            row = {name: rows[name][place].as_py() for name in ("num_samples", "num_frames", "warnings")}
            counts += PartCounts(
                num_rows=1,
                num_warned=int(bool(row["warnings"])),
                num_frames=row["num_frames"],
                num_samples=row["num_samples"],
            )
    places = tuple(place for place in job.places if failed[place])
    return counts, replace(job, places=places) if places else None
