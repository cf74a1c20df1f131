"""What differs between the plan that a folder keeps and one asked for, in few words."""

from collections.abc import Mapping
from typing import Any

from earwitness.paper.presets import PRESETS
from earwitness.paper.sizing import condition_words
from earwitness.training.run_folder import flat_settings, setting_words

_NUM_NAMED = 3
"""Parts are named up to so many, and counted beyond."""
_FOLLOWS = {"steps": {"validation_every", "drop_steps"}, "network": {"learning_rate"}}
"""What another value of a setting brings with it."""
_SIZES = {"width", "batch_size", "steps", "learning_rate", "validation_clips", "num_labels", "bottleneck"}
"""What a preset decides."""


def plan_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, one part of a sentence each; what follows from another difference is left out.

    Nothing, where one of them is the other with more cells: those that both have are compared.

    Args:
        before: a plan as `Plan.to_dict` makes it.
        now: another.
    """
    if before["experiment"] != now["experiment"]:
        return [f"experiment: {before['experiment']} before, {now['experiment']} now"]
    cells = [{cell["name"]: cell for cell in plan["cells"]} for plan in (before, now)]
    shared = [name for name in cells[1] if name in cells[0]]
    sizes = [next(iter(each.values()))["settings"]["validation_clips"] for each in cells]
    presets = [
        next((name for name, preset in PRESETS.items() if preset.validation_clips == size), None) for size in sizes
    ]
    changes, left_out = [], set()
    if presets[0] != presets[1] and None not in presets:
        changes.append(f"preset: {presets[0]} before, {presets[1]} now")
        left_out = {*_SIZES, *_FOLLOWS["steps"], "evaluated_labels"}
    elif len(shared) < min(map(len, cells)):
        sides = [_named([name for name in each if name not in shared]) for each in cells]
        changes.append(f"parts: {sides[0]} before and not now, {sides[1]} now and not before")
    changes += [
        f"{name}: {_words(name, before.get(name))} before, {_words(name, value)} now"
        for name, value in now.items()
        if name not in ("cells", *left_out) and before.get(name) != value
    ]
    return changes + _cell_changes([(name, cells[0][name], cells[1][name]) for name in shared], left_out, any(changes))


def _cell_changes(
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]], left_out: set[str], has_changed: bool
) -> list[str]:
    """What differs in cells of the same name: each setting once, and in which parts."""
    found: dict[str, dict[str, str]] = {}
    for cell, *sides in pairs:
        flat = [_flat(side) for side in sides]
        for name, value in flat[1].items():
            if flat[0].get(name) != value and name not in left_out:
                words = f"{_words(name, flat[0].get(name))} before, {_words(name, value)} now"
                found.setdefault(name, {})[cell] = words
    for cause, follows in _FOLLOWS.items():
        if cause in found:
            found = {name: cells for name, cells in found.items() if name not in follows}
    if not found and not has_changed:  # facts follow from settings, or from a file that is another one now
        for cell, then, now in pairs:
            for name, value in now["facts"].items():
                if then["facts"].get(name) != value:
                    found.setdefault(name, {})[cell] = f"{then['facts'].get(name)} before, {value} now"
    changes = []
    for name, cells in found.items():
        sides_of_all = list(dict.fromkeys(cells.values()))
        where = f" in {_named(list(cells))}" if len(cells) < len(pairs) or len(sides_of_all) > 1 else ""
        changes.append(f"{name}: {sides_of_all[0]}{' and the like' if len(sides_of_all) > 1 else ''}{where}")
    return changes


def _flat(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the figures. Of the cells whose time it may take the first counts: the others are for failures."""
    others = {name: cell.get(name) for name in ("num_labels", "patch_frames", "paced_by")}
    return {**flat_settings(cell["settings"]), **others, "as_long_as": (cell.get("as_long_as") or [None])[0]}


def _words(name: str, value: Any) -> str:
    return condition_words(value) if name in ("where", "test_where") and value is not None else setting_words(value)


def _named(cells: list[str]) -> str:
    return ", ".join(cells) if 0 < len(cells) <= _NUM_NAMED else f"{len(cells)} parts"
