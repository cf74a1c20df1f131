"""What a trained model says of itself, in a model file as in an exported one. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earwitness.decisions import Calibration, Thresholds
from earwitness.errors import ModelError
from earwitness.front_end import FrontEnd
from earwitness.labels import NO_LABELS, LabelSet

if TYPE_CHECKING:
    from earwitness.models.network import Network

PUBLISHED_EMBEDDINGS = "published_embeddings"
"""The name of what stands in for a network whose embeddings alone are there."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network by name, with the arguments that build it again."""

    name: str
    arguments: Mapping[str, Any]

    def build(self) -> Network:
        """A network with fresh weights from torch's current random state."""
        from earwitness.models.registry import create_network

        return create_network(self.name, **self.arguments)


@dataclass(frozen=True, kw_only=True)
class DescribedModel:
    """What inputs and outputs of a network mean, and where it comes from."""

    architecture: Architecture
    label_set: LabelSet
    front_end: FrontEnd
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on and how; JSON values. See `training.run_folder` for the keys that training writes."""
    calibration: Calibration | None = None
    """The map from raw scores to scores; None: they are the same."""
    thresholds: Thresholds | None = None
    """Of scores, calibrated where the model is; None where none were fitted."""

    def __post_init__(self) -> None:
        sizes = {
            "calibration": len(self.label_set if self.calibration is None else self.calibration.slopes),
            "thresholds": len(self.label_set if self.thresholds is None else self.thresholds.values),
        }
        for name, size in sizes.items():
            if size != len(self.label_set):
                raise ModelError(f"{name} for {size} labels, but the model has {len(self.label_set)}")

    def thresholds_or(self, default: float) -> npt.NDArray[np.float64]:
        """[labels]: the scores at and above which each label is a yes; `default` for all where none were fitted.

        See `Thresholds.or_default` for labels without one.
        """
        if self.thresholds is None:
            return np.full(len(self.label_set), default)
        return self.thresholds.or_default(default)

    def describe(self) -> dict[str, Any]:
        """All of it as plain values for JSON."""
        description: dict[str, Any] = {
            "architecture": {"name": self.architecture.name, "arguments": dict(self.architecture.arguments)},
            "labels": self.label_set.to_rows(),
            "front_end": self.front_end.to_dict(),
            "provenance": dict(self.provenance),
        }
        if self.calibration is not None:
            description["calibration"] = self.calibration.to_dict()
        if self.thresholds is not None:
            description["thresholds"] = self.thresholds.to_dict()
        return description


def require_labels(model: DescribedModel) -> None:
    """Refuse to name sounds with a model that names nothing.

    Raises:
        ModelError: it was published up to its embedding.
    """
    if model.label_set == NO_LABELS:
        raise ModelError(
            f"this {model.architecture.name} names nothing, for it was published up to its embedding; learn a "
            "classifier on it (earwitness train STORE RUN --from MODEL --freeze), or use `earwitness embed`"
        )


def require_network(model: DescribedModel) -> None:
    """Refuse to hear with a model that has but a classifier.

    Raises:
        ModelError: it was learnt from published embeddings, and the network that made them is not in it.
    """
    if model.architecture.name == PUBLISHED_EMBEDDINGS:
        raise ModelError(
            "this model is a classifier of published embeddings, without the network that made them: it hears nothing; "
            "give that network to `earwitness records ... --vggish MODEL`, and train again"
        )


def described(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `DescribedModel` from what `describe` wrote.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: something is missing or of another type.
        EarwitnessError: a value is outside what is allowed.
    """
    return {
        "architecture": Architecture(**values["architecture"]),
        "label_set": LabelSet.from_rows(values["labels"]),
        "front_end": FrontEnd.from_dict(values["front_end"]),
        "provenance": dict(values.get("provenance", {})),
        "calibration": Calibration.from_dict(values["calibration"]) if "calibration" in values else None,
        "thresholds": Thresholds.from_dict(values["thresholds"]) if "thresholds" in values else None,
    }
