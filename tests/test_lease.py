"""Who may write to a store behind a URL: one at a time, and others once it has died or was silent too long."""

import json
import os
import subprocess
import sys
import threading
import time

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from earwitness.errors import StoreError
from earwitness.files import LOCK_FILE
from earwitness.places import UrlPath
from earwitness.store import lease
from earwitness.store.build import build_store
from made_stores import SETTINGS, here, manifest_of, write_sounds


def test_a_second_build_is_refused(server, tmp_path, monkeypatch):
    url = UrlPath("s3://bucket/leased")
    manifest = manifest_of(write_sounds(tmp_path), range(9))
    lock = url / LOCK_FILE
    mine = {"host": "elsewhere", "pid": 1, "token": "x", "renewed": time.time()}
    lock.write_bytes(json.dumps(mine).encode())
    with pytest.raises(StoreError, match="another process is building this store, or changes it: 1 on elsewhere"):
        build_store(manifest, str(url), settings=SETTINGS, engine=here)
    lock.write_bytes(json.dumps({**mine, "renewed": time.time() - 1_000}).encode())
    monkeypatch.setattr(lease, "_SETTLE_SECONDS", 0.0)
    assert build_store(manifest, str(url), settings=SETTINGS, engine=here).num_parts == 3  # it was stale
    assert not lock.exists()


def test_whose_holder_has_died(server, monkeypatch):
    monkeypatch.setattr(lease, "_SETTLE_SECONDS", 0.0)
    folder = UrlPath("s3://bucket/died")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with lease.leased(folder):
        held = json.loads((folder / LOCK_FILE).read_bytes())
        with pytest.raises(StoreError, match=f"{os.getpid()} on "), lease.leased(folder):
            pass
    (folder / LOCK_FILE).write_bytes(json.dumps({**held, "pid": dead.pid}).encode())
    with lease.leased(folder):
        pass
    assert not (folder / LOCK_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"host": "x", "pid": "y", "token": 1, "renewed": 0}'])
def test_a_lock_that_says_nothing(server, monkeypatch, content):
    """That of a store on a disk is an empty file, and is copied with the store."""
    monkeypatch.setattr(lease, "_SETTLE_SECONDS", 0.0)
    folder = UrlPath("s3://bucket/copied")
    (folder / LOCK_FILE).write_bytes(content)
    with lease.leased(folder):
        assert json.loads((folder / LOCK_FILE).read_bytes())["pid"] == os.getpid()
    assert not (folder / LOCK_FILE).exists()


def test_who_may_not_remove_uploads_may_build(server, monkeypatch):
    def refuse(_: UrlPath) -> None:
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(UrlPath, "remove_unfinished_uploads", refuse)
    folder = UrlPath("s3://bucket/poor")
    with lease.leased(folder):
        assert (folder / LOCK_FILE).exists()
    assert not (folder / LOCK_FILE).exists()


def test_a_server_that_fails_does_not_say_that_nothing_is_there(monkeypatch):
    class Failing(MemoryFileSystem):
        protocol = "failing"

        def info(self, path, **_):
            raise TimeoutError(110, "Connection timed out")

    fsspec.register_implementation("failing", Failing, clobber=True)
    with pytest.raises(OSError, match="Connection timed out"):
        (UrlPath("failing://x/store") / "store.json").exists()


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_holder_that_was_silent_too_long(server, monkeypatch, is_heard):
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.1)
    folder = UrlPath(f"s3://bucket/silent-{is_heard}")
    lost = threading.Event()
    interrupt = lease._thread.interrupt_main

    def interrupted() -> None:
        lost.set()
        if is_heard:
            interrupt()

    monkeypatch.setattr(lease._thread, "interrupt_main", interrupted)

    def holder() -> dict[str, object]:
        return json.loads((folder / LOCK_FILE).read_bytes())

    def work() -> None:
        with lease.leased(folder):
            held = holder()
            while holder()["renewed"] == held["renewed"]:
                time.sleep(0.05)
            while not lost.is_set():  # a renewal at the same instant may write over it
                (folder / LOCK_FILE).write_bytes(json.dumps({**held, "token": "another"}).encode())
                time.sleep(0.05)
            if is_heard:
                time.sleep(60)

    with pytest.raises(StoreError, match="has taken this store over"):
        work()
    assert json.loads((folder / LOCK_FILE).read_bytes())["token"] == "another"  # theirs stays
