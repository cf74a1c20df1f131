"""The main job on a small made corpus: sounds, store, training, evaluation, and the page that shows it all.

Everything is real: media files in several containers are written, decoded, learnt from and scored by the same code
that serves anybody's data. A second call takes up what the first one left.

    FOLDER/corpus/       the made corpus
    FOLDER/store/        its frames
    FOLDER/run/          the training; model.safetensors is the model
    FOLDER/report/       tables and pictures of the evaluation
    FOLDER/demo.html     what came of it, to look at and listen to
    FOLDER/demo.json     what is done
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from earwitness.demo.outcome import evaluate_demo
from earwitness.demo.record import DemoRecord
from earwitness.demo.settings import CORPUS, SETTINGS, TEST
from earwitness.demo.showing import show
from earwitness.labels import read_label_set
from earwitness.manifest import read_manifest
from earwitness.parallel import usable_cpus
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from earwitness.synth.corpus import make_corpus
from earwitness.synth.truth import LABELS_FILE
from earwitness.training.loop import TrainProgress, train

MAKING, PREPARING, TRAINING, EVALUATING = "making soundtracks", "decoding", "training", "evaluating"
"""The stages by name."""


class Listener(Protocol):
    """Told how the demo goes."""

    def stage(self, sentence: str) -> None:
        """A stage begins."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """So many of so many units of this stage are done."""

    def training(self, progress: TrainProgress) -> None:
        """A training step is done."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo came to."""

    page_path: Path
    model_path: Path
    summary: str
    """The headline, as Markdown."""
    was_done: bool
    """Whether all of it had been done before."""


def run_demo(folder: Path, *, listener: Listener) -> DemoResult:
    """Do everything in `folder`.

    Raises:
        KeyboardInterrupt: it was stopped; another call goes on from there.
        EarwitnessError: the folder holds something else, or cannot be written.
    """
    record = DemoRecord.take_up(folder)
    page_path, model_path = folder / "demo.html", folder / "run" / "model.safetensors"
    if record.results is not None and page_path.exists() and model_path.exists():
        return DemoResult(page_path=page_path, model_path=model_path, summary=record.results["summary"], was_done=True)
    corpus, store_folder, run = (folder / name for name in ("corpus", "store", "run"))

    listener.stage(f"Making {CORPUS.clips} soundtracks with {CORPUS.kinds} kinds of sound, and labels as metadata err")
    with record.stage(MAKING):
        made = make_corpus(
            corpus,
            settings=CORPUS,
            workers=usable_cpus(),
            progress=lambda p: listener.progress(p.num_done, p.num_clips, "clip"),
        )
    listener.stage("Decoding them into a store of log-mel frames")
    with record.stage(PREPARING):
        build_store(
            read_manifest(made.manifest_path),
            store_folder,
            settings=BuildSettings(),
            label_set=read_label_set(corpus / LABELS_FILE),
            progress=lambda p: listener.progress(p.num_done, p.num_clips, "clip"),
        )
    store = Store.open(store_folder)
    listener.stage(f"Training a ResNet-50 of width {SETTINGS.width:g} on the clips of {SETTINGS.where}")
    with record.stage(TRAINING):
        trained = train(store, run, settings=SETTINGS, on_progress=listener.training)
        if not trained.is_finished:
            raise KeyboardInterrupt
    listener.stage(f"Evaluating it on the clips of {TEST}, and its timelines against the true events")
    with record.stage(EVALUATING):
        outcome = evaluate_demo(store, corpus, model_path)
    summary = show(outcome, folder, stage_seconds=record.seconds)
    record.finish({"summary": summary})
    return DemoResult(page_path=page_path, model_path=model_path, summary=summary, was_done=False)
