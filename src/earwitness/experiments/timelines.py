"""How well a model's timeline finds what truly sounds when: every patch is judged, not only the clip.

A patch is positive for a label if the label sounds in at least half of it; overlapping events of a label count once.
The measures are those of clips (`evaluation.summary`), over patches: the average precision of a label is its
frame-level one, and chance its share of all patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.datasets.events import TrueEvent, read_events
from earwitness.errors import ScoreError
from earwitness.evaluation.summary import Evaluation, evaluate
from earwitness.front_end import FrontEnd
from earwitness.inference.probabilities import PatchScorer
from earwitness.labels import LabelSet
from earwitness.models.model_file import Model
from earwitness.models.precision import choose_device
from earwitness.scoring.clip_scores import require_fit, score_patches
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

_LEAST_SHARE = 0.5
"""Of a patch that a label must sound in."""


@dataclass(frozen=True, kw_only=True)
class TimelineEvaluation:
    """The outcome of `evaluate_timelines`."""

    patches: Evaluation
    """Over patches: where it says clips, read patches."""
    num_clips: int
    unknown_labels: tuple[str, ...]
    """Labels of events that the model does not know; they are left out."""


def evaluate_timelines(
    model: Model, store: Store, *, events_path: str | Path, where: str | None = None, device: str = "auto"
) -> TimelineEvaluation:
    """Score the patches of the selected clips and hold them against true events.

    Args:
        model: its patch geometry is used.
        store: of the clips.
        events_path: a table as `datasets.events` reads it. A clip without events in it is one where nothing sounds.
        where: SQL condition over the manifest's columns.
        device: where to compute.

    Raises:
        StoreError: the store does not fit the model.
        SelectionError: `where` is bad or selects nothing.
        ManifestError: the table of events cannot be used.
        ScoreError: it has no event in any of these clips.
    """
    require_fit(store, front_end=model.front_end, label_set=model.label_set)
    clips = store.select(where)
    events = read_events(events_path)
    clip_ids = dict(zip(clips.tolist(), store.clips["clip_id"].take(clips).to_pylist(), strict=True))
    if not any(clip_id in events for clip_id in clip_ids.values()):
        raise ScoreError(f"{events_path}: has no event in any of the {len(clips)} clips; are its clip_ids the store's?")
    scorer = PatchScorer(model.network, device=choose_device(device))
    scores, targets = [], []
    with FrameReader(store) as reader:
        for batch in score_patches(scorer, reader, clips, front_end=model.front_end):
            scores.append(batch.scores)
            for clip in np.unique(batch.clips):
                starts_seconds = batch.first_frames[batch.clips == clip] * model.front_end.frame_seconds
                targets.append(
                    sounding(events.get(clip_ids[int(clip)], ()), starts_seconds, model.front_end, model.label_set)
                )
    heard = {event.label for clip_id in clip_ids.values() for event in events.get(clip_id, ())}
    return TimelineEvaluation(
        patches=evaluate(np.concatenate(scores), np.concatenate(targets), label_set=model.label_set),
        num_clips=len(clips),
        unknown_labels=tuple(sorted(heard - set(model.label_set.ids))),
    )


def sounding(
    events: Sequence[TrueEvent],
    starts_seconds: npt.NDArray[np.float64],
    front_end: FrontEnd,
    label_set: LabelSet,
) -> npt.NDArray[np.bool_]:
    """Which labels sound in at least half of each patch, bool [patches, labels].

    Args:
        events: of one clip, in its time; labels that the set does not have are left out.
        starts_seconds: [patches], where each begins.
        front_end: says how long a patch is.
        label_set: the columns.
    """
    stops_seconds = starts_seconds + front_end.patch_seconds
    overlap = np.zeros((len(starts_seconds), len(label_set)))
    last_stop: dict[int, float] = {}  # of the label's events so far, so that what overlaps counts once
    for event in sorted(events, key=lambda event: event.start_seconds):
        label = label_set.index_of.get(event.label)
        if label is None:
            continue
        start = max(event.start_seconds, last_stop.get(label, 0.0))
        last_stop[label] = max(event.stop_seconds, start)
        overlap[:, label] += np.maximum(
            0.0, np.minimum(stops_seconds, event.stop_seconds) - np.maximum(starts_seconds, start)
        )
    return overlap >= _LEAST_SHARE * front_end.patch_seconds - 1e-9
