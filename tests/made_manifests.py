"""Manifests made up for tests of label sets and subsets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from earwitness.manifest import Manifest


def manifest_of(labels: Sequence[Sequence[str]], **columns: Any) -> Manifest:
    """A clip for each list of labels: c0, c1 ..."""
    rows = range(len(labels))
    table = {
        "clip_id": [f"c{row}" for row in rows],
        "media": [f"/m/{row}.wav" for row in rows],
        "labels": [list(each) for each in labels],
    }
    return Manifest.from_table(pa.table({**table, **columns}))


def random_manifest(*, num_clips: int, num_labels: int, seed: int = 0, **columns: Any) -> Manifest:
    """Clips with one to five labels, of which the first are much more frequent than the last."""
    rng = np.random.default_rng(seed)
    priors = 1.0 / np.arange(1, num_labels + 1)
    labels = [
        rng.choice(
            [f"l{number:03d}" for number in range(num_labels)],
            size=min(num_labels, int(rng.integers(1, 6))),
            replace=False,
            p=priors / priors.sum(),
        ).tolist()
        for _ in range(num_clips)
    ]
    return manifest_of(labels, **columns)


def in_another_order(manifest: Manifest, *, seed: int = 1) -> Manifest:
    """The same clips, shuffled."""
    rows = np.random.default_rng(seed).permutation(len(manifest))
    return Manifest.from_table(pa.Table.from_pylist([manifest.table.slice(row, 1).to_pylist()[0] for row in rows]))


def labels_by_clip(manifest: Manifest) -> dict[str, list[str]]:
    """The labels of every clip."""
    return {row["clip_id"]: row["labels"] for row in manifest.table.select(["clip_id", "labels"]).to_pylist()}


def ids_of(manifest: Manifest) -> set[str]:
    """The ids of its clips."""
    return set(manifest.table["clip_id"].to_pylist())
