"""Whose is the folder? What a build makes sure of before it writes there."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from earwitness.errors import StoreError
from earwitness.store.files import PARTIAL_SUFFIX
from earwitness.store.header import FILE_NAME, StoreHeader, read_header

_LOCK_FILE = ".lock"


def existing_header(folder: Path, header: StoreHeader) -> StoreHeader | None:
    """The header of the store that is there; None where the folder is free for a new one.

    Raises:
        StoreError: the folder holds something else, or a store that is not the one described by `header`.
    """
    if not (folder / FILE_NAME).exists():
        ours = {_LOCK_FILE, FILE_NAME + PARTIAL_SUFFIX}
        if folder.is_dir() and any(entry.name not in ours for entry in folder.iterdir()):
            raise StoreError(f"{folder}: the folder is not empty and holds no store; choose a new or empty one")
        return None
    found = read_header(folder)
    if differences := found.differences(header):
        raise StoreError(
            f"{folder}: holds another store. There / asked for: {differences}. "
            "Choose another folder, or remove this one"
        )
    return found


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it however the process ends.

    Raises:
        StoreError: another process holds it.
    """
    with (folder / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{folder}: another process is building this store; wait for it to end") from None
        yield
