"""One media file to its tags and events: what `earwitness tag` writes a row of."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earwitness.inference.events import Event, EventFinder
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import ClipScores, PatchScores, Tagger

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel

_USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Tag:
    """A label with the score of the whole clip."""

    label: int
    """Index in the label set."""
    score: float
    """As in `ClipScores`."""


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """What is heard in one media file."""

    media: str
    seconds: float
    scored_seconds: float
    """Of these, what the patches cover."""
    num_patches: int
    warnings: tuple[str, ...]
    is_padded: bool
    """Whether the sound was shorter than one patch."""
    tags: tuple[Tag, ...]
    """Best first."""
    events: tuple[Event, ...] | None
    """In order of their start; None unless a timeline was asked for."""
    is_calibrated: bool
    """Whether all scores, those of events included, are by a calibration that the model carries."""
    has_own_thresholds: bool
    """Whether tags and events are by the model's own thresholds."""
    scores: npt.NDArray[np.float32] = field(compare=False, repr=False)
    """[labels], of the whole clip, as in `ClipScores`."""


class TagMaker:
    """From the scores of one file to its tags and events, wherever they were made."""

    def __init__(self, model: "AnyModel", settings: TagSettings) -> None:
        """Find out which thresholds hold."""
        self._model = model
        self._settings = settings
        self._has_own_thresholds = settings.threshold == "own" and model.thresholds is not None
        threshold: float | npt.NDArray[np.float64]
        threshold = settings.threshold if settings.threshold != "own" else _USUAL_THRESHOLD
        self._least: float | npt.NDArray[np.float64] = settings.min_score
        if self._has_own_thresholds:
            threshold = model.thresholds_or(_USUAL_THRESHOLD)
            self._least = np.maximum(threshold, settings.min_score)
        self._finder = EventFinder(
            threshold=threshold,
            patch_seconds=model.front_end.patch_seconds,
            hop_seconds=model.front_end.patch_hop_seconds,
        )
        self._events: list[Event] = []

    def take(self, patches: PatchScores) -> None:
        """Take the scores of the next patches."""
        if self._settings.timeline:
            self._events.extend(self._finder.push(patches.start_seconds, patches.scores, is_silent=patches.is_silent))

    def finish(self, media: str, clip: ClipScores, *, start_seconds: float | None = None) -> Tagging:
        """What the file came to; `start_seconds` is where in it the clip began."""
        end = (start_seconds or 0.0) + clip.seconds  # patches of a sound shorter than one reach beyond it
        events = [
            replace(event, stop_seconds=min(event.stop_seconds, end))
            for event in [*self._events, *self._finder.finish()]
        ]
        events.sort(key=lambda event: (event.start_seconds, event.label))
        best = (-clip.scores).argsort(kind="stable")
        best = best[(clip.scores >= self._least)[best]][: self._settings.top]
        return Tagging(
            media=media,
            seconds=clip.seconds,
            scored_seconds=clip.scored_seconds,
            num_patches=clip.num_patches,
            warnings=clip.warnings,
            is_padded=clip.is_padded,
            tags=tuple(Tag(i, float(clip.scores[i])) for i in best.tolist()),
            events=tuple(events) if self._settings.timeline else None,
            is_calibrated=self._model.calibration is not None,
            has_own_thresholds=self._has_own_thresholds,
            scores=clip.scores,
        )


def tag_media(
    tagger: Tagger,
    media: str,
    *,
    settings: TagSettings,
    on_frames: Callable[[Any], None] | None = None,
    on_patches: Callable[[PatchScores], None] | None = None,
) -> Tagging:
    """Tag a media file by path or URL. `on_frames` and `on_patches` see the stream, as in `Tagger.score`.

    Raises:
        MediaError: no sound came out of it.
    """
    maker = TagMaker(tagger.model, settings)

    def take(patches: PatchScores) -> None:
        maker.take(patches)
        if on_patches is not None:
            on_patches(patches)

    return maker.finish(media, tagger.score(media, on_frames=on_frames, on_patches=take))
