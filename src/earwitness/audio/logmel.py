"""Log-mel frames from a waveform: the released VGGish front end in SciPy's `rfft`, block by block.

A frame is ln(mel + log_offset) of one complete window; there is no padding, so the last incomplete window is
dropped. The mel scale is HTK's, 1127 ln(1 + hz / 700); triangles have unit peak, are linear in mel and span two band
steps each; magnitudes (not powers) are weighted; the DC bin counts for nothing.

Axes: time comes last while computing, [bins, frames]. So the Fourier transform runs through many frames side by side,
and the mel product, sparse with at most two bands a bin, adds whole rows. Every frame is computed by the same
operations in the same order wherever it stands in a block: how a waveform is cut into blocks never changes a value.

Precision: float64 up to the logarithm, so that what is rounded to float16 afterwards is the same number whoever
computes it, and however. In float32 one value in 2,000 fell on the other side of a rounding, a step of 0.004, when a
product of matrices took the place of this transform, and the scores of trained networks moved by up to 8e-4. In float64
none did, on 100 clips of ESC-10. It costs a sixth (276 s) to a third (10 s) more time than float32 with its worst
frames repeated in float64.

References: Hershey et al. 2017, section 3.1; the released VGGish parameters (windows, mel edges, log offset).
"""

import functools
import threading
from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

from earwitness.front_end import FrontEnd

BLOCK_FRAMES = 144
"""Frames computed together: 144 x 512 float64 fill half a megabyte, which a core's cache holds. All between 120 and 224
were as fast on 10 s and on 100 s, but for 128: with rows a power of two apart, it took a tenth more time."""


def hann_window(num_samples: int) -> NDArray[np.float64]:
    """Periodic Hann window, [num_samples]: 0.5 - 0.5 cos(2 pi n / num_samples)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(num_samples) / num_samples)


def hz_to_mel(hz: NDArray[np.floating[Any]] | float) -> NDArray[np.float64]:
    """HTK mel of a frequency: 1127 ln(1 + hz / 700)."""
    mel: NDArray[np.float64] = 1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0)
    return mel


def mel_weights(front_end: FrontEnd) -> NDArray[np.float64]:
    """Weights of the mel bands.

    Returns:
        float64 [fft_length // 2 + 1, bands] in [0, 1]; triangles linear in mel, the DC row zero. Where bands are
        narrower than a Fourier bin, a column may be all zero: its frames hold ln(log_offset).
    """
    bins = np.arange(front_end.fft_length // 2 + 1) * (front_end.sample_rate_hz / front_end.fft_length)
    edges = np.linspace(hz_to_mel(front_end.min_hz), hz_to_mel(front_end.max_hz), front_end.num_bands + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    mel = hz_to_mel(bins)[:, None]
    weights = np.maximum(0.0, np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre)))
    weights[0] = 0.0
    return weights


def used_bins(weights: NDArray[np.float64]) -> slice:
    """The Fourier bins that any band hears, of `mel_weights`; one, where none does."""
    used = np.flatnonzero(weights.any(axis=1))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)


def logmel(waveform: NDArray[np.float32], *, front_end: FrontEnd | None = None) -> NDArray[np.float32]:
    """Log-mel frames of a whole waveform.

    Args:
        waveform: float32 [samples], mono at the front end's rate; full scale is 1.
        front_end: the constants; None means the paper's.

    Returns:
        float32 [frames, bands], not yet rounded to float16; no frame where there is no complete window.
    """
    front_end = front_end or FrontEnd()
    num_frames = front_end.samples_to_frames(len(waveform))
    frames = np.empty((num_frames, front_end.num_bands), np.float32)
    transform = _transform(front_end)
    hop, overhang = front_end.hop_samples, len(transform.parts) - 1
    for start in range(0, num_frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, num_frames)
        samples = np.asarray(waveform[start * hop : (stop + overhang) * hop], dtype=np.float64)
        missing = (stop + overhang - start) * hop - len(samples)
        if missing > 0:
            samples = np.pad(samples, (0, missing))
        frames[start:stop] = transform.block(np.ascontiguousarray(samples.reshape(-1, hop).T)).T
    return frames


class LogMelStream:
    """The frames of a waveform that comes in blocks.

    The frames of all blocks, joined, equal `logmel` of the joined waveform bit by bit. Between blocks it keeps less
    than one window of samples.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._kept = np.empty(0, np.float32)
        self._skip_samples = 0  # where a hop is longer than a window: samples before the next window

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The frames that `block` completes, float32 [frames, bands]; possibly none."""
        samples = np.concatenate((self._kept, block))
        skipped = min(self._skip_samples, len(samples))
        samples = samples[skipped:]
        frames = logmel(samples, front_end=self._front_end)
        consumed = len(frames) * self._front_end.hop_samples
        self._skip_samples += max(0, consumed - len(samples)) - skipped
        self._kept = samples[consumed:].copy()
        return frames


@functools.lru_cache(maxsize=16)
def _transform(front_end: FrontEnd) -> "_Transform":
    return _Transform(front_end)


class _Transform:
    """The arrays that a front end fixes, and what they do to one block of hops."""

    def __init__(self, front_end: FrontEnd) -> None:
        weights = mel_weights(front_end)
        self._used_bins = used_bins(weights)
        self._weights = scipy.sparse.csr_array(weights[self._used_bins].T)  # [bands, used bins]
        self._offset = front_end.log_offset
        self._fft_length = front_end.fft_length
        self._of_thread = threading.local()
        window = hann_window(front_end.window_samples)
        part_starts = range(0, len(window), front_end.hop_samples)
        self.parts = [window[first : first + front_end.hop_samples, None] for first in part_starts]
        """The window, [samples, 1], cut into hops: part p of a frame lies in the p-th hop from its start."""

    def block(self, hops: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-mel of one block, [bands, frames].

        Args:
            hops: [hop samples, frames + len(parts) - 1], every column the samples of one hop; up to `BLOCK_FRAMES`.
        """
        num_frames = hops.shape[1] - len(self.parts) + 1
        padded = self._scratch()[:, :num_frames]
        row = 0
        for index, part in enumerate(self.parts):
            np.multiply(hops[: len(part), index : index + num_frames], part, out=padded[row : row + len(part)])
            row += len(part)
        spectrum = scipy.fft.rfft(padded, axis=0, workers=1)[self._used_bins]
        mel: NDArray[np.float64] = self._weights @ np.abs(spectrum)
        mel += self._offset
        return np.log(mel, out=mel)

    def _scratch(self) -> NDArray[np.float64]:
        """This thread's [fft_length, BLOCK_FRAMES]; the rows behind the window are zero. Allocating it for every
        waveform would cost as much as half a block.
        """
        if not hasattr(self._of_thread, "padded"):
            self._of_thread.padded = np.zeros((self._fft_length, BLOCK_FRAMES))
        padded: NDArray[np.float64] = self._of_thread.padded
        return padded
