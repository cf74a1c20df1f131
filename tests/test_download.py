"""Fetching files, from a server of this machine: cut, changed, refused, and without a network."""

import errno
import hashlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

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
    minds_if_range: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    """Sent instead of what belongs there, or besides; empty: left away."""
    moved_to: dict[str, str] = field(default_factory=dict)
    """Where paths are redirected to."""
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
            if path in state.moved_to:
                self.send_response(302)
                self.send_header("Location", state.moved_to[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status = state.statuses.pop(0) if state.statuses else 200 if content is not None else 404
            if content is None or status >= 400:
                self.send_error(status)
                return
            first = 0
            is_same = self.headers.get("If-Range") == state.etag or not state.minds_if_range
            if wanted and state.has_ranges and is_same:
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if first >= len(content):
                    self.send_error(416)
                    return
            headers = {"ETag": state.etag or "", "Content-Length": str(len(content) - first)}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.send_response(206 if first else status)
            for name, value in (headers | state.headers).items():
                if value:
                    self.send_header(name, value)
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


@pytest.mark.parametrize("how", ["changed", "changed in silence", "longer", "no ranges", "no mark", "weak mark"])
def test_what_cannot_be_gone_on_with_is_fetched_anew(server: Server, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    url = f"{server.address}/model.bin"
    monkeypatch.setattr(module, "_TRIES", 1)
    server.etag = {"no mark": None, "weak mark": 'W/"1"'}.get(how, '"1"')
    server.cut_after = [400_000, 0]
    with pytest.raises(DownloadError):
        download(url)
    if how == "changed":
        server.files["/model.bin"], server.etag = CONTENT[::-1], '"2"'
    if how == "changed in silence":  # by a server that sends the rest whatever If-Range says
        server.files["/model.bin"], server.etag, server.minds_if_range = CONTENT[::-1], '"2"', False
    if how == "longer":
        server.files["/model.bin"] = CONTENT[::-1] + b"more"
    server.has_ranges = how != "no ranges"
    monkeypatch.setattr(module, "_TRIES", 2)
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


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://host/file", "https://host/", "https:///file", "model", "https://host/.."),
        *("https://host/%2e%2e", "https://host/a%00b", "https://host/a%0ab", "https://[::1/file", "https://ho st/file"),
        *("https://host:port/file", "https://host/.lock", f"https://host/{'x' * 201}", "https://host/a\udce4"),
    ],
)
def test_what_is_no_url_of_a_file(url: str) -> None:
    with pytest.raises(DownloadError, match="not the URL of a file"):
        download(url)


def test_a_password_is_not_sent_nor_shown() -> None:
    with pytest.raises(DownloadError, match="a URL at host:80 with a name or password in it") as raised:
        download("https://me:secret@host:80/file")
    assert "secret" not in str(raised.value)


def test_names_that_are_not_ascii_or_have_folders_in_them(server: Server, tmp_path: Path) -> None:
    server.files |= {"/B%C3%A4r%20%2B.bin": CONTENT, "/..%2F..%2Fx.bin": CONTENT}
    assert download(f"{server.address}/Bär %2B.bin").path.name == "Bär +.bin"
    path = download(f"{server.address}/..%2F..%2Fx.bin").path
    assert path.name == "x.bin"
    assert path.parents[2] == tmp_path / "cache"


def test_no_home(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(DownloadError, match="no home folder to keep files in; name a folder: XDG_CACHE_HOME"):
        download(f"{server.address}/model.bin")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("file:///etc/passwd", r"the server refuses \(302 .*file:///etc/passwd"),
        ("ftp://127.0.0.1/file", "sends us on to ftp://127.0.0.1/file, from http to ftp, which is not followed"),
        ("data:text/plain,a", r"the server refuses \(302 "),
        ("/moved.bin", r"the server refuses \(302 .*infinite loop"),
    ],
)
def test_redirects_that_are_not_followed(server: Server, to: str, message: str) -> None:
    server.moved_to["/moved.bin"] = to
    with pytest.raises(DownloadError, match=message):
        download(f"{server.address}/moved.bin")


def test_redirects(server: Server) -> None:
    server.moved_to["/moved.bin"] = f"{server.address}/model.bin"
    assert download(f"{server.address}/moved.bin", sha256=DIGEST).path.name == "moved.bin"
    request = urllib.request.Request("https://host/file")
    with pytest.raises(DownloadError, match="from https to http, which is not followed"):
        module._Redirects().redirect_request(request, None, 302, "Found", {}, "http://host/file")


def test_lengths_that_cannot_be(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{server.address}/model.bin"
    for text in ("9" * 5_000, "\xb2", "many"):
        server.headers = {"Content-Length": text}
        fetched = download(url, sha256=DIGEST)
        assert fetched.num_bytes == 10**6, "until the connection ends"
        fetched.path.unlink()
    server.headers = {"Content-Length": str(10**17)}
    with pytest.raises(
        DownloadError, match=r"it has 100,000,000,000,000,000 bytes, by what the server says, and .* free"
    ):
        download(url)
    assert [path.name for path in cached_path(url).parent.iterdir()] == [".lock"]
    monkeypatch.setattr(module, "_TRIES", 1)
    server.headers = {"Content-Length": "1000001"}
    with pytest.raises(DownloadError, match="no connection"):
        download(url)


def test_an_answer_without_the_file(server: Server) -> None:
    server.statuses = [202]
    with pytest.raises(DownloadError, match=r"answers without the file \(202 Accepted\)"):
        download(f"{server.address}/model.bin")


def test_a_full_disk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(DownloadError, match=r"model\.bin: the file cannot be written \(No space left on device\)"):
        download(f"{server.address}/model.bin")
    assert len(server.requests) == 1


def test_a_server_that_falls_silent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(module, "_TRIES", 2)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,  # takes connections, and answers nothing
        pytest.raises(DownloadError, match=r"no connection .*timed out"),
    ):
        download(f"http://127.0.0.1:{listening.getsockname()[1]}/model.bin")


def test_https_goes_through_its_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for a tunnel; this one refuses."""
    monkeypatch.setattr(module, "_TRIES", 1)
    monkeypatch.setenv("https_proxy", server.address)
    with pytest.raises(DownloadError, match=r"no connection .*Tunnel connection failed: 501"):
        download("https://nowhere.invalid/model.bin")


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
    assert "(was there)" in run("pull", f"{server.address}/mine.safetensors").stdout
    (tmp_path / "mine.safetensors").write_text("my notes")
    refused("pull", f"{server.address}/mine.safetensors", saying=["there is another file already", "--overwrite"])
    run("pull", f"{server.address}/mine.safetensors", "--overwrite")
    assert (tmp_path / "mine.safetensors").read_bytes() == content
    refused("pull", f"{server.address}/mine.safetensors", "--out", tmp_path, saying="this is a folder")
    server.files["/weights.safetensors"] = save({"layer": torch.zeros(3)})
    assert "next: earwitness import" in run("pull", f"{server.address}/weights.safetensors").stdout
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
    assert "it was there already" in run("pull", "yamnet").stdout
    (tmp_path / "notes").write_text("mine")
    refused("pull", "yamnet", "--out", tmp_path / "notes", saying=["there is another file already", "--overwrite"])
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
