"""Balanced evaluation sets and stratified splits: how near the smallest, how even, how long, how much memory.

    python benchmarks/balanced_set.py [--audioset DIR] [--clips 1000000] [--manifest FILE ...]

On Audio Set's published lists (DIR holds its csv files and ontology.json; by default EARWITNESS_DATA/audioset), with
the labels as given and with their ancestors; on a made corpus of so many clips with 30,871 labels, five a clip on
average, drawn by Zipf's law (the k-th label is on a share of the clips that falls as 1/k); and on any manifests given.
The numbers of labels are the paper's: 30,871, 3,087 and 400, with 33 clips each.

Every row is measured in a process of its own. Seconds are the processor's, of choosing alone (one thread, or set
OMP_NUM_THREADS=1); the peak is that of the process, the manifest included.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from earwitness.datasets.audioset import manifest_from_audioset
from earwitness.manifest import Manifest, read_manifest
from earwitness.subsets.balanced import balanced_set
from earwitness.subsets.incidence import incidence_of
from earwitness.subsets.ontology import read_ontology
from earwitness.subsets.relabelling import relabel
from earwitness.subsets.splits import split_manifest

Source = Callable[[], Manifest]

NUM_LABELS = 30_871
MEAN_LABELS = 5
PER_LABEL = 33
MOST_FREQUENT = (None, 3_087, 400)
PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}
_PIECE = 1_000_000


def audioset(folder: Path, *, with_ancestors: bool) -> Manifest:
    """The balanced training segments and the evaluation segments."""
    lists = [folder / "balanced_train_segments.csv", folder / "eval_segments.csv"]
    manifest = manifest_from_audioset(lists).manifest
    if with_ancestors:
        manifest = relabel(manifest, ontology=read_ontology(folder / "ontology.json")).manifest
    return Manifest(manifest.table.drop(["split"]), manifest.source)


def made(num_clips: int) -> Manifest:
    """Clips with labels by Zipf's law, independent of one another."""
    return Manifest.from_pieces(_made_pieces(num_clips))


def _made_pieces(num_clips: int) -> Iterator[pa.Table]:
    ids = pa.array([f"label-{rank:05d}" for rank in range(NUM_LABELS)])
    shares = np.cumsum(1.0 / np.arange(1, NUM_LABELS + 1))
    for first in range(0, num_clips, _PIECE):
        size = min(_PIECE, num_clips - first)
        rng = np.random.default_rng([1, first])
        clips = np.repeat(np.arange(size), 1 + rng.poisson(MEAN_LABELS - 1, size))
        labels = np.searchsorted(shares / shares[-1], rng.random(len(clips)))
        clips, labels = np.divmod(np.unique(clips * NUM_LABELS + labels), NUM_LABELS)
        offsets = np.searchsorted(clips, np.arange(size + 1)).astype(np.int32)
        clip_ids = pa.array([f"clip-{number:08d}" for number in range(first, first + size)])
        yield pa.table(
            {
                "clip_id": clip_ids,
                "media": clip_ids,
                "labels": pa.ListArray.from_arrays(
                    pa.array(offsets), pa.DictionaryArray.from_arrays(pa.array(labels.astype(np.int32)), ids)
                ),
            }
        )


def balanced_row(name: str, source: Source, most_frequent: int | None) -> str | None:
    """A row of the table of balanced sets; None where there are fewer labels than that."""
    manifest = source()
    labels = list(manifest.label_counts())
    if most_frequent is not None and most_frequent >= len(labels):
        return None
    started = time.process_time()
    found = balanced_set(manifest, per_label=PER_LABEL, labels=labels[:most_frequent])
    seconds = time.process_time() - started
    held = np.sort(found.num_in_set)
    num_wanted = int(np.minimum(held, PER_LABEL).sum())
    return (
        f"| {name} | {len(manifest):,} | {len(held):,} | {len(found.rows):,} | {found.lower_bound:,} | "
        f"{len(found.rows) / found.lower_bound - 1:.3%} | {held[0]:,} / {held[len(held) // 2]:,} / {held[-1]:,} | "
        f"{np.count_nonzero(found.num_in_set < PER_LABEL):,} | {num_wanted / len(found.rows):.2f} | "
        f"{seconds:.1f} | {_peak():.2f} |"
    )


def split_row(name: str, source: Source) -> str:
    """A row of the table of splits, beside one at random."""
    manifest = source()
    started = time.process_time()
    found = split_manifest(manifest, PARTS)
    seconds = time.process_time() - started
    clips = incidence_of(manifest, list(manifest.label_counts()))
    parts = np.random.default_rng(1).choice(len(PARTS), len(manifest), p=list(PARTS.values()))
    held = np.zeros((clips.num_labels, len(PARTS)))
    np.add.at(held, (clips.labels, parts[np.repeat(np.arange(len(clips)), np.diff(clips.offsets))]), 1)
    at_random = np.abs(held / held.sum(axis=1, keepdims=True) - list(PARTS.values())).mean()
    sizes = " / ".join(f"{count:,}" for count in found.num_clips.values())
    num_missing = np.count_nonzero((held == 0).any(axis=1) & (clips.counts() >= len(PARTS)))
    return (
        f"| {name} | {sizes} | {found.label_error:.2%} | {at_random:.2%} | {len(found.missing):,} | {num_missing:,} | "
        f"{seconds:.1f} | {_peak():.2f} |"
    )


def _peak() -> float:
    """GiB of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audioset", type=Path, help="folder of Audio Set's tables")
    parser.add_argument("--clips", type=int, default=1_000_000, help="of the made corpus; 0: none")
    parser.add_argument("--manifest", type=Path, nargs="+", default=[], help="manifests to measure, too")
    parser.add_argument("--no-splits", action="store_true", help="only balanced sets")
    arguments = parser.parse_args()
    folder = arguments.audioset
    if folder is None and (data := os.environ.get("EARWITNESS_DATA")):
        folder = Path(data) / "audioset"
    sources: dict[str, Source] = {}
    if folder is not None:
        sources["Audio Set"] = partial(audioset, folder, with_ancestors=False)
        sources["with ancestors"] = partial(audioset, folder, with_ancestors=True)
    if arguments.clips:
        sources["made"] = partial(made, arguments.clips)
    sources |= {path.name: partial(read_manifest, path) for path in arguments.manifest}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        print(
            "| corpus | clips | labels | balanced set | at least | above | clips a label: min / median / max | "
            "not filled | wanted labels a clip | s | GiB |\n" + "|---" * 11 + "|"
        )
        for name, source in sources.items():
            for most_frequent in MOST_FREQUENT:
                row = pool.submit(balanced_row, name, source, most_frequent).result()
                if row is not None:
                    print(row, flush=True)
        if arguments.no_splits:
            return
        print(
            "\n| corpus | train / validation / test | label error | at random | labels missing in a part | at random | "
            "s | GiB |\n" + "|---" * 8 + "|"
        )
        for name, source in sources.items():
            print(pool.submit(split_row, name, source).result(), flush=True)


if __name__ == "__main__":
    main()
