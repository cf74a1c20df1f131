"""The page of a comparison: two models on the same clips, label against label; one offline HTML file (see `html`)."""

import math
from collections.abc import Sequence
from pathlib import Path

from earwitness.evaluation.paired import Comparison, LabelComparison
from earwitness.report.comparison_facts import ComparisonFacts, ahead, side_ahead
from earwitness.report.comparison_tables import (
    basis,
    change,
    comparison_rows,
    evident_sides,
    interval_of_change,
    share_ahead,
    verdict,
)
from earwitness.report.html import write_page
from earwitness.report.label_columns import LabelColumn, share_text
from earwitness.report.label_data import embedded_json, rounded
from earwitness.report.scatter import comparison_scatter
from earwitness.report.words import fixed

_FIRST_ROWS = 50
_LISTED = 6
"""Labels in which either is ahead."""
_UNITS = {
    "a": 1e-4,
    "b": 1e-4,
    "difference": 1e-4,
    "low": 1e-4,
    "high": 1e-4,
    "share_better": 1e-3,
    "share_worse": 1e-3,
}
_FORMATS = {
    "positives": "count",
    "prior": "share",
    "a": "fixed3",
    "b": "fixed3",
    "difference": "change",
    "low": "interval",
    "share_better": "percent",
    "share_worse": "percent",
}
_PLOT = {"x": "b", "y": "a", "isLog": False, "tip": [["a", "A"], ["b", "B"], ["difference", "A − B"]]}
_PANEL = {
    "big": "difference",
    "title": "A − B in AP",
    "facts": [["a", "AP of A"], ["b", "AP of B"], ["share_better", "A ahead"], ["share_worse", "B ahead"]],
}


def write_comparison_page(path: str | Path, facts: ComparisonFacts) -> None:
    """Write the page to `path`, whose folder must be there.

    Raises:
        SettingsError: the page cannot be written.
    """
    comparison = facts.comparison
    ends = ahead(comparison, most=_LISTED)
    write_page(
        path,
        "comparison.html",
        values={
            "facts": facts,
            "verdict": verdict(facts),
            "basis": basis(comparison),
            "measures": comparison_rows(facts),
            "sides": evident_sides(comparison),
            "side_ahead": side_ahead,
            "scatter": comparison_scatter(comparison.labels),
            "columns": _columns(comparison.num_clips),
            "rows": sorted(comparison.labels, key=_by_difference)[:_FIRST_ROWS],
            "num_labels": comparison.num_labels,
            "ends": ends,
            "change": change,
            "details": [
                (name.replace("_", " "), str(facts.details_a.get(name, "")), str(facts.details_b.get(name, "")))
                for name in dict.fromkeys((*facts.details_a, *facts.details_b))
            ],
            "label_json": embedded_json(_data(comparison)),
        },
    )


def _data(comparison: Comparison) -> dict[str, object]:
    labels = comparison.labels
    columns: dict[str, object] = {"name": [label.name for label in labels]}
    if any(label.id != label.name for label in labels):
        columns["id"] = [label.id for label in labels]
    columns["positives"] = [label.num_positives for label in labels]
    for name, unit in _UNITS.items():
        columns[name] = rounded([_value(label, name) for label in labels], unit)
    return {
        "numClips": comparison.num_clips,
        "columns": columns,
        "units": _UNITS,
        "formats": _FORMATS,
        "plot": _PLOT,
        "panel": _PANEL,
        "first": "difference",
    }


def _value(label: LabelComparison, name: str) -> float:
    if not label.is_defined:
        return math.nan
    precision = label.average_precision
    if name in ("low", "high"):
        return math.nan if precision.interval is None else float(getattr(precision.interval, name))
    return float(getattr(precision, name))


def _by_difference(label: LabelComparison) -> float:
    return -label.average_precision.difference if label.is_defined else math.inf


def _columns(num_clips: int) -> Sequence[LabelColumn]:
    def column(name: str, title: str, explanation: str) -> LabelColumn:
        return LabelColumn(
            name=name, title=title, explanation=explanation, text=lambda label: _text(_value(label, name), name)
        )

    return (
        LabelColumn(
            name="name",
            title="label",
            explanation="display name",
            text=lambda x: str(x.name),
            kind="text",
            is_plain=True,
        ),
        LabelColumn(
            name="positives",
            title="clips",
            explanation="clips that carry the label",
            text=lambda label: f"{label.num_positives:,}",
            is_plain=True,
        ),
        LabelColumn(
            name="prior",
            title="prior %",
            explanation="share of all clips that carry the label",
            text=lambda label: share_text(label.num_positives / num_clips),
        ),
        column("a", "AP of A", "average precision of A"),
        column("b", "AP of B", "average precision of B"),
        column("difference", "A − B", "difference of the average precisions"),
        LabelColumn(
            name="low",
            title="95 % of A − B",
            explanation="interval of the difference over draws of the clips; a dash where no draw changes it, or it is "
            "of fewer than two clips",
            text=lambda label: interval_of_change(label.average_precision.interval),
        ),
        column("share_better", "A ahead", "share of the draws in which A is ahead"),
        column("share_worse", "B ahead", "share of the draws in which B is; in the rest both are equal"),
    )


def _text(value: float, name: str) -> str:
    if math.isnan(value):
        return "–"
    if name in ("share_better", "share_worse"):
        return share_ahead(value)
    return change(value) if name == "difference" else fixed(value, 3)
