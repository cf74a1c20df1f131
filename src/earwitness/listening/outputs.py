"""The forms in which rows are written: JSON Lines, CSV, Parquet; and the scores of every patch as CSV."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from earwitness.inference.any_model import AnyModel
from earwitness.inference.tagger import PatchScores
from earwitness.labels import LabelSet
from earwitness.listening.rows import SCHEMA_VERSION, Row, remarks

SUFFIXES = (".jsonl", ".csv", ".parquet")

CSV_COLUMNS = (
    "media",
    "row",
    "start_seconds",
    "stop_seconds",
    "label_id",
    "label_name",
    "score",
    "peak_score",
    "is_calibrated",
    "has_own_thresholds",
    "warnings",
    "failure_kind",
    "failure_reason",
    "clip_id",
)
"""`row` is tag (over all that was scored of an input), event, score (of every label, with --all-scores), or failure.
An event has a `peak_score`, the other two a `score`. An input without any of them has one row, a tag without a label,
and `warnings` say so. `is_calibrated` and `has_own_thresholds` are true or false, as in JSON: whether the scores went
by the model's calibration, and rows by its own thresholds. `clip_id` is a manifest's."""

_NUMBERS = {"start_seconds": ".3f", "stop_seconds": ".3f", "score": ".7g", "peak_score": ".7g"}
"""How they are written in CSV."""

_PARQUET_ROWS = 2_000
"""Of one row group: what is held in memory."""


class Output(Protocol):
    """Takes one row after the other."""

    def write(self, row: Row) -> None:
        """Write the row of the next input."""


class JsonLinesOutput:
    """One JSON object an input."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: Row) -> None:
        """As it is."""
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()


class CsvOutput:
    """One row a tag, event, score or failed input; see `CSV_COLUMNS`."""

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.DictWriter(file, CSV_COLUMNS)
        self._rows.writeheader()

    def write(self, row: Row) -> None:
        """The tags, over the whole input, then the events, then all scores."""
        of_all = {"media": row["media"], "clip_id": row.get("clip_id")}
        if row["status"] == "failed":
            failure = {name: row[name] for name in ("failure_kind", "failure_reason")}
            self._rows.writerow({**of_all, "row": "failure", **failure})
            return
        of_all |= {name: str(row[name]).lower() for name in ("is_calibrated", "has_own_thresholds")}
        said = remarks(row)
        begin = row.get("start_seconds") or 0.0
        span = {"start_seconds": begin, "stop_seconds": begin + row["scored_seconds"]}
        lines: list[Row] = [{"row": "tag", **span, **tag} for tag in row["tags"]]
        lines += [{"row": "event", **event} for event in row.get("events", ())]
        scores = row.get("scores", {})
        lines += [{"row": "score", **span, "label_id": name, "score": score} for name, score in scores.items()]
        if not lines:
            lines, said = [{"row": "tag"}], [*said, "no label reaches the scores asked for"]
        for line in lines:
            numbers = {name: f"{line[name]:{form}}" for name, form in _NUMBERS.items() if name in line}
            self._rows.writerow({**of_all, **line, **numbers, "warnings": "; ".join(said)})


def write_parquet(
    rows: Iterable[Row], file: BinaryIO, labels: LabelSet, *, has_timeline: bool, has_all_scores: bool
) -> None:
    """One row an input. `scores` is a list in the order of the labels, whose ids stand as JSON in the table's metadata
    as `earwitness_label_ids`. Names that are no UTF-8 have their odd bytes written as escapes.
    """
    label = [("label_id", pa.string()), ("label_name", pa.string())]
    fields = [
        ("media", pa.string()),
        ("clip_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("stop_seconds", pa.float64()),
        ("status", pa.string()),
        ("seconds", pa.float64()),
        ("scored_seconds", pa.float64()),
        ("num_patches", pa.int64()),
        *((name, pa.bool_()) for name in ("is_padded", "is_calibrated", "has_own_thresholds")),
        ("warnings", pa.list_(pa.string())),
        ("tags", pa.list_(pa.struct([*label, ("score", pa.float32())]))),
    ]
    if has_timeline:
        times = [("start_seconds", pa.float64()), ("stop_seconds", pa.float64()), ("peak_score", pa.float32())]
        fields.append(("events", pa.list_(pa.struct([*label, *times]))))
    if has_all_scores:
        fields.append(("scores", pa.list_(pa.float32(), len(labels))))
    fields += [("failure_kind", pa.string()), ("failure_reason", pa.string())]
    metadata = {"earwitness_tags_version": str(SCHEMA_VERSION), "earwitness_label_ids": json.dumps(labels.ids)}
    schema = pa.schema(fields, metadata=metadata)
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for some in _pieces(rows):
            writer.write_table(pa.Table.from_pylist([_for_parquet(row) for row in some], schema))


def _for_parquet(row: Row) -> Row:
    texts: Row = {name: _printable(row[name]) for name in ("media", "failure_reason") if name in row}
    return {**row, **texts, "scores": list(row["scores"].values()) if "scores" in row else None}


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == _PARQUET_ROWS:
            yield some
            some = []
    if some:
        yield some


def _printable(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


class PatchLines:
    """The scores of every patch as lines of CSV: media, start_seconds, stop_seconds, is_calibrated (true or false:
    whether they went by the model's calibration), one a label.
    """

    def __init__(self, model: AnyModel) -> None:
        self._patch_seconds = model.front_end.patch_seconds
        self._is_calibrated = str(model.calibration is not None).lower()
        self._label_ids = model.label_set.ids

    @property
    def header(self) -> bytes:
        """The first line."""
        return _csv_bytes([["media", "start_seconds", "stop_seconds", "is_calibrated", *self._label_ids]])

    def lines(self, media: str, patches: PatchScores) -> bytes:
        """Those of some patches of an input."""
        starts = patches.start_seconds
        stops = np.add(starts, self._patch_seconds)
        return _csv_bytes(
            [media, f"{start:.3f}", f"{stop:.3f}", self._is_calibrated, *(f"{score:.7g}" for score in scores)]
            for start, stop, scores in zip(starts.tolist(), stops.tolist(), patches.scores.tolist(), strict=True)
        )


def _csv_bytes(rows: Iterable[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="surrogateescape")
