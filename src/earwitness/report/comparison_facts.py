"""What the report of a comparison is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from earwitness.evaluation.paired import Comparison, LabelComparison, PairedDifference


@dataclass(frozen=True, kw_only=True)
class ComparisonFacts:
    """Two models on the same clips, and what a reader must know with it."""

    name_a: str
    name_b: str
    comparison: Comparison
    details_a: Mapping[str, Any] = field(default_factory=dict)
    """Facts to show of either side: finite numbers, text, paths."""
    details_b: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the figures must know."""

    @property
    def model_a(self) -> str:
        """Path of A's model, or of the table of its scores; empty where it is not known."""
        return str(self.details_a.get("source_path") or "")

    @property
    def model_b(self) -> str:
        """Likewise of B."""
        return str(self.details_b.get("source_path") or "")


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """Labels by which of the two is ahead in average precision."""

    a: tuple[LabelComparison, ...]
    """Where A is, most first."""
    b: tuple[LabelComparison, ...]
    """Where B is, most first."""
    num_a: int
    """Labels in which A is ahead by more than chance would explain: the interval of the difference is above 0."""
    num_b: int
    """Likewise of B."""
    num_higher_a: int
    """Labels in which A has the higher average precision, by however little."""
    num_higher_b: int
    """Likewise of B."""
    num_defined: int
    """Labels that have an average precision."""


def ahead(comparison: Comparison, *, most: int) -> Ahead:
    """The labels with the largest differences either way, those first whose interval does not hold 0."""
    defined = [label for label in comparison.labels if label.is_defined]

    def ranked(sign: int) -> list[LabelComparison]:
        own = [label for label in defined if sign * label.average_precision.difference > 0]
        return sorted(own, key=lambda x: (side_ahead(x) == 0, -sign * x.average_precision.difference))

    sides = [side_ahead(label) for label in defined]
    a, b = ranked(1), ranked(-1)
    return Ahead(
        a=tuple(a[:most]),
        b=tuple(b[:most]),
        num_a=sides.count(1),
        num_b=sides.count(-1),
        num_higher_a=len(a),
        num_higher_b=len(b),
        num_defined=len(defined),
    )


def side_ahead(label: LabelComparison) -> int:
    """1 where A is ahead and the interval of the difference is above 0, -1 where it is below 0, else 0."""
    return evident_side(label.average_precision)


def evident_side(paired: PairedDifference) -> int:
    """The same of any measure."""
    interval = paired.interval
    if interval is None:
        return 0
    return int(interval.low > 0) - int(interval.high < 0)
