"""Opening media that nobody vouches for.

FFmpeg never opens anything itself here. Paths, URLs and bytes all reach it as one binary file object, and three fences
stand round that: a list of container formats (playlists, concat scripts and other files that name files are not on
it), an empty protocol list, and an `io_open` that refuses every further file a demuxer asks for. A file called
`http:evil` is a file; URLs are opened by fsspec.

A name in front of every message: the path, the URL, a file object's `name`, or `<bytes>`.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import av
import av.logging
from av.container import InputContainer

from earwitness.audio.complaints import Message, listening
from earwitness.audio.transient import is_transient
from earwitness.errors import MediaError, TransientError, UndecodableError
from earwitness.places import UrlPath, is_url, place

Source = str | os.PathLike[str] | bytes | BinaryIO

CONTAINER_FORMATS = (
    # video and audio containers
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,asf,asf_o,mpegts,mpeg,mpegvideo,mxf,gxf,nut,ivf,ogg,rm,"
    "dv,wtv,nsv,nuv,swf,vivo,film_cpk,4xm,amv,"
    # audio containers
    "wav,w64,aiff,caf,au,voc,ircam,nistsphere,sox,avr,paf,pvf,mmf,8svx,iff,rso,svx,wsd,xa,xwma,"
    # one codec each
    "mp3,aac,ac3,eac3,ac4,dts,dtshd,truehd,mlp,loas,latm,flac,ape,wv,tta,tak,shn,osq,bonk,mpc,mpc8,dsf,iff,oma,"
    "amr,amrnb,amrwb,gsm,g722,g729,ilbc,qcp,adx,aea,act,hca,sbc,lc3,aptx,spdif,vqf,aa,aax,epaf,iss,qoa,codec2"
)
"""FFmpeg's names of the containers that are read. A positive list, because `protocol_whitelist` alone did not keep a
playlist named `.mp4` from opening other files."""

BUFFER_BYTES = 65_536
"""What FFmpeg asks of the file object at a time."""

_TEXT_BYTES = frozenset({*range(32, 127), *b"\t\n\r\f\x1b"})


class OpenMedia:
    """An opened container with the file behind it; closing closes both (a caller's own file object stays open)."""

    def __init__(self, source: Source) -> None:
        self.name = source_name(source)
        self._file, self._owns_file = _open_file(source, self.name)
        try:
            if self.is_seekable:
                self._file.seek(0)  # a caller may have read from it
            is_remote = isinstance(source, str) and is_url(source)
            self._reader = _ForgivingReader(self._file, self.name, is_remote=is_remote)
            self.container, messages = _open_container(self._file, self._reader)
        except BaseException:
            self._close_file()
            raise
        self.is_length_estimated = any(text.startswith("Estimating duration") for _, _, text in messages)
        """The container does not say how long it is: what FFmpeg says is a guess."""
        self.is_damaged = any(
            (level <= av.logging.ERROR and origin == self.container.format.name) or "attached picture" in text
            for level, origin, text in messages
        )
        """The container, not a codec, was found faulty on opening, but could be opened."""

    @property
    def is_seekable(self) -> bool:
        """The file can be read from any place."""
        return _is_seekable(self._file)

    def reopen(self) -> None:
        """Begin anew; only where `is_seekable`."""
        self.container.close()
        try:
            self._file.seek(0)
        except OSError as error:
            raise UndecodableError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        self.container, _ = _open_container(self._file, self._reader)

    def require_reads(self) -> None:
        """Make sure that disk and network gave all that was asked for; FFmpeg takes an error for the end of the file.

        Raises:
            TransientError: they did not, for a reason that may pass.
            UndecodableError: they did not, for a reason that will stay.
        """
        if self._reader.failure is not None:
            kind = TransientError if is_transient(self._reader.failure) else UndecodableError
            raise kind(f"{self.name}: reading broke off ({_words(self._reader.failure)})")

    def close(self) -> None:
        """Close the container, and the file if it was opened here. Closing twice does nothing."""
        self.container.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._owns_file:
            self._file.close()


class _ForgivingReader:
    """What FFmpeg reads through. A seek to nowhere, which broken files make it try, is answered with an error number
    as FFmpeg expects: an exception would be kept by PyAV and end the decoding later. Errors of disk and network are
    remembered; what a URL's server says is never the media's own fault.
    """

    def __init__(self, file: BinaryIO, name: str, *, is_remote: bool) -> None:
        self.name = name
        self._is_remote = is_remote
        self.failure: Exception | None = None
        self._file_read = file.read
        if _is_seekable(file):
            self._file_seek = file.seek
            self.seek, self.tell = self._seek, file.tell

    def read(self, size: int) -> bytes:
        try:
            return self._file_read(size)
        except Exception as error:  # the file object may be anybody's, and raise anything
            if self._is_remote or is_transient(error):
                self.failure = error
            raise

    def _seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file_seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL


def source_name(source: Source) -> str:
    """What messages call a source."""
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<file object>"


def _open_file(source: Source, name: str) -> tuple[BinaryIO, bool]:
    """The source as a binary file object, and whether it is ours to close."""
    if isinstance(source, bytes):
        return io.BytesIO(source), True
    if isinstance(source, str) and is_url(source):
        where = place(source)
        return (_open_path(where, name) if isinstance(where, Path) else _open_url(where)), True
    if source == "":
        raise UndecodableError("the media path is empty")
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), name), True
    if not hasattr(source, "read"):
        raise TypeError(f"source must be a path, a URL, bytes or a binary file object, not {type(source).__name__}")
    return source, False


def _open_path(path: Path, name: str) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UndecodableError(f"{name}: is a directory, not a media file")
        if not stat.S_ISREG(status.st_mode):
            raise UndecodableError(f"{name}: is not a regular file")
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise UndecodableError(f"{name}: no such file") from None
    except OSError as error:
        raise _opening_error(name, error) from error


def _open_url(url: UrlPath) -> BinaryIO:
    try:  # a missing package is the same for every such URL: better said at once than once a clip
        return url.open_blocks()
    except FileNotFoundError:
        raise UndecodableError(f"{url}: no such file") from None
    except OSError as error:
        raise _opening_error(str(url), error) from error


def _opening_error(name: str, error: Exception) -> MediaError:
    kind = TransientError if is_transient(error) else UndecodableError
    return kind(f"{name}: cannot be opened ({_words(error)})")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"


def _open_container(file: BinaryIO, reader: _ForgivingReader) -> tuple[InputContainer, list[Message]]:
    """The container, and what FFmpeg said while it looked into it."""
    with listening(av.logging.WARNING) as messages:
        try:
            container = av.open(
                reader,
                mode="r",
                container_options={"format_whitelist": CONTAINER_FORMATS, "protocol_whitelist": ""},
                metadata_errors="replace",
                buffer_size=BUFFER_BYTES,
                io_open=_refuse,
            )
        except MemoryError:
            raise
        except Exception as error:  # the file object may be anybody's, and raise anything
            if reader.failure is not None:
                raise _opening_error(reader.name, reader.failure) from error
            raise UndecodableError(f"{reader.name}: {_why_not_opened(file, messages, error)}") from error
        return container, messages


def _is_seekable(file: BinaryIO) -> bool:
    return hasattr(file, "seek") and hasattr(file, "tell") and (not hasattr(file, "seekable") or file.seekable())


def _refuse(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    raise PermissionError(f"media may not open further files ({url!r})")


def _why_not_opened(file: BinaryIO, messages: list[Message], error: Exception) -> str:
    complaints = [text.strip() for level, _, text in messages if level <= av.logging.ERROR]
    if any("not on whitelist" in text for text in complaints):
        return "its format is not one that is read (playlists and other files that point at files are refused)"
    try:
        file.seek(0)
        head = file.read(512)
    except (OSError, ValueError):
        head = b""
    else:
        if not head:
            return "is empty"
    if head and _TEXT_BYTES.issuperset(head):
        return "is a text file, not media"
    reason = complaints[-1] if complaints else getattr(error, "strerror", None) or str(error)
    return f"cannot be read as media ({reason})"
