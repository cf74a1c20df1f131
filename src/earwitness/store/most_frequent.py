"""A store as if its clips carried nothing but the most frequent labels: the same frames, and nothing is copied."""

import copy
import hashlib
from dataclasses import replace

import numpy as np

from earwitness.errors import LabelError
from earwitness.labels import LabelSet
from earwitness.store.read import Indices, Store


def most_frequent_labels(store: Store, num_labels: int, *, among: Indices) -> Indices:
    """The labels on most clips, ascending by index; of equally frequent ones the first.

    Args:
        store: of the clips.
        num_labels: how many.
        among: the clips that are counted.

    Raises:
        LabelError: the clips carry fewer labels.
    """
    _, labels = store.label_pairs(among)
    counts = np.bincount(labels, minlength=len(store.label_set))
    num_carried = int(np.count_nonzero(counts))
    if not 1 <= num_labels <= num_carried:
        raise LabelError(
            f"{store.folder}: the {num_labels:,} most frequent labels are asked for, and the {len(among):,} clips that "
            f"are counted carry {num_carried:,}; 1 to {num_carried:,} would fit"
        )
    chosen: Indices = np.sort(np.argsort(-counts, kind="stable")[:num_labels])
    return chosen


def with_labels(store: Store, labels: Indices) -> Store:
    """The store with some of its labels, and a fingerprint of its own; clips that carry none of them stay.

    Args:
        store: any.
        labels: indices in its label set, ascending.
    """
    label_set = LabelSet(
        ids=tuple(store.label_set.ids[label] for label in labels),
        names=tuple(store.label_set.names[label] for label in labels),
    )
    new_index = np.full(len(store.label_set), -1, np.int32)
    new_index[labels] = np.arange(len(labels))
    is_kept = new_index[store.label_indices] >= 0
    num_kept_before = np.concatenate(([0], np.cumsum(is_kept)))
    view = copy.copy(store)
    view.label_set = label_set
    view.label_offsets = num_kept_before[store.label_offsets]
    view.label_indices = new_index[store.label_indices[is_kept]]
    view.index = replace(store.index, label_offsets=view.label_offsets, label_indices=view.label_indices)
    view.fingerprint = hashlib.sha256(f"{store.fingerprint} {label_set.identity}".encode()).hexdigest()[:32]
    return view
