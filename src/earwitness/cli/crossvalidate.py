"""`earwitness crossvalidate`: train and evaluate fold by fold."""

import os
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional, arg

from earwitness.cli.output import print_json, progress_bar, remark
from earwitness.cli.training_bar import begin_training, show_training
from earwitness.errors import SettingsError
from earwitness.report.words import duration
from earwitness.training.recipes import RECIPES, Recipe
from earwitness.training.settings import TrainSettings

if TYPE_CHECKING:
    from earwitness.experiments.crossvalidate import CrossValidation

INFINITE = "d-prime inf: the clips of every label are ranked before all others"
"""Said where it is printed."""

_TITLES = {
    "accuracy": "accuracy",
    "mean_average_precision": "mAP",
    "mean_auc": "AUC",
    "dprime": "d-prime",
    "one_best_accuracy": "1-best accuracy",
}


@dataclass(frozen=True, kw_only=True)
class CrossValidate:
    """Train on all folds but one and evaluate on that one, for every fold; resumable."""

    store: Annotated[Positional[str], arg(metavar="STORE")]
    """Made by `earwitness prepare`."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """The folder for the runs of all folds and the result."""
    recipe: Recipe = "paper"
    """Where the defaults of all settings come from, but that no clip is watched."""
    settings: Annotated[TrainSettings, arg(name="")] = field(
        default_factory=lambda: TrainSettings(validation_share=0.0)
    )
    group: str = "fold"
    """The manifest's column whose values are the folds."""
    scored_hop_frames: int | None = None
    """Frames of 10 ms from one scored patch to the next in the evaluations. None: the store's."""
    json: bool = False
    """Report as JSON."""

    @classmethod
    def defaults(cls, name: Recipe) -> "CrossValidate":
        """What holds where an option is not given."""
        settings = replace(RECIPES[name], validation_share=0.0)
        return cls(store=tyro.MISSING, out=tyro.MISSING, recipe=name, settings=settings)

    def run(self) -> int:
        """Cross-validate; 130 if stopped before the end."""
        from earwitness.experiments.crossvalidate import crossvalidate
        from earwitness.store.embeddings import open_store

        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise SettingsError(
                "crossvalidate runs in one process, not under torchrun; train one fold by torchrun with "
                f"`train --where '{self.group} <> 1'`"
            )
        store = open_store(self.store)
        with progress_bar(total=self.settings.steps, unit="step", title="fold") as bar:

            def begin(value: Any, number: int, num_folds: int) -> None:
                title = f"{self.group} {value} ({number + 1} of {num_folds})"
                begin_training(bar, num_steps=self.settings.steps, title=title)

            outcome = crossvalidate(
                store,
                self.out,
                column=self.group,
                scored_hop_frames=self.scored_hop_frames,
                settings=self.settings,
                on_fold=begin,
                on_progress=lambda now: show_training(bar, now),
            )
        if outcome is None:
            remark("stopped; the same command goes on from there")
            return 130
        if self.json:
            print_json(outcome.to_dict())
        else:
            self._print(outcome)
        return 0

    def _print(self, outcome: "CrossValidation") -> None:
        print(f"{'':18}{'mean':>8}{'sd':>8}   {'95 % interval':16}{'baseline':>9}{'chance':>9}   by {self.group}")
        sides = (outcome.model, outcome.baseline, outcome.chance)
        is_infinite = False
        for metric, title in _TITLES.items():
            if metric == "one_best_accuracy" and "accuracy" in outcome.model:
                continue  # the same figure
            if metric not in outcome.model:
                if metric != "accuracy":
                    print(f"{title}: undefined in a fold, so no mean")
                continue
            spread = outcome.model[metric]
            interval = f"{spread.low:.3f} to {spread.high:.3f}" if isfinite(spread.mean) else "-"
            deviation = f"{spread.standard_deviation:.3f}" if isfinite(spread.mean) else "-"
            model, baseline, chance = (f"{side[metric].mean:.3f}" if metric in side else "-" for side in sides)
            per_fold = " ".join(f"{value:.3f}" for value in spread.per_fold)
            print(f"{title:18}{model:>8}{deviation:>8}   {interval:16}{baseline:>9}{chance:>9}   {per_fold}")
            is_infinite |= "inf" in (model, baseline)
        if is_infinite:
            print(INFINITE)
        seconds = sum(fold["seconds"] for fold in outcome.folds)
        print(f"{len(outcome.folds)} trainings, {duration(seconds)} in all; {self.out / 'crossvalidation.json'}")
        held_by: dict[str, list[str]] = {}
        for fold in outcome.folds:
            for note in fold["notes"]:
                held_by.setdefault(note, []).append(str(fold["fold"]))
        for note, folds in held_by.items():
            remark(f"{self.group} {', '.join(folds)}: {note}")
