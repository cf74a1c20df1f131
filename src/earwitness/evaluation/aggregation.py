"""Aggregation: from the scores of a clip's patches to the clip's scores. This text is the definition.

For one label, with the probabilities p of a clip's n patches:

    mean            sum(p) / n. The paper's
    max             the largest p: a clip has a label if one of its patches does, the classical assumption of learning
                    from labelled bags
    top3            the mean of the three largest p, or of all where there are fewer: less at the mercy of one patch
    linear_softmax  sum(p * p) / sum(p): a mean in which each patch weighs as much as it scores, between mean and max;
                    0 where all p are 0

All lie in [0, 1] and keep what one patch scores for a clip of one patch. Which ranks clips best depends on how long
they are beside what sounds in them, and on the model: it learnt from patches that each carried all labels of its clip,
to which the mean is the fitting answer.

References: Hershey et al. 2017, section 4 (mean); Wang, Li and Metze 2019, "A comparison of five multiple instance
learning pooling functions for sound event detection with weak labeling" (max, linear softmax); Paul, Roy and
Roy-Chowdhury 2018, "W-TALC" (mean of the k largest).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.aggregation_names import Aggregation

State = npt.NDArray[np.float64]
"""float64 [numbers, labels]: what has to be known of the patches of a clip that came so far."""

_TOP = 3


@dataclass(frozen=True)
class _Rule:
    """An aggregation that takes a clip piece by piece."""

    of_patches: Callable[[npt.NDArray[Any]], State]
    """The state of some patches [patches, labels], one at least."""
    of_both: Callable[[State, State], State]
    """The state of two pieces together."""
    scores: Callable[[State, int], npt.NDArray[np.float64]]
    """The clip's scores [labels], from the state and the number of patches."""


class ClipAggregator:
    """Takes the scores of patches, clip by clip, and writes those of the clips."""

    def __init__(self, aggregation: Aggregation, out: npt.NDArray[Any]) -> None:
        """Begin.

        Args:
            aggregation: one of `AGGREGATIONS`.
            out: [clips, labels], to be filled.
        """
        self._rule, self._out = _RULES[aggregation], out
        self._row, self._num_patches = -1, 0
        self._state: State = np.empty((0, 0))

    def push(self, rows: npt.NDArray[np.int64], scores: npt.NDArray[Any]) -> None:
        """Take in patches.

        Args:
            rows: int64 [patches], ascending through all calls: the row of `out` that each patch belongs to.
            scores: [patches, labels].
        """
        borders = np.flatnonzero(np.diff(rows)) + 1
        for first, stop in zip([0, *borders], [*borders, len(rows)], strict=True):
            state = self._rule.of_patches(scores[first:stop])
            if rows[first] == self._row:
                self._state = self._rule.of_both(self._state, state)
                self._num_patches += stop - first
            else:
                self.finish()
                self._row, self._state, self._num_patches = int(rows[first]), state, stop - first

    def finish(self) -> None:
        """Write the clip that is under way; there must be no more patches of it."""
        if self._row >= 0:
            self._out[self._row] = self._rule.scores(self._state, self._num_patches)
            self._row = -1


def _largest(scores: npt.NDArray[Any]) -> State:
    """The three largest scores of each label, ascending; where there are fewer, they come behind -inf."""
    padded = np.full((max(_TOP, len(scores)), scores.shape[1]), -np.inf)
    padded[: len(scores)] = scores
    top: State = np.sort(np.partition(padded, len(padded) - _TOP, axis=0)[-_TOP:], axis=0)
    return top


def _weights(scores: npt.NDArray[Any]) -> State:
    exact = scores.astype(np.float64)
    return np.stack([(exact * exact).sum(axis=0), exact.sum(axis=0)])


def _weighted_mean(state: State, _: int) -> npt.NDArray[np.float64]:
    squares, total = state
    mean: npt.NDArray[np.float64] = np.divide(squares, total, out=np.zeros_like(total), where=total != 0)
    return mean


_RULES: dict[Aggregation, _Rule] = {
    "mean": _Rule(
        lambda scores: scores.sum(axis=0, keepdims=True, dtype=np.float64),
        np.add,
        lambda state, num_patches: state[0] / num_patches,
    ),
    "max": _Rule(
        lambda scores: scores.max(axis=0, keepdims=True).astype(np.float64),
        np.maximum,
        lambda state, _: state[0],
    ),
    "top3": _Rule(
        _largest,
        lambda one, other: _largest(np.concatenate([one, other])),
        lambda state, num_patches: state[-min(_TOP, num_patches) :].mean(axis=0),
    ),
    "linear_softmax": _Rule(_weights, np.add, _weighted_mean),
}
