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
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile

from earwitness.audio.decode import read_waveform
from earwitness.datasets.esc50 import manifest_from_esc50
from earwitness.datasets.events import TrueEvent, read_events
from earwitness.inference.any_model import open_model
from earwitness.inference.events import EventFinder
from earwitness.inference.tagger import PatchScores, Tagger
from earwitness.listening.timeline_settings import TimelineSettings
from earwitness.manifest import read_manifest
from earwitness.parallel import usable_cpus
from earwitness.synth.corpus import make_corpus
from earwitness.synth.settings import SynthSettings

HOPS_SECONDS = (0.96, 0.48, 0.1)
HIT_IOU, PAIR_IOU = 0.5, 0.2
JOINED_SECONDS = 0.1
RATE_HZ = 16_000

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
    parser.add_argument("--esc10", type=Path, help="take clips of ESC-10, whose folder this is")
    parser.add_argument("--fold", type=int, default=1, help="of ESC-10, not learnt from")
    arguments = parser.parse_args()
    if arguments.esc10 is not None:
        soundtracks = placed_clips(arguments.esc10, arguments.fold, arguments.folder)
    else:
        soundtracks = synthesised(arguments.folder, clips=arguments.clips, kinds=arguments.kinds)
    tagger = Tagger(open_model(arguments.model))
    patch_seconds = tagger.model.front_end.patch_seconds
    print(
        "hop     way                                    F1     precision recall  onset (bias)    offset (bias)   chosen"
    )
    for hop_seconds in HOPS_SECONDS:
        tracks = [scored(media, events, tagger, hop_seconds) for media, events in soundtracks]
        tuning, testing = tracks[::2], tracks[1::2]

        def measured(
            way: Way, some: Sequence[Track], *, is_perfect: bool = False, hop_seconds: float = hop_seconds
        ) -> Quality:
            return judge((t.truth, found(t, way, patch_seconds, hop_seconds, is_perfect=is_perfect)) for t in some)

        def best(base: Way, tuning: Sequence[Track] = tuning, measured=measured, **choices: Sequence[float]) -> Way:  # type: ignore[no-untyped-def]
            for name, values in choices.items():
                base = max((with_value(base, name, value) for value in values), key=lambda w: measured(w, tuning).f1)
            return base

        thresholds = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
        plain = best(Way(), threshold=thresholds)
        whole = best(Way(is_middle=False), threshold=thresholds)
        usual = Way(
            keep_share=TimelineSettings.keep_share,
            max_gap_seconds=TimelineSettings.max_gap_seconds,
            min_seconds=TimelineSettings.min_seconds,
        )
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
            ("the command's defaults, but keep 1", replace(usual, keep_share=1.0), False),
            ("the command's defaults", usual, False),
            ("the command's defaults, but keep 0.5", replace(usual, keep_share=0.5), False),
            ("middles, gaps and lengths", tidy, False),
            ("the same, hysteresis", patient, False),
            ("the grid's limit, whole patches", Way(is_middle=False), True),
            ("the grid's limit, middles", Way(), True),
        ):
            line(hop_seconds, name, way, measured(way, testing, is_perfect=is_perfect))


Soundtracks = list[tuple[Path, Sequence[TrueEvent]]]


def synthesised(folder: Path, *, clips: int, kinds: int) -> Soundtracks:
    """Made soundtracks, in which sounds overlap, in rooms and through codecs."""
    settings = SynthSettings(clips=clips, seed=77, mean_seconds=20, kinds=kinds, prior_decades=0.5, flaws=0)
    made = make_corpus(folder, settings=settings, workers=usable_cpus())
    events = read_events(folder / "events.parquet")
    clip_ids, media = (read_manifest(made.manifest_path).table[name].to_pylist() for name in ("clip_id", "media"))
    return [(folder / file, events.get(clip_id, ())) for clip_id, file in zip(clip_ids, media, strict=True)]


def placed_clips(esc10: Path, fold: int, folder: Path) -> Soundtracks:
    """Recorded clips, without the silence at their ends, one after the other over faint noise with gaps of 0.5 to 3 s.

    Four rounds of the fold's clips, ten in each soundtrack. Both edges of a clip are the borders of its event.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(77)
    manifest = manifest_from_esc50(esc10).table
    files = [row for row in manifest.to_pylist() if row["fold"] == fold]
    soundtracks: Soundtracks = []
    for first in range(0, 4 * len(files), 10):
        if first % len(files) == 0:
            order = rng.permutation(len(files))
        parts: list[npt.NDArray[np.float32]] = []
        events, num_samples = [], 0
        for number in order[first % len(files) :][:10].tolist():
            gap = np.zeros(int(RATE_HZ * rng.uniform(0.5, 3.0)), np.float32)
            waveform = read_waveform(files[number]["media"], sample_rate_hz=RATE_HZ)
            loud = np.flatnonzero(np.abs(waveform) > 0.003)
            waveform = waveform[loud[0] : loud[-1] + 1] / np.abs(waveform).max() * rng.uniform(0.3, 0.9)
            start = num_samples + len(gap)
            num_samples = start + len(waveform)
            [label] = files[number]["labels"]
            events.append(TrueEvent(label, start / RATE_HZ, num_samples / RATE_HZ))
            parts += [gap, waveform]
        whole = np.concatenate([*parts, np.zeros(RATE_HZ, np.float32)])
        whole += rng.normal(scale=0.001, size=len(whole)).astype(np.float32)
        media = folder / f"{len(soundtracks):03d}.wav"
        wavfile.write(media, RATE_HZ, (whole.clip(-1, 1) * 32_767).astype(np.int16))
        soundtracks.append((media, events))
    return soundtracks


def scored(media: Path, events: Sequence[TrueEvent], tagger: Tagger, hop_seconds: float) -> Track:
    """Score a soundtrack, and hold its truth beside."""
    label_set = tagger.model.label_set
    front_end = tagger.front_end(round(hop_seconds / tagger.model.front_end.frame_seconds))
    blocks: list[PatchScores] = []
    clip = tagger.score(str(media), patch_hop_frames=front_end.patch_hop_frames, on_patches=blocks.append)
    by_label: Spans = defaultdict(list)
    for event in events:
        if event.label in label_set.index_of:
            by_label[label_set.index_of[event.label]].append((event.start_seconds, event.stop_seconds))
    truth = {label: joined(spans) for label, spans in by_label.items()}
    starts = np.concatenate([block.start_seconds for block in blocks])
    perfect = np.zeros((len(starts), len(label_set)), np.float32)
    for label, spans in truth.items():
        for start, stop in spans:
            overlap = np.minimum(starts + front_end.patch_seconds, stop) - np.maximum(starts, start)
            perfect[:, label] += np.maximum(overlap, 0) / front_end.patch_seconds
    scores = np.concatenate([block.scores for block in blocks])
    return Track(seconds=clip.seconds, truth=truth, starts=starts, scores=scores, perfect=perfect)


def with_value(way: Way, name: str, value: float) -> Way:
    """The way with one number changed."""
    values: dict[str, Any] = {**vars(way), name: value}
    return Way(**values)


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
    scores = track.perfect + np.float32(1e-6) if is_perfect else track.scores
    events = finder.push(track.starts, scores)
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
        f"{hop_seconds:4.2f} s  {name:36s}  {quality.f1:.3f}  {quality.precision:.3f}     {quality.recall:.3f}  "
        f"{errors}  {chosen}",
        flush=True,
    )


if __name__ == "__main__":
    main()
