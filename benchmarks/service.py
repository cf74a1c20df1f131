"""A service under more clients than it takes: right answers, none lost, memory that does not grow.

    python benchmarks/service.py MODEL --data $EARWITNESS_DATA --seconds 120 --clients 64

Starts `earwitness serve MODEL` in a process of its own. CLIENTS send real files (the media collection, ESC-10) one
after the other, and try again when they hear "busy". Every answer is compared with what `earwitness.load(MODEL).tag`
gives for the same file here: scores within 1e-5, or the same sentence. Beside them, for as long: clients that send a
byte a second, clients that break off in the middle of a file or before its answer, and clients that send hostile files
(false lengths, noise, playlists, mutated media, hostile names).

A request is lost if its body was sent whole and no answer came. Times are from the first byte of a request that was
taken to the last one of its answer; "with waiting" counts the times that it was told to come again, too.
"""

import argparse
import contextlib
import http.client
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

import earwitness
from earwitness.errors import MediaError
from earwitness.listening.results import Tags

TOLERANCE = 1e-5
MAX_FILE_BYTES = 4_000_000
"""Larger files of the collection are left out here: the clients would mostly wait for one another."""


@dataclass
class Tally:
    """What happened so far; changed under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    seconds: list[float] = field(default_factory=list)
    seconds_with_waiting: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1


@dataclass(frozen=True)
class Sample:
    """A file with what must come of it."""

    name: str
    content: bytes
    wanted: Tags | MediaError
    path: str

    def fault(self, status: int, answer: dict[str, Any]) -> str | None:
        """What is wrong with an answer."""
        if isinstance(self.wanted, MediaError):
            sentence = str(self.wanted).replace(self.path, self.name)
            return None if (status, answer.get("detail")) == (422, sentence) else f"{status} {answer}, not {sentence!r}"
        if status != 200:
            return f"{status} {answer}"
        theirs = {tag["label_id"]: tag["score"] for tag in answer["tags"]}
        ours = {tag.label_id: tag.score for tag in self.wanted.tags}
        if theirs.keys() != ours.keys() or max(abs(theirs[label] - ours[label]) for label in ours) > TOLERANCE:
            return "other scores"
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--serve", nargs=argparse.REMAINDER, default=[], help="further arguments of the service, last")
    asked = parser.parse_args()
    samples = list(read_samples(asked.model, asked.data))
    failing = sum(isinstance(sample.wanted, MediaError) for sample in samples)
    print(f"{len(samples)} files, {failing} of which give no sound")
    with served(asked.model, asked.serve) as (process, port):
        tally = Tally()
        warm_up(port, samples)
        deadline = time.monotonic() + asked.seconds
        memory: list[tuple[int, int]] = []
        jobs: list[Callable[[], None]] = [
            *(partial(client, port, samples, n, deadline, tally) for n in range(asked.clients)),
            *(partial(slow_client, port, deadline, tally) for _ in range(4)),
            *(partial(cutting_client, port, samples, n, deadline, tally) for n in range(4)),
            *(partial(hostile_client, port, samples, n, deadline, tally) for n in range(4)),
            partial(watch_memory, process.pid, deadline, memory),
        ]
        threads = [threading.Thread(target=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        metrics = ask(port, "GET", "/metrics", None)[2].decode()
        in_house = re.search(r"^earwitness_uploads_in_house (\d+)", metrics, re.M)
        report(tally, memory, asked.seconds, still_inside=int(in_house[1]) if in_house else -1)
        process.terminate()
        _, said = process.communicate(timeout=60)
        print(f"ended with status {process.returncode}, saying {said!r}")
    sys.exit(1 if tally.wrong or tally.counts["lost"] else 0)


def read_samples(model: Path, data: Path) -> Iterator[Sample]:
    paths = [path for path in sorted((data / "media").rglob("*")) if path.is_file() and path.name != "expected.csv"]
    paths += sorted((data / "esc10" / "audio").iterdir())[:100]
    paths = [path for path in paths if path.stat().st_size <= MAX_FILE_BYTES]
    listener = earwitness.load(model)
    for path, wanted in zip(paths, listener.tag_many(paths, top=10_000, failures="return"), strict=True):
        yield Sample(path.name, path.read_bytes(), wanted, str(path))


@contextlib.contextmanager
def served(model: Path, arguments: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "earwitness", "serve", str(model), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if (found := re.search(r":(\d+) ", said)) is None:
            raise SystemExit(f"the service did not start: {said}{process.stderr.read() if process.stderr else ''}")
        try:
            yield process, int(found[1])
        finally:
            process.kill()


def ask(port: int, method: str, path: str, body: bytes | None) -> tuple[int, str | None, bytes]:
    """Status, Retry-After, content."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was answered before all was sent
            connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Retry-After"), answer.read()


def warm_up(port: int, samples: Sequence[Sample]) -> None:
    for sample in samples[:10]:
        ask(port, "POST", f"/v1/tag?top=10000&name={quote(sample.name)}", sample.content)


def client(port: int, samples: Sequence[Sample], number: int, deadline: float, tally: Tally) -> None:
    rng = random.Random(f"client {number}")
    while time.monotonic() < deadline:
        sample = rng.choice(samples)
        first = time.monotonic()
        while True:
            started = time.monotonic()
            try:
                status, again, content = ask(
                    port, "POST", f"/v1/tag?top=10000&name={quote(sample.name)}", sample.content
                )
            except (OSError, http.client.HTTPException) as error:
                tally.count("lost")
                tally.wrong.append(f"{sample.name}: {type(error).__name__} {error}")
                break
            if status == 503 and again is not None:
                tally.count("busy")
                time.sleep(float(again) * rng.uniform(0.5, 1.0))
                if time.monotonic() > deadline:
                    break
                continue
            with tally.lock:
                tally.seconds.append(time.monotonic() - started)
                tally.seconds_with_waiting.append(time.monotonic() - first)
                tally.counts["answered"] += 1
                if (fault := sample.fault(status, json.loads(content))) is not None:
                    tally.wrong.append(f"{sample.name}: {fault}")
            break


def slow_client(port: int, deadline: float, tally: Tally) -> None:
    """A byte a second, until the service has enough of it."""
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
            connection.settimeout(1.0)
            while time.monotonic() < deadline:
                connection.sendall(b"x")
                try:
                    answer = connection.recv(1_000)
                except TimeoutError:
                    continue
                tally.count(f"slow client: {answer[9:12].decode()}")
                break
        time.sleep(0.2)


def cutting_client(port: int, samples: Sequence[Sample], number: int, deadline: float, tally: Tally) -> None:
    """Goes away in the middle of what it sends, or before it is answered."""
    rng = random.Random(f"cut {number}")
    while time.monotonic() < deadline:
        content = rng.choice(samples).content
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            head = f"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[: int(len(content) * rng.choice([0.0, 0.5, 1.0]))])
            time.sleep(rng.uniform(0, 0.2))
        tally.count("connection cut")
        time.sleep(0.1)


def hostile_client(port: int, samples: Sequence[Sample], number: int, deadline: float, tally: Tally) -> None:
    rng = random.Random(f"hostile {number}")
    while time.monotonic() < deadline:
        content = bytearray(rng.choice(samples).content)
        match rng.randrange(4):
            case 0:
                content = bytearray(rng.randbytes(rng.randrange(1, 100_000)))
            case 1:
                content = bytearray(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n" * rng.randrange(1, 1_000))
            case 2 if len(content) > 44:
                content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
            case _:
                for _ in range(20 if content else 0):
                    content[rng.randrange(len(content))] = rng.randrange(256)
        name = quote(rng.choice(["../../etc/passwd", "x" * 4_000, "a\x00b\x1b.mp4", "http://127.0.0.1/x.mp4", "-"]))
        try:
            status, _, answer = ask(port, "POST", f"/v1/tag?name={name}", bytes(content))
        except (OSError, http.client.HTTPException) as error:
            tally.count(f"hostile: {type(error).__name__}")
            continue
        kind = json.loads(answer).get("failure_kind", "") if status == 422 else ""
        tally.count(f"hostile: {status} {kind}".rstrip())
        time.sleep(0.5 if status == 503 else 0.1)


def watch_memory(pid: int, deadline: float, memory: list[tuple[int, int]]) -> None:
    """Bytes of the service and of its decoders, twice a second."""
    while time.monotonic() < deadline:
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in read(task / "children").split()]
        sizes = [int((read(Path(f"/proc/{each}/statm")) or "0 0").split()[1]) * 4096 for each in (pid, *children)]
        memory.append((sizes[0], sum(sizes[1:])))
        time.sleep(0.5)


def read(path: Path) -> str:
    """Nothing where the process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def report(tally: Tally, memory: Sequence[tuple[int, int]], seconds: float, *, still_inside: int) -> None:
    print(
        f"answered {tally.counts['answered']} ({tally.counts['answered'] / seconds:.1f}/s), lost {tally.counts['lost']}"
    )
    print(f"wrong {len(tally.wrong)} {tally.wrong[:5]}")
    for words, values in (("taken", tally.seconds), ("with waiting", tally.seconds_with_waiting)):
        p50, p95, p99 = np.percentile(values, [50, 95, 99])
        print(f"seconds, {words}: p50 {p50:.3f}, p95 {p95:.3f}, p99 {p99:.3f}, most {max(values):.3f}")
    for words, column in (("the service", 0), ("its decoders", 1)):
        sizes = np.array([sizes[column] for sizes in memory]) / 2**20
        quarters = ", ".join(f"{part.mean():.0f}" for part in np.array_split(sizes, 4))
        print(f"memory of {words}, MiB: mean of each quarter {quarters}, most {sizes.max():.0f}")
    print(f"uploads in the house at the end: {still_inside}")
    for what, count in sorted(tally.counts.items()):
        print(f"  {what}: {count}")


if __name__ == "__main__":
    main()
