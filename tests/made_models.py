"""Models made up for tests of scoring."""

import torch

from earwitness.models.description import Architecture
from earwitness.models.model_file import Model
from earwitness.store.read import Store


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
