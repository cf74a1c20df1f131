"""Down to one channel: the unweighted mean of all channels, in float32, full scale 1, never clipped."""

from typing import Any

import av
import numpy as np
from numpy.typing import DTypeLike, NDArray

MAX_PLANES = 8
"""PyAV finds the planes of a frame by looking for the first that is missing, which is safe up to FFmpeg's own 8."""

LARGEST_FLOAT = 100.0
"""Floats beyond it are no sound: 40 dB above full scale no recording is, but integers turned into floats are."""

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
        float32 [samples]; integers are divided by their full scale.
    """
    num_channels = frame.layout.nb_channels
    if frame.format.is_planar and num_channels > MAX_PLANES:
        frame = _interleaved(frame)
    sample_type, silence, full_scale = _SAMPLE_TYPES[frame.format.packed.name]
    channels = _channels(frame, np.dtype(sample_type), num_channels)
    return mean_of(channels, silence=silence, full_scale=full_scale)


def mean_of(channels: list[NDArray[Any]], *, silence: float, full_scale: float) -> NDArray[np.float32]:
    """Mix channels [samples] of any one type to mono, float32 [samples].

    Args:
        channels: at least one.
        silence: their value of silence.
        full_scale: the distance from there that becomes 1.
    """
    mono = np.zeros(len(channels[0]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # float samples may be anything
        for channel in channels:
            np.add(mono, channel, out=mono, casting="unsafe")
    if silence:
        mono -= np.float32(silence * len(channels))
    mono *= np.float32(1.0 / (full_scale * len(channels)))
    return mono


def channel_samples(frame: av.AudioFrame) -> list[NDArray[np.float32]]:
    """The channels of a decoded frame, float32 [samples] each, full scale 1."""
    if frame.format.is_planar and frame.layout.nb_channels > MAX_PLANES:
        frame = _interleaved(frame)
    sample_type, silence, full_scale = _SAMPLE_TYPES[frame.format.packed.name]
    channels = []
    for channel in _channels(frame, np.dtype(sample_type), frame.layout.nb_channels):
        samples = channel.astype(np.float32)
        if silence:
            samples -= np.float32(silence)
        samples *= np.float32(1.0 / full_scale)
        channels.append(samples)
    return channels


def plane_samples(plane: Any, sample_type: DTypeLike, count: int) -> NDArray[Any]:
    """The samples of a frame's plane as an array that shares its memory; PyAV's types do not say that this goes."""
    return np.frombuffer(plane, sample_type, count)


def _channels(frame: av.AudioFrame, sample_type: np.dtype[Any], num_channels: int) -> list[NDArray[Any]]:
    """Views of the samples of each channel."""
    if frame.format.is_planar:
        return [plane_samples(plane, sample_type, frame.samples) for plane in frame.planes[:num_channels]]
    samples = plane_samples(frame.planes[0], sample_type, frame.samples * num_channels)
    return list(samples.reshape(-1, num_channels).T)


def _interleaved(frame: av.AudioFrame) -> av.AudioFrame:
    """The same samples in one plane."""
    resampler = av.AudioResampler(format=frame.format.packed)
    (interleaved,) = resampler.resample(frame)
    return interleaved
