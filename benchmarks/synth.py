"""How fast made corpora are made: soundtrack hours a minute, and that the bytes do not depend on the workers.

    python benchmarks/synth.py --minutes 60 --workers 2

Makes one corpus twice, by one worker and by several, in temporary folders; prints the time of each, their ratio, and
what one core spends on each part: planning, mixing (sounds, noise, rooms, device), encoding.
"""

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np

from earwitness.synth import corpus, mixing
from earwitness.synth.encode import encode
from earwitness.synth.plan import ENCODING, plan_clip
from earwitness.synth.settings import SynthSettings
from earwitness.synth.signals import SAMPLE_RATE_HZ


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="sound to make")
    parser.add_argument("--mean-seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    settings = SynthSettings(
        clips=max(1, round(60 * arguments.minutes / arguments.mean_seconds)), mean_seconds=arguments.mean_seconds
    )
    with tempfile.TemporaryDirectory() as scratch:
        by_part(settings, Path(scratch))
    digests = []
    for workers in (1, arguments.workers):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            made = corpus.make_corpus(folder, settings=settings, workers=workers)
            seconds = time.perf_counter() - started
            digests.append(digest(Path(folder)))
        speed = made.seconds_of_sound / seconds
        print(
            f"{workers} worker(s): {made.num_clips} clips, {made.seconds_of_sound / 3600:.2f} h in {seconds:.1f} s: "
            f"{speed:.0f}x real time, {speed / 60:.2f} hours of soundtrack a minute"
        )
    print(f"same bytes in every file: {digests[0] == digests[1]}")


def by_part(settings: SynthSettings, folder: Path, num_clips: int = 12) -> None:
    """Print what each part of the work takes on one core, for a second of soundtrack."""
    spent = {"planning": 0.0, "mixing": 0.0, "encoding": 0.0}
    sound_seconds = 0.0
    for number in range(min(num_clips, settings.clips)):
        started = time.perf_counter()
        plan = plan_clip(settings, number)
        planned = time.perf_counter()
        blocks = list(mixing.mix(plan, seed=settings.seed))
        mixed = time.perf_counter()
        rng = np.random.default_rng((settings.seed, ENCODING, number))
        encode(blocks, folder / "encoded", suffix=plan.suffix, sample_rate_hz=SAMPLE_RATE_HZ, rng=rng)
        encoded = time.perf_counter()
        sound_seconds += plan.seconds
        parts = (planned - started, mixed - planned, encoded - mixed)
        for name, seconds in zip(spent, parts, strict=True):
            spent[name] += seconds
    for name, seconds in spent.items():
        print(f"{name}: {1e3 * seconds / sound_seconds:.2f} ms a second of soundtrack")


def digest(folder: Path) -> str:
    """Of all files by name and content."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


if __name__ == "__main__":
    main()
