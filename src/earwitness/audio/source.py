"""Opening media that nobody vouches for.

FFmpeg never opens anything itself here. Paths, URLs and bytes all reach it as one binary file object, and three fences
stand round that: a list of container formats (playlists, concat scripts and other files that name files are not on
it), an empty protocol list, and an `io_open` that refuses every further file a demuxer asks for. A file called
`http:evil` is a file; URLs are opened by fsspec.

A member of a tar is read where it lies, as a `ByteRange` of the archive: FFmpeg sees a file that begins and ends with
it, and nothing of its neighbours. It has no name of its own, so its format is told by its content alone.

A name in front of every message: the path, the URL, a file object's `name`, or `<bytes>`.
"""

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import av
import av.logging
from av.container import InputContainer

from earwitness.audio.complaints import Message, listening
from earwitness.audio.transient import is_transient
from earwitness.errors import MediaError, MissingError, TransientError, UndecodableError
from earwitness.places import UrlPath, is_url, place


@dataclass(frozen=True)
class ByteRange:
    """A range of the bytes of a file: media that lie uncompressed in an archive."""

    media: str
    """Path or URL of the file."""
    offset_bytes: int
    num_bytes: int


Source = str | os.PathLike[str] | bytes | BinaryIO | ByteRange


def media_source(media: str, offset_bytes: int | None, num_bytes: int | None) -> str | ByteRange:
    """A file, or the range of its bytes that a row of a manifest names; without both numbers it is the whole file."""
    return media if offset_bytes is None or num_bytes is None else ByteRange(media, offset_bytes, num_bytes)


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

_MOST_OGG_PAGE_BYTES = 65_307
_OGG_HEADER_BYTES, _OGG_FLAGS, _OGG_LAST = 27, 5, 0x04
"""RFC 3533: a page's header, then as many lengths as its last byte says; the place of its flags; the last page's."""

_TEXT_BYTES = frozenset({*range(32, 127), *b"\t\n\r\f\x1b"})


class OpenMedia:
    """An opened container with the file behind it; closing closes both (a caller's own file object stays open)."""

    def __init__(self, source: Source) -> None:
        self.name = source_name(source)
        self._file, self._owns_file = _open_file(source, self.name)
        try:
            if self.is_seekable:
                self._file.seek(0)  # a caller may have read from it
            media = source.media if isinstance(source, ByteRange) else source
            is_remote = isinstance(media, str) and is_url(media)
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

    @property
    def lacks_ogg_end(self) -> bool:
        """It is Ogg, and its last page is cut through, or not marked as the last one of a stream."""
        if self.container.format.name != "ogg" or not self.is_seekable:
            return False
        try:
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(max(0, size - _MOST_OGG_PAGE_BYTES))
            tail = self._reader.read(_MOST_OGG_PAGE_BYTES)
        except (OSError, ValueError):
            return False
        page = tail[tail.rfind(b"OggS") :]
        is_last = len(page) > _OGG_FLAGS and bool(page[_OGG_FLAGS] & _OGG_LAST)
        lengths = page[_OGG_HEADER_BYTES:][: page[_OGG_HEADER_BYTES - 1]] if len(page) >= _OGG_HEADER_BYTES else b""
        return not is_last or len(page) < _OGG_HEADER_BYTES + len(lengths) + sum(lengths)

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


class _RangeReader:
    """A range of a file as a read-only file of its own. Closing it closes the file."""

    def __init__(self, file: BinaryIO, offset: int, num_bytes: int) -> None:
        self._file, self._offset, self._num_bytes = file, offset, num_bytes
        self._position = 0
        self.close = file.close

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._num_bytes - self._position)
        self._file.seek(self._offset + self._position)
        read = self._file.read(left if size < 0 else min(size, left))
        self._position += len(read)
        return read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._num_bytes}[whence]
        if position < 0:
            raise ValueError(f"a position of {position} is before the beginning")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position


def source_name(source: Source) -> str:
    """What messages call a source."""
    if isinstance(source, ByteRange):
        return f"{source.media}, bytes {source.offset_bytes} to {source.offset_bytes + source.num_bytes}"
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<file object>"


def _open_file(source: Source, name: str) -> tuple[BinaryIO, bool]:
    """The source as a binary file object, and whether it is ours to close."""
    if isinstance(source, ByteRange):
        return _open_range(source, name), True
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


def _open_range(source: ByteRange, name: str) -> BinaryIO:
    file, _ = _open_file(source.media, source.media)
    try:
        size = file.seek(0, os.SEEK_END) if _is_seekable(file) else 0
    except OSError as error:
        file.close()
        raise _opening_error(name, error) from error
    if size < source.offset_bytes + source.num_bytes:
        file.close()
        raise UndecodableError(f"{name}: the file ends at byte {size} (is it cut off, or another one?)")
    return cast(BinaryIO, _RangeReader(file, source.offset_bytes, source.num_bytes))


def _open_path(path: Path, name: str) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UndecodableError(f"{name}: is a directory, not a media file")
        if not stat.S_ISREG(status.st_mode):
            raise UndecodableError(f"{name}: is not a regular file")
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise MissingError(f"{name}: no such file") from None
    except OSError as error:
        raise _opening_error(name, error) from error
    except ValueError as error:  # a NUL in it
        raise UndecodableError(f"{name!r}: cannot be the name of a file ({error})") from error


def _open_url(url: UrlPath) -> BinaryIO:
    try:  # a missing package is the same for every such URL: better said at once than once a clip
        return url.open_blocks()
    except FileNotFoundError:
        raise MissingError(f"{url}: no such file") from None
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
