"""Which clip carries which label, as numbers: the form in which subsets are chosen.

Rows are kept as in compressed sparse rows: the labels of row `i` are `labels[offsets[i]:offsets[i + 1]]`, each once,
ascending. A corpus of 70 million clips with five of 30,871 labels each takes 1.3 GiB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from earwitness.manifest import Manifest
from earwitness.manifest_rows import PIECE_ROWS

Indices = npt.NDArray[np.int64]
Labels = npt.NDArray[np.integer[Any]]

_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Incidence:
    """The labels of every row; a row is a clip, or a group of clips."""

    offsets: Indices
    """[rows + 1]."""
    labels: Labels
    """[pairs]; label numbers, in the smallest type that holds them."""
    num_labels: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def from_parts(cls, parts: Sequence[tuple[Indices, Labels]], num_labels: int) -> "Incidence":
        """From the numbers of labels and the labels of the rows, piece by piece; each row's ascending and unique."""
        kind = np.min_scalar_type(max(num_labels - 1, 0))
        lengths = [lengths for lengths, _ in parts]
        offsets = np.concatenate([[0], *lengths]).astype(np.int64, copy=False)
        np.cumsum(offsets, out=offsets)
        labels = np.concatenate([np.zeros(0, kind), *(labels.astype(kind, copy=False) for _, labels in parts)])
        return cls(offsets=offsets, labels=labels, num_labels=num_labels)

    def counts(self) -> Indices:
        """Rows of each label."""
        counts = np.zeros(self.num_labels, np.int64)
        for first in range(0, len(self.labels), _ROWS_AT_ONCE):
            counts += np.bincount(self.labels[first : first + _ROWS_AT_ONCE], minlength=self.num_labels)
        return counts

    def matrix(self, rows: Indices) -> Any:
        """Some rows [rows, labels] as a sparse matrix of ones in float64."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return self._matrix(offsets, self.labels[places])

    def pieces(self) -> Iterator[tuple[slice, Any]]:
        """All rows as such matrices, a million at a time."""
        for first in range(0, len(self), _ROWS_AT_ONCE):
            rows = slice(first, min(first + _ROWS_AT_ONCE, len(self)))
            offsets = self.offsets[rows.start : rows.stop + 1]
            yield rows, self._matrix(offsets - offsets[0], self.labels[offsets[0] : offsets[-1]])

    def sums(self, weights: npt.NDArray[np.float64]) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
        """The weights of each row's labels, summed up; rows piece by piece, so that no large matrix is made."""
        for rows, matrix in self.pieces():
            yield rows, matrix @ weights

    def _matrix(self, offsets: Indices, labels: Labels) -> Any:
        kind = np.int32 if offsets[-1] < 2**31 else np.int64
        return csr_array(
            (np.ones(len(labels)), labels.astype(kind), offsets.astype(kind)),
            shape=(len(offsets) - 1, self.num_labels),
        )


def incidence_of(manifest: Manifest, label_ids: Sequence[str]) -> Incidence:
    """Which clip carries which of these labels; a label that a clip names twice counts once, others are left out."""
    value_set = pa.array(label_ids, pa.string())
    parts = []
    for chunk in manifest.table["labels"].chunks:
        for first in range(0, len(chunk), PIECE_ROWS):
            lists = chunk.slice(first, PIECE_ROWS)
            flat = lists.flatten()
            known = pc.fill_null(pc.index_in(flat.dictionary, value_set=value_set), -1)
            codes = known.to_numpy(zero_copy_only=False).astype(np.int64)[flat.indices.to_numpy()]
            rows = np.asarray(pc.list_parent_indices(lists), np.int64)
            keys = np.sort((rows * len(label_ids) + codes)[codes >= 0])
            rows, codes = np.divmod(keys[np.diff(keys, prepend=-1) > 0], max(len(label_ids), 1))
            parts.append((np.bincount(rows, minlength=len(lists)), codes))
    return Incidence.from_parts(parts, len(label_ids))
