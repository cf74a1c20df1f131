"""Frames of a store at random: many short reads, as fast from memory as a memory map and much faster from a
disk.

A read is first tried without waiting (`RWF_NOWAIT`, Linux): what lies in the page cache comes at once, in the
calling thread. What would wait for a disk goes to a bounded pool of threads, so that a batch waits for the
slowest of many reads at once, where page faults of a memory map would wait for one after another. Where the
system knows no such flag, every read goes through the pool.

Parts are opened as needed, at most half as many at a time as the process may have open (`ulimit -n`). They are not
memory-mapped: a large store has more parts than the 65,530 maps that Linux allows a process. What lies behind a URL
is read by `remote_frames.py`.
"""

import errno
import os
import re
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.places import UrlPath
from earwitness.store.parts import FRAME_DTYPE, PARTS_FOLDER, frames_name, frames_path
from earwitness.store.read import Store
from earwitness.store.remote_frames import RemoteFrames

Indices = npt.NDArray[np.int64]
Frames = npt.NDArray[np.float16]
Item = TypeVar("Item")
Result = TypeVar("Result")

_PIECE_BYTES = 1 << 20
"""A long read is cut into pieces, which are waited for at the same time."""
_READS_AT_ONCE = 256
"""Reads whose files are held open together."""
_MAX_OPEN_FILES = 65_536
_SLOW_OPENING_SECONDS = 0.0002
"""Opening takes 0.00001 from memory, and a hundred times that from a disk."""

_NPY_HEADER_BYTES = 1_024
_NPY_HEADER = re.compile(rb"\x93NUMPY\x01\x00(..)(\{'descr': .*\(\d+, (\d+)\), \} *\n)", re.DOTALL)


@dataclass(slots=True)
class _OpenFile:
    part: int
    descriptor: int
    data_offset: int
    pins: int = 0
    """Batches that are reading from it."""


_Read = tuple[_OpenFile, memoryview, int]
"""A file, where its bytes go, and their position in the file."""


def _pieces(read: _Read) -> Iterator[_Read]:
    file, target, position = read
    for start in range(0, len(target), _PIECE_BYTES):
        yield file, target[start : start + _PIECE_BYTES], position + start


class FrameReader:
    """Reads frames of a store; may be used by several threads at a time."""

    def __init__(self, store: Store, *, threads: int = 16) -> None:
        """Prepare to read; nothing is opened yet.

        Args:
            store: the store.
            threads: reads that wait for a disk at a time.
        """
        self.store = store
        self._num_bands = store.front_end.num_bands
        self._row_bytes = self._num_bands * FRAME_DTYPE.itemsize
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="frames")
        self._files = _OpenFiles(store, self._spread)
        self._can_try = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")
        folder = store.data_folder
        self._remote = RemoteFrames(folder, num_bands=self._num_bands) if isinstance(folder, UrlPath) else None

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and close the files."""
        self._pool.shutdown()
        self._files.close()

    def read_patches(
        self, clips: Indices, first_frames: Indices, patch_frames: int, out: Frames | None = None
    ) -> Frames:
        """Runs of frames of equal length from many places.

        Args:
            clips: int64 [n].
            first_frames: int64 [n]: where each patch begins within its clip; any frame, not only multiples of
                a hop.
            patch_frames: frames of each patch.
            out: float16 [n, patch_frames, bands], C-contiguous, to read into; a new array by default.

        Returns:
            float16 [n, patch_frames, bands].

        Raises:
            ValueError: a patch reaches outside its clip, or `out` does not fit.
            StoreError: a part is missing or damaged.
        """
        clips = np.asarray(clips, dtype=np.int64)
        first_frames = np.asarray(first_frames, dtype=np.int64)
        self._check_within(clips, first_frames, patch_frames)
        shape = (len(clips), patch_frames, self._num_bands)
        if out is None:
            out = np.empty(shape, dtype=FRAME_DTYPE)
        elif out.shape != shape or out.dtype != FRAME_DTYPE or not out.flags.c_contiguous:
            raise ValueError(
                f"out must be C-contiguous {FRAME_DTYPE} {list(shape)}; came {out.dtype} {list(out.shape)}"
            )
        parts = self.store.index.parts[clips]
        offsets = (self.store.index.first_frames[clips] + first_frames) * self._row_bytes
        read_into = self._remote.read_into if self._remote else self._read_into
        read_into(out, parts, offsets, patch_frames * self._row_bytes)
        return out

    def read_clip(self, clip: int, *, first_frame: int = 0, num_frames: int | None = None) -> Frames:
        """Frames of one clip, float16 [n, bands]: from `first_frame`, `num_frames` of them or to the end.

        Raises:
            ValueError: the range reaches outside the clip.
            StoreError: a part is missing or damaged.
        """
        if num_frames is None:
            num_frames = int(self.store.frames_per_clip[clip]) - first_frame
        frames: Frames = self.read_patches(np.array([clip]), np.array([first_frame]), num_frames)[0]
        return frames

    def _check_within(self, clips: Indices, first_frames: Indices, patch_frames: int) -> None:
        if clips.ndim != 1 or clips.shape != first_frames.shape:
            raise ValueError(f"clips {list(clips.shape)} and first_frames {list(first_frames.shape)} must both be [n]")
        if clips.size and (clips.min() < 0 or clips.max() >= self.store.num_clips):
            raise ValueError(f"clips must lie in [0, {self.store.num_clips}); came {clips.min()} to {clips.max()}")
        lengths = self.store.frames_per_clip[clips]
        outside = np.flatnonzero((first_frames < 0) | (first_frames + patch_frames > lengths) | (patch_frames < 0))
        if outside.size:
            at = outside[0]
            raise ValueError(
                f"clip {clips[at]} has {lengths[at]} frames; "
                f"[{first_frames[at]}, {first_frames[at] + patch_frames}) reaches outside"
            )

    def _read_into(self, out: Frames, parts: npt.NDArray[np.int32], offsets: Indices, size: int) -> None:
        """Fill each row of `out` with `size` bytes from `offsets` of the data of `parts`."""
        target = out.reshape(-1).view(np.uint8).data
        for first in range(0, len(parts), _READS_AT_ONCE):
            stop = min(first + _READS_AT_ONCE, len(parts))
            numbers, which = np.unique(parts[first:stop], return_inverse=True)
            files = self._files.acquire(numbers.tolist())
            try:
                data_offsets = np.array([file.data_offset for file in files])
                positions = (offsets[first:stop] + data_offsets[which]).tolist()
                rows = [target[row * size : (row + 1) * size] for row in range(first, stop)]
                reads = list(zip([files[file] for file in which.tolist()], rows, positions, strict=True))
                if waiting := self._read_at_once(reads):
                    self._spread(self._read_waiting, [piece for read in waiting for piece in _pieces(read)])
            finally:
                self._files.release(files)

    def _read_at_once(self, reads: list[_Read]) -> list[_Read]:
        """Read what is in memory; give back what is not."""
        if not self._can_try:
            return reads
        waiting = []
        preadv, flag = os.preadv, os.RWF_NOWAIT
        for file, target, position in reads:
            try:
                got = preadv(file.descriptor, (target,), position, flag)
            except BlockingIOError:
                got = 0
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise self._reading_error(file.part, error) from error
                self._can_try = False  # this file system, or this kernel, knows no such flag
                return reads
            if got < len(target):
                waiting.append((file, target[got:], position + got))
        return waiting

    def _read_waiting(self, read: _Read) -> None:
        file, target, position = read
        while target:
            try:
                if hasattr(os, "preadv"):
                    got = os.preadv(file.descriptor, (target,), position)
                else:
                    data = os.pread(file.descriptor, len(target), position)
                    got = len(data)
                    target[:got] = data
            except OSError as error:
                raise self._reading_error(file.part, error) from error
            if not got:
                path = frames_path(self.store.data_folder, file.part)
                raise StoreError(f"{path}: it ends too early; the store is damaged")
            target, position = target[got:], position + got

    def _reading_error(self, part: int, error: OSError) -> StoreError:
        path = frames_path(self.store.data_folder, part)
        return StoreError(f"{path}: this part of the store cannot be read ({error.strerror or error})")

    def _spread(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Call a function for each item, shared among the threads of the pool; results in order of items."""
        if len(items) == 1:
            return [function(items[0])]
        shares = [items[start :: self._threads] for start in range(min(self._threads, len(items)))]
        futures = [self._pool.submit(lambda share: [function(item) for item in share], share) for share in shares]
        wait(futures)  # all of them: after an error, none may go on with files that are let go of
        results: list[Result | None] = [None] * len(items)
        for start, future in enumerate(futures):
            results[start :: self._threads] = future.result()
        return results  # type: ignore[return-value]  # every place is filled by now


class _OpenFiles:
    """The parts that are open; where they are too many, the first opened that is not in use is closed.

    Order of last use would do no better: reads are random, or one part after another.
    """

    def __init__(
        self,
        store: Store,
        spread: Callable[[Callable[[int], _OpenFile | StoreError], Sequence[int]], list[_OpenFile | StoreError]],
    ) -> None:
        self._folder = str(store.data_folder / PARTS_FOLDER)
        self._num_bands = store.front_end.num_bands
        self._spread = spread
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._capacity = min(_MAX_OPEN_FILES, max(16, soft_limit // 2))
        self._lock = threading.Lock()
        # ordered: the first of a plain dict is slow to find where many before it have been taken out
        self._files: OrderedDict[int, _OpenFile] = OrderedDict()
        self._data_offsets: dict[int, int] = {}

    def acquire(self, parts: list[int]) -> list[_OpenFile]:
        """Open files of parts, which stay open until they are released."""
        held = {}
        with self._lock:
            for part in parts:
                if file := self._files.get(part):
                    file.pins += 1
                    held[part] = file
        problems = []
        if missing := [part for part in parts if part not in held]:
            for new in self._open_all(missing):
                if isinstance(new, StoreError):
                    problems.append(new)
                else:
                    held[new.part] = self._keep(new)
        if problems:
            self.release(list(held.values()))
            raise problems[0]
        return [held[part] for part in parts]

    def release(self, files: Sequence[_OpenFile]) -> None:
        """Let go of files that `acquire` gave."""
        with self._lock:
            for file in files:
                file.pins -= 1
            while len(self._files) > self._capacity:
                oldest = next((file for file in self._files.values() if not file.pins), None)
                if oldest is None:
                    break
                os.close(self._files.pop(oldest.part).descriptor)

    def close(self) -> None:
        with self._lock:
            for file in self._files.values():
                os.close(file.descriptor)
            self._files.clear()

    def _keep(self, new: _OpenFile) -> _OpenFile:
        with self._lock:
            file = self._files.setdefault(new.part, new)
            if file is not new:  # another thread was faster
                os.close(new.descriptor)
            file.pins += 1
            return file

    def _open_all(self, parts: list[int]) -> list[_OpenFile | StoreError]:
        """One after another, as long as the system has in memory where they lie; then by many threads at once."""
        opened = []
        for number, part in enumerate(parts, start=1):
            started = time.perf_counter()
            opened.append(self._open(part))
            if time.perf_counter() - started > _SLOW_OPENING_SECONDS:
                return opened + self._spread(self._open, parts[number:])
        return opened

    def _open(self, part: int) -> _OpenFile | StoreError:
        """Errors are given back, not raised, so that no file opened beside is lost."""
        path = f"{self._folder}/{frames_name(part)}"  # a Path takes three times as long as opening it
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return StoreError(f"{path}: this part of the store cannot be read ({error.strerror or error})")
        try:
            if hasattr(os, "posix_fadvise"):
                # read what is asked for, no more
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            if part not in self._data_offsets:
                self._data_offsets[part] = self._find_data(descriptor)
        except (OSError, ValueError) as error:
            os.close(descriptor)
            return StoreError(f"{path}: this part of the store is damaged ({error})")
        return _OpenFile(part, descriptor, self._data_offsets[part])

    def _find_data(self, descriptor: int) -> int:
        """Where the data begins, behind the header that NumPy writes (format version 1.0).

        NumPy's own reader is not used: it goes through Python's parser, which is slow, and in Python 3.11 fails
        when several threads parse at a time.
        """
        start = os.pread(descriptor, _NPY_HEADER_BYTES, 0)
        found = _NPY_HEADER.match(start)
        if not found:
            raise ValueError("it does not begin like an .npy file of version 1.0")
        length, header, columns = found.groups()
        wanted = f"{{'descr': '{FRAME_DTYPE.str}', 'fortran_order': False, 'shape': (".encode()
        if not header.startswith(wanted) or columns != str(self._num_bands).encode():
            came = header.decode("latin1").strip()
            raise ValueError(f"expected {FRAME_DTYPE.str} [frames, {self._num_bands}]; came {came}")
        return 10 + int.from_bytes(length, "little")
