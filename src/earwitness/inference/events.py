"""What is heard when: runs of patches that score high enough, found while the scores stream by.

**Hysteresis.** An event of a label is a run of patches that all score at least its lower threshold, and of which one at
least scores its threshold. With both the same, it is a run of patches at or above the threshold.

**Borders.** A patch's score belongs to its middle, for a network cannot tell where in the patch a sound was. Patches
that start a hop apart have middles a hop apart, and each speaks for the hop about its middle; the first patch speaks
for all before its middle, too, the last one for all behind. Where the hop is a patch's length this is the patch itself.

**Silence.** Nothing is heard in a patch without any sound, whatever its scores are: they mean nothing.

**Gaps and lengths.** Events of a label with a gap of at most `max_gap_seconds` between them become one; then those
shorter than `min_seconds` are left out.

Memory: two events a label at most, the last one ended and the one that is heard now.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

_SLACK_SECONDS = 1e-6
"""Times are multiples of a frame, as sums of floats."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A label heard without interruption over [start_seconds, stop_seconds)."""

    label: int
    """Index in the label set."""
    start_seconds: float
    """In the time of the media file."""
    stop_seconds: float
    peak_score: float
    """Highest score of its patches."""


@dataclass
class _Run:
    """Patches of a label at or above the lower threshold, so far."""

    start_seconds: float
    stop_seconds: float
    peak_score: float
    is_event: bool
    """One of them reached the threshold."""


class EventFinder:
    """Takes patch scores in order and gives events as they end."""

    def __init__(
        self,
        *,
        threshold: float | npt.NDArray[np.float64],
        patch_seconds: float,
        hop_seconds: float | None = None,
        lower_threshold: float | npt.NDArray[np.float64] | None = None,
        min_seconds: float = 0.0,
        max_gap_seconds: float = 0.0,
    ) -> None:
        """Begin at the beginning of a sound.

        Args:
            threshold: one for all labels, or one for each, [labels].
            patch_seconds: length of a patch.
            hop_seconds: from one patch to the next; None: its length.
            lower_threshold: at most the threshold, of the same kind; None: the same.
            min_seconds: shorter events are left out.
            max_gap_seconds: shorter gaps, and such a one itself, are closed.
        """
        self._threshold = threshold
        self._lower_threshold = threshold if lower_threshold is None else lower_threshold
        self._patch_seconds = patch_seconds
        self._margin_seconds = (patch_seconds - (patch_seconds if hop_seconds is None else hop_seconds)) / 2
        self._min_seconds = min_seconds - _SLACK_SECONDS
        self._max_gap_seconds = max_gap_seconds + _SLACK_SECONDS
        self._runs: dict[int, _Run] = {}
        self._ended: dict[int, Event] = {}  # the next one may still be joined to these
        self._is_at_beginning = True

    def push(
        self,
        start_seconds: npt.NDArray[np.float64],
        scores: npt.NDArray[np.float32],
        *,
        is_silent: npt.NDArray[np.bool_] | None = None,
    ) -> list[Event]:
        """Events that are over before the last of these patches.

        Args:
            start_seconds: [patches].
            scores: [patches, labels].
            is_silent: [patches]: nothing is heard in them, whatever their scores are. None: none of them is.
        """
        finished: list[Event] = []
        is_high, is_heard = scores >= self._threshold, scores >= self._lower_threshold
        if is_silent is not None:
            is_heard &= ~is_silent[:, None]
        for start, patch_scores, high, heard in zip(start_seconds.tolist(), scores, is_high, is_heard, strict=True):
            begin = start if self._is_at_beginning else start + self._margin_seconds
            stop = start + self._patch_seconds - self._margin_seconds
            self._is_at_beginning = False
            labels = np.flatnonzero(heard).tolist()
            for label in sorted(self._runs.keys() - set(labels)):
                finished += self._end_run(label)
            for label in labels:
                run = self._runs.setdefault(label, _Run(begin, stop, 0.0, is_event=False))
                run.stop_seconds = stop
                run.peak_score = max(run.peak_score, float(patch_scores[label]))
                run.is_event |= bool(high[label])
            for label in sorted(self._ended.keys() - self._runs.keys()):
                if begin - self._ended[label].stop_seconds > self._max_gap_seconds:
                    finished += self._finished(self._ended.pop(label))
        return finished

    def finish(self, *, end_seconds: float | None = None) -> list[Event]:
        """The events still open at the end of the sound, which is at `end_seconds`, or where the last patch ends."""
        finished: list[Event] = []
        for label in sorted(self._runs):
            run = self._runs[label]
            run.stop_seconds += self._margin_seconds
            if end_seconds is not None:  # patches of a sound shorter than one reach beyond it
                run.stop_seconds = min(run.stop_seconds, end_seconds)
            finished += self._end_run(label)
        for label in sorted(self._ended):
            finished += self._finished(self._ended.pop(label))
        return finished

    def _end_run(self, label: int) -> list[Event]:
        """What is finished by it: the event before, if they are not joined."""
        run = self._runs.pop(label)
        if not run.is_event:
            return []
        event = Event(
            label=label, start_seconds=run.start_seconds, stop_seconds=run.stop_seconds, peak_score=run.peak_score
        )
        before = self._ended.pop(label, None)
        if before is not None and event.start_seconds - before.stop_seconds <= self._max_gap_seconds:
            peak = max(before.peak_score, event.peak_score)
            event, before = replace(event, start_seconds=before.start_seconds, peak_score=peak), None
        self._ended[label] = event
        return [] if before is None else self._finished(before)

    def _finished(self, event: Event) -> list[Event]:
        return [event] if event.stop_seconds - event.start_seconds >= self._min_seconds else []
