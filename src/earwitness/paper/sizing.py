"""What all experiments are sized by: a preset, with what was asked for in its place, on given clips."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

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
        rest = f"({where if where is not None else test_where}){_REST}"
        return Sides(where=where or rest, test_where=test_where or rest)
    counts = {name: _counts(store, name) for name in ("split", "fold") if name in store.clips_schema.names}
    for train, test in (("train", "test"), ("dev", "eval")):
        if {train, test} <= counts.get("split", {}).keys():
            return Sides(where=f"split = '{train}'", test_where=f"split = '{test}'")
    folds = counts.get("fold", {})
    if len(folds) > 1 and 1 in folds and all(isinstance(fold, int | float) for fold in folds):
        return Sides(where="fold <> 1", test_where="fold = 1")
    if len(folds) > 1 and "1" in folds and all(str(fold).isdecimal() for fold in folds):
        return Sides(where="fold <> '1'", test_where="fold = '1'")
    raise SelectionError(f"{store.folder}: which clips are held out to evaluate on? {_found(counts)}")


def condition_words(condition: str) -> str:
    """A side as notes and messages name it: a rest by what it leaves."""
    return f"all but {condition.removesuffix(_REST)}" if condition.endswith(_REST) else condition


_REST = " IS NOT TRUE"
_NUM_NAMED = 6
"""Values of a column, in a message."""


def _counts(store: Store, column: str) -> dict[Any, int]:
    """How many clips have each value of a column, the most frequent first."""
    values = pc.value_counts(store.read_clips([column])[column].combine_chunks())
    pairs = [(each["values"], each["counts"]) for each in values.to_pylist() if each["values"] is not None]
    return dict(sorted(pairs, key=lambda pair: -pair[1]))


def _found(counts: Mapping[str, Mapping[Any, int]]) -> str:
    """What the columns hold that might say it, and what to give."""
    texts = []
    for name, values in counts.items():
        named = [str(value) for value in values][:_NUM_NAMED]
        more = f" and {len(values) - len(named):,} more" if len(values) > len(named) else ""
        texts.append(f"column {name} holds {', '.join(named) or 'nothing'}{more}")
    if not texts:
        return (
            "It has no column split with train and test, and no column fold; give --where and --test-where "
            "(`earwitness subset split` makes such a column)"
        )
    for name, values in counts.items():
        if len(values) > 1:
            learnt, *others = values
            held_out = next((each for each in others if str(each).lower().startswith(("test", "eval"))), others[0])
            where = f'--where "{name} = {_literal(learnt)}" ' if name == "split" else ""  # all other folds are learnt
            return f'{"; ".join(texts)}; say {where}--test-where "{name} = {_literal(held_out)}"'
    return f"{'; '.join(texts)}; give --where and --test-where"


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"
