"""The median of values along an axis on which many places are shared, as the paper's figure has it."""

from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_LABELS = 20
"""Fewest labels that a running median says something about."""


def median_width(num_labels: int) -> int:
    """How many neighbours a median is over."""
    return max(LEAST_LABELS // 2, num_labels // 15)


def running_median(
    places: npt.NDArray[Any], values: npt.NDArray[Any], *, width: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The distinct places, and at each the median of its own and at least `width` near values.

    Args:
        places: [values], ascending.
        values: [values].
        width: how many values are near.
    """
    at, first, count = np.unique(places, return_index=True, return_counts=True)
    middle = first + count // 2
    low = np.clip(np.minimum(first, middle - width // 2), 0, None)
    high = np.maximum(first + count, middle - width // 2 + width)
    return at, np.array([np.median(values[a:b]) for a, b in zip(low, high, strict=True)])
