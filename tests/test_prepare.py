"""`earwitness prepare`: where its labels come from, and what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.io import wavfile

from earwitness.cli.prepare import Prepare
from earwitness.errors import EarwitnessError, LabelError, StoreError
from earwitness.labels import LabelSet
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings

SETTINGS = BuildSettings(workers=1)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """One clip of a bell, and one that is not there."""
    wavfile.write(tmp_path / "bell.wav", 16_000, np.ones(16_000, np.int16))
    path = tmp_path / "clips.csv"
    path.write_text("media,labels\nbell.wav,bell\ngone.wav,bell\n")
    return path


def prepare(manifest: Path, store: Path, label_set: Path | None = None, *, json: bool = False) -> int:
    return Prepare(manifest=manifest, store=store, settings=SETTINGS, label_set=label_set, json=json).run()


def test_the_label_set_of_a_file_a_model_and_a_store(manifest: Path, tmp_path: Path) -> None:
    labels = LabelSet.of(["rain", "bell", "bark"])
    (tmp_path / "labels.txt").write_text("rain\nbell\nbark\n")
    description = json.dumps({"labels": labels.to_rows()})
    save_file({"w": np.zeros(1, np.float32)}, tmp_path / "m.safetensors", metadata={"description": description})
    for name, source in (("a", "labels.txt"), ("b", "m.safetensors"), ("c", "a")):
        assert prepare(manifest, tmp_path / name, tmp_path / source) == 0
        assert Store.open(tmp_path / name).label_set == labels
    assert len({Store.open(tmp_path / name).fingerprint for name in "abc"}) == 1


def test_label_sets_that_cannot_be_read(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused: list[tuple[str, type[EarwitnessError], str]] = [
        ("no.txt", LabelError, "cannot be read"),
        ("no.safetensors", LabelError, "cannot be read"),
        ("empty", StoreError, "the folder holds no store"),
    ]
    for name, kind, words in refused:
        with pytest.raises(kind, match=words):
            prepare(manifest, tmp_path / "store", tmp_path / name)
    assert not (tmp_path / "store").exists()


def test_failures_are_told_each_time(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    where = f"1 of 2 clips are not stored; the reasons are in {store / 'failures.csv'}"
    assert prepare(manifest, store) == 0
    first = capsys.readouterr()
    assert where + "\n" in first.err
    assert "1 of 2 clips, 1 s of sound, in 1 part" in first.out
    assert "complete" not in first.out
    assert prepare(manifest, store) == 0
    again = capsys.readouterr()
    assert f"{where}; --retry-failures tries them again\n" in again.err
    assert "it was complete already" in again.out
    assert prepare(manifest, store, json=True) == 0
    as_json = capsys.readouterr()
    assert where in as_json.err
    values = json.loads(as_json.out)
    assert (values["num_failed"], values["was_complete"]) == (1, True)
    assert values["failures"] == str(store / "failures.csv")


def test_nothing_stored_is_a_failure(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bell.wav").unlink()
    assert prepare(manifest, tmp_path / "store") == 1
    assert "2 of 2 clips are not stored" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["clips.csv", "clips.csv/store", "x" * 300, "/proc/store"])
def test_places_that_cannot_be_written(manifest: Path, tmp_path: Path, place: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be written|this is a file"):
        prepare(manifest, tmp_path / place)


def test_a_manifest_whose_name_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(EarwitnessError, match=r"cannot be read \(File name too long\)"):
        prepare(tmp_path / ("x" * 300 + ".csv"), tmp_path / "store")
