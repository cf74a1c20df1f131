"""A comparison in words, rows and plain values: the same in terminal, JSON, CSV and page."""

import math
from collections.abc import Iterator

from earwitness.evaluation.interval import Interval
from earwitness.evaluation.paired import Comparison, LabelComparison, PairedDifference
from earwitness.report.comparison_facts import ComparisonFacts, ahead, evident_side, side_ahead
from earwitness.report.evaluation_tables import ANSWERS, PLAIN_ACCURACY, RANKING, headline_basis, markdown_table
from earwitness.report.words import counted, fixed, shorten, wrapped

_QUICK_LABELS = 5


def comparison_rows(facts: ComparisonFacts) -> list[list[str]]:
    """Rows, header first: the measure, A, B, their difference with its interval, and how often either is ahead."""
    rows = [["metric", "A", "B", "A − B", "95 % of A − B", "A : B %"]]
    names = _names(facts.comparison)
    for field, paired in facts.comparison.metrics.items():
        rows.append(
            [
                names[field],
                _measure(paired.a),
                _measure(paired.b),
                change(paired.difference),
                interval_of_change(paired.interval),
                f"{_percent(paired.share_better)} : {_percent(paired.share_worse)}",
            ]
        )
    return rows


def verdict(facts: ComparisonFacts) -> str:
    """Which of the two is ahead in mAP and whether that would hold on other clips; and in what else it would."""
    if facts.comparison.are_equal:
        return "A and B are the same scores, so there is nothing to tell apart."
    paired = facts.comparison.metrics["mean_average_precision"]
    if math.isnan(paired.difference):
        return "No label has both clips that carry it and clips that do not, so nothing can be compared."
    if paired.difference == 0:
        return " ".join(["In mAP, A and B are equal.", *_other_leads(facts.comparison)])
    size = f"{abs(paired.difference):.3f}"
    first, second = ("A", "B") if paired.difference > 0 else ("B", "A")
    if evident_side(paired):
        words = f"In mAP, {first} is ahead of {second} by {size}, more than the choice of the clips explains."
    else:
        words = f"In mAP, {first} is ahead of {second} by {size}, which these clips are too few to make sure of"
        share = paired.share_worse if first == "A" else paired.share_better
        if not math.isnan(share):
            words += f": {second} is ahead in {share_ahead(share)} of the draws"
        if paired.interval is not None:
            words += f", and the 95 % interval of A − B, {interval_of_change(paired.interval)}, holds 0"
        words += "."
    return " ".join([words, *_other_leads(facts.comparison)])


def evident_sides(comparison: Comparison) -> list[int]:
    """Of each measure, in order: 1 where A is evidently ahead, -1 where B is, else 0."""
    return [evident_side(paired) for paired in comparison.metrics.values()]


def _other_leads(comparison: Comparison) -> Iterator[str]:
    """Where else either is evidently ahead, a sentence each."""
    names, first = _names(comparison), "mean_average_precision"
    for side, name in ((1, "A"), (-1, "B")):
        fields = [field for field, paired in comparison.metrics.items() if evident_side(paired) == side]
        leads = [names[field] for field in fields if field != first]
        if leads:
            yield f"{name} is {'also ' if first in fields else ''}evidently ahead in: {'; '.join(leads)}."


def _names(comparison: Comparison) -> dict[str, str]:
    """What the measures are called."""
    names = {row.field: row.name for row in (*RANKING, *ANSWERS)}
    if comparison.is_single_label:
        names["one_best_accuracy"] = PLAIN_ACCURACY
    return names


def basis(comparison: Comparison) -> str:
    """What the figures rest on, in a sentence or two."""
    return (
        f"{headline_basis(comparison)} 95 %: over {comparison.resamples:,} draws of the clips, the same for both. "
        "A\u00a0:\u00a0B\u00a0%: in how many of these draws A is ahead, and B; in the rest both are equal."
    )


def quick_comparison(facts: ComparisonFacts) -> str:
    """The comparison for a terminal, in 80 columns but for long names of folders."""
    ends = ahead(facts.comparison, most=_QUICK_LABELS)
    parts = [
        "\n".join([*_side_lines("A", facts.name_a, facts.model_a), *_side_lines("B", facts.name_b, facts.model_b)]),
        markdown_table(comparison_rows(facts)),
        wrapped(basis(facts.comparison)),
        wrapped(verdict(facts)),
    ]
    parts.append(
        wrapped(
            f"Evidently ahead in AP (* the interval does not hold 0): A in {counted(ends.num_a, 'label')}, B in "
            f"{ends.num_b:,}."
        )
    )
    for name, labels, number in (("A", ends.a, ends.num_higher_a), ("B", ends.b, ends.num_higher_b)):
        if labels:
            head = f"{name} has the higher AP in {counted(number, 'label')}"
            parts.append("\n".join([head if number == len(labels) else f"{head}, such as", *map(_label_line, labels)]))
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
        "share_b_better": paired.share_worse,
    }
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _side_lines(side: str, name: str, model: str) -> Iterator[str]:
    yield f"{side}  {model or name}"
    if model and model != name:
        yield f"   scores in {name}"


def _measure(value: float) -> str:
    return "undefined" if math.isnan(value) else fixed(value, 3)


def _percent(share: float) -> str:
    """As `share_ahead`, without the sign."""
    return "–" if math.isnan(share) else f"{100 * share:.0f}"


def _label_line(label: LabelComparison) -> str:
    precision = label.average_precision
    mark = "*" if side_ahead(label) else " "
    return (
        f"  {mark} {shorten(label.name, length=22):22} {precision.a:.3f} {precision.b:.3f}  "
        f"{change(precision.difference)}  {interval_of_change(precision.interval):15}  "
        f"{counted(label.num_positives, 'clip')}"
    )
