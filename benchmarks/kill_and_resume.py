"""Builds of a store that are killed at random moments and resumed until done, beside one that ran through.

What: a small corpus in six formats (made by `earwitness synth`) and some broken files are prepared by the real command
with two workers and small parts. Every build is killed again and again, by SIGKILL of its whole process group or, one
time in three, of the parent alone, each time at a random moment of the run, and the same command is given again until
it ends by itself. Then the store must be that of the build nobody killed: the same rows in the same order, the same
frames byte for byte, the same failures, the same files and no others. Its processes must be gone soon after a kill.

`--every-step` kills at no random moment, but before each operation of the parent that opens, renames or removes a
file of the store, one build after the other, from the first operation to the last.

Run: python benchmarks/kill_and_resume.py --builds 200
     python benchmarks/kill_and_resume.py --every-step
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from processes import session_members

CLIPS_PER_PART = 4
WORKERS = 2
SHARE_OF_PARENTS = 1 / 3
"""Kills that hit the parent alone, whose workers must then end by themselves."""
GONE_WITHIN_SECONDS = 30.0
"""Processes that live longer after a kill are orphans. A worker whose parent is killed while it still starts ends once
its imports are done: a second of processor time, for which it may have to wait."""

_KILLED_AT_A_STEP = """
import os, signal, sys
folder, steps_left = os.path.abspath(sys.argv[1]), int(sys.argv[2])
del sys.argv[1:3]
def watch(event, arguments):
    global steps_left
    if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        if isinstance(arguments[0], (str, os.PathLike)) and os.path.abspath(arguments[0]).startswith(folder):
            steps_left -= 1
            if not steps_left:
                os.killpg(0, signal.SIGKILL)
sys.addaudithook(watch)
from earwitness.cli.main import main
sys.exit(main())
"""


@dataclass
class Found:
    """What the builds came to."""

    kills: Counter[str] = field(default_factory=Counter)
    """By what was being done."""
    num_builds: int = 0
    num_orphans: int = 0
    longest_until_gone_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def main() -> int:
    """Build, kill, compare, print; 1 if anything differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=200)
    parser.add_argument("--clips", type=int, default=20, help="clips of the corpus, broken ones not counted")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--every-step", action="store_true", help="kill before each operation on a file instead")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        manifest = make_corpus(Path(folder) / "corpus", arguments.clips)
        reference = Path(folder) / "reference"
        whole_seconds = run_through(manifest, reference)
        rows = pq.read_table(manifest).num_rows
        print(f"{rows} clips, parts of {CLIPS_PER_PART}, {WORKERS} workers; run through: {whole_seconds:.1f} s")
        found = Found()
        step: int | None = 0
        while step is not None and (arguments.every_step or found.num_builds < arguments.builds):
            store = Path(folder) / f"killed-{found.num_builds}"
            if arguments.every_step:
                step = kill_at_step(manifest, store, step + 1, found)
            else:
                kill_at_random(manifest, store, whole_seconds, chance, found)
            if differences := compare(reference, store, manifest):
                found.faults.append(f"build {found.num_builds}: {differences}")
                print(found.faults[-1], flush=True)
            found.num_builds += 1
            remove(store)
            if found.num_builds % 10 == 0:
                print(f"{found.num_builds} builds, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    show(found, time.perf_counter() - started)
    return 1 if found.faults or found.num_orphans else 0


def make_corpus(folder: Path, num_clips: int) -> Path:
    """Short clips in several formats with broken ones between them; returns the manifest."""
    command = ["synth", str(folder), "--clips", str(num_clips), "--mean-seconds", "3", "--workers", "1"]
    subprocess.run([sys.executable, "-m", "earwitness", *command], check=True, capture_output=True)
    table = pq.read_table(folder / "manifest.parquet").select(["clip_id", "media", "labels"])
    rows = table.to_pylist()
    first = {Path(row["media"]).suffix: folder / row["media"] for row in reversed(rows)}
    broken = {
        "empty.mp3": b"",
        "text.mp4": b"Dear diary, today I heard a dog.\n" * 100,
        "noise.wav": random.Random(0).randbytes(5_000),
        **{f"cut{suffix}": path.read_bytes()[: path.stat().st_size // 2] for suffix, path in first.items()},
    }
    for place, (name, content) in enumerate(broken.items()):
        (folder / name).write_bytes(content)
        rows.insert(3 * place, {"clip_id": name, "media": str(folder / name), "labels": rows[0]["labels"]})
    rows.append({"clip_id": "gone", "media": str(folder / "gone.mp3"), "labels": rows[0]["labels"]})
    path = folder / "with_broken.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return path


def command_of(manifest: Path, store: Path) -> list[str]:
    """The arguments of `earwitness` that build the store."""
    settings = ["--workers", str(WORKERS), "--clips-per-part", str(CLIPS_PER_PART)]
    return ["prepare", str(manifest), str(store), *settings]


def run_through(manifest: Path, store: Path) -> float:
    """Build without a kill; returns seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "earwitness", *command_of(manifest, store)], check=True, capture_output=True)
    return time.perf_counter() - started


def kill_at_random(manifest: Path, store: Path, whole_seconds: float, chance: random.Random, found: Found) -> None:
    """One build, killed at least once, resumed until it ends by itself."""
    num_kills = 0
    while True:
        build = start(["-m", "earwitness"], manifest, store)
        try:
            # later and later moments: it must come to an end on a machine that has become busy, too
            status = build.wait(chance.uniform(0.0, (1.1 + 0.1 * num_kills) * whole_seconds))
        except subprocess.TimeoutExpired:
            if chance.random() < SHARE_OF_PARENTS:
                build.kill()
            else:
                os.killpg(build.pid, signal.SIGKILL)
            build.wait()
            num_kills += 1
            note_kill(build.pid, store, found)
            continue
        note_end(status, build.pid, found)
        if num_kills:
            return
        remove(store)  # it was done before the moment came: begin again


def kill_at_step(manifest: Path, store: Path, step: int, found: Found) -> int | None:
    """One build, killed before the operation on files that has this number; None once there are fewer."""
    build = start(["-c", _KILLED_AT_A_STEP, str(store), str(step)], manifest, store)
    status = build.wait()
    if status != -signal.SIGKILL:
        note_end(status, build.pid, found)
        return None
    note_kill(build.pid, store, found)
    build = start(["-m", "earwitness"], manifest, store)
    note_end(build.wait(), build.pid, found)
    return step


def start(python: list[str], manifest: Path, store: Path) -> "subprocess.Popen[bytes]":
    """The command as the head of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *python, *command_of(manifest, store)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def note_kill(session: int, store: Path, found: Found) -> None:
    """Write down what was being done, and wait until every process of the build is gone."""
    found.kills[doing(store)] += 1
    note_gone(session, found)


def note_end(status: int, session: int, found: Found) -> None:
    """Write down a build that ended by itself."""
    if status != 0:
        found.faults.append(f"build {found.num_builds}: ended with status {status}")
    note_gone(session, found)


def note_gone(session: int, found: Found) -> None:
    """Wait for processes to go; those that stay are orphans, and are killed."""
    since = time.perf_counter()
    while members := session_members(session):
        if time.perf_counter() - since > GONE_WITHIN_SECONDS:
            found.num_orphans += len(members)
            for member in members:
                os.kill(member, signal.SIGKILL)
            break
        time.sleep(0.01)
    found.longest_until_gone_seconds = max(found.longest_until_gone_seconds, time.perf_counter() - since)


def doing(store: Path) -> str:
    """What a build was at, by what it left behind."""
    files = {str(path.relative_to(store)) for path in store.rglob("*")} if store.is_dir() else set()
    parts = {name for name in files if name.startswith("parts/")}
    frames = {name.removesuffix(".npy") for name in parts if name.endswith(".npy")}
    rows = {name.removesuffix(".parquet") for name in parts if name.endswith(".parquet")}
    if "store.json" not in files:
        return "starting"
    if any(name.endswith(".partial") for name in parts) or frames != rows:
        return "committing a part"
    if any(name.startswith("tmp/") and name.count("/") == 2 for name in files):
        return "decoding"
    if "tmp" in files:
        return "starting workers, or between clips"
    if any(name.startswith("index") or name.startswith("failures") for name in files):
        return "finishing"
    return "looking at finished parts, or clearing up"


def compare(reference: Path, store: Path, manifest: Path) -> str:
    """How a store differs from the reference; empty where it does not."""
    names = {str(path.relative_to(reference)) for path in reference.rglob("*")}
    there = {str(path.relative_to(store)) for path in store.rglob("*")}
    if names != there:
        return f"files missing: {sorted(names - there)}; left over: {sorted(there - names)}"
    clip_ids: list[str] = []
    for name in sorted(names):
        if not (reference / name).is_file():
            continue
        if name.endswith(".parquet"):
            rows = pq.read_table(store / name)
            if name.startswith("parts/"):
                clip_ids += rows["clip_id"].to_pylist()
            if not rows.equals(pq.read_table(reference / name)):
                return f"{name} has other rows"
        elif (store / name).read_bytes() != (reference / name).read_bytes():
            return f"{name} has other bytes"
    if clip_ids != pq.read_table(manifest)["clip_id"].to_pylist():
        return "its rows are not those of the manifest, each once"
    return ""


def remove(store: Path) -> None:
    """Remove a store, if there is one."""
    subprocess.run(["rm", "-rf", str(store)], check=True)


def show(found: Found, seconds: float) -> None:
    """Print the tables."""
    num_kills = sum(found.kills.values())
    print("\n| killed while | kills |\n|---|---|")
    for name, count in found.kills.most_common():
        print(f"| {name} | {count} |")
    print("\n| builds | kills | equal to the uninterrupted one | orphans | gone within, s | seconds |")
    print("|---|---|---|---|---|---|")
    num_equal = found.num_builds - len(found.faults)
    print(
        f"| {found.num_builds} | {num_kills} | **{num_equal}** | {found.num_orphans} "
        f"| {found.longest_until_gone_seconds:.2f} | {seconds:.0f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
