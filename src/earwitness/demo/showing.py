"""What the demo shows: reports, pictures, and the page with the clips to listen to."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from earwitness.datasets.events import read_events
from earwitness.demo.outcome import Outcome
from earwitness.demo.settings import CORPUS, SETTINGS, TEST
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import Tagger
from earwitness.inference.tagging import tag_media
from earwitness.report.curves import plot_learning_curves
from earwitness.report.demo_page import (
    Clip,
    Command,
    DemoPage,
    Fact,
    HeldOutFile,
    ScoredLabel,
    Stage,
    write_demo_page,
)
from earwitness.report.evaluation_facts import EvaluationFacts, Evidence
from earwitness.report.evaluation_report import write_evaluation_report
from earwitness.report.evaluation_tables import headline_table
from earwitness.report.html import Embedded, Picture
from earwitness.report.timeline_plot import TimeAxis
from earwitness.report.timeline_plot import TrueEvent as DrawnEvent
from earwitness.report.timeline_recorder import TimelineRecorder
from earwitness.report.timeline_table import timeline_lines
from earwitness.report.words import duration
from earwitness.synth.truth import EVENTS_FILE

_PLAYED_CLIPS = 6
_PLAYED_SECONDS = (5.0, 12.0)
_SCORED_LABELS = 6
_SHOWN_SECONDS = (15.0, 40.0)
"""Of the soundtrack that is shown in full."""
_SHOWN_HOP_FRAMES = 24
"""From one of its patches to the next: a quarter of a patch, for a finer curve."""


def show(outcome: Outcome, folder: Path, *, stage_seconds: Mapping[str, float]) -> str:
    """Write report, pictures and page into the demo's folder; the headline as Markdown.

    Raises:
        EarwitnessError: something cannot be written.
    """
    report = folder / "report"
    measured = outcome.against_metadata
    write_evaluation_report(
        report,
        EvaluationFacts(
            evaluation=measured.model,
            baseline=measured.baseline,
            title="The demo's model on held-out soundtracks, by their metadata",
            details={"where": TEST, "events_path": outcome.corpus / EVENTS_FILE},
            notes=measured.notes,
            timeline=outcome.timeline,
        ),
        evidence=Evidence(
            scores=ArrayScores(measured.scores),
            positives=Positives.from_dense(measured.targets),
            clips=outcome.store.clips.take(measured.clips),
        ),
    )
    write_demo_page(
        folder / "demo.html",
        DemoPage(
            facts=_facts(outcome),
            stages=tuple(Stage(name=name, seconds=seconds) for name, seconds in stage_seconds.items()),
            clips=tuple(_clip(outcome, row) for row in _played_rows(outcome)),
            held_out=_held_out(outcome, report),
            learning_curves=_learning_curves(folder / "run" / "metrics.csv", report),
            evaluation=outcome.model_against_truth,
            baseline=outcome.baseline_against_truth,
            timeline=outcome.timeline,
            notes=_notes(outcome),
            commands=_commands(outcome.model_path),
        ),
    )
    return _summary(outcome)


def _facts(outcome: Outcome) -> tuple[Fact, ...]:
    store = outcome.store
    suffixes = {Path(media).suffix for media in store.clips["media"].to_pylist()}
    seconds = store.frames_per_clip.sum() * store.front_end.frame_seconds
    return (
        Fact(value=f"{store.num_clips:,}", name="soundtracks"),
        Fact(value=duration(float(seconds)), name="of sound"),
        Fact(value=str(len(store.label_set)), name=f"labels: {CORPUS.kinds} kinds of sound and their parents"),
        Fact(value=str(len(suffixes)), name="kinds of media file"),
        Fact(value=f"{outcome.model.network.num_weights / 1e6:.2f} M", name="weights in the network"),
    )


def _played_rows(outcome: Outcome) -> list[int]:
    """Rows of held-out clips of moderate length, the first of every kind of media file in turn."""
    seconds = outcome.store.clips["seconds"].take(outcome.against_metadata.clips).to_pylist()
    shortest, longest = _PLAYED_SECONDS
    moderate = [row for row, length in enumerate(seconds) if shortest <= length <= longest]
    first_of_kind: dict[str, int] = {}
    for row in moderate:
        first_of_kind.setdefault(Path(_media(outcome, row)).suffix, row)
    first = list(first_of_kind.values())
    return sorted([*first, *(row for row in moderate if row not in first)][:_PLAYED_CLIPS])


def _shown_row(outcome: Outcome) -> int:
    """The held-out soundtrack with the most kinds of sound, among those of a length to look at: not the best scored."""
    seconds = outcome.store.clips["seconds"].take(outcome.against_metadata.clips).to_pylist()
    shortest, longest = _SHOWN_SECONDS
    fits = [shortest <= length <= longest for length in seconds]
    return int(np.argmax(np.where(fits, outcome.true_targets.sum(axis=1), -1)))


def _media(outcome: Outcome, row: int) -> str:
    media: str = outcome.store.clips["media"][int(outcome.against_metadata.clips[row])].as_py()
    return media


def _clip(outcome: Outcome, row: int) -> Clip:
    measured, names = outcome.against_metadata, outcome.store.label_set.names
    media = Path(_media(outcome, row))
    scores = measured.scores[row]
    return Clip(
        file_name=media.name,
        audio=Embedded.read(media),
        seconds=float(outcome.store.clips["seconds"][int(measured.clips[row])].as_py()),
        labels=tuple(names[i] for i in np.flatnonzero(measured.targets[row])),
        sounding=tuple(names[i] for i in np.flatnonzero(outcome.true_targets[row])),
        scored=tuple(ScoredLabel(name=names[i], score=float(scores[i])) for i in np.argsort(-scores)[:_SCORED_LABELS]),
    )


def _held_out(outcome: Outcome, report: Path) -> HeldOutFile:
    """Tag one held-out file from its media, in overlapping patches, and draw what was found over what is true."""
    row = _shown_row(outcome)
    recorder = TimelineRecorder()
    model = replace(outcome.model, front_end=replace(outcome.model.front_end, patch_hop_frames=_SHOWN_HOP_FRAMES))
    tag_media(
        Tagger(model),
        _media(outcome, row),
        settings=TagSettings(timeline=True),
        on_frames=recorder.push_frames,
        on_patches=lambda patches: recorder.push_scores(patches.start_seconds, patches.scores),
    )
    clip = _clip(outcome, row)
    clip_id = outcome.store.clips["clip_id"][int(outcome.against_metadata.clips[row])].as_py()
    events = read_events(outcome.corpus / EVENTS_FILE).get(clip_id, ())
    label_set = outcome.store.label_set
    drawn = [
        DrawnEvent(
            label_name=label_set.names[label_set.index_of[event.label]],
            start_seconds=event.start_seconds,
            stop_seconds=event.stop_seconds,
        )
        for event in events
    ]

    def draw(path: Path, *, is_dark: bool) -> TimeAxis:
        return recorder.draw(
            path,
            front_end=model.front_end,
            names=label_set.names,
            title=clip.file_name,
            true_events=drawn,
            is_dark=is_dark,
        )

    light, dark = report / "timeline.png", report / "timeline_dark.png"
    axis = draw(light, is_dark=False)
    draw(dark, is_dark=True)
    description = f"The spectrogram of {clip.file_name}; under it, label by label, scores and true events over time"
    return HeldOutFile(clip=clip, timeline=_picture(light, dark, description), axis=axis)


def _learning_curves(metrics: Path, report: Path) -> Picture:
    light, dark = report / "learning_curves.png", report / "learning_curves_dark.png"
    plot_learning_curves(metrics, light)
    plot_learning_curves(metrics, dark, is_dark=True)
    return _picture(light, dark, "Loss and validation measures against the training step")


def _picture(light: Path, dark: Path, description: str) -> Picture:
    return Picture(light=Embedded.read(light), dark=Embedded.read(dark), description=description)


def _notes(outcome: Outcome) -> tuple[str, ...]:
    metadata = outcome.against_metadata.model
    return (
        "The soundtracks are made, not recorded: what a network reaches on them says nothing about real ones. They "
        "show that everything works here, and how.",
        "The figures above hold the model against what truly sounds, which only a made corpus knows. Against the "
        "metadata's own labels, the only ones there are for real data, its mAP comes out at "
        f"{metadata.mean_average_precision:.3f} (chance {metadata.chance.mean_average_precision:.3f}): right answers "
        "count as errors where the metadata err.",
        f"The network is a ResNet-50 of {SETTINGS.width:g} times the paper's width, trained for {SETTINGS.steps:,} "
        f"steps of {SETTINGS.batch_size} patches. Its size, and minutes of training, are chosen for a laptop.",
        "Clips of one recording are never on both sides of the split. The soundtracks to play and the timeline were "
        "chosen by length, kind of file and number of sounds, not by how well the model does on them.",
        *_timeline_note(outcome),
        *outcome.against_metadata.notes,
    )


def _timeline_note(outcome: Outcome) -> Iterator[str]:
    """Where loudness ranks the moments of a clip better than the model."""
    model, loudness = outcome.timeline.within_clips.mean_auc, outcome.timeline.loudness_within_clips.mean_auc
    if loudness > model:
        yield (
            f"Within one soundtrack, loudness alone tells better when something sounds (AUC {loudness:.3f}) than the "
            f"model's scores tell when a label does ({model:.3f}): over steady noise, what sounds is louder. It cannot "
            "tell what."
        )


def _commands(model_path: Path) -> tuple[Command, ...]:
    return (
        Command(
            purpose="Tag any sound or video. This model has heard nothing but made sounds, so on recordings it will "
            "often be wrong: the next commands make a model of yours",
            text=f"earwitness tag {shlex.quote(str(model_path.resolve()))} FILE --timeline",
        ),
        Command(
            purpose="Describe your own clips: a table with a column of files and one of labels, say",
            text="earwitness manifest table my.csv --media-column file --label-column tags \\\n"
            "    --label-separator ';' --folds 5 --out my.parquet",
        ),
        Command(purpose="Decode them once", text="earwitness prepare my.parquet STORE"),
        Command(
            purpose="Learn from four folds",
            text="earwitness train STORE RUN --network resnet50 --width 0.25 --steps 2000 --where 'fold != 1'",
        ),
        Command(
            purpose="See how good it is on the fifth",
            text="earwitness evaluate RUN/model.safetensors STORE --where 'fold = 1' --report REPORT",
        ),
        Command(
            purpose="Hear what is in a film, and when",
            text="earwitness tag RUN/model.safetensors film.mp4 --timeline --plot film.png",
        ),
    )


def _summary(outcome: Outcome) -> str:
    metadata = outcome.against_metadata.model
    return (
        f"{headline_table(outcome.model_against_truth, outcome.baseline_against_truth)}\n\n"
        f"Against the labels of the metadata, flaws included: mAP {metadata.mean_average_precision:.3f} "
        f"(chance {metadata.chance.mean_average_precision:.3f})\n"
        f"{timeline_lines(outcome.timeline)}"
    )
