"""Patches of a store through a network, in order: what fits, what is read, and scores of clips that memory holds.

Reading runs ahead of the network in a thread of its own. Memory is bounded by a few batches; a clip of any length is
read in pieces. Clips' scores are made of their patches' probabilities, never of logits, and then calibrated where
the scorer has a calibration.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.evaluation.aggregation import ClipAggregator
from earwitness.front_end import FrontEnd
from earwitness.inference.patch_runner import ScoreRunner
from earwitness.labels import LabelSet
from earwitness.store.embeddings import PatchReader
from earwitness.store.patches import PatchIndex
from earwitness.store.read import LabelledClips

_BATCHES_PER_READ = 8


def require_fit(store: LabelledClips, *, front_end: FrontEnd, label_set: LabelSet) -> None:
    """Refuse a store that a model cannot be used on.

    Raises:
        StoreError: the frames were made otherwise, or the labels or their order differ; both sides are printed.
    """
    require_same_frames(store, front_end=front_end)
    if store.label_set != label_set:
        differences = store.label_set.differences(label_set, mine="store", other="model")
        has_none = not set(store.label_set.ids) & set(label_set.ids)
        hint = "; train --from MODEL --freeze learns the store's" if has_none else ""
        raise StoreError(f"{store.folder}: its labels are not the model's ({differences}){hint}")


def require_same_frames(store: LabelledClips, *, front_end: FrontEnd) -> None:
    """Refuse a store that a model cannot hear.

    Raises:
        StoreError: the frames were made otherwise; both sides are printed.
    """
    if store.front_end.frames_identity != front_end.frames_identity:
        raise StoreError(
            f"{store.folder}: its frames were made by another front end than the model expects "
            f"(store / model: {store.front_end.differences(front_end)}); prepare the media again with --for MODEL, or "
            "use another model"
        )


def patches_of(store: LabelledClips, clips: npt.NDArray[np.int64], *, front_end: FrontEnd) -> PatchIndex:
    """The patches that a model of this front end hears of some clips.

    Raises:
        StoreError: a clip is shorter than one patch of the model.
    """
    index = PatchIndex(
        store.frames_per_clip, clips, patch_frames=front_end.patch_frames, hop_frames=front_end.patch_hop_frames
    )
    if not index.patches_per_clip.all():
        clip = int(clips[int(np.argmin(index.patches_per_clip))])
        raise StoreError(
            f"{store.folder}: clip {clip} has {store.frames_per_clip[clip]} frames, fewer than the "
            f"{front_end.patch_frames} of one patch of this model; prepare the media again with its patch length"
        )
    return index


def score_clips(
    scorer: ScoreRunner,
    reader: PatchReader,
    clips: npt.NDArray[np.int64],
    *,
    front_end: FrontEnd,
    on_patches: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Scores [clips, labels] of the given clips of the reader's store, held in memory: for some thousand clips.

    Args:
        scorer: runs the network.
        reader: of the store whose clips are meant.
        clips: ascending indexes in the store.
        front_end: the model's; its patch geometry is used.
        on_patches: told the number of patches done so far.
    """
    index = patches_of(reader.store, clips, front_end=front_end)
    scores = np.empty((len(clips), scorer.num_outputs), dtype=np.float32)
    aggregator = ClipAggregator("mean", scores)
    for piece in read_ahead(reader, index, batch_patches=scorer.batch_patches):
        aggregator.push(np.searchsorted(clips, piece.clips), scorer(piece.patches))
        if on_patches is not None:
            on_patches(piece.first_patch + len(piece.patches))
    aggregator.finish()
    return scorer.calibrated(scores)


@dataclass(frozen=True)
class PatchPiece:
    """Patches that follow one another."""

    first_patch: int
    """The number of the first of them in their `PatchIndex`."""
    clips: npt.NDArray[np.int64]
    """int64 [patches]: the clip of each, in the store."""
    patches: npt.NDArray[Any]
    """[patches, patch_frames, bands]."""


def read_ahead(
    reader: PatchReader, index: PatchIndex, *, batch_patches: int, spans: Iterable[range] | None = None
) -> Iterator[PatchPiece]:
    """The patches of an index, some batches at a time; the next ones are read while the caller works.

    Args:
        reader: of their store.
        index: numbers the patches.
        batch_patches: of the network that is to be run.
        spans: the numbers wanted, none of them empty; each begins a piece of its own. None: all.
    """
    step = batch_patches * _BATCHES_PER_READ
    spans = [range(index.num_patches)] if spans is None else spans
    steps = (span[first : first + step] for span in spans for first in range(0, len(span), step))

    def read(numbers: range) -> PatchPiece:
        clips, first_frames = index.locate(np.arange(numbers.start, numbers.stop, dtype=np.int64))
        return PatchPiece(numbers.start, clips, reader.read_patches(clips, first_frames, index.patch_frames))

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as executor:
        ahead = [executor.submit(read, numbers) for numbers in itertools.islice(steps, 1)]
        while ahead:
            current = ahead.pop().result()
            ahead += [executor.submit(read, numbers) for numbers in itertools.islice(steps, 1)]
            yield current
