"""Where things lie: on a disk, or behind a URL that fsspec knows (s3://, gs://, http://, memory:// ...).

A `Place` is a `Path` or a `UrlPath`. What a store needs of either has the same name in both; the functions below know
the difference where there is one. Everything that is said to fsspec is said here.

What is behind a URL appears whole or not at all: an object is put by one request, or by several that count only once
the last has been answered. Its errors are `OSError`s, as those of disks are; the one behind them is their cause. Keys
and endpoints come from where the file system's own programs take them: environment variables, files in the home
folder, `~/.config/fsspec`.
"""

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from earwitness.errors import MissingExtraError

BLOCK_BYTES = 4 * 2**20
"""Read at a time from a file behind a URL: at some 25 ms an answer and 100 MB/s, most of the time is spent on bytes;
and 10 seconds from the middle of a film cost a few blocks."""
MAX_BLOCKS = 8
"""Kept of a file: the table at a film's end, and some places between which its tracks lie."""

RANGE_BYTES = 8 * 2**20
"""A longer range is read in several requests."""
RANGES_AT_ONCE = 64

_EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3"}


class UrlPath:
    """A file or folder behind a URL, with the words of `Path` that stores use."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"UrlPath({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UrlPath) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __truediv__(self, name: str) -> "UrlPath":
        return self if name == "." else UrlPath(f"{self._url}/{name}")

    @property
    def name(self) -> str:
        """The last word."""
        return self._url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """`.csv` of `table.csv`."""
        return os.path.splitext(self.name)[1]  # noqa: PTH122 (a Path would take the URL apart)

    @property
    def parent(self) -> "UrlPath":
        """The folder."""
        return UrlPath(self._url.rpartition("/")[0])

    def resolve(self) -> "UrlPath":
        """Itself: URLs are whole."""
        return self

    absolute = resolve

    def mkdir(self, **_: bool) -> None:
        """Nothing: folders are there once something is in them."""

    def exists(self) -> bool:
        """Whether there is such a file."""
        try:
            with self._file_system() as (system, path):
                return bool(system.info(path)["type"] == "file")  # `isfile` takes every error for a no
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        """Whether anything lies in there."""
        with self._file_system() as (system, path):
            return bool(system.isdir(path))

    def read_bytes(self) -> bytes:
        """All of it, by one request."""
        with self._file_system() as (system, path):
            content: bytes = system.cat_file(path)
            return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of it, as text."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])), self._file_system() as (system, path):
            system.rm_file(path)

    def open_blocks(self) -> BinaryIO:
        """The file, read by blocks of which some are kept. Errors while it is read are the file system's own."""
        with self._file_system() as (system, path):
            file: BinaryIO = system.open(
                path,
                "rb",
                block_size=BLOCK_BYTES,
                cache_type="blockcache",
                cache_options={"maxblocks": MAX_BLOCKS},
            )
            return file

    def read_ranges(self, names: Sequence[str], starts: Sequence[int], stops: Sequence[int]) -> list[bytes]:
        """Ranges of files in this folder, many requests at a time."""
        with self._file_system() as (system, path):
            paths = [f"{path}/{name}" if name else path for name in names]
            options = {"batch_size": RANGES_AT_ONCE} if system.async_impl else {}
            found: list[bytes] = system.cat_ranges(paths, list(starts), list(stops), on_error="raise", **options)
            return found

    def put(self, file: BinaryIO) -> None:
        """Make the content of a temporary file this one's."""
        file.flush()
        local = f"/proc/self/fd/{file.fileno()}" if sys.platform == "linux" else file.name
        with self._file_system() as (system, path):
            system.put_file(local, path)

    def create(self, content: bytes) -> None:
        """Write a small file.

        Raises:
            FileExistsError: it is there; where the file system can make sure of it.
        """
        with self._file_system() as (system, path):
            system.pipe_file(path, content, mode="create")

    def write_bytes(self, content: bytes) -> None:
        """Write a small file, or write it anew."""
        with self._file_system() as (system, path):
            system.pipe_file(path, content)

    def listing(self) -> dict[str, int]:
        """Names of the files and folders in a folder, with their sizes; some thousand of them by one request."""
        with self._file_system() as (system, path):
            try:
                entries = system.ls(path, detail=True)
            except FileNotFoundError:
                return {}
            names = [entry["name"].rstrip("/").rpartition("/")[2] for entry in entries]
            return {name: entry["size"] or 0 for name, entry in zip(names, entries, strict=True) if name}

    def size_and_version(self) -> tuple[int, str]:
        """How long the file is, and what changes when it changes."""
        with self._file_system() as (system, path):
            info = system.info(path)
            return info["size"], str(sorted((key, str(value)) for key, value in info.items()))

    def remove_folder(self) -> None:
        """Remove all files in it."""
        with self._file_system() as (system, path):
            if system.isdir(path):
                system.rm(path, recursive=True)

    def remove_unfinished_uploads(self) -> None:
        """Remove what killed processes have begun to put below this folder: nobody sees it, but it is paid for."""
        with self._file_system() as (system, path):
            if not hasattr(system, "call_s3"):
                return
            bucket, key, _ = system.split_path(path)
            where = {"Bucket": bucket, "Prefix": f"{key}/"}
            while uploads := system.call_s3("list_multipart_uploads", **where).get("Uploads"):
                for upload in uploads:
                    system.call_s3(
                        "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    @contextlib.contextmanager
    def _file_system(self) -> Iterator[tuple[Any, str]]:
        """What fsspec reads it with, and its name there."""
        import fsspec

        try:
            yield fsspec.core.url_to_fs(self._url, use_listings_cache=False)
        except ImportError as error:
            kind = self._url.split("://")[0]
            install = f"pip install 'earwitness[{_EXTRAS[kind]}]'" if kind in _EXTRAS else "install what it names"
            raise MissingExtraError(
                f"{self._url}: reading {kind} URLs needs a package that is missing ({error}); {install}"
            ) from error
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            reason = error.__cause__
            # over http, fsspec says so of whatever fails, and keeps what failed as the cause
            if (
                reason is not None
                and self._url.startswith("http")
                and getattr(reason, "status", None) not in (404, 410)
            ):
                words = f"{type(reason).__name__}: {reason}"
                raise OSError(getattr(reason, "errno", None) or errno.EPROTO, words, self._url) from reason
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._url) from error
        except Exception as error:  # every file system of fsspec has errors of its own
            words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            raise OSError(getattr(error, "errno", None) or errno.EPROTO, words, self._url) from error


Place = Path | UrlPath


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return "://" in text


def place(where: str | Place) -> Place:
    """Where a text, or a place, points; `file://` is a path."""
    if not isinstance(where, str):
        return where
    if where.startswith("file://"):
        return Path(unquote(urlsplit(where).path))
    return UrlPath(where) if is_url(where) else Path(where)


def listing(folder: Place) -> dict[str, int]:
    """Names of the files and folders in a folder, with their sizes; empty where there is none."""
    if isinstance(folder, UrlPath):
        return folder.listing()
    try:
        return {entry.name: entry.lstat().st_size for entry in folder.iterdir()}
    except FileNotFoundError:
        return {}


def open_file(path: Place) -> BinaryIO:
    """A file, to be read."""
    return path.open_blocks() if isinstance(path, UrlPath) else path.open("rb")


def read_pieces(path: Place, start: int, stop: int) -> Iterator[bytes]:
    """A range of a file in pieces of bounded size; they end where the file does."""
    if isinstance(path, UrlPath):
        for first in range(start, stop, RANGE_BYTES):
            yield from path.read_ranges([""], [first], [min(first + RANGE_BYTES, stop)])
        return
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(1 << 20, stop - start))):
            start += len(piece)
            yield piece


def remove_folder(folder: Place) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if isinstance(folder, UrlPath):
        folder.remove_folder()
    elif folder.exists():
        shutil.rmtree(folder)


@contextlib.contextmanager
def uploading(path: UrlPath) -> Iterator[BinaryIO]:
    """A binary file that becomes that behind the URL when the block ends well. Nothing is left of it otherwise."""
    # without a name where the system allows it, so that nothing stays of it even after SIGKILL
    with tempfile.TemporaryFile() if sys.platform == "linux" else tempfile.NamedTemporaryFile() as file:
        yield file  # type: ignore[misc]
        path.put(file)  # type: ignore[arg-type]
