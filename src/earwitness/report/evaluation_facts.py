"""What a report of an evaluation is written from: the finished numbers, and what they were measured on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.decisions import Calibration, Thresholds
from earwitness.errors import ScoreError
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ScoreSource
from earwitness.evaluation.summary import Evaluation
from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.front_end import FrontEnd


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a model card says of the model itself."""

    path: str
    network: str
    """The architecture's name."""
    num_weights: int
    front_end: FrontEnd
    provenance: Mapping[str, Any]
    """What it was trained on and how, as its file tells it; empty where it does not."""
    calibration: Calibration | None = None
    thresholds: Thresholds | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationFacts:
    """An evaluation and what a reader must know with it."""

    title: str
    """Names model and clips."""
    evaluation: Evaluation
    baseline: Evaluation | None = None
    """Of the baseline on the same clips and labels."""
    timeline: TimelineEvaluation | None = None
    """Of the same labels, against true events."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Facts to show with it, such as model, store and selection: finite numbers, text, paths."""
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the figures must know."""
    model: ModelFacts | None = None
    """None where the scores came from elsewhere."""

    def __post_init__(self) -> None:
        own = [label.id for label in self.evaluation.labels]
        if self.baseline is not None and [label.id for label in self.baseline.labels] != own:
            raise ScoreError("report: the baseline was evaluated on other labels than the model")
        if self.timeline is not None and [label.id for label in self.timeline.within_clips.labels] != own:
            raise ScoreError("report: the timeline was evaluated on other labels than the clips")


@dataclass(frozen=True, kw_only=True)
class PatchScores:
    """The scores of a clip's patches, for every label."""

    start_seconds: float
    """Where the first patch begins, from the clip's beginning."""
    hop_seconds: float
    """From one patch to the next."""
    patch_seconds: float
    scores: npt.NDArray[np.float32]
    """float32 [patches, labels]."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured, for a closer look: which labels are confused, and clips to listen to."""

    scores: ScoreSource
    positives: Positives
    clips: pa.Table | None = None
    """A row for every scored clip, in order: `clip_id` and `media`, and where there are such columns the range of the
    clip in its media (those of a manifest). None: nothing to listen to."""
    patch_scores_of: Callable[[int], PatchScores] | None = None
    """For a clip by its position; None: no timelines."""
