"""Damage to stores is found, marked and mended; stores of earlier versions; what is refused."""

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from earwitness.errors import StoreError
from earwitness.manifest import Manifest
from earwitness.store.append import append_clips
from earwitness.store.build import build_store
from earwitness.store.drop import drop_clips
from earwitness.store.index import INDEX_FOLDER
from earwitness.store.merge import compact_store
from earwitness.store.parts import PARTS_FOLDER, frames_path, rows_path
from earwitness.store.read import Store
from earwitness.store.retry import retry_failures
from earwitness.store.verify import verify_store
from made_stores import SETTINGS, build, content, damage, files, here, manifest_of, moments, write_sounds


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def whole(sounds, tmp_path_factory) -> Path:
    return build(manifest_of(sounds, range(8)), tmp_path_factory.mktemp("whole") / "store")


@pytest.fixture
def store(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"


def prepare_again(folder: Path, manifest: Manifest) -> dict[str, object]:
    build_store(manifest, folder, settings=SETTINGS, engine=here)
    retry_failures(folder, kinds=["damaged"], settings=SETTINGS, engine=here)
    return content(folder)


def test_damaged_frames_are_found_marked_and_made_again(store, whole, sounds):
    damage(frames_path(store, 1), -1)
    damage(frames_path(store, 2), 128)
    report = verify_store(store)
    assert [(fault.part, fault.clips, fault.num_rows) for fault in report.parts] == [
        (1, ("clip 5",), 3),
        (2, ("clip 6",), 2),
    ]
    assert "do not match their checksum" in report.parts[0].reason
    assert (report.num_parts, report.num_clips, report.others, report.is_whole) == (3, 8, (), False)
    assert verify_store(store, repair=True) == report
    found = content(store)
    assert found["totals"].num_clips == 6
    assert {row["kind"] for row in found["failures"]} == {"damaged"}
    assert prepare_again(store, manifest_of(sounds, range(8))) == content(whole)


@pytest.mark.parametrize("length", [None, 0, 200, 20_000])
def test_frames_that_are_missing_or_cut(store, whole, sounds, length):
    path = frames_path(store, 0)
    if length is None:
        path.unlink()
    else:
        os.truncate(path, length)
    report = verify_store(store, repair=True)
    assert [fault.part for fault in report.parts] == [0]
    assert len(report.parts[0].clips) == (2 if length == 20_000 else 3)
    assert prepare_again(store, manifest_of(sounds, range(8))) == content(whole)


@pytest.mark.parametrize("place", [4, 400, -20])
def test_rows_that_are_damaged(store, whole, sounds, place):
    damage(rows_path(store, 1), place)
    report = verify_store(store)
    assert [(fault.part, fault.clips) for fault in report.parts] == [(1, ())]
    verify_store(store, repair=True)
    with pytest.raises(StoreError, match="unfinished"):
        Store.open(store)
    with pytest.raises(StoreError, match="1 of 3 parts are missing"):
        drop_clips(store, clip_ids=["clip 0"])
    # any manifest of these rows will do, in any order
    shuffled = manifest_of(sounds, [3, 1, 0, 2, 7, 5, 6, 4])
    assert prepare_again(store, shuffled) == content(whole)
    assert files(store) == files(whole)


def test_rows_of_another_part(store, whole, sounds):
    shutil.copy(rows_path(store, 0), rows_path(store, 1))
    shutil.copy(frames_path(store, 0), frames_path(store, 1))
    [fault] = verify_store(store, repair=True).parts
    assert "its rows are not those of the manifest" in fault.reason
    assert prepare_again(store, manifest_of(sounds, range(8))) == content(whole)


def test_a_damaged_index_and_manifest_are_written_again(store, whole):
    damage(store / INDEX_FOLDER / "first_frames.npy", -1)
    (store / "manifest.parquet").write_bytes(b"nothing")
    header = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps({**header, "fingerprint": "0" * 32}))
    report = verify_store(store)
    assert not report.parts
    words = " ".join(report.others)
    assert "manifest.parquet: this part of the store cannot be read" in words
    assert "first_frames.npy: not what follows from the parts" in words
    assert "store.json says 0000" in words
    assert verify_store(store, repair=True) == report
    assert content(store) == content(whole)
    assert (store / "manifest.parquet").read_bytes() == (whole / "manifest.parquet").read_bytes()


def test_failures_and_totals_are_held_against_the_parts(store, whole):
    damage(store / "failures.csv", 3)
    header = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(
        json.dumps({**header, "num_parts": 4, "totals": {**header["totals"], "num_warned": 1}})
    )
    words = " ".join(verify_store(store, repair=True).others)
    assert "store.json: num_parts is not what was written" in words
    assert "failures.csv: not what follows from the parts" in words
    assert "the totals of the parts are Totals(num_clips=8" in words
    assert content(store) == content(whole)


def test_what_a_header_was_given_is_checked_and_never_made_up(store):
    text = (store / "store.json").read_text()
    header = json.loads(text)
    other = {**header["manifest"], "source": "other.csv"}
    for changed in ({"manifest": other}, {"built_with": []}, {"merged_from": ["x"]}):
        (store / "store.json").write_text(json.dumps({**header, **changed}))
        report = verify_store(store)
        assert "store.json: it was changed since it was written, or is damaged" in report.others[0]
        with pytest.raises(StoreError, match="only a copy of it can mend that; nothing was repaired"):
            verify_store(store, repair=True)
    renamed = json.loads(text)
    renamed["labels"][0]["name"] = "thunder"
    (store / "store.json").write_text(json.dumps(renamed))
    assert verify_store(store).is_header_lost
    del header["checksum"]  # as written before there was one
    (store / "store.json").write_text(json.dumps(header))
    assert verify_store(store).is_whole


def test_names_of_columns_that_are_damaged(store):
    path = rows_path(store, 0)
    data = path.read_bytes()
    for name, other in ((b"failure_kind", b"failure_kin\xdf"), (b"num_samples", b"num_sbmples"), (b"PAR1", b"XAR1")):
        path.write_bytes(data.replace(name, other))
        [fault] = verify_store(store).parts
        assert (fault.part, fault.clips) == (0, ())


def test_repairing_is_interrupted(store, whole, sounds, tmp_path, monkeypatch):
    damage(frames_path(store, 0), -1)
    damage(rows_path(store, 1), 4)
    damage(frames_path(store, 2), -1)
    copies = moments(store, lambda: verify_store(store, repair=True), tmp_path, monkeypatch)
    wanted = content(whole)
    for copy in copies:
        build(manifest_of(sounds, range(8)), copy)
        verify_store(copy, repair=True)
        assert prepare_again(copy, manifest_of(sounds, range(8))) == wanted


# Stores of version 1.


@pytest.fixture
def old(whole, tmp_path) -> Path:
    """A store as version 1 left it: no checksums, no manifest beside the parts, a shorter header."""
    folder = tmp_path / "old"
    shutil.copytree(whole, folder)
    for path in (folder / PARTS_FOLDER).glob("*.parquet"):
        pa.parquet.write_table(pa.parquet.read_table(path).drop_columns(["frames_digest"]), path, compression="zstd")
    (folder / "manifest.parquet").unlink()
    header = json.loads((folder / "store.json").read_text())
    del header["data_folder"], header["merged_from"], header["manifest"]["appended"]
    (folder / "store.json").write_text(json.dumps({**header, "version": 1}))
    return folder


def test_a_store_of_version_1_is_read(old, whole, sounds):
    assert content(old) == content(whole)
    report = verify_store(old)
    assert (report.is_whole, report.num_clips, report.num_without_checksum) == (True, 8, 8)
    assert build_store(manifest_of(sounds, range(8)), old, settings=SETTINGS).was_complete
    with pytest.raises(StoreError, match=r"1 row removed \(the first: 'clip 7'\)"):
        build_store(manifest_of(sounds, range(7)), old, settings=SETTINGS)
    assert json.loads((old / "store.json").read_text())["version"] == 1


def test_a_store_of_version_1_is_looked_after(old, whole, sounds, tmp_path):
    drop_clips(old, clip_ids=["clip 1"])
    append_clips(manifest_of(sounds, range(9)), old, settings=SETTINGS, engine=here)
    retry_failures(old, kinds=["dropped"], settings=SETTINGS, engine=here)
    fresh = build(manifest_of(sounds, range(9)), tmp_path / "fresh")
    assert content(old) == content(fresh)
    assert verify_store(old).num_without_checksum == 7
    compact_store(old)
    assert verify_store(old).num_without_checksum == 0
    assert files(old, data_folder="compacted-1") == files(fresh)


def test_an_unfinished_store_of_version_1_is_finished(old, whole, sounds):
    header = json.loads((old / "store.json").read_text())
    (old / "store.json").write_text(json.dumps({**header, "totals": None, "fingerprint": None}))
    rows_path(old, 1).unlink()
    with pytest.raises(StoreError, match=r"another manifest.*not known, its rows are lost"):
        build_store(manifest_of(sounds, range(7)), old, settings=SETTINGS)
    build_store(manifest_of(sounds, range(8)), old, settings=SETTINGS, engine=here)
    assert content(old) == content(whole)


# What is refused.


def test_a_store_is_held_by_one_at_a_time(store, sounds):
    from earwitness.store.claim import claimed

    changes: list[Callable[[], object]] = [
        lambda: drop_clips(store, clip_ids=["clip 0"]),
        lambda: compact_store(store),
        lambda: retry_failures(store, settings=SETTINGS),
        lambda: append_clips(manifest_of(sounds, [9]), store, settings=SETTINGS),
        lambda: verify_store(store, repair=True),
    ]
    with claimed(store):
        for change in changes:
            with pytest.raises(StoreError, match="another process is building this store, or changes it"):
                change()


def test_folders_that_are_no_stores(sounds, tmp_path):
    changes: list[Callable[[Path], object]] = [
        lambda folder: drop_clips(folder, clip_ids=["clip 0"]),
        compact_store,
        verify_store,
        lambda folder: retry_failures(folder, settings=SETTINGS),
        lambda folder: append_clips(manifest_of(sounds, [9]), folder, settings=SETTINGS),
    ]
    (tmp_path / "empty").mkdir()
    for change, name in itertools.product(changes, ("none", "empty")):
        with pytest.raises(StoreError, match=r"there is no such folder|the folder holds no store"):
            change(tmp_path / name)
    assert [*tmp_path.iterdir()] == [tmp_path / "empty"]


def test_a_header_that_points_outside(store):
    values = json.loads((store / "store.json").read_text())
    for data_folder in ("..", "../x", "/", "compacted-1/..", "parts"):
        (store / "store.json").write_text(json.dumps({**values, "data_folder": data_folder}))
        with pytest.raises(StoreError, match="data_folder is"):
            Store.open(store)
