"""What is heard when: the spectrogram of a file above the score curves of the labels with the highest peaks.

The paper shows excerpts of one video this way, with 16 classifiers. Rows are ordered by their peak, highest
first, and all share one scale, so that heights compare; the peak's value stands at the end of its row.

References: Hershey et al. 2017, the figure of instantaneous outputs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FixedLocator, FuncFormatter

from earwitness.errors import ScoreError
from earwitness.front_end import FrontEnd
from earwitness.report.figure import BLUE, GREY, INK, PALE, drawing, shorten
from earwitness.report.pooled_columns import ScoreCurves, SpectrogramPicture

_TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_CLOCK_UNITS = ((120.0, "s"), (3600.0, "m:ss"), (float("inf"), "h:mm:ss"))
"""Longest time that each way of writing is used for."""
_TICK_HZ = (62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
_SCALES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def plot_timeline(
    path: str | Path,
    *,
    frames: npt.NDArray[Any] | SpectrogramPicture,
    front_end: FrontEnd,
    times_seconds: npt.NDArray[Any],
    scores: npt.NDArray[Any] | ScoreCurves,
    names: Sequence[str],
    title: str,
    top: int = 16,
    start_seconds: float = 0.0,
) -> None:
    """Draw a file's spectrogram, and under it the score curves of the labels with the highest peaks.

    Args:
        path: the picture to write; its suffix is the format (png, svg, pdf ...).
        frames: log-mel frames [frames, bands], or the picture that a long file's frames were pushed into.
        front_end: what the frames and patches were made with.
        times_seconds: [patches], where each patch starts, on the clock of the file, at equal distances.
        scores: probabilities [patches, labels], or the curves that a long file's were pushed into.
        names: the display name of each label.
        title: stands above the picture; a file name, usually.
        top: the most labels that are drawn.
        start_seconds: where the first frame starts, on the clock of the file.

    Raises:
        ScoreError: there is no patch or no label, or the shapes do not fit together.
        SettingsError: the suffix names no picture format, or the file cannot be written.
    """
    picture, curves = frames, scores
    if not isinstance(picture, SpectrogramPicture):
        picture = SpectrogramPicture()
        picture.push(np.asarray(frames))
    if not isinstance(curves, ScoreCurves):
        curves = ScoreCurves()
        curves.push(np.asarray(scores))
    heights = curves.columns
    if not heights.size or curves.num_rows != len(times_seconds) or heights.shape[1] != len(names):
        raise ScoreError(
            f"timeline: scores of {curves.num_rows} patches and {heights.shape[1]} labels do not fit "
            f"{len(times_seconds)} times and {len(names)} names; there must be as many, and at least one"
        )
    peaks = heights.max(axis=0)
    shown = np.argsort(-peaks, kind="stable")[:top]
    scale = next((s for s in _SCALES if s >= peaks.max()), 1.0)
    # a patch is drawn one hop wide about its centre
    first_edge = float(times_seconds[0]) + (front_end.patch_seconds - front_end.patch_hop_seconds) / 2
    edges = first_edge + front_end.patch_hop_seconds * np.append(curves.first_rows, curves.num_rows)
    stop_seconds = max(start_seconds + picture.num_rows * front_end.frame_seconds, edges[-1])

    height = 3.1 + 0.26 * len(shown)
    with drawing(path, width_inches=9.0, height_inches=height) as figure:
        grid = GridSpec(2, 2, figure=figure, height_ratios=[2.1, 0.26 * len(shown)], width_ratios=[1, 0.015])
        top_axes = figure.add_subplot(grid[0, 0])
        image = _draw_spectrogram(top_axes, picture, front_end, start_seconds)
        colour_bar = figure.colorbar(image, cax=figure.add_subplot(grid[0, 1]))
        colour_bar.set_label("log mel magnitude")
        colour_bar.outline.set_visible(False)
        top_axes.set_title(shorten(title, length=100), loc="left")
        rows = figure.add_subplot(grid[1, 0], sharex=top_axes)
        _draw_rows(rows, edges, heights[:, shown], [names[i] for i in shown], peaks[shown], scale)
        top_axes.tick_params(labelbottom=False)
        _set_time_axis(rows, start_seconds, stop_seconds)


def _draw_spectrogram(axes: Axes, picture: SpectrogramPicture, front_end: FrontEnd, start_seconds: float) -> Any:
    columns = picture.columns
    seconds_per_column = picture.rows_per_column * front_end.frame_seconds
    # the middle 99 %: one click must not turn the rest dark
    low, high = np.percentile(columns, [0.5, 99.5]) if columns.size else (0.0, 1.0)
    image = axes.imshow(
        columns.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=low,
        vmax=max(high, low + 0.1),
        extent=(
            start_seconds,
            start_seconds + len(columns) * seconds_per_column,
            -0.5,
            front_end.num_bands - 0.5,
        ),
    )
    bands = _hz_to_band(np.array(_TICK_HZ), front_end)
    inside = (bands >= -0.5) & (bands <= front_end.num_bands - 0.5)
    axes.yaxis.set_major_locator(FixedLocator(bands[inside].tolist()))
    axes.set_yticklabels([f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}" for hz in np.array(_TICK_HZ)[inside]])
    axes.set_ylabel("frequency (Hz)")
    axes.set_ylim(-0.5, front_end.num_bands - 0.5)
    return image


def _hz_to_band(hz: npt.NDArray[np.float64], front_end: FrontEnd) -> npt.NDArray[np.float64]:
    """The (fractional) band whose centre lies at a frequency; bands are equally far apart in HTK mel."""
    low, high, mel = (np.log1p(np.asarray(f) / 700.0) for f in (front_end.min_hz, front_end.max_hz, hz))
    return np.asarray((mel - low) / (high - low) * (front_end.num_bands + 1) - 1)


def _draw_rows(
    axes: Axes,
    edges: npt.NDArray[np.float64],
    heights: npt.NDArray[np.float32],
    names: Sequence[str],
    peaks: npt.NDArray[np.float32],
    scale: float,
) -> None:
    """One filled curve a row, 0.9 of the row high at `scale`; the first row on top."""

    def write(x: float, row_height: float, text: str, color: str) -> None:
        where = axes.get_yaxis_transform()  # x runs from 0 to 1 across the axes, y counts rows from below
        axes.text(x, row_height, text, transform=where, va="center", fontsize=8, color=color)

    for row, peak in enumerate(peaks):
        base = len(names) - 1 - row
        axes.axhline(base, color=PALE, linewidth=0.6, zorder=0)
        axes.stairs(base + 0.9 * heights[:, row] / scale, edges, baseline=base, fill=True, color=BLUE, linewidth=0.0)
        write(1.008, base + 0.36, f"{peak:#.2g}", INK)
    write(0.0, len(names) + 0.2, f"score, each row from 0 to {scale:g}", GREY)
    write(1.008, len(names) + 0.2, "peak", GREY)
    axes.set_ylim(-0.08, len(names) + 0.5)
    axes.set_yticks([len(names) - row - 0.64 for row in range(len(names))], [shorten(n, length=28) for n in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _set_time_axis(axes: Axes, start_seconds: float, stop_seconds: float) -> None:
    axes.set_xlim(start_seconds, stop_seconds)
    length = stop_seconds - start_seconds
    step = next((s for s in _TICK_SECONDS if length / s <= 12), _TICK_SECONDS[-1])
    first = np.ceil(start_seconds / step - 1e-9) * step
    axes.xaxis.set_major_locator(FixedLocator(np.arange(first, stop_seconds + step * 1e-6, step).tolist()))
    unit = next(unit for limit, unit in _CLOCK_UNITS if stop_seconds <= limit)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds, unit=unit)))
    axes.set_xlabel(f"time ({unit})")


def _clock(seconds: float, *, unit: str) -> str:
    """A time as people write it: `62.5`, `1:02.5` or `0:01:02.5`, without needless decimals."""
    seconds = round(seconds, 3) + 0.0  # never "-0"
    if unit == "s":
        return f"{seconds:g}"
    rest = f"{seconds % 60:06.3f}".rstrip("0").rstrip(".")
    minutes = int(seconds // 60)
    return f"{minutes}:{rest}" if unit == "m:ss" else f"{minutes // 60}:{minutes % 60:02}:{rest}"
