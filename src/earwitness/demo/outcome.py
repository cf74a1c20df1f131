"""How well the demo's model does: against the metadata, as for any data, and against the truth of a made corpus."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet

from earwitness.demo.settings import TEST
from earwitness.evaluation.summary import Evaluation, evaluate
from earwitness.evaluation.timelines import TimelineEvaluation
from earwitness.experiments.evaluating import ModelEvaluation, evaluate_model
from earwitness.models.model_file import Model, load_model
from earwitness.store.read import Store
from earwitness.synth.truth import EVENTS_FILE, TRUE_MANIFEST_FILE


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything measured on the held-out soundtracks."""

    model: Model
    model_path: Path
    store: Store
    corpus: Path
    against_metadata: ModelEvaluation
    """As `earwitness evaluate` does it."""
    true_targets: npt.NDArray[np.bool_]
    """[clips, labels]: what truly sounds in the clips of `against_metadata`."""
    model_against_truth: Evaluation
    baseline_against_truth: Evaluation | None
    timeline: TimelineEvaluation
    """Against the true events."""


def evaluate_demo(store: Store, corpus: Path, model_path: Path) -> Outcome:
    """Measure the model on the clips of `settings.TEST`."""
    model = load_model(model_path)
    measured = evaluate_model(model, store, where=TEST, events_path=corpus / EVENTS_FILE)
    assert measured.timeline is not None
    rows = pyarrow.parquet.read_table(corpus / TRUE_MANIFEST_FILE).to_pylist()
    true_labels = {row["clip_id"]: row["labels"] for row in rows}
    true_targets = np.zeros_like(measured.targets)
    for row, clip_id in enumerate(store.clips["clip_id"].take(measured.clips).to_pylist()):
        true_targets[row, store.label_set.indices(true_labels[clip_id])] = True
    baseline = measured.baseline_scores
    return Outcome(
        model=model,
        model_path=model_path,
        store=store,
        corpus=corpus,
        against_metadata=measured,
        true_targets=true_targets,
        model_against_truth=evaluate(measured.scores, true_targets, label_set=store.label_set),
        baseline_against_truth=(
            evaluate(baseline, true_targets, label_set=store.label_set) if baseline is not None else None
        ),
        timeline=measured.timeline,
    )
