"""One inspection: takes in what was measured of clips, in any order, and puts the report together at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import pyarrow as pa

from earwitness.doctor.clips import ClipMeasures
from earwitness.doctor.copies import CopyFinder, Match, groups
from earwitness.doctor.findings import (
    KINDS,
    MOST_RELATED,
    CorpusReport,
    DuplicateClip,
    DuplicateGroup,
    DuplicatePair,
    Finding,
    KindCount,
    NotChecked,
)
from earwitness.doctor.fingerprints import NO_FINGERPRINT, SPAN_SECONDS, STEP_SECONDS
from earwitness.doctor.judging import UNSEEN_IN_FRAMES, Verdict, dbfs, is_silent, is_silent_in_frames, judge
from earwitness.doctor.label_statistics import label_report
from earwitness.doctor.settings import InspectSettings
from earwitness.doctor.sides import leaks_by_name, media_folder, source_column, split_column, text_of, texts
from earwitness.doctor.tallies import DISTRIBUTIONS, SourceTally, distribution, interval
from earwitness.labels import LabelSet
from earwitness.parallel import Failure


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What is inspected."""

    name: str
    is_store: bool
    manifest_digest: str | None
    fingerprint: str | None
    table: pa.Table
    """A row for each clip that can be scanned, in order, with all columns of the manifest."""
    failures: tuple[Finding, ...] = ()
    """Clips that a store does not hold; they are no rows of the table."""
    label_set: LabelSet | None = None


Key = TypeVar("Key")
Value = TypeVar("Value")

SEEN_WITHOUT_SOUND = ("undecodable", "split_leak", "unlabelled")

MIN_COPY_SECONDS = 1.0
"""Shorter sounds are copies only where all their frames are equal: in fingerprints, which look at 0.6 s at once, any
two of one colour are alike, as they begin, end, and are filled up with silence."""

_Copies = Sequence[tuple[Sequence[int], Sequence[Match]]]
"""Groups of clips of the same sound, and what joins them."""


class Inspection:
    """Collects measures and failures of the clips of one corpus.

    Raises:
        ManifestError: a column that the settings name is not there.
    """

    def __init__(self, corpus: Corpus, settings: InspectSettings, *, num_bands: int) -> None:
        self.num_scanned = self.num_with_findings = self._num_heard = self._num_of_two_channels = 0
        self.seconds_of_sound = 0.0
        self._corpus = corpus
        self._settings = settings
        self._table = corpus.table.combine_chunks()
        num_rows = self._table.num_rows
        self._split_column = split_column(self._table, settings)
        self._source_column = source_column(self._table, settings, self._split_column)
        self._sides = texts(self._table, self._split_column) if self._split_column else [None] * num_rows
        self._verdicts: list[tuple[int, Verdict]] = []
        self._tally = SourceTally(num_bands)
        self._copies = CopyFinder()
        self._values: dict[str, list[float]] = {name: [] for name in DISTRIBUTIONS}

    def add(self, clip: ClipMeasures) -> None:
        """Take in a clip."""
        verdicts = judge(clip, self._settings)
        self._verdicts += [(clip.row, verdict) for verdict in verdicts]
        self._tally.add(self._source(clip.row), clip.frames)
        if not (is_silent(clip, self._settings) or is_silent_in_frames(clip, self._settings)):
            is_long = not clip.is_padded and clip.seconds >= MIN_COPY_SECONDS
            self._copies.add(
                clip.row, clip.frames.fingerprint if is_long else NO_FINGERPRINT, digest=clip.frames.digest
            )
        sound = clip.sound
        self._num_heard += 1
        self._num_of_two_channels += sound is not None and sound.num_channels == 2
        self._values["length"].append(clip.seconds)
        self._values["level"].append(dbfs(sound.power if sound is not None else clip.frames.power))
        if clip.upper_hz is not None:
            self._values["band_edge"].append(clip.upper_hz)
        if sound is not None:
            self._values["clipped_share"].append(sound.clipping.flat_share if sound.clipping.is_clipped else 0.0)
        self.num_scanned += 1
        self.num_with_findings += bool(verdicts)
        self.seconds_of_sound += clip.seconds

    def fail(self, row: int, failure: Failure) -> None:
        """Take in a clip that gave no sound."""
        self._verdicts.append((row, Verdict(kind="undecodable", detail=f"{failure.kind}: {failure.message}")))
        self.num_scanned += 1
        self.num_with_findings += 1

    def report(self, *, is_sample: bool, seconds_taken: float) -> CorpusReport:
        """All that was found."""
        corpus, settings = self._corpus, self._settings
        copies = groups(self._copies.matches())
        duplicates = [self._group(clips, matches) for clips, matches in copies]
        findings = self._findings(copies)
        return CorpusReport(
            source=corpus.name,
            scanned="store" if corpus.is_store else "manifest",
            manifest_digest=corpus.manifest_digest,
            fingerprint=corpus.fingerprint,
            num_clips=self._table.num_rows + len(corpus.failures),
            num_scanned=self.num_scanned + (0 if is_sample else len(corpus.failures)),
            seed=settings.seed if is_sample else None,
            seconds_of_sound=self.seconds_of_sound,
            seconds_taken=seconds_taken,
            split_column=self._split_column,
            source_column=self._source_column,
            counts=tuple(self._count(kind, findings, is_sample=is_sample) for kind in KINDS),
            not_checked=self._not_checked(),
            findings=tuple(findings),
            duplicates=tuple(duplicates),
            labels=label_report(
                self._table["labels"],
                self._sides,
                label_set=corpus.label_set,
                min_clips=settings.min_clips_per_label,
            ),
            whole=self._tally.whole(),
            sources=tuple(self._tally.sources()),
            distributions=tuple(
                distribution(name, np.array(values))
                for name, values in self._values.items()
                if not (corpus.is_store and name == "clipped_share")
            ),
        )

    def _source(self, row: int) -> str:
        if self._source_column is None:
            return media_folder(self._cell("media", row))
        return text_of(self._cell(self._source_column, row)) or ""

    def _findings(self, copies: _Copies) -> list[Finding]:
        """By kind, then in the order of the corpus."""
        lengths = self._table["labels"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
        rows: list[tuple[int, Verdict, tuple[str, ...]]] = [(row, verdict, ()) for row, verdict in self._verdicts]
        rows += [(int(row), Verdict(kind="unlabelled", detail="no label"), ()) for row in np.flatnonzero(lengths == 0)]
        rows += self._copies_found(copies)
        order = {kind: number for number, kind in enumerate(KINDS)}
        rows.sort(key=lambda entry: (order[entry[1].kind], entry[0]))
        found = [self._finding(row, verdict, related) for row, verdict, related in rows]
        undecodable = sum(finding.kind == "undecodable" for finding in found)
        return [*found[:undecodable], *self._corpus.failures, *found[undecodable:]]

    def _copies_found(self, copies: _Copies) -> list[tuple[int, Verdict, tuple[str, ...]]]:
        """Copies, and what is on several sides."""
        leaks = leaks_by_name(self._table, self._sides) if self._split_column else {}
        rows: list[tuple[int, Verdict, tuple[str, ...]]] = []
        for clips, matches in copies:
            best: dict[int, tuple[Match, int]] = {}
            for match in matches:
                for clip, other in ((match.first, match.second), (match.second, match.first)):
                    if clip not in best or match.error_rate < best[clip][0].error_rate:
                        best[clip] = match, other
            ids = {clip: self._cell("clip_id", clip) for clip in clips}
            first_of_side: dict[str, int] = {}
            for clip in clips:
                if (side := self._sides[clip]) is not None:
                    first_of_side.setdefault(side, clip)
            for clip in clips:
                match, other = best[clip]
                rows.append((clip, _copy_verdict(match, clip, ids[other]), _first_but(ids, clip)))
                if len(first_of_side) > 1 and (side := self._sides[clip]) is not None:
                    far = _first_but(first_of_side, side)
                    words = f"the same sound is on {side!r} here and on {self._sides[far[0]]!r} as {ids[far[0]]}"
                    verdict = Verdict(kind="split_leak", detail=words)
                    rows.append((clip, verdict, tuple(ids[number] for number in far)))
                    leaks.pop(clip, None)
        for row, (words, others) in leaks.items():
            related = tuple(self._cell("clip_id", other) for other in others)
            rows.append((row, Verdict(kind="split_leak", detail=words), related))
        return rows

    def _group(self, clips: Sequence[int], matches: Sequence[Match]) -> DuplicateGroup:
        members = [
            DuplicateClip(
                clip_id=self._cell("clip_id", clip),
                media=self._cell("media", clip),
                start_seconds=self._cell("start_seconds", clip),
                stop_seconds=self._cell("stop_seconds", clip),
                side=self._sides[clip],
                labels=tuple(self._cell("labels", clip)),
            )
            for clip in clips
        ]
        return DuplicateGroup(
            clips=tuple(members),
            pairs=tuple(
                DuplicatePair(
                    first=self._cell("clip_id", match.first),
                    second=self._cell("clip_id", match.second),
                    bit_error_rate=match.error_rate,
                    shift_seconds=match.shift_steps * STEP_SECONDS,
                    shared_seconds=_shared_seconds(match),
                )
                for match in matches
            ),
            has_other_labels=len({frozenset(member.labels) for member in members}) > 1,
            leaks=len({member.side for member in members} - {None}) > 1,
        )

    def _count(self, kind: str, findings: Sequence[Finding], *, is_sample: bool) -> KindCount:
        num_clips = sum(finding.kind == kind for finding in findings)
        total = self._table.num_rows + len(self._corpus.failures)
        if kind == "unlabelled":
            examined, is_whole = self._table.num_rows, True
        elif kind == "split_leak":
            examined, is_whole = self._table.num_rows, not is_sample
        elif kind == "undecodable" and self._corpus.is_store:
            examined, is_whole = total, True
        else:
            examined = self.num_scanned
            is_whole = not is_sample
        if any(skipped.kind == kind for skipped in self._not_checked()):
            examined = 0
        if not examined:
            return KindCount(kind=kind, num_clips=num_clips, num_examined=0, share=None, low=None, high=None)
        share = num_clips / examined
        low: float | None
        high: float | None
        if is_whole:
            low = high = share
        elif kind in ("duplicate", "split_leak"):  # of two copies, a sample of a tenth holds both once in a hundred
            low = high = None
        else:
            low, high = interval(num_clips, examined)
        return KindCount(kind=kind, num_clips=num_clips, num_examined=examined, share=share, low=low, high=high)

    def _not_checked(self) -> tuple[NotChecked, ...]:
        skipped = []
        if self._corpus.is_store:
            reason = "frames do not show it; inspect the manifest"
            skipped += [NotChecked(kind=kind, reason=reason) for kind in UNSEEN_IN_FRAMES]
        elif not self._num_heard:
            reason = "no clip gave sound"
            skipped += [NotChecked(kind=kind, reason=reason) for kind in KINDS if kind not in SEEN_WITHOUT_SOUND]
        elif not self._num_of_two_channels:
            reason = "no clip has two channels"
            skipped += [NotChecked(kind=kind, reason=reason) for kind in ("dead_channel", "cancelling_channels")]
        if self._split_column is None:
            skipped.append(
                NotChecked(kind="split_leak", reason="there is no column split or fold; --split-column names one")
            )
        return tuple(skipped)

    def _finding(self, row: int, verdict: Verdict, related: tuple[str, ...]) -> Finding:
        return Finding(
            kind=verdict.kind,
            clip_id=self._cell("clip_id", row),
            media=self._cell("media", row),
            start_seconds=self._cell("start_seconds", row),
            stop_seconds=self._cell("stop_seconds", row),
            detail=verdict.detail,
            value=verdict.value,
            at_seconds=verdict.at_seconds,
            labels=tuple(self._cell("labels", row)),
            related=related,
        )

    def _cell(self, column: str, row: int):  # type: ignore[no-untyped-def]  # whatever the column holds
        return self._table[column][row].as_py()


def _first_but(values: Mapping[Key, Value], own: Key) -> tuple[Value, ...]:
    """The first values, but for that of one's own key; `MOST_RELATED` at most."""
    return tuple(islice((value for key, value in values.items() if key != own), MOST_RELATED))


def _copy_verdict(match: Match, clip: int, other_id: str) -> Verdict:
    shift = match.shift_steps * STEP_SECONDS * (1 if clip == match.second else -1)
    if not match.error_rate and not match.shift_steps:
        words = f"its frames are those of {other_id}"
    else:
        place = f", {abs(shift):.2f} s {'later' if shift > 0 else 'earlier'}" if match.shift_steps else ""
        words = (
            f"the same sound as {other_id}{place}: {_shared_seconds(match):.1f} s, "
            f"in which {match.error_rate:.0%} of the fingerprint differ"
        )
    return Verdict(kind="duplicate", detail=words, value=match.error_rate, at_seconds=max(0.0, -shift))


def _shared_seconds(match: Match) -> float:
    return match.shared_steps * STEP_SECONDS + SPAN_SECONDS
