"""From the file's sample rate to ours: FFmpeg's resampler on mono float32 blocks.

Mixing to mono comes first, which halves the work for stereo. Output sample j stands at input time j / rate_out, and
there is one for every such time inside the input: ceil(samples_in * rate_out / rate_in) in all, so that not even a
single sample is lost. Outside the input there is silence. How the input is cut into blocks changes nothing.

Output times meet input times every `grid_period` input samples. A resampler that starts there, in the middle of a
file, makes the very samples that one from the beginning makes, once its filter is filled.
"""

from math import gcd

import av
import numpy as np
from numpy.typing import NDArray

from earwitness.audio.mixing import plane_samples

FILTER_SECONDS = 0.05
"""More than the resampler's filter reaches to either side, at every rate that is read: 16 samples of the lower of the
two rates, which is 16 ms at 1 kHz."""


class MonoResampler:
    """Resamples one run of blocks of one rate."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self.rate_in, self._rate_out = rate_in, rate_out
        self._num_in = self._num_out = 0
        self._resampler: av.AudioResampler | None = None
        self._frame: av.AudioFrame | None = None  # used again: allocating one for every block costs a third
        self._surplus_out = 0  # output samples still to come that belong before the input
        if rate_in != rate_out:
            self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_out)
            # FFmpeg would mirror the beginning; silence before it is what the end gets too
            step = grid_period(rate_in, rate_out)
            lead = step * -(-int(FILTER_SECONDS * rate_in) // step)
            self._surplus_out = lead * rate_out // rate_in
            self._through(np.zeros(lead, np.float32))

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """What `block` adds to the output; its last few milliseconds are still in the filter."""
        self._num_in += len(block)
        if self._resampler is None or len(block) == 0:
            return block
        return self._through(block)

    def flush(self) -> NDArray[np.float32]:
        """The rest of the output, after the last block."""
        if self._resampler is None:
            return np.empty(0, np.float32)
        due = -(-self._num_in * self._rate_out // self.rate_in) - self._num_out
        return self._through(np.zeros(int(2 * FILTER_SECONDS * self.rate_in), np.float32))[:due]

    def _through(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self._resampler is not None
        if self._frame is None or self._frame.samples != len(block):
            self._frame = av.AudioFrame(format="fltp", layout="mono", samples=len(block))
            self._frame.sample_rate = self.rate_in
        plane_samples(self._frame.planes[0], np.float32, len(block))[:] = block
        self._frame.pts = None
        blocks = [
            plane_samples(frame.planes[0], np.float32, frame.samples) for frame in self._resampler.resample(self._frame)
        ]
        output = blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0, np.float32), *blocks])
        early = min(self._surplus_out, len(output))
        self._surplus_out -= early
        self._num_out += len(output) - early
        return output[early:]


def grid_period(rate_in: int, rate_out: int) -> int:
    """Input samples from one meeting of input times and output times to the next."""
    return rate_in // gcd(rate_in, rate_out)
