"""What goes wrong while a store is built: disks and networks, failures beyond a budget, manifests that have changed."""

import errno
import io
import os
import resource
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
import scipy.io.wavfile
from fsspec.implementations.memory import MemoryFileSystem

from earwitness.audio import transient
from earwitness.audio.decode import decode
from earwitness.audio.transient import is_transient
from earwitness.doctor.clips import MediaTask, examine_media
from earwitness.errors import MissingError, SettingsError, StoreError, TransientError
from earwitness.front_end import FrontEnd
from earwitness.manifest import Manifest
from earwitness.store.build import build_store
from earwitness.store.decode import ClipTask, decode_clip
from earwitness.store.difference import manifest_difference
from earwitness.store.failure_budget import FailureBudget
from earwitness.store.merge import merge_stores
from earwitness.store.parts import PartCounts
from earwitness.store.read import Store
from earwitness.store.retry import retry_failures
from earwitness.store.settings import BuildSettings, DecodeSettings
from made_media import wav
from made_stores import here

RATE_HZ = 16_000


# What may pass.


class StatusError(Exception):
    """As aiohttp's: a plain exception with a status."""

    def __init__(self, status: int) -> None:
        self.status = status


class ClientPayloadError(Exception):
    """By name, aiohttp's."""


def chained(error: Exception) -> Exception:
    outer = ValueError("cannot be read")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, "") for number in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN)),
        *(TimeoutError(), ConnectionResetError(), BrokenPipeError(), ClientPayloadError()),
        *(StatusError(503), StatusError(429), chained(StatusError(500)), chained(OSError(errno.EIO, ""))),
    ],
    ids=repr,
)
def test_errors_that_may_pass(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [None, FileNotFoundError(errno.ENOENT, ""), PermissionError(errno.EACCES, ""), StatusError(404), ValueError("x")],
    ids=repr,
)
def test_errors_that_stay(error):
    assert not is_transient(error)


class Failing(io.BytesIO):
    """A file whose disk fails behind some place."""

    def __init__(self, data: bytes, *, good_bytes: int, error: Exception) -> None:
        super().__init__(data)
        self.good_bytes, self.error = good_bytes, error

    def read(self, size: int = -1) -> bytes:
        if self.tell() + max(size, 0) > self.good_bytes:
            raise self.error
        return super().read(size)


SOUND = wav((np.random.default_rng(0).standard_normal(20 * RATE_HZ) * 3_000).astype(np.int16), RATE_HZ)


@pytest.mark.parametrize("good_bytes", [0, 300_000])
def test_a_disk_that_fails_is_not_the_end_of_the_file(good_bytes):
    """FFmpeg would take it for that, and the clip would be stored without its end."""
    with (
        pytest.raises(TransientError, match=r"\(Input/output error\)"),
        decode(Failing(SOUND, good_bytes=good_bytes, error=OSError(errno.EIO, "Input/output error"))) as blocks,
    ):
        list(blocks)


def test_what_is_read_before_a_disk_fails_is_whole():
    failing = Failing(SOUND, good_bytes=300_000, error=OSError(errno.EIO, "Input/output error"))
    with decode(failing, stop_seconds=2.0) as blocks:
        assert sum(map(len, blocks)) == 2 * RATE_HZ


def test_an_error_that_stays_is_one_of_the_media():
    with decode(Failing(SOUND, good_bytes=300_000, error=PermissionError(errno.EACCES, "no"))) as blocks:
        list(blocks)
        assert "reading broke off with an error" in blocks.warnings


class Flaky(MemoryFileSystem):
    """Files that open only after some tries."""

    protocol = "flaky"
    failures_left = 0

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.split("://")[-1].strip("/")

    def _open(self, *arguments, **settings):
        if Flaky.failures_left:
            Flaky.failures_left -= 1
            raise StatusError(503)
        return super()._open(*arguments, **settings)


@pytest.fixture
def flaky(monkeypatch) -> str:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    MemoryFileSystem().pipe("/sound.wav", SOUND)
    monkeypatch.setattr(transient, "_WAITS_SECONDS", (0.01, 0.02, 0.03))
    return "flaky://sound.wav"


def decoded(media: str, tmp_path: Path):
    return decode_clip(ClipTask(0, 0, media, None, None, str(tmp_path / "spool"), FrontEnd()))


def test_clips_are_tried_again_while_errors_may_pass(flaky, tmp_path):
    Flaky.failures_left = 3
    clip = decoded(flaky, tmp_path)
    assert (Flaky.failures_left, clip.num_samples) == (0, 20 * RATE_HZ)
    assert (tmp_path / "spool").stat().st_size == clip.num_frames * 128
    Flaky.failures_left = 4
    with pytest.raises(TransientError, match=r"flaky://sound.wav: cannot be opened \(StatusError: .*tried 4 times"):
        decoded(flaky, tmp_path)
    Flaky.failures_left = 0
    with pytest.raises(MissingError, match="no such file"):
        decoded("flaky://other.wav", tmp_path)


def test_an_inspection_tries_again_too(flaky):
    Flaky.failures_left = 3
    task = MediaTask(row=0, source=flaky, start_seconds=None, stop_seconds=None, front_end=FrontEnd())
    measures = examine_media(task)
    assert (Flaky.failures_left, measures.seconds) == (0, 20.0)


# Builds.


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    scipy.io.wavfile.write(folder / "good.wav", RATE_HZ, np.ones(RATE_HZ, np.int16))
    scipy.io.wavfile.write(folder / "long.wav", RATE_HZ, np.ones(1_800 * RATE_HZ, np.int16))
    (folder / "text.wav").write_text("this is no sound")
    return folder


def manifest_of(folder: Path, names: list[str]) -> Manifest:
    ids = [f"clip {row}" for row in range(len(names))]
    media = [str(folder / name) for name in names]
    return Manifest.from_table(pa.table({"clip_id": ids, "media": media, "labels": [["x"]] * len(names)}))


def test_a_clip_that_needs_too_much_of_the_processor(sounds, tmp_path):
    settings = BuildSettings(workers=1, cpu_limit_seconds=0.1)
    build_store(manifest_of(sounds, ["good.wav", "long.wav"]), tmp_path / "store", settings=settings)
    [failure] = Store.open(tmp_path / "store").failures().to_pylist()
    assert (failure["clip_id"], failure["kind"]) == ("clip 1", "time_limit")
    assert failure["reason"] == "it needed more processor time than the limit of 0.1 seconds"


@pytest.mark.parametrize(
    ("text", "num_rows", "allowed"),
    [("50", 3, 50), ("0", 10**6, 0), ("1%", 10**6, 10_000), ("1%", 3, 10), ("0.5 %", 10_100, 50), ("100%", 50, 50)],
)
def test_budgets(text, num_rows, allowed):
    budget = FailureBudget(text)
    assert budget.allowed(num_rows) == allowed
    within = PartCounts(failures={"crash": allowed, "dropped": 1_000}, reasons={"crash": "it hurt", "dropped": "so"})
    assert budget.objection(within, num_rows=num_rows) == ""
    beyond = within + PartCounts(failures={"crash": 1})
    assert f"{allowed + 1:,} of {num_rows:,} clips have failed" in budget.objection(beyond, num_rows=num_rows)


@pytest.mark.parametrize("text", ["", "few", "-1", "1.5", "101%", "1%%"])
def test_budgets_that_are_none(text):
    with pytest.raises(SettingsError, match=r"must be a number of clips, such as 50, or a share, such as 1%"):
        DecodeSettings(max_failures=text)


def test_a_build_stops_when_too_many_clips_fail(sounds, tmp_path):
    manifest = manifest_of(sounds, ["good.wav", *["text.wav"] * 4, "gone.wav", "good.wav", "good.wav"])
    settings = BuildSettings(workers=1, clips_per_part=2, max_failures="3")
    words = (
        r"stopped, 4 of 8 clips have failed, and --max-failures 3 allows 3: 4 undecodable\. "
        r"Such as: .*text\.wav: is a text file.*The parts finished so far are kept"
    )
    with pytest.raises(StoreError, match=words):
        build_store(manifest, tmp_path / "store", settings=settings, engine=here)
    with pytest.raises(StoreError, match=r"unfinished \(2 of 4 parts\)"):
        Store.open(tmp_path / "store")
    assert not (tmp_path / "store" / "tmp").exists()
    seen = []
    enough = BuildSettings(workers=1, clips_per_part=2, max_failures="5")
    summary = build_store(manifest, tmp_path / "store", settings=enough, engine=here, progress=seen.append)
    assert (summary.num_stored, summary.num_failed, summary.num_resumed_parts) == (3, 5, 2)
    assert (seen[0].num_resumed, seen[0].num_failed) == (4, 4)


def test_failures_of_before_count(sounds, tmp_path):
    manifest = manifest_of(sounds, ["text.wav", "text.wav", "good.wav", "good.wav"])
    settings = BuildSettings(workers=1, clips_per_part=2, max_failures="1")
    for _ in range(2):
        with pytest.raises(StoreError, match="stopped, 2 of 4 clips"):
            build_store(manifest, tmp_path / "store", settings=settings, engine=here)


def test_failures_of_before_that_are_to_be_tried_again_do_not_count(sounds, tmp_path):
    folder, manifest = tmp_path / "store", manifest_of(tmp_path, [f"{number}.wav" for number in range(8)])
    settings = BuildSettings(workers=1, clips_per_part=2, max_failures="2")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"the same command goes on .* with\s--retry-failures$"):
            build_store(manifest, folder, settings=settings, engine=here)
    with pytest.raises(StoreError, match="stopped, 3 of 8 clips"):  # those of this run do
        build_store(manifest, folder, settings=settings, engine=here, forgiven=["missing"])
    for number in range(8):
        shutil.copy(sounds / "good.wav", tmp_path / f"{number}.wav")
    with pytest.raises(StoreError, match="stopped, 4 of 8 clips"):
        build_store(manifest, folder, settings=settings, engine=here, forgiven=["transient"])
    assert build_store(manifest, folder, settings=settings, engine=here, forgiven=["missing"]).num_failed == 4
    assert retry_failures(folder, settings=settings, engine=here).num_stored == 4


def test_names_that_no_file_has(sounds, tmp_path):
    manifest = manifest_of(sounds, ["good.wav", "a\0b.wav", "x" * 300, "good.wav/1"])
    build_store(manifest, tmp_path / "store", settings=BuildSettings(workers=1), engine=here)
    failures = Store.open(tmp_path / "store").failures()
    assert failures["kind"].to_pylist() == ["undecodable"] * 3
    assert "cannot be the name of a file (embedded null byte)" in failures["reason"][0].as_py()


def test_a_disk_that_vanishes(sounds, tmp_path):
    manifest = manifest_of(sounds, ["good.wav"] * 6)

    def vanish(_: object) -> None:
        shutil.rmtree(tmp_path / "store", ignore_errors=True)

    with pytest.raises(StoreError, match=r"cannot be written \(No such file or directory\)"):
        build_store(manifest, tmp_path / "store", settings=BuildSettings(workers=1, clips_per_part=2), progress=vanish)


def test_a_disk_that_is_full_while_stores_are_copied(sounds, tmp_path):
    for name, row in (("one", 0), ("two", 1)):
        manifest = Manifest(manifest_of(sounds, ["good.wav"] * 2).table.slice(row, 1))
        build_store(manifest, tmp_path / name, settings=BuildSettings(workers=1), engine=here)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StoreError, match=r"merged: cannot be written \(File too large\); make room"):
            merge_stores([tmp_path / "one", tmp_path / "two"], tmp_path / "merged")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert merge_stores([tmp_path / "one", tmp_path / "two"], tmp_path / "merged").num_stored == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_disk_that_becomes_read_only(sounds, tmp_path):
    manifest = manifest_of(sounds, ["good.wav"] * 6)

    def lock(_: object) -> None:
        (tmp_path / "store" / "parts").chmod(0o500)

    with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\)"):
        build_store(manifest, tmp_path / "store", settings=BuildSettings(workers=1, clips_per_part=2), progress=lock)


# A manifest edited between two runs.


def test_differences_in_words(sounds):
    there = manifest_of(sounds, ["good.wav"] * 5).table
    assert manifest_difference(there, there.take([3, 1, 0, 4, 2])) == ""
    assert manifest_difference(there, there.slice(2)) == "2 rows removed (the first: 'clip 0')"
    assert manifest_difference(there.slice(4), there) == "4 rows added (the first: 'clip 0')"
    edited = there.set_column(4, "labels", pa.array([["x"], ["y"], [], ["x"], ["x"]], pa.list_(pa.string())))
    words = "2 rows changed (the first: 'clip 1', labels: ['x'] / ['y'])"
    assert manifest_difference(there, edited) == words
    assert manifest_difference(there, edited.slice(1)) == "1 row removed (the first: 'clip 0'); " + words
    more = there.append_column("fold", pa.array([1] * 5))
    assert manifest_difference(there, more) == "column 'fold' is new"
    assert manifest_difference(more, there) == "column 'fold' is gone"
    nan = there.append_column("level", pa.array([float("nan"), 1.0, 2.0, 3.0, 4.0]))
    assert manifest_difference(nan, nan.take([4, 0, 1, 2, 3])) == ""


def test_a_manifest_edited_between_two_runs(sounds, tmp_path):
    names = ["good.wav"] * 4
    manifest = manifest_of(sounds, names)
    settings = BuildSettings(workers=1, clips_per_part=2)

    def interrupt(progress):
        if progress.num_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(manifest, tmp_path / "store", settings=settings, engine=here, progress=interrupt)
    edited = manifest_of(sounds, ["good.wav", "text.wav", "good.wav", "good.wav", "good.wav"])
    words = (
        r"manifest \(4 rows\) and not manifest \(5 rows\)\. From there to what is asked for: 1 row added \(the first: "
        r"'clip 4'\); 1 row changed \(the first: 'clip 1', media: '.*good\.wav' / '.*text\.wav'\)"
    )
    for _ in range(2):  # unfinished, and finished
        with pytest.raises(StoreError, match=words):
            build_store(edited, tmp_path / "store", settings=settings, engine=here)
        shuffled = Manifest(manifest.table.take([2, 0, 3, 1]), manifest.source)
        assert build_store(shuffled, tmp_path / "store", settings=settings).num_stored == 4
    assert Store.open(tmp_path / "store").clips["clip_id"].to_pylist() == [f"clip {row}" for row in range(4)]
