"""An audio track as mono blocks at its own rate, with silence where time passes without sound.

Decoded frames are gathered to `GATHER_SAMPLES` before anything else is done to them: one by one costs twice as much.
A change of rate, channels or sample format in mid-file starts a new gathering.

What cannot be decoded is left out and warned of, never silently: a bad packet costs that packet, an error of the
container costs the rest. Only where nothing at all comes out is it an error.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator

import av
import av.error
import av.logging
import numpy as np
from numpy.typing import NDArray

from earwitness.audio.complaints import Message, listening
from earwitness.audio.mixing import mean_of_channels
from earwitness.audio.seeking import Entry
from earwitness.audio.timeline import Timeline
from earwitness.audio.track import AudioTrack
from earwitness.errors import NoSamplesError, UndecodableError

Listener = Callable[[av.AudioFrame, NDArray[np.float32], float], None]
"""Hears what was decoded before it is resampled: a gathered frame of all channels, its mean, and the time in seconds
after time zero at which it begins. Silence that is filled into gaps is not heard."""

MAX_SAMPLE = 1e6
"""Samples beyond a million times full scale are damage, not sound, and would overflow the transform."""

GATHER_SAMPLES = 65_536
"""Decoded samples gathered before they are mixed and resampled."""

CONTAINER_DAMAGED = "the container is damaged"
SKIPPED_PACKETS = "packets that could not be decoded were skipped"
DECODER_COMPLAINED = "the decoder complained"
CORRUPT_PACKETS = "the container marks packets as corrupt"
NOT_NUMBERS = "samples that are not finite numbers were set to zero"
BROKE_OFF = "reading broke off with an error"
ENDS_BEFORE_HEADER = "ends before the length that its header states"
ENDS_UNMARKED = "ends without the mark that Ogg puts at its end"

MAX_HOURS = 200
"""Longer tracks are refused. A FLAC of 40 MB can hold silence for 3,000 hours, whose frames would fill
140 GB; who records for more than a week begins a new file now and then."""

MISSING_SECONDS = 1.0
"""A track that ends this much before its header says is a broken download; encoders err by less."""


class NativeStream:
    """Mono blocks of a track, each with its rate.

    Args:
        track: what to read.
        entry: where to begin, from `seeking.enter`; None is the beginning.
        listen_from_seconds: faults before this time after time zero are not warned of.
        listener: is called with every block before it is given out.
    """

    def __init__(
        self,
        track: AudioTrack,
        *,
        entry: Entry | None = None,
        listen_from_seconds: float = 0.0,
        listener: Listener | None = None,
    ) -> None:
        self.info = track.info
        self.start_position = entry.position if entry else 0
        """Samples of the file, at its own rate, before the first block."""
        self._track = track
        self._entry = entry
        self._listen_from_seconds = listen_from_seconds
        self._listener = listener
        self._heard_seconds = self.start_position / entry.sample_rate_hz if entry else 0.0
        self._timeline: Timeline | None = None
        self._fifo = av.AudioFifo()
        self._format: tuple[int, str, int] | None = None
        self._ready: deque[tuple[int, NDArray[np.float32] | int]] = deque()  # a number: so many samples of silence
        self._has_ended = False
        _keep_freed_memory()
        self._warnings = dict.fromkeys([CONTAINER_DAMAGED] if track.is_container_damaged else [])  # an ordered set
        self._failure: Exception | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with what was read so far."""
        return tuple(self._warnings)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks [samples] of at most `GATHER_SAMPLES`, each with its sample rate in Hz.

        Raises:
            NoSamplesError: there was none.
            UndecodableError: there was none because of errors, or the track goes on beyond `MAX_HOURS`.
        """
        for frame in self._entry.frames if self._entry else ():
            self._take_frame(frame)
        while True:
            with listening() as complaints:
                while not self._ready and not self._has_ended:
                    self._take_packet(complaints)
            if self._timeline is not None and self._timeline.seconds > 3_600 * MAX_HOURS:
                raise UndecodableError(
                    f"{self._track.name}: it lasts for more than {MAX_HOURS} hours, which is not read"
                )
            if not self._ready:
                break
            rate, block = self._ready.popleft()
            if isinstance(block, int):
                if block > GATHER_SAMPLES:
                    self._ready.appendleft((rate, block - GATHER_SAMPLES))
                block = np.zeros(min(block, GATHER_SAMPLES), np.float32)
            yield rate, block
        if self._timeline is None and self._failure is not None:
            raise UndecodableError(f"{self._track.name}: no audio could be decoded ({_reason(self._failure)})")
        if self._timeline is None:
            raise NoSamplesError(f"{self._track.name}: has an audio stream, but no samples in it")
        stated_seconds = self._track.stated_seconds
        if stated_seconds is not None and stated_seconds - self._timeline.seconds > MISSING_SECONDS:
            self._warn(ENDS_BEFORE_HEADER)
        if self._track.lacks_end:
            self._warn(ENDS_UNMARKED)

    def _take_packet(self, complaints: list[Message]) -> None:
        try:
            packet = next(self._track.packets, None)
        except MemoryError:
            raise
        except Exception as error:  # the file object may be anybody's, and raise anything
            self._failure = error
            self._warn(BROKE_OFF)
            packet = None
        if packet is None:
            self._has_ended = True
            self._empty_fifo(partial=True)
            return
        if packet.is_corrupt:
            self._warn(CORRUPT_PACKETS)
        try:
            frames = self._track.decoder.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            self._failure = error
            self._warn(SKIPPED_PACKETS)
            frames = []
        if complaints:
            if frames and any(level <= av.logging.ERROR for level, _, _ in complaints):
                self._warn(DECODER_COMPLAINED)
            complaints.clear()
        for frame in frames:
            try:
                self._take_frame(frame)
            except UndecodableError:  # a format in mid-file that is not read
                if self._timeline is None:
                    raise
                self._warn(SKIPPED_PACKETS)

    def _take_frame(self, frame: av.AudioFrame) -> None:
        frame_format = (frame.sample_rate, frame.format.name, frame.layout.nb_channels)
        if frame_format != self._format or self._timeline is None:
            self._timeline = self._change_format(*frame_format)
        pts = frame.pts
        silence = self._timeline.place(None if pts is None else self._track.seconds(pts), frame.samples)
        if self._timeline.fault:
            self._warn(self._timeline.fault)
        if silence:
            self._empty_fifo(partial=True)
            self._ready.append((frame.sample_rate, silence))
            self._heard_seconds += silence / frame.sample_rate
        frame.pts = None  # the FIFO insists on gapless time stamps
        self._fifo.write(frame)
        if self._fifo.samples >= GATHER_SAMPLES:
            self._empty_fifo(partial=False)

    def _change_format(self, rate: int, sample_format: str, num_channels: int) -> Timeline:
        self._empty_fifo(partial=True)
        self._fifo = av.AudioFifo()
        info = self._track.checked_info(rate, num_channels)
        if self._format is None:
            self.info = info
        self._format = (rate, sample_format, num_channels)
        if self._timeline is None:
            return Timeline(sample_rate_hz=rate, position=self.start_position)
        self._timeline.set_sample_rate(rate)
        return self._timeline

    def _empty_fifo(self, *, partial: bool) -> None:
        """Move whole blocks, or with `partial` everything, from the FIFO to what is ready."""
        while frame := self._fifo.read(GATHER_SAMPLES, partial=partial):
            mono = mean_of_channels(frame)
            if not max(mono.max(), -mono.min()) <= MAX_SAMPLE:  # not a number fails it too
                mono[~(np.abs(mono) <= MAX_SAMPLE)] = 0.0
                self._warn(NOT_NUMBERS)
            if self._listener is not None:
                self._listener(frame, mono, self._heard_seconds)
            self._heard_seconds += len(mono) / frame.sample_rate
            self._ready.append((frame.sample_rate, mono))

    def _warn(self, warning: str) -> None:
        if self._timeline is None or self._timeline.seconds >= self._listen_from_seconds:
            self._warnings[warning] = None


@functools.cache
def _keep_freed_memory() -> None:
    """Once in a process: have glibc keep freed memory for what comes next, instead of giving it back to the kernel.

    Blocks of half a megabyte come and go, and every page of them would be faulted in anew each time, which costs a
    tenth of the rate. glibc raises its limits to twice the largest piece it was given back, up to 32 MiB; this piece
    is never touched. Elsewhere it does nothing.
    """
    np.empty(31 << 20, np.uint8)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
