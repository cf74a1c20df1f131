"""Gathers frames and patch scores of one file while they stream by, for the picture drawn at its end."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.front_end import FrontEnd
from earwitness.report.pooled_columns import ScoreCurves, SpectrogramPicture
from earwitness.report.timeline_plot import TimeAxis, TrueEvent, plot_timeline


class TimelineRecorder:
    """Keeps a reduced spectrogram and reduced score curves: memory does not grow with the file."""

    def __init__(self) -> None:
        self._picture = SpectrogramPicture()
        self._curves = ScoreCurves()
        self._first_start_seconds = 0.0

    def push_frames(self, frames: npt.NDArray[np.float16]) -> None:
        """Add the next frames [frames, bands]."""
        self._picture.push(frames)

    def push_scores(self, start_seconds: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> None:
        """Add the next patches: start_seconds [patches], scores [patches, labels]."""
        if not self._curves.num_rows and len(start_seconds):
            self._first_start_seconds = float(start_seconds[0])
        self._curves.push(scores)

    def draw(
        self,
        path: Path,
        *,
        front_end: FrontEnd,
        names: Sequence[str],
        title: str,
        true_events: Sequence[TrueEvent] = (),
        bars: str = "true: when it sounds",
        is_dark: bool = False,
    ) -> TimeAxis:
        """Write the picture; the arguments are those of `plot_timeline`. It may be drawn more than once.

        Raises:
            SettingsError: it cannot be written.
        """
        hops = np.arange(self._curves.num_rows) * front_end.patch_hop_seconds
        return plot_timeline(
            path,
            frames=self._picture,
            front_end=front_end,
            times_seconds=self._first_start_seconds + hops,
            start_seconds=self._first_start_seconds,
            scores=self._curves,
            names=names,
            title=title,
            true_events=true_events,
            bars=bars,
            is_dark=is_dark,
        )
