"""The paper's fourth table: the same network and steps, on ever smaller subsets that lie in one another.

The clips watched are the same for all, so their curves can be laid on one another: where one falls while its training
loss goes on falling, the network begins to know its clips by heart.

References: Hershey et al. 2017, section 4.3 and table 4.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from earwitness.errors import SettingsError, StoreError
from earwitness.paper import printed as paper
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result
from earwitness.paper.table import Column, Row, Table, grouped, three_decimals
from earwitness.paper.table_parts import (
    chance_row,
    columns_of_measures,
    columns_of_training,
    columns_printed,
    common_facts,
    common_notes,
    is_measured,
    is_overlap,
    row_of,
)
from earwitness.report.words import counted
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.training.clips import choose_clips
from earwitness.training.settings import TrainSettings

NAME = "training-set-size"
_ALIKE = 1.5
"""A share of ours is held against one of the paper's up to this factor apart."""
_SHARE_MISSED = 1.2
"""A part that has so many times the clips asked for says so."""


def plan(sizing: Sizing, store: Store, *, shares: Sequence[float] | None = None, network: str = "resnet50") -> Plan:
    """One training for each share of the clips, the largest first.

    Raises:
        SettingsError: a share is not allowed or named twice.
        StoreError: a share has too few clips for one batch; which would fit is said.
    """
    shares = tuple(shares) if shares else sizing.preset.train_shares
    if len(set(shares)) != len(shares):
        raise SettingsError(f"shares={list(shares)}: one is named twice")
    cells: list[Cell] = []
    drawn: dict[int, float] = {}  # by the number of clips: the smaller lie in the larger
    for share in sorted(shares, reverse=True):
        settings = sizing.settings(NAME, network=network, train_share=share)
        number = _require_a_batch(store, settings)
        if number in drawn:
            raise SettingsError(
                f"shares={list(shares)}: {share:g} and {drawn[number]:g} are the same {counted(number, 'clip')}, for "
                "whole groups are drawn; leave one out"
            )
        drawn[number] = share
        cells.append(Cell(name=f"share-{share:g}", settings=settings, facts={"share": share}))
    return Plan(experiment=NAME, cells=tuple(cells), test_where=sizing.sides.test_where)


def table(plan: Plan, results: Mapping[str, Result | None]) -> Table:
    """The largest first; the paper's row is that of the share nearest to ours, where it has one."""
    rows = []
    for cell in plan.cells:
        asked, result = cell.facts["share"], results[cell.name]
        share = _true_share(cell, plan, results)
        videos = _paper_row(asked if share is None else share)
        number = result.get("num_train_clips") if result is not None else None
        missed = ""
        if share is not None and share / asked > _SHARE_MISSED:
            missed = f"asked for {asked:g}: whole groups are drawn, and these are {share:.2g}"
        rows.append(
            row_of(
                cell,
                result,
                values={"share": asked, "true_share": share, "paper_videos": videos},
                figures=paper.TRAINING_SET_SIZE[videos] if videos is not None else None,
                label=counted(number, "clip") if number is not None else f"{asked:g} of the clips",
                remark=missed,
            )
        )
    in_order = list(results.values())
    settings = plan.cells[0].settings
    return Table(
        title="How many clips to learn from, as in table 4 of Hershey et al. 2017",
        columns=(
            Column(
                name="share", title="asked for", shown=lambda share: share if isinstance(share, str) else f"{share:g}"
            ),
            Column(name="true_share", title="share", shown=lambda share: f"{share:.3g}"),
            Column(name="num_train_clips", title="clips", shown=grouped),
            Column(name="num_patches", title="patches", shown=grouped),
            *columns_of_training(),
            *columns_of_measures(),
            Column(name="last_loss", title="training loss at the end", shown=three_decimals),
            Column(name="best_step", title="watched: best at step", shown=grouped),
            Column(name="best_watched_map", title="watched: mAP there", shown=three_decimals),
            Column(name="last_watched_map", title="watched: mAP at the end", shown=three_decimals),
            Column(name="num_validation_clips", title=""),
            Column(name="paper_videos", title="paper: videos", shown=grouped),
            *columns_printed(),
            Column(name="state", title=""),
        ),
        rows=[*rows, *chance_row(in_order, first_column="share")],
        findings=_findings(rows),
        notes=[
            *common_notes(plan, in_order),
            f"{settings.network} and {settings.steps:,} steps everywhere (the paper: 16 million). Whole groups are "
            "drawn, the smaller subsets lie in the larger, and the clips watched are the same for all. The share is "
            "that of the clips, by the largest part that is done; the paper's row is the one within a factor of "
            f"{_ALIKE:g} of it.",
        ],
        facts={**common_facts(plan), "width": settings.width},
    )


def _require_a_batch(store: Store, settings: TrainSettings) -> int:
    """The clips of a share, counted. Fewer patches than a batch are refused; the training would not say what fits."""
    front_end = store.front_end

    def num_patches(clips: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
        hop_frames = settings.patch_hop_frames or front_end.patch_hop_frames
        index = PatchIndex(store.frames_per_clip, clips, patch_frames=front_end.patch_frames, hop_frames=hop_frames)
        return int(index.num_patches)

    clips = choose_clips(store, settings).train
    found = num_patches(clips)
    if found >= settings.batch_size:
        return len(clips)
    whole = num_patches(store.select(settings.where))
    fits = f"shares above about {min(1.0, 1.5 * settings.batch_size / max(whole, 1)):.2g} would fit"
    if whole < 2 * settings.batch_size:
        fits = "a smaller --batch-size or more clips are needed"
    raise StoreError(
        f"{store.folder}: a share of {settings.train_share:g} is {counted(len(clips), 'clip')} with {found:,} patches, "
        f"fewer than one batch of {settings.batch_size}; {fits}"
    )


def _true_share(cell: Cell, plan: Plan, results: Mapping[str, Result | None]) -> float | None:
    """Its clips as a share of all to learn from, by the largest part that is done; None where it is not."""
    numbers = {
        each.name: result["num_train_clips"]
        for each in plan.cells
        if (result := results[each.name]) is not None and result["state"] == "finished"
    }
    if cell.name not in numbers:
        return None
    largest = next(each for each in plan.cells if each.name in numbers)
    return float(numbers[cell.name] / numbers[largest.name] * largest.facts["share"])


def _paper_row(share: float) -> int | None:
    """The number of videos in the paper's row of about the same share of its 70 million; None where there is none."""
    of = max(paper.TRAINING_SET_SIZE)
    distances = {videos: abs(math.log(videos / of / share)) for videos in paper.TRAINING_SET_SIZE}
    nearest = min(distances, key=lambda videos: distances[videos])
    return nearest if distances[nearest] <= math.log(_ALIKE) else None


def _findings(rows: Sequence[Row]) -> list[str]:
    done = [row for row in rows if is_measured(row)]
    findings = []
    if len(done) > 1:
        figures = [row.values["mean_average_precision"] for row in done]
        falls = all(more >= fewer for more, fewer in pairwise(figures))
        words = ", ".join(
            f"{row.values['num_train_clips']:,}: {value:.3f}" for row, value in zip(done, figures, strict=True)
        )
        alike = [
            f"{more.values['num_train_clips']:,} and {fewer.values['num_train_clips']:,}"
            for more, fewer in pairwise(done)
            if is_overlap(more, fewer) is not False
        ]
        findings.append(
            "The paper's mAP hardly falls from 70 M videos to 700 K (0.206, 0.203), and far to 23 K (0.118). Here, by "
            f"clips: {words}{'' if falls else '; more clips are not always better'}. The 95 % intervals of neighbours "
            + (f"overlap for {', '.join(alike)}." if alike else "do not meet.")
        )
    for row in done:
        values = row.values
        best, last = values["best_watched_map"], values["last_watched_map"]
        if best is None or last is None:
            continue
        watched = f"{row.label}: mAP of the {counted(values['num_validation_clips'], 'clip')} watched is highest"
        if values["best_step"] < values["steps"] and last < best:
            findings.append(
                f"{watched} after step {values['best_step']:,} ({best:.3f}) and {last:.3f} at the end, where the "
                f"training loss is {values['last_loss']:.3f}."
            )
        else:
            findings.append(f"{watched} at the end; no overfitting is seen yet.")
    return findings
