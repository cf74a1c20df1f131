"""What is measured of a clip's sound as it was recorded: channels by themselves, at the file's own rate.

A `SoundMeter` listens while the clip is decoded (`audio.native.Listener`) and keeps a few numbers, whatever the length.
"""

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from earwitness.audio.mixing import channel_samples
from earwitness.doctor.band_edge import LoudestMoments
from earwitness.doctor.clipping import Clipping, ClippingMeter

PIECE_SAMPLES = 4_096
"""The loudest piece of a clip, about 0.1 s, says whether it is silent."""
SPECTRUM_SAMPLES = 2_048
SPECTRA_PER_BLOCK = 16
"""Windows looked at in each block of up to 65,536 samples; half of the sound will do."""
CELL_HZ = 125.0


@dataclass(frozen=True, kw_only=True)
class SoundMeasures:
    """What a `SoundMeter` has measured; levels are powers relative to a full-scale square wave."""

    num_channels: int
    sample_rate_hz: int
    peak: float
    """Highest absolute sample of any channel."""
    power: float
    """Mean over samples and channels."""
    loudest_power: float
    """Of the loudest piece of any channel."""
    channel_powers: tuple[float, ...]
    mean_power: float
    """Of the mean of the channels."""
    offset: float
    """The largest absolute mean of a channel."""
    clipping: Clipping
    """Of the channel and polarity that is cut off most."""
    spectrum: NDArray[np.float64]
    """[cells]: long-term power of the loudest channel."""
    spectrum_hz: NDArray[np.float64]
    """[cells]: the middle of each, up to half the sample rate."""
    moments: NDArray[np.float32]
    """[moments, cells]: power of the loudest of the windows that the spectrum is of."""


class SoundMeter:
    """Listens to a clip from `start_seconds` to `stop_seconds` of its medium."""

    def __init__(self, *, start_seconds: float | None, stop_seconds: float | None) -> None:
        self._start_seconds = start_seconds or 0.0
        self._stop_seconds = stop_seconds
        self._rate_hz = 0
        self._num_samples = 0
        self._channels: list[_Channel] = []
        self._mean_square_sum = 0.0
        self._spectrum: NDArray[np.float64] | None = None
        self._moments = LoudestMoments()

    def listen(self, frame: av.AudioFrame, mean: NDArray[np.float32], start_seconds: float) -> None:
        """Take in a gathered frame; what lies outside the clip is left out. See `audio.native.Listener`."""
        rate = frame.sample_rate
        first = max(0, round((self._start_seconds - start_seconds) * rate))
        stop = len(mean)
        if self._stop_seconds is not None:
            stop = min(stop, round((self._stop_seconds - start_seconds) * rate))
        if stop <= first:
            return
        channels = [samples[first:stop] for samples in channel_samples(frame)]
        if not np.isfinite(sum(float(np.dot(samples, samples)) for samples in channels)):
            return  # damage, which the decoder warns of
        at_seconds = start_seconds + first / rate - self._start_seconds
        self._num_samples += stop - first
        while len(self._channels) < len(channels):
            self._channels.append(_Channel())
        for channel, samples in zip(self._channels, channels, strict=False):
            channel.push(samples, at_seconds)
        mean = mean[first:stop]
        self._mean_square_sum += float(np.dot(mean, mean))
        self._add_spectrum(channels[0] if len(channels) == 1 else self._loudest_of(channels), rate)

    def result(self) -> SoundMeasures | None:
        """None where nothing was heard: filled-in silence only."""
        if not self._channels:
            return None
        total = self._num_samples
        clippings = [clipping for channel in self._channels for clipping in channel.clippings()]
        clipping = max(clippings, key=lambda c: (c.is_clipped, c.flat_share))
        assert self._spectrum is not None
        return SoundMeasures(
            num_channels=len(self._channels),
            sample_rate_hz=self._rate_hz,
            peak=max(channel.peak for channel in self._channels),
            power=sum(channel.square_sum for channel in self._channels) / (total * len(self._channels)),
            loudest_power=max(channel.loudest_power for channel in self._channels),
            channel_powers=tuple(channel.square_sum / total for channel in self._channels),
            mean_power=self._mean_square_sum / total,
            offset=max(abs(channel.sum) / total for channel in self._channels),
            clipping=clipping,
            spectrum=self._in_cells(self._spectrum),
            spectrum_hz=self._cells_hz(),
            moments=self._in_cells(self._moments.result()),
        )

    def _loudest_of(self, channels: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Not the mean, in which channels may cancel."""
        loudest = max(range(len(channels)), key=lambda number: self._channels[number].square_sum)
        return channels[loudest]

    def _add_spectrum(self, samples: NDArray[np.float32], rate: int) -> None:
        if rate != self._rate_hz:  # a file whose rate changes is judged by what it ends with
            self._rate_hz, self._spectrum, self._moments = rate, None, LoudestMoments()
        if len(samples) < SPECTRUM_SAMPLES:
            if self._spectrum is not None:
                return
            samples = np.pad(samples, (0, SPECTRUM_SAMPLES - len(samples)))
        count = min(SPECTRA_PER_BLOCK, len(samples) // SPECTRUM_SAMPLES)
        starts = np.linspace(0, len(samples) - SPECTRUM_SAMPLES, count).astype(np.int64)
        windows = np.stack([samples[start : start + SPECTRUM_SAMPLES] for start in starts]) * _WINDOW
        powers = np.abs(scipy.fft.rfft(windows, axis=1)) ** 2
        self._moments.push(powers)
        power = powers.sum(axis=0, dtype=np.float64)
        self._spectrum = power if self._spectrum is None else self._spectrum + power

    def _cells(self) -> tuple[int, int]:
        """Number of cells of 125 Hz, or of one bin where bins are wider, and of bins in each."""
        bins_per_cell = max(1, round(CELL_HZ * SPECTRUM_SAMPLES / self._rate_hz))
        return SPECTRUM_SAMPLES // 2 // bins_per_cell, bins_per_cell

    def _cells_hz(self) -> NDArray[np.float64]:
        num_cells, bins_per_cell = self._cells()
        middles = np.arange(num_cells) * bins_per_cell + 0.5 * (bins_per_cell + 1)
        return np.asarray(middles * self._rate_hz / SPECTRUM_SAMPLES, np.float64)

    def _in_cells(self, power: NDArray[Any]) -> NDArray[Any]:
        """Median power in cells; power is [..., bins]."""
        num_cells, bins_per_cell = self._cells()
        bins = power[..., 1 : 1 + num_cells * bins_per_cell]
        return np.asarray(np.median(bins.reshape(*power.shape[:-1], num_cells, bins_per_cell), axis=-1), power.dtype)


_WINDOW = np.hanning(SPECTRUM_SAMPLES).astype(np.float32)


class _Channel:
    """Sums over one channel."""

    def __init__(self) -> None:
        self.peak = self.sum = self.square_sum = self.loudest_power = 0.0
        self._up, self._down = ClippingMeter(), ClippingMeter()

    def push(self, samples: NDArray[np.float32], at_seconds: float) -> None:
        highest, lowest = float(samples.max()), float(samples.min())
        self.peak = max(self.peak, highest, -lowest)
        self.sum += float(samples.sum(dtype=np.float32))
        pieces = samples[: len(samples) // PIECE_SAMPLES * PIECE_SAMPLES].reshape(-1, PIECE_SAMPLES)
        squares = np.einsum("ps,ps->p", pieces, pieces)
        rest = samples[pieces.size :]
        rest_square = float(np.dot(rest, rest))
        self.square_sum += float(squares.sum()) + rest_square
        loudest = float(squares.max(initial=0.0)) / PIECE_SAMPLES
        if len(rest) >= PIECE_SAMPLES // 4 or not len(pieces):
            loudest = max(loudest, rest_square / len(rest))
        self.loudest_power = max(self.loudest_power, loudest)
        self._up.push(samples, peak=highest, start_seconds=at_seconds)
        if -lowest >= 0:
            self._down.push(-samples, peak=-lowest, start_seconds=at_seconds)

    def clippings(self) -> tuple[Clipping, Clipping]:
        return self._up.result(), self._down.result()
