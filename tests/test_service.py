"""The service over real connections: the same answers as the command line, and a sentence for whatever is wrong."""

import base64
import contextlib
import fcntl
import io
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'earwitness[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'earwitness[serve]'")

import earwitness
from earwitness.cli.main import main
from earwitness.errors import SettingsError
from earwitness.models.model_file import save_model
from earwitness.parallel import CallPool
from earwitness.service import admission, answers, connections, serving, uploads
from earwitness.service.names import MAX_CHARACTERS, tame
from earwitness.service.settings import ServiceSettings
from earwitness.store.read import Store
from in_process import run
from made_media import encode, sweep, wav
from made_models import deciding
from media_bombs import silent_flac
from running_service import Running, running
from running_service import model as model

KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[Running]:
    with running(model, max_megabytes=2, max_minutes=10, decoders=1) as one:
        yield one


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "sweep.mp4"
    return encode(path, "aac", 44_100, sweep(44_100, 7.0), with_video=True)


def uploads_in_house(service: Running) -> int:
    return int(re.search(r"^earwitness_uploads_in_house (\d+)$", service.get("/metrics").content.decode(), re.M)[1])


def test_tags_are_those_of_the_command_line(service: Running, model: Path, sound: Path):
    for options, parameters in (((), ""), (("--top", 2, "--min-score", 0.2), "&top=2&min_score=0.2")):
        wanted = json.loads(run("tag", model, sound, "--json", *options).stdout)
        got = service.post(f"/v1/tag?name={sound.name}{parameters}", sound.read_bytes())
        assert got.status == 200
        assert got.json == {**wanted, "media": sound.name}


def test_models_with_calibration_and_thresholds(made_store: Store, sound: Path, tmp_path: Path):
    path = tmp_path / "deciding.safetensors"
    save_model(deciding(made_store), path)
    wanted = json.loads(run("tag", path, sound, "--json").stdout)
    assert wanted["is_calibrated"]
    assert wanted["has_own_thresholds"]
    run("timeline", path, sound, "--out", tmp_path / "events.json")
    with running(path, decoders=1) as service:
        assert service.post(f"/v1/tag?name={sound.name}", sound.read_bytes()).json == {**wanted, "media": sound.name}
        got = service.post("/v1/timeline?picture=true", sound.read_bytes()).json
        assert got["events"] == json.loads((tmp_path / "events.json").read_text())["events"]
        thresholds = [lane["threshold"] for lane in sorted(got["picture"]["lanes"], key=lambda lane: lane["label_id"])]
        assert thresholds == pytest.approx([0.3, 0.45, 2.0])
        assert service.get("/v1/labels").json["own_thresholds"] == pytest.approx([0.3, 0.45, 2.0])


def test_exported_models(model: Path, sound: Path, tmp_path: Path):
    run("export", model, tmp_path / "model.onnx", "--embeddings")
    wanted = json.loads(run("tag", model, sound, "--json").stdout)
    with running(tmp_path / "model.onnx", decoders=1) as service:
        got = service.post("/v1/tag", sound.read_bytes()).json
        scores = {tag["label_id"]: tag["score"] for tag in wanted["tags"]}
        assert {tag["label_id"]: tag["score"] for tag in got["tags"]} == pytest.approx(scores, abs=1e-5)
        assert service.post("/v1/embed", sound.read_bytes()).status == 200


@pytest.mark.parametrize("form", ["json", "csv", "txt", "vtt", "srt"])
def test_timelines_are_those_of_the_command_line(service: Running, model: Path, sound: Path, tmp_path: Path, form: str):
    out = tmp_path / f"events.{form}"
    run("timeline", model, sound, "--threshold", 0.4, "--hop-seconds", 0.24, "--min-seconds", 0.5, "--out", out)
    got = service.post(
        f"/v1/timeline?name={sound.name}&threshold=0.4&hop_seconds=0.24&min_seconds=0.5&format={form}",
        sound.read_bytes(),
    )
    assert got.status == 200
    wanted = out.read_text().replace(str(sound), sound.name)
    assert got.json == json.loads(wanted) if form == "json" else got.content.decode() == wanted


def test_pictures_hold_the_scores(service: Running, model: Path, sound: Path):
    got = service.post("/v1/timeline?picture=true&threshold=0.4", sound.read_bytes()).json
    lanes = {
        lane["label_id"]: np.frombuffer(base64.b64decode(lane["scores"]), "<f4") for lane in got["picture"]["lanes"]
    }
    assert len(lanes) == 3
    assert all(len(scores) == got["num_patches"] for scores in lanes.values())
    for event in got["events"]:
        assert event["peak_score"] == pytest.approx(float(lanes[event["label_id"]].max()), abs=0.5)
        assert event["peak_score"] in lanes[event["label_id"]]
    spectrogram = got["picture"]["spectrogram"]
    levels = np.frombuffer(base64.b64decode(spectrogram["data"]), np.uint8)
    assert levels.size == spectrogram["columns"] * spectrogram["bands"]
    assert levels.max() == 255


def test_nothing_is_shown_where_nothing_sounds(service: Running) -> None:
    tone = 9_000 * np.sin(np.arange(16_000 * 3) * 0.3)
    got = service.post("/v1/timeline?picture=true&threshold=0.02", wav([*tone, *[0] * 16_000 * 4], 16_000)).json
    lanes = [np.frombuffer(base64.b64decode(lane["scores"]), "<f4") for lane in got["picture"]["lanes"]]
    first_silent = math.ceil(3.0 / got["hop_seconds"])
    assert all((lane[first_silent:] == 0).all() for lane in lanes)
    assert any((lane[:first_silent] > 0).all() for lane in lanes)
    assert max((event["stop_seconds"] for event in got["events"]), default=0.0) < 4.0


def test_embeddings(service: Running, model: Path, sound: Path, tmp_path: Path):
    wanted = earwitness.load(model).embed(sound).vectors
    in_json = service.post("/v1/embed", sound.read_bytes()).json
    np.testing.assert_allclose(in_json["embeddings"], wanted, atol=1e-6)
    as_file = np.load(io.BytesIO(service.post("/v1/embed?format=npy", sound.read_bytes()).content))
    np.testing.assert_allclose(as_file, wanted, atol=1e-6)
    assert len(service.post("/v1/embed?hop_seconds=0.24", sound.read_bytes()).json["embeddings"]) > 3 * len(wanted)


def test_questions(service: Running, made_store: Store):
    labels = service.get("/v1/labels").json
    assert [label["id"] for label in labels["labels"]] == list(made_store.label_set.ids)
    assert service.get("/health").json["status"] == "ok"
    addresses = service.get("/openapi.json").json["paths"]
    assert {"/v1/tag", "/v1/timeline", "/v1/embed", "/v1/labels", "/health", "/metrics"} == addresses.keys()
    text = service.get("/metrics").content.decode()
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{(\w+=\"[^\"]*\",?)*\})? [0-9.e+-]+", line), line
    assert 'earwitness_requests_total{route="/health",status="200"}' in text


def test_heads_of_answers(service: Running, guarded: Running):
    for path in ("/", "/health", "/v1/labels", "/page/page.css"):
        head, whole = service.ask("HEAD", path, None), service.get(path)
        assert (head.status, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.content))
    assert (guarded.ask("HEAD", "/v1/labels", None).status, guarded.ask("HEAD", "/v1/labels", None).content) == (
        401,
        b"",
    )


def test_pages_need_no_other_machine(service: Running):
    for path in ("/", "/docs"):
        page = service.get(path)
        assert page.status == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        text = page.content.decode()
        assert "//" not in re.sub(r"<!--.*?-->", "", text)
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", text)
        for named in re.findall(r'(?:src|href)="(/page/[^"]+)"', text):
            file = service.get(named)
            assert file.status == 200
            assert service.get(named, If_None_Match=file.headers["etag"]).status == 304


@pytest.mark.parametrize(
    ("body", "status", "kind", "sentence"),
    [
        (b"", 422, "undecodable", "x.wav: is empty"),
        (b"#EXTM3U\nhttp://127.0.0.1/secret.wav\n", 422, "undecodable", "x.wav: "),
        (b"hello " * 1_000, 422, "undecodable", "x.wav: is a text file, not media"),
        (bytes(range(256)) * 40, 422, "undecodable", "x.wav: cannot be read as media"),
        (wav([], 16_000), 422, "no_samples", "x.wav: has an audio stream, but no samples in it"),
        (silent_flac(256), 422, "too_long", "x.wav: it lasts longer than the 10 minutes that this service takes"),
    ],
)
def test_what_gives_no_sound(service: Running, body: bytes, status: int, kind: str, sentence: str):
    got = service.post("/v1/tag?name=x.wav", body)
    assert (got.status, got.json["failure_kind"]) == (status, kind)
    assert got.problem.startswith(sentence)


def test_hops_that_would_take_for_ever(service: Running):
    long = silent_flac(128)
    got = service.post("/v1/timeline?name=x.flac&hop_seconds=0.01", long)
    assert (got.status, got.json["failure_kind"]) == (422, "too_long")
    assert got.problem.startswith("x.flac: at hop_seconds=0.01 it has 52")
    assert got.problem.endswith("this service takes 6251 of a file, so ask for a longer hop")
    assert service.post("/v1/timeline?hop_seconds=0.96", long).status == 200


@pytest.mark.parametrize(
    ("form", "advice"), [("json", "ask for them with format=npy"), ("npy", "ask for a longer hop")]
)
def test_more_embeddings_than_memory(
    service: Running, sound: Path, monkeypatch: pytest.MonkeyPatch, form: str, advice: str
):
    monkeypatch.setitem(answers.MAX_NUMBERS, form, 10)
    got = service.post(f"/v1/embed?name=x.mp4&format={form}", sound.read_bytes())
    assert (got.status, got.problem) == (422, f"x.mp4: its embeddings are more than 10 numbers; {advice}")


def test_cut_midway(service: Running, sound: Path):
    whole = sound.read_bytes()
    got = service.post("/v1/tag?name=x.mp4", whole[: len(whole) // 2])
    assert got.status == 422 or got.json["warnings"]


def test_too_large_by_its_head_or_on_its_way(service: Running):
    large = bytes(2_000_001)
    sentence = "the upload is larger than the 2 MB that this service takes"
    assert service.post("/v1/tag", large).problem == sentence
    assert service.post("/v1/tag", iter([large[:1_000_000]] * 3)).problem == sentence
    assert service.post("/v1/tag", large).status == 413


def test_forms_and_compressed_bodies(service: Running):
    got = service.post("/v1/tag", b"--x", Content_Type="multipart/form-data; boundary=x")
    assert (got.status, "curl --data-binary" in got.problem) == (415, True)
    assert service.post("/v1/tag", b"x", Content_Encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../x", "x"),
        ("..", "upload"),
        ("", "upload"),
        ("C:\\sounds\\a.wav", "a.wav"),
        ("a\nb\x00\x1b[31m.wav", "a_b__[31m.wav"),
        ("\u202egpj.wav", "_gpj.wav"),
        ("x" * 4_000 + ".flac", None),
        ("http://example.org/a.mp3", "a.mp3"),
        ("<img src=x>.wav", "<img src=x>.wav"),
    ],
)
def test_hostile_names(service: Running, name: str, shown: str | None):
    got = service.post(f"/v1/tag?name={quote(name)}", wav([1_000, -1_000] * 8_000, 16_000))
    assert got.status == 200
    assert len(got.json["media"]) <= MAX_CHARACTERS
    assert got.json["media"] == (shown or tame(name))
    if shown is None:
        assert got.json["media"].endswith("….flac")


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nothing", 404, "there is nothing at '/nothing'"),
        ("GET", "/page/../../etc/passwd", 404, "there is nothing at"),
        ("GET", "/v1/tag/", 404, "there is nothing at"),
        ("GET", "/v1/tag", 405, "/v1/tag takes POST, not GET"),
        ("DELETE", "/v1/labels", 405, "/v1/labels takes GET, not DELETE"),
        ("GET", "/health?verbose=1", 400, "unknown parameter 'verbose'"),
        ("GET", "/?next=x", 400, "unknown parameter 'next'"),
        ("POST", "/v1/tag?threshhold=1", 400, "unknown parameter 'threshhold'"),
        ("POST", "/v1/tag?top=0", 400, "top=0 must be a whole number, at least 1"),
        ("POST", "/v1/tag?top=many", 400, "top='many': "),
        ("POST", "/v1/tag?min_score=nan", 400, "min_score=nan must lie in [0, 1]"),
        ("POST", "/v1/timeline?threshold=7", 400, "threshold=7.0 must lie in [0, 1]"),
        ("POST", "/v1/timeline?threshold=high", 400, "threshold='high': "),
        ("POST", "/v1/timeline?hop_seconds=0.005", 400, "hop_seconds=0.005 must be a multiple"),
        ("POST", "/v1/timeline?format=docx", 400, "format='docx': "),
        ("POST", "/v1/timeline?format=vtt&picture=1", 400, "picture=true goes with format=json, not vtt"),
        ("POST", "/v1/embed?hop_seconds=inf", 400, "hop_seconds=inf must be a multiple"),
    ],
)
def test_unknown_routes_and_parameters(service: Running, method: str, path: str, status: int, sentence: str):
    got = service.ask(method, path, b"x" if method == "POST" else None)
    assert (got.status, got.problem[: len(sentence)]) == (status, sentence)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "Sound.Example.org"}, 200),
        ({"Host": "sound.example.org.:8000"}, 200),
        ({"Host": "localhost."}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:80"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost:x"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "https://localhost:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:9000"}, 403),
        ({"Host": "localhost:8000", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost:8000", "Origin": "null"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_hosts_and_origins(guarded: Running, headers: dict[str, str], status: int):
    got = guarded.get("/", **headers)
    assert got.status == status
    assert got.status == 200 or got.problem
    assert got.headers["x-content-type-options"] == "nosniff"


@pytest.fixture(scope="module")
def guarded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    key_file = tmp_path_factory.mktemp("key") / "key"
    key_file.write_text(f"{KEY}\n")
    with running(model, api_key_file=key_file, allow_host=("sound.example.org",), decoders=1) as one:
        yield one


def test_keys(guarded: Running):
    sound = wav([1_000, -1_000] * 8_000, 16_000)
    for path in ("/v1/tag", "/v1/timeline", "/v1/embed"):
        assert guarded.post(path, sound).problem.startswith("the key is missing")
        wrong = guarded.post(path, sound, Authorization=f"Bearer {KEY}x")
        assert (wrong.status, wrong.headers["www-authenticate"]) == (401, "Bearer")
        assert wrong.problem.startswith("the key is not the one of this service")
        assert guarded.post(path, sound, Authorization=f"Bearer {KEY}").status == 200
    # the framework takes an address with a line break behind it for the address
    for path in ("/v1/labels", "/metrics", "/v1/labels%0A", "/metrics%0A", "/%76%31/labels", "/nothing"):
        assert guarded.get(path).status == 401, path
    assert guarded.post("/v1/tag%0A", sound).status == 401
    assert guarded.get("/v1/labels", Authorization=f"bearer  {KEY}").status == 200
    assert guarded.get("/v1/labels", Authorization=f"Basic {KEY}").status == 401
    assert guarded.get("/v1/labels", Authorization=KEY).problem.startswith("the key is missing")
    assert [guarded.get(path).status for path in ("/", "/docs", "/health", "/openapi.json")] == [200] * 4


@pytest.mark.parametrize("content", ["short", "with a space in it", "ключ-от-всех-дверей", ""])
def test_bad_key_files(tmp_path: Path, content: str):
    (tmp_path / "key").write_text(content)
    with pytest.raises(SettingsError, match="must be a key of at least 16"):
        ServiceSettings(api_key_file=tmp_path / "key").read_api_key()
    with pytest.raises(SettingsError, match="cannot be read"):
        ServiceSettings(api_key_file=tmp_path / "nothing").read_api_key()


HEAD = b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\n"


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the service closes."""
    connection.settimeout(30)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65_536):
            received += block
    return received


def test_bodies_that_never_end(service: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(uploads, "MIN_BYTES_PER_SECOND", 1e9)
    with service.connect() as silent, service.connect() as drip:
        silent.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        drip.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        for connection in (silent, drip):
            answer = rest_of(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"comes too slowly, or never ends" in answer
    assert uploads_in_house(service) == 0


def test_heads_that_never_end(service: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with service.connect() as silent, service.connect() as half, service.connect() as second:
        half.sendall(HEAD)
        second.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in second.recv(65_536)
        second.sendall(HEAD)
        for connection in (silent, half, second):
            assert b"HTTP/1.1 408 " in rest_of(connection)
    with service.connect() as nonsense:
        nonsense.sendall(b"\x16\x03\x01 what is this?\r\n\r\n")
        answer = rest_of(nonsense)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in answer


def test_busy_and_then_not(model: Path, sound: Path):
    with running(model, max_requests=2, decoders=1) as service:
        with service.connect() as one, service.connect() as other:
            for held in (one, other):
                held.sendall(HEAD + b"Content-Length: 1000\r\n\r\nx")
            until(lambda: uploads_in_house(service) == 2)
            got = service.post("/v1/tag", sound.read_bytes())
            assert got.status == 503
            assert 1 <= int(got.headers["retry-after"]) <= 60
            assert got.problem.startswith("busy: ")
            assert service.get("/health").status == 200
        until(lambda: uploads_in_house(service) == 0)
        assert service.post("/v1/tag", sound.read_bytes()).status == 200


def until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_many_at_once_each_hear_their_own(service: Running, model: Path, tmp_path: Path):
    sounds = [wav((3_000 * np.sin(np.arange(16_000 * (2 + n % 3)) * 0.01 * (n + 1))), 16_000) for n in range(12)]
    alone = [service.post("/v1/tag", sound).json for sound in sounds]
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        found[number] = service.post("/v1/tag", sounds[number]).json

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(sounds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(len(sounds))] == alone


def test_who_goes_away_leaves_nothing(service: Running, sound: Path):
    body = sound.read_bytes()
    for share in (0, 0.5, 1):
        with service.connect() as connection:
            head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(head + body[: int(share * len(body))])
    until(lambda: uploads_in_house(service) == 0)
    assert service.post("/v1/tag", body).status == 200


def test_decoding_ends_when_nobody_waits(model: Path, sound: Path, monkeypatch: pytest.MonkeyPatch):
    futures: list[Future[object]] = []
    start = CallPool.start
    monkeypatch.setattr(CallPool, "start", lambda *given: futures.append(start(*given)) or futures[-1])
    long = silent_flac(128 * 20)
    with running(model, decoders=1, max_minutes=1_000) as service:
        with service.connect() as connection:
            connection.sendall(HEAD + f"Content-Length: {len(long)}\r\n\r\n".encode() + long)
            until(lambda: len(futures) == 2)  # the first one woke the processes
        until(futures[1].cancelled)
        assert service.post("/v1/tag", sound.read_bytes()).status == 200


def test_answers_that_nobody_reads(service: Running, sound: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(answers, "tags", lambda *_: bytes(50_000_000))
    monkeypatch.setattr(admission, "MAX_UNSENT_BYTES", 40_000_000)
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(uploads, "MIN_BYTES_PER_SECOND", 1e9)
    body = sound.read_bytes()
    assert service.post("/v1/tag", body).content == bytes(50_000_000)
    with service.connect() as silent:
        silent.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert silent.recv(12) == b"HTTP/1.1 200"
        got = service.post("/v1/embed", body)
        assert (got.status, got.json["failure_kind"]) == (503, "busy")
        until(lambda: service.post("/v1/embed", body).status == 200)
        assert len(rest_of(silent)) < 50_000_000


def test_errors_nobody_foresaw(service: Running, sound: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    def fail(*_: object) -> bytes:
        raise RuntimeError("secret words")

    monkeypatch.setattr("earwitness.service.answers.tags", fail)
    got = service.post("/v1/tag", sound.read_bytes())
    assert (got.status, got.problem) == (500, "the service met an error that nobody foresaw; its log has more")
    said: list[str] = []
    until(lambda: said.append(capsys.readouterr().err) or "secret words" in "".join(said))


def test_what_takes_too_long_is_given_up(model: Path, sound: Path):
    with running(model, decoders=1, answer_seconds=0.001) as service:
        got = service.post("/v1/tag", sound.read_bytes())
        assert (got.status, got.json["failure_kind"], got.headers["retry-after"]) == (503, "too_late", "60")
        assert got.problem.startswith("there was no answer within 0.001 s")
        until(lambda: uploads_in_house(service) == 0)


def test_the_end_finishes_or_refuses(model: Path, sound: Path):
    body = sound.read_bytes()
    with running(model, decoders=1) as service, service.connect() as half, service.connect() as whole:
        half.sendall(HEAD + b"Content-Length: 1000\r\n\r\nx")
        until(lambda: uploads_in_house(service) == 1)
        whole.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: uploads_in_house(service) == 2)
        service.service.end()
        refused, finished = rest_of(half), rest_of(whole)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"the service is being stopped" in refused
        assert finished.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 "))
        assert service.ended.wait(30)
        with pytest.raises(ConnectionRefusedError):
            service.connect()


def command(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "earwitness", "serve", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def refused(*arguments: object) -> str:
    """What the command says that does not begin to serve: one sentence."""
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr("sys.argv", ["earwitness", "serve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    assert ending.value.code == 1
    assert errors.getvalue().count("\n") == 1
    return errors.getvalue()


def test_commands_that_cannot_serve(model: Path, tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    assert "model.safetensors" in refused(tmp_path / "model.safetensors", "--port", 0)
    assert "missing.safetensors" in refused(tmp_path / "missing.safetensors", "--port", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is in use already; choose another" in refused(model, "--port", port)
    assert "'no such host' is no address to listen at" in refused(model, "--host", "no such host")
    assert "max_requests=0 must be at least 1" in refused(model, "--max-requests", 0)
    (tmp_path / "key").write_text("short")
    assert "must be a key of at least 16" in refused(model, "--port", 0, "--api-key-file", tmp_path / "key")


def test_a_port_is_had_before_the_model_is_there():
    with contextlib.closing(serving._bind(ServiceSettings(port=0))) as first:
        port = first.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} of 127.0.0.1 is in use already"):
            serving._bind(ServiceSettings(port=port))


@pytest.mark.parametrize("name", ["max_megabytes", "max_minutes", "answer_seconds"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_limits_that_are_none(name: str, value: float):
    with pytest.raises(SettingsError, match=f"{name}={value:g} must be positive and finite"):
        ServiceSettings(**{name: value})


def test_a_folder_that_is_gone(model: Path, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running(model, decoders=1) as service:
        [folder] = tmp_path.glob("earwitness-serve-*")
        folder.rmdir()
        got = service.post("/v1/tag", sound.read_bytes())
        assert (got.status, got.json["failure_kind"]) == (507, "disk")
        assert got.problem == "the upload cannot be stored (No such file or directory)"


def test_without_the_extra(model: Path):
    code = "import sys; sys.modules['fastapi'] = None; from earwitness.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", str(model)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "earwitness: the service needs fastapi, which is missing; pip install 'earwitness[serve]'\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_the_command_ends_in_peace(model: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with command(model, "--port", 0, "--decoders", 1) as process:
        said = process.stdout.readline()
        assert re.fullmatch(r"model\.safetensors is served at http://127\.0\.0\.1:\d+ \(Ctrl-C stops it\)\n", said)
        [folder] = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # what cleans folders for temporary files up tries this first
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "stopped\n")
    assert list(tmp_path.iterdir()) == []
