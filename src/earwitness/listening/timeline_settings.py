"""What can be chosen about a timeline."""

import math
from dataclasses import dataclass
from typing import Literal

from earwitness.errors import LabelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.tag_settings import require_number
from earwitness.labels import LabelSet


@dataclass(frozen=True, kw_only=True)
class TimelineSettings:
    """How closely one listens, and what counts as an event."""

    hop_seconds: float | None = None
    """From one patch to the next, a multiple of the front end's frames (0.01 s). None: half a patch (0.48 s)."""
    threshold: float | Literal["own"] = "own"
    """An event is heard where patches score at least this. own: the model's own thresholds, one for each label
    (`earwitness calibrate` fits them); 0.5 where it has none."""
    keep_share: float = 0.7
    """It goes on, before and after, while they score at least this share of the threshold. 1: no such patience."""
    min_seconds: float = 0.5
    """Shorter events are left out."""
    max_gap_seconds: float = 0.5
    """Gaps up to this between two events of a label are closed, before the shorter ones are left out."""
    labels: tuple[str, ...] = ()
    """Only these labels, by id or name; none named: all of them."""

    def __post_init__(self) -> None:
        if not isinstance(self.labels, tuple):
            raise SettingsError(f"labels={self.labels!r}: a tuple of ids or names is needed, as in ('Bell',)")
        for name in ("hop_seconds", "threshold", "keep_share", "min_seconds", "max_gap_seconds"):
            value = getattr(self, name)
            if not (name == "hop_seconds" and value is None) and not (name == "threshold" and value == "own"):
                require_number(name, value)
        if self.threshold != "own" and not 0 <= self.threshold <= 1:
            raise SettingsError(f"threshold={self.threshold} must lie in [0, 1]")
        if not 0 < self.keep_share <= 1:
            raise SettingsError(f"keep_share={self.keep_share} must be above 0 and at most 1")
        for name in ("min_seconds", "max_gap_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"{name}={value} must be a number of seconds, 0 or more")


def hop_frames(hop_seconds: float | None, front_end: FrontEnd) -> int:
    """Frames from one patch to the next.

    Args:
        hop_seconds: None: half a patch.
        front_end: the model's.

    Raises:
        SettingsError: it is no multiple of a frame, or longer than a patch.
    """
    if hop_seconds is None:
        return max(1, front_end.patch_frames // 2)
    require_number("hop_seconds", hop_seconds)
    frames = hop_seconds / front_end.frame_seconds
    nearest = min(max(round(frames), 1), front_end.patch_frames) if math.isfinite(frames) else front_end.patch_frames
    if not math.isclose(frames, nearest, rel_tol=1e-6):
        raise SettingsError(
            f"hop_seconds={hop_seconds:g} must be a multiple of {front_end.frame_seconds:g} s, up to a patch of "
            f"{front_end.patch_seconds:g} s; the nearest is {nearest * front_end.frame_seconds:g}"
        )
    return nearest


def chosen_labels(labels: tuple[str, ...], label_set: LabelSet) -> list[int]:
    """Ascending indexes of labels by id or name; of all where none is named.

    Raises:
        LabelError: there is no such label.
    """
    if not labels:
        return list(range(len(label_set)))
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(label_set.names):
        by_name.setdefault(name.casefold(), []).append(index)
    chosen: set[int] = set()
    for label in labels:
        if label in label_set.index_of:
            chosen.add(label_set.index_of[label])
        elif label.casefold() in by_name:
            chosen.update(by_name[label.casefold()])
        else:
            raise LabelError(f"unknown label {label!r}; {_account(label, label_set)}")
    return sorted(chosen)


def _account(label: str, label_set: LabelSet) -> str:
    """What it may have been, by name where ids are codes."""
    names = LabelSet.of(dict.fromkeys(name for name in label_set.names if name))
    return names.describe(near=label) if names.ids else label_set.describe(near=label)
