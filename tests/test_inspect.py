"""`earwitness inspect` as people use it: what it says of a corpus with planted flaws, its files, and bad input."""

import base64
import contextlib
import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile

from earwitness.cli.main import main
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.selection import select_rows
from earwitness.store.read import Store
from test_doctor_page import assert_offline
from test_page import Reader

RATE_HZ = 16_000


@dataclass(frozen=True)
class Ran:
    """What a command has said."""

    status: int
    output: str
    errors: str


def earwitness(*arguments: object) -> Ran:
    """Run the command in this process, through its entry point."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    return Ran(int(ending.value.code or 0), output.getvalue(), errors.getvalue())


def refused(*arguments: object, saying: str | Sequence[str]) -> None:
    """A command that must fail with one sentence that holds the given words."""
    ran = earwitness(*arguments)
    assert ran.status == 1, ran
    (sentence,) = (line for line in ran.errors.splitlines() if line.startswith("earwitness: "))
    for words in [saying] if isinstance(saying, str) else saying:
        assert words in sentence


def noise(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Bursts of noise over hiss, other with each seed."""
    rng = np.random.default_rng(seed)
    samples = 0.01 * rng.standard_normal(int(seconds * RATE_HZ))
    for start in rng.integers(0, len(samples) - 2_000, size=8):
        samples[start : start + 2_000] += rng.uniform(0.05, 0.2) * rng.standard_normal(2_000)
    return samples


def write_wav(path: Path, samples: np.ndarray) -> None:
    wavfile.write(path, RATE_HZ, np.rint(32_767 * samples.clip(-1, 1)).astype(np.int16))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 12 good clips and five that are not: a copy in the other split, garbage, silence, clipping, and
    one that is no longer than a moment.
    """
    folder = tmp_path_factory.mktemp("planted")
    for number in range(12):
        write_wav(folder / f"good-{number:02d}.wav", noise(number))
    (folder / "copy.wav").write_bytes((folder / "good-03.wav").read_bytes())
    (folder / "garbage.wav").write_bytes(bytes(range(256)) * 40)
    write_wav(folder / "silent.wav", np.zeros(3 * RATE_HZ))
    write_wav(folder / "clipped.wav", 8 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE_HZ) / RATE_HZ))
    write_wav(folder / "moment.wav", noise(50)[: RATE_HZ // 5])
    with (folder / "corpus.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["clip_id", "media", "labels", "split"])
        for number in range(12):
            labels = "hiss|burst" if number < 10 else ""
            rows.writerow([f"good-{number:02d}", f"good-{number:02d}.wav", labels, "train" if number % 2 else "test"])
        for name in ("copy", "garbage", "silent", "clipped", "moment"):
            rows.writerow([name, f"{name}.wav", "rare" if name == "clipped" else "hiss", "test"])
    return folder / "corpus.csv"


@pytest.fixture(scope="module")
def inspected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """The corpus inspected as JSON, and the folder of its report."""
    out = tmp_path_factory.mktemp("inspected") / "deep" / "report"
    return earwitness("inspect", corpus, "--out", out, "--workers", 1, "--json"), out


def found(report: dict, kind: str) -> set[str]:
    return {finding["clip_id"] for finding in report["findings"] if finding["kind"] == kind}


def test_what_was_planted_is_found(inspected: tuple[Ran, Path]) -> None:
    ran, _ = inspected
    assert ran.status == 0, ran.errors
    report = json.loads(ran.output)
    assert report["schema_version"] == 1
    assert (report["num_clips"], report["num_scanned"]) == (17, 17)
    assert found(report, "undecodable") == {"garbage"}
    assert found(report, "silent") == {"silent"}
    assert found(report, "clipped") == {"clipped"}
    assert found(report, "very_short") == {"moment"}
    assert found(report, "duplicate") == {"good-03", "copy"}
    assert found(report, "split_leak") == {"good-03", "copy"}
    assert found(report, "unlabelled") == {"good-10", "good-11"}
    assert "rare" in report["labels"]["too_few"]


def test_files_of_a_report(inspected: tuple[Ran, Path]) -> None:
    ran, out = inspected
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json", "findings.csv", "keep.sql"}
    assert json.loads((out / "report.json").read_text()) == json.loads(ran.output)
    with (out / "findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(json.loads(ran.output)["findings"])
    (copy,) = (row for row in rows if row["clip_id"] == "copy" and row["kind"] == "duplicate")
    assert copy["related"] == "good-03"
    assert "keep.sql" in ran.errors


def test_page_of_a_corpus(inspected: tuple[Ran, Path]) -> None:
    _, out = inspected
    page = Reader(out / "report.html")
    assert_offline(page, out / "report.html")
    for words in ("What is wrong with corpus.csv", "all 17 clips", "Leaks over the split", "Undecodable", "garbage"):
        assert words in page.text
    playable = [tag["aria-label"] for tag in page.of("audio")]
    assert {"good-03", "copy", "silent", "clipped", "moment"} <= set(playable)
    assert "garbage" not in playable
    for tag in page.of("audio"):
        assert base64.b64decode(tag["src"].removeprefix("data:audio/mpeg;base64,"))


def test_summary_status_and_what_is_left_out(corpus: Path, inspected: tuple[Ran, Path], tmp_path: Path) -> None:
    clean = tmp_path / "clean.parquet"
    ran = earwitness("inspect", corpus, "--workers", 1, "--clean-out", clean, "--fail-on", "clipped", "split_leak")
    assert ran.status == 1
    assert "found split_leak, clipped" in ran.errors
    assert "all 17 clips" in ran.output
    titles = ("Leaks over the split: 2 clips", "Copies: 2", "Undecodable: 1", "Silent: 1", "On too few clips")
    order = [ran.output.index(title) for title in titles]
    assert order == sorted(order)
    assert "garbage: " in ran.output
    assert "14 clips, 3 left out" in ran.errors
    left = set(read_manifest(clean).table["clip_id"].to_pylist())
    everything = read_manifest(corpus).table
    assert set(everything["clip_id"].to_pylist()) - left == {"copy", "garbage", "silent"}
    rows = select_rows(everything, (inspected[1] / "keep.sql").read_text())
    assert set(everything["clip_id"].take(rows).to_pylist()) == left


def test_other_clips_are_left_out(corpus: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean.jsonl"
    arguments = ("--clean-out", clean, "--drop", "very_short", "--fail-on", "cancelling_channels")
    assert earwitness("inspect", corpus, "--workers", 1, *arguments).status == 0
    assert set(read_manifest(corpus).table["clip_id"].to_pylist()) - set(
        read_manifest(clean).table["clip_id"].to_pylist()
    ) == {"moment"}


def test_store(made_store: Store, tmp_path: Path) -> None:
    ran = earwitness("inspect", made_store.folder, "--workers", 1, "--out", tmp_path, "--json")
    report = json.loads(ran.output)
    assert report["scanned"] == "store"
    assert report["fingerprint"] == made_store.fingerprint
    assert report["num_scanned"] == made_store.num_clips
    assert_offline(Reader(tmp_path / "report.html"), tmp_path / "report.html")
    refused("inspect", made_store.folder, "--clean-out", tmp_path / "x.parquet", saying=["--clean-out", "keep.sql"])
    refused("inspect", made_store.folder, "--label-set", tmp_path / "x.txt", saying="has its labels from prepare")


def test_sample(corpus: Path) -> None:
    output = earwitness("inspect", corpus, "--workers", 1, "--sample", 6, "--seed", 3).output
    assert "6 of 17 clips, drawn at random (seed 3)" in output
    assert "95 %" in output


def test_bad_input(corpus: Path, made_store: Store, tmp_path: Path) -> None:
    refused("inspect", tmp_path / "nothing.csv", saying="there is no such file")
    refused("inspect", tmp_path, saying="holds no store")
    refused("inspect", corpus, "--sample", 0, saying="sample=0 must be at least 1")
    refused("inspect", corpus, "--workers", 0, saying="workers=0")
    refused("inspect", corpus, "--sample", 10, "--seed", -1, saying="seed=-1 must be 0 or more")
    refused("inspect", corpus, "--min-seconds", "inf", saying="min_seconds=inf must be positive and finite")
    refused("inspect", corpus, "--silent-dbfs", "nan", saying="silent_dbfs=nan must be a number")
    refused(
        "prepare", corpus, tmp_path / "s", "--timeout-seconds", "nan", saying="timeout_seconds=nan must be positive"
    )
    refused("inspect", corpus, "--split-column", "nothing", "--workers", 1, saying="nothing")
    refused("inspect", corpus, "--drop", "split_leak", saying=["split_leak", "both sides"])
    refused("inspect", corpus, "--drop", "silnt", saying=["'silnt'", "did you mean 'silent'?"])
    refused("inspect", corpus, "--fail-on", "all", saying=["'all'", "known:"])
    (tmp_path / "file").write_text("")
    refused("inspect", corpus, "--out", tmp_path / "file", saying="the report needs a folder")
    refused("inspect", corpus, "--clean-out", tmp_path / "x.txt", saying=["x.txt", ".parquet, .csv, .jsonl"])
    (tmp_path / "table.txt").write_text("x")
    refused("inspect", tmp_path / "table.txt", saying="a table ends in one of")


def test_unfinished_store(made_store: Store, tmp_path: Path) -> None:
    header = json.loads((made_store.folder / "store.json").read_text())
    (tmp_path / "store.json").write_text(json.dumps({**header, "totals": None, "state": "unfinished"}))
    refused("inspect", tmp_path, saying="the store is unfinished")


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_ctrl_c(tmp_path: Path) -> None:
    for number in range(2):
        write_wav(tmp_path / f"{number}.wav", noise(number, seconds=60))
    rows = [{"clip_id": str(number), "media": f"{number % 2}.wav"} for number in range(400)]
    write_manifest(Manifest.from_table(pa.Table.from_pylist(rows)), tmp_path / "long.jsonl")
    command = [sys.executable, "-m", "earwitness", "inspect", str(tmp_path / "long.jsonl"), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text():  # workers: it has begun
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert rest.endswith("earwitness: stopped\n")  # an inspection begins anew
