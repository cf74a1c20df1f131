"""Dealing groups of clips to parts so that every part gets its share of every label (iterative stratification).

The label with the fewest groups left is dealt out first, because later there would be nothing left to choose: each of
its groups, large ones first, goes to the part that lacks most clips of the label; if several lack as many, to the one
that lacks most of the group's other labels, then to the one that lacks most clips. Once as few groups of a label are
left as parts have none of it, these parts get them. Groups without labels come last.

Rarer labels can use up the groups of a label before its turn. So in the end, where a part has no group of a label
although there are as many groups of it as parts, one is moved there from a part that keeps another of each of its
labels, if there is such a group.

Reference: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011. The
order of large groups, the ties and the move are our own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.subsets.incidence import Indices


class Dealer:
    """Groups, their labels, and what each part lacks."""

    def __init__(self, groups: Any, num_clips: Indices, shares: Sequence[float]) -> None:
        """Prepare to deal.

        Args:
            groups: sparse matrix [groups, labels] of numbers of clips; of equals, the first is dealt first.
            num_clips: [groups].
            shares: of each part, summing to 1.
        """
        self.part_of: npt.NDArray[np.int64] = np.full(len(num_clips), -1)
        """[groups]; -1 while it is not dealt."""
        self._order = np.argsort(-num_clips, kind="stable")
        self._sizes = num_clips.tolist()
        self._offsets, self._labels = groups.indptr.tolist(), groups.indices.tolist()
        self._clips = groups.data.astype(np.int64).tolist()
        self._num_parts = len(shares)
        totals = np.asarray(groups.sum(axis=0)).ravel()
        self._totals = totals.tolist()
        self._lacking = np.outer(totals, shares).tolist()
        """[labels][parts]; clips that a part still wants of a label."""
        self._lacking_clips = [share * float(num_clips.sum()) for share in shares]
        self._held = np.zeros((len(totals), len(shares)), np.int64).tolist()
        """[labels][parts]; groups."""
        by_label = groups[self._order].tocsc()
        self._members = [
            self._order[by_label.indices[first:stop]]
            for first, stop in zip(by_label.indptr[:-1], by_label.indptr[1:], strict=True)
        ]
        self._num_left = np.diff(by_label.indptr)

    def deal(self) -> None:
        """Give every group a part."""
        num_left = self._num_left.astype(np.float64)
        while True:
            num_left[num_left == 0] = np.inf
            if not len(num_left) or np.isinf(num_left.min()):
                break
            label = int(num_left.argmin())
            members = self._members[label]
            waiting = members[self.part_of[members] < 0].tolist()
            for num_before, group in enumerate(waiting):
                part = self._part_for(group, label, num_left=len(waiting) - num_before)
                self._give(group, part)
            labels, counts = np.unique(
                [each for group in waiting for each in self._labels_of(group)], return_counts=True
            )
            num_left[labels] -= counts
        for group in self._order[self.part_of[self._order] < 0].tolist():
            self._give(group, int(np.argmax(self._lacking_clips)))
        self._mend()

    def _part_for(self, group: int, label: int, *, num_left: int) -> int:
        lacking, held = self._lacking[label], self._held[label]
        parts: Sequence[int] = range(self._num_parts)
        without = [part for part in parts if not held[part]]
        if num_left <= len(without):
            parts = without
        most = max(lacking[part] for part in parts)
        best = [part for part in parts if lacking[part] > most - 1e-6]
        if len(best) == 1:
            return best[0]
        others = [(each, self._totals[each]) for each in self._labels_of(group)]
        need = {part: sum(self._lacking[each][part] / total for each, total in others) for part in best}
        return max(best, key=lambda part: (round(need[part], 6), self._lacking_clips[part], -part))

    def _give(self, group: int, part: int, *, times: int = 1) -> None:
        """Give a group to a part; `times` -1 takes it away."""
        self.part_of[group] = part
        for place in range(self._offsets[group], self._offsets[group + 1]):
            label = self._labels[place]
            self._lacking[label][part] -= times * self._clips[place]
            self._held[label][part] += times
        self._lacking_clips[part] -= times * self._sizes[group]

    def _labels_of(self, group: int) -> list[int]:
        labels: list[int] = self._labels[self._offsets[group] : self._offsets[group + 1]]
        return labels

    def _mend(self) -> None:
        held = np.array(self._held).reshape(-1, self._num_parts)
        for label in np.flatnonzero((held == 0).any(axis=1) & (held.sum(axis=1) >= self._num_parts)).tolist():
            for part in range(self._num_parts):
                if self._held[label][part]:
                    continue
                for group in reversed(self._members[label].tolist()):  # small ones first
                    source = int(self.part_of[group])
                    if all(self._held[each][source] > 1 for each in self._labels_of(group)):
                        self._give(group, source, times=-1)
                        self._give(group, part)
                        break
