"""Store and model to scores on disk, range by range, by one process or by several.

A range of clips is scored for itself: its patches go through the network in batches that begin with its first patch.
So its tile is the same, bit for bit, whichever ranges were scored before it, by whatever process of the same machine;
and scores do not depend on ranges at all, but for rounding (see `inference.patch_runner`).

Memory is that of two tiles (one is written while the next is scored) and of what is known of each clip.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.decisions import Calibration
from earwitness.errors import ScoreError
from earwitness.evaluation.aggregation import ClipAggregator
from earwitness.evaluation.aggregation_names import Aggregation
from earwitness.inference.any_model import AnyModel
from earwitness.inference.patch_runner import ScoreRunner
from earwitness.inference.tagger import PatchScores
from earwitness.scoring.clip_scores import patches_of, read_ahead, require_fit
from earwitness.scoring.score_folder import begin_scores, digest_clip_ids, saying_what_cannot_be_written, scored_clips
from earwitness.scoring.score_header import ScoresHeader
from earwitness.scoring.score_settings import WHOLE, ScoreSettings, Shard
from earwitness.scoring.score_tiles import finished_tiles, tile_rows_for, write_tile
from earwitness.scoring.scorer import require_scorable, scorer_for
from earwitness.store.embeddings import PatchReader, open_reader
from earwitness.store.patches import PatchIndex
from earwitness.store.read import LabelledClips

FITTED_AGGREGATION: Aggregation = "mean"
"""A model's calibration and thresholds were fitted to such scores of clips, and are for no others."""

OnPatches = Callable[[int, int], None]
"""Told the number of patches done so far, and of all that are to be done."""
OnScores = Callable[[npt.NDArray[Any], npt.NDArray[np.float32]], None]
"""Handed patches and their scores [patches, labels], in order."""


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """What a call of `score_store` came to."""

    num_clips: int
    num_labels: int
    num_patches: int
    num_ranges: int
    num_scored: int
    """Ranges scored now."""
    num_finished: int
    """Ranges that are there at the end."""

    @property
    def is_complete(self) -> bool:
        """Whether all ranges are there."""
        return self.num_finished == self.num_ranges


@dataclass(frozen=True)
class Plan:
    """A folder ready to take tiles, and what they are made of."""

    folder: Path
    header: ScoresHeader
    index: PatchIndex

    def span(self, tile: int) -> range:
        """The patches of a tile."""
        rows = self.header.rows_of(tile)
        if self.header.level == "patch":
            return rows
        firsts = self.index.first_patches
        return range(int(firsts[rows.start]), int(firsts[rows.stop]) if rows.stop < len(firsts) else self.num_patches)

    @property
    def num_patches(self) -> int:
        """Patches of all tiles."""
        return self.index.num_patches

    def patches_in(self, tiles: Iterable[int]) -> int:
        """Patches of some tiles."""
        return sum(len(self.span(tile)) for tile in tiles)


def plan_scores(
    model: AnyModel,
    store: LabelledClips,
    folder: Path,
    *,
    settings: ScoreSettings,
    model_path: Path | None,
    range_clips: int | None = None,
) -> Plan:
    """Make a folder ready for the scores of a model, or find that it is. For the arguments see `score_store`.

    Raises:
        StoreError: the store does not fit the model.
        SelectionError: the settings' `where` is bad or selects nothing.
        SettingsError: the hop is longer than a patch, or none.
        ScoreError: the folder holds something else, or other scores; both sides are said.
    """
    front_end = settings.front_end_of(model.front_end)
    require_scorable(model, store, patch_hop_frames=settings.patch_hop_frames)
    require_fit(store, front_end=model.front_end, label_set=model.label_set)
    clips = store.select(settings.where)
    index = patches_of(store, clips, front_end=front_end)
    num_rows = index.num_patches if settings.level == "patch" else len(clips)
    is_as_fitted = settings.level == "patch" or settings.aggregation == FITTED_AGGREGATION
    header = ScoresHeader(
        label_set=store.label_set,
        num_clips=len(clips),
        num_rows=num_rows,
        tile_rows=range_clips
        or tile_rows_for(num_rows=num_rows, num_patches=index.num_patches, num_labels=len(store.label_set)),
        dtype="float32",
        level=settings.level,
        aggregation=settings.aggregation if settings.level == "clip" else None,
        store_fingerprint=store.fingerprint,
        where=settings.where,
        clips_digest=digest_clip_ids(store.read_clips(["clip_id"])["clip_id"].take(clips)),
        patch_frames=front_end.patch_frames,
        patch_hop_frames=front_end.patch_hop_frames,
        source_digest=model.digest,
        calibration_digest=_digest_of(model.calibration) if is_as_fitted else None,
        thresholds=model.thresholds.to_dict() if model.thresholds is not None and is_as_fitted else None,
        architecture={"name": model.architecture.name, "arguments": dict(model.architecture.arguments)},
        source=str(model_path.resolve()) if model_path is not None else "",
        store=str(store.folder.resolve()),
    )
    there = begin_scores(
        folder,
        header,
        lambda: scored_clips(store, clips, index.patches_per_clip),
        tile_rows=range_clips,
    )
    return Plan(folder, there, index)


def score_store(
    model: AnyModel,
    store: LabelledClips,
    folder: Path,
    *,
    settings: ScoreSettings,
    model_path: Path | None = None,
    shard: Shard = WHOLE,
    range_clips: int | None = None,
    device: str = "auto",
    on_patches: OnPatches | None = None,
    on_scores: OnScores | None = None,
) -> ScoreSummary:
    """Write the scores of a store's clips into a folder, laid out as `score_folder` says.

    Args:
        model: its patch geometry is used.
        store: of the clips; or embeddings that the model's classifier was learnt on, or others of the same network.
        folder: made if need be. Ranges that are there are not scored again.
        settings: which clips, and how.
        model_path: where the model lies, to be named by the scores.
        shard: the share of the ranges to score now.
        range_clips: clips of a range, or patches where a row is one. None: those of the scores that were begun there,
            or else by the sizes of the store.
        device: where the network runs.
        on_patches: told how far it is.
        on_scores: given, all ranges are scored, those that are there, too, and it is handed every patch.

    Raises:
        StoreError: the store does not fit the model, or cannot be read.
        SelectionError: the settings' `where` is bad or selects nothing.
        SettingsError: the hop is longer than a patch, or none; there is no such device.
        ScoreError: the folder holds something else or other scores, or cannot be written; or a score is no number.
    """
    plan = plan_scores(model, store, folder, settings=settings, model_path=model_path, range_clips=range_clips)
    there = set() if on_scores is not None else set(finished_tiles(folder, plan.header))
    tiles = [tile for tile in range(plan.header.num_tiles) if shard.has(tile) and tile not in there]
    if tiles:
        scorer = scorer_for(model, store, device=device)
        with open_reader(store) as reader:
            write_scores(plan, tiles, scorer, reader, on_patches=on_patches, on_scores=on_scores)
    return summary_of(plan, num_scored=len(tiles))


def summary_of(plan: Plan, *, num_scored: int) -> ScoreSummary:
    """What is there."""
    return ScoreSummary(
        num_clips=plan.header.num_clips,
        num_labels=len(plan.header.label_set),
        num_patches=plan.num_patches,
        num_ranges=plan.header.num_tiles,
        num_scored=num_scored,
        num_finished=len(finished_tiles(plan.folder, plan.header)),
    )


def write_scores(
    plan: Plan,
    tiles: list[int],
    scorer: ScoreRunner,
    reader: PatchReader,
    *,
    on_patches: OnPatches | None = None,
    on_scores: OnScores | None = None,
) -> None:
    """Score some ranges and write their tiles, one while the next is scored.

    Raises:
        StoreError: the store cannot be read.
        ScoreError: a tile cannot be written, or a score is no number.
    """

    def write(tile: int, scores: npt.NDArray[np.float32]) -> None:
        _require_numbers(plan, tile, scores, reader.store)
        write_tile(plan.folder, plan.header, tile, scores)

    num_patches = plan.patches_in(tiles)
    written: Future[None] | None = None
    with (
        saying_what_cannot_be_written(plan.folder),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="tiles") as executor,
    ):
        for tile, scores in _scored(plan, tiles, scorer, reader, num_patches, on_patches, on_scores):
            if written is not None:
                written.result()
            written = executor.submit(write, tile, scores)
        if written is not None:
            written.result()


def _scored(
    plan: Plan,
    tiles: list[int],
    scorer: ScoreRunner,
    reader: PatchReader,
    num_patches: int,
    on_patches: OnPatches | None,
    on_scores: OnScores | None,
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Each tile with its scores [labels, rows]."""
    coming = deque(tiles)
    spans = (plan.span(tile) for tile in tiles)
    done = 0
    span = range(0)
    for piece in read_ahead(reader, plan.index, batch_patches=scorer.batch_patches, spans=spans):
        if piece.first_patch not in span:
            tile = coming.popleft()
            rows, span = plan.header.rows_of(tile), plan.span(tile)
            out = np.empty((len(plan.header.label_set), len(rows)), dtype=np.float32)
            aggregator = ClipAggregator(plan.header.aggregation, out.T) if plan.header.aggregation else None
        scores = scorer(piece.patches)
        stop = piece.first_patch + len(scores)
        if aggregator is None:
            out[:, piece.first_patch - span.start : stop - span.start] = scores.T
        else:
            aggregator.push(np.searchsorted(plan.index.clips, piece.clips) - rows.start, scores)
        if on_scores is not None:
            on_scores(piece.patches, scorer.calibrated(scores))
        done += len(scores)
        if on_patches is not None:
            on_patches(done, num_patches)
        if stop == span.stop:
            if aggregator is not None:
                aggregator.finish()
            if plan.header.calibration_digest is not None:
                out = np.ascontiguousarray(scorer.calibrated(out.T).T)
            yield tile, out


def _digest_of(calibration: Calibration | None) -> str | None:
    if calibration is None:
        return None
    return hashlib.sha256(json.dumps(calibration.to_dict()).encode()).hexdigest()[:32]


def _require_numbers(plan: Plan, tile: int, scores: npt.NDArray[np.float32], store: LabelledClips) -> None:
    """Refuse scores that are not finite; clip and label are named."""
    if np.isfinite(scores).all():
        return
    label, row = np.argwhere(~np.isfinite(scores))[0]
    row += plan.header.rows_of(tile).start
    clip = plan.index.locate(np.array([row]))[0][0] if plan.header.level == "patch" else plan.index.clips[row]
    raise ScoreError(
        f"clip {store.clips['clip_id'][int(clip)].as_py()!r}, label {plan.header.label_set.ids[label]!r}: the score is "
        f"{scores[label, row - plan.header.rows_of(tile).start]}; the model's weights are not numbers, or far too large"
    )


def patch_scores_of(
    model: AnyModel, store: LabelledClips, clip: int, *, patch_hop_frames: int | None = None, device: str = "auto"
) -> PatchScores:
    """The scores of every patch of one clip of a store; times count from the clip's beginning.

    Raises:
        StoreError: the store does not fit the model, or cannot be read.
        SettingsError: the hop is longer than a patch, or none; there is no such device.
    """
    require_fit(store, front_end=model.front_end, label_set=model.label_set)
    front_end = ScoreSettings(patch_hop_frames=patch_hop_frames).front_end_of(model.front_end)
    index = patches_of(store, np.array([clip], dtype=np.int64), front_end=front_end)
    scorer = scorer_for(model, store, device=device)
    with open_reader(store) as reader:
        pieces = read_ahead(reader, index, batch_patches=scorer.batch_patches)
        scores = scorer.calibrated(np.concatenate([scorer(piece.patches) for piece in pieces]))
    starts = np.arange(len(scores), dtype=np.float64) * front_end.patch_hop_seconds
    return PatchScores(start_seconds=starts, scores=scores)
