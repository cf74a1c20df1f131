"""What all experiments are sized by: a preset, with what was asked for in its place, on given clips."""

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import SelectionError, SettingsError
from earwitness.paper.presets import PRESETS, Preset, PresetName
from earwitness.store.read import Store
from earwitness.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Which clips are learnt from and which evaluated on: SQL conditions."""

    where: str
    test_where: str


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """What the plans are made with."""

    preset: Preset
    sides: Sides
    seed: int

    def settings(self, experiment: str, *, network: str | None = "resnet50", **changes: Any) -> TrainSettings:
        """Of a training: the paper's recipe at this size."""
        preset, steps = self.preset, changes.pop("steps", self.preset.steps[experiment])
        values: dict[str, Any] = {
            "network": network,
            "width": preset.width,
            "batch_size": preset.batch_size,
            "learning_rate": preset.learning_rates.get(network) if network is not None else None,
            "steps": steps,
            "seed": self.seed,
            "where": self.sides.where,
            "validation_every": max(1, steps // preset.validations),
            "validation_clips": preset.validation_clips,
        }
        return TrainSettings(**{**values, **changes})


def size(
    name: PresetName,
    *,
    sides: Sides,
    seed: int = 1,
    experiment: str,
    width: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
) -> Sizing:
    """A preset, with other sizes where they are given.

    Raises:
        SettingsError: a size is not allowed.
    """
    preset = PRESETS[name]
    if steps is not None and steps < 1:
        raise SettingsError(f"steps={steps} must be at least 1")
    given: dict[str, Any] = {"width": width, "batch_size": batch_size}
    preset = replace(preset, **{key: value for key, value in given.items() if value is not None})
    if steps is not None:
        preset = replace(preset, steps={**preset.steps, experiment: steps})
    return Sizing(preset=preset, sides=sides, seed=seed)


def choose_sides(store: Store, *, where: str | None, test_where: str | None) -> Sides:
    """What was asked for; of one side alone, the other is the rest. Of neither, by the store's own split or folds.

    Raises:
        SelectionError: nothing is asked for, and the store has no split of its own.
    """
    if where is not None or test_where is not None:
        rest = f"({where if where is not None else test_where}) IS NOT TRUE"
        return Sides(where=where or rest, test_where=test_where or rest)
    schema = store.clips_schema
    for column, train, test in (("split", "train", "test"), ("split", "dev", "eval")):
        if column in schema.names and pa.types.is_string(schema.field(column).type):
            values = pc.unique(store.read_clips([column])[column]).to_pylist()
            if train in values and test in values:
                return Sides(where=f"{column} = '{train}'", test_where=f"{column} = '{test}'")
    if "fold" in schema.names and pa.types.is_integer(schema.field("fold").type):
        return Sides(where="fold <> 1", test_where="fold = 1")
    raise SelectionError(
        f"{store.folder}: which clips are held out to evaluate on? It has no column split with train and test, and no "
        "column fold; give --where and --test-where (`earwitness subset split` makes such a column)"
    )
