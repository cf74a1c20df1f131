"""Tables of true events: what sounds when in a clip. One row an event.

    clip_id        text, as in the manifest
    label          a label id; null: nothing sounds, the row is left out
    start_seconds  number, in the time of the clip: 0 is where the clip begins, not its media
    stop_seconds   number, exclusive, not before the start

Other columns are left alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import ManifestError
from earwitness.table_files import empty_to_null, read_table

_COLUMNS = ("clip_id", "label", "start_seconds", "stop_seconds")


@dataclass(frozen=True)
class TrueEvent:
    """A label sounds over [start_seconds, stop_seconds) of its clip."""

    label: str
    start_seconds: float
    stop_seconds: float
    row: int = field(default=0, compare=False)
    """Of the table, from 1: for messages."""


def read_events(path: str | Path) -> Mapping[str, Sequence[TrueEvent]]:
    """The events of every clip that has any, by clip id.

    Raises:
        ManifestError: the table cannot be read, a column is missing or of another type, or an event has no start or
            no stop, or stops before it starts; the row is named.
    """
    path = Path(path)
    table = read_table(path, text_columns=("clip_id", "label"))
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise ManifestError(
            f"{path}: column {missing[0]!r} is missing; a table of events has {', '.join(_COLUMNS)}, this one "
            f"{', '.join(table.column_names)}"
        )
    try:
        columns = [_column(table[name], pa.float64() if "seconds" in name else pa.string()) for name in _COLUMNS]
    except pa.ArrowInvalid as error:
        raise ManifestError(f"{path}: clip_id and label must be text, the times numbers ({error})") from error
    events: dict[str, list[TrueEvent]] = {}
    for row, (clip_id, label, start, stop) in enumerate(zip(*columns, strict=True), start=1):
        if not label:
            continue
        if clip_id is None or start is None or stop is None or not 0 <= start <= stop:
            raise ManifestError(
                f"{path}: row {row}: an event needs a clip_id and 0 <= start_seconds <= stop_seconds; came "
                f"clip_id={clip_id}, start_seconds={start}, stop_seconds={stop}"
            )
        events.setdefault(clip_id, []).append(TrueEvent(label, start, stop, row))
    return events


def _column(column: pa.ChunkedArray, type_: pa.DataType) -> list[Any]:
    if pa.types.is_string(column.type):
        column = empty_to_null(column)
    return list(pc.cast(column, type_).to_pylist())


def digest_of_events(path: Path) -> str:
    """Of the file, to tell whether another call read the same; 32 hexadecimal digits.

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror or error})") from error
