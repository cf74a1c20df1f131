"""From embeddings of patches to those that are asked for: one a patch, one a second, or one a clip.

A second's embedding is the mean of the patches that overlap it, weighted by how long they do: so all of the sound
counts, and row n is second n of the clip, which a row for each patch of 0.96 s is not. The last second counts where
patches cover half of it. (Audio Set's "one a second" is one a patch.) A clip's embedding is the plain mean over its
patches, as its score is the mean of theirs. Means are float64 and held for a few seconds at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from earwitness.front_end import FrontEnd
from earwitness.inference.embedder import EmbeddedPatches, EmbeddingStream

Per = Literal["patch", "second", "clip"]
"""What a row stands for."""

_SEEN = 0.5
"""Of a clip's last second, this much must be covered by patches."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingRows:
    """Embeddings with the times they stand for, in the time of the media file."""

    start_seconds: npt.NDArray[np.float64]
    """[rows]."""
    stop_seconds: npt.NDArray[np.float64]
    """[rows], exclusive; not beyond the sound itself, which may be shorter than a patch."""
    embeddings: npt.NDArray[np.float32]
    """[rows, embedding_size]."""


def embedding_rows(stream: EmbeddingStream, *, per: Per, front_end: FrontEnd) -> Iterator[EmbeddingRows]:
    """The rows of one clip, as its patches come.

    Args:
        stream: of the clip.
        per: what a row stands for.
        front_end: with the hop of the patches.

    Raises:
        MediaError: reading the clip fails.
    """
    if per == "patch":
        return _of_patches(stream, front_end)
    return _of_seconds(stream, front_end) if per == "second" else _of_clip(stream, front_end)


def _of_patches(stream: EmbeddingStream, front_end: FrontEnd) -> Iterator[EmbeddingRows]:
    waiting: EmbeddedPatches | None = None  # only behind the last patch is it known where the sound ends
    for patches in stream:
        if waiting is not None:
            yield _rows(waiting, front_end, end=np.inf)
        waiting = patches
    if waiting is not None:
        yield _rows(waiting, front_end, end=stream.start_seconds + stream.seconds)


def _rows(patches: EmbeddedPatches, front_end: FrontEnd, *, end: float) -> EmbeddingRows:
    starts = patches.start_seconds
    stops = np.minimum(starts + front_end.patch_seconds, end)
    return EmbeddingRows(start_seconds=starts, stop_seconds=stops, embeddings=patches.embeddings)


def _of_clip(stream: EmbeddingStream, front_end: FrontEnd) -> Iterator[EmbeddingRows]:
    sums: npt.NDArray[np.float64] | float = 0.0
    for patches in stream:
        sums = sums + patches.embeddings.sum(axis=0, dtype=np.float64)
    if not stream.num_patches:
        return
    yield EmbeddingRows(
        start_seconds=np.array([stream.start_seconds]),
        stop_seconds=np.array([stream.start_seconds + _covered_seconds(stream, front_end)]),
        embeddings=np.asarray(sums / stream.num_patches, np.float32)[None],
    )


def _of_seconds(stream: EmbeddingStream, front_end: FrontEnd) -> Iterator[EmbeddingRows]:
    first = 0
    """The first second that is still open."""
    sums: npt.NDArray[np.float64] = np.zeros((0, 0))
    weights: npt.NDArray[np.float64] = np.zeros(0)
    for patches in stream:
        begin = patches.start_seconds - stream.start_seconds
        stop = begin + front_end.patch_seconds
        num_open = int(np.ceil(stop[-1])) - first
        seconds = first + np.arange(num_open)[:, None]
        shares = np.clip(np.minimum(stop, seconds + 1) - np.maximum(begin, seconds), 0.0, None)  # [seconds, patches]
        added = shares @ patches.embeddings.astype(np.float64)
        added[: len(sums)] += sums
        total = shares.sum(axis=1)
        total[: len(weights)] += weights
        num_closed = max(0, int(begin[-1] + front_end.patch_hop_seconds) - first)  # no patch to come reaches into them
        if num_closed:
            yield _seconds(stream, first, added[:num_closed], total[:num_closed])
        first, sums, weights = first + num_closed, added[num_closed:], total[num_closed:]
    if not stream.num_patches:
        return
    num_seconds = max(1, int(_covered_seconds(stream, front_end) + 1 - _SEEN))
    if (num_left := num_seconds - first) > 0:
        yield _seconds(stream, first, sums[:num_left], weights[:num_left])


def _seconds(
    stream: EmbeddingStream, first: int, sums: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> EmbeddingRows:
    starts = stream.start_seconds + first + np.arange(len(sums), dtype=np.float64)
    stops = np.minimum(starts + 1, max(stream.start_seconds + stream.seconds, starts[0]))
    return EmbeddingRows(
        start_seconds=starts, stop_seconds=stops, embeddings=(sums / weights[:, None]).astype(np.float32)
    )


def _covered_seconds(stream: EmbeddingStream, front_end: FrontEnd) -> float:
    """How much of the clip its patches hear."""
    covered = (stream.num_patches - 1) * front_end.patch_hop_seconds + front_end.patch_seconds
    return min(covered, stream.seconds)
