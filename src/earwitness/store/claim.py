"""Whose is the folder? What a build makes sure of before it writes there."""

import contextlib
from pathlib import Path

from earwitness.errors import StoreError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked
from earwitness.store.header import FILE_NAME, StoreHeader, read_header


def existing_header(folder: Path) -> StoreHeader | None:
    """The header of the store that is there; None where the folder is free for a new one.

    Raises:
        StoreError: the folder is a file, or holds something else.
        OSError: it cannot be looked into.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: this is a file; a store is a folder, choose a new or empty one")
    if not (folder / FILE_NAME).exists():
        ours = {LOCK_FILE, FILE_NAME + PARTIAL_SUFFIX}
        if folder.is_dir() and any(entry.name not in ours for entry in folder.iterdir()):
            raise StoreError(f"{folder}: the folder is not empty and holds no store; choose a new or empty one")
        return None
    return read_header(folder)


def claimed(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the folder for this build; the system lets go of it however the process ends.

    Raises:
        StoreError: another process holds it.
    """
    return locked(
        folder, busy=StoreError(f"{folder}: another process is building this store, or changes it; wait for it to end")
    )
