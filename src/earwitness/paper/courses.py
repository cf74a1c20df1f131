"""What was measured along a training, for pictures; and how long its learning took, for tables and pictures alike."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earwitness.errors import RunError
from earwitness.training.measurements import read_measurements

Pairs = list[tuple[float, float]]

_MOST_WINDOWS = 40
"""Over which losses are means: as many points as can be told from one another."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Pairs of step or seconds, and value, by rising step."""

    loss: Pairs
    """Means over equal windows, each at the middle of its window."""
    watched: Pairs
    """MAP of the clips watched, by step."""
    watched_by_seconds: Pairs
    """Likewise, by the time of learning."""


def learning_times(rows: Sequence[Mapping[str, str]], batch_size: int) -> Pairs:
    """Step, and seconds of learning up to it, without looks at the clips watched, which weigh more on a quick network.

    Args:
        rows: of a run's `metrics.csv`.
        batch_size: patches of a step.
    """
    times, seconds, before = [(0.0, 0.0)], 0.0, 0
    for row in rows:
        if row["kind"] == "train" and row["patches_per_second"]:
            seconds += (int(row["step"]) - before) * batch_size / float(row["patches_per_second"])
            before = int(row["step"])
            times.append((float(before), seconds))
    return times


def read_measured(metrics_csv: Path, *, batch_size: int) -> Measured | None:
    """What a run has measured; None where it has no loss yet.

    Raises:
        RunError: the table cannot be read.
    """
    try:
        rows = read_measurements(metrics_csv)
        losses = [(float(row["step"]), float(row["loss"])) for row in rows if row["kind"] == "train" and row["loss"]]
        watched = [
            (float(row["step"]), float(row["mean_average_precision"]))
            for row in rows
            if row["kind"] == "validation" and row["mean_average_precision"]
        ]
        times = np.array(learning_times(rows, batch_size))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{metrics_csv}: the training's measures cannot be read ({error})") from error
    losses = [pair for pair in losses if math.isfinite(pair[1])]
    if not losses:
        return None
    seconds = np.interp([step for step, _ in watched], times[:, 0], times[:, 1]).tolist()
    by_seconds = [(second, value) for second, (_, value) in zip(seconds, watched, strict=True)]
    return Measured(loss=mean_over_windows(losses), watched=watched, watched_by_seconds=by_seconds)


def mean_over_windows(losses: Pairs) -> Pairs:
    """Means over equal windows, weighted by steps, each at the middle of its window.

    A training measures its loss over the steps since it last did, sometimes fewer, sometimes more; no window is shorter
    than the longest of these stretches.

    Args:
        losses: the last step of each stretch, and the mean loss over it.
    """
    steps = np.array([0.0, *(step for step, _ in losses)])
    lengths = np.diff(steps)
    sums = np.concatenate([[0.0], np.cumsum(lengths * np.array([loss for _, loss in losses]))])
    number = max(1, min(_MOST_WINDOWS, int(steps[-1] / lengths.max())))
    edges = np.linspace(0, steps[-1], number + 1)
    means = np.diff(np.interp(edges, steps, sums)) / np.diff(edges)
    return list(zip(((edges[:-1] + edges[1:]) / 2).tolist(), means.tolist(), strict=True))
