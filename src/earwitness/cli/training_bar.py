"""The progress of a training, as `train`, `crossvalidate` and `demo` show it."""

from typing import Any

_SHOWN = (
    ("loss", "loss"),
    ("validation_one_best_accuracy", "1-best"),
    ("validation_mean_average_precision", "mAP"),
)


def begin_training(bar: Any, *, num_steps: int, title: str) -> None:
    """Let a tqdm bar begin anew, for one training of several."""
    bar.delay = 0.0  # it is shown now, and what was shown must be ended with its line
    bar.initial = 0  # that of a training taken up before this one would make its rate negative
    bar.set_postfix_str("", refresh=False)
    bar.set_description(title, refresh=False)
    bar.reset(total=num_steps)  # shown with this: what stood there is of another training


def show_training(bar: Any, progress: Any) -> None:
    """Bring a tqdm bar up to a `TrainProgress`."""
    if progress.embedded_share is not None:
        bar.set_postfix_str(f"embedding the patches first: {progress.embedded_share:.0%}", refresh=False)
        bar.update(0)
        return
    if bar.n == 0:  # steps of an earlier run say nothing about the rate of this one
        bar.initial = bar.n = progress.step - 1
    bar.update(progress.step - bar.n)
    figures = [f"{name} {progress.measured[key]:.3f}" for key, name in _SHOWN if progress.measured.get(key) is not None]
    bar.set_postfix_str(", ".join([f"{progress.patches_per_second:,.0f} patches/s", *figures]), refresh=False)
