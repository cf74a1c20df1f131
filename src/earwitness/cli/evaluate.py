"""`earwitness evaluate`: how well a model does on chosen clips of a store; or scores that are there already."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from earwitness.cli.crossvalidate import INFINITE
from earwitness.cli.output import print_json, progress_bar, remark
from earwitness.errors import SettingsError
from earwitness.scoring.score_settings import ScoreSettings

if TYPE_CHECKING:
    from earwitness.experiments.evaluating import ModelEvaluation
    from earwitness.inference.any_model import AnyModel
    from earwitness.scoring.score_folder import ScoreFolder
    from earwitness.store.read import LabelledClips


MODEL_FILE = "model.safetensors"
_OTHER_SUFFIXES = (".html", ".htm", ".json", ".xlsx", ".xls", ".ods", ".txt", ".md", ".npy", ".npz", ".pt", ".h5")
"""Of files that are neither models nor tables, whatever they hold."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score clips of a store with a model and measure the scores, beside a baseline and chance.

    Or measure scores that are there: a folder of `earwitness score` (without STORE), or a table of any other software
    (.parquet or .csv: clip_id and a column for each label, by id or name; or clip_id, label and score), which is held
    against the labels of STORE.
    """

    source: Annotated[Positional[Path], arg(metavar="MODEL|SCORES|TABLE")]
    """A model file (model.safetensors of a run), an exported model (.onnx), a folder of scores, or a table of them."""
    store: Annotated[Positional[str | None], arg(metavar="STORE")] = None
    """Made by `earwitness prepare`; or embeddings, for a classifier that was learnt on such."""
    settings: Annotated[ScoreSettings, arg(name="")] = field(default_factory=ScoreSettings)
    events: Path | None = None
    """Table of true events (clip_id, label, start_seconds, stop_seconds), to measure how well scores say when."""
    resamples: int | None = None
    """How often clips are drawn anew for 95 % intervals. None: 1,000 times below 10,000 clips, else 200. 0: none."""
    no_baseline: bool = False
    """Fit no baseline."""
    report: Path | None = None
    """Folder for a report: a page (report.html) with clips to listen to, the same as JSON and CSV, a summary, a model
    card, pictures, and the scores in DIR/scores."""
    memory_mib: int = 512
    """What measuring may hold of scores at a time."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: bool = False
    """Print the evaluation as JSON."""

    def run(self) -> int:
        """Evaluate and report."""
        for name, value, least in (("resamples", self.resamples, 0), ("memory_mib", self.memory_mib, 1)):
            if value is not None and value < least:
                raise SettingsError(f"{name}={value} must be at least {least}")
        from earwitness.report.evaluation_report import require_report_folder
        from earwitness.scoring.score_folder import REPORT_FOLDER, score_folder_in
        from earwitness.scoring.score_table import is_table
        from earwitness.store.embeddings import open_clips, open_store

        if (scores := score_folder_in(self.source)) is not None:
            self._require_no_model_options("a folder of scores")
            if self.report is not None:
                require_report_folder(self.report)
            return self._evaluate_scores(scores)
        _require_a_known_kind(self.source)
        what = "a table of scores" if is_table(self.source) else "a model"
        if self.store is None:
            raise SettingsError(f"{self.source}: {what} is evaluated on a store, which is missing behind it")
        if is_table(self.source):
            self._require_no_model_options(what)
        store = open_store(self.store) if is_table(self.source) else open_clips(self.store)
        if self.report is not None:
            require_report_folder(self.report)
            return self._evaluate_on(store, self.report / REPORT_FOLDER)
        with tempfile.TemporaryDirectory(prefix="earwitness-scores-") as folder:
            return self._evaluate_on(store, Path(folder))

    def _evaluate_on(self, store: "LabelledClips", folder: Path) -> int:
        """Evaluate a model or a table, whose scores go to the folder."""
        from earwitness.experiments.evaluating import evaluate_model, evaluate_scores
        from earwitness.inference.any_model import open_model
        from earwitness.places import place
        from earwitness.scoring.score_table import is_table, take_over_scores
        from earwitness.store.read import Store

        where = self.settings.where
        # runs call all their models the same
        name = Path(*self.source.absolute().parts[-2:]) if self.source.name == MODEL_FILE else self.source.name
        title = f"{name} on {place(store.folder).name}" + (f" where {where}" if where else "")
        if is_table(self.source):
            assert isinstance(store, Store)
            scores = take_over_scores(self.source, store, folder, where=where)
            with _Bars(len(scores.label_set)) as bars:
                outcome = evaluate_scores(
                    scores,
                    resamples=self.resamples,
                    memory_bytes=self.memory_mib * 2**20,
                    on_labels=bars.labels,
                )
            return self._show(outcome, title, self._details(scores))
        model = open_model(self.source)
        with _Bars(len(model.label_set)) as bars:
            outcome = evaluate_model(
                model,
                store,
                folder=folder,
                model_path=self.source,
                **vars(self.settings),
                events_path=self.events,
                with_baseline=not self.no_baseline,
                resamples=self.resamples,
                memory_bytes=self.memory_mib * 2**20,
                device=self.device,
                on_patches=bars.patches,
                on_labels=bars.labels,
            )
        assert outcome.folder is not None
        hop_frames = self.settings.patch_hop_frames or model.front_end.patch_hop_frames
        details = {
            **self._details(outcome.folder),
            "trained_on_fingerprint": model.provenance.get("store_fingerprint"),
            "is_same_corpus": outcome.is_same_corpus,
            "events_path": str(self.events) if self.events is not None else None,
        }
        if hop_frames == model.front_end.patch_hop_frames:
            return self._show(outcome, title, details, model=model, store=store)
        seconds = replace(model.front_end, patch_hop_frames=hop_frames).patch_hop_seconds
        line = f"patches scored every {seconds:g} s"
        return self._show(outcome, title, details, line, model=model, store=store)

    def _evaluate_scores(self, path: Path) -> int:
        """Evaluate a folder of scores."""
        from earwitness.experiments.evaluating import evaluate_scores
        from earwitness.report.evaluation_report import JSON_FILE
        from earwitness.scoring.score_folder import ScoreFolder, require_scores_of
        from earwitness.store.embeddings import open_store

        scores = ScoreFolder.open(path, where=self.settings.where)
        if self.store is not None:
            require_scores_of(scores, open_store(self.store))
            remark(f"{self.store} is not needed: scores keep the labels of their clips. It is the store they are of.")
        if path != self.source and (self.source / JSON_FILE).exists():
            remark("Of this report, the scores are measured again, and not its baseline and timeline, if it has any.")
        with _Bars(len(scores.label_set)) as bars:
            outcome = evaluate_scores(
                scores, resamples=self.resamples, memory_bytes=self.memory_mib * 2**20, on_labels=bars.labels
            )
        where = f" where {self.settings.where}" if self.settings.where else ""
        return self._show(outcome, f"{path}{where}", scores.details)

    def _show(
        self,
        outcome: "ModelEvaluation",
        title: str,
        details: Mapping[str, Any],
        *lines: str,
        model: "AnyModel | None" = None,
        store: "LabelledClips | None" = None,
    ) -> int:
        """Report, to the folder and here."""
        from earwitness.cli.evaluation_report import write_report
        from earwitness.report.evaluation_summary import quick_look
        from earwitness.report.timeline_table import timeline_lines

        page = None
        if self.report is not None:
            with progress_bar(total=len(outcome.model.labels), unit="label", title="look closer") as bar:
                page = write_report(
                    self.report,
                    outcome,
                    title=title,
                    details=details,
                    model=model,
                    model_path=self.source if model is not None else None,
                    store=store,
                    device=self.device,
                    memory_bytes=self.memory_mib * 2**20,
                    on_labels=bar.update,
                )
        if self.json:
            print_json(
                {
                    "schema_version": 1,
                    **details,
                    "notes": list(outcome.notes),
                    "model": outcome.model.to_dict(),
                    "baseline": outcome.baseline.to_dict() if outcome.baseline is not None else None,
                    "timeline": outcome.timeline.to_dict() if outcome.timeline is not None else None,
                }
            )
            return 0
        print(quick_look(outcome.model, outcome.baseline))
        for line in lines:
            print(f"\n{line}")
        if any(isinf(side.dprime) for side in (outcome.model, outcome.baseline) if side is not None):
            print(INFINITE)
        if outcome.timeline is not None:
            print(f"\n{timeline_lines(outcome.timeline)}")
        for note in outcome.notes:
            remark(note)
        if page is not None:
            print(f"report: {page}")
        return 0

    def _details(self, scores: "ScoreFolder") -> dict[str, Any]:
        """What a report says of scores that were made now, of what was named here."""
        kept = str(scores.path) if self.report is not None else None
        return {**scores.details, "source_path": str(self.source), "store_path": self.store, "scores_path": kept}

    def _require_no_model_options(self, what: str) -> None:
        """Refuse options that only a model has a use for."""
        usual = {field.name: field.default for field in (*fields(ScoreSettings), *fields(Evaluate))}
        for name in ("patch_hop_frames", "aggregation", "level", "events", "device"):
            value = getattr(self if hasattr(self, name) else self.settings, name)
            if value != usual[name]:
                raise SettingsError(
                    f"--{name.replace('_', '-')} is for a model, and {self.source} is {what}, made as it was made"
                )


def _require_a_known_kind(source: Path) -> None:
    """Refuse what is neither a model nor a table by its name, where it is there; scores were looked for before.

    Raises:
        SettingsError: it is a folder, or a file of another kind.
    """
    from earwitness.report.evaluation_report import JSON_FILE, REPORT_FILES

    wanted = (
        "a model (.safetensors, .onnx), a folder of scores or of a report, or a table (.parquet, .csv, .tsv, .jsonl)"
    )
    if source.is_dir():
        raise SettingsError(f"{source}: this folder holds no scores; what is evaluated is {wanted}")
    if source.name in REPORT_FILES and (source.parent / JSON_FILE).is_file():
        raise SettingsError(
            f"{source}: this file is part of a report; `earwitness evaluate {source.parent}` measures its scores again"
        )
    if source.is_file() and source.suffix.lower() in _OTHER_SUFFIXES:
        raise SettingsError(f"{source}: {source.suffix} files are not read; what is evaluated is {wanted}")


class _Bars:
    """A bar for scoring, which is then one for measuring."""

    def __init__(self, num_labels: int) -> None:
        self._num_labels = num_labels
        self._stack = ExitStack()
        self._unit, self._bar = "", None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def patches(self, done: int, num_patches: int) -> None:
        """Patches scored so far, and all."""
        bar = self._of("patch", "score", num_patches)
        bar.update(done - bar.n)

    def labels(self, number: int) -> None:
        """Labels measured since the last call."""
        self._of("label", "measure", self._num_labels).update(number)

    def _of(self, unit: str, title: str, total: int) -> Any:
        if unit != self._unit:
            self._stack.close()
            self._unit, self._bar = unit, self._stack.enter_context(progress_bar(total=total, unit=unit, title=title))
        return self._bar
