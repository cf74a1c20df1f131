"""Files of a store: arrays written piece by piece, and what to say where nothing can be written."""

import contextlib
import errno
import getpass
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.files import replacing
from earwitness.places import Place


@contextlib.contextmanager
def replacing_npy(
    path: Place, *, dtype: npt.DTypeLike, row_shape: tuple[int, ...] = (), writer: str = ""
) -> Iterator[Callable[[npt.NDArray[Any] | bytes], None]]:
    """Write an `.npy` array [rows, *row_shape] piece by piece, by plain writes, its length not known before.

    Gives a function that appends rows: an array, or the raw bytes of one. For `writer` see `replacing`.
    """
    dtype = np.dtype(dtype)
    row_bytes = dtype.itemsize * int(np.prod(row_shape, dtype=np.int64))
    with replacing(path, writer=writer) as file:
        header_bytes = _write_npy_header(file, dtype, (0, *row_shape))

        def append(rows: npt.NDArray[Any] | bytes) -> None:
            file.write(rows if isinstance(rows, bytes) else np.ascontiguousarray(rows, dtype=dtype).data)

        yield append
        num_rows = (file.tell() - header_bytes) // row_bytes
        file.seek(0)
        _write_npy_header(file, dtype, (num_rows, *row_shape))
        file.seek(0, os.SEEK_END)


def npy_header_bytes(dtype: npt.DTypeLike, row_shape: tuple[int, ...]) -> int:
    """Where the data begins in a file of `replacing_npy`."""
    return _write_npy_header(io.BytesIO(), np.dtype(dtype), (0, *row_shape))


def _write_npy_header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    # NumPy pads its header so that the first axis may grow without moving the data.
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.tell()


def spool_folder_of(folder: Place) -> Path:
    """Where frames are put while a store is built: within it, or, where it lies behind a URL, in the folder that TMPDIR
    names.
    """
    if isinstance(folder, Path):
        return folder / "tmp"
    name = f"earwitness-{getpass.getuser()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / name


def new_digest() -> "hashlib.blake2b":
    """A digest to notice damage by: 16 hex digits."""
    return hashlib.blake2b(digest_size=8)


def write_error(where: Place, error: OSError) -> StoreError:
    """The error to raise when something below a store cannot be written: `where`, unless the error names a file."""
    path = error.filename if isinstance(error.filename, str) else where
    remedy = "; make room and" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "; once it can be,"
    return StoreError(
        f"{path}: cannot be written ({error.strerror or error}){remedy} run the same command again: "
        "the parts finished so far are kept"
    )
