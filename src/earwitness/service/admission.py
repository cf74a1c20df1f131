"""How many uploads are in the house at a time, and who is told to come again."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from earwitness.service.metrics import Metrics
from earwitness.service.problems import busy, stopping, too_late

Answer = TypeVar("Answer")

MAX_UNSENT_BYTES = 1 << 30
"""Of answers that clients have not taken yet; with more, nobody else is let in."""

_LONGEST_ADVICE_SECONDS = 60
_MEMORY = 0.9  # of the running mean of what an upload takes, at each upload


class House:
    """Counts who is in. Whoever was let in is answered, or hears that the service stops."""

    def __init__(self, *, max_uploads: int, answer_seconds: float, metrics: Metrics) -> None:
        """Open it; see `ServiceSettings` for the limits."""
        self._max_uploads = max_uploads
        self._answer_seconds = answer_seconds
        self._metrics = metrics
        self._usual_seconds = 1.0
        self._num_inside = 0
        self._unsent_bytes = 0
        self.stop = asyncio.Event()
        """The service ends: nobody comes in any more, and who is on the way in goes."""
        self.close = asyncio.Event()
        """The time to finish is over, too."""

    @contextlib.asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Be inside.

        Raises:
            Problem: it is full, or closing.
        """
        if self.stop.is_set():
            raise stopping()
        if self._num_inside >= self._max_uploads or self._unsent_bytes > MAX_UNSENT_BYTES:
            raise busy(min(max(math.ceil(self._usual_seconds), 1), _LONGEST_ADVICE_SECONDS))
        self._metrics.uploads_in_house = self._num_inside = self._num_inside + 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._metrics.uploads_in_house = self._num_inside = self._num_inside - 1
            seconds = time.monotonic() - started
            self._usual_seconds = _MEMORY * self._usual_seconds + (1 - _MEMORY) * seconds

    @contextlib.contextmanager
    def sending(self, num_bytes: int) -> Iterator[None]:
        """Have an answer of this size in memory until its client has taken it."""
        self._unsent_bytes += num_bytes
        try:
            yield
        finally:
            self._unsent_bytes -= num_bytes

    async def while_awaited(self, request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer of some work, which is given up when nobody waits for it any more. The body must have been read.

        Raises:
            ClientDisconnect: the client went away.
            Problem: the service must end now, or it takes too long.
        """
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_gone(request))
        closed = asyncio.ensure_future(self.close.wait())
        try:
            await asyncio.wait({task, gone, closed}, timeout=self._answer_seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                raise ClientDisconnect
            raise stopping() if closed.done() else too_late(self._answer_seconds)
        finally:
            for each in (task, gone, closed):
                each.cancel()
            await asyncio.gather(task, gone, closed, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
