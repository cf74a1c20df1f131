"""Fetching files, from a server of this machine: cut, changed, refused, and without a network."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.errors import DownloadError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, load_model, save_model
from earwitness.published import download as module
from earwitness.published import sources
from earwitness.published.download import cached_path, download
from in_process import run
from made_published import made_network, write_keras, yamnet_as_keras
from test_cli import refused

CONTENT = np.random.default_rng(0).bytes(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What is served, how it fails, and what was asked for."""

    files: dict[str, bytes]
    address: str = ""
    etag: str | None = '"1"'
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next connections are cut."""
    statuses: list[int] = field(default_factory=list)
    """What the next requests are answered with instead."""
    has_ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and range of each."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server({"/model.bin": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.requests.append((self.path, wanted))
            path = "/" + self.path.rpartition("/")[2]
            content = state.files.get(path)
            status = state.statuses.pop(0) if state.statuses else 200 if content is not None else 404
            if content is None or status >= 400:
                self.send_error(status)
                return
            first = 0
            is_same = self.headers.get("If-Range") == state.etag
            if wanted and state.has_ranges and is_same:
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if first >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if state.etag:
                self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            stop = state.cut_after.pop(0) if state.cut_after else len(content)
            self.wfile.write(content[first : first + stop])

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_fetched_once_with_progress(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    url = f"{server.address}/model.bin"
    fetched = download(url, sha256=DIGEST.upper(), on_bytes=lambda *each: told.append(each))
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.path == cached_path(url)
    assert tmp_path / "cache" in fetched.path.parents
    assert (fetched.sha256, fetched.num_bytes, fetched.was_there, fetched.is_checked) == (DIGEST, 10**6, False, True)
    assert told[-1] == (10**6, 10**6)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    again = download(url)
    assert (again.was_there, again.is_checked, again.sha256) == (True, False, DIGEST)
    assert len(server.requests) == 1
    assert {path.name for path in fetched.path.parent.iterdir()} == {"model.bin", ".lock"}


def test_a_cut_connection_is_taken_up_again(server: Server) -> None:
    server.cut_after = [300_000, 200_000]
    assert download(f"{server.address}/model.bin", sha256=DIGEST).path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_goes_on(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{server.address}/model.bin"
    monkeypatch.setattr(module, "_TRIES", 2)
    server.cut_after = [400_000, 0, 0]
    with pytest.raises(DownloadError, match=r"no connection \(.*400,000 bytes are kept, and the same command goes on"):
        download(url)
    server.requests.clear()
    assert download(url, sha256=DIGEST).num_bytes == 10**6
    assert server.requests == [("/model.bin", "bytes=400000-")]


@pytest.mark.parametrize("how", ["changed", "no ranges", "no mark", "weak mark"])
def test_what_cannot_be_gone_on_with_is_fetched_anew(server: Server, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    url = f"{server.address}/model.bin"
    monkeypatch.setattr(module, "_TRIES", 1)
    server.etag = {"no mark": None, "weak mark": 'W/"1"'}.get(how, '"1"')
    server.cut_after = [400_000, 0]
    with pytest.raises(DownloadError):
        download(url)
    if how == "changed":
        server.files["/model.bin"], server.etag = CONTENT[::-1], '"2"'
    server.has_ranges = how != "no ranges"
    assert download(url).path.read_bytes() == server.files["/model.bin"]


def test_a_range_beyond_the_file_is_fetched_anew(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's file has become shorter and kept its mark."""
    url = f"{server.address}/model.bin"
    monkeypatch.setattr(module, "_TRIES", 1)
    server.cut_after = [400_000, 0]
    with pytest.raises(DownloadError):
        download(url)
    monkeypatch.setattr(module, "_TRIES", 2)
    server.files["/model.bin"] = CONTENT[:1_000]
    assert download(url).num_bytes == 1_000


def test_a_busy_server_is_asked_again_and_a_refusal_is_not(server: Server) -> None:
    server.statuses = [503, 429]
    assert download(f"{server.address}/model.bin").num_bytes == 10**6
    server.requests.clear()
    with pytest.raises(
        DownloadError, match=r"the server refuses \(404 .*fetch http.* elsewhere and put it at .*/other"
    ):
        download(f"{server.address}/other.bin")
    assert len(server.requests) == 1


def test_a_wrong_digest(server: Server) -> None:
    url = f"{server.address}/model.bin"
    with pytest.raises(DownloadError, match=f"is not the one expected: its SHA-256 is {DIGEST}, and not {'0' * 64};"):
        download(url, sha256="0" * 64)
    assert not cached_path(url).exists()
    assert cached_path(url).with_name("model.bin.wrong").exists()
    with pytest.raises(DownloadError, match="a SHA-256 has 64 hexadecimal digits; came 3"):
        download(url, sha256="abc")


def test_a_digest_in_the_name(server: Server) -> None:
    """As PyTorch's hub has it: vggish-10086976.pth."""
    server.files |= {f"/net-{DIGEST[:8]}.pth": CONTENT, "/net-00000000.pth": CONTENT}
    assert download(f"{server.address}/net-{DIGEST[:8]}.pth").is_checked
    server.files |= {"/net-20241122.pth": CONTENT, "/net-00000000.bin": CONTENT}
    for name in ("net-20241122.pth", "net-00000000.bin"):
        assert not download(f"{server.address}/{name}").is_checked, "a date, and no file of PyTorch's"
    with pytest.raises(DownloadError, match=f"its SHA-256 is {DIGEST}, and not 00000000"):
        download(f"{server.address}/net-00000000.pth")


def test_a_proxy_of_the_environment_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    url = "http://nowhere.invalid/model.bin"
    assert download(url, sha256=DIGEST).num_bytes == 10**6
    assert server.requests == [(url, None)]


def test_no_connection_says_what_to_do_and_a_file_put_there_is_used(server: Server) -> None:
    url = "http://127.0.0.1:9/weights.bin"
    with pytest.raises(DownloadError, match=rf"no connection .*fetch {url} elsewhere and put it at .*/weights\.bin"):
        download(url)
    cached_path(url).write_bytes(CONTENT)
    assert download(url, sha256=DIGEST).was_there


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/file", "https://host/", "https:///file", "model"])
def test_what_is_no_url_of_a_file(url: str) -> None:
    with pytest.raises(DownloadError, match="not the URL of a file"):
        download(url)


# The command


def small_model(path: Path) -> Path:
    arguments = {"num_labels": 2, "patch_frames": 96, "num_bands": 64, "width": 0.01}
    architecture = Architecture(name="fully_connected", arguments=arguments)
    labels = LabelSet.of(["a", "b"])
    save_model(
        Model(network=architecture.build(), architecture=architecture, label_set=labels, front_end=FrontEnd()), path
    )
    return path


def test_pull_a_model_of_ones_own(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = small_model(tmp_path / "made.safetensors").read_bytes()
    server.files["/mine.safetensors"] = content
    said = run("pull", f"{server.address}/mine.safetensors")
    assert (tmp_path / "mine.safetensors").read_bytes() == content
    assert "mine.safetensors: a model of earwitness" in said.stdout
    assert f"SHA-256 {hashlib.sha256(content).hexdigest()}: not compared" in said.stderr
    said = run("pull", f"{server.address}/model.bin", "--sha256", DIGEST, "--out", tmp_path / "w" / "weights.bin")
    assert (tmp_path / "w" / "weights.bin").read_bytes() == CONTENT
    assert "as expected" in said.stderr
    assert "next: earwitness import" in said.stdout
    server.files["/broken.safetensors"] = content[:-100]
    refused("pull", f"{server.address}/broken.safetensors", saying="not a model file")
    refused("pull", f"{server.address}/model.bin", "--sha256", "0" * 64, saying="is not the one expected")
    refused("pull", "yamnet2", saying=["known are yamnet, vggish", "anything else is a URL"])


def test_pull_yamnet(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From this machine in place of the official one: weights and class map, and a model in the end."""
    monkeypatch.chdir(tmp_path)
    write_keras(tmp_path / "yamnet.h5", yamnet_as_keras(made_network("yamnet")))
    server.files["/yamnet.h5"] = (tmp_path / "yamnet.h5").read_bytes()
    rows = "".join(f"{number},/m/{number},Sound {number}\n" for number in range(521))
    server.files["/yamnet_class_map.csv"] = f"index,mid,display_name\n{rows}".encode()
    official = sources.SOURCES["yamnet"]
    assert [url.rpartition("/")[2] for url in official.urls] == ["yamnet_class_map.csv", "yamnet.h5"]
    local = sources.Source(
        published_as="yamnet",
        weights_url=f"{server.address}/yamnet.h5",
        class_map_url=f"{server.address}/yamnet_class_map.csv",
    )
    monkeypatch.setitem(sources.SOURCES, "yamnet", local)
    said = run("pull", "yamnet")
    assert "yamnet.safetensors: yamnet, 521 labels" in said.stdout
    assert "next: earwitness tag yamnet.safetensors FILE" in said.stdout
    assert load_model(tmp_path / "yamnet.safetensors").label_set.names[520] == "Sound 520"
    cached_path(local.weights_url).write_text("<html>moved</html>")
    refused("pull", "yamnet", saying=["yamnet.h5: neither Keras", "To have it fetched again, delete it"])
    away = sources.Source(
        published_as="yamnet", weights_url="http://127.0.0.1:9/y.h5", class_map_url="http://127.0.0.1:9/c.csv"
    )
    monkeypatch.setitem(sources.SOURCES, "yamnet", away)
    refused(
        "pull",
        "yamnet",
        saying=["no connection", "fetch http://127.0.0.1:9/c.csv elsewhere", "likewise http://127.0.0.1:9/y.h5 at"],
    )
