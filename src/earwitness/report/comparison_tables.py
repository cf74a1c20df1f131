"""A comparison in words, rows and plain values: the same in terminal, JSON, CSV and page."""

import math

from earwitness.evaluation.interval import Interval
from earwitness.evaluation.paired import Comparison, LabelComparison, PairedDifference
from earwitness.report.comparison_facts import ComparisonFacts, ahead, side_ahead
from earwitness.report.evaluation_tables import ANSWERS, PLAIN_ACCURACY, RANKING, headline_basis, markdown_table
from earwitness.report.words import counted, fixed, measure, shorten, wrapped

_QUICK_LABELS = 5


def comparison_rows(facts: ComparisonFacts) -> list[list[str]]:
    """Rows, header first: the measure, A, B, their difference with its interval, and how often A is ahead."""
    rows = [["metric", "A", "B", "A − B", "95 % of A − B", "A ahead"]]
    names = {row.field: row.name for row in (*RANKING, *ANSWERS)}
    if facts.comparison.is_single_label:
        names["one_best_accuracy"] = PLAIN_ACCURACY
    for field, paired in facts.comparison.metrics.items():
        rows.append(
            [
                names[field],
                measure(paired.a),
                measure(paired.b),
                change(paired.difference),
                interval_of_change(paired.interval),
                share_ahead(paired.share_better),
            ]
        )
    return rows


def verdict(facts: ComparisonFacts) -> str:
    """Which of the two is ahead in mAP, and whether that would hold on other clips, in a sentence."""
    if facts.comparison.are_equal:
        return "A and B are the same scores, so there is nothing to tell apart."
    paired = facts.comparison.metrics["mean_average_precision"]
    if math.isnan(paired.difference):
        return "No label has both clips that carry it and clips that do not, so nothing can be compared."
    size = f"{abs(paired.difference):.4f}"
    interval = paired.interval
    if interval is None or interval.low <= 0 <= interval.high:
        return (
            f"In mAP, A and B differ by {size}, which on other clips of this kind might as well be the other way round."
        )
    first, second = ("A", "B") if paired.difference > 0 else ("B", "A")
    return f"In mAP, {first} is ahead of {second} by {size}, more than the choice of the clips explains."


def basis(comparison: Comparison) -> str:
    """What the figures rest on, in a sentence or two."""
    return f"{headline_basis(comparison)} 95 %: over {comparison.resamples:,} draws of the clips, the same for both."


def quick_comparison(facts: ComparisonFacts) -> str:
    """The comparison for a terminal, in 80 columns but for long names of folders."""
    ends = ahead(facts.comparison, most=_QUICK_LABELS)
    parts = [
        f"A  {facts.name_a}\nB  {facts.name_b}",
        markdown_table(comparison_rows(facts)),
        wrapped(basis(facts.comparison)),
        wrapped(verdict(facts)),
    ]
    parts.append(
        wrapped(
            f"Evidently ahead (* the interval does not hold 0): A in {counted(ends.num_a, 'label')}, B in "
            f"{ends.num_b:,}."
        )
    )
    for name, labels in (("A", ends.a), ("B", ends.b)):
        if labels:
            parts.append("\n".join([f"{name} is ahead in AP", *map(_label_line, labels)]))
    return "\n\n".join(parts)


def change(value: float) -> str:
    """`+0.012`, `−0.003`."""
    if math.isnan(value):
        return "–"
    text = fixed(value, 3)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def share_ahead(share: float) -> str:
    """`94 %`; a dash where no resample tells."""
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def interval_of_change(interval: Interval | None) -> str:
    """`−0.003 … 0.012`."""
    return "–" if interval is None else f"{fixed(interval.low, 3)} … {fixed(interval.high, 3)}"


def paired_values(paired: PairedDifference) -> dict[str, float | None]:
    """Plain values for JSON and CSV; None where undefined."""
    interval = paired.interval
    values = {
        "a": paired.a,
        "b": paired.b,
        "difference": paired.difference,
        "difference_low": interval.low if interval is not None else math.nan,
        "difference_high": interval.high if interval is not None else math.nan,
        "share_a_better": paired.share_better,
    }
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _label_line(label: LabelComparison) -> str:
    precision = label.average_precision
    mark = "*" if side_ahead(label) else " "
    return (
        f"  {mark} {shorten(label.name, length=22):22} {precision.a:.3f} {precision.b:.3f}  "
        f"{change(precision.difference)}  {interval_of_change(precision.interval):15}  "
        f"{counted(label.num_positives, 'clip')}"
    )
