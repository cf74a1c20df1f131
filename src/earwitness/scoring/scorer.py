"""What scores the clips of a store, or of a table of embeddings: the whole network, or its classifier alone."""

from collections.abc import Mapping

from earwitness.errors import ModelError, SettingsError, StoreError
from earwitness.inference.any_model import AnyModel, patch_scorer
from earwitness.inference.patch_runner import ScoreRunner
from earwitness.models.onnx_file import OnnxModel
from earwitness.store.embeddings import Embeddings
from earwitness.store.read import LabelledClips


def scorer_for(model: AnyModel, clips: LabelledClips, *, device: str = "auto") -> ScoreRunner:
    """What gives the raw scores of what `store.embeddings.open_reader` reads of these clips.

    Raises:
        SettingsError: there is no such device, or the model does not run there.
        ModelError: the model cannot be run on them; see `require_scorable` and `patch_scorer`.
        StoreError: they are embeddings of another network.
    """
    if not isinstance(clips, Embeddings):
        return patch_scorer(model, device=device)
    require_scorable(model, clips)
    from earwitness.inference.probabilities import PatchScorer
    from earwitness.models.model_file import Model
    from earwitness.models.network import Classifier
    from earwitness.models.precision import choose_device

    assert isinstance(model, Model)
    return PatchScorer(Classifier(model.network), device=choose_device(device), calibration=model.calibration)


def require_scorable(model: AnyModel, clips: LabelledClips, *, patch_hop_frames: int | None = None) -> None:
    """Refuse embeddings that are not what the classifier of a model reads. Stores are not looked at.

    Args:
        model: learnt on embeddings of the same network, so that its own network gives these, too.
        clips: the table.
        patch_hop_frames: frames from one scored patch to the next; None: the model's own.

    Raises:
        ModelError: an exported model has no classifier to be run by itself.
        StoreError: another network made the embeddings, or it cannot be told.
        SettingsError: there are no embeddings of such patches.
    """
    if not isinstance(clips, Embeddings):
        return
    if isinstance(model, OnnxModel):
        raise ModelError(
            f"{clips.folder}: these are embeddings, and of an exported model the classifier cannot be run by itself; "
            "take the model that it was exported from, or a store"
        )
    origin, settings = model.provenance.get("origin"), model.provenance.get("settings") or {}
    is_whole = settings.get("from_model") is None or settings.get("freeze")
    made_by = origin.get("digest") if isinstance(origin, Mapping) and is_whole else None
    if clips.header.model_digest != made_by:
        made_of = clips.header.store or f"the one with the fingerprint {clips.header.store_fingerprint[:12]}"
        raise StoreError(
            f"{clips.folder}: this holds embeddings, and the store is needed that they are of: {made_of}; for the "
            f"model was not learnt on embeddings of the same network ({clips.header.model_digest[:12]})"
        )
    own = clips.front_end.patch_hop_frames
    if patch_hop_frames not in (None, own):
        raise SettingsError(
            f"patch_hop_frames={patch_hop_frames}: {clips.folder} has embeddings every {own} frames, and no others"
        )
