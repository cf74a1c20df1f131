"""Sound that is in memory already: an array of samples with its rate, taken the way of a file that holds them.

    Samples(array, sample_rate_hz=44_100)

Floating point, float16 to float64: full scale is 1, as in a WAV file of floats. Integers as WAV files hold them: int16
and int32 from -32,768 and -2^31, uint8 with silence at 128. Any other kind of integer has no full scale that one could
know, and is refused. So are nan and infinity, and floats so large that they can only be integers that nobody divided.

One axis is time. Of two, the shorter one is the channels, whichever comes first: [samples, channels] or
[channels, samples]. Mixing and resampling are those of files: the same samples in a WAV file give the same scores.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.decode import END_SLACK_SECONDS, ENDS_EARLY
from earwitness.audio.mixing import LARGEST_FLOAT, mean_of
from earwitness.audio.resample import FILTER_SECONDS, MonoResampler, grid_period
from earwitness.audio.streams import BlockStream
from earwitness.audio.track import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, SourceInfo
from earwitness.errors import NoSamplesError, SettingsError, UndecodableError
from earwitness.table_files import first_line

BLOCK_SAMPLES = 65_536

NAME = "<array>"
"""What messages call an array."""

_INTEGERS = {"uint8": (128.0, 2.0**7), "int16": (0.0, 2.0**15), "int32": (0.0, 2.0**31)}
"""NumPy's name: value of silence, full scale."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Checked samples; made by `samples_of`."""

    channels: NDArray[Any]
    """[channels, samples], a view of the array that came."""
    sample_rate_hz: int
    silence: float
    full_scale: float

    name: str = NAME


def samples_of(array: Any, *, sample_rate_hz: float | None) -> Samples:
    """Check an array and its rate.

    Args:
        array: [samples], [samples, channels] or [channels, samples], of a type named above; or what NumPy can see as
            such an array without a copy of ours, such as a tensor on the CPU.
        sample_rate_hz: of the array, a whole number.

    Raises:
        SettingsError: the rate is missing or not one that is read.
        UndecodableError: the array is of another kind, or holds what is no sound.
        NoSamplesError: it is empty.
    """
    rate = _checked_rate(sample_rate_hz)
    if isinstance(array, np.ma.MaskedArray):
        raise UndecodableError("array: it is masked; array.filled(0) makes silence of what the mask hides")
    try:
        samples = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # as tensors of a GPU, or with a gradient, raise
        if hasattr(array, "detach"):
            hint = "is the tensor on a GPU, or does it have a gradient? give tensor.detach().cpu() of it, in float32"
        else:
            hint = first_line(error)
        raise UndecodableError(f"array: NumPy cannot see it as an array ({hint})") from error
    if samples.ndim not in (1, 2):
        raise UndecodableError(
            f"array: its shape is {samples.shape}; sound is [samples], [samples, channels] or [channels, samples]"
        )
    if samples.size == 0:
        raise NoSamplesError("array: it is empty, without a single sample")
    channels = samples[None] if samples.ndim == 1 else samples if samples.shape[0] <= samples.shape[1] else samples.T
    if len(channels) > MAX_CHANNELS:
        raise UndecodableError(
            f"array: its shape is {samples.shape}; the shorter axis is the channels, and up to {MAX_CHANNELS} are read"
        )
    silence, full_scale = _scale(channels)
    return Samples(channels=channels, sample_rate_hz=rate, silence=silence, full_scale=full_scale)


def _checked_rate(rate: Any) -> int:
    if rate is None:
        raise SettingsError("array: its sample rate is not said; give it, as in sample_rate_hz=44_100")
    is_number = isinstance(rate, (int, float, np.integer, np.floating)) and not isinstance(rate, bool)
    if not is_number or not math.isfinite(rate) or rate != int(rate):
        raise SettingsError(f"sample_rate_hz={rate!r} must be a whole number of samples a second")
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise SettingsError(
            f"sample_rate_hz={int(rate)} must lie in {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,}, the rates that are read"
        )
    return int(rate)


def _scale(channels: NDArray[Any]) -> tuple[float, float]:
    """Value of silence and of full scale."""
    kind = channels.dtype
    if kind.name in _INTEGERS:
        return _INTEGERS[kind.name]
    if kind.kind in "iu":
        raise UndecodableError(
            f"array: {kind.name} has no full scale that could be known; give floats from -1 to 1, or integers as WAV "
            "files hold them, int16, int32 or uint8 (array.astype('int16') where the numbers are such)"
        )
    if kind.name not in ("float16", "float32", "float64"):
        raise UndecodableError(f"array: samples must be floats or integers, not {kind.name}")
    loudest = 0.0
    for block in _blocks(channels):
        peak = float(np.abs(block).max())  # nan, where there is one
        if not math.isfinite(peak):
            what = "nan" if math.isnan(peak) else "infinite"
            raise UndecodableError(f"array: some samples are {what}; numpy.nan_to_num would make silence of them")
        loudest = max(loudest, peak)
    if loudest > LARGEST_FLOAT:
        raise UndecodableError(
            f"array: its samples reach {loudest:,.0f}, but full scale is 1; were integers made floats without dividing "
            "(by 32,768 for 16 bits)?"
        )
    return 0.0, 1.0


def _blocks(channels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for first in range(0, channels.shape[1], BLOCK_SAMPLES):
        yield channels[:, first : first + BLOCK_SAMPLES]


class SamplesStream(BlockStream[np.float32]):
    """Mono blocks at one rate, of an array or a time range of it: what `decode` gives of a file.

    Raises:
        SettingsError: the range is empty or negative.
        NoSamplesError: the range holds not one sample; raised while iterating, where it begins behind the end.
    """

    def __init__(
        self, samples: Samples, *, sample_rate_hz: int, start_seconds: float | None, stop_seconds: float | None
    ) -> None:
        start, stop = start_seconds or 0.0, math.inf if stop_seconds is None else stop_seconds
        if not 0 <= start < stop:
            raise SettingsError(f"range {start_seconds} to {stop_seconds} s: needs 0 <= start_seconds < stop_seconds")
        self._samples = samples
        self._rate = sample_rate_hz
        self._start_seconds = start
        self._start = round(start * sample_rate_hz)
        self._stop = math.inf if math.isinf(stop) else round(stop * sample_rate_hz)
        if self._start == self._stop:
            raise NoSamplesError(f"{samples.name}: the range {start:g} to {stop:g} s holds not one sample")
        self.num_samples = 0
        """Samples given out so far."""
        self.info = SourceInfo(
            container="array",
            codec=samples.channels.dtype.name,
            sample_rate_hz=samples.sample_rate_hz,
            num_channels=len(samples.channels),
        )
        self.warnings: tuple[str, ...] = ()
        self._blocks = self._range()

    def _range(self) -> Generator[NDArray[np.float32]]:
        end = 0
        for position, block in self._resampled():
            end = position + len(block)
            first, last = (max(0, bound - position) for bound in (self._start, self._stop))
            part = block[first : None if math.isinf(last) else int(last)]
            if len(part):
                self.num_samples += len(part)
                yield part
            if end >= self._stop:
                return
        if self.num_samples == 0:
            seconds = self._samples.channels.shape[1] / self._samples.sample_rate_hz
            raise NoSamplesError(
                f"{self._samples.name}: the range begins at {self._start_seconds:g} s, but the sound ends at "
                f"{seconds:.3f} s"
            )
        if not math.isinf(self._stop) and self._stop - end > END_SLACK_SECONDS * self._rate:
            self.warnings = (ENDS_EARLY,)

    def _resampled(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Blocks at our rate, each with its place in the whole; the first one well before the range."""
        samples, rate = self._samples, self._samples.sample_rate_hz
        step = grid_period(rate, self._rate)
        run_up = int((self._start_seconds - 2 * FILTER_SECONDS) * rate)
        begin = max(0, run_up // step * step)
        position = begin * self._rate // rate
        resampler = MonoResampler(rate, self._rate)
        for block in _blocks(samples.channels[:, begin:]):
            resampled = resampler.push(mean_of(list(block), silence=samples.silence, full_scale=samples.full_scale))
            yield position, resampled
            position += len(resampled)
        yield position, resampler.flush()
