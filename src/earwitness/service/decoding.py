"""One upload to a spool file of frames: what the limited processes of the service run.

No torch, and nothing of the service, is in these processes. The file is opened by the name that the service gave it;
the name that the client gave is what messages say, and FFmpeg hears it as it hears the name of any file, so that an
upload is read as the same file is from a disk. `audio.source` keeps files from naming others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import GATHER_FRAMES, media_frames
from earwitness.audio.source import Source
from earwitness.front_end import FrontEnd


@dataclass(frozen=True, kw_only=True)
class DecodeTask:
    """An upload to decode."""

    path: str
    name: str
    """What messages call it."""
    spool_path: str
    """Where its frames go: raw float16, row after row."""
    front_end: FrontEnd
    max_seconds: float
    """Longer sound is not decoded to its end."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What came of it."""

    num_samples: int
    is_padded: bool
    warnings: tuple[str, ...]
    is_too_long: bool
    """Its frames are then only the first ones."""


class _NamedFile(FileIO):
    """A file that goes by another name."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path)
        self.name = name


def decode_upload(task: DecodeTask) -> Decoded:
    """Decode an upload into its spool file.

    Raises:
        MediaError: it gives no sound.
    """
    max_samples = task.max_seconds * task.front_end.sample_rate_hz
    with (
        _NamedFile(task.path, task.name) as file,
        Path(task.spool_path).open("wb") as spool,
        media_frames(cast(Source, file), front_end=task.front_end) as stream,
    ):
        for frames in stream:
            spool.write(np.ascontiguousarray(frames).data)
            if stream.num_samples > max_samples:
                break
        is_too_long = stream.num_samples > max_samples
        return Decoded(
            num_samples=stream.num_samples,
            is_padded=stream.is_padded,
            warnings=stream.warnings,
            is_too_long=is_too_long,
        )


class SpooledFrames:
    """The frames of an upload, read back; what `Tagger.score_frames` takes."""

    def __init__(self, path: Path, decoded: Decoded, *, num_bands: int) -> None:
        """`num_bands`: of a frame."""
        self._path = path
        self._num_bands = num_bands
        self.num_samples = decoded.num_samples
        self.warnings = decoded.warnings
        self.is_padded = decoded.is_padded

    def __iter__(self) -> Iterator[npt.NDArray[np.float16]]:
        with self._path.open("rb") as file:
            while True:
                numbers = np.fromfile(file, dtype=np.float16, count=GATHER_FRAMES * self._num_bands)
                if not len(numbers):
                    return
                yield numbers.reshape(-1, self._num_bands)
