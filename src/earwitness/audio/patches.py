"""Patches: the stretches of frames that a network sees, cut when read.

Cutting is a view: 96 frames of 64 float16 bands are 12,288 contiguous bytes, and overlapping patches share theirs.
"""

from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from earwitness.front_end import FrontEnd

Frame = TypeVar("Frame", bound=np.generic)


def cut_patches(frames: NDArray[Frame], *, front_end: FrontEnd) -> NDArray[Frame]:
    """Cut frames into patches.

    Args:
        frames: [frames, bands] of any type.
        front_end: says how long a patch is and how far the next one starts.

    Returns:
        [patches, patch_frames, bands], a read-only view; the incomplete tail is dropped.
    """
    num_patches = front_end.frames_to_patches(len(frames))
    step, band_step = frames.strides
    return as_strided(
        frames,
        (num_patches, front_end.patch_frames, frames.shape[1]),
        (step * front_end.patch_hop_frames, step, band_step),
        writeable=False,
    )
