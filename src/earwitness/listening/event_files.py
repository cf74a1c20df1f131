"""Events of one file, written down for other programs, in the format of the suffix.

.json   all that is known of the file and its events
.csv    a row an event: media, start_seconds, stop_seconds, label_id, label_name, peak_score
.txt    labels for Audacity (File, Import, Labels): start, end and label, with tabs between
.vtt    WebVTT captions; .srt: SRT captions; see `captions`
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.listening.captions import srt, webvtt
from earwitness.listening.results import HeardEvents

SCHEMA_VERSION = 2
"""Of the JSON."""


def write_events(heard: HeardEvents, path: Path) -> None:
    """Write the events in the format of the suffix.

    Raises:
        SettingsError: there is no such format, or the file cannot be written.
    """
    text = FORMATS[require_format(path)](heard)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            # names of files need not be UTF-8; they are written as the bytes they are
            file.write(text.encode("utf-8", errors="surrogateescape"))
    except OSError as error:
        raise SettingsError(f"{path}: the events cannot be written ({error.strerror or error})") from error


def require_format(path: Path) -> str:
    """The format by its suffix, without the dot.

    Raises:
        SettingsError: there is no such format.
    """
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        raise SettingsError(f"{path}: events are written as {', '.join(f'.{name}' for name in FORMATS)}, by the suffix")
    return name


def _clip(heard: HeardEvents) -> dict[str, Any]:
    if heard.clip_id is None:
        return {}
    return {
        "clip_id": heard.clip_id,
        "start_seconds": heard.clip_start_seconds,
        "stop_seconds": heard.clip_stop_seconds,
    }


def events_as_json(heard: HeardEvents) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "media": heard.media,
        **_clip(heard),
        "status": "ok",
        "seconds": round(heard.seconds, 3),
        "scored_seconds": round(heard.scored_seconds, 3),
        "num_patches": heard.num_patches,
        "patch_seconds": round(heard.patch_seconds, 6),
        "hop_seconds": round(heard.hop_seconds, 6),
        "is_padded": heard.is_padded,
        "is_calibrated": heard.is_calibrated,
        "has_own_thresholds": heard.has_own_thresholds,
        "warnings": list(heard.warnings),
        "events": [
            {
                "label_id": event.label_id,
                "label_name": event.label_name,
                "start_seconds": round(event.start_seconds, 3),
                "stop_seconds": round(event.stop_seconds, 3),
                "peak_score": event.peak_score,
            }
            for event in heard.events
        ],
    }


def _json(heard: HeardEvents) -> str:
    return json.dumps(events_as_json(heard), indent=2, ensure_ascii=False) + "\n"


def _csv(heard: HeardEvents) -> str:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["media", "start_seconds", "stop_seconds", "label_id", "label_name", "peak_score"])
    for event in heard.events:
        span = (f"{event.start_seconds:.3f}", f"{event.stop_seconds:.3f}")
        rows.writerow([heard.media, *span, event.label_id, event.label_name, f"{event.peak_score:.7g}"])
    return text.getvalue()


def _audacity(heard: HeardEvents) -> str:
    return "".join(
        f"{event.start_seconds:.6f}\t{event.stop_seconds:.6f}\t{' '.join(event.label_name.split())}\n"
        for event in heard.events
    )


FORMATS: dict[str, Callable[[HeardEvents], str]] = {
    "json": _json,
    "csv": _csv,
    "txt": _audacity,
    "vtt": lambda heard: webvtt(heard.events),
    "srt": lambda heard: srt(heard.events),
}
