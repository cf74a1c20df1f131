"""Media to scores: decoding, front end and network in one stream, in memory that does not grow with length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import FrameStream, media_frames
from earwitness.audio.patches import cut_patches
from earwitness.inference.any_model import patch_scorer
from earwitness.models.description import require_labels

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel

SILENT = "it is silent (or its channels cancel out), so its scores mean nothing"
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
        self._scorer = patch_scorer(model, device=device)

    def score(
        self,
        source: Any,
        *,
        start_seconds: float | None = None,
        stop_seconds: float | None = None,
        on_frames: Callable[[npt.NDArray[np.float16]], None] | None = None,
        on_patches: Callable[[PatchScores], None] | None = None,
    ) -> ClipScores:
        """Score a media file, or a range of it.

        Args:
            source: path, URL, bytes or binary file object.
            start_seconds: where to begin; None is the beginning of the file.
            stop_seconds: where to end, exclusive; None is its end.
            on_frames: given the frames [frames, bands] as they come, for a picture.
            on_patches: given the scores of patches as they come, for a timeline.

        Raises:
            MediaError: no sound came out of it.
        """
        front_end = self.model.front_end
        sums = np.zeros(len(self.model.label_set))
        num_patches = 0
        loudest = -np.inf
        with media_frames(
            source, front_end=front_end, start_seconds=start_seconds, stop_seconds=stop_seconds
        ) as stream:
            for patches in self._patches(stream, on_frames):
                loudest = max(loudest, float(patches.max()))
                raw_scores = self._scorer(patches)
                sums += raw_scores.sum(axis=0, dtype=np.float64)
                if on_patches is not None:
                    numbers = np.arange(num_patches, num_patches + len(patches), dtype=np.float64)
                    starts = (start_seconds or 0.0) + numbers * front_end.patch_hop_seconds
                    on_patches(PatchScores(start_seconds=starts, scores=self._scorer.calibrated(raw_scores)))
                num_patches += len(patches)
        seconds = stream.num_samples / front_end.sample_rate_hz
        covered = (num_patches - 1) * front_end.patch_hop_seconds + front_end.patch_seconds
        is_silent = loudest <= np.float16(np.log(front_end.log_offset)) + _SILENCE_MARGIN
        return ClipScores(
            scores=self._scorer.calibrated(sums / num_patches),
            num_patches=num_patches,
            seconds=seconds,
            scored_seconds=min(seconds, covered),
            warnings=(*stream.warnings, *([SILENT] if is_silent else [])),
            is_padded=stream.is_padded,
        )

    def _patches(
        self, stream: FrameStream, on_frames: Callable[[npt.NDArray[np.float16]], None] | None
    ) -> Iterator[npt.NDArray[np.float16]]:
        """Patches [n, patch_frames, bands] in full batches of the scorer, the last one excepted."""
        front_end = self.model.front_end
        frames_of_batch = (self._scorer.batch_patches - 1) * front_end.patch_hop_frames + front_end.patch_frames
        waiting: list[npt.NDArray[np.float16]] = []
        num_waiting = 0
        for block in stream:
            if on_frames is not None:
                on_frames(block)
            waiting.append(block)
            num_waiting += len(block)
            if num_waiting < frames_of_batch:
                continue
            frames = np.concatenate(waiting)
            patches = cut_patches(frames, front_end=front_end)
            num_whole = len(patches) - len(patches) % self._scorer.batch_patches
            yield patches[:num_whole]
            rest = frames[num_whole * front_end.patch_hop_frames :]
            waiting, num_waiting = [rest], len(rest)
        if waiting:
            patches = cut_patches(np.concatenate(waiting), front_end=front_end)
            if len(patches):
                yield patches
