"""Bodies of requests into temporary files, under limits of size and pace.

The files have no name that a client chose, and lie in a folder that only this user may enter.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from earwitness.service.problems import Problem, stopping

PATIENCE_SECONDS = 10.0
"""For the first bytes; then `MIN_BYTES_PER_SECOND`, on the average, must come."""

MIN_BYTES_PER_SECOND = 16_000
"""The slowest speech codecs of live radio; whoever sends slower only wants to hold a place."""

_WRITE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A body that has arrived."""

    path: Path
    name: str
    """What the client calls it, tamed."""
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """What a body may be."""

    max_bytes: int
    max_seconds: float


@contextlib.asynccontextmanager
async def received(
    request: Request, *, name: str, folder: Path, limits: UploadLimits, stop: asyncio.Event
) -> AsyncIterator[Upload]:
    """The body of a request as a file, which is gone at the end.

    Args:
        request: its body is read.
        name: see `Upload`.
        folder: where the file goes.
        limits: what is refused.
        stop: set when the service ends; what has not arrived by then is refused.

    Raises:
        Problem: it is too large, empty, a form, too slow, or came too late.
        ClientDisconnect: the client went away.
    """
    _require_plain(request, limits)
    path = None
    try:
        try:
            descriptor, path_name = tempfile.mkstemp(dir=folder, prefix="upload-")
            path = Path(path_name)
            with open(descriptor, "wb", buffering=_WRITE_BYTES) as file:  # noqa: PTH123 (of a descriptor)
                num_bytes = 0
                async for block in _paced(request, limits, stop):
                    num_bytes += len(block)
                    if num_bytes > limits.max_bytes:
                        raise _too_large(limits)
                    file.write(block)
        except OSError as error:
            raise Problem(507, f"the upload cannot be stored ({error.strerror or error})", kind="disk") from error
        yield Upload(path=path, name=name, num_bytes=num_bytes)
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def _require_plain(request: Request, limits: UploadLimits) -> None:
    """Refuse what is wrong by its head alone."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise Problem(
            415, f"the body is a form ({kind}); send the file itself as the body: curl --data-binary @film.mp4 URL"
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "the body is compressed (Content-Encoding); send the file as it is")
    stated = request.headers.get("content-length")
    if stated is not None and stated.isdecimal() and int(stated) > limits.max_bytes:
        raise _too_large(limits)


def _too_large(limits: UploadLimits) -> Problem:
    return Problem(413, f"the upload is larger than the {limits.max_bytes / 1e6:g} MB that this service takes")


async def _paced(request: Request, limits: UploadLimits, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """The blocks of a body, as long as they come fast enough."""
    started = time.monotonic()
    num_bytes = 0
    blocks = request.stream()
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while True:
            allowed = min(PATIENCE_SECONDS + num_bytes / MIN_BYTES_PER_SECOND, limits.max_seconds)
            left = started + allowed - time.monotonic()
            following = asyncio.ensure_future(anext(blocks, None))
            await asyncio.wait({following, stopped}, timeout=max(left, 0.0), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError, ClientDisconnect):
                    await following
                if stopped.done():
                    raise stopping()
                raise Problem(
                    408,
                    f"the upload was given up after {time.monotonic() - started:.0f} s and {num_bytes} bytes: its body "
                    "comes too slowly, or never ends",
                )
            block = following.result()
            if block is None:
                return
            num_bytes += len(block)
            if block:
                yield block
    finally:
        stopped.cancel()
