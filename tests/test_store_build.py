"""Building stores: every row in one of two places, the same result whatever happens on the way."""

import csv
import errno
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import scipy.io.wavfile

from earwitness.audio.frames import media_frames
from earwitness.errors import EarwitnessError, LabelError, ManifestError, SettingsError, StoreError
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.store.build import build_store
from earwitness.store.header import read_header, write_header
from earwitness.store.parts import rows_path
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings
from made_stores import here, moments

RATE_HZ = 16_000
SETTINGS = BuildSettings(workers=2, clips_per_part=4)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Ten WAV files of 0.5 to 3.2 seconds, and files that are none."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for number in range(10):
        samples = rng.standard_normal(RATE_HZ // 2 + number * 4_800) * 3_000
        scipy.io.wavfile.write(folder / f"{number}.wav", RATE_HZ, samples.astype(np.int16))
    scipy.io.wavfile.write(folder / "silent.wav", RATE_HZ, np.zeros(0, np.int16))
    (folder / "text.wav").write_text("this is no sound")
    (folder / "a folder").mkdir()
    return folder


def manifest_of(sounds: Path, names: list[str], **columns: object) -> Manifest:
    table = pa.table(
        {
            "clip_id": [f"clip {row}" for row in range(len(names))],
            "media": [str(sounds / name) for name in names],
            "labels": [["noise", f"n{row % 3}"] for row in range(len(names))],
            **columns,
        }
    )
    return Manifest.from_table(table, source="sounds.csv")


@pytest.fixture(scope="module")
def manifest(sounds) -> Manifest:
    good = [f"{number}.wav" for number in range(10)]
    names = [*good[:3], "missing.wav", *good[3:6], "text.wav", "a folder", *good[6:], "silent.wav"]
    starts = [None] * len(names)
    stops = [None] * len(names)
    starts[9], stops[9] = 0.5, 2.0
    made = manifest_of(
        sounds,
        names,
        start_seconds=pa.array(starts, pa.float64()),
        stop_seconds=pa.array(stops, pa.float64()),
        fold=list(range(len(names))),
    )
    write_manifest(made, sounds / "sounds.parquet")
    return read_manifest(sounds / "sounds.parquet")


@pytest.fixture(scope="module")
def built(manifest, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "store"
    build_store(manifest, folder, settings=SETTINGS)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_row_is_in_one_of_two_places(manifest, tmp_path):
    seen = []
    summary = build_store(manifest, tmp_path / "store", settings=SETTINGS, engine=here, progress=seen.append)
    store = Store.open(tmp_path / "store")
    failed = store.failures()
    assert store.clips["clip_id"].to_pylist() + failed["clip_id"].to_pylist() != []
    together = {*store.clips["clip_id"].to_pylist(), *failed["clip_id"].to_pylist()}
    assert together == set(manifest.table["clip_id"].to_pylist())
    assert (summary.num_clips, summary.num_stored, summary.num_failed) == (14, 10, 4)
    assert (summary.num_parts, summary.num_resumed_parts, summary.was_complete) == (4, 0, False)
    assert summary.seconds_of_sound == pytest.approx(sum(store.clips["num_samples"].to_pylist()) / RATE_HZ)
    kinds = {row["clip_id"]: row["kind"] for row in failed.to_pylist()}
    assert kinds == {
        "clip 3": "missing",
        "clip 7": "undecodable",
        "clip 8": "undecodable",
        "clip 13": "no_samples",
    }
    assert "missing.wav" in failed["reason"][0].as_py()
    with (tmp_path / "store" / "failures.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == failed.to_pylist()
    assert [p.num_done for p in seen] == list(range(1, 15))
    assert (seen[-1].num_clips, seen[-1].num_failed, seen[-1].num_resumed) == (14, 4, 0)
    assert not (tmp_path / "store" / "tmp").exists()


def test_frames_are_those_of_the_media(manifest, built):
    store = Store.open(built)
    rows = [row for row in manifest.table.to_pylist() if row["clip_id"] in store.clips["clip_id"].to_pylist()]
    with FrameReader(store) as reader:
        for clip, row in enumerate(rows):
            stream = media_frames(
                row["media"],
                front_end=FrontEnd(),
                start_seconds=row["start_seconds"],
                stop_seconds=row["stop_seconds"],
            )
            with stream:
                expected = np.concatenate(list(stream))
            np.testing.assert_array_equal(reader.read_clip(clip), expected)
            stored = store.clips.slice(clip, 1).to_pylist()[0]
            assert stored["num_samples"] == stream.num_samples
            assert stored["is_padded"] == (stream.num_samples < FrontEnd().min_patch_samples)
            assert {name: stored[name] for name in row} == row
    assert store.clips["is_padded"][0].as_py()
    assert store.label_set == LabelSet.of(["n0", "n1", "n2", "noise"])
    assert store.targets(np.array([0]))[0].tolist() == [True, False, False, True]
    np.testing.assert_array_equal(store.clips["fold"].to_numpy()[store.select("fold < 3")], [0, 1, 2])


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_byte(manifest, built, tmp_path, workers):
    build_store(manifest, tmp_path / "store", settings=replace(SETTINGS, workers=workers))
    assert content(tmp_path / "store") == content(built)


def test_a_finished_store_is_left_alone(manifest, built):
    times = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    summary = build_store(manifest, built, settings=SETTINGS, progress=lambda _: pytest.fail("nothing is to be done"))
    assert summary.was_complete
    assert (summary.num_stored, summary.num_failed, summary.num_parts) == (10, 4, 4)
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == times


def test_given_label_sets(manifest, tmp_path):
    labels = LabelSet.of(["noise", "n2", "n1", "n0", "never"])
    build_store(manifest, tmp_path / "store", settings=SETTINGS, label_set=labels, engine=here)
    store = Store.open(tmp_path / "store")
    assert store.label_set == labels
    assert store.targets(np.array([0]))[0].tolist() == [True, False, False, True, False]


# Interrupted builds.

SCRIPT = """
import os, signal, sys
from earwitness.manifest import read_manifest
from earwitness.store.build import build_store
from earwitness.store.settings import BuildSettings

manifest, folder, moment = sys.argv[1:]

def die():
    os.killpg(0, signal.SIGKILL)

def count_syncs(descriptor, sync=os.fsync, left=[int(moment)]):
    left[0] -= 1
    if left[0] == 0:
        die()
    sync(descriptor)

if __name__ == "__main__":
    os.fsync = count_syncs
    build_store(read_manifest(manifest), folder, settings=BuildSettings(workers=2, clips_per_part=4))
"""
SYNCS_OF_A_BUILD = 4 + 4 * 4 + 5 * 2 + 2 + 2
"""Header and manifest, parts, index, failures, header: file and folder each."""


def start_build(tmp_path: Path, manifest: Manifest, *, die_at_sync: int) -> subprocess.Popen[bytes]:
    script = tmp_path / "build.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, script, manifest.source, tmp_path / "store", str(die_at_sync)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )


def finish(tmp_path: Path, manifest: Manifest) -> dict[str, bytes]:
    """Go on with the build that the script began, and give what is in the store."""
    build_store(manifest, tmp_path / "store", settings=SETTINGS, engine=here)
    return content(tmp_path / "store")


def test_what_is_there_at_any_sync_is_gone_on_with(manifest, built, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    copies = moments(
        folder, lambda: build_store(manifest, folder, settings=SETTINGS, engine=here), tmp_path, monkeypatch
    )
    assert len(copies) >= SYNCS_OF_A_BUILD // 7
    for copy in copies:
        assert finish(copy.parent, manifest) == content(built)


# between the two files of a part, and at the very last
@pytest.mark.parametrize("moment", [11, SYNCS_OF_A_BUILD])
def test_killed_at_a_sync_and_run_again(manifest, built, tmp_path, moment):
    with start_build(tmp_path, manifest, die_at_sync=moment) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert finish(tmp_path, manifest) == content(built)


def test_killed_at_random_moments_until_done(manifest, built, tmp_path):
    rng = np.random.default_rng(int.from_bytes(os.urandom(4)))
    for _ in range(3):
        with start_build(tmp_path, manifest, die_at_sync=10**9) as process:
            time.sleep(rng.uniform(0.3, 2.5))
            os.killpg(process.pid, signal.SIGKILL)
    assert finish(tmp_path, manifest) == content(built)


def test_finished_parts_are_not_built_again(manifest, tmp_path):
    folder = tmp_path / "store"

    def stop(progress):
        if progress.num_done == 10:  # in the third part
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(manifest, folder, settings=SETTINGS, engine=here, progress=stop)
    assert not (folder / "tmp").exists()
    done = {path: path.stat().st_mtime_ns for path in (folder / "parts").glob("*.parquet")}
    with pytest.raises(StoreError, match=r"unfinished \(2 of 4 parts\)"):
        Store.open(folder)
    seen = []
    summary = build_store(manifest, folder, settings=SETTINGS, engine=here, progress=seen.append)
    assert summary.num_resumed_parts == len(done) == 2
    assert (summary.num_stored, summary.num_failed) == (10, 4)
    assert seen[0].num_resumed == 14 - len(seen)
    assert seen[-1].num_done == 14
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_part_damaged_from_outside_is_built_again(manifest, built, tmp_path):
    shutil.copytree(built, tmp_path / "store")
    write_header(tmp_path / "store", replace(read_header(built), totals=None, fingerprint=None))
    rows_path(tmp_path / "store", 0).write_bytes(b"")
    (tmp_path / "store" / "parts" / "part-000001.npy").write_bytes(b"")
    assert finish(tmp_path, manifest) == content(built)


def test_an_interrupted_build_leaves_no_spool(manifest, tmp_path):
    def interrupt(progress):
        if progress.num_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(manifest, tmp_path / "store", settings=SETTINGS, progress=interrupt)
    assert not (tmp_path / "store" / "tmp").exists()


# A disk that is full. The limit of file size stands for it: any write beyond it fails.


@pytest.mark.parametrize(
    ("limit_bytes", "place"), [(10_000, "store/tmp/"), (60_000, "store: ")], ids=["in a worker", "in a part"]
)
def test_a_full_disk(manifest, built, tmp_path, limit_bytes, place):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot be written \(File too large\); make room") as caught:
            build_store(manifest, tmp_path / "store", settings=SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert place in str(caught.value)
    assert not (tmp_path / "store" / "tmp").exists()
    assert finish(tmp_path, manifest) == content(built)


# What is refused.


def test_another_store_is_there(manifest, built, sounds):
    before = content(built)
    more_labels = LabelSet.of(["noise", "n0", "n1", "n2", "more"])
    other = Manifest(manifest.table.slice(0, 5), "fewer.csv")
    with pytest.raises(StoreError, match=r"another manifest, sounds\.parquet \(14 rows\) and not fewer\.csv \(5 rows"):
        build_store(other, built, settings=SETTINGS)
    with pytest.raises(StoreError, match="front end: num_bands: 64 / 40"):
        build_store(manifest, built, settings=replace(SETTINGS, front_end=FrontEnd(num_bands=40)))
    with pytest.raises(StoreError, match=r"label set: 4 labels .* / 5 labels"):
        build_store(manifest, built, settings=SETTINGS, label_set=more_labels)
    with pytest.raises(StoreError, match="clips_per_part: 4 / 5"):
        build_store(manifest, built, settings=replace(SETTINGS, clips_per_part=5))
    assert content(built) == before


@pytest.mark.parametrize("is_finished", [True, False])
def test_patches_of_another_length_are_another_store(manifest, built, tmp_path, is_finished):
    """A short clip is filled up to one patch, so its frames follow from the length of a patch."""
    folder = tmp_path / "store"
    shutil.copytree(built, folder)
    if not is_finished:
        write_header(folder, replace(read_header(built), totals=None, fingerprint=None))
        rows_path(folder, 1).unlink()
    before = content(folder)
    longer = FrontEnd(patch_frames=200, patch_hop_frames=50)
    with pytest.raises(StoreError, match=r"front end: patch_frames: 96 / 200, patch_hop_frames: 96 / 50"):
        build_store(manifest, folder, settings=replace(SETTINGS, front_end=longer))
    assert content(folder) == before


def test_the_fingerprint_is_of_the_content_only(manifest, built, sounds, tmp_path):
    def fingerprint(name, made, **settings):
        build_store(made, tmp_path / name, settings=replace(SETTINGS, **settings), engine=here)
        return Store.open(tmp_path / name).fingerprint

    def with_column(name, values):
        place = manifest.table.column_names.index(name)
        return Manifest(manifest.table.set_column(place, name, pa.array(values)), manifest.source)

    before = Store.open(built).fingerprint
    assert fingerprint("other parts", manifest, clips_per_part=5) == before
    shutil.copytree(sounds, tmp_path / "elsewhere")
    moved = [media.replace(str(sounds), str(tmp_path / "elsewhere")) for media in manifest.table["media"].to_pylist()]
    assert fingerprint("moved", with_column("media", moved)) == before
    folds = manifest.table["fold"].to_pylist()
    assert fingerprint("another fold", with_column("fold", [99, *folds[1:]])) != before


def test_versions_are_kept_and_not_compared(manifest, built, tmp_path):
    [versions] = read_header(built).built_with
    assert set(versions) == {"earwitness", "av", "libavformat", "libavcodec", "libswresample"}
    assert versions["av"] == av.__version__
    assert versions["libavcodec"] == ".".join(map(str, av.library_versions["libavcodec"]))
    folder = tmp_path / "store"
    shutil.copytree(built, folder)
    older = {**versions, "av": "14.0.0"}
    write_header(folder, replace(read_header(built), totals=None, fingerprint=None, built_with=(older,)))
    rows_path(folder, 1).unlink()
    build_store(manifest, folder, settings=SETTINGS, engine=here)
    assert read_header(folder).built_with == (older, versions)
    assert Store.open(folder).fingerprint == Store.open(built).fingerprint


def test_a_store_of_nothing_says_so_when_it_is_used(sounds, tmp_path):
    nothing = manifest_of(sounds, ["text.wav", "gone.wav"])
    summary = build_store(nothing, tmp_path / "store", settings=SETTINGS, engine=here)
    assert (summary.num_stored, summary.num_failed) == (0, 2)
    store = Store.open(tmp_path / "store")
    for where in (None, "fold = 1"):
        with pytest.raises(StoreError, match=r"holds no clip, all 2 failed; the reasons are in .*failures\.csv"):
            store.select(where)


def test_a_folder_of_other_things(manifest, tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(StoreError, match="the folder is not empty and holds no store"):
        build_store(manifest, tmp_path, settings=SETTINGS)
    assert content(tmp_path) == {"thesis.txt": b"dear"}


def test_a_folder_that_cannot_be_made(manifest, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        build_store(manifest, tmp_path / "file" / "store", settings=SETTINGS)
    with pytest.raises(StoreError, match="this is a file; a store is a folder"):
        build_store(manifest, tmp_path / "file", settings=SETTINGS)
    with pytest.raises(StoreError, match=r"cannot be written \(File name too long\)"):
        build_store(manifest, tmp_path / ("x" * 300), settings=SETTINGS)
    with pytest.raises(StoreError, match="cannot be written"):
        build_store(manifest, "/proc/store", settings=SETTINGS)


def test_a_folder_that_may_not_be_looked_into(manifest, tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(StoreError, match=r"store: cannot be written \(Permission denied\)"):
        build_store(manifest, tmp_path / "store", settings=SETTINGS)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written(manifest, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        build_store(manifest, tmp_path / "store", settings=SETTINGS)


def test_two_builds_at_once(manifest, tmp_path):
    (tmp_path / "store").mkdir()
    with (tmp_path / "store" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another process is building this store"):
            build_store(manifest, tmp_path / "store", settings=SETTINGS)


def test_labels_that_do_not_fit(manifest, sounds, tmp_path):
    with pytest.raises(LabelError, match=r"sounds\.parquet: row 2: unknown label 'n1'; known labels"):
        build_store(manifest, tmp_path / "s", settings=SETTINGS, label_set=LabelSet.of(["noise", "n0"]))
    unlabelled = manifest_of(sounds, ["0.wav"], labels=pa.array([[]], pa.list_(pa.string())))
    with pytest.raises(LabelError, match="no clip has a label"):
        build_store(unlabelled, tmp_path / "s", settings=SETTINGS)
    assert not (tmp_path / "s").exists()


def test_columns_that_the_store_fills(sounds, tmp_path):
    with pytest.raises(ManifestError, match="column 'num_frames'"):
        build_store(manifest_of(sounds, ["0.wav"], num_frames=[3]), tmp_path / "s", settings=SETTINGS)


@pytest.mark.parametrize("name", ["workers", "clips_per_part", "timeout_seconds", "memory_limit_mib"])
def test_settings_out_of_range(name):
    with pytest.raises(SettingsError, match=f"{name}=0 must be positive"):
        BuildSettings(**{name: 0})


def test_errors_are_for_people(manifest, tmp_path):
    (tmp_path / "store.json").write_text("{}")
    with pytest.raises(EarwitnessError, match="describes no earwitness store"):
        build_store(manifest, tmp_path, settings=SETTINGS)
