"""Work spread over the processes of this machine, for tasks that may hang, crash or devour memory.

`run_tasks` gives each task to one of a fixed number of worker processes and yields outcomes as they come. A
task that fails costs nobody else's result: its worker is replaced, and the outcome says how it failed.

`CallPool` keeps such processes at hand for single calls: what a service needs. `limited_process` is what runs in them,
and how their time is limited.

Workers are spawned afresh, not forked, so they hold nothing of the parent's memory or threads; they ignore
Ctrl-C, which the parent handles, and die with the parent (on Linux, at once and however it ends). Consume the
iterator in the thread that began it: the system takes that thread for the parent.
"""

import contextlib
import itertools
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import RLock
from typing import Any, Generic, Self

from pebble import ProcessExpired, ProcessPool

from earwitness.errors import EarwitnessError, SettingsError
from earwitness.limited_process import Failure as Failure  # what an outcome may hold
from earwitness.limited_process import Task, TimeLimits, Value, call, start_worker

DEFAULT_MEMORY_LIMIT_BYTES = 4 * 2**30
"""Memory that a task may take beyond what its worker holds at the start."""

TASKS_IN_FLIGHT_PER_WORKER = 32
"""Enough to keep workers busy while the parent waits for a disk."""

_MAX_BREAKS_IN_A_ROW = 3


def usable_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


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
    limits = TimeLimits(timeout_seconds, cpu_limit_seconds)
    return _outcomes(
        function,
        iter(tasks),
        workers,
        workers * in_flight_per_worker,
        limits,
        (os.getpid(), function, limits, memory_limit_bytes, initializer),
    )


def _outcomes(
    function: Callable[[Task], Value],
    tasks: Iterator[Task],
    workers: int,
    in_flight: int,
    limits: TimeLimits,
    worker_arguments: tuple[Any, ...],
) -> Generator[Outcome[Task, Value], None, None]:
    numbered = enumerate(tasks)
    waiting: dict[int, Task] = {}
    breaks_in_a_row = 0
    while True:
        try:
            with _Pool(workers, worker_arguments) as pool:
                for number, task in waiting.items():
                    pool.schedule_numbered(number, function, task)
                while True:
                    for number, task in itertools.islice(numbered, in_flight - len(waiting)):
                        waiting[number] = task
                        pool.schedule_numbered(number, function, task)
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


class CallPool(Generic[Task, Value]):
    """Worker processes at hand for single calls of one function, with the limits of `run_tasks`.

    Use it in one thread, as a context manager: the system takes that thread for the parent of the workers.
    """

    def __init__(
        self,
        function: Callable[[Task], Value],
        *,
        workers: int,
        timeout_seconds: float,
        cpu_limit_seconds: float | None = None,
        memory_limit_bytes: int | None = DEFAULT_MEMORY_LIMIT_BYTES,
        calls_per_worker: int = 0,
    ) -> None:
        """See `run_tasks`. After `calls_per_worker` calls another process takes a worker's place; 0: never. No process
        is started before the first call.
        """
        self._calls_per_worker = calls_per_worker
        self._function = function
        self._workers = workers
        self._limits = TimeLimits(timeout_seconds, cpu_limit_seconds)
        self._worker_arguments = (os.getpid(), function, self._limits, memory_limit_bytes, None)
        self._pool = self._new_pool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.__exit__()

    def start(self, task: Task) -> Future[Any]:
        """Begin a call; give the future to `outcome` when it is done. Whoever begins more calls than there are workers
        has them wait here.
        """
        try:
            return self._pool.schedule(self._function, task)
        except BrokenProcessPool:  # a worker ended between two calls, by the system's hand
            self._pool.__exit__()
            self._pool = self._new_pool()
            return self._pool.schedule(self._function, task)

    def outcome(self, task: Task, future: Future[Any]) -> Outcome[Task, Value]:
        """What became of a call that is done.

        Raises:
            EarwitnessError: the function raised one that has no `kind`.
        """
        try:
            value, failure = _result(future, self._limits)
        except BrokenProcessPool:
            value, failure = None, Failure("crash", "the process that was to work on it ended")
        return Outcome(task, value, failure)

    def _new_pool(self) -> "_Pool":
        return _Pool(self._workers, self._worker_arguments, tasks_per_worker=self._calls_per_worker)


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

    def __init__(self, workers: int, worker_arguments: tuple[Any, ...], *, tasks_per_worker: int = 0) -> None:
        self._done: queue.SimpleQueue[tuple[int, Future[Any]]] = queue.SimpleQueue()
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=tasks_per_worker,
            initializer=start_worker,
            initargs=worker_arguments,
            context=_LastingLocks(),
        )

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def schedule(self, function: Callable[..., Any], task: Any) -> Future[Any]:
        try:
            with _interrupts_blocked():
                future: Future[Any] = self._pool.schedule(call, args=(function, task))
        except RuntimeError as error:
            raise BrokenProcessPool(str(error)) from error
        return future

    def schedule_numbered(self, number: int, function: Callable[..., Any], task: Any) -> None:
        """Its outcome comes by `next_done`."""
        self.schedule(function, task).add_done_callback(lambda future: self._done.put((number, future)))

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


def _result(future: Future[Any], limits: TimeLimits) -> tuple[Any, Failure | None]:
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
