"""What FFmpeg complains of while it reads: its log, heard by the thread that caused it.

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


Message = tuple[int, str, str]
"""Level, FFmpeg's name of the codec or container that speaks, text."""


@contextmanager
def listening(level: int = av.logging.ERROR) -> Iterator[list[Message]]:
    """The messages of this thread, in a list that grows while the block runs.

    Args:
        level: least severe messages to hear, `av.logging.ERROR` or `av.logging.WARNING`. Others who listen at the same
            time may make more be heard: look at the level.
    """
    _begin(level)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        _end()


def _begin(level: int) -> None:
    global _num_listeners, _level_before, _skip_before
    with _lock:
        if _num_listeners == 0:
            _level_before, _skip_before = av.logging.get_level(), av.logging.get_skip_repeated()
            # a repeat is judged across threads and files: the second of two equally broken files would seem whole
            av.logging.set_skip_repeated(False)
        level_now = av.logging.get_level()
        if level_now is None or level_now < level:
            av.logging.set_level(level)
        _num_listeners += 1


def _end() -> None:
    global _num_listeners
    with _lock:
        _num_listeners -= 1
        if _num_listeners == 0:
            av.logging.set_skip_repeated(_skip_before)
            av.logging.set_level(_level_before)
