"""Media to scores: decoding, front end and network in one stream, in memory that does not grow with length.

`Tagger.score` opens a media file here; `Tagger.score_frames` takes the frames of one that another process decoded;
`ClipTally` takes raw scores of patches, where many clips share a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import media_frames
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import patch_scorer
from earwitness.inference.patch_cutter import PatchCutter
from earwitness.inference.patch_runner import ScoreRunner
from earwitness.models.description import require_labels

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel

SILENT = "it is silent (or its channels cancel out, or it is a single sample), so its scores mean nothing"
"""Warning for sound without sound."""

_SILENCE_MARGIN = 0.01
"""Above the logarithm of the offset alone; rounding to float16 takes 0.002."""


@dataclass(frozen=True, kw_only=True)
class PatchScores:
    """Scores of consecutive patches."""

    start_seconds: npt.NDArray[np.float64]
    """[patches], in the time of the media file."""
    scores: npt.NDArray[np.float32]
    """[patches, labels]: their probabilities, by the model's calibration of clips where it has one."""
    is_silent: npt.NDArray[np.bool_] | None = None
    """[patches]: no sound is in them, so that their scores mean nothing. None: it is not known."""


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """What a whole clip came to."""

    scores: npt.NDArray[np.float32]
    """[labels]: the mean of the patches' raw probabilities, calibrated where the model has a calibration."""
    num_patches: int
    seconds: float
    """Length of the sound that was decoded."""
    scored_seconds: float
    """Length of what the patches cover: a last incomplete patch is not scored."""
    warnings: tuple[str, ...]
    """Complaints of the decoder; empty where all was well."""
    is_padded: bool
    """Whether the sound was shorter than one patch and was filled up with silence."""


@overload
def is_silence(loudest: float, front_end: FrontEnd) -> bool: ...
@overload
def is_silence(loudest: npt.NDArray[np.float16], front_end: FrontEnd) -> npt.NDArray[np.bool_]: ...
def is_silence(loudest: Any, front_end: FrontEnd) -> Any:
    """Whether frames whose largest value is this one hold no sound; of many values, for each."""
    return loudest <= float(np.float16(np.log(front_end.log_offset))) + _SILENCE_MARGIN


class FrameBlocks(Protocol):
    """Frames of one clip in blocks [frames, bands]; the rest is final after the last block. `FrameStream` is one."""

    def __iter__(self) -> Iterator[npt.NDArray[np.float16]]: ...

    @property
    def num_samples(self) -> int:
        """Samples decoded, at the front end's rate, without silence that was added."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Complaints of the decoder."""

    @property
    def is_padded(self) -> bool:
        """Whether silence was added to reach one patch."""


class ClipTally:
    """Takes the raw scores of a clip's patches in order, and gives the scores of the clip."""

    def __init__(
        self,
        scorer: ScoreRunner,
        front_end: FrontEnd,
        *,
        start_seconds: float | None = None,
        on_patches: Callable[[PatchScores], None] | None = None,
    ) -> None:
        """`front_end` has the hop of the patches; for the rest see `Tagger.score`."""
        self._scorer = scorer
        self._front_end = front_end
        self._start_seconds = start_seconds or 0.0
        self._on_patches = on_patches
        self._sums = np.zeros(scorer.num_outputs)
        self._num_patches = 0
        self._loudest = -np.inf

    def add(self, patches: npt.NDArray[np.float16], raw_scores: npt.NDArray[np.float32]) -> None:
        """Add patches [patches, patch_frames, bands] with their raw scores [patches, labels]."""
        if not len(patches):
            return
        self._loudest = max(self._loudest, float(patches.max()))
        self._sums += raw_scores.sum(axis=0, dtype=np.float64)
        if self._on_patches is not None:
            numbers = np.arange(self._num_patches, self._num_patches + len(patches), dtype=np.float64)
            starts = self._start_seconds + numbers * self._front_end.patch_hop_seconds
            is_silent = is_silence(patches.max(axis=(1, 2)), self._front_end)
            self._on_patches(
                PatchScores(start_seconds=starts, scores=self._scorer.calibrated(raw_scores), is_silent=is_silent)
            )
        self._num_patches += len(patches)

    def finish(self, frames: FrameBlocks) -> ClipScores:
        """What the clip came to, once `frames` are read to their end."""
        front_end, num_patches = self._front_end, self._num_patches
        seconds = frames.num_samples / front_end.sample_rate_hz
        covered = (num_patches - 1) * front_end.patch_hop_seconds + front_end.patch_seconds
        is_silent = is_silence(self._loudest, front_end)
        return ClipScores(
            scores=self._scorer.calibrated(self._sums / num_patches),
            num_patches=num_patches,
            seconds=seconds,
            scored_seconds=min(seconds, covered),
            warnings=(*frames.warnings, *([SILENT] if is_silent else [])),
            is_padded=frames.is_padded,
        )


class Tagger:
    """A model made ready to score media."""

    def __init__(self, model: AnyModel, *, device: str = "auto") -> None:
        """Make it ready.

        Raises:
            ModelError: the model names nothing: it was published up to its embedding.
            SettingsError: there is no such device, or the model does not run there.
        """
        require_labels(model)
        self.model = model
        self.scorer = patch_scorer(model, device=device)
        """Gives the raw scores of patches."""

    def front_end(self, patch_hop_frames: int | None = None) -> FrontEnd:
        """The model's front end, with another hop from patch to patch; None: its own.

        Raises:
            SettingsError: the hop is no whole number from 1 to the length of a patch.
        """
        own = self.model.front_end
        return own if patch_hop_frames is None else replace(own, patch_hop_frames=patch_hop_frames)

    def score(
        self,
        source: Any,
        *,
        start_seconds: float | None = None,
        stop_seconds: float | None = None,
        patch_hop_frames: int | None = None,
        on_frames: Callable[[npt.NDArray[np.float16]], None] | None = None,
        on_patches: Callable[[PatchScores], None] | None = None,
    ) -> ClipScores:
        """Score a media file, or a range of it.

        Args:
            source: path, URL, bytes or binary file object.
            start_seconds: where to begin; None is the beginning of the file.
            stop_seconds: where to end, exclusive; None is its end.
            patch_hop_frames: from the start of one patch to the next. None: the model's own.
            on_frames: given the frames [frames, bands] as they come, for a picture.
            on_patches: given the scores of patches as they come, for a timeline.

        Raises:
            MediaError: no sound came out of it.
            SettingsError: as `front_end`.
        """
        front_end = self.front_end(patch_hop_frames)
        with media_frames(
            source, front_end=front_end, start_seconds=start_seconds, stop_seconds=stop_seconds
        ) as stream:
            return self.score_frames(
                stream,
                start_seconds=start_seconds,
                patch_hop_frames=patch_hop_frames,
                on_frames=on_frames,
                on_patches=on_patches,
            )

    def score_frames(
        self,
        frames: FrameBlocks,
        *,
        start_seconds: float | None = None,
        patch_hop_frames: int | None = None,
        on_frames: Callable[[npt.NDArray[np.float16]], None] | None = None,
        on_patches: Callable[[PatchScores], None] | None = None,
    ) -> ClipScores:
        """Score frames that `front_end(patch_hop_frames)` made; `start_seconds` is where in its media the first lies.

        Raises:
            MediaError: what reading the frames raises.
        """
        front_end = self.front_end(patch_hop_frames)
        tally = ClipTally(self.scorer, front_end, start_seconds=start_seconds, on_patches=on_patches)
        cutter = PatchCutter(front_end, batch_patches=self.scorer.batch_patches)
        for block in frames:
            if on_frames is not None:
                on_frames(block)
            patches = cutter.push(block)
            tally.add(patches, self.scorer(patches))
        patches = cutter.finish()
        tally.add(patches, self.scorer(patches))
        return tally.finish(frames)
