"""The first audio stream of a container as mono blocks at its own rate, with silence where time passes without sound.

Decoded frames are gathered to `GATHER_SAMPLES` before anything else is done to them: one by one costs twice as much.
A change of rate, channels or sample format in mid-file starts a new gathering.

What cannot be decoded is left out and warned of, never silently: a bad packet costs that packet, an error of the
container costs the rest. Only where nothing at all comes out is it an error.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.error
import numpy as np
from av.stream import Discard
from numpy.typing import NDArray

from earwitness.audio.complaints import listening
from earwitness.audio.mixing import mean_of_channels
from earwitness.audio.seeking import SEEKABLE_CONTAINERS, FrameClock
from earwitness.audio.source import OpenMedia
from earwitness.audio.timeline import Timeline
from earwitness.errors import NoAudioError, NoSamplesError, UndecodableError

GATHER_SAMPLES = 65_536
"""Decoded samples gathered before they are mixed and resampled."""

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
"""Rates that are read. A header that says 1 Hz would expand 16,000-fold."""

MAX_CHANNELS = 64

CHECKED_SECONDS = 0.5
"""Decoded twice after a seek, on top of what lies before it, to see whether the decoder gives the same again."""

MAX_LANDING_SECONDS = 30
"""A seek that lands further before its target than this is given up."""

SKIPPED_PACKETS = "packets that could not be decoded were skipped"
DECODER_COMPLAINED = "the decoder complained"
CORRUPT_PACKETS = "the container marks packets as corrupt"
BROKE_OFF = "reading broke off with an error"
GAP_NOT_FILLED = "an implausible gap in its time stamps was not filled"
JUMPED_BACK = "its time stamps jump back"


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """What a media file says of its first audio stream."""

    container: str
    """FFmpeg's name of the container format."""
    codec: str
    """FFmpeg's name of the codec."""
    sample_rate_hz: int
    """Of the first decoded frame."""
    num_channels: int
    """Of the first decoded frame."""


class NativeStream:
    """Mono blocks of an opened media file, each with its rate.

    Args:
        media: what to read; stays open.
        listen_from_seconds: faults before this time after time zero are not warned of.

    Raises:
        NoAudioError: no audio stream.
        UndecodableError: no decoder, or a rate or channel count outside what is read.
    """

    def __init__(self, media: OpenMedia, *, listen_from_seconds: float = 0.0) -> None:
        container = media.container
        if not container.streams.audio:
            raise NoAudioError(f"{media.name}: has no audio stream")
        self._media = media
        self._name = media.name
        self._stream = container.streams.audio[0]
        self._decoder = self._stream.codec_context
        if self._decoder is None:
            raise UndecodableError(f"{media.name}: this FFmpeg has no decoder for its audio")
        for stream in container.streams:
            if stream is not self._stream:
                stream.discard = Discard.all
        self._decoder.thread_type = "NONE"
        self._decoder.thread_count = 1
        self.info = self._check(self._decoder.sample_rate, self._decoder.channels, is_header=True)
        self._listen_from_seconds = listen_from_seconds
        self._zero_seconds = self._time_zero()
        self._packets: Iterator[av.Packet] = container.demux(self._stream)
        self._timeline: Timeline | None = None
        self._fifo = av.AudioFifo()
        self._format: tuple[int, str, int] | None = None
        self._ready: deque[tuple[int, NDArray[np.float32] | int]] = (
            deque()
        )  # a number: that many samples of silence
        self._has_ended = False
        self._warnings: dict[str, None] = {}  # a set that keeps its order
        self._failure: Exception | None = None
        self.start_position = 0
        """Samples of the file, at its own rate, before the first block."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with what was read so far."""
        return tuple(self._warnings)

    def seek(self, seconds: float, *, latest_seconds: float) -> bool:
        """Begin at a time, in seconds after time zero, instead of at the beginning; before any block is read.

        Args:
            seconds: where to seek to; containers land where they can.
            latest_seconds: landing later than this is no use.

        Returns:
            Whether that was possible. If not, the media must be reopened and read from the beginning.
        """
        if self._media.container.format.name not in SEEKABLE_CONTAINERS or not self._media.is_seekable:
            return False
        try:
            with listening():
                clock = FrameClock.learn(
                    self._decoded_frames(), seconds=self._seconds, tick_seconds=self._tick_seconds
                )
                if clock is None:
                    return False
                before = self._land(seconds, latest_seconds)
                frames = self._land(seconds, latest_seconds)
        except av.error.FFmpegError:
            return False
        position = clock.position(frames[0]) if frames else None
        if position is None or not 0 < position <= latest_seconds * clock.sample_rate_hz:
            return False
        if not _sound_alike(before, frames):
            return False
        self._timeline = Timeline(sample_rate_hz=clock.sample_rate_hz, position=position)
        self.start_position = position
        for frame in frames:
            self._take_frame(frame)
        return True

    def _land(self, seconds: float, latest_seconds: float) -> list[av.AudioFrame]:
        """Seek, and decode the frames up to `latest_seconds` and `CHECKED_SECONDS` more."""
        target = round((seconds + self._zero_seconds) / self._tick_seconds)
        self._media.container.seek(target, stream=self._stream)
        self._packets = self._media.container.demux(self._stream)
        frames: list[av.AudioFrame] = []
        num_samples = 0
        for packet in self._packets:
            for frame in self._decoder.decode(packet):
                frames.append(frame)
                num_samples += frame.samples
            if frames and (
                frames[-1].pts is None
                or self._seconds(frames[-1].pts) > latest_seconds + CHECKED_SECONDS
                or num_samples > MAX_LANDING_SECONDS * frames[-1].sample_rate
            ):
                break
        return frames

    def _decoded_frames(self) -> Iterator[av.AudioFrame]:
        for packet in self._packets:
            yield from self._decoder.decode(packet)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks [samples] of at most `GATHER_SAMPLES`, each with its sample rate in Hz.

        Raises:
            NoSamplesError: there was none.
            UndecodableError: there was none because of errors.
        """
        while True:
            with listening() as complaints:
                while not self._ready and not self._has_ended:
                    self._take_packet(complaints)
            if not self._ready:
                break
            rate, block = self._ready.popleft()
            if isinstance(block, int):
                if block > GATHER_SAMPLES:
                    self._ready.appendleft((rate, block - GATHER_SAMPLES))
                block = np.zeros(min(block, GATHER_SAMPLES), np.float32)
            yield rate, block
        if self._timeline is None:
            if self._failure is not None:
                raise UndecodableError(f"{self._name}: no audio could be decoded ({_reason(self._failure)})")
            raise NoSamplesError(f"{self._name}: has an audio stream, but no samples in it")

    def _take_packet(self, complaints: list[tuple[int, str, str]]) -> None:
        try:
            packet = next(self._packets, None)
            if packet is None:
                self._has_ended = True
                self._empty_fifo(partial=True)
                return
            if packet.is_corrupt:
                self._warn(CORRUPT_PACKETS)
        except MemoryError:
            raise
        except Exception as error:  # a file object may raise anything
            self._failure = error
            self._warn(BROKE_OFF)
            self._has_ended = True
            self._empty_fifo(partial=True)
            return
        try:
            frames = self._decoder.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            self._failure = error
            self._warn(SKIPPED_PACKETS)
            complaints.clear()
            return
        if complaints:
            self._warn(DECODER_COMPLAINED)
            complaints.clear()
        for frame in frames:
            self._take_frame(frame)

    def _take_frame(self, frame: av.AudioFrame) -> None:
        format_now = (frame.sample_rate, frame.format.name, frame.layout.nb_channels)
        if format_now != self._format:
            self._change_format(format_now)
        assert self._timeline is not None
        pts = frame.pts
        silence = self._timeline.place(None if pts is None else self._seconds(pts), frame.samples)
        if silence:
            self._empty_fifo(partial=True)
            self._ready.append((frame.sample_rate, silence))
        frame.pts = None  # the FIFO insists on gapless time stamps
        self._fifo.write(frame)
        if self._fifo.samples >= GATHER_SAMPLES:
            self._empty_fifo(partial=False)

    def _change_format(self, format_now: tuple[int, str, int]) -> None:
        rate, _, num_channels = format_now
        self._empty_fifo(partial=True)
        self._fifo = av.AudioFifo()
        info = self._check(rate, num_channels, is_header=False)
        if self._format is None:
            self.info = info
        if self._timeline is None:
            self._timeline = Timeline(sample_rate_hz=rate)
        else:
            self._timeline.set_sample_rate(rate)
        self._format = format_now

    def _empty_fifo(self, *, partial: bool) -> None:
        """Move whole blocks, or with `partial` everything, from the FIFO to what is ready."""
        while frame := self._fifo.read(GATHER_SAMPLES, partial=partial):
            self._ready.append((frame.sample_rate, mean_of_channels(frame)))

    def _seconds(self, pts: int) -> float:
        return pts * self._tick_seconds - self._zero_seconds

    def _time_zero(self) -> float:
        """The container's start in seconds; exact where it is this stream's start, which FFmpeg rounds to 1 us."""
        time_base = self._stream.time_base
        self._tick_seconds = float(time_base) if time_base else 0.0
        container_start = (self._media.container.start_time or 0) / av.time_base
        stream_start = self._stream.start_time
        if (
            stream_start is not None
            and abs(stream_start * self._tick_seconds - container_start) < 2 / av.time_base
        ):
            return stream_start * self._tick_seconds
        return container_start

    def _warn(self, warning: str) -> None:
        if self._timeline is None or self._timeline.seconds >= self._listen_from_seconds:
            self._warnings[warning] = None

    def _check(self, rate: int, num_channels: int, *, is_header: bool) -> SourceInfo:
        """Refuse what is not read; a header may leave things open with 0."""
        if not (MIN_RATE_HZ <= rate <= MAX_RATE_HZ or (is_header and rate == 0)):
            raise UndecodableError(
                f"{self._name}: sample rate {rate} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are read"
            )
        if not (1 <= num_channels <= MAX_CHANNELS or (is_header and num_channels == 0)):
            raise UndecodableError(f"{self._name}: {num_channels} channels; at most {MAX_CHANNELS} are read")
        return SourceInfo(
            container=self._media.container.format.name,
            codec=self._decoder.codec.canonical_name,
            sample_rate_hz=rate,
            num_channels=num_channels,
        )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _sound_alike(some: list[av.AudioFrame], others: list[av.AudioFrame]) -> bool:
    """The same samples. Decoders that make up noise (AAC, AC-3) remember how far they got with it, and differ."""
    return len(some) == len(others) and all(
        np.array_equal(mean_of_channels(one), mean_of_channels(other))
        for one, other in zip(some, others, strict=True)
    )
