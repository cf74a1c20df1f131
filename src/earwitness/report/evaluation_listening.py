"""Clips to listen to: of the most telling labels, the highest-scored false alarms and lowest-scored missed positives.

Each has its sound where the media are at hand, what is true of it, what the model answers, and the label's score over
its time. The sound begins a moment before the patch that scores highest for the label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.source import ByteRange
from earwitness.evaluation.closer_look import CloserLook
from earwitness.evaluation.extremes import NONE
from earwitness.evaluation.summary import Evaluation
from earwitness.manifest import RANGE_COLUMNS
from earwitness.report.evaluation_facts import Evidence, PatchScores
from earwitness.report.label_columns import score_text, threshold_text
from earwitness.report.label_data import LEAST_EVIDENCE
from earwitness.report.label_ends import LEAST_POSITIVES
from earwitness.report.snippets import SNIPPET_SECONDS, Excerpt
from earwitness.report.words import counted, duration

MOST_LABELS = 8
CLIPS_PER_SIDE = 2
_SCORED_LABELS = 4
_BEFORE_SECONDS = 1.0
"""A sound is heard better with what comes before it."""
_COLUMNS = 200
"""Most steps of a curve."""
_WIDTH, _HEIGHT = 400.0, 64.0
"""Of a curve's view box."""
_WHOLE = 0.98
"""Of a clip's length: whoever hears this much of it hears it all."""
_TOPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class ScoreCurve:
    """A label's score over the time of a clip, ready to be drawn; its clock is that of the player."""

    path: str
    threshold_y: float | None
    """None where the threshold is above the picture."""
    heard_left: float
    """Where the sound of the player begins, and how wide it is."""
    heard_width: float
    start_seconds: float
    """At the left edge."""
    stop_seconds: float
    top_words: str
    """The score at the upper edge."""
    length_words: str
    words: str

    @property
    def is_heard_in_part(self) -> bool:
        """Whether the player plays some of the clip, and not all of it."""
        return 0.0 < self.heard_width < _WHOLE * _WIDTH


@dataclass(frozen=True, kw_only=True)
class ScoredName:
    """What the model says of a clip."""

    name: str
    score: float
    words: str


@dataclass(frozen=True, kw_only=True)
class HeardClip:
    """A clip on the page."""

    clip_id: str
    player_id: str
    score_words: str
    excerpt: Excerpt | None
    no_sound: str
    """Why, where there is none."""
    labels: tuple[str, ...]
    scored: tuple[ScoredName, ...]
    curve: ScoreCurve | None


@dataclass(frozen=True, kw_only=True)
class Side:
    """The clips of one kind of error."""

    kind: str
    title: str
    none: str
    clips: tuple[HeardClip, ...]


@dataclass(frozen=True, kw_only=True)
class HeardLabel:
    """A label and its errors."""

    index: int
    name: str
    words: str
    sides: tuple[Side, ...]


def telling_labels(evaluation: Evaluation, look: CloserLook, *, most: int = MOST_LABELS) -> list[int]:
    """Labels to show: in turn the one that is most evidently confused, and the one heard worst."""
    defined = [index for index, label in enumerate(evaluation.labels) if label.is_defined]
    frequent = [index for index in defined if evaluation.labels[index].num_positives >= LEAST_POSITIVES]
    worst = sorted(
        frequent if len(frequent) >= most else defined, key=lambda index: evaluation.labels[index].average_precision
    )
    confused = list(dict.fromkeys(pair.said for pair in look.confusions if pair.evidence >= LEAST_EVIDENCE))
    chosen: dict[int, None] = {}
    for place in range(len(defined)):
        for order in (confused, worst):
            if place < len(order) and evaluation.labels[order[place]].is_defined:
                chosen.setdefault(order[place])
    return list(chosen)[:most]


class Listening:
    """Makes what is shown of clips.

    Args:
        evaluation: names the labels and says their thresholds.
        evidence: the scores and where the clips' media are.
        look: which clips to show.
    """

    def __init__(self, evaluation: Evaluation, evidence: Evidence, look: CloserLook) -> None:
        self._labels = evaluation.labels
        self._evidence, self._look = evidence, look
        clips = evidence.clips
        self._has_media = clips is not None and "media" in clips.column_names
        self._patch_scores: dict[int, PatchScores | None] = {}
        self._num_shown = 0

    def label(self, index: int) -> HeardLabel:
        """A label with its errors."""
        label = self._labels[index]
        extremes = self._look.extremes
        return HeardLabel(
            index=index,
            name=label.name,
            words=f"AP {label.average_precision:.3f}, {counted(label.num_positives, 'clip')}, threshold "
            f"{threshold_text(label.threshold)}",
            sides=(
                Side(
                    kind="false-alarm",
                    title="Scored highest without it",
                    none="No clip without the label scores above the others.",
                    clips=self._clips(index, extremes.false_alarms[index], extremes.false_alarm_scores[index]),
                ),
                Side(
                    kind="missed",
                    title="Scored lowest with it",
                    none="No clip has the label.",
                    clips=self._clips(index, extremes.missed[index], extremes.missed_scores[index]),
                ),
            ),
        )

    def _clips(
        self, label: int, positions: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
    ) -> tuple[HeardClip, ...]:
        pairs = zip(positions.tolist(), scores.tolist(), strict=True)
        return tuple(self._clip(label, clip, score) for clip, score in list(pairs)[:CLIPS_PER_SIDE] if clip != NONE)

    def _clip(self, label: int, clip: int, score: float) -> HeardClip:
        evidence = self._evidence
        row: dict[str, Any] = evidence.clips.slice(clip, 1).to_pylist()[0] if evidence.clips is not None else {}
        patches = self._patches(clip)
        excerpt, reason = self._excerpt(row, patches, label)
        self._num_shown += 1
        _, own = evidence.positives.pairs_of_clips(clip, clip + 1)
        answers = evidence.scores.clip_block(clip, clip + 1)[0].astype(np.float64)
        highest = np.argsort(-answers, kind="stable")[:_SCORED_LABELS].tolist()
        scored = highest if label in highest else [*highest[:-1], label]
        return HeardClip(
            clip_id=str(row.get("clip_id", f"clip {clip}")),
            player_id=f"heard-{self._num_shown}",
            score_words=score_text(score),
            excerpt=excerpt,
            no_sound=reason,
            labels=tuple(self._labels[index].name for index in own.tolist()),
            scored=tuple(
                ScoredName(name=self._labels[index].name, score=float(answers[index]), words=score_text(answers[index]))
                for index in scored
            ),
            curve=_curve(patches, label, self._labels[label].threshold, row, excerpt) if patches else None,
        )

    def _patches(self, clip: int) -> PatchScores | None:
        if clip not in self._patch_scores:
            of = self._evidence.patch_scores_of
            self._patch_scores[clip] = of(clip) if of is not None else None
        return self._patch_scores[clip]

    def _excerpt(self, row: dict[str, Any], patches: PatchScores | None, label: int) -> tuple[Excerpt | None, str]:
        """What is to be heard of a clip; and what to say where it cannot be."""
        if not self._has_media or not row["media"]:
            return None, "No sound here: the scores do not say where the media are."
        media: str | ByteRange = row["media"]
        if "://" not in row["media"] and not Path(row["media"]).exists():
            return None, f"No sound here: there is no file {row['media']} on this machine."
        if all(row.get(name) is not None for name in RANGE_COLUMNS):
            media = ByteRange(row["media"], *(int(row[name]) for name in RANGE_COLUMNS))
        begin = 0.0
        if patches is not None:
            peak = int(np.argmax(patches.scores[:, label]))
            begin = patches.start_seconds + peak * patches.hop_seconds - _BEFORE_SECONDS
            begin = max(0.0, min(begin, _length(patches) - SNIPPET_SECONDS))
        start = (row.get("start_seconds") or 0.0) + begin
        excerpt = Excerpt(media=media, start_seconds=start, stop_seconds=row.get("stop_seconds"))
        return excerpt, "No sound here: the media cannot be read, or the page is full."


def _length(patches: PatchScores) -> float:
    """How long the patches last, in seconds from the clip's beginning."""
    return patches.start_seconds + (len(patches.scores) - 1) * patches.hop_seconds + patches.patch_seconds


def _curve(
    patches: PatchScores, label: int, threshold: float, row: dict[str, Any], excerpt: Excerpt | None
) -> ScoreCurve:
    scores = patches.scores[:, label].astype(np.float64)
    length = _length(patches)
    peak = float(scores.max())
    top = next((value for value in _TOPS if value >= peak), 1.0)
    # a step is one hop wide about its patch's centre; the first and the last reach the ends
    edges = patches.start_seconds + patches.patch_seconds / 2 + (np.arange(len(scores) + 1) - 0.5) * patches.hop_seconds
    edges[0], edges[-1] = 0.0, length
    first = np.unique(np.linspace(0, len(scores), min(_COLUMNS, len(scores)) + 1).astype(int))
    heights = np.maximum.reduceat(scores, first[:-1]) / top
    x = edges[first] / length * _WIDTH
    steps = "".join(f"V{_HEIGHT * (1 - y):.1f}H{end:.1f}" for y, end in zip(heights, x[1:], strict=True))
    begin = 0.0 if excerpt is None else excerpt.start_seconds - (row.get("start_seconds") or 0.0)
    heard = min(SNIPPET_SECONDS, length - begin) if excerpt is not None else 0.0
    at = patches.start_seconds + int(np.argmax(scores)) * patches.hop_seconds
    return ScoreCurve(
        path=f"M0 {_HEIGHT:g}{steps}V{_HEIGHT:g}z",
        threshold_y=round(_HEIGHT * (1 - threshold / top), 1) if 0 <= threshold <= top else None,
        heard_left=round(begin / length * _WIDTH, 1),
        heard_width=round(heard / length * _WIDTH, 1),
        start_seconds=round(-begin, 3),
        stop_seconds=round(length - begin, 3),
        top_words=f"{top:g}",
        length_words=duration(length),
        words=f"highest, {score_text(peak)}, at {at:.1f} s",
    )


def excerpts(labels: Sequence[HeardLabel]) -> list[Excerpt]:
    """All that is to be heard, those of the first label first."""
    clips = [clip for label in labels for side in label.sides for clip in side.clips]
    return [clip.excerpt for clip in clips if clip.excerpt is not None]
