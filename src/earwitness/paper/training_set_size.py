"""The paper's fourth table: the same network and steps, on ever smaller subsets that lie in one another.

The clips watched are the same for all, so their curves can be laid on one another: where one falls while its training
loss goes on falling, the network begins to know its clips by heart.

References: Hershey et al. 2017, section 4.3 and table 4.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from earwitness.errors import SettingsError, StoreError
from earwitness.paper import printed as paper
from earwitness.paper.plan import Cell, Plan
from earwitness.paper.sizing import Sizing
from earwitness.paper.study import Result
from earwitness.paper.table import (
    Column,
    Row,
    Table,
    chance_row,
    columns_of_measures,
    columns_printed,
    common_notes,
    measured,
    printed,
    remark_on,
    three_decimals,
)
from earwitness.report.words import duration
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.training.clips import choose_clips
from earwitness.training.settings import TrainSettings

NAME = "training-set-size"


def plan(sizing: Sizing, store: Store, *, shares: Sequence[float] | None = None, network: str = "resnet50") -> Plan:
    """One training for each share of the clips, the largest first.

    Raises:
        SettingsError: a share is not allowed or named twice.
        StoreError: a share has too few clips for one batch; which would fit is said.
    """
    shares = tuple(shares) if shares else sizing.preset.train_shares
    if len(set(shares)) != len(shares):
        raise SettingsError(f"shares={list(shares)}: one is named twice")
    cells = []
    for share in sorted(shares, reverse=True):
        settings = sizing.settings(NAME, network=network, train_share=share)
        _require_a_batch(store, settings)
        cells.append(Cell(name=f"share-{share:g}", settings=settings, facts={"share": share}))
    return Plan(experiment=NAME, cells=tuple(cells), test_where=sizing.sides.test_where)


def table(plan: Plan, results: Mapping[str, Result | None]) -> Table:
    """The largest first; the paper's row is that of the share nearest to ours, where it has one."""
    rows = []
    for cell, figures in zip(plan.cells, _paper_rows([cell.facts["share"] for cell in plan.cells]), strict=True):
        result = results[cell.name]
        values = {
            "share": cell.facts["share"],
            **measured(result),
            "paper_videos": figures,
            **printed(paper.TRAINING_SET_SIZE[figures] if figures is not None else None),
        }
        number = values.get("num_train_clips")
        rows.append(
            Row(
                values=values,
                cell=cell.name,
                label=f"{number:,} clips" if number is not None else f"{cell.facts['share']:g} of the clips",
                remark=remark_on(result),
            )
        )
    in_order = list(results.values())
    settings = plan.cells[0].settings
    return Table(
        title="How many clips to learn from, as in table 4 of Hershey et al. 2017",
        columns=(
            Column(
                name="share", title="share", shown=lambda share: f"{share:g}" if isinstance(share, float) else share
            ),
            Column(name="num_train_clips", title="clips", shown=lambda number: f"{number:,}"),
            Column(name="num_patches", title="patches", shown=lambda number: f"{number:,}"),
            Column(name="steps", title="steps", shown=lambda steps: f"{steps:,}"),
            Column(name="seconds", title="time", shown=duration),
            *columns_of_measures(),
            Column(name="last_loss", title="training loss at the end", shown=three_decimals),
            Column(name="best_step", title="best watched at step", shown=lambda step: f"{step:,}"),
            Column(name="best_watched_map", title="mAP then", shown=three_decimals),
            Column(name="last_watched_map", title="at the end", shown=three_decimals),
            Column(name="paper_videos", title="paper: videos", shown=lambda number: f"{number:,}"),
            *columns_printed(),
            Column(name="state", title=""),
        ),
        rows=[*rows, *chance_row(in_order, first_column="share")],
        findings=_findings(rows),
        notes=[
            *common_notes(in_order, settings=vars(settings)),
            f"{settings.network} and {settings.steps:,} steps everywhere (the paper: 16 million). Whole groups are "
            "drawn, the smaller subsets lie in the larger, and the clips watched are the same for all.",
        ],
        facts={"experiment": NAME, "width": settings.width, "seed": settings.seed},
    )


def _require_a_batch(store: Store, settings: TrainSettings) -> None:
    """Refuse a share whose clips have fewer patches than a batch; the training would, but not say what fits."""
    front_end = store.front_end

    def num_patches(clips: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
        hop_frames = settings.patch_hop_frames or front_end.patch_hop_frames
        index = PatchIndex(store.frames_per_clip, clips, patch_frames=front_end.patch_frames, hop_frames=hop_frames)
        return int(index.num_patches)

    clips = choose_clips(store, settings).train
    found = num_patches(clips)
    if found >= settings.batch_size:
        return
    whole = num_patches(store.select(settings.where))
    fits = f"shares above about {min(1.0, 1.5 * settings.batch_size / max(whole, 1)):.2g} would fit"
    if whole < 2 * settings.batch_size:
        fits = "a smaller --batch-size or more clips are needed"
    raise StoreError(
        f"{store.folder}: a share of {settings.train_share:g} is {len(clips):,} clips with {found:,} patches, fewer "
        f"than one batch of {settings.batch_size}; {fits}"
    )


def _paper_rows(shares: Sequence[float]) -> list[int | None]:
    """The number of videos in the paper's row of about the same share of its 70 million; None where there is none."""
    of = max(paper.TRAINING_SET_SIZE)
    rows: list[int | None] = []
    for share in shares:
        near = [videos for videos in paper.TRAINING_SET_SIZE if abs(np.log10(videos / of / share)) < 0.1]
        rows.append(near[0] if near else None)
    return rows


def _findings(rows: Sequence[Row]) -> list[str]:
    done = [row for row in rows if row.values.get("mean_average_precision") is not None]
    findings = []
    if len(done) > 1:
        figures = [row.values["mean_average_precision"] for row in done]
        falls = all(more >= fewer for more, fewer in pairwise(figures))
        words = ", ".join(
            f"{row.values['num_train_clips']:,}: {value:.3f}" for row, value in zip(done, figures, strict=True)
        )
        findings.append(
            "The paper's mAP hardly falls from 70 M videos to 700 K (0.206, 0.203), and far to 23 K (0.118). Here, by "
            f"clips: {words}" + ("" if falls else "; more clips are not always better") + "."
        )
    for row in done:
        values = row.values
        best, last = values["best_watched_map"], values["last_watched_map"]
        if best is None or last is None:
            continue
        if values["best_step"] < values["steps"] and last < best:
            findings.append(
                f"{row.label}: mAP of the clips watched is highest after step {values['best_step']:,} ({best:.3f}) and "
                f"{last:.3f} at the end, where the training loss is {values['last_loss']:.3f}."
            )
        else:
            findings.append(f"{row.label}: mAP of the clips watched is highest at the end; no overfitting is seen yet.")
    return findings
