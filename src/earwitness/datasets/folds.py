"""Dealing clips to folds, for corpora that come without."""

import hashlib

import pyarrow as pa

from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import Manifest


def with_folds(manifest: Manifest, num_folds: int) -> Manifest:
    """Add a column `fold` of the numbers 1 to `num_folds`.

    Clips of one `group` (where they have none: of one media file) share a fold. Groups of the same labels are dealt out
    in turn, so that every fold gets its share of every label; the order among them is that of a hash of their name,
    so the same manifest is always dealt the same way.

    Raises:
        ManifestError: there is a column `fold` already, or there are fewer groups than folds.
        SettingsError: `num_folds` is below 2.
    """
    if num_folds < 2:
        raise SettingsError(f"folds={num_folds} must be at least 2")
    table = manifest.table
    if "fold" in table.column_names:
        raise ManifestError(f"{manifest.source}: it has a column 'fold' already; leave --folds away")
    media = [f"media {name}" for name in table["media"].to_pylist()]
    given = table["group"].to_pylist() if "group" in table.column_names else [None] * len(media)
    groups = [f"group {group}" if group not in (None, "") else own for group, own in zip(given, media, strict=True)]
    labels_of: dict[str, set[str]] = {}
    for group, labels in zip(groups, table["labels"].to_pylist(), strict=True):
        labels_of.setdefault(group, set()).update(labels)
    if len(labels_of) < num_folds:
        raise ManifestError(
            f"{manifest.source}: {num_folds} folds need as many groups of clips; there are {len(labels_of)}"
        )
    order = sorted(labels_of, key=lambda group: (sorted(labels_of[group]), hashlib.sha256(group.encode()).digest()))
    fold_of = {group: position % num_folds + 1 for position, group in enumerate(order)}
    folds = pa.array([fold_of[group] for group in groups], pa.int64())
    return Manifest(table.append_column("fold", folds), manifest.source)
