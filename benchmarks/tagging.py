"""Tagging many files: how near to what its parts allow, how much memory, and whether every file has its row.

    python benchmarks/tagging.py rate [FOLDER ...]     default: $EARWITNESS_DATA/media and .../esc10
    python benchmarks/tagging.py memory
    python benchmarks/tagging.py many [NUMBER]

`rate`: the bare parts are decoding the folders with the same processes, frames thrown away, and the network over as
many patches as they hold, in batches of 64, with nothing beside it. If nothing were lost between them, on processors
that are all at work, tagging would take the sum of both: 1/(1/decode + 1/network). Aim: at least 90 % of it. Start-up
of the decoding processes is part of both sides. Several rounds, taken in turn; beside the time on the wall stands that
of the processors, which says what is lost on a machine that others use, too.

`memory`: peak anonymous memory of the command with its decoding process, for 10 minutes and for 10 hours of AAC.

`many`: 10,000 files of a second, 3 % of them broken: tagged without a stop, and again with two SIGKILLs on the way. The
rows must be the same, byte by byte.

The network is a small untrained ResNet-50: nothing here depends on what was learnt.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

import numpy as np
from scipy.io import wavfile

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.audio.decoding_pool import decoded
from earwitness.inference.any_model import open_model
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import Tagger
from earwitness.listening.inputs import Inputs, gather_inputs
from earwitness.listening.rows import Row
from earwitness.listening.tag_sounds import Hearing, tag_in_parallel
from earwitness.parallel import Failure
from memory_by_length import peak_memory, repeat_packets, untrained_model, write_noise

_ROUNDS = 3
_RATE_HZ = 16_000
_COPIES = 60
_BROKEN_EVERY = 33


def main() -> None:
    """Run one of the three."""
    kind, *arguments = sys.argv[1:] or ["rate"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = untrained_model(folder / "model.safetensors")
        if kind == "rate":
            data = os.environ.get("EARWITNESS_DATA", ".")
            measure_rate(model, arguments or [f"{data}/media", f"{data}/esc10"], folder)
        elif kind == "memory":
            measure_memory(model, folder)
        else:
            tag_many(model, folder, int(arguments[0]) if arguments else 10_000)


@dataclass(frozen=True)
class Taken:
    """What something took."""

    seconds: float
    processor_seconds: float
    """Of this process and those that it started."""


def taken_by(work: Callable[[], object]) -> Taken:
    """Do some work."""
    started, before = time.monotonic(), sum(os.times()[:4])
    work()
    return Taken(time.monotonic() - started, sum(os.times()[:4]) - before)


def measure_rate(model_path: Path, folders: list[str], spool_folder: Path) -> None:
    """Tag folders, and do the parts of it alone."""
    inputs = gather_inputs(folders)
    for note in inputs.notes:
        print(note)
    tagger = Tagger(open_model(model_path))
    rows = tag_all(tagger, inputs, spool_folder)
    seconds = sum(row.get("seconds", 0.0) for row in rows)
    num_patches = sum(row.get("num_patches", 0) for row in rows)
    statuses = dict(Counter(row["status"] for row in rows))
    print(f"{len(rows):,} rows {statuses}, {seconds / 60:.1f} min, {num_patches:,} patches\n")
    works = {
        "decoding": lambda: decode_all(tagger, inputs, spool_folder),
        "network": lambda: run_network(tagger, num_patches),
        "tagging": lambda: tag_all(tagger, inputs, spool_folder),
    }
    rounds = [{name: taken_by(work) for name, work in works.items()} for _ in range(_ROUNDS)]
    print("| | seconds | x real time | processor seconds |\n|---|---|---|---|")
    for name in works:
        wall = median(taken[name].seconds for taken in rounds)
        processor = median(taken[name].processor_seconds for taken in rounds)
        print(f"| {name} | {wall:.1f} | {seconds / wall:.0f} | {processor:.1f} |")
    print(f"\nOf 1/(1/decode + 1/network), median of {_ROUNDS} rounds and all of them:")
    for field in fields(Taken):
        shares = [
            sum(getattr(taken[name], field.name) for name in ("decoding", "network"))
            / getattr(taken["tagging"], field.name)
            for taken in rounds
        ]
        print(f"  by {field.name}: {median(shares):.1%} ({', '.join(f'{share:.1%}' for share in shares)})")


def decode_all(tagger: Tagger, inputs: Inputs, spool_folder: Path) -> None:
    """The decoding alone."""
    sounds = (given.sound(number) for number, given in enumerate(inputs.rows))
    stream = decoded(sounds, front_end=tagger.front_end(), limits=DecodeLimits(), spool_folder=spool_folder)
    with closing(stream):
        for _, frames in stream:
            if not isinstance(frames, Failure):
                frames.path.unlink()


def run_network(tagger: Tagger, num_patches: int) -> None:
    """The network alone."""
    front_end, size = tagger.front_end(), tagger.scorer.batch_patches
    batch = np.random.default_rng(0).normal(size=(size, front_end.patch_frames, front_end.num_bands))
    for _ in range(-(-num_patches // size)):
        tagger.scorer(batch.astype(np.float16))


def tag_all(tagger: Tagger, inputs: Inputs, spool_folder: Path) -> list[Row]:
    """Both together, as the command does it."""
    hearing = Hearing(tagger=tagger, settings=TagSettings())
    rows = tag_in_parallel(hearing, enumerate(inputs.rows), limits=DecodeLimits(), spool_folder=spool_folder)
    with closing(rows):
        return [row for some in rows for _, row in some]


def measure_memory(model: Path, folder: Path) -> None:
    """Peak memory of both routes by length."""
    write_noise(folder / "original.mp4")
    files = {"10 min": (folder / "short.mkv", 1), "10 h": (folder / "long.mkv", _COPIES)}
    for path, copies in files.values():
        repeat_packets(folder / "original.mp4", path, copies=copies)
    print("| decoding | 10 min: peak MiB | 10 h: peak MiB | ratio | 10 h: seconds |\n|---|---|---|---|---|")
    for title, options in (("--workers 1", ["--workers", "1"]), ("in the process", [])):
        peaks, seconds = [], 0.0
        for path, _ in files.values():
            outputs = ["--out", str(folder / "tags.jsonl"), "--patch-scores", str(folder / "patches.csv"), *options]
            peak, seconds = peak_memory(["-m", "earwitness", "tag", str(model), str(path), "--timeline", *outputs])
            peaks.append(peak)
        low, high = peaks
        print(f"| {title} | {low:.0f} | {high:.0f} | {high / low:.2f} | {seconds:.0f} |", flush=True)


def tag_many(model: Path, folder: Path, number: int) -> None:
    """Thousands of short files, without and with being killed."""
    media = folder / "media"
    num_broken = write_many(media, number)
    command = [sys.executable, "-m", "earwitness", "tag", str(model), str(media), "--out"]
    straight, killed = folder / "straight.jsonl", folder / "killed.jsonl"
    started = time.monotonic()
    subprocess.run([*command, straight], check=False)
    seconds = time.monotonic() - started
    for share in (1 / 3, 2 / 3):
        kill_at(share * number, [*command, str(killed)], killed.with_name("killed.jsonl.unfinished") / "rows.jsonl")
    subprocess.run([*command, killed], check=False)
    rows = straight.read_bytes().count(b"\n")
    failed = straight.read_bytes().count(b'"status": "failed"')
    is_same = straight.read_bytes() == killed.read_bytes()
    print(
        f"{number:,} files, {num_broken:,} broken: {rows:,} rows, {failed:,} of them with a reason, in {seconds:.0f} s"
    )
    print(f"killed twice and taken up: {'the same bytes' if is_same else 'OTHER ROWS'}")


def write_many(folder: Path, number: int) -> int:
    """Sounds of a second; how many of them are broken, in one of three ways."""
    rng = np.random.default_rng(0)
    num_broken = 0
    for place in range(number):
        path = folder / f"{place // 1_000:02d}" / f"{place:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(path, _RATE_HZ, (rng.normal(size=_RATE_HZ) * 10 ** rng.uniform(0, 4)).astype(np.int16))
        if place % _BROKEN_EVERY == 0:
            content = path.read_bytes()
            path.write_bytes((b"", content[:20], rng.bytes(5_000))[num_broken % 3])
            num_broken += 1
    return num_broken


def kill_at(num_rows: float, command: list[str], journal: Path) -> None:
    """Run a command, and end it once its journal has so many rows."""
    with subprocess.Popen(command) as process:
        while not journal.exists() or journal.read_bytes().count(b'"input"') < num_rows:
            time.sleep(0.2)
            if process.poll() is not None:
                raise SystemExit("it ended before it could be killed")
        process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
