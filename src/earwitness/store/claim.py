"""Whose is the folder? What a build makes sure of before it writes there."""

import contextlib
from pathlib import Path

from earwitness.errors import StoreError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked
from earwitness.places import Place, UrlPath, listing
from earwitness.store.header import FILE_NAME, StoreHeader, read_header
from earwitness.store.lease import leased


def existing_header(folder: Place) -> StoreHeader | None:
    """The header of the store that is there; None where the folder is free for a new one.

    Raises:
        StoreError: the folder is a file, or holds something else.
        OSError: it cannot be looked into.
    """
    if isinstance(folder, Path) and folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: this is a file; a store is a folder, choose a new or empty one")
    if not (folder / FILE_NAME).exists():
        ours = {LOCK_FILE, FILE_NAME + PARTIAL_SUFFIX}
        if listing(folder).keys() - ours:
            raise StoreError(f"{folder}: the folder is not empty and holds no store; choose a new or empty one")
        return None
    return read_header(folder)


def claimed(folder: Place) -> contextlib.AbstractContextManager[None]:
    """Hold the folder for this build; on a disk, the system lets go of it however the process ends.

    Raises:
        StoreError: another process holds it.
    """
    if isinstance(folder, UrlPath):
        return leased(folder)
    return locked(
        folder, busy=StoreError(f"{folder}: another process is building this store, or changes it; wait for it to end")
    )
