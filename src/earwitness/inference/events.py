"""What is heard when: runs of patches that score above a threshold, found while the scores stream by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Event:
    """A label heard without interruption over [start_seconds, stop_seconds)."""

    label: int
    """Index in the label set."""
    start_seconds: float
    """Start of its first patch, in the time of the media file."""
    stop_seconds: float
    """End of its last patch."""
    peak_score: float
    """Highest score of its patches."""


class EventFinder:
    """Takes patch scores in order and gives events as they end. Memory: one open event a label."""

    def __init__(self, *, threshold: float | npt.NDArray[np.float64], patch_seconds: float) -> None:
        """`threshold`: one for all labels, or one for each, [labels]."""
        self._threshold = threshold
        self._patch_seconds = patch_seconds
        self._open: dict[int, tuple[float, float, float]] = {}  # label: start, stop, peak

    def push(self, start_seconds: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> list[Event]:
        """Events that end before the last of these patches. start_seconds [patches], scores [patches, labels]."""
        ended = []
        for start, patch_scores in zip(start_seconds.tolist(), scores, strict=True):
            heard = set(np.flatnonzero(patch_scores >= self._threshold).tolist())
            for label in sorted(self._open.keys() - heard):
                ended.append(self._end(label))
            for label in heard:
                begun, _, peak = self._open.get(label, (start, start, 0.0))
                self._open[label] = (
                    begun,
                    start + self._patch_seconds,
                    max(peak, float(patch_scores[label])),
                )
        return ended

    def finish(self) -> list[Event]:
        """The events still open at the end of the sound."""
        return [self._end(label) for label in sorted(self._open)]

    def _end(self, label: int) -> Event:
        start, stop, peak = self._open.pop(label)
        return Event(label=label, start_seconds=start, stop_seconds=stop, peak_score=peak)
