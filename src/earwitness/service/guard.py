"""Who may ask at all, and what every answer carries: the outermost layer of the service.

**Host.** A page of another site can have a browser call a service of this machine, by a name of its own that it lets
point here (DNS rebinding). So the Host must be localhost, an IP address, or a name that was allowed.

**Origin.** A page of another origin is refused, whatever it asks, by what browsers say of it (Origin, Sec-Fetch-Site).
Following a link to the page itself is allowed. Programs say nothing of the kind.

**Answers** are never put into frames, run no script but ours, and are not guessed to be of another type. What went
wrong is a `Problem`; what nobody foresaw is told to the service's log, and to the client only that it happened.
"""

import asyncio
import hmac
import ipaddress
import time
import traceback
from collections.abc import Collection, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earwitness.service.metrics import Metrics
from earwitness.service.problems import Problem, unforeseen_problem

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 << 20
"""Read of a body that nobody wants, so that its sender, who may not listen before all is sent, hears the answer."""


class Guard:
    """An ASGI application around the service."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_names: Collection[str],
        api_key: str | None,
        metrics: Metrics,
        routes: Mapping[str, bool],
    ) -> None:
        """Put it around an application.

        Args:
            app: what is guarded.
            allowed_names: of hosts, beside localhost and IP addresses.
            api_key: None: none is asked for.
            metrics: counts the answers.
            routes: paths that there are, and whether they need the key; others do, since the application may still
                find an address in them.
        """
        self._app = app
        self._allowed_names = frozenset(name.lower().rstrip(".") for name in allowed_names)
        self._api_key = None if api_key is None else api_key.encode()
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        started = time.monotonic()
        try:
            self._check(scope)
            # a HEAD is answered as a GET whose body the server keeps to itself
            seen = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            await self._app(seen, exchange.receive, exchange.send)
        except Problem as problem:
            await exchange.refuse(problem)
        except Exception as error:
            traceback.print_exception(error)
            if exchange.status is None:
                await exchange.refuse(unforeseen_problem())
        finally:
            route = scope["path"] if scope["path"] in self._routes else "other"
            self._metrics.answered(route, exchange.status or 499, time.monotonic() - started)

    def _check(self, scope: Scope) -> None:
        """Refuse whoever may not ask.

        Raises:
            Problem: that is so.
        """
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._is_allowed(hosts[0]):
            said = f"the host {hosts[0][:200]!r}" if hosts else "no host"
            raise Problem(
                421, f"the request names {said}, by which this service is not called (serve --allow-host adds names)"
            )
        _refuse_other_pages(scope, headers, hosts[0])
        if self._api_key is not None and self._routes.get(scope["path"], True):
            scheme, _, given = headers.get("authorization", [""])[0].partition(" ")
            is_right = hmac.compare_digest(given.strip().encode("latin-1"), self._api_key)
            if scheme.lower() != "bearer" or not is_right:
                what = "is not the one of this service" if given else "is missing"
                raise Problem(
                    401,
                    f"the key {what}; send it as a header: Authorization: Bearer KEY",
                    headers={"WWW-Authenticate": "Bearer"},
                )

    def _is_allowed(self, host: str) -> bool:
        name, colon, port = host.lower().rpartition(":")
        if not colon or host.endswith("]"):
            name, port = host.lower(), "0"
        if not port.isdecimal():
            return False
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            name = name.removesuffix(".")
            return name == "localhost" or name in self._allowed_names
        return True


def _refuse_other_pages(scope: Scope, headers: Mapping[str, list[str]], host: str) -> None:
    for origin in headers.get("origin", []):
        scheme, _, of_origin = origin.partition("://")
        if scheme not in ("http", "https") or of_origin.lower() != host.lower():
            raise Problem(403, f"a page of {origin[:200]!r} may not use this service; its own page may, and programs")
    site = headers.get("sec-fetch-site", ["none"])[0]
    is_visit = scope["method"] == "GET" and headers.get("sec-fetch-mode", [""])[0] == "navigate"
    if site not in ("none", "same-origin") and not is_visit:
        raise Problem(403, f"a page of another origin may not use this service (Sec-Fetch-Site: {site[:50]})")


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.status: int | None = None
        names = {name for name, _ in scope["headers"]}
        self._is_body_due = bool(names & {b"content-length", b"transfer-encoding"})
        self._waits_for_word = b"expect" in names
        self._has_head_only = scope["method"] == "HEAD"

    async def receive(self) -> Message:
        """A message of the server."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._waits_for_word = False
            self._is_body_due = message.get("more_body", False)
        else:
            self._is_body_due = False
        return message

    async def send(self, message: Message) -> None:
        """A message to the server, with what every answer carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            if self._is_body_due:
                headers.append((b"connection", b"close"))
            await self._send({**message, "headers": [*message.get("headers", []), *headers]})
        elif self._is_body_due and not message.get("more_body", False) and not self._waits_for_word:
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem."""
        body = problem.body()
        headers = {"content-length": str(len(body)), **problem.all_headers()}
        raw: list[tuple[bytes, bytes]] = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
        start: dict[str, Any] = {"type": "http.response.start", "status": problem.status, "headers": raw}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": b"" if self._has_head_only else body})

    async def _linger(self) -> None:
        num_bytes = 0
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._is_body_due and num_bytes < _LINGER_BYTES:
                    num_bytes += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass
