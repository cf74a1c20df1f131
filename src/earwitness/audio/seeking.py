"""Entering a file in the middle, at a place known to the sample, or not at all.

After a seek only time stamps say where one is, and many containers round them: WebM to whole milliseconds, which are
48 samples. What a decode of the whole file would have counted is found again from its first frames: how far the count
lies from the time stamps there (an Opus stream begins 6.5 ms early, written as 7), and, where all frames are equally
long, that positions are whole frames apart.

Trust is good, a check is cheap: the file is entered twice, at places a second apart, and where both overlap the sound
must be the same, sample by sample, and must not be silence, which is the same everywhere. AAC whose encoder left noise
to be made up by the decoder fails it, as do MP3s that land elsewhere. Such files are decoded from the beginning: slow
and right.

What is left: a decoder that makes up noise only in the range itself, not before it; then the noise differs, and nothing
else. And a file that has lost packets of less than `timeline.MAX_GAP_IGNORED_SECONDS`: a whole decode closes such gaps,
an entry behind them does not, so the range lies later by their length.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from earwitness.audio.mixing import mean_of_channels
from earwitness.audio.timeline import Timeline
from earwitness.audio.track import AudioTrack

SEEKABLE_CONTAINERS = frozenset(
    {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "ogg", "mp3", "flac", "tta", "wv"}
    | {"wav", "w64", "aiff", "caf", "au"}
)
"""Containers that are entered in the middle, by FFmpeg's names. Transport streams, say, may jump in time unseen."""

UNSEEKABLE_CODECS = frozenset({"ac3", "eac3"})
"""Their decoders add dither that begins anew after every seek, so that the check sees no difference."""

UNSEEKABLE_PAIRS = frozenset({("ogg", "flac")})
"""Containers and codecs whose time stamps go astray together after a seek."""

CHECKED_SECONDS = 0.5
"""Sound that must be the same from both entries."""

MAX_LANDING_SECONDS = 30
"""A seek that lands further before its target than this is given up."""

_FRAMES_TO_LEARN = 5


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A place in the middle of a file, with what was decoded there already."""

    position: int
    """Samples of the file, at its own rate, before the first frame."""
    sample_rate_hz: int
    frames: list[av.AudioFrame]
    """Decoded frames from there; the track's packets go on behind them."""


def enter(track: AudioTrack, seconds: float) -> Entry | None:
    """Enter a track shortly before a time.

    Args:
        track: not yet read from.
        seconds: after time zero. The first frame lies no later, so that decoders can settle behind it.

    Returns:
        None where the place cannot be known or trusted. The media must be reopened then.
    """
    container, codec = track.info.container, track.info.codec
    is_known = container in SEEKABLE_CONTAINERS and codec not in UNSEEKABLE_CODECS
    if not (is_known and track.is_seekable) or (container, codec) in UNSEEKABLE_PAIRS:
        return None
    try:
        clock = FrameClock.learn(chain.from_iterable(map(track.decoder.decode, track.packets)), track)
        if clock is None:
            return None
        until_seconds = seconds + 2 * CHECKED_SECONDS
        other = _land(track, clock, seconds - 1.5, until_seconds)
        entry = _land(track, clock, seconds - 0.5, until_seconds)
    except MemoryError:
        raise
    except Exception:  # the file object may be anybody's, and a time too large for FFmpeg
        return None
    if other is None or entry is None:
        return None
    rate = clock.sample_rate_hz
    checked = slice(round(seconds * rate) + round(CHECKED_SECONDS * rate), round(until_seconds * rate))
    if max(entry.position, other.position) > seconds * rate:
        return None
    sound = _sound(entry, checked)
    return entry if np.ptp(sound) > 0 and np.array_equal(sound, _sound(other, checked)) else None


def _land(track: AudioTrack, clock: "FrameClock", seconds: float, until_seconds: float) -> Entry | None:
    """Seek to a time and decode up to another; None where it lands nowhere, or too far before."""
    track.seek(seconds)
    frames: list[av.AudioFrame] = []
    num_samples, position = 0, None
    for packet in track.packets:
        for frame in track.decoder.decode(packet):
            if not frames:
                position = clock.position(frame)
            frames.append(frame)
            num_samples += frame.samples
        if frames and (position is None or position <= 0 or num_samples > MAX_LANDING_SECONDS * clock.sample_rate_hz):
            return None
        if position is not None and position + num_samples >= until_seconds * clock.sample_rate_hz:
            return Entry(position=position, sample_rate_hz=clock.sample_rate_hz, frames=frames)
    return None


def _sound(entry: Entry, samples: slice) -> NDArray[np.float32]:
    """The mono samples of a stretch of the file."""
    mono = np.concatenate([mean_of_channels(frame) for frame in entry.frames])
    return mono[samples.start - entry.position : samples.stop - entry.position]


@dataclass(frozen=True, kw_only=True)
class FrameClock:
    """Positions of frames in the count of a whole decode, from their time stamps."""

    track: AudioTrack
    sample_rate_hz: int
    offset_samples: float
    """Count minus time stamp."""
    anchor: int
    """Position of a whole frame near the beginning."""
    frame_samples: int
    """Length of every frame; 1 where time stamps are exact, and lengths do not matter."""

    @classmethod
    def learn(cls, frames: Iterable[av.AudioFrame], track: AudioTrack) -> Self | None:
        """The clock of a track from its first frames; None where they do not give one."""
        first: list[tuple[int, int, int]] = []  # rate, position, samples
        timeline, offset = None, 0.0
        for frame in frames:
            if frame.pts is None:
                return None
            timeline = timeline or Timeline(sample_rate_hz=frame.sample_rate)
            seconds = track.seconds(frame.pts)
            timeline.place(seconds, frame.samples)
            first.append((frame.sample_rate, timeline.position - frame.samples, frame.samples))
            if len(first) == 2:  # the very first may be cut, and its time stamp be wrong by that
                offset = first[1][1] - seconds * frame.sample_rate
            if len(first) == _FRAMES_TO_LEARN:
                break
        if len(first) < _FRAMES_TO_LEARN or len({rate for rate, _, _ in first}) > 1:
            return None
        rate, anchor, _ = first[1]
        lengths = {samples for _, _, samples in first[1:]}
        is_exact = track.tick_seconds * rate <= 1
        if not is_exact and len(lengths) > 1:
            return None
        return cls(
            track=track,
            sample_rate_hz=rate,
            offset_samples=offset,
            anchor=anchor,
            frame_samples=1 if is_exact else lengths.pop(),
        )

    def position(self, frame: av.AudioFrame) -> int | None:
        """Samples of the whole file before a frame; None where it has no time stamp or another rate."""
        if frame.pts is None or frame.sample_rate != self.sample_rate_hz:
            return None
        stated = self.track.seconds(frame.pts) * self.sample_rate_hz + self.offset_samples
        snapped = self.anchor + round((stated - self.anchor) / self.frame_samples) * self.frame_samples
        tick_samples = self.track.tick_seconds * self.sample_rate_hz
        return snapped if abs(snapped - stated) <= max(1.0, tick_samples) else round(stated)
