"""The first audio stream of an opened container: its decoder, its clock, and the limits of what is read.

Time zero is the container's start, not the stream's: a soundtrack that begins after the picture begins late.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.stream import Discard

from earwitness.audio.source import OpenMedia
from earwitness.errors import NoAudioError, UndecodableError

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
"""Sample rates that are read. A header that says 1 Hz would expand 16,000-fold."""

MAX_CHANNELS = 64


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """What a media file holds as its first audio stream."""

    container: str
    """FFmpeg's name of the container format."""
    codec: str
    """FFmpeg's name of the codec."""
    sample_rate_hz: int
    """Of the first decoded frame; before that, what the header says (0: nothing)."""
    num_channels: int
    """Likewise."""


class AudioTrack:
    """Packets and decoder of the first audio stream.

    Raises:
        NoAudioError: no audio stream.
        UndecodableError: no decoder, or the header states a rate or channel count that is not read.
    """

    def __init__(self, media: OpenMedia) -> None:
        self.name = media.name
        self.is_seekable = media.is_seekable
        self.is_container_damaged = media.is_damaged
        self._media = media
        self._container = media.container
        if not self._container.streams.audio:
            raise NoAudioError(f"{self.name}: has no audio stream")
        self._stream = self._container.streams.audio[0]
        decoder = self._stream.codec_context
        if decoder is None:
            raise UndecodableError(f"{self.name}: there is no decoder for its audio")
        decoder.thread_type = "NONE"  # processes share the work, a file each
        decoder.thread_count = 1
        self.decoder = decoder
        for stream in self._container.streams:
            if stream is not self._stream:
                stream.discard = Discard.all
        self.info = self.checked_info(decoder.sample_rate, decoder.channels, is_header=True)
        self.tick_seconds = float(self._stream.time_base or 0)
        """How coarse time stamps are."""
        self._zero_seconds = self._time_zero()
        self.stated_seconds = None if media.is_length_estimated else self._stated_end()
        """Where the header says that the track ends, after time zero; None where it does not, or FFmpeg guesses."""
        self.packets: Iterator[av.Packet[Any]] = self._container.demux(self._stream)
        """From the beginning, or from where `seek` went."""

    @property
    def lacks_end(self) -> bool:
        """The container marks where it ends, and this one does not; to be asked when all is read."""
        return self._media.lacks_ogg_end

    def seek(self, seconds: float) -> None:
        """Go on near a time after time zero; where exactly, time stamps say."""
        self._container.seek(round((seconds + self._zero_seconds) / self.tick_seconds), stream=self._stream)
        self.packets = self._container.demux(self._stream)

    def seconds(self, pts: int) -> float:
        """The time of a time stamp, in seconds after time zero."""
        return pts * self.tick_seconds - self._zero_seconds

    def checked_info(self, rate: int, num_channels: int, *, is_header: bool = False) -> SourceInfo:
        """Rate and channels as `SourceInfo`, or UndecodableError where they are not read. Headers may say 0."""
        if not (MIN_RATE_HZ <= rate <= MAX_RATE_HZ or (is_header and rate == 0)):
            raise UndecodableError(
                f"{self.name}: its sample rate is {rate} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are read"
            )
        if not (1 <= num_channels <= MAX_CHANNELS or (is_header and num_channels == 0)):
            raise UndecodableError(f"{self.name}: it has {num_channels} channels; up to {MAX_CHANNELS} are read")
        return SourceInfo(
            container=self._container.format.name,
            codec=self.decoder.codec.canonical_name,
            sample_rate_hz=rate,
            num_channels=num_channels,
        )

    def _stated_end(self) -> float | None:
        if self._stream.duration is not None:
            return self.seconds((self._stream.start_time or 0) + self._stream.duration)
        if self._container.duration is not None and len(self._container.streams) == 1:
            return self._container.duration / av.time_base
        return None

    def _time_zero(self) -> float:
        """Start of the container in seconds. FFmpeg rounds it to 1 us; where it is this stream's start, exact."""
        container_start = (self._container.start_time or 0) / av.time_base
        stream_start = (self._stream.start_time or 0) * self.tick_seconds
        return stream_start if abs(stream_start - container_start) < 2 / av.time_base else container_start
