"""What the data doctor finds, in words: the same in the terminal, on the page and in the files.

Kinds are shown worst first: a leak makes every figure a lie, a copy wastes work and distorts priors, a clip without
sound teaches nothing; what comes after may well be what the corpus is about.
"""

import math

from earwitness.doctor.findings import KINDS, CorpusReport, KindCount
from earwitness.report.words import duration

TITLES = {
    "split_leak": "Leaks over the split",
    "duplicate": "Copies",
    "undecodable": "Undecodable",
    "partly_decoded": "Partly decoded",
    "truncated": "Truncated",
    "very_short": "Very short",
    "silent": "Silent",
    "mostly_silent": "Mostly silent",
    "clipped": "Clipped",
    "band_limited": "Band-limited",
    "constant_offset": "Constant offset",
    "dead_channel": "Dead channel",
    "cancelling_channels": "Cancelling channels",
    "unlabelled": "Unlabelled",
}
"""Of the kinds, worst first."""

ADVICE = {
    "split_leak": "Whatever is measured on the far side is too good. Put all copies, and all clips of one recording, "
    "on one side: give them one `group` and deal the folds again, or drop the copies.",
    "duplicate": "Drop all but one, unless they differ on purpose. Copies with different labels tell how reliable "
    "the labels are.",
    "undecodable": "`prepare` lists these as failures and goes on without them. Download them again, or drop them.",
    "partly_decoded": "What could be decoded is used. Listen to where the complaint is; download again what is broken.",
    "truncated": "What is there is used. A broken download is the usual cause: compare sizes, download again.",
    "very_short": "They are filled up with silence to one patch of 0.96 s, which the network then learns, too. Join "
    "them with their neighbours, or drop them if they are many.",
    "silent": "Nothing can be learnt from them but that their labels may mean silence. Drop them.",
    "mostly_silent": "Every patch carries the clip's labels, the silent ones, too. Cut the clips to where something "
    "sounds (start_seconds, stop_seconds), if they are many.",
    "clipped": "The sound is still the sound: keep them, unless the clips to be tagged later are never so loud, or "
    "one label has most of them.",
    "band_limited": "A network may learn the band instead of the sound where one label, or one side of the split, has "
    "most of them. Look at who has them before dropping any.",
    "constant_offset": "The front end does not hear it below 125 Hz; it tells of a faulty recorder.",
    "dead_channel": "The mean of the channels is what is heard, so these are 6 dB too quiet. Harmless, unless one "
    "label has most of them.",
    "cancelling_channels": "The mean of the channels, which is what is heard, is nearly empty. Make mono files of one "
    "channel, or drop them.",
    "unlabelled": "They count as clips in which no label sounds. If that is not meant, drop them with "
    "`--where 'len(labels) > 0'`.",
}
"""What to do about each kind."""

assert TITLES.keys() == ADVICE.keys() == KINDS.keys()


def worst_first(report: CorpusReport, *, found_only: bool = True) -> list[KindCount]:
    """The counts of the kinds in the order in which they are shown."""
    counts = (report.count(kind) for kind in TITLES)
    return [count for count in counts if count.num_clips or not found_only]


def num_clips_found(report: CorpusReport) -> int:
    """Scanned clips with one finding or more. Of a sample, what was found over all clips, by their labels and names
    alone, does not count: most of those were not scanned.
    """
    kinds = {count.kind for count in report.counts if not report.is_sample or count.num_examined == report.num_scanned}
    return len({finding.clip_id for finding in report.findings if finding.kind in kinds})


def percent(share: float | None) -> str:
    """A share as people read it: `14.2 %`, `0.03 %`, `–` where there is none."""
    if share is None or math.isnan(share):
        return "–"
    value = 100 * share
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    digits = 1 if value >= 1 else min(6, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f} %"


def interval_words(count: KindCount, *, is_sample: bool) -> str:
    """The range of a share where only a sample was scanned: `9.1 % to 21 %`; empty where the share is exact."""
    if not is_sample or count.low is None or count.high is None or count.low == count.high:
        return ""
    return f"{percent(count.low)} to {percent(count.high)}"


def share_words(report: CorpusReport, count: KindCount) -> str:
    """A share with what it is of, where a store holds fewer clips than its manifest: `33.3 % of 3 rows`."""
    share = percent(count.share)
    if report.scanned != "store" or not report.count("undecodable").num_clips or not count.num_examined:
        return share
    return f"{share} of {count.num_examined:,} {'rows' if count.kind == 'undecodable' else 'stored'}"


def scan_words(report: CorpusReport) -> str:
    """What was looked at: `all 400 clips, 33 min 20 s of sound`."""
    sound = f"{duration(report.seconds_of_sound)} of sound"
    num_failed = report.count("undecodable").num_clips
    if report.scanned == "store" and num_failed and not report.is_sample:
        num_stored = report.num_clips - num_failed
        return f"{num_stored:,} stored of {report.num_clips:,} clips ({num_failed:,} gave no sound), {sound}"
    if not report.is_sample:
        return f"all {report.num_clips:,} clips, {sound}"
    return f"{report.num_scanned:,} of {report.num_clips:,} clips, drawn at random (seed {report.seed}), {sound}"


def sample_words(report: CorpusReport) -> str | None:
    """How far the figures of a sample can be trusted; None where all clips were scanned."""
    if not report.is_sample:
        return None
    return (
        "Only a sample was scanned. Shares are those of the sample, beside each the range that holds the share of the "
        "whole corpus with a confidence of 95 %. Of copies and leaks a sample shows fewer than there are, since both "
        "clips must be in it. Labels are counted over all clips."
    )


def label_words(report: CorpusReport) -> list[str]:
    """What is to be said of the labels, a sentence each; the first one always."""
    labels = report.labels
    used = [count.num_clips for count in labels.counts if count.num_clips]
    spread = ""
    if used:
        spread = (
            f", on {used[-1]:,} to {used[0]:,} clips each"
            if used[-1] < used[0]
            else f", on {used[0]:,} {'clip' if used[0] == 1 else 'clips'} each"
        )
    in_use = "1 label is" if len(used) == 1 else f"{len(used):,} labels are"
    words = [f"{in_use} in use{spread}; {labels.labels_per_clip:.2f} labels a clip."]
    if labels.unknown:
        words.append(f"{_listed(labels.unknown)} {_is(labels.unknown)} given to clips, but not in the label set.")
    if labels.unused:
        words.append(f"No clip carries {_listed(labels.unused)} of the label set.")
    if labels.too_few:
        words.append(f"On too few clips to learn from: {_listed(labels.too_few)}.")
    for side, missing in labels.missing_on_a_side.items():
        if missing:
            words.append(f"No clip with {report.split_column} {side} carries {_listed(missing)}.")
    return words


def _listed(ids: tuple[str, ...], most: int = 6) -> str:
    between = "; " if any("," in label for label in ids[:most]) else ", "
    return between.join(ids[:most]) + (f" and {len(ids) - most:,} more" if len(ids) > most else "")


def _is(ids: tuple[str, ...]) -> str:
    return "is" if len(ids) == 1 else "are"
