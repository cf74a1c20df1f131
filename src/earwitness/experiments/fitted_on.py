"""The clips that a model's calibration and thresholds were fitted on: figures of these flatter them."""

import numpy as np
import numpy.typing as npt

from earwitness.decisions import Thresholds
from earwitness.errors import SelectionError
from earwitness.models.description import DescribedModel
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.selection import columns_read, select_rows
from earwitness.store.read import LabelledClips


def fit_notes(model: DescribedModel, store: LabelledClips, clips: npt.NDArray[np.int64]) -> list[str]:
    """What a reader of figures of these clips must know, as sentences; empty where there is nothing."""
    fitted = [
        (name, part.fitted_on)
        for name, part in (("calibration", model.calibration), ("thresholds", model.thresholds))
        if part is not None
    ]
    fitted = [(name, on) for name, on in fitted if on.store_fingerprint == store.fingerprint]
    if not fitted:
        return []
    names, on = " and ".join(name for name, _ in fitted), fitted[0][1]
    try:
        return _shared(names, len(np.intersect1d(clips, store.select(on.where))), len(clips))
    except SelectionError:
        return [_unknown(names, on.where)]


def fit_notes_of_scores(folder: ScoreFolder) -> list[str]:
    """The same of the clips of a folder of scores, whose model is not at hand."""
    header = folder.header
    if header.thresholds is None:
        return []
    on = Thresholds.from_dict(header.thresholds).fitted_on
    if on.store_fingerprint != header.store_fingerprint:
        return []
    names = "thresholds" if header.calibration_digest is None else "calibration and thresholds"
    if on.where is None:
        return _shared(names, folder.num_clips, folder.num_clips)
    try:
        columns_read(folder.clips.schema, on.where)
    except SelectionError:
        return [_unknown(names, on.where)]
    try:
        num_shared = len(select_rows(folder.clips, on.where))
    except SelectionError:  # it selects none of these
        return []
    return _shared(names, num_shared, folder.num_clips)


def _shared(names: str, num_shared: int, num_clips: int) -> list[str]:
    if not num_shared:
        return []
    return [
        f"The model's {names} were fitted on {num_shared} of these {num_clips} clips: calibration error, precision, "
        "recall and F1 look better than on others; ranks (AUC, d-prime, AP) are as they are."
    ]


def _unknown(names: str, where: str | None) -> str:
    return f"The model's {names} were fitted on clips of this store that another version chose ({where})."
