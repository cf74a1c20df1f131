"""`earwitness timeline`: what is heard when, as tables, labels and captions."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import remark
from earwitness.errors import MediaError, SettingsError
from earwitness.listening.timeline_settings import TimelineSettings

if TYPE_CHECKING:
    from earwitness.cli.timeline_output import Places
    from earwitness.inference.tagger import PatchScores, Tagger
    from earwitness.listening.results import HeardEvents
    from earwitness.listening.timeline import TimelineMaker


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Say what is heard when in media files: as a table, labels for Audacity, captions for a player, a picture."""

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES")]
    """Media files: any video or audio; URLs too."""
    settings: Annotated[TimelineSettings, arg(name="")] = field(default_factory=TimelineSettings)
    out: tuple[Path, ...] = ()
    """Write the events here: .json, .csv, .txt (labels for Audacity), .vtt or .srt (captions), or several of them; or a
    folder, which takes a file for each media file and format."""
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

    def run(self) -> int:
        """Listen to every file; 1 if any of them gave no sound."""
        from earwitness.cli.timeline_output import Places, print_failure, print_heard

        if not self.files:
            raise SettingsError("timeline: no file is given; name at least one media file after the model")
        places = Places(self.files, out=self.out, formats=self.formats, patch_scores=self.patch_scores, plot=self.plot)
        from earwitness.inference.any_model import open_model
        from earwitness.inference.tagger import Tagger
        from earwitness.listening.timeline import TimelineMaker

        model = open_model(self.model)
        maker = TimelineMaker(model, self.settings)
        tagger = Tagger(model, device=self.device)
        num_failed = 0
        for number, file in enumerate(self.files):
            try:
                heard = self._listen(number, file, tagger, maker, places)
            except MediaError as error:
                print_failure(file, error, as_json=self.json)
                num_failed += 1
            else:
                print_heard(heard, places.events(number), as_json=self.json)
        if num_failed:
            remark(f"{num_failed} of {len(self.files)} files gave no sound")
        return 1 if num_failed else 0

    def _listen(
        self, number: int, file: str, tagger: "Tagger", maker: "TimelineMaker", places: "Places"
    ) -> "HeardEvents":
        """Listen to one file, and write what is asked for."""
        from earwitness.listening.event_files import write_events
        from earwitness.listening.patch_score_files import PatchScoreFile
        from earwitness.report.timeline_plot import TrueEvent
        from earwitness.report.timeline_recorder import TimelineRecorder

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
            clip = tagger.score(
                file,
                patch_hop_frames=maker.patch_hop_frames,
                on_frames=recorder.push_frames if recorder is not None else None,
                on_patches=take,
            )
            if scores_file is not None:
                scores_file.finish()
        heard = maker.finish(file, clip)
        for path in places.events(number):
            write_events(heard, path)
        if recorder is not None and picture_path is not None:
            events = [
                TrueEvent(label_name=e.name, start_seconds=e.start_seconds, stop_seconds=e.stop_seconds)
                for e in heard.events
            ]
            recorder.draw(
                picture_path,
                front_end=front_end,
                names=maker.label_set.names,
                title=Path(file).name,
                true_events=events,
                bars="events",
            )
        return heard
