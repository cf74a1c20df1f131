"""A part of a store: some rows of the manifest, decoded.

    parts/part-000012.npy      float16 [frames, bands]: the frames of its clips, one clip after another
    parts/part-000012.parquet  one row for every manifest row of the part: all columns of the manifest, and

        first_frame, num_frames      where the clip lies in the .npy
        num_samples, is_padded       samples at the front end's rate; whether it was filled up to one patch
        label_indices                ascending indices into the label set
        warnings                     list of sentences; empty where the decoder had nothing to complain of
        media_container, media_codec, media_sample_rate_hz, media_num_channels   what the media was
        frames_digest                of the clip's bytes in the .npy, to notice damage by (null: an earlier version)
        failure_kind, failure_reason null where the clip is stored; elsewhere the columns above are null

`media` is the manifest's: absolute paths of the machine that built the store, or URLs.

The Parquet file is put in place last: a part counts once it is there, and changes when it is replaced. So a clip that
is stored later is put behind the frames that are there; frames that no row names any more stay till the store is
compacted.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import ManifestError, StoreError
from earwitness.parallel import Failure
from earwitness.places import Place, read_pieces
from earwitness.store.decoded import DecodedClip
from earwitness.store.files import replacing_npy
from earwitness.store.tables import read_parquet, read_parquet_schema, require_columns, write_parquet
from earwitness.table_files import first_line

PARTS_FOLDER = "parts"
FAILURES_FILE = "failures.csv"
FRAME_DTYPE = np.dtype("<f2")

CLIP_COLUMNS = {
    "num_frames": pa.int64(),
    "num_samples": pa.int64(),
    "is_padded": pa.bool_(),
    "warnings": pa.list_(pa.string()),
    "media_container": pa.string(),
    "media_codec": pa.string(),
    "media_sample_rate_hz": pa.int64(),
    "media_num_channels": pa.int64(),
}
"""Columns that building adds for the reader of a store, beside those of the manifest."""

PLACE_COLUMNS = {"first_frame": pa.int64(), "label_indices": pa.list_(pa.int32()), "frames_digest": pa.string()}
"""Columns that building adds for the index and for looking after the store."""

FAILURE_COLUMNS = {"failure_kind": pa.string(), "failure_reason": pa.string()}
"""Columns that say why a clip is not stored."""

ADDED_COLUMNS = {**CLIP_COLUMNS, **PLACE_COLUMNS, **FAILURE_COLUMNS}
"""All of them; every other column of a part is one of the manifest."""

_COPY_BYTES = 1 << 20
_NPY_HEADER_BYTES = 1_024

Append = Callable[[npt.NDArray[Any] | bytes], None]
"""Takes frames, an array or its bytes, behind those it was given before."""


@dataclass(frozen=True)
class PartCounts:
    """Counts over some rows of a store; they add up."""

    num_rows: int = 0
    num_warned: int = 0
    num_frames: int = 0
    num_samples: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed rows by kind."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """The first reason of each kind."""

    @property
    def num_failed(self) -> int:
        """Failed rows of all kinds."""
        return sum(self.failures.values())

    def __add__(self, other: "PartCounts") -> "PartCounts":
        return PartCounts(
            self.num_rows + other.num_rows,
            self.num_warned + other.num_warned,
            self.num_frames + other.num_frames,
            self.num_samples + other.num_samples,
            dict(Counter(self.failures) + Counter(other.failures)),
            {**other.reasons, **self.reasons},
        )


def frames_name(part: int) -> str:
    """The name of the `.npy` of a part."""
    return f"part-{part:06d}.npy"


@overload
def frames_path(folder: Path, part: int) -> Path: ...
@overload
def frames_path(folder: Place, part: int) -> Place: ...
def frames_path(folder: Place, part: int) -> Place:
    """The `.npy` of a part."""
    return folder / PARTS_FOLDER / frames_name(part)


def rows_path(folder: Place, part: int) -> Place:
    """The Parquet file of a part."""
    return folder / PARTS_FOLDER / f"part-{part:06d}.parquet"


def remove_rows(folder: Place, part: int) -> None:
    """Take a part out, if it is there: its rows must not meet frames that are written anew."""
    rows_path(folder, part).unlink(missing_ok=True)


def check_columns(manifest_columns: Sequence[str]) -> None:
    """Refuse a manifest with columns that building fills.

    Raises:
        ManifestError: names the first such column.
    """
    for name in manifest_columns:
        if name in ADDED_COLUMNS:
            raise ManifestError(f"column {name!r} of the manifest is one that a store fills itself; rename or drop it")


def write_part(
    folder: Place,
    part: int,
    *,
    rows: pa.Table,
    label_indices: Sequence[Sequence[int]],
    results: Sequence[DecodedClip | Failure],
    append_frames: Callable[[int, Append], None],
    num_bands: int,
    writer: str = "",
) -> None:
    """Write and commit one part. A damaged one must have been taken out before (`remove_rows`).

    Args:
        folder: the store.
        part: number of the part.
        rows: its rows of the manifest.
        label_indices: for each row.
        results: for each row.
        append_frames: called as `append_frames(row of the part, append)` for each stored clip in order; it
            hands the clip's frames to `append`.
        num_bands: bands of a frame.
        writer: see `files.replacing`.
    """
    path = frames_path(folder, part)
    with replacing_npy(path, dtype=FRAME_DTYPE, row_shape=(num_bands,), writer=writer) as append:
        for row, result in enumerate(results):
            if isinstance(result, DecodedClip):
                append_frames(row, append)
    table = rows
    for name, kind in ADDED_COLUMNS.items():
        table = table.append_column(name, pa.nulls(table.num_rows, kind))
    table = _with_results(table, dict(enumerate(results)), label_indices, first_frame=0)
    write_parquet(rows_path(folder, part), table, writer=writer)


def change_part(
    folder: Place,
    part: int,
    results: Mapping[int, DecodedClip | Failure],
    *,
    label_indices: Sequence[Sequence[int]] = (),
    append_frames: Callable[[int, Append], None] | None = None,
    num_bands: int,
    writer: str = "",
) -> bool:
    """Replace what became of some rows of a committed part; False where it says all of that already.

    Args:
        folder: the store.
        part: number of the part.
        results: by row of the part, rows that are stored by then only as failures.
        label_indices: for each row of the part; needed where a clip is stored now.
        append_frames: as for `write_part`, for the clips that are stored now.
        num_bands: bands of a frame.
        writer: see `files.replacing`.
    """
    table = read_rows(folder, part)
    recorded = table.select(list(FAILURE_COLUMNS)).to_pylist()
    if all(isinstance(result, Failure) and recorded[row] == _values(result) for row, result in results.items()):
        return False
    first_frame = 0
    if any(isinstance(result, DecodedClip) for result in results.values()):
        first_frame = num_named_frames(table)
        path = frames_path(folder, part)
        with replacing_npy(path, dtype=FRAME_DTYPE, row_shape=(num_bands,), writer=writer) as append:
            if first_frame:
                for piece in frame_pieces(path, 0, first_frame, num_bands):
                    append(piece)
            for row, result in results.items():
                if isinstance(result, DecodedClip) and append_frames:
                    append_frames(row, append)
    table = _with_results(table, results, label_indices, first_frame=first_frame)
    write_parquet(rows_path(folder, part), table, writer=writer)
    return True


def _values(result: Failure) -> dict[str, Any]:
    return {"failure_kind": result.kind, "failure_reason": result.message}


def _with_results(
    table: pa.Table,
    results: Mapping[int, DecodedClip | Failure],
    label_indices: Sequence[Sequence[int]],
    *,
    first_frame: int,
) -> pa.Table:
    """The rows of a part with what became of some of them; the frames of those stored lie from `first_frame` on."""
    added: dict[str, list[Any]] = {name: table[name].to_pylist() for name in ADDED_COLUMNS}
    for row, result in results.items():
        if isinstance(result, DecodedClip):
            values = {**vars(result), "first_frame": first_frame, "label_indices": label_indices[row]}
            first_frame += result.num_frames
        else:
            values = _values(result)
        for name, column in added.items():
            column[row] = values.get(name)
    for name, kind in ADDED_COLUMNS.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(added[name], kind))
    return table


def copy_raw_frames(spool_path: Path, append: Append) -> None:
    """Append the raw frames of a spool file, in pieces of bounded size."""
    with spool_path.open("rb", buffering=0) as spool:
        while piece := spool.read(_COPY_BYTES):
            append(piece)


def frame_pieces(path: Place, first_frame: int, num_frames: int, num_bands: int) -> Iterator[bytes]:
    """Some frames of a part's `.npy`, as bytes, in pieces of bounded size.

    Raises:
        StoreError: the file is missing or damaged, or does not reach so far.
    """
    row_bytes = num_bands * FRAME_DTYPE.itemsize
    try:
        head = io.BytesIO(b"".join(read_pieces(path, 0, _NPY_HEADER_BYTES)))
        np.lib.format.read_magic(head)
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
        if dtype != FRAME_DTYPE or shape[1:] != (num_bands,) or shape[0] < first_frame + num_frames:
            raise StoreError(f"{path}: damaged, it holds {dtype} {list(shape)}")
        start = head.tell() + first_frame * row_bytes
        remaining = num_frames * row_bytes
        for piece in read_pieces(path, start, start + remaining):
            yield piece
            remaining -= len(piece)
        if remaining:
            raise StoreError(f"{path}: it ends too early; the store is damaged")
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: this part of the store cannot be read ({first_line(error)})") from error


def read_rows(folder: Place, part: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a committed part, stored and failed ones.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = rows_path(folder, part)
    table = read_parquet(path, columns)
    if columns is None and "frames_digest" not in table.column_names:  # of version 1
        require_columns(path, table, FAILURE_COLUMNS)
        place = table.column_names.index("failure_kind")
        table = table.add_column(place, "frames_digest", pa.nulls(table.num_rows, pa.string()))
    if columns is None:
        require_columns(path, table, ADDED_COLUMNS)
    return table


def read_stored_rows(folder: Place, part: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Like `read_rows`, stored clips only; the failure columns are left out."""
    wanted = None if columns is None else [*columns, "failure_kind"]
    table = stored_rows(read_rows(folder, part, wanted))
    return table if columns is None else table.select(list(columns))


def read_schema(folder: Place, part: int) -> pa.Schema:
    """Names and types of all columns of a part.

    Raises:
        StoreError: the file is missing or damaged.
    """
    return read_parquet_schema(rows_path(folder, part))


def stored_rows(table: pa.Table) -> pa.Table:
    """Those of stored clips, without the failure columns."""
    if table["failure_kind"].null_count < table.num_rows:
        table = table.filter(pc.is_null(table["failure_kind"]))
    return table.drop_columns([name for name in FAILURE_COLUMNS if name in table.column_names])


def failed_rows(table: pa.Table) -> pa.Table:
    """Those of clips that are not stored: clip_id, media, kind, reason."""
    table = table.select(["clip_id", "media", *FAILURE_COLUMNS])
    return table.filter(pc.is_valid(table["failure_kind"])).rename_columns(["clip_id", "media", "kind", "reason"])


def manifest_columns(table: pa.Table) -> pa.Table:
    """Rows of a part as they stood in the manifest."""
    return table.drop_columns([name for name in ADDED_COLUMNS if name in table.column_names])


def num_named_frames(rows: pa.Table) -> int:
    """Up to where clips lie in the `.npy` of a part."""
    return pc.max(pc.add(rows["first_frame"], rows["num_frames"])).as_py() or 0


_COUNTED_COLUMNS = ["first_frame", "num_frames", "num_samples", "warnings", *FAILURE_COLUMNS]


def count_part(folder: Place, part: int) -> PartCounts:
    """Counts over a committed part."""
    return count_rows(read_rows(folder, part, _COUNTED_COLUMNS))


def count_rows(table: pa.Table) -> PartCounts:
    """Counts over some rows of parts."""
    num_warnings = pc.fill_null(pc.list_value_length(table["warnings"]), 0)
    failed = table.filter(pc.is_valid(table["failure_kind"]))
    kinds = failed["failure_kind"].to_pylist()
    return PartCounts(
        num_rows=table.num_rows,
        num_warned=pc.sum(pc.greater(num_warnings, 0), min_count=0).as_py(),
        num_frames=pc.sum(table["num_frames"], min_count=0).as_py(),
        num_samples=pc.sum(table["num_samples"], min_count=0).as_py(),
        failures=dict(Counter(kinds)),
        reasons=dict(zip(reversed(kinds), reversed(failed["failure_reason"].to_pylist()), strict=True)),
    )


def committed_counts(folder: Place, part: int, *, num_rows: int, num_bands: int) -> PartCounts | None:
    """Counts of a part if it is committed and whole; None if it has to be built."""
    if not rows_path(folder, part).exists():
        return None
    try:
        rows = read_rows(folder, part)
        # frames that no row names may follow: of clips that were dropped, or of a change that was interrupted
        last = num_named_frames(rows) - 1
        for _ in frame_pieces(frames_path(folder, part), max(0, last), min(1, last + 1), num_bands):
            pass
    except StoreError:
        return None  # damaged from outside: built again
    return count_rows(rows) if rows.num_rows == num_rows else None
