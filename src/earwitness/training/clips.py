"""Which clips of a store a training learns from, and which it watches.

Clips of one group (one recording, one uploader) are never on both sides. The choice is a function of the settings
and the store alone, so that an evaluation can later find out what a model has been trained on.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earwitness.errors import SelectionError
from earwitness.store.read import Store
from earwitness.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class TrainingClips:
    """Ascending clip indexes of a store; the two never share a clip."""

    train: npt.NDArray[np.int64]
    """Learnt from."""
    validation: npt.NDArray[np.int64]
    """Watched; may be empty."""


def choose_clips(store: Store, settings: TrainSettings) -> TrainingClips:
    """Split the selected clips into those learnt from and those watched.

    Raises:
        SelectionError: a condition is bad, or nothing is left to learn from.
    """
    selected = store.select(settings.where)
    if settings.validation_where is not None:
        watched = store.select(settings.validation_where)
        train = np.setdiff1d(selected, watched, assume_unique=True)
    else:
        watched = _share_of_groups(store, selected, share=settings.validation_share, seed=settings.seed)
        train = np.setdiff1d(selected, watched, assume_unique=True)
    if not len(train):
        raise SelectionError(
            f"nothing is left to learn from: {len(selected)} clips are selected and {len(watched)} of them watched"
        )
    if len(watched) > settings.validation_clips:
        rng = np.random.default_rng(settings.seed)
        watched = np.sort(rng.choice(watched, settings.validation_clips, replace=False))
    return TrainingClips(train=train, validation=watched)


def _share_of_groups(store: Store, clips: npt.NDArray[np.int64], *, share: float, seed: int) -> npt.NDArray[np.int64]:
    if share == 0:
        return clips[:0]
    column = "group" if "group" in store.clips.column_names else "clip_id"
    groups = store.clips[column].take(clips).to_pylist()
    place_of = {group: _place(group, seed) for group in set(groups)}
    is_watched = np.array([place_of[group] < share for group in groups], dtype=bool)
    watched: npt.NDArray[np.int64] = clips[is_watched]
    return watched


def _place(group: object, seed: int) -> float:
    """A fixed place in [0, 1) for a group: neither other groups nor the order of the clips move it."""
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
