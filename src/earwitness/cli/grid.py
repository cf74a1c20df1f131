"""`earwitness grid`: train with every combination of some settings, and say which does best."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, progress_bar, remark
from earwitness.cli.train import LEFT_OFF
from earwitness.cli.train_command import train_command
from earwitness.cli.training_bar import begin_training, show_training
from earwitness.errors import SettingsError
from earwitness.experiments.grid_axes import SEARCHED, Axes
from earwitness.training.recipes import RECIPES, Recipe, without_patch_changes
from earwitness.training.settings import TrainSettings

if TYPE_CHECKING:
    from earwitness.experiments.grid_table import GridTable


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Train with every combination of some settings and compare by the clips watched; resumable.

    Several processes with the same command share the work: one for each GPU with CUDA_VISIBLE_DEVICES or --device.
    """

    store: Annotated[Positional[Path], arg(metavar="STORE")]
    """Made by `earwitness prepare`; or embeddings that `earwitness embed` made, for classifiers on them."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """The folder for the study, the runs of all trials and the table."""
    axes: Annotated[Axes, arg(name="")] = field(default_factory=Axes)
    trials: int | None = None
    """At most so many combinations are tried in all. None: every one."""
    sampler: Literal["random", "tpe"] = "random"
    """How they are chosen where there are more: at random, or by what went well so far (Optuna's TPE)."""
    recipe: Recipe = "paper"
    """Where the defaults of all settings come from."""
    settings: Annotated[TrainSettings, arg(name="")] = field(default_factory=TrainSettings)
    json: bool = False
    """Report as JSON."""

    @classmethod
    def defaults(cls, recipe: Recipe) -> "Grid":
        """What holds where an option is not given."""
        return cls(store=tyro.MISSING, out=tyro.MISSING, recipe=recipe, settings=RECIPES[recipe])

    def run(self) -> int:
        """Search; 130 if stopped before the end, 1 if no trial came to its end."""
        self._require_one_of_each()
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise SettingsError(
                "grid is not run under torchrun: start the same command several times instead, and they share the work"
            )
        from earwitness.experiments.grid import grid_search
        from earwitness.store.embeddings import Embeddings, open_clips

        store = open_clips(self.store)
        settings = self.settings
        if isinstance(store, Embeddings):
            settings = without_patch_changes(settings, self.recipe)
        if settings != self.settings:
            remark(LEFT_OFF)
        waited_for = 0
        with progress_bar(total=self.settings.steps, unit="step", title="trial") as bar:

            def begin(number: int, combination: Mapping[str, float]) -> None:
                values = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in combination.items())
                begin_training(bar, num_steps=self.settings.steps, title=f"trial {number:04d} ({values})")

            def wait(num_trials: int) -> None:
                nonlocal waited_for
                if num_trials != waited_for:
                    remark(f"nothing is left to begin; waiting for {counted(num_trials, 'trial')} of other processes")
                waited_for = num_trials

            table = grid_search(
                store,
                self.out,
                axes=self.axes,
                settings=settings,
                trials=self.trials,
                sampler=self.sampler,
                on_trial=begin,
                on_progress=lambda now: show_training(bar, now),
                on_wait=wait,
            )
        if table is None:
            remark("stopped; the same command goes on from there")
            return 130
        command = None
        if table.best_settings is not None:
            command = train_command(self.store, self.out / "best", settings=table.best_settings, recipe=self.recipe)
        if self.json:
            print_json({**table.to_dict(), "command": command})
        else:
            self._print(table, command)
        return 0 if command is not None else 1

    def _require_one_of_each(self) -> None:
        """Refuse a setting that is given both as one value and as values to try."""
        for name, axis in SEARCHED.items():
            is_given = getattr(self.settings, name) != getattr(RECIPES[self.recipe], name)
            if is_given and getattr(self.axes, axis) is not None:
                one, several = (f"--{given.replace('_', '-')}" for given in (name, axis))
                raise SettingsError(f"{one} and {several} are both given; one of them is meant")

    def _print(self, table: "GridTable", command: str | None) -> None:
        print(table.to_markdown())
        print()
        print(f"mAP and 1-best accuracy on {counted(table.num_clips, 'clip')} set aside from those learnt from")
        if table.doubts is not None:
            remark(table.doubts)
        print(f"{self.out / 'table.csv'}, {self.out / 'table.json'}")
        if table.best is None or command is None:
            print("no trial came to its end")
            return
        print(f"the best model: {self.out / 'trials' / f'{table.best.number:04d}' / 'best.safetensors'}")
        print(f"to train with its settings: {command}")
        for sentence in table.at_an_end():
            remark(sentence)
