"""An evaluation as files that people and programs read: JSON, a table of labels, a summary, pictures.

    evaluation.json       everything: details, the evaluation with its labels, the baseline's, the timeline's
    per_label.csv         a row for every label, in the order of the label set; empty where undefined
    summary.md            the headline beside baseline and chance, the timeline, best and worst labels, the pictures
    dprime_by_prior.png   the paper's figure
    average_precision.png
    confusion.png         where every clip has one label, and there are few enough to read

An earlier report in the folder is replaced file by file.
"""

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.errors import ScoreError
from earwitness.evaluation.metrics import Scores, Targets, confusion_matrix
from earwitness.evaluation.summary import Chance, Evaluation, LabelResult
from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.report.evaluation_plots import (
    CONFUSION_LABELS,
    plot_average_precision,
    plot_confusion_matrix,
    plot_dprime_by_prior,
)
from earwitness.report.timeline_table import TIMELINE_DEFINITIONS, timeline_basis, timeline_rows
from earwitness.report.words import measure

SCHEMA_VERSION = 1
"""Of `evaluation.json`."""

_METRICS = (
    ("mean_auc", "AUC, mean of labels"),
    ("dprime", "d-prime of the mean AUC"),
    ("mean_label_dprime", "d-prime, mean of labels"),
    ("mean_average_precision", "mAP"),
    ("one_best_accuracy", "1-best accuracy"),
)
_COLUMNS = ("index", "id", "name", "num_positives", "prior", "auc", "dprime", "average_precision")
_COLUMNS_WITHIN_CLIPS = {
    "within_clips_num_clips": "num_clips",
    "within_clips_auc": "auc",
    "within_clips_average_precision": "average_precision",
}
_LISTED_LABELS = 10
_LISTED_CONFUSIONS = 10

DEFINITIONS = (
    "AUC counts ties as one half; average precision gives tied scores one threshold. Means give every "
    "label the same weight. The d-prime of the paper is that of the mean AUC. 1-best: the top-scored "
    "label is one of the clip's. Chance is the best that scores can do which do not look at the clip: the "
    "most frequent label as the 1-best, the prior as average precision. The baseline is logistic "
    "regression on the mean and standard deviation of each clip's log-mel frames."
)
"""What the headline measures mean, for readers of a summary or a page."""


def write_evaluation_report(
    folder: str | Path,
    *,
    evaluation: Evaluation,
    baseline: Evaluation | None,
    title: str,
    details: Mapping[str, Any],
    notes: Sequence[str] = (),
    scores: Scores | None = None,
    targets: Targets | None = None,
    timeline: TimelineEvaluation | None = None,
) -> list[Path]:
    """Write the report of an evaluation into a folder, which is made if need be.

    Args:
        folder: where to; files of an earlier report there are replaced.
        evaluation: of the model.
        baseline: of the baseline on the same clips and labels, or None.
        title: names model and clips.
        details: facts to show with it, such as model, store and selection: finite numbers, text, paths.
        notes: sentences that a reader of the figures must know.
        scores: [clips, labels] that were evaluated, for the confusion matrix; it is left out without them.
        targets: bool [clips, labels] that belong to `scores`.
        timeline: of the same labels, against true events.

    Returns:
        The files written, `summary.md` first.

    Raises:
        ScoreError: baseline or timeline has other labels, or the folder cannot be written.
        SettingsError: a picture cannot be written.
    """
    folder = Path(folder)
    if baseline is not None and [label.id for label in baseline.labels] != [label.id for label in evaluation.labels]:
        raise ScoreError("report: the baseline was evaluated on other labels than the model")
    if timeline is not None and [x.id for x in timeline.within_clips.labels] != [x.id for x in evaluation.labels]:
        raise ScoreError("report: the timeline was evaluated on other labels than the clips")
    names = [label.name for label in evaluation.labels]
    confusions = None
    if scores is not None and targets is not None and evaluation.is_single_label:
        confusions = confusion_matrix(scores, targets)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        summary, table, facts = folder / "summary.md", folder / "per_label.csv", folder / "evaluation.json"
        _write_json(facts, evaluation, baseline, timeline, title, details, notes)
        _write_table(table, evaluation, timeline)
        pictures = [folder / "dprime_by_prior.png", folder / "average_precision.png"]
        plot_dprime_by_prior(pictures[0], evaluation, title=title)
        plot_average_precision(pictures[1], evaluation, baseline, title=title)
        if confusions is not None and len(names) <= CONFUSION_LABELS:
            pictures.append(folder / "confusion.png")
            plot_confusion_matrix(pictures[-1], confusions, names, title=title)
        text = _summary(evaluation, baseline, timeline, title, details, notes, confusions, pictures)
        summary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ScoreError(f"{folder}: the report cannot be written ({error.strerror})") from error
    return [summary, facts, table, *pictures]


def require_report_folder(folder: str | Path) -> None:
    """Make the folder of a report, before any work is done for it.

    Raises:
        ScoreError: it cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ScoreError(f"{folder}: this is a file; the report needs a folder") from error
    except OSError as error:
        raise ScoreError(f"{folder}: the report cannot be written ({error.strerror})") from error
    if not os.access(folder, os.W_OK):
        raise ScoreError(f"{folder}: the report cannot be written (no permission)")


def comparison_table(evaluation: Evaluation, baseline: Evaluation | None) -> str:
    """The headline measures beside the baseline's and chance, as an aligned table that is Markdown too.

    A line below it says how many clips and labels it rests on, and how many labels had to be left out.
    """
    return f"{_table(comparison_rows(evaluation, baseline))}\n\n{comparison_basis(evaluation)}"


def comparison_rows(evaluation: Evaluation, baseline: Evaluation | None) -> list[list[str]]:
    """The rows of that table, header first: the measure's name, then the model's, the baseline's and chance."""
    sources: list[tuple[str, Evaluation | Chance]] = [("model", evaluation)]
    if baseline is not None:
        sources.append(("baseline", baseline))
    sources.append(("chance", evaluation.chance))
    rows = [["metric", *(name for name, _ in sources)]]
    for field, name in _METRICS:
        shown = "accuracy" if field == "one_best_accuracy" and evaluation.is_single_label else name
        rows.append([shown, *(measure(getattr(source, field)) for _, source in sources)])
    return rows


def comparison_basis(evaluation: Evaluation) -> str:
    """How many clips and labels an evaluation rests on, and how many labels had to be left out, in a sentence."""
    left_out = ""
    if evaluation.num_undefined_labels:
        left_out = (
            f"; {evaluation.num_undefined_labels:,} of them left out of the means, "
            "having no positive or no negative clip"
        )
    return f"{evaluation.num_clips:,} clips, {evaluation.num_labels:,} labels{left_out}."


def _write_json(
    path: Path,
    evaluation: Evaluation,
    baseline: Evaluation | None,
    timeline: TimelineEvaluation | None,
    title: str,
    details: Mapping[str, Any],
    notes: Sequence[str],
) -> None:
    facts = {
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "details": dict(details),
        "notes": list(notes),
        "evaluation": evaluation.to_dict(),
        "baseline": baseline.to_dict() if baseline else None,
        "timeline": timeline.to_dict() if timeline else None,
    }
    path.write_text(
        json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n", encoding="utf-8"
    )


def _write_table(path: Path, evaluation: Evaluation, timeline: TimelineEvaluation | None) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_COLUMNS, *(_COLUMNS_WITHIN_CLIPS if timeline else ())])
        for index, label in enumerate(evaluation.labels):
            values = [getattr(label, column) for column in _COLUMNS[1:]]
            if timeline:
                values += [getattr(timeline.within_clips.labels[index], x) for x in _COLUMNS_WITHIN_CLIPS.values()]
            writer.writerow([index, *("" if isinstance(v, float) and math.isnan(v) else v for v in values)])


def _summary(
    evaluation: Evaluation,
    baseline: Evaluation | None,
    timeline: TimelineEvaluation | None,
    title: str,
    details: Mapping[str, Any],
    notes: Sequence[str],
    confusions: Scores | None,
    pictures: Sequence[Path],
) -> str:
    warnings = [f"**{note}**" for note in notes]
    sections = [f"# {_cell(title)}", comparison_table(evaluation, baseline), *warnings, DEFINITIONS]
    if timeline is not None:
        sections += ["## When: the timeline against true events", _table(timeline_rows(timeline))]
        sections += [timeline_basis(timeline), TIMELINE_DEFINITIONS]
    if details:
        rows = [["detail", "value"], *([name, "" if v is None else str(v)] for name, v in details.items())]
        sections += ["## Made from", _table(rows, text_columns=2)]
    defined = [label for label in evaluation.labels if label.is_defined]
    defined.sort(key=lambda label: -label.average_precision)
    if len(defined) <= 2 * _LISTED_LABELS:
        sections += ["## Labels, best first", _label_table(defined)]
    else:
        sections += ["## Best labels", _label_table(defined[:_LISTED_LABELS])]
        sections += ["## Worst labels, worst first", _label_table(defined[: -_LISTED_LABELS - 1 : -1])]
    if confusions is not None:
        sections += ["## Most confused", _confusion_table(confusions, evaluation.labels)]
    sections += ["## Pictures", *(f"![{path.stem.replace('_', ' ')}]({path.name})" for path in pictures)]
    return "\n\n".join(sections) + "\n"


def _label_table(labels: Sequence[LabelResult]) -> str:
    rows = [["label", "clips", "prior", "AUC", "d-prime", "average precision"]]
    for label in labels:
        measures = map(measure, (label.auc, label.dprime, label.average_precision))
        rows.append([label.name, f"{label.num_positives:,}", f"{label.prior:.3g}", *measures])
    return _table(rows)


def _confusion_table(confusions: Scores, labels: Sequence[LabelResult]) -> str:
    strays = confusions.copy()
    np.fill_diagonal(strays, 0.0)
    order = np.argsort(-strays, axis=None, kind="stable")[:_LISTED_CONFUSIONS]
    rows = [["true", "answered", "clips", "of"]]
    for true, answered in zip(*np.unravel_index(order, strays.shape), strict=True):
        if strays[true, answered] > 0:
            clips = f"{strays[true, answered]:.3g}"
            rows.append([labels[true].name, labels[answered].name, clips, f"{labels[true].num_positives:,}"])
    return _table(rows, text_columns=2) if len(rows) > 1 else "No clip was given another label than its own."


def _table(rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """Rows, header first, as an aligned Markdown table; columns after the first of text lean right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    rule = [":" + "-" * (w - 1) if i < text_columns else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines = []
    for row in (cells[0], rule, *cells[1:]):
        sides = (str.ljust if i < text_columns else str.rjust for i in range(len(row)))
        padded = (side(value, width) for side, value, width in zip(sides, row, widths, strict=True))
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def _cell(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|")
