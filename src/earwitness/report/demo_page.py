"""The page that the demo ends with: what was made, learnt and found, to hear and to look at.

One offline HTML file (see `html`), from finished numbers, pictures and sounds. Its text stands in
`templates/demo.html`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import ScoreError
from earwitness.evaluation.summary import Evaluation, LabelResult
from earwitness.report.evaluation_report import DEFINITIONS, comparison_basis, comparison_rows
from earwitness.report.html import Embedded, Picture, write_page
from earwitness.report.timeline_plot import TimeAxis


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
class FrameResult:
    """How well one label is found in time, over the frames of all held-out soundtracks."""

    average_precision: float
    """Of the label's score as a ranking of all frames; nan if it never sounds."""
    chance: float
    """Share of the frames in which it sounds."""

    @property
    def is_defined(self) -> bool:
        """Whether the label sounds anywhere."""
        return not math.isnan(self.average_precision)


@dataclass(frozen=True, kw_only=True)
class TimelineFinding:
    """How well the timeline finds the true events."""

    frame_seconds: float
    """Length of the frames that truth and scores were compared in."""
    labels: Mapping[str, FrameResult]
    """By label id."""

    @property
    def defined(self) -> tuple[FrameResult, ...]:
        """The results of labels that sound somewhere."""
        return tuple(result for result in self.labels.values() if result.is_defined)

    @property
    def mean_average_precision(self) -> float:
        """Every label with the same weight; nan if none is defined."""
        return _mean([result.average_precision for result in self.defined])

    @property
    def chance(self) -> float:
        """Mean of the same labels' chances."""
        return _mean([result.chance for result in self.defined])


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
    timeline: TimelineFinding
    notes: tuple[str, ...]
    """What a reader of the figures must know, a sentence or two each."""
    commands: tuple[Command, ...]
    """In the order in which they are run."""


@dataclass(frozen=True, kw_only=True)
class _LabelRow:
    """What the table of labels shows of one."""

    result: LabelResult
    baseline: LabelResult | None
    in_time: FrameResult | None
    """None where it sounds nowhere, or is not known."""


def write_demo_page(path: str | Path, page: DemoPage) -> None:
    """Write the page to `path`, whose folder must be there.

    Raises:
        ScoreError: the baseline has other labels than the model.
        SettingsError: the page cannot be written.
    """
    evaluation, baseline = page.evaluation, page.baseline
    if baseline is not None and [label.id for label in baseline.labels] != [label.id for label in evaluation.labels]:
        raise ScoreError("demo page: the baseline was evaluated on other labels than the model")
    header, *rows = comparison_rows(evaluation, baseline)
    write_page(
        path,
        "demo.html",
        values={
            "page": page,
            "measures": {"header": header, "rows": rows},
            "basis": comparison_basis(evaluation),
            "definitions": DEFINITIONS,
            "has_means": evaluation.num_undefined_labels < evaluation.num_labels,
            "label_rows": _label_rows(page),
            "seconds": sum(stage.seconds for stage in page.stages),
        },
    )


def _label_rows(page: DemoPage) -> list[_LabelRow]:
    """A row for every label, highest average precision first, undefined ones last."""
    beside = page.baseline.labels if page.baseline is not None else [None] * len(page.evaluation.labels)
    in_time = {label: result for label, result in page.timeline.labels.items() if result.is_defined}
    rows = [
        _LabelRow(result=result, baseline=baseline, in_time=in_time.get(result.id))
        for result, baseline in zip(page.evaluation.labels, beside, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.result.average_precision if row.result.is_defined else math.inf)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
