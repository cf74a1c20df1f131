"""The engine of a cluster makes the stores that the local engine makes, whatever is lost on the way."""

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.io.wavfile

from earwitness import ray_tasks
from earwitness.errors import ClusterError, MissingExtraError, SettingsError, StoreError
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.store import cluster
from earwitness.store.build import build_store
from earwitness.store.cluster import cluster_engine
from earwitness.store.complete import part_job
from earwitness.store.header import read_header
from earwitness.store.parts import rows_path
from earwitness.store.read import Store
from earwitness.store.retry import retry_failures
from earwitness.store.settings import BuildSettings
from earwitness.store.versions import decoder_versions
from made_stores import here

RATE_HZ = 16_000
NUM_CLIPS = 48
SETTINGS = BuildSettings(workers=2, clips_per_part=4)
COMMAND = [sys.executable, "-m", "earwitness", "prepare"]


@pytest.fixture
def ray():
    """Ray, where it is installed."""
    return pytest.importorskip("ray", reason="Ray is not installed: pip install 'earwitness[ray]'")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """Some sounds, one of which is missing."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for number in range(NUM_CLIPS):
        samples = rng.standard_normal(RATE_HZ * (1 + number % 3)) * 3_000
        scipy.io.wavfile.write(folder / f"{number}.wav", RATE_HZ, samples.astype(np.int16))
    (folder / "5.wav").rename(folder / "away.wav")
    table = {
        "media": [str(folder / f"{number}.wav") for number in range(NUM_CLIPS)],
        "labels": [[f"n{number % 3}"] for number in range(NUM_CLIPS)],
    }
    write_manifest(Manifest.from_table(pa.table(table)), folder / "sounds.parquet")
    return folder / "sounds.parquet"


@pytest.fixture(scope="module")
def built(manifest, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "store"
    build_store(read_manifest(manifest), folder, settings=SETTINGS)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def job_of(folder: Path, manifest: Path, part: int, **changes: object):
    header = read_header(folder)
    rows = header.part_rows[part]
    job = part_job(folder, header, part, read_manifest(manifest).table.slice(rows.start, len(rows)))
    return replace(job, **changes)


def run_part(job, tmp_path: Path, versions: dict[str, str] | None = None):
    return cluster._make_part(job, tmp_path / "spool", SETTINGS, versions or decoder_versions())


def test_a_cluster_of_this_machine_makes_the_same_store(ray, manifest, built, tmp_path):
    command = [*COMMAND, str(manifest), str(tmp_path / "store"), "--engine", "ray", "--clips-per-part", "24"]
    done = subprocess.run([*command, "--workers", "2", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["num_stored"] == NUM_CLIPS - 1
    assert "ray" not in done.stderr.lower()
    local = tmp_path / "local"
    build_store(read_manifest(manifest), local, settings=replace(SETTINGS, clips_per_part=24), engine=here)
    assert content(tmp_path / "store") == content(local)


def test_a_part_made_twice_is_harmless(manifest, built, tmp_path):
    folder = tmp_path / "store"
    shutil.copytree(built, folder)
    job = job_of(folder, manifest, 1)
    before = rows_path(folder, 1).stat().st_ino
    counts = run_part(job, tmp_path)
    assert (counts.num_rows, counts.num_failed) == (4, 1)
    assert rows_path(folder, 1).stat().st_ino == before  # found done
    rows_path(folder, 1).unlink()
    again = run_part(job, tmp_path)
    assert (again.num_rows, again.num_frames, again.failures) == (4, counts.num_frames, counts.failures)
    assert content(folder) == content(built)

    # a retry whose first clip was stored by the task before
    away = manifest.parent / "away.wav"
    away.rename(manifest.parent / "5.wav")
    try:
        retry_failures(folder, settings=SETTINGS, engine=here)
        stored = content(folder)
        twin = run_part(replace(job, places=(1,)), tmp_path)
    finally:
        (manifest.parent / "5.wav").rename(away)
    assert (twin.num_rows, twin.num_failed, twin.num_samples) == (1, 0, 3 * RATE_HZ)
    assert content(folder) == stored


def test_what_travels_is_a_part(manifest, built, tmp_path):
    table = read_manifest(manifest).table
    header = read_header(built)
    long = pa.concat_tables([table] * 100)
    travelling = cluster._fit_to_travel(part_job(built, header, 0, long.slice(8, 4)))
    assert travelling.rows.to_pylist() == table.slice(8, 4).to_pylist()
    assert len(pickle.dumps(travelling)) < len(pickle.dumps(long)) / 20
    assert travelling.data_folder.is_absolute()


def test_what_lost_tasks_have_left_is_removed(tmp_path):
    """Machines and processes may be numbered anew after a restart: then what was left has our own number."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    kept = {f"{host}-{os.getppid()}-c", f"{host}-2-{dead.pid}-d"}
    for name in {f"{host}-{dead.pid}-a_1", f"{host}-{os.getpid()}-b", *kept}:
        (tmp_path / name).mkdir()
    cluster._remove_orphans(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_nodes_that_are_not_like_this_one(manifest, built, tmp_path):
    error = run_part(job_of(built, manifest, 0), tmp_path, {**decoder_versions(), "av": "1.0"})
    assert isinstance(error, ClusterError)
    assert "av" in str(error)
    assert "1.0; install the same versions on all nodes" in str(error)
    error = run_part(job_of(built, manifest, 0, data_folder=tmp_path / "unseen"), tmp_path)
    assert isinstance(error, ClusterError)
    assert f"sees no folder {tmp_path / 'unseen' / 'parts'}" in str(error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_tasks, "_VISIBLE_SECONDS", 0.1)
        with pytest.raises(ClusterError, match="but it is not here; all nodes must see"):
            ray_tasks.require_visible(tmp_path / "unseen", remedy="all nodes must see it")


def test_what_cannot_be_written_is_said(manifest, built, tmp_path, monkeypatch):
    def fails(*_: object):
        raise OSError(28, "No space left on device", "some/file")

    monkeypatch.setattr(cluster, "make_parts", fails)
    folder = tmp_path / "store"
    shutil.copytree(built, folder)
    rows_path(folder, 0).unlink()
    error = run_part(job_of(folder, manifest, 0), tmp_path)
    assert isinstance(error, StoreError)
    assert str(error).startswith("some/file: cannot be written (No space left on device); make room")


@pytest.mark.parametrize("address", ["", "here", "host:", ":6379", "ray://host:1"])
def test_addresses_that_are_none(address):
    with pytest.raises(SettingsError, match="must be local, auto, or HOST:PORT"):
        cluster_engine(address)


def test_nobody_answers(ray, manifest, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    command = [*COMMAND, str(manifest), str(tmp_path / "store"), "--engine", "ray"]
    done = subprocess.run([*command, "--ray-address", f"127.0.0.1:{port}"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"earwitness: Ray at 127.0.0.1:{port}: nobody answers there" in done.stderr
    assert "Traceback" not in done.stderr


def test_somebody_else_answers(ray, monkeypatch):
    monkeypatch.setattr(ray_tasks, "_ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"Ray at {address}: no answer within 0.5 seconds; a cluster is"):
            list(cluster_engine(address)([], Path("spool"), SETTINGS))


def test_no_cluster_here(ray, monkeypatch):
    def connect() -> None:
        list(cluster_engine("auto")([], Path("spool"), SETTINGS))

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # whatever else runs on this machine
    monkeypatch.setattr(ray_tasks, "_ANSWER_SECONDS", 0.5)
    with pytest.raises(ClusterError, match=r"Ray at auto: no (connection|answer)"):
        connect()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ClusterError, match=r"Ray at auto: no connection \(it says nothing\); a cluster is begun by"):
        connect()


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'earwitness\[ray\]'"):
        list(cluster_engine("local")([], Path("spool"), SETTINGS))


# A cluster of two nodes on this machine.


@pytest.fixture
def two_nodes(ray):
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = nodes.add_node(num_cpus=1)
    yield nodes, second
    nodes.shutdown()


def processes_named(name: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if words.startswith(name.encode()):
                found.append(int(folder.name))
    return found


def wait_until(is_so, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_killed_worker_and_a_killed_node(two_nodes, manifest, built, tmp_path):
    nodes, second = two_nodes
    folder = tmp_path / "store"
    command = [*COMMAND, str(manifest), str(folder), "--engine", "ray", "--ray-address", nodes.address]
    command += ["--clips-per-part", "4"]

    def num_parts() -> int:
        return len(list((folder / "parts").glob("*.parquet")))

    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as building:
        wait_until(lambda: num_parts() >= 2)
        wait_until(lambda: processes_named("ray::_make_part"))
        os.kill(processes_named("ray::_make_part")[0], signal.SIGKILL)
        wait_until(lambda: num_parts() >= 4)
        nodes.remove_node(second, allow_graceful=False)
        at_loss = num_parts()
        output, errors = building.communicate(timeout=200)
    assert building.returncode == 0, errors
    assert at_loss < 12
    assert json.loads(output)["num_parts"] == 12
    assert content(folder) == content(built)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_stopped_and_taken_up_again(two_nodes, manifest, built, tmp_path):
    nodes, _ = two_nodes
    folder = tmp_path / "store"
    ray_cluster = ["--engine", "ray", "--ray-address", nodes.address, "--clips-per-part", "4"]
    command = [*COMMAND, str(manifest), str(folder), *ray_cluster]
    for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        parts = len(list((folder / "parts").glob("*.parquet")))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as building:
            wait_until(lambda seen=parts: len(list((folder / "parts").glob("*.parquet"))) >= seen + 2)
            second = subprocess.run([*COMMAND, str(manifest), str(folder), *ray_cluster[-2:]], capture_output=True)
            assert b"another process is building this store" in second.stderr
            building.send_signal(number)
            _, errors = building.communicate(timeout=60)
        assert building.returncode == status, errors
        assert "Traceback" not in errors
        wait_until(lambda: not processes_named("ray::_make_part"))
    subprocess.run(command, check=True, capture_output=True)
    assert content(folder) == content(built)

    away = manifest.parent / "away.wav"
    away.rename(manifest.parent / "5.wav")
    try:
        done = subprocess.run([*command, "--retry-failures"], check=True, capture_output=True, text=True)
        assert "1 clip tried again, 1 now stored" in done.stdout
        assert Store.open(folder).num_clips == NUM_CLIPS
    finally:
        (manifest.parent / "5.wav").rename(away)
