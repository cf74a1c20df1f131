"""A model as a running service: the port, the model, the loop, and the end."""

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from earwitness.errors import MissingExtraError, SettingsError
from earwitness.inference.any_model import open_model
from earwitness.service.settings import ServiceSettings

try:
    import uvicorn

    from earwitness.service.admission import House
    from earwitness.service.api import make_app
    from earwitness.service.connections import Connection
except ModuleNotFoundError as error:
    if (error.name or "").startswith("earwitness"):
        raise
    raise MissingExtraError(
        f"the service needs {error.name}, which is missing; pip install 'earwitness[serve]'"
    ) from error

from earwitness.service.hearing import Hearing
from earwitness.service.metrics import Metrics

_BACKLOG = 512
_GRACE_SECONDS = 5.0
"""For answers to be sent when the time to finish is over."""


def serve(
    model_path: Path,
    settings: ServiceSettings,
    *,
    device: str = "auto",
    on_ready: Callable[[str, "Service"], None] = lambda *_: None,
) -> None:
    """Serve a model until somebody stops it: by Ctrl-C or SIGTERM, or by `Service.end`.

    Args:
        model_path: a model file, or an exported model.
        settings: where, and under which limits.
        device: of the model.
        on_ready: told the address and the service once it answers.

    Raises:
        SettingsError: the port cannot be had, the key cannot be read, or there is no such device.
        ModelError: it is no model, or names nothing.
    """
    settings.read_api_key()
    with contextlib.closing(_bind(settings)) as listening:
        host, port = listening.getsockname()[:2]
        shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
        model = open_model(model_path)
        metrics = Metrics()
        with Hearing(model, settings, metrics, device=device) as hearing:
            house = House(max_uploads=settings.max_requests, answer_seconds=settings.answer_seconds, metrics=metrics)
            app = make_app(hearing, house, metrics, settings, model_name=model_path.name)
            config = uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=int(settings.shutdown_seconds + _GRACE_SECONDS) + 1,
            )
            service = Service(config, house, settings, lambda: on_ready(f"http://{shown}:{port}", service))
            with _deaf_afterwards():
                service.run(sockets=[listening])


class Service(uvicorn.Server):
    """uvicorn's server with an end that finishes or refuses."""

    def __init__(
        self, config: uvicorn.Config, house: House, settings: ServiceSettings, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._house = house
        self._shutdown_seconds = settings.shutdown_seconds
        self._on_ready = on_ready

    def end(self) -> None:
        """Stop the service, from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let in nobody, refuse what has not arrived, finish what has, but not for ever."""
        self._house.stop.set()
        asyncio.get_running_loop().call_later(self._shutdown_seconds, self._house.close.set)
        await super().shutdown(sockets=sockets)


@contextlib.contextmanager
def _deaf_afterwards() -> Iterator[None]:
    """The signals that stopped it are raised once more by uvicorn when it has ended: they have done their work."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bind(settings: ServiceSettings) -> socket.socket:
    where = f"port {settings.port} of {settings.host}"
    try:
        [family, *_, address] = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"{settings.host!r} is no address to listen at ({error.strerror or error})") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)  # until then a second service could be bound to the port, too
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"{where} is in use already; choose another with --port, or --port 0 for any"
            ) from error
        if error.errno == errno.EACCES:
            raise SettingsError(f"{where} is not for everyone; choose one above 1023 with --port") from error
        raise SettingsError(f"{where} cannot be listened at ({error.strerror or error})") from error
    return listening
