"""Which clips are watched: spread over the labels, groups kept together, the same every time."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from earwitness.labels import LabelSet
from earwitness.store.read import LabelledClips
from earwitness.training.clips import choose_clips
from earwitness.training.settings import TrainSettings
from test_training import QUICK

SETTINGS = replace(QUICK, validation_share=0.1)


class Clips(LabelledClips):
    """Clips without sound."""

    def __init__(self, labels: Sequence[Sequence[int]], *, group_size: int = 1) -> None:
        self.num_clips = len(labels)
        num_labels = 1 + max(number for each in labels for number in each)
        self.label_set = LabelSet.of([f"l{number}" for number in range(num_labels)])
        self.label_offsets = np.cumsum([0, *map(len, labels)])
        self.label_indices = np.array([number for each in labels for number in sorted(each)], np.int32)
        ids = [f"c{number}" for number in range(len(labels))]
        groups = [f"g{number // group_size}" for number in range(len(labels))]
        self._table = pa.table({"clip_id": ids, "media": ids, "group": groups})

    @property
    def clips_schema(self) -> pa.Schema:
        return self._table.schema

    def read_clips(self, columns: Sequence[str]) -> pa.Table:
        return self._table.select(list(columns))


def watched_counts(clips: Clips, settings: TrainSettings) -> list[int]:
    """Watched clips of each label."""
    chosen = choose_clips(clips, settings)
    assert np.array_equal(chosen.validation, choose_clips(clips, settings).validation)
    return [int(number) for number in clips.targets(chosen.validation).sum(axis=0)]


@pytest.mark.parametrize("seed", range(5))
def test_spread_over_labels(seed: int) -> None:
    settings = replace(SETTINGS, seed=seed)
    assert watched_counts(Clips([[n % 4] for n in range(40)]), settings) == [1] * 4
    uneven = Clips([[0]] * 70 + [[1]] * 20 + [[2]] * 9 + [[3]])
    assert watched_counts(uneven, settings) == [7, 2, 1, 0], "in proportion, and what is there once is learnt from"
    beside = Clips([[0, 1 + n % 5] for n in range(50)])
    assert watched_counts(beside, settings) == [5, 1, 1, 1, 1, 1]
    grouped = Clips([[n // 2 % 4] for n in range(80)], group_size=2)
    chosen = choose_clips(grouped, settings)
    assert watched_counts(grouped, settings) == [2] * 4
    assert not set(chosen.train // 2) & set(chosen.validation // 2)
    many = Clips([[n % 10] for n in range(1_000)])
    assert watched_counts(many, replace(settings, validation_clips=20)) == [2] * 10
    assert len(choose_clips(many, replace(settings, validation_clips=20)).train) == 900


def test_seeds_and_edges() -> None:
    clips = Clips([[n % 4] for n in range(40)])
    chosen = {tuple(choose_clips(clips, replace(SETTINGS, seed=seed)).validation) for seed in range(10)}
    assert len(chosen) > 5
    assert watched_counts(clips, replace(SETTINGS, validation_share=0.0)) == [0] * 4
    alone = Clips([[0], [0], [1]], group_size=3)
    assert len(choose_clips(alone, SETTINGS).train) == 3, "one group at least is learnt from"
    assert watched_counts(Clips([[], [0], [], [0]]), replace(SETTINGS, validation_share=0.5)) == [1]


def test_doubts() -> None:
    def doubts(labels: Sequence[Sequence[int]], settings: TrainSettings = SETTINGS) -> str | None:
        clips = Clips(labels)
        return choose_clips(clips, settings).doubts(clips)

    assert doubts([[n % 4] for n in range(400)]) is None
    assert doubts([[n % 4] for n in range(40)], replace(SETTINGS, validation_share=0.0)) is None
    few = doubts([[n % 4] for n in range(40)])
    assert few is not None
    assert few.startswith("only 4 clips are watched; figures of so few say little; more are by --validation-share or")
    missing = doubts([[n % 8] for n in range(40)])
    assert missing is not None
    assert missing.startswith("only 4 of 8 labels are among the 4 clips watched; figures of so few say little")
    large = doubts([[n % 50] for n in range(300)])
    assert large is not None
    assert large.startswith("only 30 of 50 labels are among the 30 clips watched; more are by --validation-share")
