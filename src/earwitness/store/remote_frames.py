"""Frames of a store behind a URL: many ranged requests at a time, through the bounded pool of the file system.

Patches that follow one another in a clip are one range. Where the data of a part begin follows from how parts are
written, so nothing is asked but frames.
"""

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.places import RANGE_BYTES, UrlPath
from earwitness.store.files import npy_header_bytes
from earwitness.store.parts import FRAME_DTYPE, frames_path

_BYTES_AT_ONCE = 256 * 2**20


class RemoteFrames:
    """Reads from the parts of a store; may be used by several threads at a time."""

    def __init__(self, data_folder: UrlPath, *, num_bands: int) -> None:
        self._data_folder = data_folder
        self._data_offset = npy_header_bytes(FRAME_DTYPE, (num_bands,))

    def read_into(
        self, out: npt.NDArray[np.float16], parts: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64], size: int
    ) -> None:
        """Fill each row of `out` with `size` bytes from `offsets` of the data of `parts`.

        Raises:
            StoreError: a part is missing, cannot be read, or is too short.
        """
        target = out.reshape(-1).view(np.uint8).data
        follows = (np.diff(parts) == 0) & (np.diff(offsets) == size)
        firsts = np.flatnonzero(np.concatenate([[True], ~follows])) if len(parts) else np.empty(0, np.int64)
        stops = np.append(firsts[1:], len(parts))
        ranges = [
            (int(parts[first]), int(offsets[first]) + at, first * size + at, min(RANGE_BYTES, length - at))
            for first, length in zip(firsts.tolist(), ((stops - firsts) * size).tolist(), strict=True)
            for at in range(0, length, RANGE_BYTES)
        ]
        at_once = max(1, _BYTES_AT_ONCE // max(1, min(size, RANGE_BYTES)))
        for start in range(0, len(ranges), at_once):
            self._read(target, ranges[start : start + at_once])

    def _read(self, target: memoryview, ranges: list[tuple[int, int, int, int]]) -> None:
        paths = [frames_path(self._data_folder, part) for part, _, _, _ in ranges]
        starts = [self._data_offset + offset for _, offset, _, _ in ranges]
        stops = [start + length for start, (_, _, _, length) in zip(starts, ranges, strict=True)]
        folder = paths[0].parent
        assert isinstance(folder, UrlPath)
        try:
            pieces = folder.read_ranges([path.name for path in paths], starts, stops)
        except OSError as error:
            raise StoreError(f"{folder}: parts of the store cannot be read ({error.strerror or error})") from error
        for path, piece, (_, _, place, length) in zip(paths, pieces, ranges, strict=True):
            if len(piece) != length:
                raise StoreError(f"{path}: it ends too early; the store is damaged")
            target[place : place + length] = piece
