"""The clips that a model's calibration and thresholds were fitted on: figures of these flatter them."""

import numpy as np
import numpy.typing as npt

from earwitness.errors import SelectionError
from earwitness.models.description import DescribedModel
from earwitness.store.read import Store


def fit_notes(model: DescribedModel, store: Store, clips: npt.NDArray[np.int64]) -> list[str]:
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
        num_shared = len(np.intersect1d(clips, store.select(on.where)))
    except SelectionError:
        return [f"The model's {names} were fitted on clips of this store that another version chose ({on.where})."]
    if not num_shared:
        return []
    return [
        f"The model's {names} were fitted on {num_shared} of these {len(clips)} clips: calibration error, precision, "
        "recall and F1 look better than on others; ranks (AUC, d-prime, AP) are as they are."
    ]
