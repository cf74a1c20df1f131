"""One clip from media to a spool file of raw frames; what the worker processes of a build run.

The worker writes frames as they come, by plain writes, so its memory does not grow with the length of the
clip, and only a few numbers travel back to the parent. No Arrow here: a worker starts sooner and holds less.

Disks and networks that fail are given some time, and the clip another try.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import media_frames
from earwitness.audio.source import Source, media_source
from earwitness.audio.transient import trying_again
from earwitness.front_end import FrontEnd
from earwitness.store.decoded import DecodedClip
from earwitness.store.files import new_digest, write_error


@dataclass(frozen=True)
class ClipTask:
    """One row of a manifest, to be decoded."""

    part: int
    """The part of the store that it belongs to."""
    place: int
    """Its row there, from 0."""
    media: str
    start_seconds: float | None
    stop_seconds: float | None
    spool_path: str
    """Where its frames go: raw float16, row after row."""
    front_end: FrontEnd
    media_offset_bytes: int | None = None
    """Where in the file the media begins; None where it is the whole file."""
    media_num_bytes: int | None = None

    @property
    def source(self) -> Source:
        """What to decode."""
        return media_source(self.media, self.media_offset_bytes, self.media_num_bytes)


def decode_clip(task: ClipTask) -> DecodedClip:
    """Decode one clip into its spool file.

    Raises:
        MediaError: the media gives no sound.
        StoreError: the spool file cannot be written.
    """
    return trying_again(lambda: _decode(task))


def _decode(task: ClipTask) -> DecodedClip:
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(
            media_frames(
                task.source,
                front_end=task.front_end,
                start_seconds=task.start_seconds,
                stop_seconds=task.stop_seconds,
            )
        )
        digest = new_digest()
        write = stack.enter_context(_spool(Path(task.spool_path), digest))
        num_frames = 0
        for frames in stream:
            num_frames += len(frames)
            write(frames)
        info = stream.info
        return DecodedClip(
            num_frames=num_frames,
            num_samples=stream.num_samples,
            is_padded=stream.is_padded,
            warnings=stream.warnings,
            media_container=info.container,
            media_codec=info.codec,
            media_sample_rate_hz=info.sample_rate_hz,
            media_num_channels=info.num_channels,
            frames_digest=digest.hexdigest(),
        )


@contextlib.contextmanager
def _spool(path: Path, digest: "hashlib.blake2b") -> Iterator[Callable[[npt.NDArray[np.float16]], None]]:
    """A function that appends frames to a new file, and to a digest. What it cannot write is the store's fault, not
    the media's.
    """
    try:
        # unbuffered: blocks are large, and a full disk is noticed at the write, not at the close
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise write_error(path, error) from error

    def write(frames: npt.NDArray[np.float16]) -> None:
        remaining = np.ascontiguousarray(frames).reshape(-1).view(np.uint8).data
        digest.update(remaining)
        try:
            while remaining:
                remaining = remaining[file.write(remaining) :]
        except OSError as error:
            raise write_error(path, error) from error

    with file:
        yield write
