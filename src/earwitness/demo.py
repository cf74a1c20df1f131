"""The main job on a small made corpus: sounds, store, training, evaluation, and one held-out file tagged.

Everything is real: media files in several containers are written, decoded, learnt from and scored by the same code
that serves anybody's data. A second call takes up what the first one left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from earwitness.evaluation.summary import Evaluation
from earwitness.experiments.evaluating import evaluate_model
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import Tagger
from earwitness.inference.tagging import Tagging, tag_media
from earwitness.manifest import read_manifest
from earwitness.models.model_file import Model, load_model
from earwitness.report.curves import plot_learning_curves
from earwitness.report.evaluation_report import write_evaluation_report
from earwitness.report.timeline_recorder import TimelineRecorder
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from earwitness.synth.corpus import SynthSettings, make_corpus
from earwitness.training.loop import TrainProgress, train
from earwitness.training.settings import TrainSettings

CORPUS = SynthSettings(num_clips=300)

SETTINGS = TrainSettings(
    network="resnet50",
    width=0.125,
    steps=1000,
    batch_size=32,
    learning_rate=2e-3,
    patch_hop_frames=48,
    where="split = 'train'",
    validation_every=200,
)
"""Small enough for a laptop's processor: a narrow network, overlapping patches, a learning rate for few steps."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo came to."""

    model: Model
    model_path: Path
    evaluation: Evaluation
    """On the clips of `split = 'test'`."""
    baseline: Evaluation | None
    tagging: Tagging
    """Of one of these clips."""
    pictures: tuple[Path, ...]


def run_demo(
    folder: Path,
    *,
    on_stage: Callable[[str], None],
    on_progress: Callable[[TrainProgress], None],
) -> Demo | None:
    """Do everything in `folder`; None where the training was stopped before its end.

    Args:
        folder: takes corpus/, store/, run/ and report/.
        on_stage: told a sentence as each stage begins.
        on_progress: told after every training step.
    """
    corpus, store_folder, run, report = (folder / name for name in ("corpus", "store", "run", "report"))
    on_stage("Making a corpus of soundtracks with several sounds each")
    if not (corpus / "manifest.parquet").exists():
        make_corpus(corpus, settings=CORPUS)
    on_stage("Decoding them into a store of log-mel frames")
    build_store(read_manifest(corpus / "manifest.parquet"), store_folder, settings=BuildSettings())
    store = Store.open(store_folder)
    on_stage(f"Training a ResNet-50 of width {SETTINGS.width:g} on the clips of split = 'train'")
    summary = train(store, run, settings=SETTINGS, on_progress=on_progress)
    if not summary.is_finished:
        return None
    on_stage("Evaluating it on the clips of split = 'test', and tagging one of them")
    model = load_model(summary.model_path)
    outcome = evaluate_model(model, store, where="split = 'test'")
    pictures = write_evaluation_report(
        report,
        evaluation=outcome.model,
        baseline=outcome.baseline,
        title="The demo's model on held-out soundtracks",
        details={"where": "split = 'test'"},
        notes=outcome.notes,
        scores=outcome.scores,
        targets=outcome.targets,
    )
    curves = report / "learning_curves.png"
    plot_learning_curves(run / "metrics.csv", curves)
    media = store.clips["media"][int(outcome.clips[0])].as_py()
    timeline = report / "timeline.png"
    tagging = _tag_with_picture(model, media, timeline)
    return Demo(
        model=model,
        model_path=summary.model_path,
        evaluation=outcome.model,
        baseline=outcome.baseline,
        tagging=tagging,
        pictures=(*(path for path in pictures if path.suffix == ".png"), curves, timeline),
    )


def _tag_with_picture(model: Model, media: str, picture: Path) -> Tagging:
    recorder = TimelineRecorder()
    tagging = tag_media(
        Tagger(model),
        media,
        settings=TagSettings(timeline=True),
        on_frames=recorder.push_frames,
        on_patches=lambda patches: recorder.push_scores(patches.start_seconds, patches.scores),
    )
    recorder.draw(picture, front_end=model.front_end, names=model.label_set.names, title=Path(media).name)
    return tagging
