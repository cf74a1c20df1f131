"""What Ray costs beside the local engine: the same corpus, the same number of processes, one run after the other.

What: the media of a made corpus (`earwitness synth`), listed several times over, become stores by `earwitness prepare`,
whole commands, once with `--engine local` and once with `--engine ray` on a Ray cluster of this machine, which is begun
and ended by the command. Each is run over a short and a long manifest; the difference of the two is the cost of the
clips themselves, the rest that of beginning and ending. The stores are compared, byte for byte.

Why: the cost of the cluster should be that of beginning it, and little for each part.

Run: pip install '.[ray]' && python benchmarks/ray_overhead.py
"""

import argparse
import filecmp
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_manifest(rows: list[dict[str, object]], times: int, path: Path) -> float:
    """A manifest with the corpus `times` over; gives the hours of sound in it."""
    table = {
        "clip_id": [f"{time}-{row['clip_id']}" for time in range(times) for row in rows],
        "media": [row["media"] for _ in range(times) for row in rows],
        "labels": [["sound"]] * (len(rows) * times),
    }
    pq.write_table(pa.table(table), path)
    return sum(float(str(row["seconds"])) for row in rows) * times / 3_600


def prepare(manifest: Path, store: Path, *options: str) -> float:
    """Seconds of the whole command."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "earwitness", "prepare", str(manifest), str(store), *options]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def differing_files(one: Path, other: Path) -> list[str]:
    """Files that are not the same in both folders."""
    names = {str(path.relative_to(folder)) for folder in (one, other) for path in folder.rglob("*") if path.is_file()}
    return sorted({*filecmp.cmpfiles(one, other, names, shallow=False)[1], *filecmp.cmpfiles(one, other, names)[2]})


def main() -> None:
    """Build and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--mean-seconds", type=float, default=60.0)
    parser.add_argument("--times", type=int, nargs=2, default=(2, 12), help="how often the corpus is listed")
    parser.add_argument("--clips-per-part", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        made = ["synth", str(corpus), "--clips", str(arguments.clips), "--mean-seconds", str(arguments.mean_seconds)]
        subprocess.run([sys.executable, "-m", "earwitness", *made], check=True, capture_output=True)
        rows = pq.read_table(corpus / "manifest.parquet", columns=["clip_id", "media", "seconds"]).to_pylist()
        rows = [{**row, "media": str(corpus / row["media"])} for row in rows]
        options = [f"--workers={arguments.workers}", f"--clips-per-part={arguments.clips_per_part}"]
        seconds: dict[tuple[str, int], float] = {}
        hours, num_parts = {}, {}
        for times in arguments.times:
            manifest = Path(folder) / f"{times}.parquet"
            hours[times] = write_manifest(rows, times, manifest)
            num_parts[times] = -(-len(rows) * times // arguments.clips_per_part)
            for engine in ("local", "ray"):
                store = Path(folder) / f"{engine}-{times}"
                seconds[engine, times] = prepare(manifest, store, *options, "--engine", engine)
            if differing := differing_files(Path(folder) / f"local-{times}", Path(folder) / f"ray-{times}"):
                raise SystemExit(f"the stores differ in {differing}")
        few, many = arguments.times
        print(f"{len(rows)} files of {arguments.mean_seconds:g} s on average, {arguments.workers} processes\n")
        print(
            "| engine | "
            + " | ".join(f"{hours[t]:.1f} h in {num_parts[t]} parts" for t in (few, many))
            + " | between |"
        )
        print("|---|---|---|---|")
        for engine in ("local", "ray"):
            between = seconds[engine, many] - seconds[engine, few]
            rate = (hours[many] - hours[few]) * 3_600 / between
            print(
                f"| {engine} | {seconds[engine, few]:.1f} s | {seconds[engine, many]:.1f} s "
                f"| {between:.1f} s, {rate:,.0f} x real time |"
            )
        more = [seconds["ray", times] - seconds["local", times] for times in (few, many)]
        per_part = (more[1] - more[0]) / (num_parts[many] - num_parts[few])
        print(f"\nRay: {more[0] - per_part * num_parts[few]:.1f} s once, {per_part:.2f} s for each part; equal stores")


if __name__ == "__main__":
    main()
