"""Media that name other files and addresses: nothing but the named file is opened, whatever it is called.

Four watches stand round the decoder: strace sees the system calls of the whole process (where it is installed), inotify
the bait file, a listening socket the network, an audit hook what Python does. First it is shown that they are awake
and that the bait is good: FFmpeg, opened without our fences, takes it.
"""

import ctypes
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hostile_files import BAIT_FILE, BEGIN, FALSE_SUFFIXES, Bait, binaries, texts
from made_media import encode, sweep, wav

IN_ACCESS, IN_OPEN, IN_NONBLOCK = 0x1, 0x20, 0o4000  # from <sys/inotify.h>

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watched by inotify and strace, which Linux has")

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

MUST_BE_REFUSED = r"UndecodableError: .*(not one that is read|is a text file, not media|cannot be read as media)"


class Watch:
    """A bait file that notices readers, and an address that notices callers."""

    def __init__(self, folder):
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        self.bait = Bait(folder, self._tcp.getsockname()[1])
        self.bait.path.write_bytes(wav([1_000] * 1_600, 16_000))
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(IN_NONBLOCK)
        assert libc.inotify_add_watch(self._inotify, os.fsencode(self.bait.path), IN_OPEN | IN_ACCESS) >= 0

    def seen(self):
        """Who came since the last look: any of `file`, `tcp`, `udp`."""
        found = set()
        watched = {self._inotify: "file", self._tcp.fileno(): "tcp", self._udp.fileno(): "udp"}
        while ready := select.select(list(watched), [], [], 0.05)[0]:
            for descriptor in ready:
                found.add(watched[descriptor])
                if descriptor == self._inotify:
                    os.read(self._inotify, 65_536)
                elif descriptor == self._udp.fileno():
                    self._udp.recv(65_536)
                else:
                    self._tcp.accept()[0].close()
        return found

    def close(self):
        os.close(self._inotify)
        self._tcp.close()
        self._udp.close()


@pytest.fixture
def watch(tmp_path):
    (tmp_path / "bait").mkdir()
    watch = Watch(tmp_path / "bait")
    yield watch
    watch.close()


@pytest.fixture
def hostile(watch, tmp_path):
    """The folder of the bait, with hostile files beside it."""
    mp3 = encode(tmp_path / "small.mp3", "mp3", 44_100, sweep(44_100, 0.5)).read_bytes()
    for name, content in {**texts(watch.bait), **binaries(watch.bait, mp3)}.items():
        (watch.bait.folder / name).write_bytes(content)
    watch.seen()
    return watch.bait.folder


def naive(path, **options):
    """FFmpeg without our fences, as most programs use it."""
    try:
        with av.open(str(path), timeout=0.5, container_options=options) as container:
            return sum(frame.samples for frame in container.decode(audio=0))
    except (av.error.FFmpegError, IndexError) as error:
        return str(error)


def test_the_bait_is_good_and_the_watches_are_awake(hostile, watch, monkeypatch):
    monkeypatch.chdir(hostile)
    assert watch.seen() == set()
    assert naive("relative.m3u8", allowed_extensions="ALL", extension_picky="0") == 1_600
    assert watch.seen() == {"file"}
    assert naive("relative.ffconcat") == 1_600
    assert watch.seen() == {"file"}
    assert naive("alias.mov", enable_drefs="1", use_absolute_path="1") == 800
    assert watch.seen() == {"file"}
    naive("http.m3u8", protocol_whitelist="file,http,tcp", allowed_extensions="ALL", extension_picky="0")
    assert watch.seen() == {"tcp"}
    naive("tcp.ffconcat", safe="0", protocol_whitelist="file,tcp")
    assert "tcp" in watch.seen()


def probe(folder, *before):
    """The outcomes of every hostile file by every route, and what Python did meanwhile."""
    command = [*before, sys.executable, str(Path(__file__).with_name("hostile_probe.py")), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_by_every_route_and_name_nothing_else_is_opened(hostile, watch):
    ours = {path.name for path in hostile.iterdir()}
    seen = probe(hostile)
    assert watch.seen() == set()
    assert seen["outcomes"].keys() == ours - {BAIT_FILE}
    for name, outcomes in seen["outcomes"].items():
        if name in texts(watch.bait):
            for route, outcome in outcomes.items():
                assert re.search(MUST_BE_REFUSED, str(outcome)), (name, route, outcome)
        else:  # a false name may have a file refused; it gives no other sound
            assert len({outcome for outcome in outcomes.values() if isinstance(outcome, int)}) <= 1, (name, outcomes)
    assert {event for event, _ in seen["events"]} == {"open", "os.symlink"}
    assert {honest(argument) for event, argument in seen["events"] if event == "open"} == seen["outcomes"].keys()


def honest(path):
    """The name of a hostile file without a false suffix."""
    name = Path(path)
    return name.stem if name.suffix.removeprefix(".") in FALSE_SUFFIXES and "." in name.stem else name.name


@needs_strace
def test_strace_sees_no_other_file_and_no_socket(hostile, tmp_path):
    ours = {path.name for path in hostile.iterdir()} - {BAIT_FILE}
    trace = tmp_path / "trace"
    probe(hostile, "strace", "-f", "--seccomp-bpf", "-e", "trace=%file,%network", "-o", str(trace))
    _, _, traced = trace.read_text().partition(BEGIN)
    calls = re.findall(r'^\d+ +(\w+)\((?:AT_FDCWD, )?("[^"]*"|\w+)', traced, re.MULTILINE)
    assert {name for name, _ in calls} <= {"openat", "newfstatat", "stat", "lstat", "readlink", "symlink"}
    assert {honest(path.strip('"')) for name, path in calls if name == "openat"} == ours
    assert f'{BAIT_FILE}"' not in traced


@needs_strace
def test_nor_in_the_workers_of_a_build(hostile, watch, tmp_path):
    names = sorted(path.name for path in hostile.iterdir() if path.name != BAIT_FILE)
    table = {"media": [str(hostile / name) for name in names], "labels": [["sound"]] * len(names)}
    pq.write_table(pa.table(table), tmp_path / "clips.parquet")
    command = [sys.executable, "-m", "earwitness", "prepare", str(tmp_path / "clips.parquet"), str(tmp_path / "store")]
    strace = ["strace", "-f", "--seccomp-bpf", "-e", "trace=%file,%network", "-o", str(tmp_path / "trace")]
    subprocess.run([*strace, *command, "--workers", "1"], check=True, capture_output=True, timeout=120)
    assert watch.seen() == set()
    trace = (tmp_path / "trace").read_text()
    assert f'{BAIT_FILE}"' not in trace
    assert "AF_INET" not in trace
    rows = pq.read_table(
        tmp_path / "store" / "parts" / "part-000000.parquet", columns=["media", "failure_kind"]
    ).to_pylist()
    assert [Path(row["media"]).name for row in rows] == names
    stored = {Path(row["media"]).name for row in rows if row["failure_kind"] is None}
    assert stored == {"url.mov", "web.mov", "urn.mov", "linked.mkv", "picture.mp3"}  # by what is in them
