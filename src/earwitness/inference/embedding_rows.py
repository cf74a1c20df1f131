"""From embeddings of patches to those that are asked for: one a patch, one a second, or one a clip.

A second's embedding is the mean of the patches that overlap it, weighted by how long they do: so all of the sound
counts, and row n is second n of the clip, which a row for each patch of 0.96 s is not. The last second counts where
patches cover half of it. (Audio Set's "one a second" is one a patch.) A clip's embedding is the plain mean over its
patches, as its score is the mean of theirs. Means are float64 and held for a few seconds at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.inference.embed_settings import Per
from earwitness.inference.embedder import EmbeddedPatches, EmbeddingStream

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


def embedding_rows(stream: EmbeddingStream, *, per: Per) -> Iterator[EmbeddingRows]:
    """The rows of one clip, as its patches come.

    Args:
        stream: of the clip.
        per: what a row stands for.

    Raises:
        MediaError: reading the clip fails.
    """
    return {"patch": _of_patches, "second": _of_seconds, "clip": _of_clip}[per](stream)


def _of_patches(stream: EmbeddingStream) -> Iterator[EmbeddingRows]:
    waiting: EmbeddedPatches | None = None  # only behind the last patch is it known where the sound ends
    for patches in stream:
        if waiting is not None:
            yield _rows(waiting, stream, end=np.inf)
        waiting = patches
    if waiting is not None:
        yield _rows(waiting, stream, end=stream.start_seconds + stream.seconds)


def _rows(patches: EmbeddedPatches, stream: EmbeddingStream, *, end: float) -> EmbeddingRows:
    starts = patches.start_seconds
    stops = np.minimum(starts + stream.front_end.patch_seconds, end)
    return EmbeddingRows(start_seconds=starts, stop_seconds=stops, embeddings=patches.embeddings)


def _of_clip(stream: EmbeddingStream) -> Iterator[EmbeddingRows]:
    sums: npt.NDArray[np.float64] | float = 0.0
    for patches in stream:
        sums = sums + patches.embeddings.sum(axis=0, dtype=np.float64)
    if not stream.num_patches:
        return
    yield EmbeddingRows(
        start_seconds=np.array([stream.start_seconds]),
        stop_seconds=np.array([stream.start_seconds + covered_seconds(stream)]),
        embeddings=np.asarray(sums / stream.num_patches, np.float32)[None],
    )


def _of_seconds(stream: EmbeddingStream) -> Iterator[EmbeddingRows]:
    first = 0  # the first second that is still open
    sums: npt.NDArray[np.float64] = np.zeros((0, stream.embedding_size))
    weights: npt.NDArray[np.float64] = np.zeros(0)
    for patches in stream:
        begin = patches.start_seconds - stream.start_seconds
        stop = begin + stream.front_end.patch_seconds
        num_open = int(np.ceil(stop[-1])) - first
        seconds = first + np.arange(num_open)[:, None]
        shares = np.clip(np.minimum(stop, seconds + 1) - np.maximum(begin, seconds), 0.0, None)  # [seconds, patches]
        added = shares @ patches.embeddings.astype(np.float64)
        added[: len(sums)] += sums
        total = shares.sum(axis=1)
        total[: len(weights)] += weights
        num_closed = max(0, int(begin[-1]) - first)  # no patch to come reaches into them
        if num_closed:
            yield _seconds(stream, first, added[:num_closed], total[:num_closed])
        first, sums, weights = first + num_closed, added[num_closed:], total[num_closed:]
    if not stream.num_patches:
        return
    num_seconds = max(1, int(covered_seconds(stream) + 1 - _SEEN))
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


def covered_seconds(stream: EmbeddingStream) -> float:
    """How much of the clip its patches hear, once they are all read."""
    front_end = stream.front_end
    covered = (stream.num_patches - 1) * front_end.patch_hop_seconds + front_end.patch_seconds
    return min(covered, stream.seconds)
