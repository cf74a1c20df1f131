"""The smallest set of rows that holds each label so many times (set multicover), nearly.

1. Rows that are needed whatever else is chosen are taken: all those of a label that has no more than are wanted of it.
2. A greedy choice for the rest: always a row that has most of the labels which are still lacking.
3. Prices of the labels (`prices`), which also tell how small a set can be at best. Greedy choices again, now with the
   rows that are worth most first among equals, and beginning from those that are worth more than they cost.
4. From each choice, rows are removed that no label needs, the least worth first; the smallest result is kept.

So no row of the result can be left out. A greedy round takes many rows at once: of the rows with most lacking labels,
in order, each whose labels would all still be lacking if every row before it were taken. That is a greedy choice like
one by one, in a few dozen sorts. Ties are decided by `order` alone.

A corpus with many more rows than are wanted is not looked at whole each time: the choice is made among a core, about
four times what is wanted of every label, to which rows outside that the prices find worth more than they cost are
added until they hardly matter (column generation). The bound holds for all rows.

Reference: V. V. Vazirani, "Approximation Algorithms", 2001, chapters 2 and 13. The batches are our own.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.subsets.incidence import Incidence, Indices
from earwitness.subsets.prices import Floats, Prices, climb

Mask = npt.NDArray[np.bool_]

_CORE_ROWS = 1_000_000
"""Corpora with no more rows to choose from are looked at whole."""
_CORE_SHARE = 4
"""A core has about this many times what is wanted of every label."""
_CORE_ROUNDS = 6
_NEAR = 0.9995
"""The core is large enough when the bound for all rows is so near the bound for the core."""
_MARGINS = (0.0, 0.01)
"""Choices begin from the rows that are worth more by this than the 1 they cost."""


@dataclass(frozen=True, kw_only=True)
class Cover:
    """A set of rows that covers, and how small one can be at best."""

    rows: Indices
    """Ascending."""
    lower_bound: int
    """No set that covers has fewer rows."""


def cover(
    rows: Incidence, wanted: Indices, order: npt.NDArray[np.uint64], *, max_whole_rows: int = _CORE_ROWS
) -> Cover:
    """Choose rows so that each label is held at least as often as wanted.

    Args:
        rows: which row has which label.
        wanted: [labels]; how often, 0 or more. No more than there are rows of the label.
        order: [rows]; decides between equals: hashes, spread over the whole type, no two alike.
        max_whole_rows: more rows to choose from than these are not looked at whole each time.
    """
    is_scarce = (rows.counts() <= wanted) & (wanted > 0)
    is_needed = _any_of(rows, is_scarce)
    needed = np.flatnonzero(is_needed)
    lacking = np.maximum(wanted - _held(rows.matrix(needed)), 0)
    if not lacking.any():
        return Cover(rows=needed, lower_bound=len(needed))
    is_useful = _any_of(rows, lacking > 0) & ~is_needed
    if np.count_nonzero(is_useful) <= max_whole_rows:
        problem = _Problem(rows, np.flatnonzero(is_useful), lacking, order)
        prices = problem.climb()
        chosen, bound = problem.choose(prices), prices.bound
    else:
        chosen, bound = _choose_from_core(rows, is_useful, lacking, order)
    return Cover(rows=np.sort(np.concatenate([needed, chosen])), lower_bound=len(needed) + math.ceil(bound))


class _Problem:
    """Rows to choose from, and what is wanted of the labels that are lacking."""

    def __init__(self, rows: Incidence, useful: Indices, wanted: Indices, order: npt.NDArray[np.uint64]) -> None:
        self._rows = useful[np.argsort(order[useful])]
        self._labels = np.flatnonzero(wanted)
        self._num_labels = len(wanted)
        self._wanted = wanted[self._labels]
        self._matrix = rows.matrix(self._rows)[:, self._labels]
        self._plain = self._thrifty(np.zeros(len(useful), np.bool_), np.zeros(len(useful)))

    def climb(self, start: Floats | None = None) -> Prices:
        """Prices of all labels and their bound."""
        found = climb(
            self._matrix,
            self._wanted,
            upper_bound=int(np.count_nonzero(self._plain)),
            start=None if start is None else start[self._labels],
        )
        prices = np.zeros(self._num_labels)
        prices[self._labels] = found.prices
        return Prices(prices=prices, bound=found.bound)

    def choose(self, prices: Prices) -> Indices:
        """The smallest of several choices."""
        best = self._plain
        worth = self._matrix @ prices.prices[self._labels]
        for is_begun in (np.zeros(len(worth), np.bool_), *(worth > 1.0 + margin for margin in _MARGINS)):
            if np.count_nonzero(best) <= math.ceil(prices.bound):
                break
            chosen = self._thrifty(is_begun, worth)
            if np.count_nonzero(chosen) < np.count_nonzero(best):
                best = chosen
        return self._rows[best]

    def _thrifty(self, is_begun: Mask, worth: Floats) -> Mask:
        chosen = _greedy(self._matrix, self._wanted, is_begun, np.argsort(-worth, kind="stable"))
        return _without_idle(self._matrix, self._wanted, chosen, np.argsort(worth, kind="stable"))


def _greedy(matrix: Any, wanted: Indices, is_begun: Mask, ranking: Indices) -> Mask:
    """Add to what is begun until nothing is lacking; `ranking` has all rows, those to be preferred first."""
    chosen = is_begun.copy()
    lacking = wanted - _held(matrix[np.flatnonzero(chosen)])
    left = ranking
    while (lacking > 0).any():
        left = left[~chosen[left]]
        gains = matrix[left] @ (lacking > 0).astype(np.float64)
        left, gains = left[gains > 0], gains[gains > 0]
        most = gains.max()
        candidates = left[gains == most]
        while len(candidates):
            fit = _fit(matrix[candidates], lacking)
            chosen[candidates[fit]] = True
            lacking = lacking - _held(matrix[candidates[fit]])
            candidates = candidates[~fit]
            candidates = candidates[matrix[candidates] @ (lacking > 0).astype(np.float64) == most]
    return chosen


def _without_idle(matrix: Any, wanted: Indices, chosen: Mask, ranking: Indices) -> Mask:
    """Take rows away until each is needed; `ranking` has all rows, those to go first first."""
    kept = chosen.copy()
    left = ranking[kept[ranking]]
    spare = _held(matrix[left]) - wanted
    while True:
        left = left[matrix[left] @ (spare <= 0).astype(np.float64) == 0]
        if not len(left):
            return kept
        fit = _fit(matrix[left], spare)
        kept[left[fit]] = False
        spare = spare - _held(matrix[left[fit]])
        left = left[~fit]


def _fit(matrix: Any, room: Indices) -> Mask:
    """Which of these rows, in order, find room for all of their labels that have any, if all before them take theirs.

    The first always does.
    """
    labels = matrix.indices.astype(np.min_scalar_type(len(room)), copy=False)  # 16 bits sort faster
    places = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    has_room = room[labels] > 0
    labels, places = labels[has_room], places[has_room]
    by_label = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(room))
    turns = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_late = turns >= np.repeat(room, counts)
    fit = np.ones(matrix.shape[0], np.bool_)
    fit[places[by_label[is_late]]] = False
    return fit


def _choose_from_core(
    rows: Incidence, is_useful: Mask, wanted: Indices, order: npt.NDArray[np.uint64]
) -> tuple[Indices, float]:
    """Choose from a part of the rows that grows by what the prices say is missing from it; and the bound."""
    is_core = _first_of_each_label(rows, is_useful, wanted, order)
    best_bound, start = 0.0, None
    for _ in range(_CORE_ROUNDS):
        problem = _Problem(rows, np.flatnonzero(is_core), wanted, order)
        prices = problem.climb(start)
        start = prices.prices
        bound, missing, worth = float(wanted @ start), [], []
        for piece, sums in rows.sums(start):
            is_over = (sums > 1.0) & is_useful[piece]
            bound -= float((sums[is_over] - 1.0).sum())
            is_over &= ~is_core[piece]
            missing.append(np.flatnonzero(is_over) + piece.start)
            worth.append(sums[is_over])
        best_bound = max(best_bound, bound)
        if bound >= _NEAR * prices.bound:
            break
        new, new_worth = np.concatenate(missing), np.concatenate(worth)
        most = int(np.count_nonzero(is_core))
        if len(new) > most:  # those that are worth most
            new = new[new_worth >= np.partition(new_worth, -most)[-most]]
        is_core[new] = True
    return problem.choose(prices), best_bound


def _first_of_each_label(rows: Incidence, is_useful: Mask, wanted: Indices, order: npt.NDArray[np.uint64]) -> Mask:
    """About `_CORE_SHARE` times as many rows of each label as wanted: those that come first in the order."""
    shares = np.zeros(rows.num_labels)
    np.divide(_CORE_SHARE * wanted, rows.counts(), out=shares, where=wanted > 0)
    is_core = np.zeros(len(rows), np.bool_)
    for piece, matrix in rows.pieces():
        matrix.data = shares[matrix.indices]
        share = matrix.max(axis=1).toarray().ravel()
        is_core[piece] = (order[piece] / 2.0**64 < share) & is_useful[piece]
    num_core = np.bincount(rows.labels[np.repeat(is_core, np.diff(rows.offsets))], minlength=rows.num_labels)
    return is_core | (_any_of(rows, num_core < wanted) & is_useful)


def _any_of(rows: Incidence, labels: Mask) -> Mask:
    """Which rows have any of the labels."""
    found = np.zeros(len(rows), np.bool_)
    for piece, sums in rows.sums(labels.astype(np.float64)):
        found[piece] = sums > 0
    return found


def _held(matrix: Any) -> Indices:
    """Rows of each label."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1])
