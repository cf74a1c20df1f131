"""Which clips of a store a training learns from, and which it watches.

The clips to watch are whole groups (one recording, one uploader), so that what is watched is new to the network. They
are spread over the labels: among few clips, chance alone would leave labels out. The choice is a function of the
settings and the store alone; its digest is kept with the run and the model, so that an evaluation can later tell what a
model has learnt from.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import SelectionError
from earwitness.manifest import RANGE_COLUMNS, own_media, take_rows
from earwitness.store.read import LabelledClips
from earwitness.text_hashes import text_hashes
from earwitness.training.settings import TrainSettings

_TEXTS_AT_ONCE = 1 << 16
_CLIPS_AT_ONCE = 1 << 20

FEW_CLIPS = 20
"""Fewer say little: one clip more or less changes a figure by some percent."""


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
        digests = _digests(store, list(sides.values()))
        return counts | {f"{side}_digest": digest for side, digest in zip(sides, digests, strict=True)}

    def doubts(self, store: LabelledClips) -> str | None:
        """A sentence on why the figures of the clips watched say little; None where they are enough or none is."""
        learnt = np.count_nonzero(_label_counts(store, self.train))
        watched = np.count_nonzero(_label_counts(store, self.validation))
        few = "; figures of so few say little" if len(self.validation) < FEW_CLIPS else ""
        advice = "more are by --validation-share or --validation-where"
        if not len(self.validation) or not (few or watched < learnt):
            return None
        if watched < learnt:
            return (
                f"only {watched} of {learnt} labels are among the {len(self.validation)} clips watched{few}; {advice}"
            )
        return f"only {len(self.validation)} clips are watched{few}; {advice}"


def choose_clips(store: LabelledClips, settings: TrainSettings) -> TrainingClips:
    """Split the selected clips into those learnt from and those watched.

    With `validation_where`, the clips it selects are watched. Else whole groups are, until they hold
    `validation_share` of the clips: one of every label first, then of each label in proportion. Which ones, a hash
    of their names says. A group is what the column `group` says; clips without one, and stores without that column,
    go by their media file. Of more than `validation_clips`, some are watched, spread over the labels in the same way.

    Which clips are watched does not depend on `train_share`. The groups of a share are drawn by chance alone, in one
    order for all shares: so the smaller lie in the larger.

    Raises:
        SelectionError: a condition is bad, or nothing is left to learn from.
    """
    selected = store.select(settings.where)
    if settings.validation_where is not None:
        watched = store.select(settings.validation_where, option="--validation-where")
    else:
        watched = _even_groups(
            store, selected, num_clips=settings.validation_share * len(selected), seed=settings.seed, leave_one=True
        )
    train = np.setdiff1d(selected, watched, assume_unique=True)
    if not len(train):
        raise SelectionError(
            f"nothing is left to learn from: {len(selected)} clips are selected and {len(watched)} are watched; "
            "--validation-share 0 watches none"
        )
    if len(watched) > settings.validation_clips:
        watched = _even_groups(store, watched, num_clips=settings.validation_clips, seed=settings.seed)
        rng = np.random.default_rng(settings.seed)
        watched = np.sort(rng.choice(watched, settings.validation_clips, replace=False))
    if settings.train_share < 1:
        train = _drawn_groups(store, train, num_clips=settings.train_share * len(train), seed=settings.seed)
    return TrainingClips(train=train, validation=watched)


@dataclass(frozen=True)
class ClipGroups:
    """Clips by their group: what the column `group` says, or else the media file."""

    numbers: npt.NDArray[np.int64]
    """The group of each clip, from 0."""
    keys: npt.NDArray[np.uint64]
    """Of each group: the same number wherever the same group is met, among other clips of the store, too."""
    names: pa.ChunkedArray
    """Of each group, the same wherever the corpus lies: a medium is called by the id of its first clip here."""


def clip_groups(store: LabelledClips, clips: npt.NDArray[np.int64]) -> ClipGroups:
    """Which of these clips belong together.

    Two groups among 70 million are taken for one with a chance of 1 in 7,500; see `text_hashes`.
    """

    def read(*names: str) -> pa.Table:
        return take_rows(store.read_clips([name for name in names if name in store.clips_schema.names]), clips)

    keys = np.zeros(len(clips), np.uint64)
    has_group = np.zeros(len(clips), np.bool_)
    if "group" in store.clips_schema.names:
        group_names = pc.fill_null(_as_text(read("group")["group"]), "")
        has_group = pc.not_equal(group_names, "").to_numpy()
        keys = ~text_hashes(group_names)  # a group is no medium of the same name
    if not has_group.all():
        media = text_hashes(own_media(read("media", *RANGE_COLUMNS)))
        keys = np.where(has_group, keys, media)
    keys, firsts, numbers = np.unique(keys, return_index=True, return_inverse=True)
    by_own_name = has_group[firsts]
    if has_group.any() and not has_group.all():
        # a medium is called by the first of all its clips, be that one in a group or not
        _, first_of_media, medium = np.unique(media, return_index=True, return_inverse=True)
        firsts = np.where(by_own_name, firsts, first_of_media[medium[firsts]])
    order = np.argsort(firsts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    firsts, by_own_name = firsts[order], by_own_name[order]
    names = pc.binary_join_element_wise("media of", take_rows(read("clip_id"), firsts)["clip_id"], " ")
    if has_group.any():
        group_names = take_rows(pa.table({"group": group_names}), firsts)["group"]
        names = pc.if_else(pa.array(by_own_name), pc.binary_join_element_wise("group", group_names, " "), names)
    return ClipGroups(rank[numbers], keys[order], names)


def num_shared_groups(store: LabelledClips, clips: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> int:
    """How many groups have clips on both sides."""
    return len(np.intersect1d(clip_groups(store, clips).keys, clip_groups(store, others).keys, assume_unique=True))


def _even_groups(
    store: LabelledClips, clips: npt.NDArray[np.int64], *, num_clips: float, seed: int, leave_one: bool = False
) -> npt.NDArray[np.int64]:
    """The clips of whole groups that hold about so many, spread over the labels; one group is left out if asked for."""
    if num_clips == 0:
        return clips[:0]
    groups = clip_groups(store, clips)
    order = _even_order(_rarest_labels(store, clips, groups), _order_keys(groups.names, seed=seed))
    counts = np.bincount(groups.numbers)[order]
    num_before = np.cumsum(counts) - counts  # clips of the groups that come first
    num_groups = int(np.count_nonzero(num_before < num_clips - 0.5))
    is_chosen = np.zeros(len(order), np.bool_)
    is_chosen[order[: min(num_groups, len(order) - leave_one)]] = True
    chosen: npt.NDArray[np.int64] = clips[is_chosen[groups.numbers]]
    return chosen


def _drawn_groups(
    store: LabelledClips, clips: npt.NDArray[np.int64], *, num_clips: float, seed: int
) -> npt.NDArray[np.int64]:
    """The clips of whole groups, the first in an order by chance, that hold at least so many."""
    groups = clip_groups(store, clips)
    order = np.argsort(_order_keys(groups.names, seed=seed), kind="stable")
    counts = np.bincount(groups.numbers)[order]
    num_before = np.cumsum(counts) - counts
    is_drawn = np.zeros(len(order), np.bool_)
    is_drawn[order[num_before < num_clips - 1e-6]] = True
    drawn: npt.NDArray[np.int64] = clips[is_drawn[groups.numbers]]
    return drawn


def _even_order(labels: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Groups in an order of which every beginning has its share of each label, and one of each label comes first.

    The only group of a label comes last: it is to be learnt from. Equal places go by the keys.
    """
    by_label = np.lexsort((keys, labels))
    num_groups = np.bincount(labels)
    places = np.empty(len(labels))
    places[by_label] = np.arange(len(labels)) - (np.cumsum(num_groups) - num_groups)[labels[by_label]]
    places[num_groups[labels] == 1] = 1
    return np.lexsort((keys, places / num_groups[labels]))


def _rarest_labels(store: LabelledClips, clips: npt.NDArray[np.int64], groups: ClipGroups) -> npt.NDArray[np.int64]:
    """Of each group the label with the fewest clips, as the place of the label from rare to frequent."""
    rank = np.argsort(np.argsort(_label_counts(store, clips), kind="stable"))
    rarest = np.full(len(groups.keys), len(rank), np.int64)  # without labels
    for first in range(0, len(clips), _CLIPS_AT_ONCE):
        rows, labels = store.label_pairs(clips[first : first + _CLIPS_AT_ONCE])
        np.minimum.at(rarest, groups.numbers[first + rows], rank[labels])
    return rarest


def _label_counts(store: LabelledClips, clips: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many of the clips carry each label."""
    counts = np.zeros(len(store.label_set), np.int64)
    for first in range(0, len(clips), _CLIPS_AT_ONCE):
        _, labels = store.label_pairs(clips[first : first + _CLIPS_AT_ONCE])
        counts += np.bincount(labels, minlength=len(counts))
    return counts


def _order_keys(names: pa.ChunkedArray, *, seed: int) -> npt.NDArray[np.uint64]:
    """The first 64 bits of a hash of each name."""
    digests = bytearray()
    for chunk in names.chunks:
        for first in range(0, len(chunk), _TEXTS_AT_ONCE):
            for name in chunk.slice(first, _TEXTS_AT_ONCE).to_pylist():
                digests += hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]
    return np.frombuffer(bytes(digests), ">u8").astype(np.uint64)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        return pc.cast(column, pa.string())
    return pa.chunked_array([[None if value is None else str(value) for value in column.to_pylist()]], pa.string())


def _digests(store: LabelledClips, sides: list[npt.NDArray[np.int64]]) -> list[str]:
    """A digest of the ids of each side's clips, in order, with a zero byte behind each."""
    ids = store.read_clips(["clip_id"])
    found = []
    for clips in sides:
        digest = hashlib.sha256()
        for chunk in filter(len, take_rows(ids, clips)["clip_id"].chunks):
            ended = pc.binary_join_element_wise(chunk, "", "\0").cast(pa.large_string())
            _, offset_buffer, text_buffer = ended.buffers()
            offsets = np.frombuffer(offset_buffer, np.int64)[ended.offset : ended.offset + len(ended) + 1]
            digest.update(memoryview(text_buffer)[offsets[0] : offsets[-1]])
        found.append(digest.hexdigest()[:16])
    return found
