"""The timelines of a model against true events: what truly sounds in which patch, and the patches' scores beside it.

A patch is positive for a label if the label sounds in at least half of it; overlapping events of a label count once.
Of a clip shorter than a patch, which was filled up to one, only its own length counts. The loudness of a patch is the
mean of its log-mel values. What is measured is defined in `evaluation.timelines`.

Scores and truth of all patches are held: five bytes for each patch and label, from before the scoring to the end.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.datasets.events import TrueEvent, read_events
from earwitness.errors import ManifestError, ScoreError
from earwitness.evaluation.summary import evaluate
from earwitness.evaluation.timelines import TimelineEvaluation, evaluate_within_clips
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store

_LEAST_SHARE = 0.5
"""Of a patch that a label must sound in."""

_SLACK_SECONDS = 0.1
"""An event may outlast its clip by so much unnoticed: annotators round, and decoders drop a little at the end."""


class TrueTimelines:
    """What truly sounds in each patch of some clips, taking in their scores as they come."""

    def __init__(
        self,
        targets: npt.NDArray[np.bool_],
        patches_per_clip: npt.NDArray[np.int64],
        label_set: LabelSet,
        *,
        unknown_labels: tuple[str, ...],
        num_overrunning_events: int,
        notes: tuple[str, ...],
    ) -> None:
        """Use `TrueTimelines.read`."""
        self.unknown_labels = unknown_labels
        """Labels of events that the store does not know; they are left out."""
        self.num_overrunning_events = num_overrunning_events
        """Events that go on after the end of their clip; they are cut there."""
        self.notes = notes
        """What a reader of the figures must know of these events, as sentences."""
        self._targets, self._patches_per_clip, self._label_set = targets, patches_per_clip, label_set
        self._scores = np.empty(targets.shape, dtype=np.float32)
        self._loudness = np.empty(len(targets), dtype=np.float32)
        self._num_pushed = 0

    @classmethod
    def read(cls, path: str | Path, store: Store, clips: npt.NDArray[np.int64], front_end: FrontEnd) -> "TrueTimelines":
        """Read true events and hold them against the clips.

        Args:
            path: a table as `datasets.events` reads it. A clip without events in it is one where nothing sounds.
            store: of the clips.
            clips: ascending indexes in the store.
            front_end: the model's; its patch geometry is used.

        Raises:
            ManifestError: the table cannot be used, or an event begins after the end of its clip; the row is named.
            ScoreError: it has no event in any of these clips.
        """
        events = read_events(path)
        clip_ids = store.clips["clip_id"].take(clips).to_pylist()
        if not any(clip_id in events for clip_id in clip_ids):
            raise ScoreError(f"{path}: has no event in any of the {len(clips)} clips; are its clip_ids the store's?")
        seconds = store.clips["num_samples"].take(clips).to_numpy() / front_end.sample_rate_hz
        num_overrunning = check_ends(path, events, clip_ids, seconds)
        index = PatchIndex(
            store.frames_per_clip, clips, patch_frames=front_end.patch_frames, hop_frames=front_end.patch_hop_frames
        )
        targets = np.zeros((index.num_patches, len(store.label_set)), dtype=np.bool_)
        for clip_id, clip_seconds, first, num_patches in zip(
            clip_ids, seconds, index.first_patches, index.patches_per_clip, strict=True
        ):
            starts = np.arange(num_patches) * front_end.patch_hop_seconds
            stops = np.minimum(starts + front_end.patch_seconds, clip_seconds)
            targets[first : first + num_patches] = sounding(events.get(clip_id, ()), starts, stops, store.label_set)
        heard = {event.label for clip_id in clip_ids for event in events.get(clip_id, ())}
        unknown_labels = tuple(sorted(heard - set(store.label_set.ids)))
        notes = []
        if unknown_labels:
            shown = ", ".join(unknown_labels[:5]) + (", ..." if len(unknown_labels) > 5 else "")
            notes.append(f"{path}: events of labels that the model does not know were left out: {shown}.")
        if num_overrunning:
            notes.append(f"{path}: events that go on after the end of their clip were cut there: {num_overrunning:,}.")
        return cls(
            targets,
            index.patches_per_clip,
            store.label_set,
            unknown_labels=unknown_labels,
            num_overrunning_events=num_overrunning,
            notes=tuple(notes),
        )

    def push(self, patches: npt.NDArray[np.float16], scores: npt.NDArray[np.float32]) -> None:
        """Take in the patches [patches, patch_frames, bands] that come next, and their scores [patches, labels]."""
        these = slice(self._num_pushed, self._num_pushed + len(scores))
        self._scores[these] = scores
        self._loudness[these] = patches.mean(axis=(1, 2), dtype=np.float32)
        self._num_pushed += len(scores)

    def judge(self, clip_scores: npt.NDArray[np.float32]) -> TimelineEvaluation:
        """Measure the scores, all of which were taken in; they are gone afterwards.

        Args:
            clip_scores: [clips, labels], the rival that knows nothing of time.
        """
        over_patches = evaluate(self._scores, self._targets, label_set=self._label_set)
        within_clips, loudness = (
            evaluate_within_clips(scores, self._targets, self._patches_per_clip, label_set=self._label_set)
            for scores in (self._scores, np.broadcast_to(self._loudness[:, None], self._scores.shape))
        )
        stops = np.cumsum(self._patches_per_clip)
        for row, (stop, num_patches) in enumerate(zip(stops, self._patches_per_clip, strict=True)):
            self._scores[stop - num_patches : stop] = clip_scores[row]  # in place: they are large
        return TimelineEvaluation(
            num_patches=len(self._scores),
            num_clips=len(self._patches_per_clip),
            within_clips=within_clips,
            loudness_within_clips=loudness,
            over_patches=over_patches,
            over_patches_without_time=evaluate(self._scores, self._targets, label_set=self._label_set),
            unknown_labels=self.unknown_labels,
            num_overrunning_events=self.num_overrunning_events,
        )


def sounding(
    events: Sequence[TrueEvent],
    starts_seconds: npt.NDArray[np.float64],
    stops_seconds: npt.NDArray[np.float64],
    label_set: LabelSet,
) -> npt.NDArray[np.bool_]:
    """Which labels sound in at least half of each patch, bool [patches, labels].

    Args:
        events: of one clip, in its time; labels that the set does not have are left out.
        starts_seconds: [patches], where each begins.
        stops_seconds: [patches], where the clip's sound in each ends.
        label_set: the columns.
    """
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
    return overlap >= _LEAST_SHARE * (stops_seconds - starts_seconds)[:, None] - 1e-9


def check_ends(
    path: str | Path,
    events: Mapping[str, Sequence[TrueEvent]],
    clip_ids: Sequence[str],
    seconds: npt.NDArray[np.float64],
) -> int:
    """How many events go on after the end of their clip; one that only begins there is refused.

    Args:
        path: of the table, to be named.
        events: by clip id.
        clip_ids: the clips to look at.
        seconds: their lengths.

    Raises:
        ManifestError: an event begins after the end of its clip; the row is named.
    """
    num_overrunning = 0
    for clip_id, clip_seconds in zip(clip_ids, seconds.tolist(), strict=True):
        for event in events.get(clip_id, ()):
            if event.start_seconds > clip_seconds + _SLACK_SECONDS:
                raise ManifestError(
                    f"{path}: row {event.row}: {event.label!r} begins {event.start_seconds:g} s into clip {clip_id!r}, "
                    f"which is {clip_seconds:.2f} s long; times count from the clip's begin (are these its media's?)"
                )
            num_overrunning += event.stop_seconds > clip_seconds + _SLACK_SECONDS
    return num_overrunning
