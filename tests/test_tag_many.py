"""`earwitness tag` of many inputs: a row for each whatever it is, the same by every route and after being killed."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from scipy.io import wavfile

from earwitness.audio.decoding_pool import temporary_spool_folder
from earwitness.cli.main import main
from earwitness.errors import SettingsError
from earwitness.files import locked
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import open_model
from earwitness.inference.tagger import Tagger
from earwitness.labels import LabelSet
from earwitness.listening.inputs import Input
from earwitness.listening.journal import SUFFIX, open_journal
from earwitness.manifest import Manifest, write_manifest
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, save_model

RATE_HZ = 16_000
SCORES = 1e-6
"""Between a file scored alone and one that shares batches: kernels round as they please."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What it printed as JSON Lines."""
        return [json.loads(line) for line in self.stdout.split("\n")[:-1]]


def tag(*arguments: object, status: int = 0, stdin: bytes = b"") -> Said:
    """Run `earwitness tag` with these arguments in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr("sys.argv", ["earwitness", "tag", *map(str, arguments)])
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ending:
            main()
    assert ending.value.code == status, err.getvalue()
    return Said(status, out.getvalue(), err.getvalue())


def refused(*arguments: object, saying: str, stdin: bytes = b"") -> None:
    """A command that must fail with one sentence."""
    errors = [line for line in tag(*arguments, status=1, stdin=stdin).stderr.splitlines() if "earwitness: " in line]
    assert len(errors) == 1, errors
    assert saying in errors[0]


def write_wav(path: Path, seconds: float, *, seed: int = 0, rate: int = RATE_HZ, channels: int = 1) -> Path:
    """Noise whose colour is its own, so that scores differ from file to file."""
    rng = np.random.default_rng(seed)
    num_samples = round(seconds * rate)
    noise = np.convolve(rng.normal(size=num_samples + 4), rng.normal(size=5))[4 : num_samples + 4]
    samples = noise[:, None] * 10 ** rng.uniform(-2, 0) * np.ones(channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, (samples.clip(-1, 1) * 20_000).astype(np.int16))
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights whose scores spread over [0, 1]."""
    architecture = Architecture(name="fully_connected", arguments={"num_labels": 3, "num_units": 8, "num_layers": 1})
    torch.manual_seed(0)
    network = architecture.build()
    with torch.no_grad():
        network.head.weight.normal_(std=0.5)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    labels = LabelSet.of(["a", "b", "c"])
    save_model(Model(network=network, architecture=architecture, label_set=labels, front_end=FrontEnd()), path)
    return path


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that people have in folders."""
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(40):
        write_wav(folder / f"short/{number:02d}.wav", 0.5 + number % 7, seed=number)
    write_wav(folder / "deep/er/long.wav", 70.0, seed=100)
    write_wav(folder / "odd/192kHz.wav", 2.0, rate=192_000)
    write_wav(folder / "odd/16channels.wav", 2.0, channels=16)
    write_wav(folder / "odd/one sample.wav", 1 / RATE_HZ)
    write_wav(folder / "odd/no sample.wav", 0.0)
    wavfile.write(folder / "odd/silent.wav", RATE_HZ, np.zeros(2 * RATE_HZ, np.int16))
    write_wav(folder / "odd/sound.wav", 1.5).rename(folder / "odd/sound as.mp4")
    (folder / "odd/text.mp3").write_text("this is no music")
    (folder / "odd/empty.flac").touch()
    with av.open(folder / "odd/no sound.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 32, 32
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    (folder / "notes.txt").write_text("left out")
    return folder


KINDS = {
    "odd/empty.flac": "no_samples",
    "odd/no sample.wav": "no_samples",
    "odd/no sound.mp4": "no_audio",
    "odd/text.mp3": "undecodable",
}


@pytest.fixture(scope="session")
def by_folder(model: Path, sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder tagged once, with all there is to write."""
    folder = tmp_path_factory.mktemp("tagged")
    options = ("--timeline", "--all-scores", "--workers", 2)
    said = tag(model, sounds, "--out", folder / "rows.jsonl", "--patch-scores", folder / "p.csv", *options, status=1)
    assert "50 media files (46 .wav, " in said.stderr
    assert "4 of 50 files gave no sound" in said.stderr
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["p.csv", "rows.jsonl", "rows.jsonl.made.json"], "nothing else is left"
    return folder


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_for_each_file_whatever_it_is(model: Path, sounds: Path, by_folder: Path) -> None:
    rows = {str(Path(row["media"]).relative_to(sounds)): row for row in rows_of(by_folder / "rows.jsonl")}
    assert list(rows) == sorted(rows)
    assert {name: row["failure_kind"] for name, row in rows.items() if row["status"] == "failed"} == KINDS
    assert "silent" in rows["odd/silent.wav"]["warnings"][0]
    assert rows["odd/one sample.wav"]["is_padded"]
    tagger = Tagger(open_model(model), device="cpu")
    for name, row in rows.items():
        if row["status"] == "ok":
            scores = tagger.score(sounds / name).scores
            np.testing.assert_allclose(list(row["scores"].values()), scores, atol=SCORES, err_msg=name)
    with (by_folder / "p.csv").open(newline="") as file:
        patches = list(csv.DictReader(file))
    in_order = list(dict.fromkeys(row["media"] for row in patches))
    assert in_order == [row["media"] for row in rows.values() if row["status"] == "ok"]
    assert len(patches) == sum(row.get("num_patches", 0) for row in rows.values())


def test_lists_and_other_forms_say_the_same(model: Path, sounds: Path, by_folder: Path, tmp_path: Path) -> None:
    expected = rows_of(by_folder / "rows.jsonl")
    names = "".join(f"{row['media']}\n" for row in expected).encode()
    options = (model, "--files-from", "-", "--timeline", "--all-scores")
    printed = tag(*options, "--json", stdin=names + b"\n\n", status=1).rows
    assert printed == expected, "whatever comes first, and whoever decodes"

    tag(*options, "--out", tmp_path / "t.parquet", stdin=names, status=1)
    table = pa.parquet.read_table(tmp_path / "t.parquet")
    assert json.loads(table.schema.metadata[b"earwitness_label_ids"]) == ["a", "b", "c"]
    for row, there in zip(expected, table.to_pylist(), strict=True):
        assert {name: there[name] for name in ("media", "status")} == {name: row[name] for name in ("media", "status")}
        assert there["failure_kind"] == row.get("failure_kind")
        if row["status"] == "ok":
            assert there["tags"] == row["tags"]
            assert there["scores"] == list(row["scores"].values())
            assert there["events"] == row["events"]

    tag(*options, "--out", tmp_path / "t.csv", "--top", 1, stdin=names, status=1)
    with (tmp_path / "t.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(dict.fromkeys(line["media"] for line in lines)) == [row["media"] for row in expected]
    assert sum(line["row"] == "tag" for line in lines) == 46
    assert sum(line["row"] == "score" for line in lines) == 46 * 3
    assert {line["failure_kind"] for line in lines} == {"", *KINDS.values()}
    heard = [row for row in expected if row["status"] == "ok"]
    for kind, of_json in (
        ("tag", [row["tags"][0] for row in heard]),
        ("event", [event for row in heard for event in row["events"]]),
    ):
        of_csv = [line for line in lines if line["row"] == kind]
        for there, here in zip(of_csv, of_json, strict=True):
            assert {name: there[name] if "label" in name else float(there[name]) for name in here} == {
                name: value if "label" in name else pytest.approx(value) for name, value in here.items()
            }


def test_names_of_every_kind(model: Path, sounds: Path, tmp_path: Path) -> None:
    """Only an end of line ends a name in a list, whatever Unicode takes for one; nor is a name too long for a row."""
    content = (sounds / "short/00.wav").read_bytes()
    names = [b"\xe2\x80\xa8.wav", b"\xc2\x85.wav", b"\x0b\x1c.wav", b"not UTF-8 \xff.wav", b" spaces .wav"]
    for name in names:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(content)
    listed = [os.fsencode(tmp_path) + b"/" + name for name in names]
    rows = tag(model, "--files-from", "-", "--json", stdin=b"\r\n".join([*listed, b"x" * 300]) + b"\n", status=1).rows
    assert [os.fsencode(row["media"]) for row in rows[:-1]] == listed
    assert [row["status"] for row in rows] == ["ok"] * len(names) + ["failed"]


def test_manifest_with_ranges(model: Path, sounds: Path, tmp_path: Path) -> None:
    long = str(sounds / "deep/er/long.wav")
    starts = [None, *(float(start) for start in range(0, 60, 6))]
    table = {
        "clip_id": [f"clip {number}" for number in range(len(starts))],
        "media": [long] * len(starts),
        "start_seconds": starts,
        "stop_seconds": [None if start is None else start + 5 for start in starts],
        "split": ["train", *["eval"] * (len(starts) - 1)],
    }
    write_manifest(Manifest.from_table(pa.table(table)), tmp_path / "m.parquet")
    write_manifest(Manifest.from_table(pa.table(table)), tmp_path / "m.csv")
    said = tag(model, tmp_path / "m.csv", "--where", "split = 'eval'", "--json", "--timeline", "--threshold", 0.01)
    assert [row["clip_id"] for row in said.rows] == table["clip_id"][1:]
    again = tag(model, tmp_path / "m.parquet", "--where", "split = 'eval'", "--json", "--timeline", "--threshold", 0.01)
    assert again.rows == said.rows
    tagger = Tagger(open_model(model), device="cpu")
    for row in said.rows:
        start, stop = row["start_seconds"], row["stop_seconds"]
        clip = tagger.score(long, start_seconds=start, stop_seconds=stop)
        np.testing.assert_allclose(sorted(tag["score"] for tag in row["tags"]), np.sort(clip.scores), atol=SCORES)
        assert all(start <= event["start_seconds"] < event["stop_seconds"] <= stop for event in row["events"])
    text = tag(model, tmp_path / "m.csv", "--where", "clip_id = 'clip 3'").stdout
    assert "long.wav from 0:12.0 to 0:17.0  (5 s)" in text


def test_killed_and_taken_up(model: Path, sounds: Path, by_folder: Path, tmp_path: Path) -> None:
    """SIGKILL after some rows; then the same command makes the same files, byte for byte."""
    arguments = [model, sounds, "--timeline", "--all-scores", "--workers", "2"]
    arguments += ["--out", tmp_path / "rows.jsonl", "--patch-scores", tmp_path / "p.csv"]
    unfinished = tmp_path / f"rows.jsonl{SUFFIX}"
    command = [sys.executable, "-m", "earwitness", "tag", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        journal = unfinished / "rows.jsonl"
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") >= 2):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert unfinished.is_dir(), "it was killed too late"
    kept = (unfinished / "rows.jsonl").read_bytes()
    assert kept

    refused(*arguments, "--top", 2, saying="had other settings (top: 5 before, 2 now); give the same ones to go on; ")
    short = [sounds / "short", *arguments[2:]]
    refused(model, *short, saying="had other inputs (number 1: ")
    with locked(unfinished, busy=None):
        refused(*arguments, saying="another process is making it")
    assert (unfinished / "rows.jsonl").read_bytes().startswith(kept)

    tag(*arguments, status=1)
    for name in ("rows.jsonl", "p.csv"):
        assert (tmp_path / name).read_bytes() == (by_folder / name).read_bytes()
    assert not unfinished.exists()


def test_a_finished_result_is_not_replaced_unasked(model: Path, sounds: Path, tmp_path: Path) -> None:
    short, out = sounds / "short/00.wav", tmp_path / "rows.jsonl"
    said = tag(model, short, "--out", out)
    assert f"{out}: 1 file tagged: 0.5 s of sound, in " in said.stderr
    content, written = out.read_bytes(), out.stat().st_mtime_ns
    assert f"{out}: complete already, 1 file tagged: 0.5 s of sound" in tag(model, short, "--out", out).stderr
    assert out.stat().st_mtime_ns == written
    refused(
        model, short, "--out", out, "--top", 1, saying="made otherwise (top: 5 there, 1 now); name another file, or"
    )
    refused(model, sounds / "short/01.wav", "--out", out, saying="made otherwise (inputs: 1 (")
    (tmp_path / "mine.csv").write_text("mine")
    refused(model, short, "--out", tmp_path / "mine.csv", saying="nothing says that it was made so")
    refused(model, short, "--patch-scores", tmp_path / "mine.csv", saying="nothing says that it was made so")
    (tmp_path / "folder.csv").mkdir()
    refused(model, short, "--out", tmp_path / "folder.csv", "--overwrite", saying="this is a folder; name a file")
    refused(model, short, "--overwrite", saying="--overwrite is for --out and --patch-scores")
    assert out.read_bytes() == content
    assert not list(tmp_path.glob(f"*{SUFFIX}")), "refusals leave nothing"

    tag(model, short, "--out", out, "--top", 1, "--overwrite")
    [row] = rows_of(out)
    assert len(row["tags"]) == 1
    tag(model, short, "--out", tmp_path / "mine.csv", "--overwrite")
    refused(model, short, "--out", out, saying="top: 1 there, 5 now")
    tag(model, short, "--out", out, "--top", 1, "--plot", tmp_path / "p.png")
    assert (tmp_path / "p.png").exists(), "a picture is drawn of what is heard"
    out.unlink()
    tag(model, short, "--out", out)
    assert out.read_bytes() == content, "what is not there any more is in nobody's way"
    said = tag(model, sounds / "odd/text.mp3", "--out", tmp_path / "failed.csv", status=1)
    assert "1 of 1 file gave no sound (1 undecodable)" in said.stderr
    assert tag(model, sounds / "odd/text.mp3", "--out", tmp_path / "failed.csv", status=1).stderr.count("no sound") == 1


def test_overwrite_begins_other_stopped_work_anew(tmp_path: Path) -> None:
    out, inputs = tmp_path / "rows.jsonl", [Input("0.wav")]
    with open_journal(out, inputs, depends_on={"top": 5}) as journal:
        journal.add([(0, {"row": 0})])
    with open_journal(out, inputs, depends_on={"top": 5}, overwrite=True) as journal:
        assert journal.num_done == 1, "the same work goes on"
    with open_journal(out, inputs, depends_on={"top": 1}, overwrite=True) as journal:
        assert journal.num_done == 0


def test_journal_forgets_a_torn_line(tmp_path: Path) -> None:
    inputs = [Input(f"{number}.wav") for number in range(4)]
    out = tmp_path / "rows.jsonl"
    with open_journal(out, inputs, depends_on={"top": 5}) as journal:
        journal.add_patches(2, b"two\n")
        journal.add([(2, {"row": 2})])
        journal.add_patches(0, b"zero, ")
        journal.add_patches(0, b"zero\n")
        journal.add_patches(1, b"one\n")
        journal.add([(0, {"row": 0}), (1, {"row": 1})])
    folder = tmp_path / f"rows.jsonl{SUFFIX}"
    content = (folder / "rows.jsonl").read_bytes()
    first = content.index(b"\n") + 1
    (folder / "rows.jsonl").write_bytes(content[:first] + bytes(len(content) - first - 1) + b"\n")
    with open_journal(out, inputs, depends_on={"top": 5}) as journal:
        assert journal.num_done == 1, "what a power cut left"
        journal.add_patches(0, b"zero, ")
    (folder / "rows.jsonl").write_bytes(content[:-1])
    with open_journal(out, inputs, depends_on={"top": 5}) as journal:
        assert [journal.is_done(number) for number in range(4)] == [False, False, True, False]
        for number in (3, 1, 0):
            journal.add_patches(number, f"{number}!\n".encode())
            journal.add([(number, {"row": number})])
    with open_journal(out, inputs, depends_on={"top": 5}) as journal:
        assert journal.num_done == 4
        assert [row["row"] for row in journal.rows()] == [0, 1, 2, 3]
        assert b"".join(journal.patches()) == b"0!\n1!\ntwo\n3!\n"
        journal.remove()
    assert not folder.exists()
    with open_journal(out, inputs, depends_on={}):
        pass
    more = [*inputs, Input("more.wav")]
    for others, words in ((more, "number 5: nothing before, more.wav now"), (inputs[1:], "number 1: 0.wav before")):
        with pytest.raises(SettingsError, match=words), open_journal(out, others, depends_on={}):
            pass


def test_hostile_and_slow_files_cost_nobody_else(model: Path, sounds: Path, tmp_path: Path) -> None:
    """A limit that a long file passes is the reason in its row, of few files as of many."""
    options = ("--cpu-limit-seconds", 0.03, "--json")
    write_wav(tmp_path / "long.wav", 900.0)
    assert tag(model, tmp_path / "long.wav", *options, status=1).rows[0]["failure_kind"] == "time_limit"
    rows = tag(model, tmp_path / "long.wav", sounds / "short/00.wav", *options, status=1).rows
    assert rows[0]["failure_kind"] == "time_limit"
    assert rows[1]["status"] == "ok"


def test_what_killed_processes_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("spool-left", "spool-busy", "other"):
        (tmp_path / f"earwitness-{name}").mkdir()
        (tmp_path / f"earwitness-{name}/.lock").touch()
    with locked(tmp_path / "earwitness-spool-busy", busy=None), temporary_spool_folder() as folder:
        (folder / "frames").touch()
        with temporary_spool_folder() as another:
            assert folder.is_dir()
            names = {path.name for path in tmp_path.iterdir()}
        assert names == {folder.name, another.name, "earwitness-spool-busy", "earwitness-other"}
    assert not folder.exists()


def test_bad_words(model: Path, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").touch()
    sound = sounds / "short/00.wav"
    refused(model, tmp_path / "empty", saying="no media file lies in this folder")
    refused(model, "--files-from", "-", saying="it is empty; the name of a file in each line")
    refused(model, "--files-from", sound, saying="this is no text")
    refused(model, "--files-from", tmp_path / "none.txt", saying="it cannot be read (No such file")
    refused(model, sound, "--where", "fold = 1", saying="chooses rows of a manifest, and none is given")
    refused(model, tmp_path / "none.csv", saying="there is no such file")
    refused(model, sound, "--all-scores", saying="--all-scores is for --out and --json")
    refused(model, sound, "--out", tmp_path / "empty/notes.txt/x.csv", saying="the result cannot be written")
    twice = tmp_path / "twice.csv"
    refused(model, sound, "--out", twice, "--patch-scores", twice, saying="this is what --out names")
    refused(model, sound, "--ray-address", "auto", saying="is for --engine ray")
    refused(model, sound, "--engine", "ray", "--plot", "x.png", saying="is for --engine local")
    refused(model, sound, "--engine", "ray", "--ray-address", "nowhere", saying="ray_address='nowhere' must be")
    refused(model, sound, "--workers", 0, saying="workers=0 must be positive")


@pytest.mark.slow
def test_cluster_gives_the_same_rows(model: Path, sounds: Path, by_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'earwitness[ray]'")
    out = tmp_path / "rows.jsonl"
    options = ("--timeline", "--all-scores", "--out", out, "--engine", "ray", "--workers", 2)
    command = [sys.executable, "-m", "earwitness", "tag", model, sounds, *options]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1, done.stderr
    assert "4 of 50 files gave no sound" in done.stderr
    assert out.read_bytes() == (by_folder / "rows.jsonl").read_bytes()
