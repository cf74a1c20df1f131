"""Which labels are taken for which others, where clips carry several labels at once.

With one label a clip, an answer is right or wrong, and a confusion matrix tells all. With several, a clip that scores
high for a label it does not carry is not *instead of* another label; but the labels that such clips do carry tell
what the model heard. This text is the definition.

For the labels A ("said") and B ("true"), let n be the number of false alarms of A (see `extremes`: the clips without A
that score highest for A), and k the number of these that carry B. Then

    share    = k / n
    chance   = the share of all clips without A that carry B
    lift     = share / chance: how many times more often than chance the false alarms of A carry B
    evidence = 2 (k ln(share / chance) + (n - k) ln((1 - share) / (1 - chance)))

Evidence is the log-likelihood ratio of a share against its chance (Dunning 1993): a high lift from a single clip has
little, and so has a label that nearly every clip carries. Pairs with lift above 1 and at least `least_clips` clips are
kept, most evidence first. Labels that belong together (a dog and its bark) are among them, where one of them is often
left unlabelled: then it is the data that is confused, not the model.

References: Dunning 1993, Accurate Methods for the Statistics of Surprise and Coincidence.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from earwitness.errors import ScoreError
from earwitness.evaluation.extremes import NONE, Extremes
from earwitness.evaluation.metrics import confusion_matrix
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource

_BLOCK_CLIPS = 4096
_BLOCK_LABELS = 256
"""Labels whose pairs with all others are held at a time."""


@dataclass(frozen=True)
class Confusion:
    """A label that the false alarms of another carry more often than chance."""

    said: int
    """Index of the label that scored high."""
    true: int
    """Index of the label that the clips carry."""
    num_false_alarms: int
    """Of `said`, that were looked at."""
    num_clips: int
    """Those of them that carry `true`."""
    chance: float
    """Share of all clips without `said` that carry `true`."""
    evidence: float
    """Log-likelihood ratio of the share against its chance."""

    @property
    def share(self) -> float:
        """Of the false alarms that carry `true`."""
        return self.num_clips / self.num_false_alarms

    @property
    def lift(self) -> float:
        """How many times more often than chance."""
        return self.share / self.chance


def find_confusions(
    extremes: Extremes, positives: Positives, *, least_clips: int = 3, most_per_label: int = 20
) -> list[Confusion]:
    """The pairs of labels that are confused, most evidence first.

    Args:
        extremes: the false alarms of every label.
        positives: which clips carry which labels.
        least_clips: fewest clips that a pair rests on.
        most_per_label: most other labels of one that is said; those with the most evidence.

    Raises:
        ScoreError: both are not of the same labels.
    """
    num_labels = positives.num_labels
    if len(extremes.false_alarms) != num_labels:
        raise ScoreError(f"confusions: false alarms of {len(extremes.false_alarms)} labels, positives of {num_labels}")
    pairs = np.ones(len(positives.clips), dtype=np.int32)
    by_label = sparse.csr_array((pairs, positives.clips, positives.offsets), shape=(num_labels, positives.num_clips))
    by_clip = by_label.T.tocsr()
    sizes = positives.num_positives
    found: list[Confusion] = []
    for first in range(0, num_labels, _BLOCK_LABELS):
        alarms = extremes.false_alarms[first : first + _BLOCK_LABELS]
        rows, places = np.nonzero(alarms != NONE)
        ones = np.ones(len(rows), dtype=np.int32)
        of_alarms = sparse.csr_array((ones, (rows, alarms[rows, places])), shape=(len(alarms), positives.num_clips))
        together = (of_alarms @ by_clip).toarray()
        said, true = np.nonzero(together >= least_clips)
        k = together[said, true]
        n = np.bincount(rows, minlength=len(alarms))[said]
        both = (by_label[first : first + _BLOCK_LABELS] @ by_clip).toarray()[said, true]
        # more than 0: the k clips themselves carry the other label and not this one
        chance = (sizes[true] - both) / (positives.num_clips - sizes[first + said])
        is_above = k > n * chance
        columns = [column[is_above] for column in (first + said, true, n, k, chance)]
        evidence = _evidence(columns[3], columns[2], columns[4])
        kept = _first_of_each(columns[0], order=np.lexsort((columns[1], -evidence, columns[0])), most=most_per_label)
        rows_kept = (column[kept].tolist() for column in (*columns, evidence))
        found += [Confusion(*row) for row in zip(*rows_kept, strict=True)]
    return sorted(found, key=lambda pair: (-pair.evidence, pair.said, pair.true))


def single_label_confusions(scores: ScoreSource, positives: Positives) -> npt.NDArray[np.float64]:
    """`metrics.confusion_matrix` of scores that are read by blocks of clips; [true labels, answered labels].

    Raises:
        ScoreError: a clip has no label or several, or a score is nan or infinite.
    """
    counts = np.zeros((scores.num_labels,) * 2)
    for first in range(0, scores.num_clips, _BLOCK_CLIPS):
        stop = min(first + _BLOCK_CLIPS, scores.num_clips)
        counts += confusion_matrix(scores.clip_block(first, stop), positives.clip_block(first, stop))
    return counts


def _first_of_each(labels: npt.NDArray[np.int64], *, order: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Places, in an order that is sorted by label, of the first few of each label."""
    ordered = labels[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    return order[np.arange(len(order)) - starts < most]


def _evidence(
    k: npt.NDArray[np.int32], n: npt.NDArray[np.int64], chance: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    share = k / n
    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.where(k < n, (n - k) * np.log((1 - share) / (1 - chance)), 0.0)
    return np.asarray(2 * (k * np.log(share / chance) + others))
