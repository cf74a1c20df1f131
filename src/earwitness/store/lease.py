"""Holding a store that lies behind a URL, where no system lets go of a lock when its holder dies.

The holder writes a small file that says who it is and when it last said so, and says so again every 20 seconds. Others
are refused while that is fresh. Who finds it older than two minutes, or written on this machine by a process that has
ended, takes it over.

The file is created on the condition that there is none, where the file system can make sure of that: S3 and Google's
and Azure's storage can; servers that only resemble them may not, and then two that begin in the same instant may both
go on. So may two whose clocks differ by minutes. Two builds of the same manifest write the same content; two changes at
a time may undo one another.
"""

import _thread
import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from math import inf
from typing import Any

from earwitness.errors import StoreError
from earwitness.files import LOCK_FILE
from earwitness.places import UrlPath

_RENEW_SECONDS = 20.0
_STALE_SECONDS = 120.0
_NOBODY: dict[str, Any] = {"host": "", "pid": 0, "token": "", "renewed": -inf}
"""Said by a file that says nothing: the lock of a store on a disk, which is empty, was copied along with the store."""
_SETTLE_SECONDS = 1.0
"""Whoever else took the same stale lease over at the same time has done so by then."""


@contextlib.contextmanager
def leased(folder: UrlPath) -> Iterator[None]:
    """Hold a folder.

    Raises:
        StoreError: another process holds it, or took it over because this one seemed dead.
        OSError: it cannot be written.
    """
    lease = _Lease(folder / LOCK_FILE)
    lease.take()
    _remove_unfinished_uploads(folder)
    keeper = threading.Thread(target=lease.keep, daemon=True)
    keeper.start()
    lost = StoreError(f"{folder}: another process has taken this store over; this one was silent too long")
    try:
        yield
        if lease.is_lost:  # an interrupt may come where nobody hears it, such as in a destructor
            raise lost
    except KeyboardInterrupt:
        if lease.is_lost:
            raise lost from None
        raise
    finally:
        lease.ended.set()
        keeper.join()
        if not lease.is_lost:
            _remove_unfinished_uploads(folder)
        lease.release()


def _remove_unfinished_uploads(folder: UrlPath) -> None:
    """They cost a little money and nothing else: who may not list or remove them can build all the same."""
    with contextlib.suppress(OSError):
        folder.remove_unfinished_uploads()


class _Lease:
    """The file, and whether it is ours."""

    def __init__(self, path: UrlPath) -> None:
        self._path = path
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "token": secrets.token_hex(8)}
        self.ended = threading.Event()
        self.is_lost = False

    def take(self) -> None:
        """Take it, or raise."""
        for _ in range(2):
            try:
                self._path.create(self._content())
                return
            except FileExistsError:
                holder = self._holder()
            if holder is not None and not _is_dead(holder):
                since = time.strftime("%H:%M:%S", time.localtime(holder["renewed"]))
                raise StoreError(
                    f"{self._path.parent}: another process is building this store, or changes it: {holder['pid']} on "
                    f"{holder['host']}, last heard of at {since}; wait for it to end. If it has died, this command "
                    f"works {_STALE_SECONDS:.0f} seconds after that"
                )
            if holder is not None and self._holder() == holder:
                self._path.unlink(missing_ok=True)
                time.sleep(_SETTLE_SECONDS)
        raise StoreError(f"{self._path.parent}: another process has just begun to build or change this store")

    def keep(self) -> None:
        """Say that we are alive until the work has ended; end the work where we no longer hold the store."""
        while not self.ended.wait(_RENEW_SECONDS):
            try:
                holder = self._holder()
                if holder is None or holder["token"] != self._me["token"]:
                    self.is_lost = True
                    _thread.interrupt_main()
                    return
                self._path.write_bytes(self._content())
            except OSError:  # another time, perhaps; the writing of parts will tell if not
                continue

    def release(self) -> None:
        """Let go, if it is still ours."""
        with contextlib.suppress(OSError):  # others will find it stale
            holder = self._holder()
            if holder is not None and holder["token"] == self._me["token"]:
                self._path.unlink(missing_ok=True)

    def _content(self) -> bytes:
        return json.dumps({**self._me, "renewed": time.time()}).encode()

    def _holder(self) -> dict[str, Any] | None:
        """Who holds it; None where nobody does."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            holder: dict[str, Any] = json.loads(content)
            float(holder["renewed"]), int(holder["pid"]), str(holder["host"]), str(holder["token"])
        except (ValueError, TypeError, KeyError):
            return dict(_NOBODY)
        return holder


def _is_dead(holder: dict[str, Any]) -> bool:
    if time.time() - holder["renewed"] > _STALE_SECONDS:
        return True
    return holder["host"] == socket.gethostname() and not is_running(holder["pid"])


def is_running(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
