"""Tasks on a Ray cluster: plain functions, called on whatever node has room, and called again where a node was lost.

Tasks write what they make where all nodes see it; what travels is little, and nothing large enters Ray's object store.
Errors for people are given back by tasks, not raised, since Ray wraps those that are. Usage reporting is off.

No actors: what a lost node held is simply queued again. So a task may be done twice, even at the same time by a node
that was thought dead, and must be harmless then.
"""

import itertools
import logging
import os
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeVar

from earwitness.errors import ClusterError, EarwitnessError, MissingExtraError, SettingsError
from earwitness.parallel import usable_cpus
from earwitness.places import Place
from earwitness.table_files import first_line

LOCAL, RUNNING = "local", "auto"
"""Addresses: a cluster of this machine alone, begun and ended with the work; the one that this machine belongs to."""

Task = TypeVar("Task")

_TRIES = 10
"""Of a task, before a cluster that keeps losing it is given up."""
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_WAIT_SECONDS = 5.0
"""Until the number of processors is asked for again."""
_CANCEL_SECONDS = 10.0
_VISIBLE_SECONDS = 90.0
"""Until a file that another node wrote shows up here: a network file system may remember for a minute that it was
not there."""
_OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster of this machine alone; next to nothing goes through it."""


def require_address(address: str) -> None:
    """Refuse what is no address of a cluster: `HOST:PORT` of its head, `auto` for the one that this machine belongs to,
    or `local`.

    Raises:
        SettingsError: it is none of these.
    """
    host, _, port = address.rpartition(":")
    if address not in (LOCAL, RUNNING) and not (host and port.isdecimal() and "://" not in host):
        raise SettingsError(f"ray_address={address!r} must be {LOCAL}, {RUNNING}, or HOST:PORT of a cluster's head")


def run_on_cluster(
    ray: Any,
    function: Callable[..., Any],
    tasks: Iterable[Task],
    *arguments: Any,
    workers: int | None,
    name_of: Callable[[Task], str],
    num_gpus: float = 0,
) -> Generator[tuple[Task, Any], None, None]:
    """Call `function(task, *arguments)` for each task; yields each task with what came back, as they are done.

    Args:
        ray: from `connected`.
        function: importable on all nodes. Gives an `EarwitnessError` back where people must know of one.
        tasks: taken as there is room for them.
        arguments: the same for all.
        workers: tasks at a time. None: as many as keep all nodes at work.
        name_of: what to call a task in messages.
        num_gpus: that each task needs.

    Raises:
        EarwitnessError: that a task gave back.
        ClusterError: the cluster kept losing a task, or it failed as nobody foresaw.
    """
    call = ray.remote(num_cpus=1, num_gpus=num_gpus, max_retries=_TRIES - 1, scheduling_strategy="SPREAD")(function)
    tasks = iter(tasks)
    in_work: dict[Any, Task] = {}
    try:
        while True:
            # twice as many as there is room for: no node waits, and a cluster that grows by itself sees why it should
            wanted = workers or 2 * int(ray.cluster_resources().get("GPU" if num_gpus else "CPU", 1))
            for task in itertools.islice(tasks, max(0, wanted - len(in_work))):
                in_work[call.remote(task, *arguments)] = task
            if not in_work:
                return
            done, _ = ray.wait(list(in_work), timeout=_WAIT_SECONDS)
            for ref in done:
                task = in_work.pop(ref)
                yield task, _result(ray, ref, name_of(task))
    finally:
        for ref in in_work:
            ray.cancel(ref, force=True)
        if in_work:
            ray.wait(list(in_work), num_returns=len(in_work), timeout=_CANCEL_SECONDS)


def _result(ray: Any, ref: Any, name: str) -> Any:
    try:
        result = ray.get(ref)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        raise ClusterError(
            f"the cluster could not make {name} ({type(cause).__name__}: {first_line(cause)}); what is finished so far "
            "is kept, and the same command goes on"
        ) from error
    if isinstance(result, EarwitnessError):
        raise result
    return result


def require_visible(path: Place, *, remedy: str) -> None:
    """Make sure that a node wrote to the folder that is seen here.

    Raises:
        ClusterError: a file that it wrote does not show up.
    """
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise ClusterError(f"{path}: a node of the cluster has written this file, but it is not here; {remedy}")
        time.sleep(0.5)


def require_versions(here: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Refuse to work on a node that has other versions than the machine that the work is for.

    Raises:
        ClusterError: some differ.
    """
    if here != expected:
        wrong = [name for name in expected if here.get(name) != expected[name]]
        theirs = ", ".join(f"{name} {here.get(name)} and not {expected[name]}" for name in wrong)
        raise ClusterError(f"node {socket.gethostname()} has {theirs}; install the same versions on all nodes")


@contextmanager
def connected(address: str, workers: int | None) -> Iterator[Any]:
    """Ray, connected, and quiet.

    Args:
        address: see `require_address`.
        workers: processors of a cluster of this machine alone. None: all that this process may use.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: nobody answers at the address.
    """
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


@contextmanager
def bare_main() -> Iterator[None]:
    """While this holds, processes that are spawned do not import the main program of Ray's workers, and all of Ray."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
