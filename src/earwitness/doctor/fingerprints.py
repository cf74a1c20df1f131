"""A few bytes that sound keeps through codecs, resampling, gain and shifts: to find copies without comparing waveforms.

Frames are reduced to 17 bands between 200 and 3,500 Hz, which even a telephone carries, and smoothed over 0.36 s. Every
40 ms, a *word* of 16 bits says of each pair of neighbouring bands whether their difference grew over the last 0.24 s.
Steady spectra, levels and filters cancel out of that; two recordings of one kind of sound agree in half of the bits,
as any two sounds do. Where too few of the differences are large enough to have a sign, as in silence, the word is not
*valid*, and counts for nothing.

A *key* is two words 0.24 s apart. Equal keys make two clips candidates; because codecs turn the weakest bits first, a
place has eight keys, with each of its three weakest bits turned or not.

Fingerprints need 50 bytes a second, keys up to 16 times that, of which `copies.KeyTable` keeps what fits.

References: Haitsma and Kalker 2002, A Highly Robust Audio Fingerprinting System (the signs of differences).
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.logmel import hz_to_mel
from earwitness.front_end import FrontEnd

LOW_HZ, HIGH_HZ = 200.0, 3_500.0
NUM_BITS = 16
STEP_SECONDS = 0.04
SMOOTHING_SECONDS = 0.24
"""Of the first of two box filters; the second is half as long."""
LAG_SECONDS = 0.24
SPAN_SECONDS = 1.5 * SMOOTHING_SECONDS + LAG_SECONDS
"""Sound that one word looks at."""
MIN_DIFFERENCE = 0.02
"""In units of log-mel: several times the rounding of float16 and the ripple of codecs in steady tones."""
MIN_VALID_BITS = 12
NUM_TURNED_BITS = 3

Words = NDArray[np.uint16]


@dataclass(frozen=True)
class Fingerprint:
    """Of one clip."""

    words: Words
    """uint16 [steps]."""
    is_valid: NDArray[np.bool_]
    """[steps]."""
    keys: NDArray[np.uint32]
    """Unique, ascending."""
    key_steps: NDArray[np.uint32]
    """Where each key first stands."""


NO_FINGERPRINT = Fingerprint(
    words=np.empty(0, np.uint16),
    is_valid=np.empty(0, np.bool_),
    keys=np.empty(0, np.uint32),
    key_steps=np.empty(0, np.uint32),
)
"""Of sound that is not to be compared."""


class FingerprintMeter:
    """Makes the fingerprint of a clip from its frames, in blocks of any size."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._weights = _band_weights(front_end)
        self._smoothing, self._lag, self._step = (
            max(1, round(seconds / front_end.frame_seconds))
            for seconds in (SMOOTHING_SECONDS, LAG_SECONDS, STEP_SECONDS)
        )
        self._kept = np.empty((0, NUM_BITS + 1), np.float32)
        self._words: list[Words] = []
        self._valid: list[NDArray[np.bool_]] = []
        self._keys: list[NDArray[np.uint32]] = []
        self._key_steps: list[NDArray[np.uint32]] = []
        self._tail = np.empty((0, NUM_BITS), np.float32)  # the last differences: keys reach back
        self._num_steps = 0

    def push(self, values: NDArray[np.float32]) -> None:
        """Take in frames as float32 [frames, bands]."""
        bands = np.concatenate([self._kept, values @ self._weights])
        half = max(1, self._smoothing // 2)
        smooth = _box(_box(bands, self._smoothing), half)
        num_steps = max(0, -(-(len(smooth) - self._lag) // self._step))
        self._kept = bands[num_steps * self._step :]
        if not num_steps:
            return
        growth = (smooth[self._lag :] - smooth[: -self._lag])[:: self._step]
        self._take(np.ascontiguousarray(growth[:, :-1] - growth[:, 1:]))

    def result(self) -> Fingerprint:
        """Of all frames so far."""
        keys = np.concatenate([np.empty(0, np.uint32), *self._keys])
        steps = np.concatenate([np.empty(0, np.uint32), *self._key_steps])
        keys, firsts = np.unique(keys, return_index=True)
        return Fingerprint(
            words=np.concatenate([np.empty(0, np.uint16), *self._words]),
            is_valid=np.concatenate([np.empty(0, np.bool_), *self._valid]),
            keys=keys,
            key_steps=steps[firsts],
        )

    def _take(self, differences: NDArray[np.float32]) -> None:
        """Words and keys of new steps; differences float32 [steps, bits]."""
        apart = max(1, self._lag // self._step)
        joined = np.concatenate([self._tail, differences])
        words, is_valid = _words(joined), _is_valid(joined)
        new = len(joined) - len(differences)
        self._words.append(words[new:])
        self._valid.append(is_valid[new:])
        first_step = self._num_steps - new
        pairs = np.flatnonzero(is_valid[:-apart] & is_valid[apart:]) if len(joined) > apart else np.empty(0, np.int64)
        if len(pairs):
            keys = words[pairs].astype(np.uint32) | words[pairs + apart].astype(np.uint32) << np.uint32(NUM_BITS)
            strengths = np.abs(np.concatenate([joined[pairs], joined[pairs + apart]], axis=1))
            self._keys.append(_with_turned_bits(keys, strengths))
            self._key_steps.append(np.tile((pairs + first_step).astype(np.uint32), 2**NUM_TURNED_BITS))
        self._num_steps += len(differences)
        self._tail = joined[max(0, len(joined) - apart) :]


def _words(differences: NDArray[np.float32]) -> Words:
    packed = np.packbits(differences > 0, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u2")[:, 0].astype(np.uint16, copy=False)


def _is_valid(differences: NDArray[np.float32]) -> NDArray[np.bool_]:
    is_valid: NDArray[np.bool_] = np.count_nonzero(np.abs(differences) > MIN_DIFFERENCE, axis=1) >= MIN_VALID_BITS
    return is_valid


def _with_turned_bits(keys: NDArray[np.uint32], strengths: NDArray[np.float32]) -> NDArray[np.uint32]:
    """All keys with no, some or all of their weakest bits turned, one variant after another."""
    weakest = np.argpartition(strengths, NUM_TURNED_BITS, axis=1)[:, :NUM_TURNED_BITS].astype(np.uint32)
    variants = [keys]
    for number in range(NUM_TURNED_BITS):
        turned = np.uint32(1) << weakest[:, number]
        variants += [variant ^ turned for variant in variants]
    return np.concatenate(variants)


def _box(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Running means over `length` rows; none where there are fewer."""
    if len(values) < length:
        return values[:0]
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    means: NDArray[np.float32] = ((sums[length:] - sums[:-length]) / length).astype(np.float32)
    return means


@functools.lru_cache(maxsize=4)
def _band_weights(front_end: FrontEnd) -> NDArray[np.float32]:
    """[bands, 17]: each column takes the mean of the mel bands within one of 17 equal stretches of mel."""
    lowest, highest = hz_to_mel(front_end.min_hz), hz_to_mel(front_end.max_hz)
    width = (highest - lowest) / (front_end.num_bands + 1)
    # mel band b takes the place from b to b + 1; its middle lies b + 1 widths above the lowest edge
    low, high = (float((hz_to_mel(hz) - lowest) / width - 0.5) for hz in (LOW_HZ, HIGH_HZ))
    edges = np.clip(np.linspace(low, high, NUM_BITS + 2), 0, front_end.num_bands)
    bands = np.arange(front_end.num_bands)[:, None]
    overlap = np.maximum(0, np.minimum(bands + 1, edges[1:]) - np.maximum(bands, edges[:-1]))
    weights: NDArray[np.float32] = (overlap / np.maximum(overlap.sum(axis=0), 1e-9)).astype(np.float32)
    return weights
