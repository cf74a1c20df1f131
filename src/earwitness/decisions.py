"""What turns a model's raw scores into probabilities that can be believed, and these into yes or no.

A model may carry both, fitted on clips that it has not learnt from (`evaluation.calibration`, `evaluation.thresholds`).

Calibration: for each label, raw score p of a clip to score sigmoid(slope * logit(p) + offset), with slope > 0, so that
the order of clips does not change (but for ties by rounding to float32).

Thresholds: scores, calibrated where the model is, at or above which a label is a yes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ModelError

LOGIT_RANGE = (2.0**-150, 1 - 2.0**-25)
"""Just outside the float32 numbers between 0 and 1, so that 0 and 1 themselves have logits that keep the order."""
_NUMBERS_AT_ONCE = 1 << 20
NEVER = "never"
"""In JSON, of a threshold that no score reaches."""
USUAL_THRESHOLD = 0.5
"""Of probabilities, where nothing was fitted."""


@dataclass(frozen=True, kw_only=True)
class FittedOn:
    """The clips that something was fitted on."""

    store_fingerprint: str
    where: str | None
    """The condition that selected them; None: all clips of the store."""
    num_clips: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """A map of raw scores for every label."""

    slopes: npt.NDArray[np.float64]
    """[labels], above 0."""
    offsets: npt.NDArray[np.float64]
    """[labels]."""
    fitted_on: FittedOn

    def __post_init__(self) -> None:
        if self.slopes.shape != self.offsets.shape or self.slopes.ndim != 1:
            raise ModelError(f"calibration: {self.slopes.shape} slopes and {self.offsets.shape} offsets")
        if not (np.isfinite(self.slopes).all() and np.isfinite(self.offsets).all() and (self.slopes > 0).all()):
            raise ModelError("calibration: slopes must be finite and above 0, offsets finite")

    def apply(self, raw_scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Calibrated scores of raw ones, both [..., labels]."""
        raw_scores = np.asarray(raw_scores, dtype=np.float32)
        result = np.empty_like(raw_scores)
        rows, out = raw_scores.reshape(-1, len(self.slopes)), result.reshape(-1, len(self.slopes))
        step = max(1, _NUMBERS_AT_ONCE // max(len(self.slopes), 1))
        for first in range(0, len(rows), step):
            out[first : first + step] = sigmoid(self.slopes * logits(rows[first : first + step]) + self.offsets)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "slopes": self.slopes.tolist(),
            "offsets": self.offsets.tolist(),
            "fitted_on": asdict(self.fitted_on),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: something is missing or of another type.
            ModelError: a number is outside what is allowed.
        """
        return cls(
            slopes=np.array(values["slopes"], dtype=np.float64),
            offsets=np.array(values["offsets"], dtype=np.float64),
            fitted_on=FittedOn(**values["fitted_on"]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """A threshold for every label that has one, and what they were fitted for: `precision` or `beta`."""

    values: npt.NDArray[np.float64]
    """[labels]; nan: too few positive clips to tell; inf: no threshold reached the precision, so never a yes."""
    precision: float | None
    """The precision that was to be reached with the largest recall."""
    beta: float | None
    """The beta whose F-beta was to be largest."""
    fitted_on: FittedOn

    def __post_init__(self) -> None:
        values = self.values[np.isfinite(self.values)]
        if self.values.ndim != 1 or np.any((values < 0) | (values > 1)) or np.any(np.isneginf(self.values)):
            raise ModelError("thresholds must lie in [0, 1]")
        if (self.precision is None) == (self.beta is None):
            raise ModelError("thresholds are fitted for a precision or for a beta, one of the two")

    def or_default(self, default: float) -> npt.NDArray[np.float64]:
        """[labels]: of a label with too few clips to fit one, `default`, or the target precision where it is higher.

        The latter, because a calibrated score is the share of clips with that score that have the label.
        """
        return np.where(np.isnan(self.values), max(default, self.precision or 0.0), self.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: None for nan, the word "never" for inf."""
        return {
            "values": [NEVER if v == np.inf else None if np.isnan(v) else v for v in self.values.tolist()],
            "precision": self.precision,
            "beta": self.beta,
            "fitted_on": asdict(self.fitted_on),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Thresholds":
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: something is missing or of another type.
            ModelError: a number is outside what is allowed.
        """
        numbers = [np.inf if v == NEVER else np.nan if v is None else v for v in values["values"]]
        return cls(
            values=np.array(numbers, dtype=np.float64),
            precision=values["precision"],
            beta=values["beta"],
            fitted_on=FittedOn(**values["fitted_on"]),
        )


def logits(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)); finite and ascending over all float32 numbers from 0 to 1, both included."""
    inside = np.clip(scores.astype(np.float64), *LOGIT_RANGE)
    return np.log(inside) - np.log1p(-inside)


def sigmoid(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    shrunk = np.exp(-np.abs(numbers))
    return np.where(numbers >= 0, 1.0, shrunk) / (1.0 + shrunk)
