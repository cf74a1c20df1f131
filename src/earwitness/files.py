"""Writing files so that a name, once there, holds the whole content: even after a power cut.

A file is written under a temporary name beside its place, synced, renamed, and its folder synced: the rename
commits.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from earwitness.errors import EarwitnessError
from earwitness.places import Place, UrlPath, uploading

PARTIAL_SUFFIX = ".partial"
"""Ends the names of files that are not finished."""

LOCK_FILE = ".lock"
"""Held by the process that works in a folder."""


@contextlib.contextmanager
def replacing(path: Place, *, writer: str = "") -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends well, and vanishes otherwise.

    Written whole or not at all, and on the disk before the rename; or put behind its URL. The folder must be there.

    Args:
        path: the file.
        writer: one of several processes that may write this file at a time: part of the temporary name.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    if isinstance(path, UrlPath):
        with uploading(path) as file:
            yield file
        return
    with replacing_path(path, writer=writer) as partial, partial.open("wb") as file:
        yield file


@contextlib.contextmanager
def replacing_path(path: Path, *, writer: str = "") -> Iterator[Path]:
    """As `replacing`, for writers that open their file themselves: the path to write to.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    name = f"{path.name}.{writer}" if writer else path.name
    partial = path.with_name(name + PARTIAL_SUFFIX)
    try:
        yield partial
        _sync(partial, os.O_RDWR)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error says why
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def locked(folder: Path, *, busy: EarwitnessError | None, name: str = LOCK_FILE) -> Iterator[None]:
    """Hold a folder for this process; the system lets go of it however the process ends.

    Args:
        folder: must be there.
        busy: raised where another process holds it. None: wait until it lets go.
        name: of the file that is locked; a folder may have several, each for a part of the work.

    Raises:
        EarwitnessError: `busy`.
        OSError: the folder cannot be written.
    """
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy is not None else 0))
        except BlockingIOError:
            if busy is None:
                raise
            raise busy from None
        yield


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_description(path: Path, *, of: str, error_type: type[EarwitnessError]) -> dict[str, Any]:
    """What a JSON file says of the folder that it lies in, but for its `format`, which must be `of`.

    Raises:
        error_type: the file is missing, damaged, or describes something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as error:
        raise error_type(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise error_type(f"{path}: damaged, not JSON ({error})") from error
    if not isinstance(values, dict) or values.pop("format", None) != of:
        raise error_type(f"{path}: this describes no {of}")
    return values
