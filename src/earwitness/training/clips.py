"""Which clips of a store a training learns from, and which it watches.

The clips to watch are whole groups (one recording, one uploader), so that what is watched is new to the network.
The choice is a function of the settings and the store alone; its digest is kept with the run and the model, so that
an evaluation can later tell what a model has learnt from.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import SelectionError
from earwitness.store.read import LabelledClips
from earwitness.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class TrainingClips:
    """Ascending clip indexes of a store; the two never share a clip."""

    train: npt.NDArray[np.int64]
    """Learnt from."""
    validation: npt.NDArray[np.int64]
    """Watched; may be empty."""

    def describe(self, store: LabelledClips) -> dict[str, Any]:
        """Counts and digests of the clips' ids, for the records."""
        sides = {"train": self.train, "validation": self.validation}
        counts = {f"num_{side}": len(clips) for side, clips in sides.items()}
        return counts | {f"{side}_digest": _digest(store, clips) for side, clips in sides.items()}


def choose_clips(store: LabelledClips, settings: TrainSettings) -> TrainingClips:
    """Split the selected clips into those learnt from and those watched.

    With `validation_where`, the clips it selects are watched. Else whole groups are, in the order of a hash of their
    names, until they hold `validation_share` of the clips. A group is what the column `group` says; clips without
    one, and stores without that column, go by their media file.

    Raises:
        SelectionError: a condition is bad, or nothing is left to learn from.
    """
    selected = store.select(settings.where)
    if settings.validation_where is not None:
        watched = store.select(settings.validation_where, option="--validation-where")
    else:
        watched = _share_of_groups(store, selected, share=settings.validation_share, seed=settings.seed)
    train = np.setdiff1d(selected, watched, assume_unique=True)
    if not len(train):
        raise SelectionError(
            f"nothing is left to learn from: {len(selected)} clips are selected and {len(watched)} are watched; "
            "--validation-share 0 watches none"
        )
    if len(watched) > settings.validation_clips:
        rng = np.random.default_rng(settings.seed)
        watched = np.sort(rng.choice(watched, settings.validation_clips, replace=False))
    return TrainingClips(train=train, validation=watched)


def clip_groups(store: LabelledClips, clips: npt.NDArray[np.int64]) -> list[str]:
    """A name for the group of each clip: its `group`, or else its media file."""
    rows = store.clips.select(["clip_id", "media"]).take(clips).to_pylist()
    first_id: dict[str, str] = {}  # names a medium: its path would change when a corpus moves
    for row in rows:
        first_id.setdefault(row["media"], row["clip_id"])
    by_media = [f"media of {first_id[row['media']]}" for row in rows]
    if "group" not in store.clips.column_names:
        return by_media
    groups = store.clips["group"].take(clips).to_pylist()
    return [f"group {group}" if group not in (None, "") else m for group, m in zip(groups, by_media, strict=True)]


def _share_of_groups(
    store: LabelledClips, clips: npt.NDArray[np.int64], *, share: float, seed: int
) -> npt.NDArray[np.int64]:
    if share == 0:
        return clips[:0]
    groups = np.array(clip_groups(store, clips))
    names, counts = np.unique(groups, return_counts=True)
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(f"{seed}/{names[i]}".encode()).digest())
    num_before = np.concatenate([[0], np.cumsum(counts[order])[:-1]])  # clips of the groups that come first
    num_groups = int(np.count_nonzero(num_before < share * len(clips) - 0.5))
    num_groups = min(num_groups, len(names) - 1)  # one group at least is learnt from
    watched: npt.NDArray[np.int64] = clips[np.isin(groups, names[order[:num_groups]])]
    return watched


def _digest(store: LabelledClips, clips: npt.NDArray[np.int64]) -> str:
    digest = hashlib.sha256()
    for clip_id in store.clips["clip_id"].take(clips).to_pylist():
        digest.update(clip_id.encode() + b"\0")
    return digest.hexdigest()[:16]
