"""Media straight to log-mel frames: `decode` and `logmel` joined, in bounded memory.

Frames are rounded to float16 here, on every route, so that a file read directly and the same file read from a store
give the same scores. A clip that is shorter than one patch, but not empty, is padded with zeros to one, and says so.
Where the front end fills the last patch, zeros follow longer clips, too.
"""

from collections.abc import Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.decode import WaveformStream, decode
from earwitness.audio.logmel import BLOCK_FRAMES, LogMelStream, logmel
from earwitness.audio.native import Listener
from earwitness.audio.samples import Samples, SamplesStream
from earwitness.audio.source import Source
from earwitness.audio.streams import BlockStream
from earwitness.audio.track import SourceInfo
from earwitness.front_end import FrontEnd

GATHER_FRAMES = 7 * BLOCK_FRAMES
"""Frames made at a time, about 10 s: blocks of `logmel` stay whole, and its fixed costs are paid rarely."""


def media_frames(
    source: Source | Samples,
    *,
    front_end: FrontEnd,
    start_seconds: float | None = None,
    stop_seconds: float | None = None,
    listener: Listener | None = None,
) -> "FrameStream":
    """The log-mel frames of a media file or of a time range of it.

    Args:
        source: path, URL, bytes, binary file object or `ByteRange`, see `decode`; or samples in memory.
        front_end: the constants.
        start_seconds: from here; None is the beginning.
        stop_seconds: up to here, exclusive; None is the end.
        listener: see `decode`; it hears no samples in memory.

    Returns:
        A stream of float16 [frames, bands] blocks. Read it to its end, close it, or use it as a context manager.

    Raises:
        MediaError: as `decode`.
    """
    return FrameStream(
        source, front_end=front_end, start_seconds=start_seconds, stop_seconds=stop_seconds, listener=listener
    )


def waveform_frames(waveform: NDArray[np.float32], *, front_end: FrontEnd) -> NDArray[np.float16]:
    """The frames of a waveform that is mono at the front end's rate already.

    Args:
        waveform: float32 [samples]; padded as media are.
        front_end: the constants.

    Returns:
        float16 [frames, bands]; none where the waveform is empty.
    """
    if len(waveform):
        waveform = np.pad(waveform, (0, front_end.samples_of_silence_behind(len(waveform))))
    return logmel(waveform, front_end=front_end).astype(np.float16)


class FrameStream(BlockStream[np.float16]):
    """Blocks of frames as they are made; made by `media_frames`."""

    def __init__(
        self,
        source: Source | Samples,
        *,
        front_end: FrontEnd,
        start_seconds: float | None,
        stop_seconds: float | None,
        listener: Listener | None = None,
    ) -> None:
        self._front_end = front_end
        self._waveform: WaveformStream | SamplesStream
        if isinstance(source, Samples):
            self._waveform = SamplesStream(
                source,
                sample_rate_hz=front_end.sample_rate_hz,
                start_seconds=start_seconds,
                stop_seconds=stop_seconds,
            )
        else:
            self._waveform = decode(
                source,
                sample_rate_hz=front_end.sample_rate_hz,
                start_seconds=start_seconds,
                stop_seconds=stop_seconds,
                listener=listener,
            )
        self.num_frames = 0
        """Frames given out so far."""
        self.is_padded = False
        """Zeros were added to reach one patch; final after the last block."""
        self._blocks = self._frames()

    def close(self) -> None:
        """Close the media, which the last block does too; further blocks do not come."""
        super().close()
        self._waveform.close()

    @property
    def num_samples(self) -> int:
        """Samples decoded so far, padding not counted."""
        return self._waveform.num_samples

    @property
    def warnings(self) -> tuple[str, ...]:
        """Complaints about what was decoded so far; final after the last block."""
        return self._waveform.warnings

    @property
    def info(self) -> SourceInfo:
        """Container, codec, rate and channels of the file itself."""
        return self._waveform.info

    def _frames(self) -> Generator[NDArray[np.float16]]:
        stream = LogMelStream(self._front_end)
        for block in _gathered(self._waveform, GATHER_FRAMES * self._front_end.hop_samples):
            frames = stream.push(block).astype(np.float16)
            if len(frames):
                self.num_frames += len(frames)
                yield frames
        self.is_padded = self.num_samples < self._front_end.min_patch_samples
        silence = self._front_end.samples_of_silence_behind(self.num_samples)
        frames = stream.push(np.zeros(silence, np.float32)).astype(np.float16)
        if len(frames):
            self.num_frames += len(frames)
            yield frames


def _gathered(blocks: Iterator[NDArray[np.float32]], num_samples: int) -> Iterator[NDArray[np.float32]]:
    """The same samples in blocks of `num_samples`, the last one shorter."""
    waiting: list[NDArray[np.float32]] = []
    num_waiting = 0
    for block in blocks:
        waiting.append(block)
        num_waiting += len(block)
        if num_waiting >= num_samples:
            joined = np.concatenate(waiting)
            whole = len(joined) - len(joined) % num_samples
            for start in range(0, whole, num_samples):
                yield joined[start : start + num_samples]
            waiting, num_waiting = [joined[whole:]], len(joined) - whole
    if num_waiting:
        yield np.concatenate(waiting)
