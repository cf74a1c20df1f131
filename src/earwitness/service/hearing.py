"""From uploads to what is heard in them: decoding in processes of its own, then the model, in a bounded queue.

Files are decoded `decoders` at a time. The model hears one after the other, in one thread, and takes as many
processors as it can use. Who goes away, or is sent away because the service ends, is not worked for any longer.
"""

import asyncio
import contextlib
import fcntl
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from earwitness.errors import ModelError
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import AnyModel, patch_embedder
from earwitness.inference.patch_runner import PatchRunner
from earwitness.inference.tagger import Tagger
from earwitness.parallel import CallPool
from earwitness.service.decoding import Decoded, DecodeTask, SpooledFrames, decode_upload
from earwitness.service.metrics import Metrics
from earwitness.service.problems import Problem
from earwitness.service.settings import ServiceSettings
from earwitness.service.uploads import Upload

Answer = TypeVar("Answer")

_FILES_PER_DECODER = 500
"""Then a fresh process takes over: FFmpeg and PyAV lose some memory with each file that fails (1.8 kB, measured on the
media collection; nothing with those that do not)."""

_CLOSEST_HOP = 10
"""Of the longest sound that the service takes, patches may begin so many times in a patch. In shorter ones they may
begin as often as in that, all in all: the work that an upload can ask for has a limit, too."""


class AbandonedError(Exception):
    """Nobody waits for this any more."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """An upload that was decoded."""

    name: str
    frames: SpooledFrames
    folder: Path
    """For files of its own, which are gone once it is answered."""
    is_abandoned: threading.Event

    def go_on(self) -> None:
        """Call it now and then.

        Raises:
            AbandonedError: nobody waits for the answer any more.
        """
        if self.is_abandoned.is_set():
            raise AbandonedError


class Hearing:
    """The model and the processes that decode for it. Use it as a context manager, in the thread of the event loop."""

    def __init__(self, model: AnyModel, settings: ServiceSettings, metrics: Metrics, *, device: str = "auto") -> None:
        """Make the model ready.

        Raises:
            ModelError: it names nothing.
            SettingsError: there is no such device, or the model does not run there.
        """
        self.model = model
        self.tagger = Tagger(model, device=device)
        self._embedder: PatchRunner | ModelError
        try:
            self._embedder = patch_embedder(model, device=device)
        except ModelError as error:
            self._embedder = error
        self._max_seconds = settings.max_minutes * 60
        closest_hop_frames = min(model.front_end.patch_hop_frames, model.front_end.patch_frames / _CLOSEST_HOP)
        self._max_patches = int(self._max_seconds / (closest_hop_frames * model.front_end.frame_seconds)) + 1
        self._metrics = metrics
        self._pool: CallPool[DecodeTask, Decoded] = CallPool(
            decode_upload,
            workers=settings.decoders,
            timeout_seconds=2 * settings.decode_seconds,
            cpu_limit_seconds=settings.decode_seconds,
            memory_limit_bytes=settings.decode_memory_mib * 2**20,
            calls_per_worker=_FILES_PER_DECODER,
        )
        self._decoders = asyncio.Semaphore(settings.decoders)
        self._listener = ThreadPoolExecutor(1, thread_name_prefix="model")

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self._pool)
        self._stack.callback(self._listener.shutdown, cancel_futures=True)
        folder = tempfile.TemporaryDirectory(prefix="earwitness-serve-", ignore_cleanup_errors=True)
        self.folder = Path(self._stack.enter_context(folder))
        """Where uploads lie while they are worked on; only this user may enter it."""
        if sys.platform == "linux":
            descriptor = os.open(self.folder, os.O_RDONLY)
            self._stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # systemd-tmpfiles removes no locked folder, however long unused
        self._stack.callback(self._abandon_all)
        self._abandoned: set[threading.Event] = set()
        self._wake()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def embedder(self) -> PatchRunner:
        """Gives the embeddings of patches.

        Raises:
            Problem: the model has none.
        """
        if isinstance(self._embedder, ModelError):
            raise Problem(501, str(self._embedder))
        return self._embedder

    async def hear(
        self, upload: Upload, work: Callable[[Sound], Answer], *, patch_hop_frames: int | None = None
    ) -> Answer:
        """Decode an upload, and do some work on its frames in the thread of the model.

        Raises:
            Problem: there is no sound in it, or too much.
        """
        front_end = self.tagger.front_end(patch_hop_frames)
        is_abandoned = threading.Event()
        self._abandoned.add(is_abandoned)
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as own_folder:
            task = DecodeTask(
                path=str(upload.path),
                name=upload.name,
                spool_path=str(Path(own_folder) / "frames"),
                front_end=front_end,
                max_seconds=self._max_seconds,
            )
            try:
                decoded = await self._decoded(task)
                self._require_few_patches(upload.name, decoded, front_end)
                self._metrics.sound_seconds += decoded.num_samples / front_end.sample_rate_hz
                frames = SpooledFrames(Path(task.spool_path), decoded, num_bands=front_end.num_bands)
                sound = Sound(name=upload.name, frames=frames, folder=Path(own_folder), is_abandoned=is_abandoned)
                return await asyncio.get_running_loop().run_in_executor(self._listener, work, sound)
            finally:
                is_abandoned.set()
                self._abandoned.discard(is_abandoned)

    async def _decoded(self, task: DecodeTask) -> Decoded:
        await self._decoders.acquire()
        loop = asyncio.get_running_loop()
        try:
            future = self._pool.start(task)
        except BaseException:
            self._decoders.release()
            raise
        done = asyncio.Event()

        def finished() -> None:
            self._decoders.release()
            done.set()

        def hand_over(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already: the service has ended
                loop.call_soon_threadsafe(finished)

        future.add_done_callback(hand_over)
        try:
            await done.wait()
        except asyncio.CancelledError:
            future.cancel()  # ends the process; another takes its place
            raise
        outcome = self._pool.outcome(task, future)
        if outcome.failure is not None:
            self._metrics.failed(outcome.failure.kind)
            sentence = outcome.failure.message
            if not sentence.startswith(task.name):
                sentence = f"{task.name}: {sentence}"
            raise Problem(422, sentence, kind=outcome.failure.kind)
        assert outcome.value is not None
        if outcome.value.is_too_long:
            self._metrics.failed("too_long")
            sentence = (
                f"{task.name}: it lasts longer than the {self._max_seconds / 60:g} minutes that this service takes"
            )
            raise Problem(422, sentence, kind="too_long")
        return outcome.value

    def _require_few_patches(self, name: str, decoded: Decoded, front_end: FrontEnd) -> None:
        num_patches = front_end.frames_to_patches(decoded.num_samples // front_end.hop_samples)
        if num_patches > self._max_patches:
            self._metrics.failed("too_long")
            raise Problem(
                422,
                f"{name}: at hop_seconds={front_end.patch_hop_seconds:g} it has {num_patches} patches; this service "
                f"takes {self._max_patches} of a file, so ask for a longer hop",
                kind="too_long",
            )

    def _wake(self) -> None:
        """Start the processes now, from this thread, by a file that is not there."""
        nothing = str(self.folder / "nothing")
        task = DecodeTask(path=nothing, name="", spool_path=nothing, front_end=self.model.front_end, max_seconds=1.0)
        self._pool.start(task).result()

    def _abandon_all(self) -> None:
        for is_abandoned in self._abandoned:
            is_abandoned.set()
