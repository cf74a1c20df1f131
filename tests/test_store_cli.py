"""`earwitness store` and `prepare --retry-failures --max-failures`, as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
from tqdm import tqdm

from earwitness.cli.main import main
from earwitness.store.append import append_clips
from earwitness.store.parts import frames_path
from earwitness.store.read import Store
from made_stores import here

RATE_HZ = 16_000


@pytest.fixture
def earwitness(tmp_path, monkeypatch, capsys):
    """A function that runs a command in a folder with sounds and manifests: status, output, errors."""
    rng = np.random.default_rng(0)
    for number in range(6):
        scipy.io.wavfile.write(tmp_path / f"{number}.wav", RATE_HZ, rng.integers(-99, 99, RATE_HZ).astype(np.int16))
    rows = [f"clip-{number},{number}.wav,n{number % 2}\n" for number in range(6)]
    for name, part in (("first", rows[:3]), ("all", rows), ("rest", rows[3:])):
        (tmp_path / f"{name}.csv").write_text("clip_id,media,labels\n" + "".join(part))
    (tmp_path / "wind.csv").write_text("clip_id,media,labels\nw,5.wav,wind\n")
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["earwitness", *command.split()])
        status: object = 0
        try:
            main()
        except SystemExit as ended:
            status = ended.code
        out, errors = capsys.readouterr()
        assert isinstance(status, int)
        assert "Traceback" not in errors
        return status, out, errors

    return run


@pytest.fixture
def no_workers(monkeypatch):
    """Commands build in this process, but for those that a test is about."""
    monkeypatch.setattr("earwitness.store.local.make_parts", here)
    monkeypatch.setitem(append_clips.__kwdefaults__, "engine", here)


PREPARE = "--workers 1 --clips-per-part 2"


def test_a_store_is_looked_after(earwitness, tmp_path, monkeypatch):
    monkeypatch.setattr("earwitness.cli.output.tqdm", lambda **options: tqdm(**options | {"delay": 0}))
    (tmp_path / "1.wav").rename(tmp_path / "away.wav")
    status, _, errors = earwitness(f"prepare first.csv S {PREPARE}")
    assert status == 0
    assert "1 of 3 clips are not stored" in errors
    assert "h of media a minute, 1 failed" in errors
    (tmp_path / "away.wav").rename(tmp_path / "1.wav")
    assert "1 clip tried again, 1 now stored" in earwitness(f"prepare first.csv S {PREPARE} --retry-failures")[1]
    status, out, _ = earwitness(f"prepare first.csv S {PREPARE} --retry-failures transient crash --json")
    assert json.loads(out)["retried"] == {"num_tried": 0, "num_stored": 0}
    assert json.loads(out)["was_complete"]
    status, _, errors = earwitness(f"prepare first.csv S {PREPARE} --retry-failures pain")
    assert (status, "no kind of failure 'pain'" in errors) == (1, True)

    status, _, errors = earwitness(f"prepare all.csv S {PREPARE}")
    assert (status, "3 rows added (the first: 'clip-3'). `earwitness store append`" in errors) == (1, True)
    assert "3 rows added, 3 were there before" in earwitness("store append S all.csv --workers 1")[1]
    assert "it was complete already" in earwitness(f"prepare all.csv S {PREPARE}")[1]
    status, _, errors = earwitness("store append S wind.csv --workers 1")
    assert (status, "clip 'w': unknown label 'wind'" in errors) == (1, True)
    assert "1 new label\n" in earwitness("store append S wind.csv --workers 1 --grow-labels")[1]

    assert "1 clip dropped; 6 are left" in earwitness("store drop S --where clip_id='clip-0'")[1]
    (tmp_path / "ids.txt").write_text("clip-0\nclip-2\n")
    _, out, _ = earwitness("store drop S --clips-file ids.txt --json")
    assert json.loads(out) | {"store": ""} == {
        "schema_version": 1,
        "store": "",
        "num_dropped": 1,
        "num_before": 1,
        "num_left": 5,
    }
    for wrong in ("", "--where true --clips-file ids.txt", "--clips-file gone.txt"):
        assert earwitness(f"store drop S {wrong}")[0] == 1
    _, out, _ = earwitness("store info S")
    assert "S: 5 clips" in out
    assert "2 clips not stored: dropped" in out
    assert json.loads(earwitness("store info S --json")[1])["failures"] == {"dropped": 2}

    assert "5 of 5 clips, 5 s of sound, in 3 parts" in earwitness("store compact S")[1]
    assert earwitness("store compact S --clips-per-part 0")[0] == 1
    store = Store.open(tmp_path / "S")
    assert store.clips["clip_id"].to_pylist() == ["clip-1", "clip-3", "clip-4", "clip-5", "w"]
    assert earwitness("store verify S")[:2] == (0, "S: 3 parts, 5 clips: nothing is damaged\n")


def test_damage_is_found_and_mended(no_workers, earwitness, tmp_path):
    earwitness(f"prepare all.csv S {PREPARE}")
    path = frames_path(tmp_path / "S", 1)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    status, out, errors = earwitness("store verify S")
    assert status == 1
    assert "S: 3 parts, 6 clips: DAMAGED\n  part 1: 1 of its 2 rows (S/parts/part-000001.npy: frames do not" in out
    assert "--repair marks what is damaged" in errors
    report = json.loads(earwitness("store verify S --json")[1])
    assert [part["clips"] for part in report["parts"]] == [["clip-3"]]
    status, _, errors = earwitness("store verify S --repair")
    assert status == 0
    assert "prepare MANIFEST STORE --retry-failures damaged" in errors
    assert "S/manifest.parquet" in errors
    out = earwitness(f"prepare S/manifest.parquet S {PREPARE} --retry-failures damaged")[1]
    assert "6 of 6 clips" in out
    assert earwitness("store verify S")[0] == 0


def test_merging(no_workers, earwitness, tmp_path):
    earwitness(f"prepare first.csv A {PREPARE}")
    earwitness(f"prepare rest.csv B {PREPARE}")
    earwitness(f"prepare all.csv C {PREPARE}")
    assert "6 of 6 clips, 6 s of sound, in 3 parts" in earwitness("store merge M A B")[1]
    assert Store.open(tmp_path / "M").fingerprint == Store.open(tmp_path / "C").fingerprint
    assert json.loads(earwitness("store merge M A B --json")[1])["num_parts"] == 3
    status, _, errors = earwitness("store merge N A C")
    assert (status, "3 clips are in more than one store" in errors) == (1, True)
    assert earwitness("store merge N A")[0] == 1


def test_a_budget(no_workers, earwitness, tmp_path):
    for number in range(4):
        Path(f"{number}.wav").unlink()
    status, _, errors = earwitness(f"prepare all.csv S {PREPARE} --max-failures 2")
    assert status == 1
    assert "3 of 6 clips have failed, and --max-failures 2 allows 2: 3 missing" in errors
    assert earwitness(f"prepare all.csv S {PREPARE} --max-failures some")[0] != 0
    assert earwitness(f"prepare all.csv S {PREPARE} --max-failures 1 --retry-failures pain")[0] != 0
    for number in range(4):
        scipy.io.wavfile.write(tmp_path / f"{number}.wav", RATE_HZ, np.ones(RATE_HZ, np.int16))
    assert earwitness(f"prepare all.csv S {PREPARE} --max-failures 1")[0] == 1
    status, out, _ = earwitness(f"prepare all.csv S {PREPARE} --max-failures 1 --retry-failures --json")
    assert (status, json.loads(out)["num_stored"]) == (0, 6)
