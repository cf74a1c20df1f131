"""`earwitness tag`: what is heard in media files, and when."""

import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.cli.output import remark
from earwitness.errors import SettingsError
from earwitness.inference.tag_settings import TagSettings

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel
    from earwitness.listening.inputs import Inputs
    from earwitness.listening.outputs import Output
    from earwitness.listening.work import Engine, Progress
    from earwitness.report.timeline_recorder import TimelineRecorder

_MANY = 20
"""From so many inputs on, a summary is told."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """Name what is heard in media files, with scores, and with --timeline when. One row for each file, always: tags, or
    the reason why there are none.

    With --out, a work that was stopped goes on by the same command; until it is done, OUT.unfinished lies beside OUT.
    OUT.made.json then says of what it was made: a finished OUT of another model, settings or files is not replaced.
    """

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES")]
    """Media files, any video or audio, URLs too; folders, of which all media files are taken at any depth, by their
    suffix; manifests (.parquet, .csv, .tsv, .jsonl), of which every row is tagged, by its time range."""
    files_from: str | None = None
    """A text file with the name of a file, folder or manifest in each line; - is standard input."""
    where: str | None = None
    """Which rows of the manifests: an SQL condition over their columns, such as "split = 'eval'"."""
    settings: Annotated[TagSettings, arg(name="")] = field(default_factory=TagSettings)
    all_scores: bool = False
    """Also write the score of every label: in .jsonl by its id, in .csv as rows of their own, in .parquet as a list."""
    out: Path | None = None
    """Write the result here instead, in the order of the files: .jsonl or .parquet (a row a file), or .csv (a row a
    label or event)."""
    overwrite: bool = False
    """Replace --out and --patch-scores if they are there, whatever they are."""
    patch_scores: Path | None = None
    """Write the scores of every patch here: .csv."""
    plot: Path | None = None
    """Draw the spectrogram above the scores of the 16 labels with the highest peaks, for one file: .png, .svg, .pdf."""
    json: bool = False
    """Print JSON Lines: one object a file."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    limits: Annotated[DecodeLimits, arg(name="")] = field(default_factory=DecodeLimits)
    engine: Literal["local", "ray"] = "local"
    """Who tags: this machine, or a Ray cluster, some files a task."""
    ray_address: str = "local"
    """The cluster of --engine ray: HOST:PORT of its head, auto for the one that this machine belongs to, or local for
    one of this machine alone."""

    def run(self) -> int:
        """Tag every file; 1 if any of them gave no sound."""
        self._check()
        from earwitness.cli.tag_output import print_failures, print_summary
        from earwitness.inference.any_model import open_model
        from earwitness.listening.inputs import gather_inputs
        from earwitness.models.description import require_labels

        inputs = gather_inputs(self.files, files_from=self.files_from, where=self.where)
        if self.plot is not None and len(inputs.rows) != 1:
            raise SettingsError(f"--plot draws one file; {len(inputs.rows)} are given")
        model = open_model(self.model)
        require_labels(model)
        for note in inputs.notes:
            remark(note)
        started = time.monotonic()
        progress = self._tag(model, inputs)
        if self.out is not None or progress.num_inputs >= _MANY:
            print_summary(progress, elapsed_seconds=time.monotonic() - started, out=self.out)
        if progress.num_failed:
            print_failures(progress)
        return 1 if progress.num_failed else 0

    def _check(self) -> None:
        if not self.files and self.files_from is None:
            raise SettingsError(
                "tag: no file is given; name media files, a folder of them or a manifest after the model"
            )
        if self.out is not None and self.out.suffix.lower() not in (".jsonl", ".csv", ".parquet"):
            raise SettingsError(f"{self.out}: the result is .jsonl, .csv or .parquet, by its suffix")
        if self.out is not None and self.json:
            raise SettingsError("--json prints the result and --out writes it; choose one of them")
        if self.overwrite and self.out is None and self.patch_scores is None:
            raise SettingsError("--overwrite is for --out and --patch-scores")
        if self.all_scores and self.out is None and not self.json:
            raise SettingsError("--all-scores is for --out and --json; patches have --patch-scores")
        if self.patch_scores is not None and self.patch_scores.suffix.lower() != ".csv":
            raise SettingsError(f"{self.patch_scores}: patch scores are written as .csv")
        if self.engine == "ray":
            for name, value in (("--patch-scores", self.patch_scores), ("--plot", self.plot)):
                if value is not None:
                    raise SettingsError(f"{name} {value} is for --engine local")
        elif self.ray_address != "local":
            raise SettingsError(f"--ray-address {self.ray_address} is for --engine ray")
        if self.plot is not None:
            from earwitness.report.figure import require_picture_path

            require_picture_path(self.plot)
            self.plot.parent.mkdir(parents=True, exist_ok=True)
        from earwitness.cli.output import require_separate_files

        outputs = {"--out": self.out, "--patch-scores": self.patch_scores, "--plot": self.plot}
        require_separate_files(outputs, inputs=[self.model, *(Path(file) for file in self.files)])

    def _tag(self, model: "AnyModel", inputs: "Inputs") -> "Progress":
        from earwitness.cli.tag_output import tag_bar
        from earwitness.listening.engines import digest_of
        from earwitness.listening.rows import SCHEMA_VERSION
        from earwitness.listening.work import Results, tag_to_files, tag_to_output
        from earwitness.report.timeline_recorder import TimelineRecorder

        recorder = TimelineRecorder() if self.plot is not None else None
        engine = self._engine(model, len(inputs.rows), recorder)
        with tag_bar(len(inputs.rows)) as show:
            if self.out is None and self.patch_scores is None:
                progress = tag_to_output(inputs.rows, engine, self._output(), on_progress=show)
            else:
                results = Results(
                    out=self.out,
                    patch_scores=self.patch_scores,
                    has_timeline=self.settings.timeline,
                    has_all_scores=self.all_scores,
                    overwrite=self.overwrite,
                    must_be_heard=self.plot is not None,
                )
                depends_on = {
                    "schema_version": SCHEMA_VERSION,
                    "model": digest_of(model),
                    **asdict(self.settings),
                    "all_scores": self.all_scores,
                    "patch_scores": self.patch_scores is not None,
                }
                progress = tag_to_files(
                    inputs.rows,
                    engine,
                    results,
                    model=model,
                    depends_on=depends_on,
                    on_progress=show,
                    output=self._output(),
                )
        if recorder is not None and self.plot is not None and not progress.num_failed:
            if progress.num_resumed:
                raise SettingsError(f"{self.plot}: not drawn, for the file was tagged before; give the command again")
            [given] = inputs.rows
            title = Path(given.media).name
            recorder.draw(self.plot, front_end=model.front_end, names=model.label_set.names, title=title)
        return progress

    def _output(self) -> "Output":
        from earwitness.cli.tag_output import TextOutput
        from earwitness.listening.outputs import JsonLinesOutput

        return JsonLinesOutput(sys.stdout) if self.json else TextOutput()

    def _engine(self, model: "AnyModel", num_inputs: int, recorder: "TimelineRecorder | None") -> "Engine":
        if self.engine == "ray":
            from earwitness.listening.tag_cluster import cluster_engine

            return cluster_engine(
                model,
                model_path=self.model,
                address=self.ray_address,
                settings=self.settings,
                limits=self.limits,
                has_all_scores=self.all_scores,
                device=self.device,
            )
        from earwitness.inference.tagger import Tagger
        from earwitness.listening.engines import local_engine

        return local_engine(
            Tagger(model, device=self.device),
            num_inputs=num_inputs,
            settings=self.settings,
            limits=self.limits,
            has_all_scores=self.all_scores,
            draw_frames=recorder.push_frames if recorder is not None else None,
            draw_patches=(lambda patches: recorder.push_scores(patches.start_seconds, patches.scores))
            if recorder is not None
            else None,
        )
