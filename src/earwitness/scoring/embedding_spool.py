"""Embeddings on their way: what is done of many clips lies in a folder, so that interrupted work goes on.

    NAME.unfinished/    beside what is to be written
        work.json       what it is the work of: model, clips, rows; other work is refused
        rows.f32        embeddings, clip after clip in the order in which they came
        times.f64       start and stop of each
        clips.jsonl     a line for each clip that is done: where its rows lie, or why there are none

A clip counts once its line is whole and its rows are there; what lies behind is cut off when work goes on.
"""

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.files import locked, replacing
from earwitness.inference.embedder import EmbeddingStream
from earwitness.inference.embedding_rows import EmbeddingRows

FOLDER_SUFFIX = ".unfinished"
_BLOCK_ROWS = 4_096
_TIMES_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class SpooledClip:
    """A line of the journal."""

    clip: int
    """Its number among all clips."""
    first_row: int = 0
    num_rows: int = 0
    num_frames: int = 0
    num_samples: int = 0
    """Samples at the front end's rate."""
    seconds: float = 0.0
    """Of sound."""
    is_padded: bool = False
    warnings: tuple[str, ...] = ()
    failure_kind: str | None = None
    """None: it was embedded."""
    failure_reason: str | None = None


class EmbeddingSpool:
    """The folder. One process writes at a time."""

    def __init__(self, folder: Path, *, work: Mapping[str, Any], embedding_size: int) -> None:
        """Begin, or go on with what is there.

        Args:
            folder: made if need be.
            work: JSON values that decide the rows.
            embedding_size: numbers in a row.

        Raises:
            StoreError: other work is there, or another process is at it.
            OSError: it cannot be written.
        """
        self._folder = folder
        self._row_bytes = 4 * embedding_size
        self.embedding_size = embedding_size
        self.clips: dict[int, SpooledClip] = {}
        """Those that are done."""
        self.num_rows = 0
        self._open = contextlib.ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        busy = StoreError(f"{folder}: another process is embedding there; wait for it to end")
        self._open.enter_context(locked(folder, busy=busy))
        try:
            self._require_own(dict(work))
            self._rows = self._file("rows.f32")
            self._times = self._file("times.f64")
            self._journal = self._file("clips.jsonl")
            self._go_on()
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> "EmbeddingSpool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def remove(self) -> None:
        """Remove the folder: what was in it is written elsewhere now."""
        self._open.close()
        shutil.rmtree(self._folder)

    def add(self, clip: int, stream: EmbeddingStream, rows: Iterable[EmbeddingRows]) -> SpooledClip:
        """Take all rows of a clip. Where reading them fails, nothing of it is kept.

        Raises:
            MediaError: as reading the clip raises.
            OSError: they cannot be written.
        """
        first, num_rows = self.num_rows, 0
        try:
            for block in rows:
                times = np.stack([block.start_seconds, block.stop_seconds], axis=1)
                self._rows.write(np.ascontiguousarray(block.embeddings, "<f4").data)
                self._times.write(np.ascontiguousarray(times, "<f8").data)
                num_rows += len(times)
        except BaseException:
            self._cut(first)
            raise
        return self._note(
            SpooledClip(
                clip=clip,
                first_row=first,
                num_rows=num_rows,
                num_frames=stream.num_frames,
                num_samples=stream.frames.num_samples,
                seconds=stream.seconds,
                is_padded=stream.is_padded,
                warnings=stream.warnings,
            )
        )

    def fail(self, clip: int, kind: str, reason: str) -> SpooledClip:
        """Note why a clip has no embeddings."""
        return self._note(SpooledClip(clip=clip, failure_kind=kind, failure_reason=reason))

    def read(self, clip: SpooledClip) -> Iterator[EmbeddingRows]:
        """The rows of a clip, in blocks."""
        for first in range(clip.first_row, clip.first_row + clip.num_rows, _BLOCK_ROWS):
            count = min(_BLOCK_ROWS, clip.first_row + clip.num_rows - first)
            times = _read(self._times, "<f8", first * 2, count * 2).reshape(count, 2)
            yield EmbeddingRows(
                start_seconds=times[:, 0],
                stop_seconds=times[:, 1],
                embeddings=_read(self._rows, "<f4", first * self.embedding_size, count * self.embedding_size).reshape(
                    count, -1
                ),
            )

    def embedded(self) -> Iterator[SpooledClip]:
        """The clips that have embeddings, by number."""
        return (self.clips[clip] for clip in sorted(self.clips) if self.clips[clip].failure_kind is None)

    def failed(self) -> list[SpooledClip]:
        """The clips that have none, by number."""
        return [self.clips[clip] for clip in sorted(self.clips) if self.clips[clip].failure_kind is not None]

    def _file(self, name: str) -> BinaryIO:
        path = self._folder / name
        path.touch()
        return self._open.enter_context(path.open("r+b", buffering=0))

    def _require_own(self, work: dict[str, Any]) -> None:
        path = self._folder / "work.json"
        if path.exists():
            there = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name in {**there, **work} if there.get(name) != work.get(name)]
            if differing:
                shown = ", ".join(f"{name}: {there.get(name)} there, {work.get(name)} now" for name in differing)
                raise StoreError(
                    f"{self._folder}: holds unfinished work of another kind ({shown}); finish it by the command that "
                    "began it, or delete the folder"
                )
            return
        with replacing(path) as file:
            file.write(json.dumps(work, ensure_ascii=False, indent=1).encode())

    def _go_on(self) -> None:
        num_there = min(
            (self._folder / "rows.f32").stat().st_size // self._row_bytes,
            (self._folder / "times.f64").stat().st_size // _TIMES_BYTES,
        )
        num_bytes = 0
        for line in (self._folder / "clips.jsonl").read_bytes().splitlines(keepends=True):
            try:
                values = json.loads(line)
                done = SpooledClip(**{**values, "warnings": tuple(values["warnings"])})
            except (ValueError, TypeError, KeyError):
                break  # the last line, of which a part was written
            if not line.endswith(b"\n") or done.first_row + done.num_rows > num_there:
                break
            self.clips[done.clip] = done
            self.num_rows = max(self.num_rows, done.first_row + done.num_rows)
            num_bytes += len(line)
        self._journal.truncate(num_bytes)
        self._journal.seek(num_bytes)
        self._cut(self.num_rows)

    def _cut(self, num_rows: int) -> None:
        for file, row_bytes in ((self._rows, self._row_bytes), (self._times, _TIMES_BYTES)):
            file.truncate(num_rows * row_bytes)
            file.seek(num_rows * row_bytes)

    def _note(self, done: SpooledClip) -> SpooledClip:
        self._journal.write(json.dumps(asdict(done), ensure_ascii=True).encode() + b"\n")
        self.clips[done.clip] = done
        self.num_rows = max(self.num_rows, done.first_row + done.num_rows)
        return done


def _read(file: BinaryIO, dtype: str, first: int, count: int) -> npt.NDArray[Any]:
    size = np.dtype(dtype).itemsize
    file.seek(first * size)
    content = file.read(count * size)
    if len(content) < count * size:
        raise StoreError(f"{file.name}: the file has become shorter; delete its folder and begin again")
    return np.frombuffer(content, dtype)
