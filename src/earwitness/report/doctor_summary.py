"""An inspection as lines for a terminal: what was scanned, findings worst first with some examples, labels."""

import textwrap
from collections import defaultdict

from earwitness.doctor.findings import CorpusReport
from earwitness.report.doctor_words import (
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
from earwitness.report.words import duration, shorten

_EXAMPLES = 2
_WIDTH = 110


def summary(report: CorpusReport) -> str:
    """The report as lines of at most 110 characters, but for names longer than that."""
    found = num_clips_found(report)
    share = percent(found / report.num_scanned) if report.num_scanned else "–"
    lines = [f"{report.source}: {scan_words(report)}, in {duration(report.seconds_taken)}"]
    lines += [
        f"{found:,} {'clip has' if found == 1 else 'clips have'} a finding ({share})" if found else "nothing found"
    ]
    if sample := sample_words(report):
        lines += ["", *_wrapped(sample)]
    lines += _kind_lines(report)
    clean = [TITLES[count.kind].lower() for count in report.counts if count.num_examined and not count.num_clips]
    not_checked = defaultdict(list)
    for missing in report.not_checked:
        not_checked[missing.reason].append(TITLES[missing.kind].lower())
    if clean or not_checked:
        lines.append("")
    if clean:
        lines += _wrapped(f"Looked for and not found: {', '.join(clean)}.")
    for reason, kinds in not_checked.items():
        lines += _wrapped(f"Not looked for: {', '.join(kinds)} ({reason}).")
    lines += ["", *(line for sentence in label_words(report) for line in _wrapped(sentence))]
    return "\n".join(lines)


def _kind_lines(report: CorpusReport) -> list[str]:
    lines = []
    for count in worst_first(report):
        findings = [finding for finding in report.findings if finding.kind == count.kind]
        clips = f"{count.num_clips:,} {'clip' if count.num_clips == 1 else 'clips'}"
        interval = interval_words(count, is_sample=report.is_sample)
        lines += [
            "",
            f"{TITLES[count.kind]}: {clips}, {share_words(report, count)}" + (f" ({interval})" if interval else ""),
        ]
        for finding in findings[:_EXAMPLES]:
            detail = finding.detail.removesuffix(f": '{finding.media}'").replace(f"{finding.media}: ", "")
            lines.append(f"    {finding.clip_id}: {shorten(detail, length=_WIDTH)}")
        if len(findings) > _EXAMPLES:
            lines.append(f"    and {len(findings) - _EXAMPLES:,} more")
    return lines


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, _WIDTH, break_long_words=False, break_on_hyphens=False)
