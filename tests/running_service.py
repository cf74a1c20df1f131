"""A service that really listens, in a thread of the tests, a model for it, and a plain client."""

import contextlib
import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'earwitness[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'earwitness[serve]'")

from earwitness.models.model_file import save_model
from earwitness.service.serving import Service, serve
from earwitness.service.settings import ServiceSettings
from earwitness.store.read import Store
from made_models import untrained


@dataclass(frozen=True)
class Answer:
    """What the service said."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def problem(self) -> str:
        """The sentence of a problem; fails where it is none."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.json["status"] == self.status
        assert "Traceback" not in self.json["detail"]
        return str(self.json["detail"])


@dataclass
class Running:
    """A service by its address."""

    address: str
    service: Service
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """`body`: bytes, or an iterable of them, which is sent in chunks. Headers have _ for -."""
        return self.ask("POST", path, body, **headers)

    def ask(self, method: str, path: str, body: Any, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was answered before all was sent
                connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def end(self) -> None:
        self.service.end()
        assert self.ended.wait(60)


@pytest.fixture(scope="module")
def model(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that the service may be given."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(untrained(made_store), path)
    return path


@contextlib.contextmanager
def running(model: Path, **settings: Any) -> Iterator[Running]:
    """A service of a model at a free port."""
    ready: queue.Queue[Running | BaseException] = queue.Queue()
    ended = threading.Event()

    def run() -> None:
        try:
            serve(
                model,
                ServiceSettings(port=0, **settings),
                on_ready=lambda address, service: ready.put(Running(address, service, ended)),
            )
        except BaseException as error:
            ready.put(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    first = ready.get(timeout=120)
    if isinstance(first, BaseException):
        raise first
    try:
        yield first
    finally:
        first.end()
        thread.join()
