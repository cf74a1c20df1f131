"""The engine of a cluster: Ray gives whole parts to its nodes, and every part is made there as it would be here.

A task of Ray's makes one part with one decoding process under the limits of the local engine (`local.py`), writes it
where the store lies, and commits it. What travels to a task are rows of the manifest, what comes back are counts; no
frame enters Ray's object store. All nodes must see the store under the same path, or it lies behind a URL.

A task whose process or node is lost is given to another. So a part may be made twice, even at the same time by a node
that was thought dead: both write the same bytes under names of their own before one rename, and a part that is there
already is not made again.

Plain tasks, no actors: what a lost node held is simply queued again.
"""

import itertools
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import types
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from earwitness.errors import ClusterError, EarwitnessError, MissingExtraError, SettingsError
from earwitness.parallel import usable_cpus
from earwitness.places import Place, UrlPath
from earwitness.store.files import spool_folder_of, write_error
from earwitness.store.lease import is_running
from earwitness.store.local import make_parts
from earwitness.store.part_jobs import Engine, PartJob
from earwitness.store.parts import PARTS_FOLDER, PartCounts, committed_counts, read_rows, rows_path
from earwitness.store.settings import DecodeSettings
from earwitness.store.versions import decoder_versions
from earwitness.table_files import first_line

LOCAL, RUNNING = "local", "auto"
"""Addresses: a cluster of this machine alone, begun and ended with the work; the one that this machine belongs to."""

_TRIES = 10
"""Of a part, before a cluster that keeps losing it is given up."""
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_WAIT_SECONDS = 5.0
"""Until the number of processors is asked for again."""
_CANCEL_SECONDS = 10.0
_VISIBLE_SECONDS = 90.0
"""Until a part that another node wrote shows up here: a network file system may remember for a minute that it was
not there."""
_OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster of this machine alone; next to nothing goes through it."""


def cluster_engine(address: str) -> Engine:
    """An `Engine` that makes parts on a Ray cluster.

    Args:
        address: `HOST:PORT` of a cluster's head, `auto` for the cluster that this machine belongs to, or `local`.

    Raises:
        SettingsError: it is none of these.
    """
    host, _, port = address.rpartition(":")
    if address not in (LOCAL, RUNNING) and not (host and port.isdecimal() and "://" not in host):
        raise SettingsError(f"ray_address={address!r} must be {LOCAL}, {RUNNING}, or HOST:PORT of a cluster's head")

    def make(jobs: Iterable[PartJob], spool_folder: Path, settings: DecodeSettings) -> Generator[PartCounts]:
        with _connected(address, settings.workers) as ray:
            yield from _make_on(ray, jobs, spool_folder, settings)

    return make


def _make_on(ray: Any, jobs: Iterable[PartJob], spool_folder: Path, settings: DecodeSettings) -> Generator[PartCounts]:
    task = ray.remote(num_cpus=1, max_retries=_TRIES - 1, scheduling_strategy="SPREAD")(_make_part)
    jobs = map(_fit_to_travel, jobs)
    versions = decoder_versions()
    in_work: dict[Any, PartJob] = {}
    try:
        while True:
            # twice as many as there is room for: no node waits, and a cluster that grows by itself sees why it should
            wanted = settings.workers or 2 * int(ray.cluster_resources().get("CPU", 1))
            for job in itertools.islice(jobs, max(0, wanted - len(in_work))):
                in_work[task.remote(job, spool_folder.absolute(), settings, versions)] = job
            if not in_work:
                return
            done, _ = ray.wait(list(in_work), timeout=_WAIT_SECONDS)
            for ref in done:
                yield _counts(ray, ref, in_work.pop(ref))
    finally:
        for ref in in_work:
            ray.cancel(ref, force=True)
        if in_work:
            ray.wait(list(in_work), num_returns=len(in_work), timeout=_CANCEL_SECONDS)


def _fit_to_travel(job: PartJob) -> PartJob:
    """A slice of a table would take the whole table along; and nodes have working directories of their own."""
    rows = job.rows.take(list(range(job.rows.num_rows)))
    return replace(job, rows=rows, data_folder=job.data_folder.absolute())


def _counts(ray: Any, ref: Any, job: PartJob) -> PartCounts:
    try:
        result = ray.get(ref)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        raise ClusterError(
            f"the cluster could not make part {job.part} ({type(cause).__name__}: {first_line(cause)}); the parts "
            "finished so far are kept, and the same command goes on"
        ) from error
    if isinstance(result, EarwitnessError):
        raise result
    assert isinstance(result, PartCounts)
    _require_visible(rows_path(job.data_folder, job.part))
    return result


def _require_visible(path: Place) -> None:
    """Make sure that the node wrote to the folder that is seen here."""
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{path}: a node of the cluster has written this file, but it is not here; all nodes must see the "
                "store's folder under the same path, or the store must lie behind a URL"
            )
        time.sleep(0.5)


# Connecting.


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Ray, connected, and quiet."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray would warn about otherwise
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--engine ray needs Ray: pip install 'earwitness[ray]'") from error
    options: dict[str, Any] = {}
    if address == LOCAL:
        options = {
            "num_cpus": workers or usable_cpus(),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    else:
        _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (Exception, SystemExit) as error:  # Ray exits where it cannot connect
        raise ClusterError(f"Ray at {address}: no connection ({first_line(error)})") from error
    try:
        with redirect_stdout(sys.stderr):  # where Ray says that it lost a process or a node
            yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Try to connect in another process: Ray waits for minutes where nobody answers, and then ends the process."""
    how = (
        "a cluster is begun by `ray start --head` on its first machine, which prints the address; --ray-address local "
        "needs none"
    )
    if address != RUNNING:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ClusterError(f"Ray at {address}: nobody answers there ({first_line(error)}); {how}") from error
    program = "import sys, logging, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", program, address],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"Ray at {address}: no answer within {_ANSWER_SECONDS:g} seconds; {how}") from error
    if tried.returncode:
        reason = (tried.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ClusterError(f"Ray at {address}: no connection ({reason}); {how}")


# What runs on the nodes.


def _make_part(
    job: PartJob, spool_folder: Path, settings: DecodeSettings, versions: Mapping[str, str]
) -> PartCounts | EarwitnessError:
    """Make and commit one part, but for what is done already. Errors for people are given back,
    since Ray wraps those that are raised.
    """
    node = socket.gethostname()
    try:
        if (here := decoder_versions()) != versions:
            wrong = [name for name in versions if here.get(name) != versions[name]]
            theirs = ", ".join(f"{name} {here.get(name)} and not {versions[name]}" for name in wrong)
            raise ClusterError(f"node {node} has {theirs}; install the same versions on all nodes")
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
            with _bare_main():
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


@contextmanager
def _bare_main() -> Iterator[None]:
    """While this holds, processes that are spawned do not import the main program of Ray's workers, and all of Ray."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
