"""Media, manifests and stores behind URLs: what is on a disk comes out the same, by few requests, whatever happens.

An S3 server of this machine (moto) stands in for a bucket; the requests it gets are counted.
"""

import contextlib
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.io.wavfile

from earwitness.audio.decode import decode, read_waveform
from earwitness.audio.source import OpenMedia
from earwitness.errors import (
    ManifestError,
    MissingError,
    MissingExtraError,
    StoreError,
    TransientError,
    UndecodableError,
)
from earwitness.files import LOCK_FILE
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.places import BLOCK_BYTES, UrlPath, listing, place, read_pieces
from earwitness.store.append import append_clips
from earwitness.store.build import build_store
from earwitness.store.drop import drop_clips
from earwitness.store.files import spool_folder_of
from earwitness.store.merge import compact_store, merge_stores
from earwitness.store.parts import frames_path, rows_path
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.retry import retry_failures
from earwitness.store.settings import BuildSettings
from earwitness.store.verify import verify_store
from earwitness.training.loop import train
from earwitness.training.settings import TrainSettings
from made_stores import here

RATE_HZ = 16_000
NUM_CLIPS = 12
SETTINGS = BuildSettings(workers=2, clips_per_part=4)


@pytest.fixture
def requests(server):
    server.lines.clear()
    return server


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """Sounds on the disk, and their manifest."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for number in range(NUM_CLIPS):
        samples = rng.standard_normal(RATE_HZ * (1 + number % 3)) * 3_000
        scipy.io.wavfile.write(folder / f"{number}.wav", RATE_HZ, samples.astype(np.int16))
    (folder / "5.wav").rename(folder / "away.wav")
    table = {
        "media": [f"{number}.wav" for number in range(NUM_CLIPS)],
        "labels": [[f"n{number % 3}"] for number in range(NUM_CLIPS)],
        "fold": [number % 2 for number in range(NUM_CLIPS)],
    }
    write_manifest(Manifest.from_table(pa.table(table)), folder / "sounds.parquet")
    write_manifest(Manifest.from_table(pa.table(table)), folder / "sounds.csv")
    return folder


@pytest.fixture(scope="module")
def built(sounds, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "store"
    build_store(read_manifest(sounds / "sounds.parquet"), folder, settings=SETTINGS, engine=here)
    return folder


@pytest.fixture(scope="module")
def remote(server, sounds) -> str:
    url = "s3://bucket/built"
    build_store(read_manifest(sounds / "sounds.parquet"), url, settings=SETTINGS, engine=here)
    return url


def content(folder: Path | str) -> dict[str, bytes]:
    """Every file of a store but its lock, wherever it is."""
    where = place(folder)
    if isinstance(where, Path):
        found = {str(path.relative_to(where)): path.read_bytes() for path in where.rglob("*") if path.is_file()}
    else:
        with where._file_system() as (system, path):
            found = {name.removeprefix(f"{path}/"): system.cat_file(name) for name in system.find(path)}
    return {name: found[name] for name in sorted(found) if name != LOCK_FILE}


def unfinished_uploads() -> list[str]:
    import s3fs

    found = s3fs.S3FileSystem(use_listings_cache=False).call_s3("list_multipart_uploads", Bucket="bucket")
    return [upload["Key"] for upload in found.get("Uploads", [])]


# Media and manifests.


def test_a_range_of_a_long_file_costs_a_few_blocks(requests, tmp_path):
    rng = np.random.default_rng(0)
    seconds = 1_450
    scipy.io.wavfile.write(tmp_path / "film.wav", RATE_HZ, rng.integers(-99, 99, RATE_HZ * seconds).astype(np.int16))
    size = (tmp_path / "film.wav").stat().st_size
    assert size > 11 * BLOCK_BYTES
    film = UrlPath("s3://bucket/film.wav")
    with film._file_system() as (system, path):
        system.put_file(str(tmp_path / "film.wav"), path)
    requests.lines.clear()
    here = read_waveform(tmp_path / "film.wav", start_seconds=700.0, stop_seconds=710.0)
    there = read_waveform(str(film), start_seconds=700.0, stop_seconds=710.0)
    np.testing.assert_array_equal(here, there)
    ranges = [re.search(r"bytes=(\d+)-(\d+)", line) for line in requests.lines if line.startswith("GET")]
    assert all(ranges)
    num_bytes = sum(int(found[2]) + 1 - int(found[1]) for found in ranges if found)
    assert (len(ranges), requests.counts()["HEAD"]) == (2, 1)  # its beginning, and the place
    assert num_bytes <= 2 * BLOCK_BYTES
    requests.lines.clear()
    with decode(str(film)) as blocks:
        num_samples = sum(map(len, blocks))
    assert num_samples == RATE_HZ * seconds
    assert len(requests.lines) <= size // BLOCK_BYTES + 4


def test_a_server_without_ranges(tmp_path):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install 'earwitness[http]'")
    rng = np.random.default_rng(0)
    for seconds in (60, 150):
        samples = rng.integers(-99, 99, RATE_HZ * seconds).astype(np.int16)
        scipy.io.wavfile.write(tmp_path / f"{seconds}.wav", RATE_HZ, samples)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

        def copyfile(self, source, target) -> None:
            with contextlib.suppress(ConnectionError):
                super().copyfile(source, target)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert len(read_waveform(f"{url}/60.wav")) == 60 * RATE_HZ
        with pytest.raises(UndecodableError, match=r"reading broke off.*range requests"):
            read_waveform(f"{url}/150.wav")  # and not its first block alone
        server.shutdown()


def test_what_a_web_server_answers_is_told_apart():
    """Not there, not allowed, and out of order; fsspec calls all of them "not found"."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install 'earwitness[http]'")

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/0":
                self.connection.close()
            else:
                self.send_error(int(self.path[1:4]))

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for answer, error, words in (
            (404, MissingError, "no such file"),
            (410, MissingError, "no such file"),
            (403, UndecodableError, "403.*Forbidden"),
            (503, TransientError, "503.*Service Unavailable"),
            (429, TransientError, "429"),
            (0, TransientError, "ServerDisconnectedError"),
        ):
            with pytest.raises(error, match=f"{url}/{answer}: .*{words}"):
                OpenMedia(f"{url}/{answer}")
        with pytest.raises(ManifestError, match="503"):
            read_manifest(f"{url}/503.csv")
        server.shutdown()
    with pytest.raises(TransientError, match="Cannot connect"):
        OpenMedia(f"{url}/404")


def test_media_that_are_not_there(server):
    for url in ("s3://bucket/none.wav", "s3://nobucket/none.wav"):
        with pytest.raises(MissingError, match=f"{url}: no such file"):
            decode(url)


def test_nobody_serves(monkeypatch):
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'earwitness[s3]'")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(StoreError, match=r"s3://bucket/store/store\.json: the store cannot be read"):
            Store.open("s3://bucket/store")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_without_the_package(monkeypatch):
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'earwitness\[s3\]'"):
        Store.open("s3://bucket/store")


@pytest.mark.parametrize("name", ["sounds.parquet", "sounds.csv"])
def test_a_manifest_and_its_media_behind_urls(server, sounds, built, name):
    folder = UrlPath("s3://bucket/sounds")
    with folder._file_system() as (system, path):
        for file in sounds.iterdir():
            system.put_file(str(file), f"{path}/{file.name}")
    manifest = read_manifest(f"s3://bucket/sounds/{name}")
    assert manifest.table["media"][3].as_py() == "s3://bucket/sounds/3.wav"
    with pytest.raises(ManifestError, match=r"s3://bucket/none\.csv: there is no such file"):
        read_manifest("s3://bucket/none.csv")
    url = f"s3://bucket/from-{name}"
    assert build_store(manifest, url, settings=SETTINGS, engine=here).num_stored == NUM_CLIPS - 1
    assert content(url)["parts/part-000001.npy"] == content(built)["parts/part-000001.npy"]


# Stores.


def test_a_store_behind_a_url_is_the_same(requests, sounds, built, capsys):
    url = "s3://bucket/same"
    manifest = read_manifest(sounds / "sounds.parquet")
    build_store(manifest, url, settings=SETTINGS, engine=here)
    building = requests.counts()
    assert content(url) == content(built)
    assert listing(UrlPath(url)).keys() & {LOCK_FILE, "tmp"} == set()
    assert not spool_folder_of(UrlPath(url)).exists()
    # 3 parts of 2 objects; 5 arrays of the index; header twice, manifest, failures, lease
    assert building["PUT"] == 6 + 5 + 4 + 1
    assert building.total() <= 45
    requests.lines.clear()
    assert build_store(manifest, url, settings=SETTINGS, engine=here).was_complete
    with capsys.disabled():
        print(f"\nbuilding 3 parts: {dict(building)}; finding them complete: {dict(requests.counts())}")
    assert requests.counts().total() <= 4


def test_reading_by_ranges(requests, built, remote):
    here = Store.open(built)
    Store.open(remote)  # copies the index
    requests.lines.clear()
    there = Store.open(remote)
    assert requests.counts().total() <= 7  # the header, and whether the 5 arrays are still those
    assert there.clips.equals(here.clips)
    assert there.failures().equals(here.failures())
    assert there.fingerprint == here.fingerprint
    rng = np.random.default_rng(0)
    clips = rng.integers(0, here.num_clips, 40)
    firsts = np.array([rng.integers(0, here.frames_per_clip[clip] - 20) for clip in clips])
    with FrameReader(here) as disk, FrameReader(there) as bucket:
        requests.lines.clear()
        np.testing.assert_array_equal(bucket.read_patches(clips, firsts, 20), disk.read_patches(clips, firsts, 20))
        assert len(requests.lines) == 40
        assert all("bytes=" in line for line in requests.lines)
        requests.lines.clear()
        starts = np.arange(0, here.frames_per_clip[2] - 20, 20)
        one = np.full(len(starts), 2)
        np.testing.assert_array_equal(bucket.read_patches(one, starts, 20), disk.read_patches(one, starts, 20))
        assert len(requests.lines) == 1  # patches that follow one another are one range
        np.testing.assert_array_equal(bucket.read_clip(3), disk.read_clip(3))
        assert bucket.read_patches(np.array([], np.int64), np.array([], np.int64), 20).shape == (0, 20, 64)


def test_the_copied_index_is_renewed(server, sounds, tmp_path):
    url = "s3://bucket/renewed"
    build_store(read_manifest(sounds / "sounds.parquet"), url, settings=SETTINGS, engine=here)
    assert Store.open(url).num_clips == NUM_CLIPS - 1
    drop_clips(url, clip_ids=["0.wav"])
    store = Store.open(url)
    assert store.num_clips == NUM_CLIPS - 2
    assert store.index.first_frames[0] > 0


def test_training_from_a_bucket_is_training_from_a_disk(built, remote, tmp_path):
    settings = TrainSettings(
        network="fully_connected", num_layers=1, num_units=16, steps=3, batch_size=8, device="cpu", threads=1
    )
    losses = []
    for name, folder in (("disk", built), ("bucket", remote)):
        train(Store.open(folder), tmp_path / name, settings=settings)
        losses.append((tmp_path / name / "metrics.csv").read_text().splitlines())
    columns = losses[0][0].split(",")
    at = columns.index("loss")
    assert [row.split(",")[at] for row in losses[0]] == [row.split(",")[at] for row in losses[1]]
    assert len(losses[0]) >= 2
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("disk", "bucket")]
    weights = [model[8 + int.from_bytes(model[:8], "little") :] for model in models]
    assert weights[0] == weights[1]
    assert weights[0]


def test_interrupted_and_resumed(server, sounds, built):
    url = "s3://bucket/interrupted"
    manifest, parts = read_manifest(sounds / "sounds.parquet"), UrlPath(url) / "parts"

    def interrupt(progress) -> None:
        if progress.num_done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(manifest, url, settings=SETTINGS, engine=here, progress=interrupt)
    with parts._file_system() as (system, path):  # what a process leaves that is killed while it puts a large part
        bucket, key, _ = system.split_path(path)
        begun = system.call_s3("create_multipart_upload", Bucket=bucket, Key=f"{key}/part-000002.npy")
        system.call_s3(
            "upload_part",
            Bucket=bucket,
            Key=f"{key}/part-000002.npy",
            PartNumber=1,
            UploadId=begun["UploadId"],
            Body=b"x" * 1_000,
        )
        others = system.call_s3("create_multipart_upload", Bucket=bucket, Key="interrupted-not/somebody-else")
    assert len(unfinished_uploads()) == 2
    with pytest.raises(StoreError, match=r"unfinished \(2 of 3 parts\)"):
        Store.open(url)
    assert build_store(manifest, url, settings=SETTINGS, engine=here).num_resumed_parts == 2
    assert content(url) == content(built)
    assert unfinished_uploads() == ["interrupted-not/somebody-else"]
    with parts._file_system() as (system, _):
        key, upload = "interrupted-not/somebody-else", others["UploadId"]
        system.call_s3("abort_multipart_upload", Bucket="bucket", Key=key, UploadId=upload)


@pytest.mark.slow
def test_killed_and_resumed(server, sounds, built):
    url = "s3://bucket/killed"
    command = [sys.executable, "-m", "earwitness", "prepare", str(sounds / "sounds.parquet"), url]
    command += ["--workers", "1", "--clips-per-part", "4"]
    parts = UrlPath(url) / "parts"
    for wanted in (1, 2):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as building:
            deadline = time.monotonic() + 60
            while sum(name.endswith(".parquet") for name in listing(parts)) < wanted:
                assert time.monotonic() < deadline
                assert building.poll() is None
                time.sleep(0.02)
            building.kill()
    with pytest.raises(StoreError, match=r"unfinished \([1-3] of 3 parts\)"):
        Store.open(url)
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["num_resumed_parts"] in (1, 2, 3)
    assert content(url) == content(built)
    assert not spool_folder_of(UrlPath(url)).exists()


def test_looking_after_a_store_in_a_bucket(server, sounds, tmp_path):
    manifest = read_manifest(sounds / "sounds.parquet")
    first = Manifest(manifest.table.slice(0, 8), manifest.source)
    folders = (tmp_path / "store", "s3://bucket/care")
    away = sounds / "away.wav"
    for folder in folders:
        build_store(first, folder, settings=SETTINGS, engine=here)
        assert append_clips(manifest, folder, settings=SETTINGS, engine=here).num_added == 4
        away.rename(sounds / "5.wav")
        try:
            assert retry_failures(folder, settings=SETTINGS, engine=here).num_stored == 1
        finally:
            (sounds / "5.wav").rename(away)
        assert drop_clips(folder, where="clip_id = '2.wav'").num_dropped == 1
        assert verify_store(folder).is_whole
    assert content(folders[0]) == content(folders[1])
    for folder in folders:
        assert compact_store(folder).num_clips == NUM_CLIPS - 1
    assert content(folders[0]) == content(folders[1])
    damaged = frames_path(place(folders[1]) / "compacted-1", 0)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    report = verify_store(folders[1])
    assert [fault.clips for fault in report.parts] == [("4.wav",)]
    rows_path(place(folders[1]) / "compacted-1", 1).unlink()
    assert verify_store(folders[1]).are_rows_lost


def test_merging_across(server, built, remote, tmp_path):
    build_store(read_manifest(built / "manifest.parquet"), tmp_path / "part", settings=SETTINGS, engine=here)
    with pytest.raises(StoreError, match="clips are in more than one store"):
        merge_stores([built, remote], "s3://bucket/merged")


# Elsewhere.


def test_somewhere_else(server, sounds):
    manifest = read_manifest(sounds / "sounds.parquet")
    (UrlPath("s3://bucket/full") / "letter.txt").write_bytes(b"x")
    with pytest.raises(StoreError, match="s3://bucket/full: the folder is not empty and holds no store"):
        build_store(manifest, "s3://bucket/full", settings=SETTINGS, engine=here)
    with pytest.raises(StoreError, match=r"s3://nobucket/store.*cannot be written"):
        build_store(manifest, "s3://nobucket/store", settings=SETTINGS, engine=here)
    with pytest.raises(StoreError, match=r"s3://bucket/nothing: .*no store\.json"):
        Store.open("s3://bucket/nothing")


# Any other file system of fsspec.


def test_in_memory(sounds, built, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url = "memory://somewhere/store"
    build_store(read_manifest(sounds / "sounds.parquet"), url, settings=SETTINGS, engine=here)
    assert content(url) == content(built)
    with FrameReader(Store.open(url)) as one, FrameReader(Store.open(built)) as other:
        np.testing.assert_array_equal(one.read_clip(1), other.read_clip(1))
    assert b"".join(read_pieces(UrlPath(url) / "store.json", 2, 8)) == (built / "store.json").read_bytes()[2:8]


def test_places():
    assert place("a/b") == Path("a/b")
    assert place("file:///a%20b") == Path("/a b")
    assert str(place("s3://b/x/") / "y") == "s3://b/x/y"
    assert place("s3://b/x.csv").suffix == ".csv"
    assert place("s3://b/x/y").parent == UrlPath("s3://b/x")
    assert UrlPath("s3://b/x") / "." == UrlPath("s3://b/x")


@pytest.mark.slow
def test_the_commands(server, remote, sounds, tmp_path):
    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "earwitness", *words], check=True, capture_output=True, text=True
        ).stdout

    model = tmp_path / "run" / "model.safetensors"
    training = ["--network", "fully_connected", "--num-layers", "1", "--num-units", "8", "--batch-size", "8"]
    run("train", remote, str(tmp_path / "run"), "--steps", "3", *training)
    assert model.exists()
    evaluated = json.loads(run("evaluate", str(model), remote, "--where", "fold = 1", "--json"))
    assert evaluated["store_path"] == remote
    assert "nothing is damaged" in run("store", "verify", remote)
    assert json.loads(run("store", "info", remote, "--json"))["num_clips"] == NUM_CLIPS - 1


@pytest.mark.slow
def test_a_cluster_builds_into_a_bucket(server, sounds, built):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'earwitness[ray]'")
    url = "s3://bucket/by-a-cluster"
    command = [sys.executable, "-m", "earwitness", "prepare", str(sounds / "sounds.parquet"), url]
    command += ["--workers", "2", "--clips-per-part", "4", "--engine", "ray"]
    subprocess.run(command, check=True, capture_output=True)
    assert content(url) == content(built)
    assert not list(spool_folder_of(UrlPath(url)).glob("*"))
