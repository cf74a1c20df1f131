"""Media decoded by processes that hold limits of time and memory, one stream of frames after the other for the parent.

    for sound, frames in decoded(sounds, front_end=front_end, limits=DecodeLimits(), spool_folder=folder):
        if isinstance(frames, Failure): ...
        else:
            for block in frames: ...

A worker writes frames to a spool file as they come, so no process grows with the length of the media, and only a few
numbers travel. A hostile file harms its worker alone. Spool files lie in a folder of their own and are gone once they
are read, or once the iterator is closed; not more than `SPOOLS_PER_WORKER` for each worker are there at a time: who
reads slowly slows the decoding down. (An hour of media takes 46 MB at 64 bands.)
"""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.audio.frames import GATHER_FRAMES, media_frames
from earwitness.audio.source import Source, media_source
from earwitness.audio.transient import trying_again
from earwitness.errors import EarwitnessError
from earwitness.files import LOCK_FILE, locked
from earwitness.front_end import FrontEnd
from earwitness.parallel import Failure, run_tasks, usable_cpus

SPOOLS_PER_WORKER = 4
"""Files that a worker may be ahead of the reader."""

_TEMPORARY_PREFIX = "earwitness-spool-"

Key = TypeVar("Key")


@dataclass(frozen=True)
class Sound(Generic[Key]):
    """What is to be decoded: a media file, or a range of its time or bytes."""

    key: Key
    """By which the caller knows it; travels to the worker and back."""
    media: str
    """Path or URL."""
    start_seconds: float | None = None
    stop_seconds: float | None = None
    media_offset_bytes: int | None = None
    """Where in the file the media begins; None where it is the whole file."""
    media_num_bytes: int | None = None

    @property
    def source(self) -> Source:
        """What to open."""
        return media_source(self.media, self.media_offset_bytes, self.media_num_bytes)


@dataclass(frozen=True)
class SpooledFrames:
    """The frames of one sound, in a file; `inference.tagger.FrameBlocks` all there from the beginning."""

    path: Path
    num_frames: int
    num_bands: int
    num_samples: int
    """Samples at the front end's rate, without silence that was added."""
    is_padded: bool
    """Whether silence was added to reach one patch."""
    warnings: tuple[str, ...]
    """What the decoder complained of, in sentences."""

    def __iter__(self) -> Iterator[npt.NDArray[np.float16]]:
        """Blocks of frames [frames, bands], those of `media_frames`."""
        block_bytes = GATHER_FRAMES * self.num_bands * 2
        with self.path.open("rb", buffering=0) as file:
            while content := file.read(block_bytes):
                yield np.frombuffer(content, np.float16).reshape(-1, self.num_bands)


def decoded(
    sounds: Iterable[Sound[Key]], *, front_end: FrontEnd, limits: DecodeLimits, spool_folder: Path
) -> Generator[tuple[Sound[Key], SpooledFrames | Failure], None, None]:
    """Decode sounds in worker processes; each comes as it is done, in any order.

    Args:
        sounds: taken as there is room for them.
        front_end: how sound becomes frames.
        limits: workers, and what a sound may take.
        spool_folder: made where it is not there; what is in it is left alone.

    Yields: a sound with its frames, to be read before the next is asked for; or with why there are none.

    Raises:
        EarwitnessError: the spool folder cannot be written, or workers cannot be started.
    """
    workers = limits.workers or usable_cpus()
    try:
        spool_folder.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(dir=spool_folder, prefix=f"{socket.gethostname()}-{os.getpid()}-"))
    except OSError as error:
        raise _not_writable(spool_folder, error) from error
    outcomes = run_tasks(
        _decode,
        (_Task(sound, front_end, str(own / f"{number}")) for number, sound in enumerate(sounds)),
        workers=workers,
        timeout_seconds=limits.timeout_seconds,
        cpu_limit_seconds=limits.cpu_limit_seconds,
        memory_limit_bytes=limits.memory_limit_mib * 2**20,
        in_flight_per_worker=SPOOLS_PER_WORKER,
    )
    try:
        with contextlib.closing(outcomes):
            for outcome in outcomes:
                result = outcome.value or outcome.failure
                assert result is not None
                yield outcome.task.sound, result
                Path(outcome.task.spool_path).unlink(missing_ok=True)
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextlib.contextmanager
def temporary_spool_folder() -> Iterator[Path]:
    """A folder for `decoded` where TMPDIR says, gone in the end. What processes that were killed left there goes, too.

    Raises:
        EarwitnessError: it cannot be made.
    """
    place = Path(tempfile.gettempdir())
    busy = EarwitnessError("a living process holds it")
    for left in place.glob(f"{_TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError, EarwitnessError):
            if left.lstat().st_uid == os.getuid() and (left / LOCK_FILE).exists():
                with locked(left, busy=busy):
                    shutil.rmtree(left, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX))
    except OSError as error:
        raise _not_writable(place, error) from error
    try:
        with locked(folder, busy=None):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_writable(path: Path, error: OSError) -> EarwitnessError:
    return EarwitnessError(f"{path}: decoded frames cannot be put there ({error.strerror or error}); make room")


# What runs in the workers.


@dataclass(frozen=True)
class _Task(Generic[Key]):
    sound: Sound[Key]
    front_end: FrontEnd
    spool_path: str


def _decode(task: "_Task[Key]") -> SpooledFrames:
    return trying_again(lambda: _decode_once(task))


def _decode_once(task: "_Task[Key]") -> SpooledFrames:
    sound, path = task.sound, Path(task.spool_path)
    stream = media_frames(
        sound.source, front_end=task.front_end, start_seconds=sound.start_seconds, stop_seconds=sound.stop_seconds
    )
    with stream, contextlib.ExitStack() as stack:
        file = None
        for frames in stream:
            try:
                # unbuffered: blocks are large, and a full disk is noticed at the write, not at the close
                file = file or stack.enter_context(path.open("wb", buffering=0))
                remaining = np.ascontiguousarray(frames).reshape(-1).view(np.uint8).data
                while remaining:
                    remaining = remaining[file.write(remaining) :]
            except OSError as error:  # not the media's fault
                raise _not_writable(path, error) from error
    return SpooledFrames(
        path=path,
        num_frames=stream.num_frames,
        num_bands=task.front_end.num_bands,
        num_samples=stream.num_samples,
        is_padded=stream.is_padded,
        warnings=stream.warnings,
    )
