"""Two folders of scores laid side by side: the same clips and labels, in the same order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.evaluation.selected_scores import SelectedScores
from earwitness.labels import LabelSet
from earwitness.scoring.score_folder import ScoreFolder

_NAMED = 3
"""Clips or labels named in a sentence."""


@dataclass(frozen=True, kw_only=True)
class AlignedScores:
    """Scores of two origins, of the same clips and labels in the order of the first."""

    a: ScoreSource
    b: ScoreSource
    positives: Positives
    label_set: LabelSet
    thresholds_a: npt.NDArray[np.float64] | None
    """[labels] that the model of one origin was given; None where it has none of its own."""
    thresholds_b: npt.NDArray[np.float64] | None
    """Likewise of the other."""
    notes: tuple[str, ...]
    """What was left out on either side, as sentences."""


def align_scores(a: ScoreFolder, b: ScoreFolder, *, common: bool = False) -> AlignedScores:
    """Lay two folders side by side.

    Args:
        a: gives the order.
        b: the other.
        common: leave out clips and labels that only one of them has; otherwise both must have the same.

    Raises:
        ScoreError: scores are of patches; clips or labels differ, or there are none in common; or a clip carries
            other labels here than there.
    """
    for side in (a, b):
        if side.header.level != "clip":
            raise ScoreError(f"{side.path}: these are scores of patches; scores of clips are compared")
    clips_a, clips_b, clip_note = _matched(a, b, "clip", *(_ids(side) for side in (a, b)), common=common)
    labels_a, labels_b, label_note = _matched(a, b, "label", a.label_set.ids, b.label_set.ids, common=common)
    positives = _selected(a.positives, clips_a, labels_a)
    others = _selected(b.positives, clips_b, labels_b)
    if not (np.array_equal(positives.offsets, others.offsets) and np.array_equal(positives.clips, others.clips)):
        differing = _differing_clips(positives, others)
        ids = _ids(a)
        raise ScoreError(
            f"{a.path} and {b.path}: {len(differing):,} of their clips carry other labels here than there "
            f"({_named([ids[clips_a[clip]] for clip in differing])}); score both from one store"
        )
    return AlignedScores(
        a=_view(a.source, clips_a, labels_a),
        b=_view(b.source, clips_b, labels_b),
        positives=positives,
        label_set=LabelSet(tuple(a.label_set.ids[i] for i in labels_a), tuple(a.label_set.names[i] for i in labels_a)),
        thresholds_a=_thresholds(a, labels_a),
        thresholds_b=_thresholds(b, labels_b),
        notes=tuple(note for note in (clip_note, label_note) if note),
    )


def _thresholds(side: ScoreFolder, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64] | None:
    values = side.header.threshold_values
    return None if values is None else values[labels]


def _ids(folder: ScoreFolder) -> list[str]:
    ids: list[str] = folder.clips["clip_id"].to_pylist()
    return ids


def _matched(
    a: ScoreFolder, b: ScoreFolder, noun: str, ids_a: Sequence[str], ids_b: Sequence[str], *, common: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
    """Positions in either of what both have, in the order of the first, and a sentence on what only one has."""
    place_b = {name: place for place, name in enumerate(ids_b)}
    pairs = [(place, place_b[name]) for place, name in enumerate(ids_a) if name in place_b]
    matched = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    note = ""
    if len(pairs) < max(len(ids_a), len(ids_b)):
        known_a = set(ids_a)
        only = [
            f"{len(alone):,} only in {side.path} ({_named(alone)})"
            for side, alone in (
                (a, [name for name in ids_a if name not in place_b]),
                (b, [name for name in ids_b if name not in known_a]),
            )
            if alone
        ]
        if not pairs:
            raise ScoreError(f"{a.path} and {b.path} have no {noun} in common: {'; '.join(only)}")
        if not common:
            raise ScoreError(
                f"{a.path} and {b.path} have other {noun}s: {'; '.join(only)}; --common compares the {len(pairs):,} "
                "that both have"
            )
        note = f"Only the {len(pairs):,} {noun}s that both have are compared: {'; '.join(only)}."
    return matched[:, 0], matched[:, 1], note


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


def _selected(positives: Positives, clips: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> Positives:
    """The pairs of some clips and labels, by their new positions."""
    if _is_all(clips, positives.num_clips) and _is_all(labels, positives.num_labels):
        return positives
    new_clip = np.full(positives.num_clips, -1)
    new_clip[clips] = np.arange(len(clips))
    new_label = np.full(positives.num_labels, -1)
    new_label[labels] = np.arange(len(labels))
    pair_labels = new_label[np.repeat(np.arange(positives.num_labels), positives.num_positives)]
    pair_clips = new_clip[positives.clips]
    is_kept = (pair_labels >= 0) & (pair_clips >= 0)
    return Positives.from_pairs(pair_clips[is_kept], pair_labels[is_kept], num_clips=len(clips), num_labels=len(labels))


def _differing_clips(one: Positives, other: Positives) -> list[int]:
    """Clips whose labels are not the same in both."""
    keys = [
        side.clips * side.num_labels + np.repeat(np.arange(side.num_labels), side.num_positives)
        for side in (one, other)
    ]
    differing: list[int] = np.unique(np.setxor1d(keys[0], keys[1]) // one.num_labels).tolist()
    return differing


def _view(source: ScoreSource, clips: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> ScoreSource:
    if _is_all(clips, source.num_clips) and _is_all(labels, source.num_labels):
        return source
    return SelectedScores(source, clips=clips, labels=labels)


def _is_all(positions: npt.NDArray[np.int64], number: int) -> bool:
    return len(positions) == number and bool(np.all(positions == np.arange(number)))
