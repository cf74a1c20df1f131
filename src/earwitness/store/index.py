"""The index of a finished store: where each clip lies and its labels, as arrays that all processes share.

    index/parts.npy             int32 [clips]: the part that holds the clip
    index/first_frames.npy      int64 [clips]: its first frame within the part
    index/frames_per_clip.npy   int64 [clips]
    index/label_offsets.npy     int64 [clips + 1]; the labels of clip c are
    index/label_indices.npy     int32 [...]: label_indices[label_offsets[c] : label_offsets[c + 1]], ascending

Clips are numbered from 0 over the stored rows of the manifest, in its order.

The fingerprint is over what a training or an evaluation can see of the store: how sound becomes frames, the label
set, and for each stored clip, in order, its number of frames, its labels and every column of the manifest but
`media` and the range of bytes in it. So a corpus that moved, or was built in parts of another size or by other
workers, has the same fingerprint; one with a corrected fold or group has another. Frames are not read for it.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import StoreError
from earwitness.files import locked, replacing
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.manifest import RANGE_COLUMNS
from earwitness.places import Place, UrlPath, read_pieces
from earwitness.store.files import replacing_npy
from earwitness.store.header import StoreHeader
from earwitness.store.parts import ADDED_COLUMNS

INDEX_FOLDER = "index"

_DTYPES: dict[str, np.dtype[Any]] = {
    "parts": np.dtype("<i4"),
    "first_frames": np.dtype("<i8"),
    "frames_per_clip": np.dtype("<i8"),
    "label_offsets": np.dtype("<i8"),
    "label_indices": np.dtype("<i4"),
}

_NOT_IN_FINGERPRINT = {"media", *RANGE_COLUMNS, *ADDED_COLUMNS} - {"num_frames", "label_indices"}


@dataclass(frozen=True)
class StoreIndex:
    """The arrays above, memory-mapped and read-only."""

    parts: npt.NDArray[np.int32]
    first_frames: npt.NDArray[np.int64]
    frames_per_clip: npt.NDArray[np.int64]
    label_offsets: npt.NDArray[np.int64]
    label_indices: npt.NDArray[np.int32]


def write_index(folder: Place, header: StoreHeader, parts: Iterable[pa.Table]) -> str:
    """Write the index to `index/` in a folder, and give the fingerprint: 32 hex digits.

    Args:
        folder: where to.
        header: of the store.
        parts: the stored rows of each part, in order.
    """
    (folder / INDEX_FOLDER).mkdir(exist_ok=True)
    fingerprint = Fingerprint(header.front_end, header.label_set)
    with contextlib.ExitStack() as stack:
        append = {
            name: stack.enter_context(replacing_npy(_path(folder, name), dtype=dtype))
            for name, dtype in _DTYPES.items()
        }
        num_labels = 0
        append["label_offsets"](np.zeros(1, np.int64))
        for part, rows in enumerate(parts):
            num_frames = rows["num_frames"].to_numpy()
            labels = rows["label_indices"].combine_chunks()
            lengths = labels.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
            flat = labels.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
            append["parts"](np.full(rows.num_rows, part, np.int32))
            append["first_frames"](rows["first_frame"].to_numpy())
            append["frames_per_clip"](num_frames)
            append["label_offsets"](num_labels + np.cumsum(lengths))
            append["label_indices"](flat)
            num_labels += len(flat)
            fingerprint.push(rows)
    return fingerprint.finish()


class Fingerprint:
    """Takes the stored rows of clips, in order."""

    def __init__(self, front_end: FrontEnd, label_set: LabelSet) -> None:
        self._digest = hashlib.sha256(f"{front_end.frames_identity} {label_set.identity}".encode())

    def push(self, rows: pa.Table) -> None:
        """Take clips: all columns of the manifest, `num_frames` and `label_indices`; others of a store may be there."""
        hidden = [name for name in rows.column_names if name in _NOT_IN_FINGERPRINT]
        for row in rows.drop_columns(hidden).to_pylist():
            self._digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")

    def finish(self) -> str:
        """32 hex digits."""
        return self._digest.hexdigest()[:32]


def open_index(folder: Place, *, num_clips: int) -> StoreIndex:
    """Map the arrays of an index.

    Raises:
        StoreError: one is missing, damaged or of another length than the store.
    """
    here = _copied_here(folder) if isinstance(folder, UrlPath) else folder
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, dtype in _DTYPES.items():
        path = _path(here, name)
        assert isinstance(path, Path)
        try:
            array = np.asarray(np.load(path, mmap_mode="r"))  # still mapped, but indexed faster
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{path}: the store's index cannot be read ({error})") from error
        length = {"label_offsets": num_clips + 1, "label_indices": len(array)}.get(name, num_clips)
        if array.dtype != dtype or array.shape != (length,):
            raise StoreError(f"{path}: damaged, expected {dtype} [{length}], came {array.dtype} {list(array.shape)}")
        arrays[name] = array
    if arrays["label_offsets"][-1] != len(arrays["label_indices"]):
        raise StoreError(f"{_path(here, 'label_indices')}: damaged, its length differs from the last label offset")
    return StoreIndex(**arrays)


def _copied_here(folder: UrlPath) -> Path:
    """The index of a store behind a URL, copied once to the cache of this machine's user, and again when it changes."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earwitness" / "indexes"
    copy = cache / hashlib.sha256(str(folder).encode()).hexdigest()[:32]
    try:
        (copy / INDEX_FOLDER).mkdir(parents=True, exist_ok=True)
        with locked(copy, busy=None):
            for name in _DTYPES:
                there, here = _path(folder, name), _path(copy, name)
                assert isinstance(there, UrlPath)
                assert isinstance(here, Path)
                size, version = there.size_and_version()
                note = here.with_suffix(".version")
                if not (here.exists() and note.exists() and note.read_text(encoding="utf-8") == version):
                    note.unlink(missing_ok=True)
                    with replacing(here) as file:
                        for piece in read_pieces(there, 0, size):
                            file.write(piece)
                    with replacing(note) as file:
                        file.write(version.encode())
    except OSError as error:
        where = error.filename or copy
        raise StoreError(
            f"{where}: the store's index cannot be copied here ({error.strerror or error}); XDG_CACHE_HOME names the "
            "folder for such copies"
        ) from error
    return copy


def _path(folder: Place, name: str) -> Place:
    return folder / INDEX_FOLDER / f"{name}.npy"
