"""The page that the demo ends with: what was made, learnt and found, to hear and to look at.

One offline HTML file (see `html`), from finished numbers, pictures and sounds. Its text stands in
`templates/demo.html`.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import ScoreError
from earwitness.evaluation.summary import Evaluation, LabelResult
from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.report.evaluation_tables import DEFINITIONS, headline_basis, headline_rows
from earwitness.report.html import Embedded, Picture, write_page
from earwitness.report.timeline_plot import TimeAxis
from earwitness.report.timeline_table import TIMELINE_DEFINITIONS, timeline_basis, timeline_rows


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A number of the corpus and what it counts: `23.1 h` and `of sound`."""

    value: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the work and the time that it took."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ScoredLabel:
    """A label as the model scores it."""

    name: str
    score: float
    """Probability, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A soundtrack to play. Labels are display names, and compared by them."""

    file_name: str
    audio: Embedded
    seconds: float
    labels: tuple[str, ...]
    """As the metadata has them."""
    sounding: tuple[str, ...]
    """What truly sounds, with the parents of these labels where parents are labels."""
    scored: tuple[ScoredLabel, ...]
    """What the model scores highest, highest first."""


@dataclass(frozen=True, kw_only=True)
class HeldOutFile:
    """A soundtrack that the model was not trained with, in full."""

    clip: Clip
    timeline: Picture
    axis: TimeAxis
    """Where the time lies in the picture, on the clock of the clip's audio."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to do next, and how."""

    purpose: str
    text: str
    """One or more lines for a shell, ready to paste."""


@dataclass(frozen=True, kw_only=True)
class DemoPage:
    """All that the page shows."""

    facts: tuple[Fact, ...]
    stages: tuple[Stage, ...]
    clips: tuple[Clip, ...]
    """Some that the model was not trained with."""
    held_out: HeldOutFile
    learning_curves: Picture
    evaluation: Evaluation
    """Of the model, on held-out soundtracks, against what truly sounds in them."""
    baseline: Evaluation | None
    """Of the baseline on the same soundtracks and labels."""
    timeline: TimelineEvaluation
    """Of the model, against the true events, with the labels of `evaluation`."""
    notes: tuple[str, ...]
    """What a reader of the figures must know, a sentence or two each."""
    commands: tuple[Command, ...]
    """In the order in which they are run."""


@dataclass(frozen=True)
class _LabelRow:
    """What the table of labels shows of one."""

    result: LabelResult
    baseline: LabelResult | None
    in_time: LabelResult
    """Over patches."""
    without_time: LabelResult


def write_demo_page(path: str | Path, page: DemoPage) -> None:
    """Write the page to `path`, whose folder must be there.

    Raises:
        ScoreError: the baseline or the timeline has other labels than the model.
        SettingsError: the page cannot be written.
    """
    evaluation, baseline = page.evaluation, page.baseline
    if baseline is not None and [label.id for label in baseline.labels] != [label.id for label in evaluation.labels]:
        raise ScoreError("demo page: the baseline was evaluated on other labels than the model")
    if [label.id for label in page.timeline.over_patches.labels] != [label.id for label in evaluation.labels]:
        raise ScoreError("demo page: the timeline was evaluated on other labels than the model")
    write_page(
        path,
        "demo.html",
        values={
            "page": page,
            "measures": headline_rows(evaluation, baseline),
            "measures_in_time": timeline_rows(page.timeline),
            "basis_in_time": timeline_basis(page.timeline),
            "definitions_in_time": TIMELINE_DEFINITIONS,
            "basis": headline_basis(evaluation),
            "definitions": DEFINITIONS,
            "has_means": evaluation.num_undefined_labels < evaluation.num_labels,
            "label_rows": _label_rows(page),
            "seconds": sum(stage.seconds for stage in page.stages),
        },
    )


def _label_rows(page: DemoPage) -> list[_LabelRow]:
    """A row for every label, highest average precision first, undefined ones last."""
    beside = page.baseline.labels if page.baseline is not None else [None] * len(page.evaluation.labels)
    in_time, without_time = page.timeline.over_patches.labels, page.timeline.over_patches_without_time.labels
    rows = [_LabelRow(*row) for row in zip(page.evaluation.labels, beside, in_time, without_time, strict=True)]
    return sorted(rows, key=lambda row: -row.result.average_precision if row.result.is_defined else math.inf)
