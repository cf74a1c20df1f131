"""What FFmpeg complains of while it reads: its log at error level, heard by the thread that caused it.

PyAV passes FFmpeg's log on only while a process-wide level is set, and keeps it apart by thread. `listening` sets that
level for as long as anybody listens and puts it back after: other users of PyAV in the process find it as they left it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

_lock = threading.Lock()
_num_listeners = 0
_level_before: int | None = None
_skip_before = True


@contextmanager
def listening() -> Iterator[list[tuple[int, str, str]]]:
    """A list that grows while the block runs: (level, codec or container, text), one for each error of this thread."""
    _begin()
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        _end()


def _begin() -> None:
    global _num_listeners, _level_before, _skip_before
    with _lock:
        if _num_listeners == 0:
            _level_before, _skip_before = av.logging.get_level(), av.logging.get_skip_repeated()
            # a repeat is judged across threads and files: the second of two equally broken files would seem whole
            av.logging.set_skip_repeated(False)
            if _level_before is None or _level_before < av.logging.ERROR:
                av.logging.set_level(av.logging.ERROR)
        _num_listeners += 1


def _end() -> None:
    global _num_listeners
    with _lock:
        _num_listeners -= 1
        if _num_listeners == 0:
            av.logging.set_skip_repeated(_skip_before)
            if _level_before is None or _level_before < av.logging.ERROR:
                av.logging.set_level(_level_before)
