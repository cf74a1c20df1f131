"""How often each label is given, where, and which are missing."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.doctor.findings import LabelCount, LabelReport
from earwitness.labels import LabelSet


def label_report(
    labels: pa.ChunkedArray, sides: Sequence[str | None], *, label_set: LabelSet | None, min_clips: int
) -> LabelReport:
    """Count the labels of a corpus.

    Args:
        labels: lists of label ids, one a clip.
        sides: of the split, one a clip; None where a clip is on none.
        label_set: the labels there should be; None: those that clips carry.
        min_clips: labels of fewer are `too_few`.
    """
    clips = pc.list_parent_indices(labels).to_numpy().astype(np.int64)
    encoded = pc.dictionary_encode(pc.list_flatten(labels)).combine_chunks()
    ids = encoded.dictionary.to_pylist() if len(encoded) else []
    pairs = np.unique(clips * len(ids) + encoded.indices.to_numpy()) if ids else np.empty(0, np.int64)
    clips, numbers_of_labels = np.divmod(pairs, max(1, len(ids)))  # a label that a clip names twice counts once
    side_names = sorted({side for side in sides if side is not None})
    number_of_side = {side: number for number, side in enumerate(side_names)}
    numbers = np.array([number_of_side.get(side, len(side_names)) for side in sides], np.int64)  # type: ignore[arg-type]
    by_side = np.zeros((len(ids), len(side_names) + 1), np.int64)
    np.add.at(by_side, (numbers_of_labels, numbers[clips]), 1)
    totals = by_side.sum(axis=1)
    names = dict(zip(label_set.ids, label_set.names, strict=True)) if label_set is not None else {}
    counts = [
        LabelCount(
            label_id=label_id,
            name=names.get(label_id, label_id),
            num_clips=int(totals[number]),
            prior=float(totals[number] / len(labels)),
            num_by_side={side: int(by_side[number, place]) for place, side in enumerate(side_names)},
        )
        for number, label_id in enumerate(ids)
        if totals[number]  # the dictionary of a subset still has the labels that only other clips carry
    ]
    counts.sort(key=lambda count: (-count.num_clips, count.label_id))
    used = {count.label_id for count in counts}
    unused = [label_id for label_id in names if label_id not in used]
    counts += [
        LabelCount(label_id=i, name=names[i], num_clips=0, prior=0.0, num_by_side=dict.fromkeys(side_names, 0))
        for i in unused
    ]
    return LabelReport(
        counts=tuple(counts),
        unused=tuple(unused),
        unknown=tuple(sorted(used - names.keys())) if label_set is not None else (),
        too_few=tuple(count.label_id for count in counts if 0 < count.num_clips < min_clips),
        missing_on_a_side={
            side: missing
            for side in side_names
            if (missing := tuple(c.label_id for c in counts if c.num_clips and not c.num_by_side[side]))
        },
        num_unlabelled=len(labels) - len(np.unique(clips)),
        labels_per_clip=len(pairs) / max(1, len(labels)),
    )
