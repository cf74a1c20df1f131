"""Models made up for tests of scoring."""

from dataclasses import replace

import numpy as np
import torch

from earwitness.decisions import Calibration, FittedOn, Thresholds
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model
from earwitness.store.read import Store


def deciding(store: Store) -> Model:
    """The same with a calibration, and a threshold for each label; the last label is never a yes."""
    num_labels = len(store.label_set)
    on = FittedOn(store_fingerprint="0" * 32, where=None, num_clips=7)
    values = np.linspace(0.3, 0.6, num_labels)
    values[-1] = np.inf
    return replace(
        untrained(store),
        calibration=Calibration(slopes=np.full(num_labels, 1.5), offsets=np.full(num_labels, -0.4), fitted_on=on),
        thresholds=Thresholds(values=values, precision=0.9, beta=None, fitted_on=on),
    )


def untrained(store: Store, *, seed: int = 0) -> Model:
    """A small network with random weights, loud enough that its scores spread over [0, 1]."""
    architecture = Architecture(
        name="fully_connected", arguments={"num_labels": len(store.label_set), "num_units": 8, "num_layers": 1}
    )
    torch.manual_seed(seed)
    network = architecture.build()
    with torch.no_grad():
        network.head.weight.normal_(std=0.5)
    return Model(
        network=network.eval(), architecture=architecture, label_set=store.label_set, front_end=store.front_end
    )
