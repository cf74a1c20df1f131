"""What can be chosen about scoring a store, and how its work is shared; no torch here."""

from dataclasses import dataclass, replace
from typing import Literal

from earwitness.errors import SettingsError
from earwitness.evaluation.aggregation_names import Aggregation
from earwitness.front_end import FrontEnd

Level = Literal["clip", "patch"]
"""Whether a row of scores is a clip, or a patch, to which all labels of its clip are then given."""


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Which clips are scored, and how."""

    where: str | None = None
    """SQL condition over the manifest's columns: the clips to score, for example "fold = 1". None: all."""
    patch_hop_frames: int | None = None
    """Frames of 10 ms from one scored patch to the next. None: the model's; half a patch (48) often scores better."""
    aggregation: Aggregation = "mean"
    """How the probabilities of a clip's patches become its score: the mean (the paper), the largest, the mean of the
    three largest, or a mean in which each weighs as much as it scores."""
    level: Level = "clip"
    """A row of scores for each clip, or for each patch, to which all labels of its clip are then given."""

    def __post_init__(self) -> None:
        if self.level == "patch" and self.aggregation != "mean":
            raise SettingsError(f"aggregation={self.aggregation} is for level=clip: patches are not aggregated")

    def front_end_of(self, front_end: FrontEnd) -> FrontEnd:
        """A model's front end, with the hop asked for.

        Raises:
            SettingsError: the hop is longer than a patch, or none.
        """
        hop_frames = self.patch_hop_frames
        return front_end if hop_frames is None else replace(front_end, patch_hop_frames=hop_frames)


@dataclass(frozen=True)
class Shard:
    """A share of the ranges of clips: those whose number, from 0, leaves `number - 1` when divided by `count`."""

    number: int = 1
    """From 1."""
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From `2/4`.

        Raises:
            SettingsError: it is no such text.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise SettingsError(f"shard={text!r} must be NUMBER/COUNT, such as 2/4: the second of four shares")
        return cls(int(number), int(count))

    def has(self, number: int) -> bool:
        """Whether a range is in this share."""
        return number % self.count == self.number - 1


WHOLE = Shard()
"""All of them."""
