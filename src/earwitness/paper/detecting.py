"""How well a model that learnt from the labels of whole clips finds their events in time.

All models are held against the same cells of 0.2 s: a cell takes the score of the patch whose middle is nearest to its
own, so that patches of any length can be compared. A label is true in a cell if it sounds in half of it.

- **Within clips**: how often a cell in which the label sounds scores above one of the same clip in which it does not
  (AUC; see `evaluation.timelines`). Chance is 0.5, and nothing but time is measured.
- **Frame mAP**: average precision over all cells, a mean over labels.
- **Segments and events**, by sed_eval (see `evaluation.detection`): runs of cells at or above a threshold become
  events, gaps and lengths as in `earwitness timeline`. One threshold serves all labels: the best by F1 over cells of
  one half of the clips for the other half, and the other way round.

Beside them two rivals go through all of it: the clip's own score in each of its cells, which knows what sounds but not
when; and chance, the share of the clips learnt from that carry the label, which has not listened at all.
"""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.datasets.events import TrueEvent, read_events
from earwitness.errors import ScoreError
from earwitness.evaluation.detection import Spans, score_detection
from earwitness.evaluation.summary import evaluate, finite
from earwitness.evaluation.timelines import evaluate_within_clips
from earwitness.experiments.timelines import check_ends, sounding
from earwitness.front_end import FrontEnd
from earwitness.inference.events import EventFinder
from earwitness.models.model_file import load_model
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.scoring.score_settings import ScoreSettings
from earwitness.scoring.score_store import score_store
from earwitness.store.read import Store

CELL_FRAMES = 20
"""Of 10 ms: those of the paper's short patches."""

_THRESHOLDS = 1 / (1 + np.exp(-np.linspace(-7, 5, 49)))
"""From 0.001 to 0.993, close together at both ends."""
_MAX_GAP_SECONDS = _MIN_SECONDS = 0.5
"""Of events: what `earwitness timeline` does by default."""

Indices = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


def measure_detection(
    model_path: Path, store: Store, *, events_path: Path, where: str, clips: Indices, learnt: Indices, device: str
) -> dict[str, Any]:
    """Score clips every 0.2 s and hold the scores against true events.

    Args:
        model_path: a model with the labels of `store`.
        store: of the clips.
        events_path: a table of true events.
        where: SQL condition: the clips to look at.
        clips: those that it selects.
        learnt: those from which it learnt, for chance.
        device: where to compute.

    Returns:
        Plain values: measures of the `model`, of the model `without_time`, of `chance`; and counts.

    Raises:
        ManifestError: the table of events cannot be used.
        ScoreError: it has no event in any of these clips.
        MissingExtraError: sed_eval is not installed.
    """
    model = load_model(model_path)
    settings = ScoreSettings(where=where, patch_hop_frames=min(CELL_FRAMES, model.front_end.patch_frames))
    cells = Cells.of(store, clips, read_true_events(events_path, store, clips))
    pieces: list[Scores] = []
    with tempfile.TemporaryDirectory(prefix="earwitness-scores-") as folder:
        score_store(
            model,
            store,
            Path(folder),
            settings=settings,
            device=device,
            on_scores=lambda _, scores: pieces.append(np.array(scores)),
        )
        found = ScoreFolder.open(Path(folder))
        per_clip = np.ascontiguousarray(found.source.clip_block(0, len(clips)))
    by_patch = np.concatenate(pieces)
    shares = np.bincount(store.label_pairs(learnt)[1], minlength=len(store.label_set)) / len(learnt)
    return {
        "model": cells.measure(cells.spread(by_patch, store, settings.front_end_of(model.front_end))),
        "without_time": cells.measure(np.repeat(per_clip, cells.per_clip, axis=0)),
        "chance": cells.measure(np.broadcast_to(shares.astype(np.float32), cells.targets.shape)),
        "num_clips": len(clips),
        "num_labels": len(store.label_set),
        "num_events": sum(len(spans) for truth in cells.truth for spans in truth.values()),
    }


def read_true_events(path: Path, store: Store, clips: Indices) -> list[Sequence[TrueEvent]]:
    """Those of each clip.

    Raises:
        ManifestError: the table cannot be used, or an event begins after the end of its clip.
        ScoreError: it has no event in any of these clips.
    """
    events = read_events(path)
    clip_ids = store.read_clips(["clip_id"])["clip_id"].take(clips).to_pylist()
    if not any(clip_id in events for clip_id in clip_ids):
        raise ScoreError(f"{path}: has no event in any of the {len(clips)} clips; are its clip_ids the store's?")
    check_ends(path, events, clip_ids, _seconds(store, clips))
    return [events.get(clip_id, ()) for clip_id in clip_ids]


def _seconds(store: Store, clips: Indices) -> npt.NDArray[np.float64]:
    """How long clips are."""
    seconds: npt.NDArray[np.float64] = (
        store.clips["num_samples"].take(clips).to_numpy() / store.front_end.sample_rate_hz
    )
    return seconds


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of some clips, one clip after another, and what is true in them."""

    clips: Indices
    clip_seconds: npt.NDArray[np.float64]
    per_clip: Indices
    """How many of each clip."""
    targets: npt.NDArray[np.bool_]
    """[cells, labels]."""
    truth: Sequence[Spans]
    """Of each clip, up to its end; what overlaps is one."""
    store: Store

    @classmethod
    def of(cls, store: Store, clips: Indices, events: Sequence[Sequence[TrueEvent]]) -> "Cells":
        """The cells of clips with these events; labels that the store does not know are left out."""
        front_end = store.front_end
        clip_seconds = _seconds(store, clips)
        length = CELL_FRAMES * front_end.frame_seconds
        per_clip = np.maximum(1, np.floor(clip_seconds / length + 1e-6)).astype(np.int64)
        targets = []
        for some, number in zip(events, per_clip.tolist(), strict=True):
            starts = np.arange(number) * length
            targets.append(sounding(some, starts, starts + length, store.label_set))
        return cls(
            clips=clips,
            clip_seconds=clip_seconds,
            per_clip=per_clip,
            targets=np.concatenate(targets),
            truth=[_joined(some, store, seconds) for some, seconds in zip(events, clip_seconds.tolist(), strict=True)],
            store=store,
        )

    @property
    def cell_seconds(self) -> float:
        """Length of a cell."""
        return CELL_FRAMES * self.store.front_end.frame_seconds

    def spread(self, scores: Scores, store: Store, front_end: FrontEnd) -> Scores:
        """Scores of patches [patches, labels], clip after clip, as those of cells."""
        patches_per_clip = np.array([front_end.frames_to_patches(int(n)) for n in store.frames_per_clip[self.clips]])
        firsts = np.cumsum(patches_per_clip) - patches_per_clip
        rows = []
        for first, num_patches, num_cells in zip(firsts, patches_per_clip, self.per_clip, strict=True):
            middles = (np.arange(num_cells) + 0.5) * self.cell_seconds - front_end.patch_seconds / 2
            nearest = np.floor(middles / front_end.patch_hop_seconds + 0.5 + 1e-6).astype(np.int64)
            rows.append(first + np.clip(nearest, 0, num_patches - 1))
        spread: Scores = scores[np.concatenate(rows)]
        return spread

    def measure(self, scores: npt.NDArray[np.floating[Any]]) -> dict[str, Any]:
        """All measures of scores [cells, labels]."""
        label_set = self.store.label_set
        within = evaluate_within_clips(scores, self.targets, self.per_clip, label_set=label_set)
        over_cells = evaluate(scores, self.targets, label_set=label_set)
        half_of_clip = np.arange(len(self.clips)) // 2 % 2  # two in a row may be one recording
        half_of_cell = np.repeat(half_of_clip, self.per_clip)
        thresholds = [
            _best_threshold(scores[half_of_cell != half], self.targets[half_of_cell != half]) for half in (0, 1)
        ]
        stops = np.cumsum(self.per_clip)
        detection = score_detection(
            (
                (truth, self._events(scores[stop - number : stop], thresholds[half], seconds), seconds)
                for truth, stop, number, half, seconds in zip(
                    self.truth, stops, self.per_clip, half_of_clip, self.clip_seconds.tolist(), strict=True
                )
            ),
            labels=label_set.ids,
        )
        measures = {
            "within_clips_auc": within.mean_auc,
            "frame_map": over_cells.mean_average_precision,
            **vars(detection),
        }
        return {**finite(measures), "thresholds": thresholds}

    def _events(self, scores: npt.NDArray[np.floating[Any]], threshold: float, seconds: float) -> Spans:
        finder = EventFinder(
            threshold=threshold,
            patch_seconds=self.cell_seconds,
            min_seconds=_MIN_SECONDS,
            max_gap_seconds=_MAX_GAP_SECONDS,
        )
        events = finder.push(
            np.arange(len(scores), dtype=np.float64) * self.cell_seconds, np.asarray(scores, np.float32)
        )
        spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for event in [*events, *finder.finish(end_seconds=seconds)]:
            spans[self.store.label_set.ids[event.label]].append((event.start_seconds, event.stop_seconds))
        return spans


def _best_threshold(scores: npt.NDArray[np.floating[Any]], targets: npt.NDArray[np.bool_]) -> float:
    """By F1 over all cells and labels; of equal ones the lowest."""
    num_true = int(np.count_nonzero(targets))
    figures: list[float] = []
    for threshold in _THRESHOLDS:
        is_found = scores >= threshold
        num_hits, num_found = int(np.count_nonzero(is_found & targets)), int(np.count_nonzero(is_found))
        figures.append(2 * num_hits / max(1, num_true + num_found))
    return float(_THRESHOLDS[int(np.argmax(figures))])


def _joined(events: Sequence[TrueEvent], store: Store, clip_seconds: float) -> Spans:
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.start_seconds):
        start, stop = event.start_seconds, min(event.stop_seconds, clip_seconds)
        if event.label not in store.label_set.index_of or stop <= start:
            continue
        before = spans[event.label]
        if before and start <= before[-1][1]:
            before[-1] = (before[-1][0], max(before[-1][1], stop))
        else:
            before.append((start, stop))
    return spans
