"""`earwitness demo`: the whole of it on a small made corpus."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earwitness.cli.output import duration, progress_bar, remark
from earwitness.cli.training_bar import show_training

if TYPE_CHECKING:
    from earwitness.training.loop import TrainProgress


@dataclass(frozen=True, kw_only=True)
class Demo:
    """See the main job done on a small made corpus: make, prepare, train, evaluate, tag."""

    folder: Path = Path("earwitness-demo")
    """Where everything is left for you to look at."""

    def run(self) -> int:
        """Run the demo; 130 if stopped before the end."""
        remark("Loading PyTorch ...")
        from earwitness.cli.tag_output import TextOutput
        from earwitness.demo import SETTINGS, run_demo
        from earwitness.report.evaluation_report import comparison_table

        started = time.monotonic()

        def begin(sentence: str) -> None:
            remark(f"[{duration(time.monotonic() - started):>6}] {sentence}")

        with ExitStack() as stack:
            bar: Any = None

            def show(progress: "TrainProgress") -> None:
                nonlocal bar
                if bar is None:  # not before the training begins
                    bar = stack.enter_context(progress_bar(total=SETTINGS.steps, unit="step", title="train"))
                show_training(bar, progress)
                if progress.step == progress.num_steps:
                    stack.close()

            demo = run_demo(self.folder, on_stage=begin, on_progress=show)
        if demo is None:
            remark("stopped; the same command goes on from there")
            return 130
        print(f"\nHeld-out soundtracks, {demo.evaluation.num_clips} of them:\n")
        print(comparison_table(demo.evaluation, demo.baseline))
        print("\nOne of them, tagged:\n")
        with TextOutput(None, demo.model.label_set) as output:
            output.tagged(demo.tagging)
        print(f"\nPictures: {', '.join(str(path) for path in demo.pictures)}")
        print(f"Done in {duration(time.monotonic() - started)}. Now a sound of your own:\n")
        print(f"    earwitness tag {demo.model_path} FILE --timeline")
        return 0
