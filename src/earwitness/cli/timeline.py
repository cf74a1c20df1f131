"""`earwitness timeline`: what is heard when, as tables, labels and captions."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.cli.output import remark
from earwitness.listening.timeline_settings import TimelineSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from earwitness.audio.decoding_pool import Sound, SpooledFrames
    from earwitness.cli.timeline_output import Places
    from earwitness.inference.tagger import PatchScores, Tagger
    from earwitness.listening.inputs import Input
    from earwitness.listening.results import HeardEvents
    from earwitness.listening.timeline import TimelineMaker
    from earwitness.parallel import Failure


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Say what is heard when in media files: as a table, labels for Audacity, captions for a player, a picture."""

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES")]
    """Media files, any video or audio, URLs too; folders, of which all media files are taken at any depth, by their
    suffix; manifests (.parquet, .csv, .tsv, .jsonl), of which every row is taken, by its time range."""
    files_from: str | None = None
    """A text file with the name of a file, folder or manifest in each line; - is standard input."""
    where: str | None = None
    """Which rows of the manifests: an SQL condition over their columns, such as "split = 'eval'"."""
    settings: Annotated[TimelineSettings, arg(name="")] = field(default_factory=TimelineSettings)
    out: tuple[Path, ...] = ()
    """Write the events here: .json, .csv, .txt (labels for Audacity), .vtt or .srt (captions), or several of them; or a
    folder, which takes a file for each media file, or row of a manifest, and format."""
    formats: tuple[str, ...] = ("json",)
    """What to write into a folder: json, csv, txt, vtt, srt."""
    patch_scores: Path | None = None
    """Write the scores of every patch here: .csv or .npz; or a folder, which takes an .npz for each media file."""
    plot: Path | None = None
    """Draw the spectrogram above scores and events of the 16 labels with the highest peaks: .png, .svg, .pdf; or a
    folder, which takes a .png for each media file."""
    json: bool = False
    """Print JSON Lines: one object a file."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..., mps."""
    limits: Annotated[DecodeLimits, arg(name="")] = field(default_factory=DecodeLimits)

    def run(self) -> int:
        """Listen to every file; 1 if any of them gave no sound."""
        from earwitness.cli.timeline_output import Places, print_failure, print_heard
        from earwitness.inference.any_model import open_model
        from earwitness.inference.tagger import Tagger
        from earwitness.listening.inputs import gather_inputs
        from earwitness.listening.timeline import TimelineMaker
        from earwitness.parallel import Failure

        inputs = gather_inputs(self.files, files_from=self.files_from, where=self.where, command="timeline")
        rows = inputs.rows
        places = Places(rows, out=self.out, formats=self.formats, patch_scores=self.patch_scores, plot=self.plot)
        model = open_model(self.model)
        maker = TimelineMaker(model, self.settings)
        for note in inputs.notes:
            remark(note)
        num_failed = 0
        for number, heard in self._heard(rows, Tagger(model, device=self.device), maker, places):
            if isinstance(heard, Failure):
                print_failure(rows[number], heard, as_json=self.json)
                num_failed += 1
            else:
                print_heard(heard, places.events(number), as_json=self.json)
        if num_failed:
            remark(f"{num_failed} of {len(rows)} files gave no sound")
        return 1 if num_failed else 0

    def _heard(
        self, rows: "Sequence[Input]", tagger: "Tagger", maker: "TimelineMaker", places: "Places"
    ) -> "Iterator[tuple[int, HeardEvents | Failure]]":
        """Listen to the files as they are decoded, by processes of their own; give what came of them in their order."""
        from earwitness.audio.decoding_pool import decoded, temporary_spool_folder
        from earwitness.parallel import Failure, usable_cpus

        limits = replace(self.limits, workers=min(self.limits.workers or usable_cpus(), len(rows)))
        early: dict[int, HeardEvents | Failure] = {}
        next_number = 0
        with temporary_spool_folder() as folder:
            stream = decoded(
                (given.sound(number) for number, given in enumerate(rows)),
                front_end=tagger.front_end(maker.patch_hop_frames),
                limits=limits,
                spool_folder=folder,
            )
            with closing(stream):
                for sound, frames in stream:
                    early[sound.key] = (
                        frames
                        if isinstance(frames, Failure)
                        else self._listen(rows[sound.key], sound, frames, tagger, maker, places)
                    )
                    while next_number in early:
                        yield next_number, early.pop(next_number)
                        next_number += 1

    def _listen(
        self,
        given: "Input",
        sound: "Sound[int]",
        frames: "SpooledFrames",
        tagger: "Tagger",
        maker: "TimelineMaker",
        places: "Places",
    ) -> "HeardEvents":
        """Listen to one file, and write what is asked for."""
        from earwitness.listening.event_files import write_events
        from earwitness.listening.patch_score_files import PatchScoreFile
        from earwitness.report.timeline_plot import TrueEvent
        from earwitness.report.timeline_recorder import TimelineRecorder

        number, file = sound.key, sound.media
        front_end = tagger.front_end(maker.patch_hop_frames)
        scores_path, picture_path = places.patch_scores(number), places.picture(number)
        recorder = TimelineRecorder() if picture_path is not None else None
        with ExitStack() as files:
            scores_file = None
            if scores_path is not None:
                scores_file = files.enter_context(
                    PatchScoreFile(
                        scores_path,
                        media=file,
                        label_set=maker.label_set,
                        patch_seconds=front_end.patch_seconds,
                        hop_seconds=maker.hop_seconds,
                    )
                )

            def take(patches: "PatchScores") -> None:
                maker.take(patches)
                if scores_file is not None:
                    scores_file.push(patches.start_seconds, maker.chosen(patches.scores))
                if recorder is not None:
                    recorder.push_scores(patches.start_seconds, maker.chosen(patches.scores))

            maker.begin()
            clip = tagger.score_frames(
                frames,
                start_seconds=given.start_seconds,
                patch_hop_frames=maker.patch_hop_frames,
                on_frames=recorder.push_frames if recorder is not None else None,
                on_patches=take,
            )
            if scores_file is not None:
                scores_file.finish()
        heard = replace(
            maker.finish(file, clip, start_seconds=given.start_seconds),
            clip_id=given.clip_id,
            clip_start_seconds=given.start_seconds,
            clip_stop_seconds=given.stop_seconds,
        )
        for path in places.events(number):
            write_events(heard, path)
        if recorder is not None and picture_path is not None:
            events = [
                TrueEvent(label_name=e.label_name, start_seconds=e.start_seconds, stop_seconds=e.stop_seconds)
                for e in heard.events
            ]
            recorder.draw(
                picture_path,
                front_end=front_end,
                names=maker.label_set.names,
                title=given.clip_id or Path(file).name,
                true_events=events,
                bars="events",
            )
        return heard
