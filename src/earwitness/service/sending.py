"""Answers on their way: in pieces, as fast as the client takes them, and given up where it takes too long."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from earwitness.service import uploads
from earwitness.service.admission import House

_PIECE_BYTES = 1 << 18


class PacedResponse(Response):
    """An answer that `House` knows of until the client has it: many large ones that nobody reads would fill memory."""

    def __init__(self, content: bytes, *, media_type: str, house: House) -> None:
        super().__init__(content, media_type=media_type, headers={"Cache-Control": "no-store"})
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. The connection is closed where the client is slower than one that sends may be."""
        num_bytes = len(self.body)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with self._house.sending(num_bytes):
            try:
                async with asyncio.timeout(uploads.PATIENCE_SECONDS + num_bytes / uploads.MIN_BYTES_PER_SECOND):
                    for first in range(0, num_bytes, _PIECE_BYTES):
                        piece = self.body[first : first + _PIECE_BYTES]
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    await send({"type": "http.response.body", "body": b""})
            except TimeoutError:
                pass  # the server closes what ends before its time
