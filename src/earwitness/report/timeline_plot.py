"""What is heard when: the spectrogram of a file above the score curves of the labels with the highest peaks.

The paper shows excerpts of one video this way, with 16 classifiers. Rows are ordered by their peak, highest
first, and all share one scale, so that heights compare; the peak's value stands at the end of its row. Where
the truth is known, bars under the curves show when each label sounds. Its labels have rows before others do; or,
where the peaks are what counts, stand below them, under a line.

References: Hershey et al. 2017, the figure of instantaneous outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter

from earwitness.errors import ScoreError
from earwitness.front_end import FrontEnd
from earwitness.report.figure import BLUE, GREY, INK, ORANGE, PALE, drawing
from earwitness.report.pooled_columns import ScoreCurves, SpectrogramPicture
from earwitness.report.words import shorten

_TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_CLOCK_UNITS = ((120.0, "s"), (3600.0, "m:ss"), (float("inf"), "h:mm:ss"))
"""Longest time that each way of writing is used for."""
_TICK_HZ = (62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)
_SCALES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_BAR_BOTTOM, _BAR_HEIGHT = -0.2, 0.16
"""Of a true event, in rows from the base of its row."""


@dataclass(frozen=True, kw_only=True)
class TrueEvent:
    """A label that sounds over [start_seconds, stop_seconds), on the clock of the file."""

    label_name: str
    """One of the names of the scored labels; another name has a row without a curve."""
    start_seconds: float
    stop_seconds: float


@dataclass(frozen=True, kw_only=True)
class TimeAxis:
    """Where the time axis lies in a picture, so that a place on it can be told as a time.

    Left and right are fractions of the picture's width, top and bottom of its height, from the top left corner;
    they enclose the spectrogram and the curves.
    """

    left: float
    right: float
    top: float
    bottom: float
    start_seconds: float
    """At `left`."""
    stop_seconds: float
    """At `right`."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What one label has in the picture."""

    name: str
    heights: npt.NDArray[np.float32] | None
    """float32 [columns]; None for a label that the model does not know."""
    events: tuple[TrueEvent, ...]
    is_below: bool = False
    """Whether it stands under the line, for its events alone."""

    @property
    def peak(self) -> float:
        return -1.0 if self.heights is None else float(self.heights.max())


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
    true_events: Sequence[TrueEvent] = (),
    events_below: bool = False,
    bars: str = "true: when it sounds",
    width_inches: float = 9.0,
    is_dark: bool = False,
) -> TimeAxis:
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
        true_events: what truly sounds, where that is known; or other events, if `bars` says so.
        events_below: labels of events that are not among the `top` peaks stand below these, under a line, instead of
            in the place of some.
        bars: what the bars of events are.
        width_inches: of the picture.
        is_dark: light on dark, for a dark page.

    Returns:
        Where the time axis lies in the picture.

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
    rows = (_rows_with_events_below if events_below else _choose_rows)(heights, names, true_events, top=top)
    # a patch is drawn one hop wide about its centre
    first_edge = float(times_seconds[0]) + (front_end.patch_seconds - front_end.patch_hop_seconds) / 2
    edges = first_edge + front_end.patch_hop_seconds * np.append(curves.first_rows, curves.num_rows)
    stop_seconds = max(start_seconds + picture.num_rows * front_end.frame_seconds, float(edges[-1]))

    height = 3.1 + 0.26 * len(rows)
    with drawing(path, width_inches=width_inches, height_inches=height, is_dark=is_dark) as figure:
        grid = GridSpec(2, 2, figure=figure, height_ratios=[2.1, 0.26 * len(rows)], width_ratios=[1, 0.015])
        top_axes = figure.add_subplot(grid[0, 0])
        image = _draw_spectrogram(top_axes, picture, front_end, start_seconds)
        colour_bar = figure.colorbar(image, cax=figure.add_subplot(grid[0, 1]))
        colour_bar.set_label("log mel magnitude")
        colour_bar.outline.set_visible(False)
        top_axes.set_title(shorten(title, length=100), loc="left")
        row_axes = figure.add_subplot(grid[1, 0], sharex=top_axes)
        _draw_rows(row_axes, edges, rows, bars=bars if true_events else "")
        top_axes.tick_params(labelbottom=False)
        _set_time_axis(row_axes, start_seconds, stop_seconds)
    upper, lower = top_axes.get_position(), row_axes.get_position()  # as they were laid out when written
    return TimeAxis(
        left=float(lower.x0),
        right=float(lower.x1),
        top=1.0 - float(upper.y1),
        bottom=1.0 - float(lower.y0),
        start_seconds=start_seconds,
        stop_seconds=stop_seconds,
    )


def _choose_rows(
    heights: npt.NDArray[np.float32], names: Sequence[str], true_events: Sequence[TrueEvent], *, top: int
) -> list[_Row]:
    """At most `top` rows, by their peak: the labels of true events first of all, then the highest peaks."""
    rows = _rows_by_peak(heights, names, true_events)
    chosen = sorted(rows, key=lambda row: not row.events)[:top]  # stable: still by peak within both kinds
    return sorted(chosen, key=lambda row: -row.peak)


def _rows_with_events_below(
    heights: npt.NDArray[np.float32], names: Sequence[str], true_events: Sequence[TrueEvent], *, top: int
) -> list[_Row]:
    """The `top` highest peaks, whatever sounds; then the other labels that have events, by their peak."""
    rows = _rows_by_peak(heights, names, true_events)
    number = min(top, len(names))
    return rows[:number] + [replace(row, is_below=True) for row in rows[number:] if row.events]


def _rows_by_peak(
    heights: npt.NDArray[np.float32], names: Sequence[str], true_events: Sequence[TrueEvent]
) -> list[_Row]:
    """All labels by their peak, then those of events that the model does not know."""
    events: dict[str, list[TrueEvent]] = {}
    for event in true_events:
        events.setdefault(event.label_name, []).append(event)
    by_peak = np.argsort(-heights.max(axis=0), kind="stable").tolist()
    rows = [_Row(name=names[i], heights=heights[:, i], events=tuple(events.get(names[i], ()))) for i in by_peak]
    known = set(names)
    return rows + [_Row(name=name, heights=None, events=tuple(events[name])) for name in events if name not in known]


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


def _draw_rows(axes: Axes, edges: npt.NDArray[np.float64], rows: Sequence[_Row], *, bars: str) -> None:
    """One filled curve a row, 0.9 of the row high at full scale; the first row on top."""
    scale = next((s for s in _SCALES if s >= max(row.peak for row in rows)), 1.0)

    def write(x: float, row_height: float, text: str, color: str) -> Text:
        where = axes.get_yaxis_transform()  # x runs from 0 to 1 across the axes, y counts rows from below
        return axes.text(x, row_height, text, transform=where, va="center", fontsize=8, color=color)

    bases = range(len(rows) - 1, -1, -1)
    for row, base in zip(rows, bases, strict=True):
        axes.axhline(base, color=PALE, linewidth=0.6, zorder=0)
        if row.heights is not None:
            curve = base + 0.9 * row.heights / scale
            axes.stairs(curve, edges, baseline=base, fill=True, color=BLUE, linewidth=0.0)
            write(1.008, base + 0.36, f"{row.peak:#.2g}", INK)
        else:
            write(0.005, base + 0.36, "not among the model's labels", GREY)
        if row.events:
            spans = [(event.start_seconds, event.stop_seconds - event.start_seconds) for event in row.events]
            # the line about it keeps a moment visible in hours
            axes.broken_barh(spans, (base + _BAR_BOTTOM, _BAR_HEIGHT), color=ORANGE, linewidth=0.5)
    num_below = sum(row.is_below for row in rows)
    if 0 < num_below < len(rows):
        axes.axhline(num_below - 0.28, color=INK, linewidth=0.9)
    key = f"score, each row from 0 to {scale:g}"
    if bars:
        found = write(0.0, len(rows) + 0.2, f"\N{BLACK SQUARE} found: {key}", BLUE)
        axes.annotate(
            f"\N{BLACK SQUARE} {bars}",
            xy=(1.0, 0.5),
            xycoords=found,
            xytext=(14.0, 0.0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=ORANGE,
        )
    else:
        write(0.0, len(rows) + 0.2, key, GREY)
    write(1.008, len(rows) + 0.2, "peak", GREY)
    axes.set_ylim(-0.26 if bars else -0.08, len(rows) + 0.5)
    axes.set_yticks([base + 0.36 for base in bases], [shorten(row.name, length=28) for row in rows])
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
