"""An evaluation in words: summary.md of its report, and a quick look at it in a terminal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.closer_look import CloserLook
from earwitness.evaluation.summary import Evaluation, LabelResult
from earwitness.report.evaluation_facts import EvaluationFacts
from earwitness.report.evaluation_tables import (
    DEFINITIONS,
    headline_table,
    interval_words,
    markdown_cell,
    markdown_table,
)
from earwitness.report.label_ends import LEAST_POSITIVES, label_ends
from earwitness.report.timeline_table import TIMELINE_DEFINITIONS, timeline_basis, timeline_rows
from earwitness.report.words import counted, measure, shorten, wrapped

_LISTED_LABELS = 10
_LISTED_CONFUSIONS = 10
_QUICK_LABELS = 3
_SPARKS = "▁▂▃▄▅▆▇█"


def summary(facts: EvaluationFacts, look: CloserLook | None, pictures: Sequence[Path]) -> str:
    """The report as Markdown."""
    evaluation, timeline = facts.evaluation, facts.timeline
    warnings = [f"**{markdown_cell(note)}**" for note in facts.notes]
    sections = [f"# {markdown_cell(facts.title)}", headline_table(evaluation, facts.baseline), *warnings, DEFINITIONS]
    if timeline is not None:
        sections += ["## When: the timeline against true events", markdown_table(timeline_rows(timeline))]
        sections += [timeline_basis(timeline), TIMELINE_DEFINITIONS]
    if facts.details:
        rows = [["detail", "value"], *([name, "" if v is None else str(v)] for name, v in facts.details.items())]
        sections += ["## Made from", markdown_table(rows, text_columns=2)]
    ends = label_ends(evaluation.labels, most=_LISTED_LABELS)
    if not ends.worst:
        sections += ["## Labels, best first", label_table(ends.best)]
    else:
        sections += ["## Best labels", label_table(ends.best)]
        sections += ["## Worst labels, worst first", label_table(ends.worst)]
        if ends.is_limited:
            sections += [f"Labels of fewer than {LEAST_POSITIVES} clips are left out of these two tables."]
    if look is not None and look.matrix is not None:
        sections += ["## Most confused", _matrix_table(look.matrix, evaluation.labels)]
    elif look is not None:
        sections += ["## Most confused", _confusion_table(look, evaluation.labels)]
    sections += ["## Pictures", *(f"![{path.stem.replace('_', ' ')}]({path.name})" for path in pictures)]
    return "\n\n".join(sections) + "\n"


def quick_look(evaluation: Evaluation, baseline: Evaluation | None) -> str:
    """The headline, a few labels from both ends and how AP is spread over all: lines of at most 80 characters."""
    headline = headline_table(evaluation, baseline)
    if evaluation.resamples:
        headline += f" 95 %: over {evaluation.resamples:,} draws of the clips."
    lines = [wrapped(headline)]
    ends = label_ends(evaluation.labels, most=_QUICK_LABELS)
    shown = [*zip(["best", *[""] * len(ends.best)], ends.best, strict=False)]
    shown += [*zip(["worst", *[""] * len(ends.worst)], ends.worst, strict=False)]
    if shown:
        rows = []
        for word, label in shown:
            interval = label.average_precision_interval
            ranges = f"  {interval_words(interval):14}" if evaluation.resamples else ""
            measured = f"AP {label.average_precision:.3f}{ranges}  {counted(label.num_positives, 'clip')}"
            rows.append(f"{word:6}{shorten(label.name, length=34):34}  {measured}")
        lines.append("\n".join(rows))
    values = [label.average_precision for label in evaluation.labels if label.is_defined]
    if len(values) > 2 * _QUICK_LABELS:
        lines.append(_spark_line(values))
    return "\n\n".join(lines)


def label_table(labels: Sequence[LabelResult]) -> str:
    """Labels as a Markdown table, with the intervals of AP where there are any."""
    has_intervals = any(label.average_precision_interval is not None for label in labels)
    header = ["label", "clips", "prior", "AUC", "d-prime", "average precision"]
    rows = [[*header, "95 %"] if has_intervals else header]
    for label in labels:
        measures = [measure(value) for value in (label.auc, label.dprime, label.average_precision)]
        if has_intervals:
            measures.append(interval_words(label.average_precision_interval))
        rows.append([label.name, f"{label.num_positives:,}", f"{label.prior:.3g}", *measures])
    return markdown_table(rows)


def _spark_line(values: Sequence[float]) -> str:
    """Labels by average precision as a row of blocks."""
    counts, _ = np.histogram(values, bins=20, range=(0.0, 1.0))
    # one label among thousands is still seen
    levels = np.ceil(counts / max(counts.max(), 1) * len(_SPARKS)).astype(int)
    blocks = "".join(" " if level == 0 else _SPARKS[level - 1] for level in levels.tolist())
    return f"AP over {len(values):,} labels: 0 |{blocks}| 1   median {np.median(values):.3f}"


def _matrix_table(matrix: npt.NDArray[np.float64], labels: Sequence[LabelResult]) -> str:
    strays = matrix.copy()
    np.fill_diagonal(strays, 0.0)
    order = np.argsort(-strays, axis=None, kind="stable")[:_LISTED_CONFUSIONS]
    rows = [["true", "answered", "clips", "of"]]
    for true, answered in zip(*np.unravel_index(order, strays.shape), strict=True):
        if strays[true, answered] > 0:
            clips = f"{strays[true, answered]:.3g}"
            rows.append([labels[true].name, labels[answered].name, clips, f"{labels[true].num_positives:,}"])
    return markdown_table(rows, text_columns=2) if len(rows) > 1 else "No clip was given another label than its own."


def _confusion_table(look: CloserLook, labels: Sequence[LabelResult]) -> str:
    if not look.confusions:
        return "The false alarms of no label carry another one more often than by chance."
    rows = [["scored high for", "but they carry", "clips", "of", "chance", "lift"]]
    for pair in look.confusions[:_LISTED_CONFUSIONS]:
        shares = (f"{pair.num_clips:,}", f"{pair.num_false_alarms:,}", f"{pair.chance:.3g}", f"{pair.lift:.3g}")
        rows.append([labels[pair.said].name, labels[pair.true].name, *shares])
    return markdown_table(rows, text_columns=2)
