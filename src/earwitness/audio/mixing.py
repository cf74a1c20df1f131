"""Down to one channel: the unweighted mean of all channels, in float32, full scale 1, never clipped."""

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

_SAMPLE_TYPES: dict[str, tuple[str, float, float]] = {
    # FFmpeg's name: NumPy type, value of silence, value of full scale
    "u8": ("u1", 128.0, 128.0),
    "s16": ("i2", 0.0, 2.0**15),
    "s32": ("i4", 0.0, 2.0**31),
    "s64": ("i8", 0.0, 2.0**63),
    "flt": ("f4", 0.0, 1.0),
    "dbl": ("f8", 0.0, 1.0),
}


def mean_of_channels(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Mix a decoded frame to mono.

    Args:
        frame: of any of FFmpeg's sample formats, planar or interleaved, with any number of channels.

    Returns:
        float32 [samples]; integers are divided by their full scale. A value that is not a number becomes 0.
    """
    num_channels = frame.layout.nb_channels
    dtype, silence, full_scale = _SAMPLE_TYPES[frame.format.packed.name]
    mono = np.zeros(frame.samples, np.float32)
    for channel in _channels(frame, np.dtype(dtype), num_channels):
        np.add(mono, channel, out=mono, casting="unsafe")
    if silence:
        mono -= np.float32(silence * num_channels)
    scale = np.float32(1.0 / (full_scale * num_channels))
    if scale != 1.0:
        mono *= scale
    return mono


def _channels(frame: av.AudioFrame, dtype: np.dtype[Any], num_channels: int) -> list[NDArray[Any]]:
    """Views of the samples of each channel."""
    if frame.format.is_planar:
        return [np.frombuffer(plane, dtype, frame.samples) for plane in frame.planes[:num_channels]]
    samples = np.frombuffer(frame.planes[0], dtype, frame.samples * num_channels)
    return list(samples.reshape(-1, num_channels).T)
