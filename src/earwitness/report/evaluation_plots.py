"""The pictures of an evaluation: d-prime against prior, average precision by label, and the confusion matrix.

References: Hershey et al. 2017, the figure of per-class d-prime against log10 prior, coloured by AP.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import FuncFormatter, NullFormatter

from earwitness.evaluation.summary import Evaluation, LabelResult
from earwitness.report.figure import BLUE, GREY, INK, ORANGE, draw_light_grid, drawing
from earwitness.report.running_median import LEAST_LABELS, median_width, running_median
from earwitness.report.words import shorten

_LABELS_WITH_BARS = 60
"""Up to this many labels have a bar and a name each; more become one sorted curve."""


def plot_dprime_by_prior(path: str | Path, evaluation: Evaluation, *, title: str) -> None:
    """Each defined label's d-prime against the share of clips that have it, by colour its AP.

    Raises:
        SettingsError: the suffix of `path` names no picture format, or it cannot be written.
    """
    labels = sorted((label for label in evaluation.labels if label.is_defined), key=lambda label: label.prior)
    priors = np.array([label.prior for label in labels])
    dprimes = np.array([label.dprime for label in labels])
    with drawing(path, width_inches=7.0, height_inches=4.4) as figure:
        axes = figure.add_subplot()
        draw_light_grid(axes)
        axes.axhline(0.0, color=GREY, linewidth=1.0, linestyle="--", label="chance")
        points = axes.scatter(
            priors,
            dprimes,
            c=[label.average_precision for label in labels],
            cmap="viridis",
            vmin=0.0,
            vmax=1.0,
            s=float(np.clip(4000 / max(len(labels), 1), 6, 36)),
            edgecolors=INK,
            linewidths=0.25,
        )
        if len(labels) >= LEAST_LABELS and priors[0] < priors[-1]:
            width = median_width(len(labels))
            at, medians = running_median(priors, dprimes, width=width)
            axes.plot(at, medians, color=ORANGE, linewidth=2.0, label=f"running median of {width} labels")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda prior, _: f"{prior:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        if len(labels):
            # a decade or more, so that a power of ten with its number is in it
            centre, half = np.sqrt(priors[0] * priors[-1]), max(1.5 * np.sqrt(priors[-1] / priors[0]), 3.3)
            axes.set_xlim(centre / half, centre * half)
        axes.set_xlabel("prior: share of clips with the label")
        axes.set_ylabel("d-prime")
        axes.set_title(shorten(title, length=80), loc="left")
        axes.legend(loc="best")
        figure.colorbar(points, ax=axes, pad=0.02).set_label("average precision")


def plot_average_precision(
    path: str | Path, evaluation: Evaluation, baseline: Evaluation | None, *, title: str
) -> None:
    """Average precision of each defined label, best first, beside its chance (the prior) and the baseline's.

    Raises:
        SettingsError: the suffix of `path` names no picture format, or it cannot be written.
    """
    order = [i for i, label in enumerate(evaluation.labels) if label.is_defined]
    order.sort(key=lambda i: -evaluation.labels[i].average_precision)
    labels = [evaluation.labels[i] for i in order]
    beside = [baseline.labels[i].average_precision for i in order] if baseline else None
    draw = _draw_bars if len(labels) <= _LABELS_WITH_BARS else _draw_sorted_curve
    height = 1.3 + 0.19 * max(len(labels), 3) if draw is _draw_bars else 4.2
    with drawing(path, width_inches=7.0, height_inches=height) as figure:
        axes = figure.add_subplot()
        axes.set_title(shorten(title, length=80), loc="left")
        draw(axes, labels, beside)
        entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] != "model")
        figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=4)


def plot_confusion_matrix(
    path: str | Path, counts: npt.NDArray[np.float64], names: Sequence[str], *, title: str
) -> None:
    """A confusion matrix [true labels, answered labels] in clips; a cell's shade is its share of the row.

    Raises:
        SettingsError: the suffix of `path` names no picture format, or it cannot be written.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    side = 2.4 + 0.26 * len(names)
    short_names = [shorten(name, length=22) for name in names]
    with drawing(path, width_inches=side + 1.2, height_inches=side) as figure:
        figure.set_layout_engine("compressed")
        axes = figure.add_subplot()
        # the square root shows a single stray clip
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
        for row, column in zip(*np.nonzero(counts), strict=True):
            is_dark = shares[row, column] > 0.4
            text = f"{counts[row, column]:.3g}"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color="white" if is_dark else INK)
        ticks = np.arange(len(names))
        axes.set_xticks(ticks, short_names, rotation=90)
        axes.set_yticks(ticks, short_names)
        axes.set_xlabel("answered")
        axes.set_ylabel("true")
        axes.set_title(shorten(title, length=int(side * 9)), loc="left")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02).set_label("share of the true label's clips")


def _draw_bars(axes: Axes, labels: Sequence[LabelResult], beside: Sequence[float] | None) -> None:
    rows = np.arange(len(labels))[::-1]
    axes.barh(rows, [label.average_precision for label in labels], height=0.72, color=BLUE, label="model")
    if beside is not None:
        axes.plot(beside, rows, "D", color=ORANGE, markersize=4.5, markeredgecolor="white", label="baseline")
    axes.plot(
        [label.prior for label in labels],
        rows,
        "|",
        color=INK,
        markersize=9,
        markeredgewidth=1.6,
        label="chance (prior)",
    )
    axes.set_yticks(rows, [f"{shorten(label.name, length=28)} ({label.num_positives:,})" for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, max(len(labels), 1) - 0.4)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("average precision (clips with the label in brackets)")
    draw_light_grid(axes, axis="x")


def _draw_sorted_curve(axes: Axes, labels: Sequence[LabelResult], beside: Sequence[float] | None) -> None:
    ranks = np.arange(1, len(labels) + 1)
    axes.fill_between(ranks, [label.average_precision for label in labels], color=BLUE, linewidth=0, label="model")
    if beside is not None:
        axes.plot(
            ranks,
            sorted(beside, reverse=True),
            color=ORANGE,
            linewidth=1.6,
            label="baseline, its labels sorted too",
        )
    priors = sorted((label.prior for label in labels), reverse=True)
    axes.plot(ranks, priors, color=INK, linewidth=1.2, linestyle="--", label="chance: the priors, sorted")
    axes.set_xlim(1, len(labels))
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("label, by falling average precision")
    axes.set_ylabel("average precision")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rank, _: f"{rank:,.0f}"))
    draw_light_grid(axes, axis="y")
