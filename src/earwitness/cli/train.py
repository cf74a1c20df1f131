"""`earwitness train`: from a store to a trained model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import duration, print_json, progress_bar, remark
from earwitness.cli.training_bar import show_training
from earwitness.training.settings import TrainSettings

if TYPE_CHECKING:
    from earwitness.training.loop import TrainSummary


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network on a store, as the paper does; an interrupted training is taken up again."""

    store: Annotated[Positional[Path], arg(metavar="STORE")]
    """Made by `earwitness prepare`."""
    run_folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder that the training leaves behind: model, settings, measurements."""
    settings: Annotated[TrainSettings, arg(name="")] = field(default_factory=TrainSettings)
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Train; 130 if stopped before the end."""
        from earwitness.report.curves import plot_learning_curves
        from earwitness.store.read import Store
        from earwitness.training.loop import train

        store = Store.open(self.store)
        with progress_bar(total=self.settings.steps, unit="step", title="train") as bar:
            summary = train(
                store,
                self.run_folder,
                settings=self.settings,
                on_progress=lambda now: show_training(bar, now),
            )
        if summary.is_finished:
            plot_learning_curves(self.run_folder / "metrics.csv", self.run_folder / "learning_curves.png")
        else:
            remark(f"stopped after step {summary.step} of {summary.num_steps}; the same command goes on from there")
        if self.json:
            fields = {**vars(summary), "model_path": str(summary.model_path), "is_finished": summary.is_finished}
            print_json({"schema_version": 1, **fields})
        elif summary.is_finished:
            self._print(summary)
        return 0 if summary.is_finished else 130

    def _print(self, summary: "TrainSummary") -> None:
        print(
            f"{summary.model_path}: {summary.step} steps over {summary.num_patches} patches of "
            f"{summary.num_train_clips} clips, in {duration(summary.seconds)}"
        )
        if summary.was_finished:
            print("  it was finished already; a larger --steps would go on with it")
        watched = summary.last_validation
        if watched:
            figures = ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in watched.items() if v is not None)
            print(f"  on {summary.num_validation_clips} clips watched, not learnt from: {figures}")
        else:
            print("  no clip was set aside to be watched")
