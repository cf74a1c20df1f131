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

    waited_for = 0
    with progress_bar(total=None, unit="step", title="") as bar:

        def begin(name: str, number: int, num_cells: int, steps: int) -> None:
            begin_training(bar, num_steps=steps, title=f"{name} ({number + 1} of {num_cells})")

        def progress(now: Any) -> None:
            show_training(bar, now)

        def wait(num_cells: int) -> None:
            nonlocal waited_for
            if num_cells != waited_for:
                remark(f"nothing is left to begin; waiting for {counted(num_cells, 'training')} of other processes")
            waited_for = num_cells

        yield Told(cell=begin, progress=progress, wait=wait)
