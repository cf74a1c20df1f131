"""`earwitness tag`: what is heard in media files, and when."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import remark
from earwitness.errors import MediaError, SettingsError
from earwitness.inference.tag_settings import TagSettings

if TYPE_CHECKING:
    from earwitness.cli.tag_output import Output, PatchScoresOutput
    from earwitness.inference.tagger import PatchScores, Tagger
    from earwitness.labels import LabelSet


@dataclass(frozen=True, kw_only=True)
class Tag:
    """Name what is heard in media files, with scores, and with --timeline when."""

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES")]
    """Media files: any video or audio; URLs too."""
    settings: Annotated[TagSettings, arg(name="")] = field(default_factory=TagSettings)
    out: Path | None = None
    """Write the result here instead: .jsonl (one object a file) or .csv (one row a label or event)."""
    patch_scores: Path | None = None
    """Write the scores of every patch here: .csv."""
    plot: Path | None = None
    """Draw the spectrogram above the scores of the 16 labels with the highest peaks, for one file: .png, .svg, .pdf."""
    json: bool = False
    """Print JSON Lines: one object a file."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""

    def run(self) -> int:
        """Tag every file; 1 if any of them gave no sound."""
        self._check()
        from earwitness.cli.tag_output import PatchScoresOutput
        from earwitness.inference.any_model import open_model
        from earwitness.inference.tagger import Tagger

        model = open_model(self.model)
        tagger = Tagger(model, device=self.device)
        num_failed = 0
        with (
            self._output(model.label_set) as output,
            PatchScoresOutput(self.patch_scores, model) as patch_scores,
        ):
            for file in self.files:
                try:
                    self._tag(file, tagger, output, patch_scores)
                except MediaError as error:
                    output.failed(file, error)
                    num_failed += 1
        if num_failed:
            remark(f"{num_failed} of {len(self.files)} files gave no sound")
        return 1 if num_failed else 0

    def _check(self) -> None:
        if not self.files:
            raise SettingsError("tag: no file is given; name at least one media file after the model")
        if self.out is not None and self.out.suffix.lower() not in (".csv", ".jsonl"):
            raise SettingsError(f"{self.out}: the result is .jsonl or .csv, by its suffix")
        if self.out is not None and self.json:
            raise SettingsError("--json prints the result and --out writes it; choose one of them")
        if self.patch_scores is not None and self.patch_scores.suffix.lower() != ".csv":
            raise SettingsError(f"{self.patch_scores}: patch scores are written as .csv")
        if self.plot is not None:
            if len(self.files) != 1:
                raise SettingsError(f"--plot draws one file; {len(self.files)} are given")
            from earwitness.report.figure import require_picture_path

            require_picture_path(self.plot)
            self.plot.parent.mkdir(parents=True, exist_ok=True)

    def _output(self, labels: "LabelSet") -> "Output":
        from earwitness.cli.tag_output import CsvOutput, JsonLinesOutput, TextOutput

        if self.out is not None and self.out.suffix.lower() == ".csv":
            return CsvOutput(self.out, labels)
        if self.out is not None or self.json:
            return JsonLinesOutput(self.out, labels)
        return TextOutput(None, labels)

    def _tag(self, file: str, tagger: "Tagger", output: "Output", patch_scores: "PatchScoresOutput") -> None:
        from earwitness.inference.tagging import tag_media
        from earwitness.report.timeline_recorder import TimelineRecorder

        recorder = TimelineRecorder() if self.plot is not None else None

        def take(patches: "PatchScores") -> None:
            patch_scores.write(file, patches)
            if recorder is not None:
                recorder.push_scores(patches.start_seconds, patches.scores)

        tagging = tag_media(
            tagger,
            file,
            settings=self.settings,
            on_frames=recorder.push_frames if recorder is not None else None,
            on_patches=take,
        )
        output.tagged(tagging)
        if recorder is not None and self.plot is not None:
            front_end, names = tagger.model.front_end, tagger.model.label_set.names
            recorder.draw(self.plot, front_end=front_end, names=names, title=Path(file).name)
