"""Broken media by the thousand through the real build: what becomes of them, in what time and memory.

What: real media files (the folder `media` of $EARWITNESS_DATA) and mutated copies of them are prepared by the real
command, in batches, under limits of time and memory. Copies are made by a seed and a number: bytes flipped anywhere or
in the head, cut at either end, spliced from two files, the head of one on the body of another, stretches zeroed,
repeated or removed, and fields near the names that containers use (sizes, rates, channels) overwritten with extremes.

Watched from outside: every row must end in the store or in the failures, once; the build must end well; no worker may
be seen at one file for longer than its limit; and the memory that the parent and any worker hold is sampled every
20 ms. Files that cost a worker (a crash, the time limit, the memory limit) are kept, with `--keep`, to reproduce it.

Run: EARWITNESS_DATA=... python benchmarks/mutated_media.py --copies 10000
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from processes import descendants, open_files, resident_bytes

BATCH = 1_000
"""Files on the disk at a time."""
SAMPLE_SECONDS = 0.02
COSTLY = ("crash", "time_limit", "memory_limit")
"""Kinds of failures that cost a worker, or most of its limits."""

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)
FIELD_NAMES = [
    *(b"RIFF", b"fmt ", b"data", b"LIST", b"fact", b"ds64", b"FORM", b"COMM", b"SSND", b"fLaC", b"OggS", b"ID3"),
    *(b"Xing", b"Info", b"ADIF", b"OpusHead", b"vorbis", b"Speex", b"RIFX", b"caff", b".snd", b"MAC ", b"wvpk"),
    *(b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"mdhd", b"hdlr", b"stsd", b"stts", b"stsc", b"stsz", b"stco"),
    *(b"co64", b"mp4a", b"esds", b"elst", b"moof", b"trun", b"tfhd", b"mdat", b"udta", b"meta", b"ilst", b"covr"),
    *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\xa3", b"\xb5", b"\x9f"),
    *(b"\x30\x26\xb2\x75", b"\xa1\xdc\xab\x8c", b"\x91\x07\xdc\xb7"),  # ASF's header, file and stream properties
]


def flip(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """A few bytes anywhere become others, or one bit of each."""
    for place in rng.integers(len(data), size=int(2 ** rng.uniform(0, 8))):
        data[place] = data[place] ^ 1 << int(rng.integers(8)) if rng.random() < 0.5 else int(rng.integers(256))
    return bytes(data)


def flip_head(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """A few bytes of the first kilobyte become others."""
    for place in rng.integers(min(len(data), 1_024), size=int(2 ** rng.uniform(0, 5))):
        data[place] = int(rng.integers(256))
    return bytes(data)


def cut(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """The end is missing, or the beginning."""
    place = int(rng.integers(len(data)))
    return bytes(data[:place] if rng.random() < 0.7 else data[place:])


def splice(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """The beginning of one, the end of another."""
    other = others[int(rng.integers(len(others)))]
    return bytes(data[: int(rng.integers(len(data)))]) + other[int(rng.integers(len(other))) :]


def head(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """The head of one on the body of another."""
    other = others[int(rng.integers(len(others)))]
    place = int(2 ** rng.uniform(3, 13))
    return bytes(data[:place]) + other[place:]


def stretch(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """A stretch is zero, random, missing, or there many times."""
    start, length = int(rng.integers(len(data))), int(2 ** rng.uniform(2, 15))
    piece = bytes(data[start : start + length])
    new = (bytes(len(piece)), rng.bytes(len(piece)), b"", piece * int(rng.integers(2, 20)))[int(rng.integers(4))]
    return bytes(data[:start]) + new + bytes(data[start + length :])


def fields(data: bytearray, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Fields beside names that containers use are extreme."""
    known = [name for name in FIELD_NAMES if name in data]
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(min(len(data), 256)))
        if known:
            place = data.find(known[int(rng.integers(len(known)))], int(rng.integers(len(data))) * int(rng.integers(2)))
            place = max(0, place + int(rng.integers(-8, 48)))
        width = int(2 ** rng.integers(4))
        value = EXTREMES[int(rng.integers(len(EXTREMES)))] % 2 ** (8 * width)
        data[place : place + width] = value.to_bytes(width, "little" if rng.random() < 0.5 else "big")
    return bytes(data)


MUTATIONS = {mutate.__name__: mutate for mutate in (flip, flip_head, cut, splice, head, stretch, fields)}


def mutated(originals: list[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """A copy by its number: a file name that says what was done, and its bytes."""
    rng = np.random.default_rng((seed, number))
    name, data = originals[int(rng.integers(len(originals)))]
    kind = list(MUTATIONS)[int(rng.integers(len(MUTATIONS)))]
    content = MUTATIONS[kind](bytearray(data), [content for _, content in originals], rng)
    if rng.random() < 0.2:  # and some twice
        second = list(MUTATIONS)[int(rng.integers(len(MUTATIONS)))]
        content = MUTATIONS[second](bytearray(content or data), [content for _, content in originals], rng)
    return f"{number:06d}-{kind}-{name.replace('/', '_')}", content


@dataclass
class Watched:
    """What was seen of the processes."""

    parent_bytes: int = 0
    worker_bytes: int = 0
    largest: Counter[str] = field(default_factory=Counter)
    """Most memory of a worker while it had a file open, by file."""
    seconds: Counter[str] = field(default_factory=Counter)
    """How long a file was seen open, by file."""


def prepare(manifest: Path, store: Path, arguments: argparse.Namespace, watched: Watched) -> int:
    """Run the build and watch it; returns its exit status."""
    settings = ["--workers", str(arguments.workers), "--timeout-seconds", str(arguments.limit_seconds)]
    settings += ["--memory-limit-mib", str(arguments.limit_mib)]
    build = subprocess.Popen(
        [sys.executable, "-m", "earwitness", "prepare", str(manifest), str(store), *settings],
        stdout=subprocess.DEVNULL,
        stderr=(manifest.parent / "stderr.txt").open("wb"),
    )
    since = time.perf_counter()
    while build.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        now = time.perf_counter()
        for pid in descendants(build.pid):
            held = resident_bytes(pid)
            if pid == build.pid:
                watched.parent_bytes = max(watched.parent_bytes, held)
                continue
            watched.worker_bytes = max(watched.worker_bytes, held)
            for path in open_files(pid):
                if path.startswith(str(manifest.parent / "media")):
                    name = Path(path).name
                    watched.seconds[name] += round(1e6 * (now - since))
                    watched.largest[name] = max(watched.largest[name], held)
        since = now
    return build.returncode


def main() -> int:
    """Make, build, count, print; 1 if a row was lost, a build failed or a limit was not held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit-seconds", type=float, default=20.0)
    parser.add_argument("--limit-mib", type=int, default=1_024)
    parser.add_argument("--keep", type=Path, help="a folder for files that cost a worker")
    arguments = parser.parse_args()
    folder = Path(os.environ["EARWITNESS_DATA"]) / "media"
    originals = [
        (str(path.relative_to(folder)), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent != folder
    ]
    started = time.perf_counter()
    outcomes: dict[str, tuple[str, str]] = {}  # name: stored, warned or a kind of failure; the reason
    watched, num_faults = Watched(), 0
    solid = [(name, content) for name, content in originals if content]
    for first in range(-len(originals), arguments.copies, BATCH):
        with tempfile.TemporaryDirectory() as batch:
            media = Path(batch) / "media"
            media.mkdir()
            for number in range(first, min(first + BATCH, arguments.copies)):
                if number < 0:
                    name, content = originals[number]
                    name = f"original-{name.replace('/', '_')}"
                else:
                    name, content = mutated(solid, arguments.seed, number)
                (media / name).write_bytes(content)
            names = sorted(path.name for path in media.iterdir())
            table = {
                "clip_id": names,
                "media": [str(media / name) for name in names],
                "labels": [["sound"]] * len(names),
            }
            pq.write_table(pa.table(table), Path(batch) / "manifest.parquet")
            status = prepare(Path(batch) / "manifest.parquet", Path(batch) / "store", arguments, watched)
            if status:
                print(f"batch {first}: status {status}: {(Path(batch) / 'stderr.txt').read_text()[-500:]}")
                num_faults += 1
                continue
            rows = [row for path in (Path(batch) / "store" / "parts").glob("*.parquet") for row in read_outcomes(path)]
            if sorted(name for name, *_ in rows) != names:
                print(f"batch {first}: rows lost or there twice")
                num_faults += 1
            for name, outcome, reason in rows:
                outcomes[name] = (outcome, reason.replace(f"{media}/", ""))
                if outcome in COSTLY and arguments.keep:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(media / name, arguments.keep)
        print(f"{len(outcomes)} files, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    show(outcomes, watched, time.perf_counter() - started)
    slow = [name for name, micros in watched.seconds.items() if micros > 1e6 * (arguments.limit_seconds + 5)]
    if slow:
        print(f"\nbeyond the limit: {slow}")
    return 1 if num_faults or slow else 0


def read_outcomes(path: Path) -> list[tuple[str, str, str]]:
    """Name, outcome and reason of every row of a part."""
    rows = pq.read_table(path, columns=["clip_id", "failure_kind", "failure_reason", "warnings"]).to_pylist()
    return [
        (
            row["clip_id"],
            row["failure_kind"] or ("stored, with a warning" if row["warnings"] else "stored"),
            row["failure_reason"] or "",
        )
        for row in rows
    ]


def show(outcomes: dict[str, tuple[str, str]], watched: Watched, seconds: float) -> None:
    """Print the tables."""
    kinds = ["original", *MUTATIONS]
    columns = ["stored", "stored, with a warning", "no_audio", "no_samples", "undecodable", *COSTLY]
    print("| | files | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 2))
    for kind in [*kinds, "all"]:
        found = Counter(outcome for name, (outcome, _) in outcomes.items() if kind == "all" or kind_of(name) == kind)
        print(f"| {kind} | {found.total()} | " + " | ".join(str(found[column]) for column in columns) + " |")
    print("\n| what cost a worker | files | such as |\n|---|---|---|")
    reasons: dict[str, list[str]] = {}
    for name, (outcome, reason) in sorted(outcomes.items()):
        if outcome in COSTLY:
            reasons.setdefault(reason, []).append(name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"| {reason} | {len(names)} | {', '.join(names[:8])} |")
    print("\n| slowest files | seconds | outcome |\n|---|---|---|")
    for name, micros in watched.seconds.most_common(10):
        print(f"| {name} | {micros / 1e6:.2f} | {' '.join(outcomes.get(name, ('?',)))} |")
    print("\n| files with the largest workers | MiB | outcome |\n|---|---|---|")
    for name, held in watched.largest.most_common(5):
        print(f"| {name} | {held / 2**20:.0f} | {' '.join(outcomes.get(name, ('?',)))} |")
    print("\n| files | seconds | files a second | parent at most, MiB | a worker at most, MiB |\n|---|---|---|---|---|")
    print(
        f"| {len(outcomes)} | {seconds:.0f} | {len(outcomes) / seconds:.0f} | {watched.parent_bytes / 2**20:.0f} "
        f"| {watched.worker_bytes / 2**20:.0f} |"
    )


def kind_of(name: str) -> str:
    """What was done to a file."""
    return "original" if name.startswith("original-") else name.split("-")[1]


if __name__ == "__main__":
    sys.exit(main())
