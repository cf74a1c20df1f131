"""The clips that a training neither learnt from nor watched, as a condition for the command to go on with."""

import re
from typing import TYPE_CHECKING

from earwitness.errors import SelectionError
from earwitness.training.settings import TrainSettings

if TYPE_CHECKING:
    from earwitness.store.read import LabelledClips

_OPPOSITES = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_PLAIN = re.compile(r"\s*(\w+)\s*(=|!=|<>|<=|>=|<|>)\s*(-?\d[\d.]*|'[^']*')\s*")
"""A column, a comparison, and a number or text."""


def held_out_condition(store: "LabelledClips", settings: TrainSettings) -> str | None:
    """The condition for `--where`; None where there are no such clips, or no condition says which they are."""
    if settings.where is None:
        return None
    wheres = (settings.where, settings.validation_where)
    condition = " AND ".join(opposite(where) for where in wheres if where is not None)
    try:
        store.select(condition)
    except SelectionError:
        return None
    return condition


def opposite(condition: str) -> str:
    """What holds where an SQL condition does not: `fold = 1` of `fold != 1`, else with a NOT before it."""
    plain = _PLAIN.fullmatch(condition)
    if plain is None:
        return f"NOT ({condition})"
    column, sign, value = plain.groups()
    return f"{column} {_OPPOSITES[sign.replace('<>', '!=')]} {value}"
