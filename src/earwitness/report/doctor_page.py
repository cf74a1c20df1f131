"""The page of an inspection: what is wrong with a corpus, to hear and to look at.

One offline HTML file (see `html`). It carries the sounds of some suspects of every kind, so its size is bounded
whatever the corpus: see the constants below. Its text stands in `templates/doctor.html` and in `doctor_words`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from earwitness.audio.source import ByteRange
from earwitness.doctor.findings import (
    KINDS,
    CorpusReport,
    DuplicateClip,
    DuplicateGroup,
    Finding,
    KindCount,
    LabelCount,
    SourceStatistics,
)
from earwitness.front_end import FrontEnd
from earwitness.report.doctor_words import (
    ADVICE,
    TITLES,
    interval_words,
    label_words,
    num_clips_found,
    percent,
    sample_words,
    scan_words,
    share_words,
    worst_first,
)
from earwitness.report.html import write_page
from earwitness.report.snippets import SNIPPET_SECONDS, Excerpt, Snippet, make_snippets
from earwitness.report.svg_plots import Bands, Histogram, bands, common_span, histogram
from earwitness.report.words import duration

SUSPECTS_PER_KIND = 6
"""Clips of a kind, or groups of copies, that are shown with their sound."""
CLIPS_PER_GROUP = 4
"""Of a group of copies."""
MOST_SOUND_BYTES = 4 * 2**20
"""Of all sounds of the page before they become text, which makes them a third larger."""
LISTED_PER_KIND = 100
"""Further suspects of a kind, without sound."""
MOST_LABELS = 1_000
"""Rows of the label table: half of them the most frequent, half the rarest, where there are more labels."""
MOST_SOURCES = 12
"""Sources whose statistics are drawn."""
_MOST_SIDES = 8
_NO_SOUND = frozenset({"undecodable"})
_BEFORE_SECONDS = 2.0
"""A flaw is heard better with what comes before it."""


@dataclass(frozen=True)
class _Suspect:
    """A clip as it is shown."""

    clip_id: str
    place: str
    """Its file and time range."""
    detail: str
    excerpt: Excerpt | None
    side: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    """Clips of the same sound, side by side."""

    words: str
    suspects: tuple[_Suspect, ...]
    num_more: int


@dataclass(frozen=True)
class _Section:
    """A kind of flaw."""

    count: KindCount
    title: str
    meaning: str
    advice: str
    share: str
    interval: str
    """Empty where all clips were scanned."""
    groups: tuple[_Group, ...]
    num_groups: int
    num_shown_elsewhere: int
    """Groups of copies that are shown with the leaks."""
    suspects: tuple[_Suspect, ...]
    listed: tuple[_Suspect, ...]
    num_not_listed: int


@dataclass(frozen=True)
class _LabelRow:
    """A row of the table of labels."""

    count: LabelCount
    remark: str


@dataclass(frozen=True)
class _SourcePlot:
    """The statistics of a source."""

    statistics: SourceStatistics
    plot: Bands
    largest_difference: float
    """From the mean of all clips, in any band, in standard deviations of all clips there."""


def write_doctor_page(
    path: str | Path,
    report: CorpusReport,
    *,
    front_end: FrontEnd,
    keep: str | None = None,
    byte_ranges: Mapping[str, ByteRange] | None = None,
    workers: int = 1,
) -> None:
    """Write the page to `path`, whose folder must be there.

    Args:
        path: the file to write.
        report: what was found.
        front_end: how the sound became the frames whose statistics are shown.
        keep: a sentence about leaving out clips, with `code` in it; None where nothing is to be left out.
        byte_ranges: by clip id, for clips whose media are parts of files.
        workers: processes that cut the sounds of suspects out of their media.

    Raises:
        SettingsError: the page cannot be written.
    """
    teller = _Teller(report, byte_ranges or {})
    sections = [teller.section(count) for count in worst_first(report)]
    wanted = [suspect.excerpt for section in sections for suspect in _with_sound(section) if suspect.excerpt]
    snippets = make_snippets(wanted, workers=workers, most_bytes=MOST_SOUND_BYTES)
    labels = report.labels.counts
    shown = labels if len(labels) <= MOST_LABELS else (*labels[: MOST_LABELS // 2], *labels[-MOST_LABELS // 2 :])
    sides = sorted({side for count in labels for side in count.num_by_side}, key=_in_order)
    write_page(
        path,
        "doctor.html",
        values={
            "report": report,
            "name": PurePosixPath(report.source).name or report.source,
            "scan": scan_words(report),
            "sample": sample_words(report),
            "num_found": num_clips_found(report),
            "tiles": _tiles(report),
            "keep": keep,
            "sections": sections,
            "clean": [TITLES[count.kind] for count in report.counts if count.num_examined and not count.num_clips],
            "not_checked": [(TITLES[missing.kind], missing.reason) for missing in report.not_checked],
            "snippets": snippets,
            "label_words": label_words(report),
            "label_rows": [_LabelRow(count, _remark(report, count)) for count in shown],
            "num_labels_left_out": len(labels) - len(shown),
            "sides": sides if len(sides) <= _MOST_SIDES else [],
            "histograms": _histograms(report),
            "sources": _sources(report, front_end),
            "num_sources_left_out": max(0, len(report.sources) - MOST_SOURCES),
            "limits": _limits(snippets),
        },
    )


def _with_sound(section: _Section) -> Iterator[_Suspect]:
    for group in section.groups:
        yield from group.suspects
    yield from section.suspects


@dataclass(frozen=True)
class _Tile:
    value: str
    name: str


def _tiles(report: CorpusReport) -> list[_Tile]:
    found, num_leaks = num_clips_found(report), report.count("split_leak").num_clips
    return [
        _Tile(f"{report.num_scanned:,}", "clips scanned" + (f" of {report.num_clips:,}" if report.is_sample else "")),
        _Tile(duration(report.seconds_of_sound), "of sound"),
        _Tile(percent(found / report.num_scanned) if report.num_scanned else "–", "of the clips have a finding"),
        *([] if report.split_column is None else [_Tile(f"{num_leaks:,}", "clips leak over the split")]),
        _Tile(f"{len(report.labels.counts) - len(report.labels.unused):,}", "labels in use"),
    ]


class _Teller:
    """Turns findings into what is shown of them."""

    def __init__(self, report: CorpusReport, byte_ranges: Mapping[str, ByteRange]) -> None:
        self._report = report
        self._byte_ranges = byte_ranges
        self._names = {count.label_id: count.name for count in report.labels.counts}

    def section(self, count: KindCount) -> _Section:
        report = self._report
        findings = [finding for finding in report.findings if finding.kind == count.kind]
        groups: list[DuplicateGroup] = []
        if count.kind in ("duplicate", "split_leak"):
            # a group is shown once: with the leaks where it leaks
            groups = [group for group in report.duplicates if group.leaks == (count.kind == "split_leak")]
            in_any_group = {clip.clip_id for group in report.duplicates for clip in group.clips}
            findings = [finding for finding in findings if finding.clip_id not in in_any_group]
        num_shown = SUSPECTS_PER_KIND - min(len(groups), SUSPECTS_PER_KIND)
        listed = findings[num_shown : num_shown + LISTED_PER_KIND]
        return _Section(
            count=count,
            title=TITLES[count.kind],
            meaning=KINDS[count.kind],
            advice=ADVICE[count.kind],
            share=share_words(report, count),
            interval=interval_words(count, is_sample=report.is_sample),
            groups=tuple(self._group(group) for group in groups[:SUSPECTS_PER_KIND]),
            num_groups=len(groups),
            num_shown_elsewhere=sum(group.leaks for group in report.duplicates) if count.kind == "duplicate" else 0,
            suspects=tuple(self._suspect(finding) for finding in findings[:num_shown]),
            listed=tuple(self._suspect(finding) for finding in listed),
            num_not_listed=max(0, len(findings) - num_shown - len(listed)),
        )

    def _group(self, group: DuplicateGroup) -> _Group:
        begins = _begins(group)
        shown = group.clips[:CLIPS_PER_GROUP]
        latest = max(begins[clip.clip_id] for clip in shown)
        return _Group(
            words=_group_words(group),
            suspects=tuple(self._copy(clip, begin=latest - begins[clip.clip_id]) for clip in shown),
            num_more=len(group.clips) - len(shown),
        )

    def _suspect(self, finding: Finding) -> _Suspect:
        begin = max(0.0, (finding.at_seconds or 0.0) - _BEFORE_SECONDS)
        return _Suspect(
            clip_id=finding.clip_id,
            place=self._place(finding),
            detail=finding.detail,
            excerpt=None if finding.kind in _NO_SOUND else self._excerpt(finding, begin),
            labels=self._named(finding.labels),
        )

    def _copy(self, clip: DuplicateClip, *, begin: float) -> _Suspect:
        return _Suspect(
            clip_id=clip.clip_id,
            place=self._place(clip),
            detail="",
            excerpt=self._excerpt(clip, begin),
            side=clip.side,
            labels=self._named(clip.labels),
        )

    def _named(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._names.get(label, label) for label in labels)

    def _excerpt(self, clip: Finding | DuplicateClip, begin: float) -> Excerpt:
        """From `begin`, in seconds from the clip's beginning."""
        start, stop = clip.start_seconds or 0.0, clip.stop_seconds
        if stop is not None:
            begin = min(begin, max(0.0, stop - start - SNIPPET_SECONDS / 2))
        media = self._byte_ranges.get(clip.clip_id, clip.media)
        return Excerpt(media=media, start_seconds=start + begin, stop_seconds=stop)

    def _place(self, clip: Finding | DuplicateClip) -> str:
        """The file, and which part of it where the clip is a part."""
        place = clip.media
        if part := self._byte_ranges.get(clip.clip_id):
            place += f", bytes {part.offset_bytes} to {part.offset_bytes + part.num_bytes}"
        if clip.start_seconds is not None or clip.stop_seconds is not None:
            stop = "the end" if clip.stop_seconds is None else f"{clip.stop_seconds:g} s"
            place += f", {clip.start_seconds or 0:g} s to {stop}"
        return place


def _begins(group: DuplicateGroup) -> dict[str, float]:
    """When each clip of a group begins, on the clock of its first: so that players play the same moment."""
    later: dict[str, list[tuple[str, float]]] = {clip.clip_id: [] for clip in group.clips}
    for pair in group.pairs:
        later[pair.first].append((pair.second, pair.shift_seconds))
        later[pair.second].append((pair.first, -pair.shift_seconds))
    reached = [group.clips[0].clip_id]
    begins = {reached[0]: 0.0}
    for clip_id in reached:  # grows as it goes
        for other, shift in later[clip_id]:
            if other not in begins:
                begins[other] = begins[clip_id] + shift
                reached.append(other)
    return {clip.clip_id: begins.get(clip.clip_id, 0.0) for clip in group.clips}


def _group_words(group: DuplicateGroup) -> str:
    words = f"{len(group.clips):,} clips"
    if group.pairs:
        shared = min(pair.shared_seconds for pair in group.pairs)
        differing = max(pair.bit_error_rate for pair in group.pairs)
        words += f" share {duration(shared)} of sound; {percent(differing)} of their fingerprints differ"
        shifts = {round(abs(pair.shift_seconds), 2) for pair in group.pairs} - {0.0}
        if len(group.pairs) == 1 and shifts:
            words += f"; one begins {shifts.pop():g} s into the other"
    if group.has_other_labels:
        words += "; their labels differ"
    return words + "."


def _remark(report: CorpusReport, count: LabelCount) -> str:
    labels = report.labels
    if count.label_id in labels.unused:
        return "no clip"
    remarks = []
    if count.label_id in labels.unknown:
        remarks.append("not in the label set")
    if count.label_id in labels.too_few:
        remarks.append("too few")
    lacking = [side for side, missing in labels.missing_on_a_side.items() if count.label_id in missing]
    if lacking:
        remarks.append(f"none with {report.split_column} {', '.join(lacking)}")
    return "; ".join(remarks)


def _histograms(report: CorpusReport) -> list[Histogram]:
    return [histogram(distribution) for distribution in report.distributions if sum(distribution.counts)]


def _sources(report: CorpusReport, front_end: FrontEnd) -> list[_SourcePlot]:
    shown = [source for source in report.sources if source.num_frames][:MOST_SOURCES]
    if not report.whole.num_frames:
        return []
    shown = shown or [report.whole]
    span = common_span([report.whole, *shown])
    return [
        _SourcePlot(
            statistics=source,
            plot=bands(source, report.whole, front_end=front_end, span=span),
            largest_difference=_largest_difference(source, report.whole),
        )
        for source in shown
    ]


def _largest_difference(source: SourceStatistics, whole: SourceStatistics) -> float:
    by_band = zip(source.mean, whole.mean, whole.standard_deviation, strict=True)
    return max(abs(mine - all_) / spread if spread else 0.0 for mine, all_, spread in by_band)


def _limits(snippets: Mapping[Excerpt, Snippet]) -> str:
    megabytes = sum(len(snippet.audio.content) for snippet in snippets.values()) / 1e6
    return (
        f"Of every kind of finding, {SUSPECTS_PER_KIND} suspects at most are shown with their sound, up to "
        f"{SNIPPET_SECONDS:g} s of each as MP3 ({megabytes:.1f} MB here, {MOST_SOUND_BYTES / 1e6:.1f} MB at most), and "
        f"{LISTED_PER_KIND} more in a list; findings.csv has them all."
    )


def _in_order(side: str) -> tuple[float, str]:
    """Numbers by value, before words."""
    return (float(side), "") if side.replace(".", "", 1).isdecimal() else (float("inf"), side)
