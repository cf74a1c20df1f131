"""Many inputs through a network together: short ones share its batches, long ones stream through.

Results come in the order of the inputs. No more is held than the frames of one batch and what each input comes to.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import FrameStream
from earwitness.errors import MediaError
from earwitness.front_end import FrontEnd
from earwitness.inference.patch_cutter import PatchCutter
from earwitness.inference.patch_runner import PatchRunner

Result = TypeVar("Result")
Patches = npt.NDArray[np.float16]


@dataclass(kw_only=True)
class Clip(Generic[Result]):
    """One input."""

    frames: FrameStream
    take: Callable[[Patches, npt.NDArray[np.float32]], None]
    """Given its patches in order, and what the network made of them."""
    finish: Callable[[], Result]
    """Called when all are taken."""


@dataclass
class _Waiting(Generic[Result]):
    clip: Clip[Result] | None
    failure: MediaError | None = None
    num_queued: int = 0
    is_read: bool = False

    @property
    def is_done(self) -> bool:
        return self.is_read and not self.num_queued

    def outcome(self) -> Result | MediaError:
        if self.failure is not None:
            return self.failure
        assert self.clip is not None
        return self.clip.finish()


def in_shared_batches(
    clips: Iterable[Clip[Result] | MediaError], *, runner: PatchRunner, front_end: FrontEnd
) -> Iterator[Result | MediaError]:
    """The results of clips, in their order; a `MediaError` in the place of those that gave no sound.

    Args:
        clips: read one after the other, as results are asked for; an error is passed on.
        runner: the network.
        front_end: with the hop of the patches.
    """
    queue = _Queue[Result](runner)
    waiting: deque[_Waiting[Result]] = deque()
    for clip in clips:
        if isinstance(clip, MediaError):
            waiting.append(_Waiting(None, clip, is_read=True))
        else:
            waiting.append(_Waiting(clip))
            _read(waiting[-1], clip, queue, front_end)
        while waiting and waiting[0].is_done:
            yield waiting.popleft().outcome()
    queue.run(all_of_it=True)
    for one in waiting:
        yield one.outcome()


def _read(one: _Waiting[Result], clip: Clip[Result], queue: "_Queue[Result]", front_end: FrontEnd) -> None:
    cutter = PatchCutter(front_end, batch_patches=queue.runner.batch_patches)
    try:
        with clip.frames as frames:
            for block in frames:
                queue.push(one, cutter.push(block))
            queue.push(one, cutter.finish())
    except MediaError as error:
        one.failure = error
    one.is_read = True


class _Queue(Generic[Result]):
    """Patches that wait until a batch is full."""

    def __init__(self, runner: PatchRunner) -> None:
        self.runner = runner
        self._waiting: deque[tuple[_Waiting[Result], Patches]] = deque()
        self._num_patches = 0

    def push(self, one: _Waiting[Result], patches: Patches) -> None:
        if len(patches):
            self._waiting.append((one, patches))
            self._num_patches += len(patches)
            one.num_queued += len(patches)
            self.run()

    def run(self, *, all_of_it: bool = False) -> None:
        """Run what fills whole batches, or all that waits."""
        size = self.runner.batch_patches
        while self._num_patches >= size or (all_of_it and self._num_patches):
            parts: list[tuple[_Waiting[Result], Patches]] = []
            missing = min(size, self._num_patches)
            while missing:
                one, patches = self._waiting.popleft()
                parts.append((one, patches[:missing]))
                if len(patches) > missing:
                    self._waiting.appendleft((one, patches[missing:]))
                missing -= len(parts[-1][1])
            outputs: Any = self.runner(np.concatenate([patches for _, patches in parts]))
            first = 0
            for one, patches in parts:
                if one.clip is not None and one.failure is None:
                    one.clip.take(patches, outputs[first : first + len(patches)])
                first += len(patches)
                one.num_queued -= len(patches)
                self._num_patches -= len(patches)
