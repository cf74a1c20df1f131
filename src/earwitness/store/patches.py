"""Patches are cut when read: this file says which frames patch number n is made of.

Patches are numbered from 0 through the chosen clips in order, clip by clip, so the shuffled order of a
training step (`order.py`) turns into reads (`reading.py`). A patch never crosses the border of two clips; an
incomplete tail is dropped; a clip with fewer frames than a patch has none.
"""

import numpy as np
import numpy.typing as npt

from earwitness.errors import SettingsError
from earwitness.store.runs import RunFinder

_CLIPS_AT_ONCE = 1 << 20
"""Counted at a time, so that counting needs no memory to speak of beside the counts."""

Indices = npt.NDArray[np.int64]


class PatchIndex:
    """Numbers the patches of some clips of a store."""

    def __init__(self, frames_per_clip: Indices, clips: Indices, *, patch_frames: int, hop_frames: int) -> None:
        """Count the patches.

        Args:
            frames_per_clip: int64 [all clips of the store].
            clips: int64 [n]; the clips to number, in this order.
            patch_frames: frames of a patch.
            hop_frames: frames from the start of a patch to the next within its clip.
        """
        if patch_frames < 1 or hop_frames < 1:
            raise SettingsError(f"patch_frames={patch_frames} and hop_frames={hop_frames} must be at least 1")
        self.clips = np.asarray(clips, dtype=np.int64)
        """int64 [n]: clips, as given."""
        self.patch_frames = patch_frames
        self.hop_frames = hop_frames
        frames_per_clip = np.asarray(frames_per_clip)
        self._firsts = np.zeros(len(self.clips) + 1, dtype=np.int64)
        """The first patch of each clip, and behind the last clip the number of patches."""
        for start in range(0, len(self.clips), _CLIPS_AT_ONCE):
            frames = frames_per_clip[self.clips[start : start + _CLIPS_AT_ONCE]]
            self._firsts[start + 1 : start + 1 + len(frames)] = np.maximum(0, (frames - patch_frames) // hop_frames + 1)
        np.cumsum(self._firsts, out=self._firsts)
        self._finder = RunFinder(self._firsts[1:])

    @property
    def num_patches(self) -> int:
        """Patches of all the clips together."""
        return int(self._firsts[-1])

    @property
    def first_patches(self) -> Indices:
        """int64 [n]: the number of the first patch of each of `clips`."""
        return self._firsts[:-1]

    @property
    def patches_per_clip(self) -> Indices:
        """int64 [n]: patches of each of `clips`; 0 where the clip is shorter than a patch."""
        return np.diff(self._firsts)

    def patches_of(self, rows: Indices) -> Indices:
        """How many patches the clips in these rows of `clips` have, in the shape of `rows`."""
        patches: Indices = self._firsts[rows + 1] - self._firsts[rows]
        return patches

    def locate(self, patch_numbers: Indices) -> tuple[Indices, Indices]:
        """Clip and first frame within it, int64 [n] each, of the patches with these numbers.

        Raises:
            IndexError: a number is outside [0, num_patches).
        """
        numbers = np.asarray(patch_numbers, dtype=np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.num_patches):
            raise IndexError(
                f"patch numbers must lie in [0, {self.num_patches}); came {numbers.min()} to {numbers.max()}"
            )
        rows = self._finder.find(numbers)
        within = numbers - self._firsts[rows]
        return self.clips[rows], within * self.hop_frames
