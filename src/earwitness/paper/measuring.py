"""The figures of one model on the clips held out, on all of its labels or some."""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.evaluation.positives import Positives
from earwitness.evaluation.selected_scores import SelectedScores
from earwitness.evaluation.summary import evaluate
from earwitness.experiments.evaluating import default_resamples
from earwitness.models.model_file import load_model
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.scoring.score_settings import ScoreSettings
from earwitness.scoring.score_store import score_store
from earwitness.store.read import Store

MEASURES = ("mean_auc", "dprime", "mean_average_precision", "one_best_accuracy")


def measure_model(
    model_path: Path,
    store: Store,
    evaluated: Store,
    *,
    where: str,
    clips: npt.NDArray[np.int64],
    device: str = "auto",
) -> dict[str, Any]:
    """Score clips and evaluate the scores, means over patches as in the paper.

    Args:
        model_path: a model with the labels of `store`.
        store: of the clips.
        evaluated: the same clips with the labels that count, all of them among those of `store`.
        where: SQL condition: the clips to evaluate on.
        clips: those that it selects.
        device: where to compute.

    Returns:
        Plain values: the measures, `intervals` (95 %, by measure), `chance`, and counts.
    """
    with tempfile.TemporaryDirectory(prefix="earwitness-scores-") as folder:
        scores_path = Path(folder)
        score_store(load_model(model_path), store, scores_path, settings=ScoreSettings(where=where), device=device)
        scores = ScoreFolder.open(scores_path)
        labels = np.array([store.label_set.index_of[label] for label in evaluated.label_set.ids])
        rows, columns = evaluated.label_pairs(clips)
        found = evaluate(
            SelectedScores(scores.source, clips=np.arange(len(clips)), labels=labels),
            Positives.from_pairs(rows, columns, num_clips=len(clips), num_labels=len(labels)),
            label_set=evaluated.label_set,
            resamples=default_resamples(len(clips)),
        )
    values = found.to_dict()
    figures = {name: values[name] for name in MEASURES}
    return {
        **figures,
        "intervals": {name: ends for name, ends in (values["intervals"] or {}).items() if name in MEASURES},
        "chance": {name: values["chance"][name] for name in MEASURES},
        "num_clips": found.num_clips,
        "num_labels": found.num_labels,
        "num_undefined_labels": found.num_undefined_labels,
    }


def figure(evaluation: dict[str, Any], name: str) -> float:
    """A measure as it was before JSON, which has no infinity; nan where it is undefined."""
    value = evaluation.get(name)
    if value is None:
        return math.inf if name == "dprime" and evaluation.get("mean_auc") == 1 else math.nan
    return float(value)
