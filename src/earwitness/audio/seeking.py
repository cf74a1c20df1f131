"""Which files can be entered in the middle, and where in the whole file that is, to the sample.

After a seek only time stamps say where one is, and many containers round them: WebM to whole milliseconds, which are
48 samples. What a decode of the whole file would have counted is found again from its first frames: how far the count
lies from the time stamps there (an Opus stream begins 6.5 ms early, written as 7), and, where all frames are equally
long, that positions are whole frames apart.

Where a file gives no such footing it is decoded from the beginning, which is slow and right.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import av

from earwitness.audio.timeline import Timeline

SEEKABLE_CONTAINERS = frozenset(
    {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "wav", "w64", "flac", "ogg", "mp3"}
)
"""Containers whose seeks were found to be right, by FFmpeg's names."""

_FRAMES_TO_LEARN = 5


@dataclass(frozen=True, kw_only=True)
class FrameClock:
    """Positions of frames in the count of a whole decode, from their time stamps."""

    sample_rate_hz: int
    seconds: Callable[[int], float]
    """Time of a time stamp after time zero."""
    offset_samples: float
    """Count minus time stamp."""
    tick_samples: float
    """How coarse time stamps are."""
    anchor: int
    """Position of a whole frame near the beginning."""
    frame_samples: int
    """Length of every frame; 1 where time stamps are exact, and lengths do not matter."""

    @classmethod
    def learn(
        cls, frames: Iterable[av.AudioFrame], *, seconds: Callable[[int], float], tick_seconds: float
    ) -> Self | None:
        """The clock of a stream from its first frames; None where they do not give one."""
        first: list[tuple[int, int, int]] = []  # rate, position, samples
        timeline, offset = None, 0.0
        for frame in frames:
            if frame.pts is None:
                return None
            timeline = timeline or Timeline(sample_rate_hz=frame.sample_rate)
            timeline.place(seconds(frame.pts), frame.samples)
            first.append((frame.sample_rate, timeline.position - frame.samples, frame.samples))
            if len(first) == 2:  # the very first may be cut, and its time stamp with it
                offset = first[1][1] - seconds(frame.pts) * frame.sample_rate
            if len(first) == _FRAMES_TO_LEARN:
                break
        if len(first) < _FRAMES_TO_LEARN or len({rate for rate, _, _ in first}) > 1:
            return None
        rate = first[0][0]
        tick_samples = tick_seconds * rate
        lengths = {samples for _, _, samples in first[1:]}
        is_exact = tick_samples <= 1
        if not is_exact and len(lengths) > 1:
            return None
        return cls(
            sample_rate_hz=rate,
            seconds=seconds,
            offset_samples=offset,
            tick_samples=tick_samples,
            anchor=first[1][1],
            frame_samples=1 if is_exact else lengths.pop(),
        )

    def position(self, frame: av.AudioFrame) -> int | None:
        """The position of a frame, in samples after time zero; None where it has no time stamp."""
        if frame.pts is None or frame.sample_rate != self.sample_rate_hz:
            return None
        stated = self.seconds(frame.pts) * self.sample_rate_hz + self.offset_samples
        snapped = self.anchor + round((stated - self.anchor) / self.frame_samples) * self.frame_samples
        return snapped if abs(snapped - stated) <= max(1.0, self.tick_samples) else round(stated)
