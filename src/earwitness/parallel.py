"""Work spread over the processes of this machine, for tasks that may hang, crash or devour memory.

`run_tasks` gives each task to one of a fixed number of worker processes and yields outcomes as they come. A
task that fails costs nobody else's result: its worker is replaced, and the outcome says how it failed.

Time is limited in the worker by timers whose signals end it, whatever the code at work holds or blocks: one counts
its processor time, the other the time on the wall, without that in which it waited for a processor (Linux), so that
a loaded machine makes no task fail.

Workers are spawned afresh, not forked, so they hold nothing of the parent's memory or threads; they ignore
Ctrl-C, which the parent handles, and die with the parent (on Linux, at once and however it ends). Consume the
iterator in the thread that began it: the system takes that thread for the parent.
"""

import contextlib
import ctypes
import itertools
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import RLock
from pathlib import Path
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from earwitness.errors import EarwitnessError, SettingsError

Task = TypeVar("Task")
Value = TypeVar("Value")

DEFAULT_MEMORY_LIMIT_BYTES = 4 * 2**30
"""Memory that a task may take beyond what its worker holds at the start."""

TASKS_IN_FLIGHT_PER_WORKER = 32
"""Enough to keep workers busy while the parent waits for a disk."""

_MAX_BREAKS_IN_A_ROW = 3
_MOVE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def usable_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class Failure:
    """Why a task gave no value."""

    kind: str
    """One of `errors.FAILURE_KINDS`."""
    message: str
    """A sentence for people."""


@dataclass(frozen=True)
class Outcome(Generic[Task, Value]):
    """What became of one task: a value, or a failure."""

    task: Task
    value: Value | None
    failure: Failure | None


def run_tasks(
    function: Callable[[Task], Value],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_seconds: float,
    cpu_limit_seconds: float | None = None,
    memory_limit_bytes: int | None = DEFAULT_MEMORY_LIMIT_BYTES,
    initializer: Callable[[], None] | None = None,
    in_flight_per_worker: int = TASKS_IN_FLIGHT_PER_WORKER,
) -> Generator[Outcome[Task, Value], None, None]:
    """Run a function over tasks in worker processes; outcomes come as they complete, in any order.

    `tasks` is consumed as workers become free, never all at once.

    Args:
        function: importable by name, as are the tasks and values it takes and gives (they are pickled).
        tasks: one call of `function` each.
        workers: processes at work at a time.
        timeout_seconds: a task that takes longer is ended, and fails as `time_limit`. On Linux, time in which it
            waited for a processor does not count.
        cpu_limit_seconds: a task that needs more processor time is ended, and fails as `time_limit`. None is no
            limit.
        memory_limit_bytes: address space that a task may take beyond what its worker holds after its imports;
            more fails as `memory_limit`. None is no limit. Held on Linux only.
        initializer: called once in each worker before its first task.
        in_flight_per_worker: tasks that are waiting, in work, or done with nobody having taken their outcomes: what
            these hold, on a disk for example, is bounded by it.

    Yields: An outcome for every task. An error with a `kind` (`MediaError`) becomes a failure of that kind; a
        worker that dies, and an exception nobody foresaw, become `crash`.

    Raises:
        EarwitnessError: the function raised one that has no `kind`: not this task but the whole work cannot
            go on; or worker processes cannot be started.
        SettingsError: `workers` or a limit of time is not positive.
    """
    if workers < 1:
        raise SettingsError(f"workers={workers} must be at least 1")
    limits = _TimeLimits(timeout_seconds, cpu_limit_seconds)
    return _outcomes(
        function,
        iter(tasks),
        workers,
        workers * in_flight_per_worker,
        limits,
        (os.getpid(), function, limits, memory_limit_bytes, initializer),
    )


@dataclass(frozen=True)
class _TimeLimits:
    """What a task may take."""

    timeout_seconds: float
    cpu_limit_seconds: float | None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise SettingsError(f"{name}={value} must be positive")

    def failure(self, ended_by: int) -> Failure | None:
        """What it means that this signal ended a worker; None where it was no timer's."""
        if ended_by == signal.SIGALRM:
            return Failure("time_limit", f"it took longer than the time limit of {self.timeout_seconds:g} seconds")
        if ended_by == signal.SIGPROF:
            return Failure(
                "time_limit", f"it needed more processor time than the limit of {self.cpu_limit_seconds:g} seconds"
            )
        return None


def _outcomes(
    function: Callable[[Task], Value],
    tasks: Iterator[Task],
    workers: int,
    in_flight: int,
    limits: _TimeLimits,
    worker_arguments: tuple[Any, ...],
) -> Generator[Outcome[Task, Value], None, None]:
    numbered = enumerate(tasks)
    waiting: dict[int, Task] = {}
    breaks_in_a_row = 0
    while True:
        try:
            with _Pool(workers, worker_arguments) as pool:
                for number, task in waiting.items():
                    pool.schedule(number, function, task)
                while True:
                    for number, task in itertools.islice(numbered, in_flight - len(waiting)):
                        waiting[number] = task
                        pool.schedule(number, function, task)
                    if not waiting:
                        return
                    number, future = pool.next_done()
                    value, failure = _result(future, limits)
                    breaks_in_a_row = 0
                    yield Outcome(waiting.pop(number), value, failure)
        except BrokenProcessPool as error:
            # A pool breaks when a worker ends between two tasks; the next one takes over what was waiting.
            breaks_in_a_row += 1
            if breaks_in_a_row == _MAX_BREAKS_IN_A_ROW:
                raise EarwitnessError(
                    f"worker processes do not start, or end at once ({error}); a script that uses them needs "
                    "`if __name__ == '__main__':` around its work"
                ) from error


class _LastingLocks(SpawnContext):
    """Holds the locks of a pool until it is over: pebble lets go of them before it stops the workers, and one that
    only now starts could not open them and would say so at length.
    """

    def __init__(self) -> None:
        self._locks: list[RLock] = []

    def RLock(self) -> RLock:  # noqa: N802 - the name that multiprocessing gives it
        lock = super().RLock()
        self._locks.append(lock)
        return lock


class _Pool:
    """A pebble pool that hands finished futures over in the order in which they finish."""

    def __init__(self, workers: int, worker_arguments: tuple[Any, ...]) -> None:
        self._done: queue.SimpleQueue[tuple[int, Future[Any]]] = queue.SimpleQueue()
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start_worker,
            initargs=worker_arguments,
            context=_LastingLocks(),
        )

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def schedule(self, number: int, function: Callable[..., Any], task: Any) -> None:
        try:
            with _interrupts_blocked():
                future = self._pool.schedule(_call, args=(function, task))
        except RuntimeError as error:
            raise BrokenProcessPool(str(error)) from error
        future.add_done_callback(lambda future: self._done.put((number, future)))

    def next_done(self) -> tuple[int, Future[Any]]:
        while True:
            try:
                return self._done.get(timeout=1.0)
            except queue.Empty:
                if not self._pool.active:  # it broke before it took note of what was scheduled
                    raise BrokenProcessPool("all workers ended") from None


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Threads begun in here, and the processes these begin, never see Ctrl-C, not even while they still import. This
    thread sees it when all is done: a process half begun would complain that nobody tells it what to do.
    """
    resource_tracker.ensure_running()  # beginning it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler, heard = signal.getsignal(signal.SIGINT), list[int]()
    # the mask does not do here: another thread may take the signal, and Python passes it on to its main thread
    is_ours = threading.current_thread() is threading.main_thread() and handler is not None
    if is_ours:
        signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _result(future: Future[Any], limits: _TimeLimits) -> tuple[Any, Failure | None]:
    try:
        value, failure, error = future.result()
    except ProcessExpired as expired:
        how = f"the process that worked on it {_how_it_ended(expired.exitcode)}"
        return None, limits.failure(-expired.exitcode) or Failure("crash", how)
    if error is not None:
        raise error
    return value, failure


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended by itself with status {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = "; perhaps the machine ran out of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


# What runs in the workers.


def _call(function: Callable[[Task], Value], task: Task) -> tuple[Value | None, Failure | None, EarwitnessError | None]:
    """Exceptions become plain values here: one that cannot be unpickled would break the whole pool."""
    try:
        with _stopwatch:
            return function(task), None, None
    except EarwitnessError as error:
        kind = getattr(error, "kind", None)
        if kind is None:
            return None, None, error
        return None, Failure(kind, str(error)), None
    except MemoryError:
        return None, Failure("memory_limit", "it needed more memory than its limit"), None
    except Exception as error:
        return None, Failure("crash", f"an error nobody foresaw: {type(error).__name__}: {error}"), None


class _Stopwatch:
    """Ends this process when what runs in its `with` passes a limit of time. The system does, by signals that nobody
    handles: a handler of Python's would wait for the interpreter's lock. Only moving the time on the wall by what was
    spent waiting for a processor is left to a thread.
    """

    def __init__(self, limits: _TimeLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._is_running = False
        self._started = self._waited_before = 0.0
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=self._move, daemon=True).start()

    def __enter__(self) -> None:
        with self._lock:
            self._started, self._waited_before, self._is_running = time.monotonic(), _seconds_waited(), True
            signal.setitimer(signal.ITIMER_REAL, self._limits.timeout_seconds)
            signal.setitimer(signal.ITIMER_PROF, self._limits.cpu_limit_seconds or 0.0)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_running = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _move(self) -> None:
        while True:
            time.sleep(min(_MOVE_SECONDS, self._limits.timeout_seconds / 10))
            with self._lock:
                if self._is_running:
                    counted = time.monotonic() - self._started - (_seconds_waited() - self._waited_before)
                    # a timer of 0 would be none
                    signal.setitimer(signal.ITIMER_REAL, max(self._limits.timeout_seconds - counted, 1e-3))


_stopwatch: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
"""The worker's own, once it has started."""


def _seconds_waited() -> float:
    """How long this process's first thread, which runs the tasks, has waited for a processor; 0 where the system does
    not say.
    """
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _start_worker(
    parent_pid: int,
    function: Callable[..., Any],  # pickled by name: unpickling it has already imported what it needs
    time_limits: _TimeLimits,
    memory_limit_bytes: int | None,
    initializer: Callable[[], None] | None,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # the parent died before the line above
        os._exit(1)
    if initializer is not None:
        initializer()
    global _stopwatch
    _stopwatch = _Stopwatch(time_limits)
    if memory_limit_bytes is not None:
        _limit_memory(memory_limit_bytes)


def _limit_memory(limit_bytes: int) -> None:
    if sys.platform == "linux":
        import resource

        held_pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = held_pages * resource.getpagesize() + limit_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
