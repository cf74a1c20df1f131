"""The page of an evaluation: what a model can and cannot hear, to look at, to search and to listen to.

One offline HTML file (see `html`), whose size is bounded for tens of thousands of labels: see the constants below and
`label_data`. Its text stands in `templates/evaluation.html`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.doctor.findings import Distribution
from earwitness.evaluation.closer_look import CloserLook
from earwitness.evaluation.confusions import Confusion
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.summary import Chance, Evaluation, LabelResult
from earwitness.report.confusion_plot import MOST_LABELS as MOST_MATRIX_LABELS
from earwitness.report.confusion_plot import confusion_plot
from earwitness.report.evaluation_facts import EvaluationFacts, Evidence
from earwitness.report.evaluation_listening import HeardLabel, Listening, excerpts, telling_labels
from earwitness.report.evaluation_tables import (
    ANSWERS,
    DEFINITIONS,
    MORE_DEFINITIONS,
    RANKING,
    headline_basis,
    headline_rows,
)
from earwitness.report.html import write_page
from earwitness.report.label_columns import label_columns_shown
from earwitness.report.label_data import (
    FORMATS,
    LEAST_EVIDENCE,
    PANEL,
    PLOT,
    UNITS,
    confused_columns,
    curve_points,
    embedded_json,
    first_rows,
    label_columns,
)
from earwitness.report.label_ends import LEAST_POSITIVES, LabelEnds, label_ends
from earwitness.report.reliability_plot import reliability_plot
from earwitness.report.scatter import label_scatter
from earwitness.report.snippets import make_snippets
from earwitness.report.svg_plots import Histogram, histogram
from earwitness.report.timeline_table import TIMELINE_DEFINITIONS, timeline_basis, timeline_rows
from earwitness.report.words import counted

MOST_CURVES = 500
"""Labels whose precision-recall curve is on the page: the most frequent ones."""
MOST_SOUND_BYTES = 3 * 2**19
"""Of all sounds before they become text, which makes them a third larger."""
_FIRST_ROWS = 50
"""Of the table, that need no script."""
_LISTED = 10
"""Best labels, and worst ones."""
_LISTED_CONFUSIONS = 20
_NOTHING_CONFUSED = (
    "Of the clips that score highest for a label without carrying it (its false alarms), none carry another label "
    "evidently more often than by chance: there are no such clips, or too few to tell."
)


@dataclass(frozen=True, kw_only=True)
class _Card:
    """A headline measure; its bars go from 0 to 1 on all cards."""

    name: str
    explanation: str
    value: float
    interval: Interval | None
    baseline: float | None
    chance: float | None


@dataclass(frozen=True, kw_only=True)
class _Tile:
    value: str
    name: str


@dataclass(frozen=True, kw_only=True)
class _ConfusedRow:
    """A row of the table of confused labels."""

    said: str
    true: str
    num_clips: str
    num_false_alarms: str
    share: float
    chance: float
    chance_words: str
    lift_words: str


def labels_with_curves(evaluation: Evaluation) -> list[int]:
    """Indexes of the defined labels whose curves the page shows."""
    defined = [index for index, label in enumerate(evaluation.labels) if label.is_defined]
    return sorted(defined, key=lambda index: -evaluation.labels[index].num_positives)[:MOST_CURVES]


def write_evaluation_page(
    path: str | Path,
    facts: EvaluationFacts,
    *,
    evidence: Evidence | None = None,
    look: CloserLook | None = None,
    workers: int = 1,
) -> None:
    """Write the page to `path`, whose folder must be there.

    Args:
        path: the file to write.
        facts: the figures.
        evidence: the scores they were measured on, for clips to listen to; None: without.
        look: what was seen in these scores; None: without.
        workers: processes that cut sounds out of media.

    Raises:
        SettingsError: the page cannot be written.
    """
    evaluation = facts.evaluation
    heard: list[HeardLabel] = []
    if evidence is not None and look is not None:
        listening = Listening(evaluation, evidence, look)
        heard = [listening.label(index) for index in telling_labels(evaluation, look)]
    data = label_columns(evaluation, facts.baseline)
    ends = label_ends(evaluation.labels, most=_LISTED)
    matrix = look.matrix if look is not None and evaluation.num_labels <= MOST_MATRIX_LABELS else None
    confused = _confused(look, evaluation)
    nothing_confused = look is not None and not confused and matrix is None and bool(ends.best)
    curves = look.curves if look is not None else {}
    write_page(
        path,
        "evaluation.html",
        values={
            "facts": facts,
            "evaluation": evaluation,
            "lead": _lead(facts),
            "tiles": _tiles(evaluation),
            "basis": headline_basis(evaluation),
            "cards": _cards(facts),
            "measures": headline_rows(evaluation, facts.baseline, measures=(*RANKING, *ANSWERS)),
            "definitions": f"{DEFINITIONS} {MORE_DEFINITIONS}",
            "timeline_measures": timeline_rows(facts.timeline) if facts.timeline is not None else None,
            "timeline_basis": timeline_basis(facts.timeline) if facts.timeline is not None else "",
            "timeline_definitions": TIMELINE_DEFINITIONS,
            "scatter": label_scatter(evaluation.labels),
            "columns": label_columns_shown(data.keys()),
            "rows": first_rows(evaluation, most=_FIRST_ROWS),
            "num_labels": evaluation.num_labels,
            "best": ends.best,
            "worst": ends.worst,
            "ends_words": _ends_words(ends),
            "distribution": _distribution(evaluation.labels),
            "matrix": confusion_plot(matrix, [label.name for label in evaluation.labels])
            if matrix is not None
            else None,
            "confused": confused,
            "nothing_confused": _NOTHING_CONFUSED if nothing_confused else "",
            "confused_words": _confused_words(evaluation),
            "reliability": reliability_plot(look.reliability) if look is not None and look.reliability else None,
            "reliability_words": _reliability_words(look),
            "shown_labels": heard,
            "listen_words": _listen_words(evidence, heard),
            "snippets": make_snippets(excerpts(heard), workers=workers, most_bytes=MOST_SOUND_BYTES),
            "details": _details(facts.details),
            "label_json": embedded_json(
                {
                    "numClips": evaluation.num_clips,
                    "columns": data,
                    "units": UNITS,
                    "formats": FORMATS,
                    "plot": PLOT,
                    "panel": PANEL,
                    "first": "average_precision",
                    "confused": confused_columns(look.confusions if look else (), num_labels=evaluation.num_labels),
                    "curves": curve_points(
                        {
                            label: list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True))
                            for label, curve in curves.items()
                        }
                    ),
                    "listen": [label.index for label in heard],
                }
            ),
        },
    )


def _lead(facts: EvaluationFacts) -> str:
    """The headline in a sentence."""
    evaluation = facts.evaluation
    if evaluation.num_undefined_labels == evaluation.num_labels:
        return "No label has both clips that carry it and clips that do not, so nothing can be measured."
    words = f"Over {counted(evaluation.num_clips, 'clip')} and {counted(evaluation.num_labels, 'label')}, its mean "
    words += f"average precision is {evaluation.mean_average_precision:.3f}"
    interval = (evaluation.intervals or {}).get("mean_average_precision")
    if interval is not None:
        words += f" (95 %: {interval.low:.3f} to {interval.high:.3f})"
    words += f", where chance gives {evaluation.chance.mean_average_precision:.3f}"
    if facts.baseline is not None:
        words += f" and logistic regression {facts.baseline.mean_average_precision:.3f}"
    return words + "."


def _tiles(evaluation: Evaluation) -> list[_Tile]:
    pairs = sum(label.num_positives for label in evaluation.labels)
    undefined = evaluation.num_undefined_labels
    return [
        _Tile(value=f"{evaluation.num_clips:,}", name="clips"),
        _Tile(value=f"{evaluation.num_labels:,}", name="labels"),
        _Tile(value=f"{undefined:,}", name="labels without a figure, as no clip carries them or every clip does"),
        _Tile(value=f"{pairs:,}", name="true pairs of clip and label"),
    ]


def _cards(facts: EvaluationFacts) -> list[_Card]:
    evaluation = facts.evaluation
    dprime = f"{evaluation.dprime:.2f}" if math.isfinite(evaluation.dprime) else "infinite"
    shown = (
        ("mean_average_precision", "mAP", "Mean average precision of the labels; chance is the mean prior."),
        (
            "mean_auc",
            "AUC",
            "How often a clip with a label scores above one without it; 0.5 is a coin's toss. "
            f"As the paper's d-prime, it is {dprime}.",
        ),
        (
            "one_best_accuracy",
            "Accuracy" if evaluation.is_single_label else "1-best accuracy",
            "How often the top-scored label is one of the clip's.",
        ),
        (
            "lwlrap",
            "lwlrap",
            "How high a clip's own labels rank among all labels, every true pair with the same weight.",
        ),
    )
    return [
        _Card(
            name=name,
            explanation=explanation,
            value=getattr(evaluation, field),
            interval=(evaluation.intervals or {}).get(field),
            baseline=getattr(facts.baseline, field) if facts.baseline is not None else None,
            chance=getattr(evaluation.chance, field) if field in Chance.__annotations__ else None,
        )
        for field, name, explanation in shown
        if math.isfinite(getattr(evaluation, field))
    ]


def _ends_words(ends: LabelEnds) -> str:
    words = "By average precision; the upright line is chance, and the number at the end counts the label's clips."
    if ends.is_limited:
        words += f" Labels of fewer than {LEAST_POSITIVES} clips are left out here, being at the ends by luck."
    return words


def _distribution(labels: Sequence[LabelResult]) -> Histogram | None:
    """Labels by average precision."""
    values = [label.average_precision for label in labels if label.is_defined]
    if len(values) < 2 * _LISTED:
        return None
    counts, edges = np.histogram(values, bins=20, range=(0.0, 1.0))
    return histogram(
        Distribution(
            name="average_precision",
            title="Labels by average precision",
            unit="AP",
            edges=tuple(round(edge, 2) for edge in edges.tolist()),
            counts=tuple(counts.tolist()),
            median=float(np.median(values)),
        ),
        noun="label",
    )


def _confused(look: CloserLook | None, evaluation: Evaluation) -> list[_ConfusedRow]:
    if look is None:
        return []
    evident = [pair for pair in look.confusions[:_LISTED_CONFUSIONS] if pair.evidence >= LEAST_EVIDENCE]
    return [_confused_row(pair, evaluation) for pair in evident]


def _confused_row(pair: Confusion, evaluation: Evaluation) -> _ConfusedRow:
    return _ConfusedRow(
        said=evaluation.labels[pair.said].name,
        true=evaluation.labels[pair.true].name,
        num_clips=f"{pair.num_clips:,}",
        num_false_alarms=f"{pair.num_false_alarms:,}",
        share=pair.share,
        chance=pair.chance,
        chance_words=f"{100 * pair.chance:.2g} %",
        lift_words=f"{pair.lift:.2g} ×" if pair.lift < 100 else f"{pair.lift:,.0f} ×",
    )


def _confused_words(evaluation: Evaluation) -> str:
    carry = "the label that these clips carry instead" if evaluation.is_single_label else "what these clips do carry"
    return (
        "Of the clips that score highest for a label without carrying it (its false alarms, 50 at most), "
        f"{carry}, more often than by chance: the pairs with the most evidence first. The upright line on a bar is "
        "chance, lift is how many times more often. Where both labels belong together, it may be the data: one of "
        "them was left unlabelled."
    )


def _reliability_words(look: CloserLook | None) -> str:
    if look is None or look.reliability is None:
        return ""
    return (
        "All scores of all labels, by their height: a dot is how many of the scores about there are true. On the "
        "dashed line a score is a probability: of the clips scored 0.7, seven in ten have the label. Below it, scores "
        "claim too much, above it too little. Upright bands are 95 % intervals (Wilson's). The bars count the "
        "scores, on a logarithmic scale. The calibration error "
        f"of all pairs pooled is {look.reliability.calibration_error:.4f}. "
        "`earwitness calibrate` makes scores probabilities and finds thresholds."
    )


def _listen_words(evidence: Evidence | None, heard: Sequence[HeardLabel]) -> str:
    words = (
        "Errors of the labels that are most telling: the most confused and the worst. Of each, first clips that score "
        "highest without carrying the label, then clips that carry it and score lowest. Listen before you blame the "
        "model: labels are often missing, or wrong."
    )
    if evidence is not None and evidence.patch_scores_of is not None:
        words += (
            " The curve is the label's score over the clip, patch by patch, from 0 to the number at its upper edge, "
            "which is less than 1 where scores are low; the dashed line is the threshold."
        )
        clips = [clip for label in heard for side in label.sides for clip in side.clips]
        if any(clip.curve is not None and clip.curve.is_heard_in_part for clip in clips):
            words += " Of a long clip, the bright part is what the player plays, about the highest score."
    return words


def _details(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts by name, those that there are."""
    return [(name.replace("_", " "), str(value)) for name, value in details.items() if value is not None]
