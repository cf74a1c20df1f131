"""Changing the labels of a manifest: ancestors by an ontology, rules from a table, the most frequent.

Always in this order, so that rules have the last word on ancestors, too; another one is had by doing it twice:

1. ancestors: every label brings all its ancestors along, by every parent. Those the ontology restricts (abstract,
   blacklisted) are passed over, not stopped at: theirs come. A restricted label that clips carry stays.
2. rules: a table with the columns `from` and `to` renames, merges (several `from`, one `to`), drops (`to` is empty) and
   splits (several rows of one `from`). Rules are not applied to what rules give.
3. the most frequent: of all labels as they are now, the K carried by most clips; of equal ones the first by id.

The first two are a map from a label to none, one or several, made label by label; the clips only look up. A
clip has each label once: its own in their order, each followed by what it brings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import LabelError, ManifestError, SettingsError
from earwitness.manifest import Manifest
from earwitness.manifest_rows import CORE_COLUMNS, PIECE_ROWS
from earwitness.subsets.ontology import Ontology
from earwitness.table_files import read_table

LabelMap = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """A manifest with other labels, and what to say of it."""

    manifest: Manifest
    counts: Mapping[str, int]
    """Clips of each label: most frequent first, then by id."""
    counts_before: Mapping[str, int]
    num_labels_to_choose_from: int
    """Labels before the most frequent were chosen."""
    num_unlabelled: int
    """Clips that carry no label now, in the manifest or dropped."""
    num_dropped: int
    """Clips left out."""
    idle_rules: tuple[str, ...]
    """Labels that rules speak of and no clip carries."""
    not_in_ontology: tuple[str, ...]
    """Labels that the ontology does not know, and that so have no ancestors."""
    tied: tuple[str, ...]
    """Labels left out by their id alone: as frequent as the last one kept."""


def relabel(
    manifest: Manifest,
    *,
    ontology: Ontology | None = None,
    with_restricted: bool = False,
    rules: LabelMap | None = None,
    most_frequent: int | None = None,
    drop_unlabelled: bool = False,
) -> Relabelled:
    """Change labels; see above.

    Args:
        manifest: every column but `labels` stays.
        ontology: None: no ancestors.
        with_restricted: ancestors that the ontology restricts are added, too.
        rules: what becomes of a label; None, and labels not in it: it stays.
        most_frequent: None: all.
        drop_unlabelled: leave out clips that carry no label in the end.

    Raises:
        SettingsError: `most_frequent` is below 1.
        LabelError: the ontology knows none of the labels.
        ManifestError: no clip, or no label, would be left.
    """
    if most_frequent is not None and most_frequent < 1:
        raise SettingsError(f"most_frequent={most_frequent} must be at least 1")
    before = manifest.label_counts()
    families: dict[str, tuple[str, ...]] = {label: (label,) for label in before}
    unknown: tuple[str, ...] = ()
    if ontology is not None:
        unknown = _check_known(before, ontology, manifest.source)
        families = {label: _family(label, ontology, with_restricted) for label in before}
    rules = rules or {}
    changed = apply_map(
        manifest,
        {
            label: tuple(dict.fromkeys(new for each in family for new in rules.get(each, (each,))))
            for label, family in families.items()
        },
    )
    counts = changed.label_counts()
    num_choices = len(counts)
    tied: tuple[str, ...] = ()
    if most_frequent is not None and most_frequent < len(counts):
        ranked = list(counts.items())
        kept = dict(ranked[:most_frequent])
        tied = tuple(label for label, count in ranked[most_frequent:] if count == ranked[most_frequent - 1][1])
        changed = apply_map(changed, {label: (label,) if label in kept else () for label in counts})
        counts = kept
    if not counts:
        raise ManifestError(f"{manifest.source}: no label would be left on any clip")
    is_unlabelled = pc.equal(pc.list_value_length(changed.table["labels"]), 0)
    num_unlabelled = int(pc.sum(is_unlabelled).as_py())
    if drop_unlabelled and num_unlabelled:
        changed = changed.take(np.flatnonzero(~np.asarray(is_unlabelled)))
    return Relabelled(
        manifest=changed,
        counts=counts,
        counts_before=before,
        num_labels_to_choose_from=num_choices,
        num_unlabelled=num_unlabelled,
        num_dropped=num_unlabelled if drop_unlabelled else 0,
        idle_rules=tuple(sorted(rules.keys() - {each for family in families.values() for each in family})),
        not_in_ontology=unknown,
        tied=tied,
    )


def apply_map(manifest: Manifest, label_map: LabelMap) -> Manifest:
    """Replace each label by what the map gives for it; the map has all labels that clips carry."""
    new_ids = list(dict.fromkeys(new for labels in label_map.values() for new in labels))
    code_of = {label: code for code, label in enumerate(new_ids)}
    dictionary = pa.array(new_ids, pa.string())
    chunks = [
        _mapped(chunk.slice(first, PIECE_ROWS), label_map, code_of, dictionary)
        for chunk in manifest.table["labels"].chunks
        for first in range(0, len(chunk), PIECE_ROWS)
    ]
    column = pa.chunked_array(chunks, CORE_COLUMNS["labels"])
    place = manifest.table.column_names.index("labels")
    return Manifest(manifest.table.set_column(place, "labels", column), manifest.source)


def read_rules(path: str | Path) -> LabelMap:
    """Read rules from a table with the columns `from` and `to`.

    Raises:
        ManifestError: the table cannot be read, or lacks a column.
        LabelError: a row has no `from`, or a label is both dropped and kept.
    """
    path = Path(path)
    table = read_table(path, text_columns=("from", "to"))
    if missing := [name for name in ("from", "to") if name not in table.column_names]:
        raise ManifestError(
            f"{path}: no column {missing[0]!r}; rules are a table with the columns from and to, this one has "
            f"{', '.join(table.column_names)}"
        )
    rules: dict[str, list[str]] = {}
    cells = (pc.fill_null(pc.cast(table[name], pa.string()), "").to_pylist() for name in ("from", "to"))
    for row, (old, new) in enumerate(zip(*cells, strict=True), start=1):
        old, new = old.strip(), new.strip()
        if not old:
            raise LabelError(f"{path}: row {row}: column from is empty; it names the label to change")
        rules.setdefault(old, []).append(new)
    for old, new_labels in rules.items():
        if "" in new_labels and any(new_labels):
            kept = next(new for new in new_labels if new)
            raise LabelError(f"{path}: {old!r} is dropped in one row and becomes {kept!r} in another; decide for one")
    return {old: tuple(dict.fromkeys(new for new in new_labels if new)) for old, new_labels in rules.items()}


def _family(label: str, ontology: Ontology, with_restricted: bool) -> tuple[str, ...]:
    ancestors = ontology.ancestors.get(label, ())
    return (label, *(each for each in ancestors if with_restricted or each not in ontology.restricted))


def _check_known(labels: Iterable[str], ontology: Ontology, source: str) -> tuple[str, ...]:
    labels = list(labels)
    unknown = tuple(sorted(set(labels) - ontology.names.keys()))
    if labels and len(unknown) == len(labels):
        raise LabelError(
            f"{source}: the ontology knows none of its {len(labels)} labels; the first is {labels[0]!r}, an id of the "
            f"ontology {next(iter(ontology.names), 'missing')!r} (`earwitness labels --rules` can rename labels to ids)"
        )
    return unknown


def _mapped(labels: pa.ListArray, label_map: LabelMap, code_of: Mapping[str, int], ids: pa.Array) -> pa.ListArray:
    flat = labels.flatten()
    rows = np.asarray(pc.list_parent_indices(labels), np.int64)
    # after a subset was taken, the dictionary still has labels that no clip carries
    targets = [label_map.get(label, ()) for label in flat.dictionary.to_pylist()]
    offsets = np.cumsum([0, *map(len, targets)])
    codes = np.array([code_of[new] for labels in targets for new in labels], np.int64)
    old = flat.indices.to_numpy().astype(np.int64)
    lengths = np.diff(offsets)[old]
    ends = np.cumsum(lengths)
    places = np.arange(lengths.sum()) + np.repeat(offsets[old] - (ends - lengths), lengths)
    rows, codes = np.repeat(rows, lengths), codes[places]
    _, firsts = np.unique(rows * max(len(ids), 1) + codes, return_index=True)
    firsts.sort()  # each label once, where it comes first
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[firsts], minlength=len(labels)))])
    values = pa.DictionaryArray.from_arrays(pa.array(codes[firsts], pa.int32()), ids)
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), values)
