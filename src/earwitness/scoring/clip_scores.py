"""Scores of clips from a store: the mean of their patches' probabilities, never of logits.

Reading runs one batch ahead of the network in a thread of its own. Memory is bounded by a few batches and the
scores; a clip of any length is read in pieces.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.front_end import FrontEnd
from earwitness.inference.patch_runner import PatchRunner
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
        raise StoreError(
            f"{store.folder}: its labels are not the model's ({_label_differences(store.label_set, label_set)})"
        )


def require_same_frames(store: LabelledClips, *, front_end: FrontEnd) -> None:
    """Refuse a store that a model cannot hear.

    Raises:
        StoreError: the frames were made otherwise; both sides are printed.
    """
    if store.front_end.frames_identity != front_end.frames_identity:
        raise StoreError(
            f"{store.folder}: its frames were made by another front end than the model expects "
            f"(store / model: {store.front_end.differences(front_end)}); prepare the media again with the model's "
            "settings, or use another model"
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


def _label_differences(store: LabelSet, model: LabelSet) -> str:
    only_store = [i for i in store.ids if i not in model.index_of]
    only_model = [i for i in model.ids if i not in store.index_of]
    if not only_store and not only_model:
        return f"the same {len(store)} labels in another order; prepare with --label-set"
    shown = [
        f"only in the {side}: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
        for side, ids in (("store", only_store), ("model", only_model))
        if ids
    ]
    return f"store {len(store)}, model {len(model)}; {'; '.join(shown)}"


def score_clips(
    scorer: PatchRunner,
    reader: PatchReader,
    clips: npt.NDArray[np.int64],
    *,
    front_end: FrontEnd,
    on_patches: Callable[[int], None] | None = None,
    on_scores: Callable[[npt.NDArray[np.float16], npt.NDArray[np.float32]], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Scores [clips, labels] of the given clips of the reader's store.

    Args:
        scorer: runs the network.
        reader: of the store whose clips are meant.
        clips: ascending indexes in the store.
        front_end: the model's; its patch geometry is used.
        on_patches: called with the number of patches done so far, now and then.
        on_scores: handed all patches and their scores [patches, labels], in the order of `PatchIndex`, some hundreds
            at a time.
    """
    index = patches_of(reader.store, clips, front_end=front_end)
    sums = np.zeros((len(clips), scorer.num_outputs))
    counts = np.zeros(len(clips), dtype=np.int64)
    done = 0
    for patch_clips, patches in read_ahead(reader, index, front_end.patch_frames, scorer.batch_patches):
        positions = np.searchsorted(clips, patch_clips)
        scores = scorer(patches)
        np.add.at(sums, positions, scores)
        np.add.at(counts, positions, 1)
        if on_scores is not None:
            on_scores(patches, scores)
        done += len(patches)
        if on_patches is not None:
            on_patches(done)
    return (sums / counts[:, None]).astype(np.float32)


def read_ahead(
    reader: PatchReader, index: PatchIndex, patch_frames: int, batch_patches: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
    """All patches of an index, some batches at a time, each with its clip."""
    step = batch_patches * _BATCHES_PER_READ

    def read(first: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        numbers = np.arange(first, min(first + step, index.num_patches), dtype=np.int64)
        clips, first_frames = index.locate(numbers)
        return clips, reader.read_patches(clips, first_frames, patch_frames)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as executor:
        ahead = executor.submit(read, 0)
        for first in range(0, index.num_patches, step):
            current = ahead.result()
            if first + step < index.num_patches:
                ahead = executor.submit(read, first + step)
            yield current
