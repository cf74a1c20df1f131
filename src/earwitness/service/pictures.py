"""What the page draws: a spectrogram small enough for a browser, and the scores of the labels worth a lane."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet

MAX_COLUMNS = 8_192
"""Of the spectrogram: three times the pixels of a wide screen, so that one can look closer."""

MAX_LANES = 40
MIN_PEAK = 0.02
"""Labels that never score as much have no lane: no slider is moved so low."""

_BLOCK_NUMBERS = 1 << 24


class Spectrogram:
    """Takes frames as they come; a column holds the loudest of its frames, so that short sounds stay visible."""

    def __init__(self, front_end: FrontEnd, *, num_frames: int) -> None:
        """`num_frames`: about how many will come."""
        self._front_end = front_end
        self._frames_per_column = max(1, -(-num_frames // MAX_COLUMNS))
        self._columns: list[npt.NDArray[np.float32]] = []
        self._waiting = np.empty((0, front_end.num_bands), np.float16)

    def push(self, frames: npt.NDArray[np.float16]) -> None:
        """Add frames [frames, bands]."""
        joined = np.concatenate([self._waiting, frames])
        whole = len(joined) - len(joined) % self._frames_per_column
        self._waiting = joined[whole:]
        self._add(joined[:whole])

    def to_dict(self) -> dict[str, Any]:
        """`data`: base64 of uint8 [columns, bands], lowest band first; 0 is silence, 255 the loudest of the file."""
        if len(self._waiting):
            self._columns.append(self._waiting.max(axis=0, keepdims=True).astype(np.float32))
            self._waiting = self._waiting[:0]
        levels = np.concatenate(self._columns)
        silence = np.log(self._front_end.log_offset)
        top = max(float(levels.max()), silence + 1.0)
        data = np.clip((levels - silence) / (top - silence) * 255, 0, 255).astype(np.uint8)
        return {
            "columns": len(data),
            "bands": data.shape[1],
            "column_seconds": self._frames_per_column * self._front_end.frame_seconds,
            "min_hz": self._front_end.min_hz,
            "max_hz": self._front_end.max_hz,
            "data": _base64(data),
        }

    def _add(self, frames: npt.NDArray[np.float16]) -> None:
        if len(frames):
            grouped = frames.reshape(-1, self._frames_per_column, frames.shape[1])
            self._columns.append(grouped.max(axis=1).astype(np.float32))


def lanes(
    scores_path: Path, label_set: LabelSet, thresholds: npt.NDArray[np.float64], *, num_patches: int
) -> list[dict[str, Any]]:
    """The labels with the highest peaks, the highest first; `scores`: base64 of float32 [patches], little-endian.

    Args:
        scores_path: raw float32 [patches, labels].
        label_set: of these labels.
        thresholds: [labels].
        num_patches: how many there are.
    """
    num_labels = len(label_set)
    scores = np.memmap(scores_path, dtype="<f4", mode="r", shape=(num_patches, num_labels))
    step = max(1, _BLOCK_NUMBERS // num_labels)
    peaks = np.full(num_labels, -np.inf, np.float32)
    for first in range(0, num_patches, step):
        np.maximum(peaks, scores[first : first + step].max(axis=0), out=peaks)
    chosen = [label for label in (-peaks).argsort(kind="stable")[:MAX_LANES].tolist() if peaks[label] >= MIN_PEAK]
    columns = np.concatenate([scores[first : first + step, chosen] for first in range(0, num_patches, step)])
    return [
        {
            "label_id": label_set.ids[label],
            "label_name": label_set.names[label],
            "peak_score": float(peaks[label]),
            "threshold": float(min(thresholds[label], 2.0)),  # above 1: never heard
            "scores": _base64(np.ascontiguousarray(column, dtype="<f4")),
        }
        for label, column in zip(chosen, columns.T, strict=True)
    ]


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
