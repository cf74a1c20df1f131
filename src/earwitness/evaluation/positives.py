"""Which clips carry which labels, kept sparse: a million clips of thousands of labels carry a few labels each.

A pair is a clip's position (from 0, in the order of the scored clips) and a label's index. Pairs lie label by label,
and ascend by clip within a label, so that one label's clips are a slice; a second index by clip is made when first
asked for.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError


@dataclass(frozen=True, eq=False)
class Positives:
    """The (clip, label) pairs that are true. Made by `from_dense` or `from_pairs`."""

    num_clips: int
    num_labels: int
    offsets: npt.NDArray[np.int64]
    """int64 [labels + 1]: the clips of label i are `clips[offsets[i] : offsets[i + 1]]`."""
    clips: npt.NDArray[np.int64]
    """int64 [pairs]: positions of clips, ascending within each label."""

    @classmethod
    def from_dense(cls, targets: npt.NDArray[np.bool_]) -> "Positives":
        """From a table.

        Args:
            targets: bool [clips, labels]: the clip has the label.

        Raises:
            ScoreError: the targets are not bool, or not a table.
        """
        targets = np.asarray(targets)
        if targets.ndim != 2:
            raise ScoreError(f"targets are {targets.shape}; they must be [clips, labels]")
        if targets.dtype != np.bool_:
            raise ScoreError(f"targets must be bool (the clip has the label), came {targets.dtype}")
        clips, labels = np.nonzero(targets)
        return cls.from_pairs(clips, labels, num_clips=targets.shape[0], num_labels=targets.shape[1])

    @classmethod
    def from_pairs(
        cls, clips: npt.NDArray[Any], labels: npt.NDArray[Any], *, num_clips: int, num_labels: int
    ) -> "Positives":
        """From pairs in any order; a pair that comes twice counts once.

        Args:
            clips: integers [pairs] in [0, num_clips).
            labels: integers [pairs] in [0, num_labels).
            num_clips: all clips, those without labels included.
            num_labels: all labels, those without clips included.

        Raises:
            ScoreError: the two differ in length, or a position is outside its range.
        """
        clips, labels = np.asarray(clips, dtype=np.int64), np.asarray(labels, dtype=np.int64)
        if clips.shape != labels.shape or clips.ndim != 1:
            raise ScoreError(f"pairs: {clips.shape} clips and {labels.shape} labels; each pair has one of both")
        for name, values, stop in (("clip", clips, num_clips), ("label", labels, num_labels)):
            if len(values) and not 0 <= values.min() <= values.max() < stop:
                outside = values[(values < 0) | (values >= stop)][0]
                raise ScoreError(f"pairs: {name} {outside} is outside [0, {stop})")
        labels, clips = _ordered(labels, clips, num_clips)
        return cls(num_clips, num_labels, _offsets(labels, num_labels), clips)

    def of(self, label: int) -> npt.NDArray[np.int64]:
        """The positions of the clips that carry a label, ascending."""
        return self.clips[self.offsets[label] : self.offsets[label + 1]]

    @cached_property
    def num_positives(self) -> npt.NDArray[np.int64]:
        """int64 [labels]: clips that carry each label."""
        return np.diff(self.offsets)

    @cached_property
    def labels_per_clip(self) -> npt.NDArray[np.int64]:
        """int64 [clips]: labels that each clip carries."""
        return np.bincount(self.clips, minlength=self.num_clips)

    def pairs_of_clips(self, first: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The pairs of the clips [first, stop): positions counted from `first`, and labels; ascending by both."""
        offsets, labels = self._by_clip
        own = labels[offsets[first] : offsets[stop]]
        return np.repeat(np.arange(stop - first), np.diff(offsets[first : stop + 1])), own

    def clip_block(self, first: int, stop: int) -> npt.NDArray[np.bool_]:
        """The clips [first, stop) as a table: bool [clips of the block, labels]."""
        block = np.zeros((stop - first, self.num_labels), dtype=np.bool_)
        block[self.pairs_of_clips(first, stop)] = True
        return block

    def to_dense(self) -> npt.NDArray[np.bool_]:
        """All as a table, bool [clips, labels]: where that is small."""
        return self.clip_block(0, self.num_clips)

    @cached_property
    def _by_clip(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Offsets [clips + 1] into the labels [pairs], which ascend within each clip."""
        labels = np.repeat(np.arange(self.num_labels), self.num_positives)
        clips, labels = _ordered(self.clips, labels, self.num_labels)
        return _offsets(clips, self.num_clips), labels


def _ordered(
    outer: npt.NDArray[np.int64], inner: npt.NDArray[np.int64], inner_stop: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs ascending by outer, then inner, each once."""
    keys = np.sort(outer * inner_stop + inner)  # one integer a pair: sorted several times as fast as by two keys
    if len(keys):
        keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    outer, inner = np.divmod(keys, max(inner_stop, 1))
    return outer, inner


def _offsets(ascending: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """int64 [count + 1]: where each of the values 0 ... count - 1 begins, and the end."""
    return np.concatenate(([0], np.cumsum(np.bincount(ascending, minlength=count)))).astype(np.int64, copy=False)
