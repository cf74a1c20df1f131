"""Patches from frames as they come, so that memory does not grow with length."""

import numpy as np
import numpy.typing as npt

from earwitness.audio.patches import cut_patches
from earwitness.front_end import FrontEnd


class PatchCutter:
    """Takes blocks of frames and gives patches in whole batches, the last ones excepted."""

    def __init__(self, front_end: FrontEnd, *, batch_patches: int) -> None:
        """`front_end` says how long a patch is and how far the next one starts."""
        self._front_end = front_end
        self._batch_patches = batch_patches
        self._frames_of_batch = (batch_patches - 1) * front_end.patch_hop_frames + front_end.patch_frames
        self._waiting: list[npt.NDArray[np.float16]] = []
        self._num_waiting = 0

    def push(self, frames: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
        """Patches [n, patch_frames, bands] that are complete now: a number of whole batches, or none."""
        self._waiting.append(frames)
        self._num_waiting += len(frames)
        if self._num_waiting < self._frames_of_batch:
            return self._no_patches()
        joined = np.concatenate(self._waiting)
        patches = cut_patches(joined, front_end=self._front_end)
        num_whole = len(patches) - len(patches) % self._batch_patches
        rest = joined[num_whole * self._front_end.patch_hop_frames :]
        self._waiting, self._num_waiting = [rest], len(rest)
        return patches[:num_whole]

    def finish(self) -> npt.NDArray[np.float16]:
        """The patches that are left when all frames were pushed: fewer than a batch."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return self._no_patches()
        return cut_patches(np.concatenate(waiting), front_end=self._front_end)

    def _no_patches(self) -> npt.NDArray[np.float16]:
        return np.empty((0, self._front_end.patch_frames, self._front_end.num_bands), np.float16)
