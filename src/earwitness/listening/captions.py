"""Events as captions that video players show: WebVTT and SRT.

    [rain]
    [dog barking]

Whatever sounds together stands in one caption, a line a label, so that no player has to stack captions: many show only
one of those that overlap. The label that began first stays at the bottom, new ones come above it. Where more labels
sound than there are lines, those with the highest peaks are shown. A label is made to last `LEAST_SECONDS` at least:
shown shorter it cannot be read.

Nor can a caption that stays for the blink of an eye: of changes that follow one another within `LEAST_CAPTION_SECONDS`
only the first is a change on the screen, and the caption is what sounds after the last of them. So labels appear up to
that much early, and vanish up to that much early, but never late, and every label is shown.

In WebVTT the signs & < > are written as it demands. SRT knows no such way, and players take < and { for the beginning
of formatting: signs that look alike stand in their place.

References: W3C, WebVTT: The Web Video Text Tracks Format. SRT has no standard; this is what players agree on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from earwitness.listening.results import HeardEvent

LEAST_SECONDS = 1.0
"""Of an event on the screen."""

LEAST_CAPTION_SECONDS = 0.5
"""Of a caption on the screen."""

MOST_LINES = 3
"""Of a caption; more would cover the picture."""

_WEBVTT_SIGNS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_SRT_SIGNS = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")"})


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Lines shown over [start_ms, stop_ms)."""

    start_ms: int
    stop_ms: int
    lines: tuple[str, ...]
    """From above."""


def captions(events: Sequence[HeardEvent], *, most_lines: int = MOST_LINES) -> list[Caption]:
    """What is shown when: captions that do not overlap, in order, none shorter than `LEAST_CAPTION_SECONDS`.

    Args:
        events: of one file, in any order.
        most_lines: of a caption.
    """
    spans = _shown(events)
    changes = _changes({time for start, stop, _ in spans for time in (start, stop)})
    by_start = sorted(spans, key=lambda span: (span[0], span[2].label_name))
    found: list[Caption] = []
    sounding: list[tuple[int, int, HeardEvent]] = []
    position = 0
    for (start, settled), (stop, _) in pairwise(changes):
        while position < len(by_start) and by_start[position][0] <= settled:
            sounding.append(by_start[position])
            position += 1
        sounding = [span for span in sounding if span[1] > settled]
        best = sorted(sounding, key=lambda span: -span[2].peak_score)[:most_lines]
        shown = [span for span in reversed(sounding) if span in best]
        lines = tuple(dict.fromkeys(f"[{_one_line(event.label_name or event.label_id)}]" for _, _, event in shown))
        if found and found[-1].stop_ms == start and found[-1].lines == lines:
            start = found.pop().start_ms
        if lines:
            found.append(Caption(start_ms=start, stop_ms=stop, lines=lines))
    return found


def webvtt(events: Sequence[HeardEvent], *, most_lines: int = MOST_LINES) -> str:
    """A WebVTT file."""
    cues = [
        f"{_clock(caption.start_ms, '.')} --> {_clock(caption.stop_ms, '.')}\n"
        + "\n".join(line.translate(_WEBVTT_SIGNS) for line in caption.lines)
        for caption in captions(events, most_lines=most_lines)
    ]
    return "\n\n".join(["WEBVTT", *cues]) + "\n"


def srt(events: Sequence[HeardEvent], *, most_lines: int = MOST_LINES) -> str:
    """An SRT file."""
    cues = [
        f"{number}\n{_clock(caption.start_ms, ',')} --> {_clock(caption.stop_ms, ',')}\n"
        + "\n".join(line.translate(_SRT_SIGNS) for line in caption.lines)
        for number, caption in enumerate(captions(events, most_lines=most_lines), start=1)
    ]
    return "\n\n".join(cues) + "\n" if cues else ""


def _shown(events: Sequence[HeardEvent]) -> list[tuple[int, int, HeardEvent]]:
    """Start, stop in whole milliseconds, event; none shorter than `LEAST_SECONDS`, none over the next of its label."""
    next_start: dict[str, int] = {}
    spans = []
    for event in sorted(events, key=lambda event: event.start_seconds, reverse=True):
        start, stop = round(event.start_seconds * 1000), round(event.stop_seconds * 1000)
        stop = max(stop, start + round(LEAST_SECONDS * 1000))
        stop = min(stop, next_start.get(event.label_id, stop))
        next_start[event.label_id] = start
        if stop > start:
            spans.append((start, stop, event))
    return spans


def _changes(times: set[int]) -> list[tuple[int, int]]:
    """Times that follow one another within `LEAST_CAPTION_SECONDS`, counted from the first: the first and the last."""
    changes: list[tuple[int, int]] = []
    for time in sorted(times):
        if changes and time - changes[-1][0] < LEAST_CAPTION_SECONDS * 1000:
            changes[-1] = changes[-1][0], time
        else:
            changes.append((time, time))
    return changes


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{rest:03d}"
