"""From the scores of patches at some hop to the events of one input."""

import numpy as np
import numpy.typing as npt

from earwitness.inference.any_model import AnyModel
from earwitness.inference.events import Event, EventFinder
from earwitness.inference.tagger import ClipScores, PatchScores
from earwitness.labels import LabelSet
from earwitness.listening.results import HeardEvent, HeardEvents
from earwitness.listening.timeline_settings import TimelineSettings, chosen_labels, hop_frames

_USUAL_THRESHOLD = 0.5


class TimelineMaker:
    """Takes the patch scores of one input after the other, each in order."""

    def __init__(self, model: AnyModel, settings: TimelineSettings) -> None:
        """Find out which hop, labels and thresholds hold.

        Raises:
            SettingsError: the model cannot listen at that hop.
            LabelError: a label is not the model's.
        """
        self._settings = settings
        self._front_end = model.front_end
        self.patch_hop_frames = hop_frames(settings.hop_seconds, model.front_end)
        """For `Tagger.score`."""
        self._columns = chosen_labels(settings.labels, model.label_set)
        ids, names = (tuple(all_[i] for i in self._columns) for all_ in (model.label_set.ids, model.label_set.names))
        self.label_set = LabelSet(ids, names)
        """The labels that were chosen."""
        self._is_calibrated = model.calibration is not None
        self._has_own_thresholds = settings.threshold == "own" and model.thresholds is not None
        thresholds = (
            model.thresholds_or(_USUAL_THRESHOLD)
            if settings.threshold == "own"
            else np.full(len(model.label_set), settings.threshold)
        )
        self.thresholds = thresholds[self._columns]
        """Of each of them, [labels]."""
        self.begin()

    @property
    def hop_seconds(self) -> float:
        """From the start of one patch to the next."""
        return self.patch_hop_frames * self._front_end.frame_seconds

    def chosen(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The columns of the labels that were chosen, [patches, labels]."""
        return scores if len(self._columns) == scores.shape[1] else scores[:, self._columns]

    def take(self, patches: PatchScores) -> None:
        """Take the scores of the next patches, of all labels of the model."""
        chosen = self.chosen(patches.scores)
        self._events.extend(self._finder.push(patches.start_seconds, chosen, is_silent=patches.is_silent))

    def finish(self, media: str, clip: ClipScores, *, start_seconds: float | None = None) -> HeardEvents:
        """What was heard in the input; `start_seconds` is where in the media it began."""
        self._events += self._finder.finish(end_seconds=(start_seconds or 0.0) + clip.seconds)
        ids, names = self.label_set.ids, self.label_set.names
        events = tuple(
            HeardEvent(
                label_id=ids[event.label],
                label_name=names[event.label],
                start_seconds=round(event.start_seconds, 6),
                stop_seconds=round(event.stop_seconds, 6),
                peak_score=event.peak_score,
            )
            for event in sorted(self._events, key=lambda event: (event.start_seconds, event.label))
        )
        return HeardEvents(
            media=media,
            seconds=clip.seconds,
            scored_seconds=clip.scored_seconds,
            num_patches=clip.num_patches,
            warnings=clip.warnings,
            is_padded=clip.is_padded,
            events=events,
            hop_seconds=self.hop_seconds,
            patch_seconds=self._front_end.patch_seconds,
            is_calibrated=self._is_calibrated,
            has_own_thresholds=self._has_own_thresholds,
        )

    def begin(self) -> None:
        """Forget what was taken: another input begins."""
        self._events: list[Event] = []
        self._finder = EventFinder(
            threshold=self.thresholds,
            lower_threshold=self.thresholds * self._settings.keep_share,
            patch_seconds=self._front_end.patch_seconds,
            hop_seconds=self.hop_seconds,
            min_seconds=self._settings.min_seconds,
            max_gap_seconds=self._settings.max_gap_seconds,
        )
