"""What runs in the worker processes of `parallel`: one call at a time, under limits of time and memory.

Time is limited in the worker by timers whose signals end it, whatever the code at work holds or blocks: one counts
its processor time, the other the time on the wall, without that in which it waited for a processor (Linux), so that
a loaded machine makes no task fail.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from earwitness.errors import EarwitnessError, SettingsError

Task = TypeVar("Task")
Value = TypeVar("Value")

_MOVE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


@dataclass(frozen=True)
class Failure:
    """Why a task gave no value."""

    kind: str
    """One of `errors.FAILURE_KINDS`."""
    message: str
    """A sentence for people."""


@dataclass(frozen=True)
class TimeLimits:
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


def call(function: Callable[[Task], Value], task: Task) -> tuple[Value | None, Failure | None, EarwitnessError | None]:
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

    def __init__(self, limits: TimeLimits) -> None:
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


def start_worker(
    parent_pid: int,
    function: Callable[..., Any],  # pickled by name: unpickling it has already imported what it needs
    time_limits: TimeLimits,
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
