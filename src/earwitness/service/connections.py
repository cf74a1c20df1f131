"""Connections, below all requests: those that say nothing are closed, and what is no HTTP hears so in JSON too."""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from earwitness.service.problems import MEDIA_TYPE, Problem, busy

HEAD_SECONDS = 10.0
"""For the head of a request."""

MAX_CONNECTIONS = 1_000
"""Open at a time."""

UNSENT_SECONDS = 60
"""A client that takes nothing of its answer for so long is given up (Linux)."""


class Connection(H11Protocol):
    """uvicorn's, with less patience."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        taken: socket.socket = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and taken.family in (socket.AF_INET, socket.AF_INET6):
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_SECONDS * 1_000)
        if len(self.connections) > MAX_CONNECTIONS:
            self._end(busy(5))
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came. Between two requests a new head is waited for from its first byte."""
        super().data_received(data)
        is_between = self.cycle is None or self.cycle.response_complete
        if not is_between or self.timeout_keep_alive_task is not None:
            self._stop_waiting()
        elif self._head_timer is None and not self.transport.is_closing():
            self._wait_for_head()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._end(Problem(400, f"the request cannot be read: {msg}"))

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._end(Problem(408, f"no whole request came within {HEAD_SECONDS:g} s"))

    def _end(self, problem: Problem) -> None:
        """Answer, where no request was read, and close."""
        body = problem.body()
        headers: dict[str, Any] = {"content-type": MEDIA_TYPE, "content-length": len(body), "connection": "close"}
        headers |= problem.headers
        lines = [f"HTTP/1.1 {problem.status} {problem.title}", *(f"{name}: {headers[name]}" for name in headers)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.transport.close()
