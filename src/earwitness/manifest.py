"""Manifests: tables of clips, one row a clip, kept as Arrow tables and stored as Parquet, CSV or JSON Lines.

Columns that mean something here (others are carried along untouched and can be used in `--where`):

    clip_id        text, unique, never empty
    media          text: a path (relative ones are relative to the manifest file's folder) or a URL
    start_seconds  number or null: where the clip begins in its media; null is the beginning
    stop_seconds   number or null: where it ends, exclusive; null is the end
    labels         list of label ids, none empty; the list may be. In CSV, joined by `|`
    media_offset_bytes, media_num_bytes   optional, both or neither: the clip's media is not the whole file `media`
                   but this range of its bytes (a member of a tar); null is the whole file. Times count in what
                   the range holds
    split, fold, group   optional: the parts of a corpus; clips of one `group` (one recording, one uploader)
                         belong on one side of any split

Row numbers in messages count data rows from 1. What CSV does to types is said in `table_files`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from earwitness.errors import ManifestError
from earwitness.files import replacing
from earwitness.manifest_rows import CORE_COLUMNS as CORE_COLUMNS
from earwitness.manifest_rows import PIECE_ROWS, RowChecker, first_true
from earwitness.manifest_rows import RANGE_COLUMNS as RANGE_COLUMNS
from earwitness.places import Place, place
from earwitness.table_files import empty_to_null, first_line, read_pieces

LABEL_SEPARATOR = "|"
"""Joins the labels of a clip in CSV files."""

SCHEMA_VERSION = 1
"""Written into Parquet manifests as `earwitness_manifest_version`."""

_VERSION_KEY = b"earwitness_manifest_version"


@dataclass(frozen=True)
class Manifest:
    """A checked table of clips. `table` has the core columns first, in the types of `CORE_COLUMNS`."""

    table: pa.Table
    source: str = "manifest"
    """What to call it in messages: a file name, usually."""

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        *,
        source: str = "manifest",
        folder: Place | None = None,
        called: Mapping[str, str] = MappingProxyType({}),
    ) -> "Manifest":
        """Check a table and bring it into shape.

        Missing `start_seconds` and `stop_seconds` are added as null, missing `labels` as empty lists, and a
        missing `clip_id` as the media text. Relative media paths are joined to `folder` where one is given. Messages
        name columns as they are `called` where they came from.

        Raises:
            ManifestError: the table is empty, lacks `media`, names a column twice, or a row is bad (the first
                such row is named).
        """
        return cls.from_pieces(_slices(table), source=source, folder=folder, called=called)

    @classmethod
    def from_pieces(
        cls,
        pieces: Iterable[pa.Table],
        *,
        source: str = "manifest",
        folder: Place | None = None,
        called: Mapping[str, str] = MappingProxyType({}),
    ) -> "Manifest":
        """As `from_table`, of a table that comes piece by piece: so it is never held twice."""
        checker = RowChecker(source, folder, called)
        for piece in pieces:
            checker.take(piece)
        return cls(checker.finish(), source)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def label_counts(self) -> dict[str, int]:
        """Number of clips that carry each label, most frequent first, then by id."""
        counts: Counter[str] = Counter()
        for chunk in self.table["labels"].chunks:
            flat = chunk.flatten()
            clips, codes = (np.asarray(part, np.int64) for part in (pc.list_parent_indices(chunk), flat.indices))
            ids = flat.dictionary.to_pylist()
            pairs = np.sort(clips * len(ids) + codes)
            once = pairs[np.diff(pairs, prepend=-1) > 0]  # a label named twice is one
            for code, count in enumerate(np.bincount(once % max(1, len(ids))).tolist()):
                if count:
                    counts[ids[code]] += count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def take(self, rows: npt.NDArray[np.int64]) -> "Manifest":
        """The clips in these rows, counted from 0, which must ascend."""
        return Manifest(take_rows(self.table, rows), self.source)


def plain_labels(table: pa.Table) -> pa.Table:
    """The table of a manifest with its labels as lists of text, without a dictionary."""
    labels = pc.cast(table["labels"], pa.list_(pa.string()))
    return table.set_column(table.column_names.index("labels"), "labels", labels)


def take_rows(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """Rows of a table by their ascending numbers, a piece at a time: Arrow copies whole columns together first."""
    borders = np.searchsorted(rows, np.arange(0, table.num_rows + PIECE_ROWS, PIECE_ROWS))
    pieces = [
        table.slice(number * PIECE_ROWS, PIECE_ROWS).take(rows[first:stop] - number * PIECE_ROWS)
        for number, (first, stop) in enumerate(pairwise(borders))
        if first < stop
    ]
    return pa.concat_tables(pieces) if pieces else table.slice(0, 0)


def own_media(table: pa.Table) -> pa.ChunkedArray:
    """What to call the medium of each clip of a manifest's table: the same for two clips only where both are cut from
    one recording. That is `media`, with the place of the clip's bytes where many media share one file.
    """
    media = table["media"]
    if not RANGE_COLUMNS.keys() <= set(table.column_names):
        return media
    places = pc.cast(table["media_offset_bytes"], pa.string())
    return pc.coalesce(pc.binary_join_element_wise(media, places, "@"), media)


def read_manifest(path: str | Place) -> Manifest:
    """Read a manifest from `.parquet`, `.csv`, `.tsv` or `.jsonl`, on the disk or behind a URL.

    Raises:
        ManifestError: the file is missing, a folder, of another kind, damaged, or a row is bad.
    """
    path = place(path)
    pieces = read_pieces(path, text_columns=CORE_COLUMNS, rows=PIECE_ROWS)
    return Manifest.from_pieces(
        (_own_piece(piece, path) for piece in pieces), source=str(path), folder=path.resolve().parent
    )


def _own_piece(piece: pa.Table, path: Place) -> pa.Table:
    version = (piece.schema.metadata or {}).get(_VERSION_KEY, b"0").decode()
    if not version.isdecimal() or int(version) > SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: manifest version {version} is newer than {SCHEMA_VERSION}, which this earwitness reads; update it"
        )
    return _from_text(piece) if path.suffix.lower() in (".csv", ".tsv") else piece


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest as `.parquet`, `.csv` or `.jsonl`, whole or not at all.

    Raises:
        ManifestError: the suffix is another, or the file cannot be written.
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ManifestError(
            f"{path}: a manifest is written as one of {', '.join(_WRITERS)}; came {path.suffix or 'no suffix'}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            write(manifest.table, file)
    except OSError as error:
        raise ManifestError(f"{path}: the manifest cannot be written ({error.strerror or error})") from error
    except ValueError as error:  # Arrow's errors about types, too
        raise ManifestError(f"{path}: the manifest cannot be written ({first_line(error)})") from error


def _from_text(table: pa.Table) -> pa.Table:
    """Split the joined labels of a CSV and empty its missing times."""
    for position, name in enumerate(table.column_names):
        if name == "labels":
            labels = pc.split_pattern(table[name], LABEL_SEPARATOR)
            no_label = pa.scalar([], pa.list_(pa.string()))
            table = table.set_column(position, name, pc.if_else(pc.equal(table[name], ""), no_label, labels))
        elif name in ("start_seconds", "stop_seconds", *RANGE_COLUMNS) and pa.types.is_string(table[name].type):
            table = table.set_column(position, name, empty_to_null(table[name]))
    return table


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    for first in range(0, max(1, table.num_rows), PIECE_ROWS):
        yield table.slice(first, PIECE_ROWS)


def _write_parquet(table: pa.Table, file: BinaryIO) -> None:
    metadata = {**(table.schema.metadata or {}), _VERSION_KEY: str(SCHEMA_VERSION).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")


def _write_csv(table: pa.Table, file: BinaryIO) -> None:
    schema = table.schema.set(table.column_names.index("labels"), pa.field("labels", pa.string()))
    with pyarrow.csv.CSVWriter(file, schema) as writer:
        for piece in _slices(table):
            labels = plain_labels(piece)["labels"]
            flat = pc.list_flatten(labels)
            if (position := first_true(pc.match_substring(flat, LABEL_SEPARATOR))) is not None:
                raise ValueError(
                    f"label {flat[position].as_py()!r} holds {LABEL_SEPARATOR!r}, which joins labels in CSV; "
                    "write Parquet or JSON Lines"
                )
            joined = pc.binary_join(labels, LABEL_SEPARATOR)
            writer.write_table(piece.set_column(schema.get_field_index("labels"), "labels", joined))


def _write_jsonl(table: pa.Table, file: BinaryIO) -> None:
    for batch in table.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")


_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
