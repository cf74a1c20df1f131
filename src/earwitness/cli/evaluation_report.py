"""The report of an evaluation, from what was measured: what `earwitness evaluate --report` hands to the report."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from earwitness.experiments.evaluating import ModelEvaluation
    from earwitness.inference.any_model import AnyModel
    from earwitness.report.evaluation_facts import Evidence, ModelFacts, PatchScores
    from earwitness.store.read import LabelledClips

_PATCHES_PER_LENGTH = 4
"""Patches that a timeline begins within the length of one."""
_MOST_PATCHES = 400
"""Of a clip's timeline that overlap; of a longer clip, they do not."""


def write_report(
    folder: Path,
    outcome: "ModelEvaluation",
    *,
    title: str,
    details: Mapping[str, Any],
    model: "AnyModel | None" = None,
    model_path: Path | None = None,
    store: "LabelledClips | None" = None,
    device: str = "auto",
    memory_bytes: int,
    on_labels: Callable[[int], None] | None = None,
) -> Path:
    """Write the report into the folder, and say where its page is.

    Args:
        folder: of the report.
        outcome: what was measured.
        title: names model and clips.
        details: facts to show with it.
        model: whose scores they are; None where they came from elsewhere.
        model_path: of the model's file.
        store: of the clips; None where only the scores are at hand.
        device: where timelines are computed.
        memory_bytes: what may be held of scores at a time.
        on_labels: called with the number of labels looked at since the last call.

    Raises:
        EarwitnessError: the folder cannot be written.
    """
    from earwitness.parallel import usable_cpus
    from earwitness.report.evaluation_facts import EvaluationFacts
    from earwitness.report.evaluation_report import PAGE_FILE, write_evaluation_report

    facts = EvaluationFacts(
        title=title,
        evaluation=outcome.model,
        baseline=outcome.baseline,
        timeline=outcome.timeline,
        details=details,
        notes=outcome.notes,
        model=_model_facts(model, model_path) if model is not None and model_path is not None else None,
    )
    evidence = _evidence(outcome, model=model, store=store, device=device)
    write_evaluation_report(
        folder, facts, evidence=evidence, workers=usable_cpus(), memory_bytes=memory_bytes, on_labels=on_labels
    )
    return folder / PAGE_FILE


def _model_facts(model: "AnyModel", path: Path) -> "ModelFacts":
    from earwitness.report.evaluation_facts import ModelFacts

    return ModelFacts(
        path=str(path),
        network=model.architecture.name,
        num_weights=model.num_weights,
        front_end=model.front_end,
        provenance=model.provenance,
        calibration=model.calibration,
        thresholds=model.thresholds,
    )


def _evidence(
    outcome: "ModelEvaluation", *, model: "AnyModel | None", store: "LabelledClips | None", device: str
) -> "Evidence":
    """The scores, and where rows are clips, what is known of them."""
    from earwitness.report.evaluation_facts import Evidence

    clips = None
    if outcome.level == "clip":
        clips = outcome.folder.clips if outcome.folder is not None else None
        if clips is None and store is not None:
            clips = store.clips.take(outcome.clips)

    patches: Callable[[int], PatchScores] | None = None
    if model is not None and store is not None and clips is not None:
        patches = partial(_patches, model, store, outcome.clips, device=device)
    return Evidence(scores=outcome.source, positives=outcome.positives, clips=clips, patch_scores_of=patches)


def _patches(
    model: "AnyModel", store: "LabelledClips", clips: "npt.NDArray[np.int64]", position: int, *, device: str
) -> "PatchScores":
    """The scores of the patches of a clip by its position; overlapping ones where the clip is not long."""
    from earwitness.report.evaluation_facts import PatchScores
    from earwitness.scoring.score_store import patch_scores_of
    from earwitness.store.embeddings import Embeddings

    clip = int(clips[position])
    hop_frames = max(1, model.front_end.patch_frames // _PATCHES_PER_LENGTH)
    if isinstance(store, Embeddings):
        hop_frames = store.front_end.patch_hop_frames  # there are no others
    elif store.frames_per_clip[clip] > _MOST_PATCHES * hop_frames:
        hop_frames = model.front_end.patch_frames
    return PatchScores(
        start_seconds=0.0,
        hop_seconds=hop_frames * model.front_end.frame_seconds,
        patch_seconds=model.front_end.patch_seconds,
        scores=patch_scores_of(model, store, clip, patch_hop_frames=hop_frames, device=device).scores,
    )
