"""What an inspection of a corpus finds, as plain frozen values: for the summary, the JSON and the page.

A *finding* is one flaw of one clip. Kinds are counted by clip: the share of a kind is that of the clips that were
examined for it. Where only a sample of the clips was scanned, a share comes with the 95 % interval of Clopper and
Pearson; where all were, the interval is the share itself.

Times are in seconds, levels in dB relative to full scale (a square wave of full scale is 0 dBFS), ranges half-open.
"""

from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1
"""Of `CorpusReport.to_json`."""

KINDS = {
    "undecodable": "gives no sound at all",
    "partly_decoded": "the decoder complained, or left something out",
    "truncated": "ends before its header, or the table, says; or, if it is Ogg, without the mark of its end",
    "very_short": "shorter than the doctor's least length",
    "silent": "silence from beginning to end",
    "mostly_silent": "silence in most of its length",
    "clipped": "peaks are cut off flat",
    "band_limited": "next to nothing above a sharp edge that lies within what networks see: recorded or stored at a "
    "lower rate",
    "constant_offset": "the waveform does not swing round zero",
    "dead_channel": "one channel is silent, so the mean is 6 dB too quiet",
    "cancelling_channels": "channels are out of phase, and cancel in the mean",
    "duplicate": "the same sound as another clip, perhaps encoded otherwise",
    "split_leak": "the same sound, medium or group is on several sides of a split",
    "unlabelled": "carries no label",
}
"""Every kind of finding, in the order in which they are shown, with what it means."""


MOST_RELATED = 50
"""Other clips named with a finding: where thousands are copies of one another, each would name all others."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One flaw of one clip."""

    kind: str
    """One of `KINDS`."""
    clip_id: str
    media: str
    """Path or URL, as in the manifest."""
    start_seconds: float | None
    """Where the clip begins in its media; None is the beginning."""
    stop_seconds: float | None
    """Where it ends; None is the end."""
    detail: str
    """A sentence for people."""
    value: float | None = None
    """What was measured, in the unit that `detail` names."""
    at_seconds: float | None = None
    """Where in the clip to listen, from the clip's beginning; None: anywhere."""
    labels: tuple[str, ...] = ()
    """Ids; none of a clip that a store does not hold."""
    related: tuple[str, ...] = ()
    """Ids of other clips that belong to it: other copies, or one on each other side; `MOST_RELATED` of them."""


@dataclass(frozen=True, kw_only=True)
class KindCount:
    """How many clips have one kind of flaw."""

    kind: str
    num_clips: int
    num_examined: int
    """Clips that could be judged; 0 where the kind cannot be seen in what was scanned (see `not_checked`)."""
    share: float | None
    """num_clips / num_examined; None where nothing was examined."""
    low: float | None
    """Lower end of the 95 % interval of the share in the whole corpus; None where a sample cannot tell."""
    high: float | None
    """Its upper end."""


@dataclass(frozen=True, kw_only=True)
class NotChecked:
    """A kind that could not be examined."""

    kind: str
    reason: str
    """A sentence part, such as `frames do not show it`."""


@dataclass(frozen=True, kw_only=True)
class DuplicateClip:
    """A clip of a group of equal sounds."""

    clip_id: str
    media: str
    start_seconds: float | None
    stop_seconds: float | None
    side: str | None
    """Its side of the split; None where the corpus has no such column."""
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DuplicatePair:
    """Two clips that hold the same sound."""

    first: str
    """clip_id."""
    second: str
    """clip_id."""
    bit_error_rate: float
    """Share of fingerprint bits that differ where the two lie over each other; 0.5 is chance, 0 is equal."""
    shift_seconds: float
    """Where the second begins in the first; negative where it begins earlier."""
    shared_seconds: float
    """Sound that both hold."""


@dataclass(frozen=True, kw_only=True)
class DuplicateGroup:
    """Clips that hold the same sound, each the same as at least one other of them."""

    clips: tuple[DuplicateClip, ...]
    """Two or more, in the order of the corpus."""
    pairs: tuple[DuplicatePair, ...]
    """What joins them."""
    has_other_labels: bool
    """Its clips do not all carry the same labels."""
    leaks: bool
    """Its clips are on several sides of the split."""


@dataclass(frozen=True, kw_only=True)
class LabelCount:
    """How often one label is given."""

    label_id: str
    name: str
    num_clips: int
    prior: float
    """Share of all clips that carry it."""
    num_by_side: dict[str, int]
    """Clips by side of the split; empty where the corpus has no such column."""


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """The labels of the whole corpus, scanned or not."""

    counts: tuple[LabelCount, ...]
    """Most frequent first; labels of the label set that no clip carries come last, with 0."""
    unused: tuple[str, ...]
    """Ids of the label set that no clip carries: holes."""
    unknown: tuple[str, ...]
    """Ids that clips carry and the given label set lacks."""
    too_few: tuple[str, ...]
    """Ids carried by fewer clips than the settings ask for, but by one at least."""
    missing_on_a_side: dict[str, tuple[str, ...]]
    """By side of the split: ids that some clip carries, but none of this side."""
    num_unlabelled: int
    """Clips without a label."""
    labels_per_clip: float
    """Mean over all clips."""


@dataclass(frozen=True, kw_only=True)
class SourceStatistics:
    """Log-mel statistics of the clips of one source, over all their frames that were scanned."""

    source: str
    num_clips: int
    num_frames: int
    mean: tuple[float, ...]
    """By band."""
    standard_deviation: tuple[float, ...]
    """By band."""
    total_mean: float
    """Over bands and frames."""
    total_standard_deviation: float


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A histogram over the clips that were scanned."""

    name: str
    """Of `length`, `level`, `band_edge`, `clipped_share`."""
    title: str
    """For people."""
    unit: str
    """`s`, `dBFS`, `Hz`, `share` ..."""
    edges: tuple[float, ...]
    """Ascending; bin i is [edges[i], edges[i + 1]). What lies outside is counted in the first or last bin."""
    counts: tuple[int, ...]
    """Clips by bin."""
    median: float | None
    """None where no clip has a value."""


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """What an inspection found."""

    source: str
    """The manifest or store, as it was named."""
    scanned: str
    """`manifest` (media were decoded) or `store` (frames were read)."""
    manifest_digest: str | None
    """Of every cell of the manifest."""
    fingerprint: str | None
    """Of the store: what models keep of what they were trained on. None for a manifest."""
    num_clips: int
    """Clips of the corpus."""
    num_scanned: int
    """Those looked at: all, or a sample."""
    seed: int | None
    """Of the sample; None where all were scanned."""
    seconds_of_sound: float
    """Scanned."""
    seconds_taken: float
    split_column: str | None
    """Column that says on which side of a split a clip is; None where there is none."""
    source_column: str | None
    """Column by which statistics are kept; None: by folder, or where there is only one source."""
    counts: tuple[KindCount, ...]
    """One for each of `KINDS`, in their order."""
    not_checked: tuple[NotChecked, ...]
    findings: tuple[Finding, ...]
    """By kind in the order of `KINDS`, then in the order of the corpus."""
    duplicates: tuple[DuplicateGroup, ...]
    """Largest group first."""
    labels: LabelReport
    whole: SourceStatistics
    """Over all clips that were scanned."""
    sources: tuple[SourceStatistics, ...]
    """Most clips first."""
    distributions: tuple[Distribution, ...]

    @property
    def is_sample(self) -> bool:
        """Whether only some of the clips were scanned."""
        return self.num_scanned < self.num_clips

    def count(self, kind: str) -> KindCount:
        """The count of one kind."""
        return next(count for count in self.counts if count.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, with a schema version."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}
