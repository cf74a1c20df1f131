"""Settings as the command line of `earwitness train` that has them."""

import shlex
from pathlib import Path
from typing import Any

from earwitness.training.recipes import RECIPES, Recipe
from earwitness.training.settings import TrainSettings


def train_command(store: str | Path, run_folder: Path, *, settings: TrainSettings, recipe: Recipe) -> str:
    """A line for the shell: what differs from the recipe is given as options."""
    words = ["earwitness", "train", str(store), str(run_folder)]
    if recipe != "paper":
        words += ["--recipe", recipe]
    default = _flat(RECIPES[recipe])
    for name, value in _flat(settings).items():
        if value != default[name]:
            words += _option("from" if name == "from_model" else name.replace("_", "-"), value)
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list):
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", str(value)]


def _flat(settings: TrainSettings) -> dict[str, Any]:
    """As on the command line: without groups."""
    flat: dict[str, Any] = {}
    for name, value in settings.to_dict().items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
