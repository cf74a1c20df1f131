"""Media to waveform: mono float32 blocks at one rate, of a whole file or a time range, in bounded memory.

    with decode("film.mp4", start_seconds=60.0) as blocks:
        for block in blocks: ...
    blocks.warnings

A time range [start, stop) holds the samples round(start * rate) to round(stop * rate) of the whole file. It is
reached by seeking early and discarding, where `seeking` trusts the file, else by decoding from the beginning. Either
way the samples lie on the grid of the whole file (see `resample`; and `seeking` for what may still differ).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.mixing import LARGEST_FLOAT
from earwitness.audio.native import Listener, NativeStream
from earwitness.audio.resample import MonoResampler, grid_period
from earwitness.audio.seeking import enter
from earwitness.audio.source import OpenMedia, Source, source_name
from earwitness.audio.streams import BlockStream
from earwitness.audio.track import AudioTrack, SourceInfo
from earwitness.errors import MediaError, NoSamplesError, SettingsError, TooLargeError

PRE_ROLL_SECONDS = 1.0
"""Decoded and thrown away before a time range: AAC is wrong for 0.1 s after a seek, MP3 and Opus need some frames."""

SEEK_FROM_SECONDS = 10.0
"""Ranges that begin earlier are decoded from the beginning: that costs milliseconds and is exact for every codec."""

ENDS_EARLY = "ends before stop_seconds"

END_SLACK_SECONDS = 0.1
"""A range may reach this far past the end without a warning: lengths in tables are rounded."""


def decode(
    source: Source,
    *,
    sample_rate_hz: int = 16_000,
    start_seconds: float | None = None,
    stop_seconds: float | None = None,
    listener: Listener | None = None,
) -> "WaveformStream":
    """Decode the first audio stream of a media file.

    Args:
        source: path, URL (anything with `://`, opened by fsspec), bytes, binary file object, or `ByteRange` of a file.
        sample_rate_hz: of the waveform.
        start_seconds: from here; None is the beginning.
        stop_seconds: up to here, exclusive; None is the end.
        listener: hears the channels at their own rate, from before the range to behind it; see `native.Listener`.

    Returns:
        A stream of float32 [samples] blocks. Read it to its end, close it, or use it as a context manager.

    Raises:
        NoAudioError: no audio stream.
        NoSamplesError: the range is shorter than a sample; raised while iterating, where none lies in it, or at all.
        MissingError: there is no such file.
        UndecodableError: no media, refused; raised while iterating where decoding fails before any sample.
        TooLargeError: there is not the memory that it asks for; also raised while iterating.
        TransientError: its disk or network failed; also raised while iterating, at the latest at the end.
        SettingsError: the range is empty or negative.
    """
    return WaveformStream(
        source,
        sample_rate_hz=sample_rate_hz,
        start_seconds=start_seconds,
        stop_seconds=stop_seconds,
        listener=listener,
    )


def read_waveform(
    source: Source,
    *,
    sample_rate_hz: int = 16_000,
    start_seconds: float | None = None,
    stop_seconds: float | None = None,
) -> NDArray[np.float32]:
    """The whole waveform, float32 [samples], in one array: `decode` for short clips."""
    with decode(
        source, sample_rate_hz=sample_rate_hz, start_seconds=start_seconds, stop_seconds=stop_seconds
    ) as blocks:
        return np.concatenate(list(blocks))


class WaveformStream(BlockStream[np.float32]):
    """Blocks of a waveform as they are decoded; made by `decode`."""

    def __init__(
        self,
        source: Source,
        *,
        sample_rate_hz: int,
        start_seconds: float | None,
        stop_seconds: float | None,
        listener: Listener | None = None,
    ) -> None:
        start = 0.0 if start_seconds is None else start_seconds
        if stop_seconds == np.inf:
            stop_seconds = None
        if not 0 <= start < (np.inf if stop_seconds is None else stop_seconds):
            raise SettingsError(f"range {start_seconds} to {stop_seconds} s: needs 0 <= start_seconds < stop_seconds")
        self._sample_rate_hz = sample_rate_hz
        self._start_seconds = start
        self._start = round(start * sample_rate_hz)
        self._stop = None if stop_seconds is None else round(stop_seconds * sample_rate_hz)
        if self._start == self._stop:
            name = source_name(source)
            raise NoSamplesError(f"{name}: the range {start:g} to {stop_seconds:g} s holds not one sample")
        self.num_samples = 0
        """Samples given out so far."""
        self._listener = listener
        with _memory_lacks_by_name(source_name(source)):
            self._media = OpenMedia(source)
            try:
                self._native = self._open_track()
            except BaseException:
                self._media.close()
                raise
        self._warnings: list[str] = []
        self._peak = 0.0
        self._blocks = self._range()

    def close(self) -> None:
        """Close the media, which the last block does too; further blocks do not come."""
        super().close()
        self._media.close()

    @property
    def info(self) -> SourceInfo:
        """Container, codec, rate and channels of the file itself."""
        return self._native.info

    @property
    def warnings(self) -> tuple[str, ...]:
        """Complaints about what was decoded so far; final after the last block."""
        beyond = f"peak {self._peak:,.0f} of full scale 1: were integers made floats without dividing?"
        return (*self._native.warnings, *self._warnings, *([beyond] if self._peak > LARGEST_FLOAT else []))

    def _range(self) -> Generator[NDArray[np.float32]]:
        """The samples from `start` to `stop`."""
        position = 0  # of the next sample in the whole waveform
        try:
            for first, block in self._from_near_start():
                position = first + len(block)
                part = block[max(0, self._start - first) : None if self._stop is None else max(0, self._stop - first)]
                if len(part):
                    self.num_samples += len(part)
                    self._peak = max(self._peak, float(part.max()), -float(part.min()))
                    yield part
                if self._stop is not None and position >= self._stop:
                    break
        except MediaError:
            self._media.require_reads()  # or they are to blame, not the media
            raise
        finally:
            self._media.close()
        self._media.require_reads()
        if self._stop is not None and position >= self._stop:
            return
        if self.num_samples == 0:
            raise NoSamplesError(
                f"{self._media.name}: the range begins at {self._start_seconds:g} s, "
                f"but the audio ends at {position / self._sample_rate_hz:.3f} s"
            )
        if self._stop is not None and self._stop - position > END_SLACK_SECONDS * self._sample_rate_hz:
            self._warnings.append(ENDS_EARLY)

    def _from_near_start(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks at our rate, each with its place in the whole waveform; the first lies well before the range."""
        resampler: MonoResampler | None = None
        position, skipped = 0, 0
        for rate, block in self._native_blocks():
            if resampler is None and self._native.start_position:
                # begin where native samples meet the grid of the whole file
                step = grid_period(rate, self._sample_rate_hz)
                meeting = step * -(-self._native.start_position // step)
                position, skipped = meeting * self._sample_rate_hz // rate, meeting - self._native.start_position
            if resampler is None or rate != resampler.rate_in:
                if resampler is not None:
                    rest = resampler.flush()
                    yield position, rest
                    position += len(rest)
                resampler = MonoResampler(rate, self._sample_rate_hz)
            resampled = resampler.push(block[skipped:])
            skipped = max(0, skipped - len(block))
            yield position, resampled
            position += len(resampled)
        if resampler is not None:
            yield position, resampler.flush()

    def _native_blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        with _memory_lacks_by_name(self._media.name):
            yield from self._native.blocks()

    def _open_track(self) -> NativeStream:
        """The track from the beginning, or from well before the range where that can be trusted."""
        track, entry = AudioTrack(self._media), None
        if self._start_seconds >= SEEK_FROM_SECONDS and track.info.sample_rate_hz:
            rate = track.info.sample_rate_hz
            entry = enter(
                track, self._start_seconds - PRE_ROLL_SECONDS - grid_period(rate, self._sample_rate_hz) / rate
            )
            if entry is None and self._media.is_seekable:
                self._media.reopen()
                track = AudioTrack(self._media)
        return NativeStream(track, entry=entry, listen_from_seconds=self._start_seconds, listener=self._listener)


@contextmanager
def _memory_lacks_by_name(name: str) -> Iterator[None]:
    """FFmpeg takes the sizes that a file states for true; what cannot be had is the file's fault, and it is named."""
    try:
        yield
    except MemoryError as error:
        raise TooLargeError(f"{name}: asks for more memory than there is, or than is allowed") from error
