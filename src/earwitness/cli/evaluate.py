"""`earwitness evaluate`: how well a model does on chosen clips of a store."""

from dataclasses import dataclass, replace
from math import isinf
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.crossvalidate import INFINITE
from earwitness.cli.output import print_json, progress_bar, remark


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score clips of a store with a model and measure the scores, beside a baseline and chance."""

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    store: Annotated[Positional[str], arg(metavar="STORE")]
    """Made by `earwitness prepare`."""
    where: str | None = None
    """SQL condition over the manifest's columns: the clips to evaluate on, for example "fold = 1"."""
    events: Path | None = None
    """Table of true events (clip_id, label, start_seconds, stop_seconds), to measure how well scores say when."""
    patch_hop_frames: int | None = None
    """Frames of 10 ms from one scored patch to the next. None: the model's; half a patch (48) often scores better."""
    report: Path | None = None
    """Folder for a report: JSON, a table of labels, a summary, pictures."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: bool = False
    """Print the evaluation as JSON."""

    def run(self) -> int:
        """Evaluate and report."""
        from earwitness.experiments.evaluating import evaluate_model
        from earwitness.inference.any_model import open_model
        from earwitness.places import place
        from earwitness.report.evaluation_report import comparison_table, require_report_folder, write_evaluation_report
        from earwitness.report.timeline_table import timeline_lines
        from earwitness.store.embeddings import open_store

        model = open_model(self.model)
        store = open_store(self.store)
        if self.report is not None:
            require_report_folder(self.report)
        with progress_bar(total=None, unit="patch", title="evaluate") as bar:
            outcome = evaluate_model(
                model,
                store,
                where=self.where,
                events_path=self.events,
                patch_hop_frames=self.patch_hop_frames,
                device=self.device,
                on_patches=lambda done: bar.update(done - bar.n),
            )
        details = {
            "model_path": str(self.model),
            "store_path": str(self.store),
            "where": self.where,
            "events_path": str(self.events) if self.events is not None else None,
            "patch_hop_frames": self.patch_hop_frames or model.front_end.patch_hop_frames,
            "store_fingerprint": store.fingerprint,
            "trained_on_fingerprint": model.provenance.get("store_fingerprint"),
            "is_same_corpus": outcome.is_same_corpus,
        }
        if self.report is not None:
            write_evaluation_report(
                self.report,
                evaluation=outcome.model,
                baseline=outcome.baseline,
                title=f"{self.model.name} on {place(self.store).name}" + (f" where {self.where}" if self.where else ""),
                details=details,
                notes=outcome.notes,
                scores=outcome.scores,
                targets=outcome.targets,
                timeline=outcome.timeline,
            )
        if self.json:
            baseline = outcome.baseline.to_dict() if outcome.baseline is not None else None
            print_json(
                {
                    "schema_version": 1,
                    **details,
                    "notes": list(outcome.notes),
                    "model": outcome.model.to_dict(),
                    "baseline": baseline,
                    "timeline": outcome.timeline.to_dict() if outcome.timeline is not None else None,
                }
            )
            return 0
        print(comparison_table(outcome.model, outcome.baseline))
        own_hop_frames = model.front_end.patch_hop_frames
        if self.patch_hop_frames is not None and self.patch_hop_frames != own_hop_frames:
            seconds = replace(model.front_end, patch_hop_frames=self.patch_hop_frames).patch_hop_seconds
            print(f"patches scored every {seconds:g} s")
        if any(isinf(side.dprime) for side in (outcome.model, outcome.baseline) if side is not None):
            print(INFINITE)
        if outcome.timeline is not None:
            print(f"\n{timeline_lines(outcome.timeline)}")
        for note in outcome.notes:
            remark(note)
        if self.report is not None:
            print(f"report: {self.report / 'summary.md'}")
        return 0
