"""Prices of labels: what one more clip of a label costs, and from them how small a covering set can be at best.

Wanted is the smallest set of clips that holds `wanted[l]` clips of every label l. Give each label a price of 0 or more,
and let a clip be worth the prices of its labels. Then no such set can be smaller than

    sum over labels of wanted x price  -  sum over all clips of what their worth exceeds 1

(Lagrangian relaxation: every clip costs 1; what is worth more than it costs would be taken). Any prices give a bound;
here they climb along its subgradient, with momentum, in steps after Polyak. At best the bound is that of linear
programming. The same prices tell which clips a small set takes: those that are worth most.

Prices are whole multiples of 2^-20, so that all their sums are exact in float64: the outcome depends neither on the
order of the clips nor on the machine.

References: M. L. Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management
Science 1981. A. Caprara, M. Fischetti, P. Toth, "A heuristic method for the set covering problem", Operations
Research 1999.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.subsets.incidence import Indices

Floats = npt.NDArray[np.float64]

_GRID = 2.0**-20
_MOMENTUM = 0.7
_PATIENCE = 10
"""Steps without a better bound before the steps become shorter, from the best prices on."""
_SHORTER = 0.7


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of labels and the bound they give."""

    prices: Floats
    """[labels], 0 or more."""
    bound: float
    """No set that covers is smaller."""


def climb(clips: Any, wanted: Indices, *, upper_bound: int, start: Floats | None = None, steps: int = 300) -> Prices:
    """Prices whose bound is near the best there is.

    Args:
        clips: sparse matrix of ones [clips, labels].
        wanted: [labels]; 1 or more, and not more than there are clips of the label.
        upper_bound: the size of some set that covers; the nearer to the smallest, the better the steps.
        start: prices to begin with; None: all the same.
        steps: each costs two products with the matrix.
    """
    by_label = clips.T.tocsr()
    mean_labels = clips.nnz / max(clips.shape[0], 1)
    prices = np.full(len(wanted), 1.0 / mean_labels) if start is None else start
    prices = _on_grid(prices)
    best = Prices(prices=np.zeros(len(wanted)), bound=0.0)
    direction = np.zeros(len(wanted))
    length, num_stalled = 1.0, 0
    for _ in range(steps):
        worth = clips @ prices
        is_taken = worth > 1.0
        bound = float(wanted @ prices - (worth[is_taken] - 1.0).sum())
        if bound > best.bound:
            best, num_stalled = Prices(prices=prices, bound=bound), 0
            if math.ceil(bound) >= upper_bound:
                break
        elif (num_stalled := num_stalled + 1) >= _PATIENCE:
            prices, length, num_stalled = best.prices, length * _SHORTER, 0
            direction[:] = 0.0
            continue
        lacking = wanted - by_label @ is_taken.astype(np.float64)
        lacking[(prices == 0.0) & (lacking < 0.0)] = 0.0
        direction = _MOMENTUM * direction + lacking
        steepness = math.fsum(direction * direction)  # exact, and so the same everywhere
        if steepness == 0.0:
            break
        prices = _on_grid(prices + length * (upper_bound - bound) / steepness * direction)
    return best


def _on_grid(prices: Floats) -> Floats:
    return np.clip(np.rint(prices / _GRID), 0.0, 2.0**30) * _GRID
