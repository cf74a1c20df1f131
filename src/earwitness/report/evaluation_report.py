"""An evaluation as files that people and programs read: a page, JSON, a table of labels, a summary, pictures.

    report.html           the page: figures, labels to search, confusions, clips to listen to; offline, in one file
    evaluation.json       everything: details, the evaluation with its labels, the baseline's, the timeline's
    per_label.csv         a row for every label, in the order of the label set; empty where undefined
    summary.md            the headline beside baseline and chance, the timeline, best and worst labels, the pictures
    model_card.md         what the model is, for whom, how good and how far; where a model was evaluated
    dprime_by_prior.png   the paper's figure
    average_precision.png
    confusion.png         where every clip has one label, and there are few enough to read

An earlier report in the folder is replaced file by file; a file that this one does not have is removed.
"""

import csv
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

from earwitness.errors import ScoreError
from earwitness.evaluation.closer_look import CloserLook, look_closer
from earwitness.evaluation.summary import DEFAULT_MEMORY_BYTES
from earwitness.report.confusion_plot import MOST_LABELS as MOST_MATRIX_LABELS
from earwitness.report.evaluation_facts import EvaluationFacts, Evidence
from earwitness.report.evaluation_page import labels_with_curves, write_evaluation_page
from earwitness.report.evaluation_plots import plot_average_precision, plot_confusion_matrix, plot_dprime_by_prior
from earwitness.report.evaluation_summary import summary
from earwitness.report.model_card import model_card

PAGE_FILE = "report.html"
JSON_FILE = "evaluation.json"
TABLE_FILE = "per_label.csv"
SUMMARY_FILE = "summary.md"
CARD_FILE = "model_card.md"
REPORT_FILES = (PAGE_FILE, JSON_FILE, TABLE_FILE, SUMMARY_FILE, CARD_FILE)
SCHEMA_VERSION = 2
"""Of `evaluation.json`."""

_COLUMNS = {
    "id": "id",
    "name": "name",
    "num_positives": "num_positives",
    "prior": "prior",
    "auc": "auc",
    "auc_low": "auc_interval.low",
    "auc_high": "auc_interval.high",
    "dprime": "dprime",
    "average_precision": "average_precision",
    "average_precision_low": "average_precision_interval.low",
    "average_precision_high": "average_precision_interval.high",
    "threshold": "threshold",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "calibration_error": "calibration_error",
}
"""Columns of the table, and where their values are found in a label's result."""
_COLUMNS_WITHIN_CLIPS = {
    "within_clips_num_clips": "num_clips",
    "within_clips_auc": "auc",
    "within_clips_average_precision": "average_precision",
}
_MOST_CONFUSIONS = 10_000
"""Pairs in the JSON."""
_PICTURES = ("dprime_by_prior.png", "average_precision.png", "confusion.png")


def write_evaluation_report(
    folder: str | Path,
    facts: EvaluationFacts,
    *,
    evidence: Evidence | None = None,
    workers: int = 1,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    on_labels: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the report of an evaluation into a folder, which is made if need be.

    Args:
        folder: where to; files of an earlier report there are replaced.
        facts: the figures, and what a reader must know with them.
        evidence: the scores they were measured on: for confusions, curves, and clips to listen to.
        workers: processes that cut sounds out of media.
        memory_bytes: what may be held of scores at a time.
        on_labels: called with the number of labels looked at since the last call.

    Returns:
        The files written, `report.html` first.

    Raises:
        ScoreError: the folder cannot be written.
        SettingsError: the page or a picture cannot be written.
    """
    folder = Path(folder)
    evaluation = facts.evaluation
    look: CloserLook | None = None
    if evidence is not None:
        look = look_closer(
            evidence.scores,
            evidence.positives,
            curves_of=frozenset(labels_with_curves(evaluation)),
            is_single_label=evaluation.is_single_label,
            memory_bytes=memory_bytes,
            on_labels=on_labels,
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = _draw(folder, facts, look)
        for name in {CARD_FILE, *_PICTURES} - {path.name for path in pictures}:
            (folder / name).unlink(missing_ok=True)
        _write_json(folder / JSON_FILE, facts, look)
        _write_table(folder / TABLE_FILE, facts)
        (folder / SUMMARY_FILE).write_text(summary(facts, look, pictures), encoding="utf-8", errors="replace")
        written = [folder / name for name in (PAGE_FILE, SUMMARY_FILE, JSON_FILE, TABLE_FILE)]
        if facts.model is not None:
            card = model_card(facts, facts.model)
            (folder / CARD_FILE).write_text(card, encoding="utf-8", errors="replace")
            written.append(folder / CARD_FILE)
        write_evaluation_page(folder / PAGE_FILE, facts, evidence=evidence, look=look, workers=workers)
    except OSError as error:
        raise ScoreError(f"{folder}: the report cannot be written ({error.strerror})") from error
    return [*written, *pictures]


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


def _draw(folder: Path, facts: EvaluationFacts, look: CloserLook | None) -> list[Path]:
    evaluation, title = facts.evaluation, facts.title
    pictures = [folder / name for name in _PICTURES[:2]]
    plot_dprime_by_prior(pictures[0], evaluation, title=title)
    plot_average_precision(pictures[1], evaluation, facts.baseline, title=title)
    if look is not None and look.matrix is not None and evaluation.num_labels <= MOST_MATRIX_LABELS:
        pictures.append(folder / _PICTURES[2])
        plot_confusion_matrix(pictures[2], look.matrix, [label.name for label in evaluation.labels], title=title)
    return pictures


def _write_json(path: Path, facts: EvaluationFacts, look: CloserLook | None) -> None:
    labels = facts.evaluation.labels
    document = {
        "schema_version": SCHEMA_VERSION,
        "title": facts.title,
        "details": dict(facts.details),
        "notes": list(facts.notes),
        "evaluation": facts.evaluation.to_dict(),
        "baseline": facts.baseline.to_dict() if facts.baseline else None,
        "timeline": facts.timeline.to_dict() if facts.timeline else None,
        "confusions": [
            {
                "said": labels[pair.said].id,
                "true": labels[pair.true].id,
                "num_false_alarms": pair.num_false_alarms,
                "num_clips": pair.num_clips,
                "chance": pair.chance,
                "lift": pair.lift,
                "evidence": pair.evidence,
            }
            for pair in (look.confusions[:_MOST_CONFUSIONS] if look else ())
        ],
        "confusion_matrix": look.matrix.tolist() if look is not None and look.matrix is not None else None,
        "reliability": {
            "mean_score": [_finite(x) for x in look.reliability.mean_score.tolist()],
            "share_positive": [_finite(x) for x in look.reliability.share_positive.tolist()],
            "share_positive_low": [_finite(x) for x in look.reliability.share_positive_ends[0].tolist()],
            "share_positive_high": [_finite(x) for x in look.reliability.share_positive_ends[1].tolist()],
            "counts": look.reliability.counts.tolist(),
        }
        if look is not None and look.reliability is not None
        else None,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    path.write_text(text + "\n", encoding="utf-8", errors="replace")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _write_table(path: Path, facts: EvaluationFacts) -> None:
    timeline = facts.timeline
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", *_COLUMNS, *(_COLUMNS_WITHIN_CLIPS if timeline else ())])
        for index, label in enumerate(facts.evaluation.labels):
            values = [_found(label, place) for place in _COLUMNS.values()]
            if timeline:
                values += [getattr(timeline.within_clips.labels[index], x) for x in _COLUMNS_WITHIN_CLIPS.values()]
            writer.writerow([index, *("" if isinstance(v, float) and math.isnan(v) else v for v in values)])


def _found(label: object, place: str) -> object:
    """A value by its dotted name; nan where a part of the way is None."""
    for name in place.split("."):
        if label is None:
            return math.nan
        label = getattr(label, name)
    return label
