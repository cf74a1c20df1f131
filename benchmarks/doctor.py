"""What the data doctor finds of flaws that were planted, what it says of clips that nobody touched, and what it costs.

    EARWITNESS_DATA=... python benchmarks/doctor.py --per-strength 6
    python benchmarks/doctor.py --per-strength 2

Flaws of every kind and several strengths are planted (see planted_flaws.py) into ESC-10, or into a made corpus where
EARWITNESS_DATA is unset. Two tables: by kind and strength, how many of the planted were found, from the media and
from a store of the same clips; and what is reported of clips that were left as they came, which need not be false: they
are real. Then the seconds that the doctor takes beside those of preparing the same corpus, alternately, in one run.
"""

import argparse
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from earwitness.datasets.esc50 import manifest_from_esc50
from earwitness.doctor.findings import KINDS, CorpusReport
from earwitness.doctor.inspect import inspect_manifest, inspect_store
from earwitness.doctor.settings import InspectSettings
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest, read_manifest
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from earwitness.synth.corpus import make_corpus
from earwitness.synth.settings import SynthSettings
from planted_flaws import Planted, PlantedCorpus, plant

HOLE = "a label that no clip carries"
_CLIPS_PER_STRENGTH = 60
ALSO_RIGHT = {"truncated": ("partly_decoded", "undecodable")}
"""Kinds of findings that say as much."""


def main() -> None:
    """Plant, inspect, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-strength", type=int, default=4, help="clips to plant of each kind and strength")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="of preparing and inspecting, for the cost")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        whole = whole_corpus(folder / "corpus", arguments.per_strength, arguments.workers)
        corpus = plant(whole, folder / "planted", per_strength=arguments.per_strength, seed=arguments.seed)
        label_set = LabelSet.of([*sorted(corpus.manifest.label_counts()), HOLE])
        settings = InspectSettings(workers=arguments.workers)
        seconds = defaultdict(list)
        for number in range(arguments.rounds):
            store_folder = folder / f"store-{number}"
            started = time.perf_counter()
            build_store(
                corpus.manifest, store_folder, settings=BuildSettings(workers=arguments.workers), label_set=label_set
            )
            prepared = time.perf_counter()
            by_media = inspect_manifest(corpus.manifest, settings=settings, label_set=label_set)
            inspected = time.perf_counter()
            store = Store.open(store_folder)
            by_store = inspect_store(store, settings=settings)
            seconds["prepare"].append(prepared - started)
            seconds["inspect the manifest"].append(inspected - prepared)
            seconds["inspect the store"].append(time.perf_counter() - inspected)
        print_found(corpus, by_media, by_store)
        print_untouched(corpus, by_media, by_store)
        print_labels(by_media)
        print_cost(seconds, by_media)


def whole_corpus(folder: Path, per_strength: int, workers: int) -> Manifest:
    """ESC-10 where there is real data; else made sounds, with labels that are true."""
    if data := os.environ.get("EARWITNESS_DATA"):
        return manifest_from_esc50(Path(data) / "esc10")
    settings = SynthSettings(clips=_CLIPS_PER_STRENGTH * per_strength, mean_seconds=8, flaws=0)
    return read_manifest(make_corpus(folder, settings=settings, workers=workers).manifest_path)


def print_found(corpus: PlantedCorpus, by_media: CorpusReport, by_store: CorpusReport) -> None:
    """By kind and strength: planted, found."""
    print(
        f"{len(corpus.manifest)} clips, {len(corpus.planted)} flaws planted, {len(corpus.untouched)} clips untouched\n"
    )
    print("| kind | strength | planted | found in media | found in store | missed in media |")
    print("|---|---|---|---|---|---|")
    rows: dict[tuple[str, str], list[Planted]] = defaultdict(list)
    for flaw in corpus.planted:
        rows[flaw.kind, flaw.strength].append(flaw)
    crossing = [flaw for flaw in corpus.planted if flaw.crosses_folds]
    for flaw in crossing:
        rows["split_leak", flaw.strength].append(flaw)
    media, store = found_kinds(by_media), found_kinds(by_store)
    for (kind, strength), flaws in rows.items():
        kinds = {kind, *ALSO_RIGHT.get(kind, ())}
        in_media = [flaw for flaw in flaws if is_found(flaw, kinds, media, by_media)]
        in_store = [flaw for flaw in flaws if is_found(flaw, kinds, store, by_store)]
        missed = ", ".join(f"{flaw.clip_id} {flaw.detail}".strip() for flaw in flaws if flaw not in in_media)
        print(f"| {kind} | {strength} | {len(flaws)} | {len(in_media)} | {len(in_store)} | {missed} |")


def found_kinds(report: CorpusReport) -> dict[str, set[str]]:
    """Kinds of the findings of each clip."""
    found: dict[str, set[str]] = defaultdict(set)
    for finding in report.findings:
        found[finding.clip_id].add(finding.kind)
    return found


def is_found(flaw: Planted, kinds: Iterable[str], found: dict[str, set[str]], report: CorpusReport) -> bool:
    """Whether the clip has such a finding; a copy must also be in a group with its original."""
    if flaw.original_id is not None:
        together = {flaw.clip_id, flaw.original_id}
        if not any(together <= {clip.clip_id for clip in group.clips} for group in report.duplicates):
            return False
    return bool(set(kinds) & found.get(flaw.clip_id, set()))


def print_untouched(corpus: PlantedCorpus, by_media: CorpusReport, by_store: CorpusReport) -> None:
    """What is reported of clips that are as they came."""
    print(f"\nreported of the {len(corpus.untouched)} untouched clips:\n")
    print("| kind | from media | from store | first, from media |")
    print("|---|---|---|---|")
    reports = [
        [finding for finding in report.findings if finding.clip_id in corpus.untouched]
        for report in (by_media, by_store)
    ]
    counts = [Counter(finding.kind for finding in findings) for findings in reports]
    for kind in KINDS:
        first = next((f"{f.clip_id}: {f.detail}" for f in reports[0] if f.kind == kind), "")
        print(f"| {kind} | {counts[0][kind]} | {counts[1][kind]} | {first} |")


def print_labels(report: CorpusReport) -> None:
    """Whether the hole in the label set was seen."""
    print(f"\nlabels that no clip carries: {report.labels.unused} (planted: {HOLE!r})")
    print(f"unlabelled clips: {report.labels.num_unlabelled}")


def print_cost(seconds: dict[str, list[float]], report: CorpusReport) -> None:
    """Seconds of each, and the doctor's as a share of preparing."""
    print(f"\n{report.seconds_of_sound / 60:.0f} min of sound; seconds in alternating rounds:")
    prepare = min(seconds["prepare"])
    for name, values in seconds.items():
        rounds = ", ".join(f"{value:.2f}" for value in values)
        print(f"  {name}: {rounds}; least {min(values):.2f} s, {100 * min(values) / prepare:.0f} % of preparing")


if __name__ == "__main__":
    main()
