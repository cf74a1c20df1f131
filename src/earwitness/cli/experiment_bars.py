"""Progress bars of `earwitness experiment`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from earwitness.cli.output import counted, progress_bar, remark
from earwitness.cli.training_bar import begin_training, show_training

if TYPE_CHECKING:
    from earwitness.paper.running import Told


@contextmanager
def bars() -> Iterator["Told"]:
    """A progress bar for each training."""
    from earwitness.paper.running import Told

    waited_for, title = 0, ""
    with progress_bar(total=None, unit="step", title="") as bar:

        def begin(name: str, number: int, num_cells: int, steps: int) -> None:
            nonlocal title
            title = f"{name}, part {number + 1} of {num_cells}"
            begin_training(bar, num_steps=steps, title=title)

        def progress(now: Any) -> None:
            show_training(bar, now)
            if now.step == now.num_steps and now.embedded_share is None:
                bar.set_description(f"{title}, evaluating")

        def wait(num_cells: int) -> None:
            nonlocal waited_for
            if num_cells != waited_for:
                remark(f"nothing is left to begin; waiting for {counted(num_cells, 'training')} of other processes")
            waited_for = num_cells

        yield Told(cell=begin, progress=progress, wait=wait)
