"""An inspection as files that people and programs read.

    report.html    the page; see `doctor_page`
    report.json    everything
    findings.csv   a row for every finding: clip_id, kind, detail, value, at_seconds, related (joined by `|`), media,
                   start_seconds, stop_seconds
    keep.sql       a condition for --where that leaves the clips out that are to be dropped; see `doctor.cleaning`

An earlier report in the folder is replaced file by file.
"""

import csv
import io
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from shlex import quote

from earwitness.audio.source import ByteRange
from earwitness.doctor.findings import CorpusReport
from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.front_end import FrontEnd
from earwitness.report.doctor_page import write_doctor_page

PAGE_FILE = "report.html"
JSON_FILE = "report.json"
FINDINGS_FILE = "findings.csv"
KEEP_FILE = "keep.sql"

_COLUMNS = ("clip_id", "kind", "detail", "value", "at_seconds", "related", "media", "start_seconds", "stop_seconds")
_LONGEST_CONDITION = 120_000
"""Bytes of an argument that a shell can hand on (Linux: 131,072)."""


def write_doctor_files(
    folder: Path,
    report: CorpusReport,
    *,
    dropped: Collection[str],
    front_end: FrontEnd,
    byte_ranges: Mapping[str, ByteRange] | None = None,
    workers: int = 1,
) -> bool:
    """Write them into a folder.

    Args:
        folder: where to; made by `make_report_folder`.
        report: what was found.
        dropped: ids of the clips that `keep.sql` leaves out.
        front_end: how the sound became the frames whose statistics are shown.
        byte_ranges: by clip id, for clips whose media are parts of files.
        workers: processes that cut the sounds of suspects out of their media.

    Returns:
        Whether `keep.sql` could be written; it cannot where it would be too long for a shell.

    Raises:
        SettingsError: the folder cannot be written.
    """
    try:
        _write(folder / JSON_FILE, json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")
        _write(folder / FINDINGS_FILE, _findings_table(report))
        condition = keep_condition(dropped)
        is_short = len(condition.encode(errors="surrogateescape")) <= _LONGEST_CONDITION
        if is_short:
            _write(folder / KEEP_FILE, condition + "\n")
        else:
            (folder / KEEP_FILE).unlink(missing_ok=True)  # that of an earlier report would be wrong
    except OSError as error:
        raise SettingsError(f"{folder}: the report cannot be written ({error.strerror or error})") from error
    write_doctor_page(
        folder / PAGE_FILE,
        report,
        front_end=front_end,
        keep=keep_words(folder, report, len(dropped), is_short=is_short) if dropped else None,
        byte_ranges=byte_ranges,
        workers=workers,
    )
    return is_short


def make_report_folder(folder: Path) -> None:
    """Make the folder of a report, before any work is done for it.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingsError(f"{folder}: this is a file, or lies in one; the report needs a folder") from error
    except OSError as error:
        raise SettingsError(f"{folder}: the report cannot be written ({error.strerror or error})") from error
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"{folder}: the report cannot be written (no permission)")


def keep_words(folder: Path, report: CorpusReport, num_dropped: int, *, is_short: bool) -> str:
    """How to go on without the clips that are to be dropped; commands stand in backquotes."""
    clips = f"{num_dropped:,} {'clip' if num_dropped == 1 else 'clips'}"
    if is_short:
        path = quote(str(folder / KEEP_FILE))
        return f'{KEEP_FILE} leaves out {clips}: `earwitness train STORE RUN --where "$(cat {path})"`'
    instead = (
        "inspect the manifest with --clean-out, which writes" if report.scanned == "store" else "--clean-out writes"
    )
    return (
        f"{clips} to leave out are too many for a command line, so there is no {KEEP_FILE}: {instead} a manifest "
        "without them"
    )


def keep_condition(dropped: Collection[str]) -> str:
    """A condition for --where that is true for all clips but these."""
    if not dropped:
        return "true"
    ids = ", ".join("'" + clip_id.replace("'", "''") + "'" for clip_id in dropped)
    return f"clip_id not in ({ids})"


def _findings_table(report: CorpusReport) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for finding in report.findings:
        writer.writerow({**vars(finding), "related": "|".join(finding.related)})
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))
