"""Dealing clips to folds."""

from collections import Counter

import pyarrow as pa
import pytest

from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import Manifest
from earwitness.subsets.splits import with_folds


def manifest(**extra: list[object]) -> Manifest:
    """60 clips in 30 groups of two, of three labels."""
    rows = range(60)
    columns = {
        "clip_id": [f"c{i}" for i in rows],
        "media": [f"/m/{i}.wav" for i in rows],
        "labels": [[["dog", "cat", "rain"][i // 2 % 3]] for i in rows],
        "group": [f"g{i // 2}" for i in rows],
    }
    return Manifest.from_table(pa.table({**columns, **extra}))


def test_groups_stay_together_and_labels_are_spread() -> None:
    table = with_folds(manifest(), 5).table
    fold_of_group = {}
    counts: Counter[tuple[int, str]] = Counter()
    for row in table.to_pylist():
        assert fold_of_group.setdefault(row["group"], row["fold"]) == row["fold"]
        counts[row["fold"], row["labels"][0]] += 1
    assert set(table["fold"].to_pylist()) == {1, 2, 3, 4, 5}
    assert set(counts.values()) == {4}, "60 clips: each of 3 labels 4 times in each of 5 folds"


def test_the_same_whatever_the_order() -> None:
    whole = manifest()
    turned = Manifest.from_table(whole.table.take(list(reversed(range(60)))))
    folds = [{row["clip_id"]: row["fold"] for row in with_folds(m, 4).table.to_pylist()} for m in (whole, turned)]
    assert folds[0] == folds[1]


def test_clips_without_a_group_go_by_their_file() -> None:
    groups: list[object] = [f"g{i // 2}" if i < 20 else (None if i % 2 else "") for i in range(60)]
    folds = Counter(with_folds(manifest(group=groups), 5).table["fold"].to_pylist())
    assert max(folds.values()) - min(folds.values()) <= 4


def test_refusals() -> None:
    with pytest.raises(SettingsError, match="folds=1"):
        with_folds(manifest(), 1)
    with pytest.raises(ManifestError, match="there are 30"):
        with_folds(manifest(), 31)
    with pytest.raises(ManifestError, match="has a column 'fold' already"):
        with_folds(manifest(fold=[1] * 60), 3)
