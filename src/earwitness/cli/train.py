"""`earwitness train`: from a store to a trained model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from earwitness.cli.held_out import held_out_condition
from earwitness.cli.output import counted, print_json, print_next, progress_bar, remark
from earwitness.cli.training_bar import show_training
from earwitness.report.words import duration
from earwitness.training.recipes import RECIPES, Recipe, without_patch_changes
from earwitness.training.settings import TrainSettings

if TYPE_CHECKING:
    from earwitness.store.read import LabelledClips
    from earwitness.training.loop import TrainSummary

_TITLES = {"one_best_accuracy": "1-best accuracy", "mean_average_precision": "mAP"}

LEFT_OFF = (
    "the recipe's changes to patches (time shifts, mixtures, blanked stripes) are left off: embeddings are of patches "
    "as they are"
)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network on a store, as the paper does; an interrupted training is taken up again.

    Over several GPUs or machines: torchrun --nproc-per-node 8 -m earwitness train ...
    """

    store: Annotated[Positional[str], arg(metavar="STORE")]
    """Made by `earwitness prepare`; or embeddings that `earwitness embed` made, for a classifier on them."""
    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder that the training leaves behind: model, settings, measurements."""
    recipe: Recipe = "paper"
    """Where the defaults of all other options come from (`--recipe small-data --help` shows them)."""
    settings: Annotated[TrainSettings, arg(name="")] = field(default_factory=TrainSettings)
    json: bool = False
    """Report as JSON."""

    @classmethod
    def defaults(cls, recipe: Recipe) -> "Train":
        """What holds where an option is not given."""
        return cls(store=tyro.MISSING, run_folder=tyro.MISSING, recipe=recipe, settings=RECIPES[recipe])

    def run(self) -> int:
        """Train; 130 if stopped before the end."""
        from earwitness.report.curves import plot_learning_curves
        from earwitness.store.embeddings import Embeddings, open_clips
        from earwitness.training.distributed import join_processes
        from earwitness.training.loop import train

        processes = join_processes()
        store = processes.together(lambda: open_clips(self.store))
        settings = self.settings
        if isinstance(store, Embeddings):
            settings = without_patch_changes(settings, self.recipe)
        if not processes.is_first:  # the first alone speaks
            return 0 if train(store, self.run_folder, settings=settings).is_finished else 130
        if settings != self.settings:
            remark(LEFT_OFF)
        with progress_bar(total=self.settings.steps, unit="step", title="train") as bar:
            summary = train(
                store,
                self.run_folder,
                settings=settings,
                on_progress=lambda now: show_training(bar, now),
            )
        if summary.is_finished:
            plot_learning_curves(self.run_folder / "metrics.csv", self.run_folder / "learning_curves.png")
        else:
            remark(f"stopped after step {summary.step} of {summary.num_steps}; the same command goes on from there")
        if self.json:
            fields = {**vars(summary), "model_path": str(summary.model_path), "is_finished": summary.is_finished}
            fields["best_path"] = str(summary.best_path) if summary.best_path else None
            print_json({"schema_version": 1, **fields})
        elif summary.is_finished:
            self._print(summary, store)
        return 0 if summary.is_finished else 130

    def _print(self, summary: "TrainSummary", store: "LabelledClips") -> None:
        over = f", over {summary.num_processes} processes" if summary.num_processes > 1 else ""
        print(
            f"{summary.model_path}: {summary.step} steps over {summary.num_patches} patches of "
            f"{summary.num_train_clips} clips, in {duration(summary.seconds)}{over}"
        )
        if summary.was_finished:
            more = "--stop-after" if summary.stopped_early else "--steps"
            print(f"  it was finished already; a larger {more} would go on with it")
        if summary.stopped_early:
            number = counted(self.settings.stop_after or 0, "validation")
            print(f"  ended before {summary.num_steps} steps: the last {number} brought no better mAP")
        watched = summary.last_validation
        if watched:
            figures = ", ".join(f"{_TITLES[k]} {v:.3f}" for k, v in watched.items() if v is not None)
            clips = counted(summary.num_validation_clips, "clip")
            print(f"  on {clips} watched, not learnt from: {figures or 'no figure is defined'}")
            if summary.validation_doubts is not None:
                print(f"  {summary.validation_doubts}")
            if summary.best_path is not None:
                print(f"  {summary.best_path}: as it was after step {summary.best_step}, the best of these")
        else:
            print("  no clip was set aside to be watched")
        model = summary.model_path
        if summary.best_path is not None and summary.best_step != summary.step:
            model = summary.best_path
        condition = held_out_condition(store, self.settings)
        where = ("--where", condition) if condition is not None else ()
        made_of = getattr(store, "store_path", None) or self.store  # embeddings mostly are of a store elsewhere
        if where or not _hears(model):
            print_next("evaluate", model, made_of, *where)
        else:
            print_next("tag", model, "FILE")


def _hears(model: Path) -> bool:
    """Whether it is more than a classifier of embeddings."""
    from earwitness.models.description import PUBLISHED_EMBEDDINGS
    from earwitness.models.model_file import load_model

    return load_model(model).architecture.name != PUBLISHED_EMBEDDINGS
