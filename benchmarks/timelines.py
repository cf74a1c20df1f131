"""How well timelines say when: events found in made soundtracks against the true ones, at several hops.

    earwitness demo                                        # a model, and the settings of its corpus
    python benchmarks/timelines.py earwitness-demo/run/model.safetensors FOLDER

Makes soundtracks with the model's kinds of sound in FOLDER (other ones than the demo's), scores their patches at each
hop, and turns the scores into events in several ways. The numbers of each way (thresholds, gaps, lengths) are chosen on
one half of the soundtracks, by F1, and measured on the other half.

Truth: the true events of a label in a soundtrack; those that overlap or lie within 0.1 s are one.
Matching: events of one label in one soundtrack, true and found, become pairs one to one, best first, by
intersection over union (IoU). A pair with an IoU of at least 0.5 is a hit: F1 is over all events of all labels.
Errors of onset and offset are medians over pairs with an IoU of at least 0.2, without sign and with it (found minus
true: an onset that is too early is negative).

The grid's own limit: what perfect patch scores would give. A perfect score is the share of the patch in which the label
sounds, and the threshold is one half.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.datasets.events import read_events
from earwitness.inference.any_model import open_model
from earwitness.inference.events import EventFinder
from earwitness.inference.tagger import PatchScores, Tagger
from earwitness.manifest import read_manifest
from earwitness.parallel import usable_cpus
from earwitness.synth.corpus import make_corpus
from earwitness.synth.settings import SynthSettings

HOPS_SECONDS = (0.96, 0.48, 0.1)
HIT_IOU, PAIR_IOU = 0.5, 0.2
JOINED_SECONDS = 0.1

Span = tuple[float, float]
Spans = dict[int, list[Span]]
"""By label."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How scores become events."""

    threshold: float = 0.5
    keep_share: float = 1.0
    max_gap_seconds: float = 0.0
    min_seconds: float = 0.0
    is_middle: bool = True
    """Borders at the middles of patches; False: from the start of the first patch to the end of the last."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One soundtrack at one hop."""

    seconds: float
    truth: Spans
    starts: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    perfect: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Over many soundtracks."""

    f1: float
    precision: float
    recall: float
    onset_errors: npt.NDArray[np.float64]
    offset_errors: npt.NDArray[np.float64]


def main() -> None:
    """Score, choose, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--kinds", type=int, default=12, help="as the model's corpus")
    arguments = parser.parse_args()
    corpus = SynthSettings(
        clips=arguments.clips, seed=77, mean_seconds=20, kinds=arguments.kinds, prior_decades=0.5, flaws=0
    )
    made = make_corpus(arguments.folder, settings=corpus, workers=usable_cpus())
    tagger = Tagger(open_model(arguments.model))
    patch_seconds = tagger.model.front_end.patch_seconds
    print(
        "hop     way                                  F1     precision recall  onset (bias)    offset (bias)   chosen"
    )
    for hop_seconds in HOPS_SECONDS:
        tracks = read_tracks(made.manifest_path, arguments.folder / "events.parquet", tagger, hop_seconds)
        tuning, testing = tracks[::2], tracks[1::2]

        def measured(
            way: Way, some: Sequence[Track], *, is_perfect: bool = False, hop_seconds: float = hop_seconds
        ) -> Quality:
            return judge((t.truth, found(t, way, patch_seconds, hop_seconds, is_perfect=is_perfect)) for t in some)

        def best(base: Way, tuning: Sequence[Track] = tuning, measured=measured, **choices: Sequence[float]) -> Way:  # type: ignore[no-untyped-def]
            for name, values in choices.items():
                base = max((replace(base, **{name: value}) for value in values), key=lambda w: measured(w, tuning).f1)
            return base

        thresholds = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
        plain = best(Way(), threshold=thresholds)
        whole = best(Way(is_middle=False), threshold=thresholds)
        tidy = best(plain, max_gap_seconds=(0, 0.2, 0.5, 1.0), min_seconds=(0, 0.2, 0.3, 0.5, 0.8))
        patient = best(
            plain,
            keep_share=(1, 0.7, 0.5, 0.3),
            threshold=thresholds,
            max_gap_seconds=(0, 0.2, 0.5, 1.0),
            min_seconds=(0, 0.2, 0.3, 0.5, 0.8),
        )
        for name, way, is_perfect in (
            ("whole patches", whole, False),
            ("middles", plain, False),
            ("middles, gaps and lengths", tidy, False),
            ("the same, hysteresis", patient, False),
            ("the grid's limit, whole patches", Way(is_middle=False), True),
            ("the grid's limit, middles", Way(), True),
        ):
            line(hop_seconds, name, way, measured(way, testing, is_perfect=is_perfect))


def read_tracks(manifest_path: Path, events_path: Path, tagger: Tagger, hop_seconds: float) -> list[Track]:
    """Score every soundtrack, and hold its truth beside."""
    manifest, events = read_manifest(manifest_path), read_events(events_path)
    label_set = tagger.model.label_set
    front_end = tagger.front_end(round(hop_seconds / tagger.model.front_end.frame_seconds))
    tracks = []
    for row in manifest.table.select(["clip_id", "media"]).to_pylist():
        blocks: list[PatchScores] = []
        clip = tagger.score(
            str(manifest_path.parent / row["media"]),
            patch_hop_frames=front_end.patch_hop_frames,
            on_patches=blocks.append,
        )
        truth: Spans = defaultdict(list)
        for event in events.get(row["clip_id"], ()):
            if event.label in label_set.index_of:
                truth[label_set.index_of[event.label]].append((event.start_seconds, event.stop_seconds))
        truth = {label: joined(spans) for label, spans in truth.items()}
        starts = np.concatenate([block.start_seconds for block in blocks])
        perfect = np.zeros((len(starts), len(label_set)), np.float32)
        for label, spans in truth.items():
            for start, stop in spans:
                overlap = np.minimum(starts + front_end.patch_seconds, stop) - np.maximum(starts, start)
                perfect[:, label] += np.maximum(overlap, 0) / front_end.patch_seconds
        scores = np.concatenate([block.scores for block in blocks])
        tracks.append(Track(seconds=clip.seconds, truth=truth, starts=starts, scores=scores, perfect=perfect))
    return tracks


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap, or nearly touch, made one."""
    result: list[Span] = []
    for start, stop in sorted(spans):
        if result and start <= result[-1][1] + JOINED_SECONDS:
            result[-1] = (result[-1][0], max(result[-1][1], stop))
        else:
            result.append((start, stop))
    return result


def found(track: Track, way: Way, patch_seconds: float, hop_seconds: float, *, is_perfect: bool) -> Spans:
    """The events of a soundtrack."""
    finder = EventFinder(
        threshold=way.threshold,
        lower_threshold=way.threshold * way.keep_share,
        patch_seconds=patch_seconds,
        hop_seconds=hop_seconds if way.is_middle else None,
        min_seconds=way.min_seconds,
        max_gap_seconds=way.max_gap_seconds,
    )
    # sums of overlaps may miss one half by a rounding
    events = finder.push(track.starts, track.perfect + np.float32(1e-6) if is_perfect else track.scores)
    spans: Spans = defaultdict(list)
    for event in [*events, *finder.finish(end_seconds=track.seconds)]:
        spans[event.label].append((event.start_seconds, event.stop_seconds))
    return spans


def judge(pairs: Iterable[tuple[Spans, Spans]]) -> Quality:
    """Match true and found events."""
    num_true = num_found = num_hits = 0
    onsets: list[float] = []
    offsets: list[float] = []
    for truth, events in pairs:
        num_true += sum(map(len, truth.values()))
        num_found += sum(map(len, events.values()))
        for label in truth.keys() & events.keys():
            ranked = sorted(
                ((iou(t, e), i, j) for i, t in enumerate(truth[label]) for j, e in enumerate(events[label])),
                reverse=True,
            )
            used_true: set[int] = set()
            used_found: set[int] = set()
            for value, i, j in ranked:
                if value < PAIR_IOU or i in used_true or j in used_found:
                    continue
                used_true.add(i)
                used_found.add(j)
                num_hits += value >= HIT_IOU
                onsets.append(events[label][j][0] - truth[label][i][0])
                offsets.append(events[label][j][1] - truth[label][i][1])
    precision, recall = num_hits / max(num_found, 1), num_hits / max(num_true, 1)
    return Quality(
        f1=2 * num_hits / max(num_true + num_found, 1),
        precision=precision,
        recall=recall,
        onset_errors=np.array(onsets),
        offset_errors=np.array(offsets),
    )


def iou(one: Span, other: Span) -> float:
    """Intersection over union of two spans."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, shared) / (max(one[1], other[1]) - min(one[0], other[0]))


def line(hop_seconds: float, name: str, way: Way, quality: Quality) -> None:
    """One row of the table."""
    errors = "  ".join(
        f"{np.median(np.abs(e)):5.2f} ({np.median(e):+.2f})" for e in (quality.onset_errors, quality.offset_errors)
    )
    chosen = (
        f"threshold {way.threshold:g}, keep {way.keep_share:g}, gap {way.max_gap_seconds:g}, min {way.min_seconds:g}"
    )
    print(
        f"{hop_seconds:4.2f} s  {name:34s}  {quality.f1:.3f}  {quality.precision:.3f}     {quality.recall:.3f}  {errors}  "
        f"{chosen}",
        flush=True,
    )


if __name__ == "__main__":
    main()
