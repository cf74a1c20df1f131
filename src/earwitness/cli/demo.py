"""`earwitness demo`: the whole of it on a small made corpus."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from earwitness.cli.output import progress_bar, remark
from earwitness.cli.training_bar import show_training
from earwitness.report.words import duration

if TYPE_CHECKING:
    from earwitness.training.loop import TrainProgress


@dataclass(frozen=True, kw_only=True)
class Demo:
    """See the main job done on a small made corpus, in a few minutes, ending with a page to look at and listen to."""

    folder: Path = Path("earwitness-demo")
    """Where everything is left for you to look at."""

    def run(self) -> int:
        """Run the demo; 130 if stopped before the end."""
        remark("Loading PyTorch ...")
        from earwitness.demo.stages import run_demo

        started = time.monotonic()
        try:
            with _Bars(started) as bars:
                demo = run_demo(self.folder, listener=bars)
        except KeyboardInterrupt:
            remark("\nstopped; the same command goes on from there")
            return 130
        if demo.was_done:
            remark(f"This demo has been done before; remove {self.folder} to see it done again.")
        print(f"\nOn held-out soundtracks, against what truly sounds in them:\n\n{demo.summary}")
        if not demo.was_done:
            print(f"\nDone in {duration(time.monotonic() - started)}.")
        print(f"\nNow open this page in a browser: {demo.page_path.resolve().as_uri()}")
        print("It ends with the commands for sounds of your own. To see the timeline of any file:\n")
        print(f"    earwitness tag {quote(str(demo.model_path))} FILE --timeline\n")
        print("(This model has heard nothing but made sounds: on recordings it will often be wrong.)")
        return 0


class _Bars(ExitStack):
    """A sentence for every stage, and a progress bar where it has something to count."""

    def __init__(self, started: float) -> None:
        super().__init__()
        self._started = started
        self._bar: Any = None

    def stage(self, sentence: str) -> None:
        self.close()
        self._bar = None
        remark(f"[{duration(time.monotonic() - self._started):>6}] {sentence}")

    def progress(self, done: int, total: int, unit: str) -> None:
        bar = self._begun(total, unit)
        bar.update(done - bar.n)

    def training(self, progress: "TrainProgress") -> None:
        show_training(self._begun(progress.num_steps, "step"), progress)

    def _begun(self, total: int, unit: str) -> Any:
        if self._bar is None:  # not before there is something to show
            self._bar = self.enter_context(progress_bar(total=total, unit=unit, title=""))
        return self._bar
