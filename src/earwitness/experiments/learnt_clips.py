"""What a model has learnt from, told from its provenance and the store that it is evaluated on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import EarwitnessError
from earwitness.models.description import DescribedModel
from earwitness.store.read import LabelledClips
from earwitness.training.clips import TrainingClips, choose_clips
from earwitness.training.settings import TrainSettings


def learnt_before(model: DescribedModel, store: LabelledClips) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The clips of this store that the models before it have learnt from, and sentences where they cannot be told."""
    clips, doubts = np.empty(0, np.int64), []
    later = model.provenance
    while isinstance(origin := later.get("origin"), Mapping):  # the model it began from, the one before that, and so on
        training = training_clips(origin["provenance"], store)
        if isinstance(training, str):
            path = later["settings"].get("from_model") or "that of the embeddings"
            doubts.append(
                f"The model began from another one ({path}, digest {origin['digest'][:12]}), of which it cannot be "
                f"told whether it has learnt from these clips: {training}."
            )
        else:
            clips = np.union1d(clips, training.train)
        later = origin["provenance"]
    return clips, doubts


def is_the_same_corpus(provenance: Mapping[str, Any], store: LabelledClips) -> bool | None:
    """Whether a store is the one that a model of this provenance was trained on; None where it does not say."""
    fingerprint = provenance.get("store_fingerprint")
    return None if fingerprint is None else bool(fingerprint == store.fingerprint)


def corpora_differ(provenance: Mapping[str, Any], store: LabelledClips) -> str:
    """Both corpora side by side, in words."""
    clips = provenance.get("clips") or {}
    learnt = f", {clips['num_train']:,} clips learnt from" if "num_train" in clips else ""
    there, here = str(provenance["store_fingerprint"])[:12], store.fingerprint[:12]
    return (
        f"the model was trained on another corpus (fingerprint {there}{learnt}) than this store (fingerprint {here}, "
        f"{store.num_clips:,} clips)"
    )


def training_clips(provenance: Mapping[str, Any], store: LabelledClips) -> TrainingClips | str:
    """The clips of this store that a model of this provenance learnt from and watched, or why they cannot be told."""
    is_same = is_the_same_corpus(provenance, store)
    if is_same is None:
        if "imported" in provenance:
            return "its weights were published without a list of the clips that they learnt from"
        return "the model does not say what it was trained on"
    if not is_same:
        return "the model was trained on another store"
    try:
        clips = choose_clips(store, TrainSettings.from_dict(provenance["settings"]))
    except (KeyError, TypeError, EarwitnessError):
        return "the model was trained by another version of earwitness, whose settings are not understood here"
    if clips.describe(store) != provenance.get("clips"):
        return (
            "the model was trained by another version of earwitness, and it is no longer known how that one divided "
            "the corpus into clips to learn from and others"
        )
    return clips
