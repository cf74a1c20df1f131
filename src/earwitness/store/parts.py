"""A part of a store: the rows of the manifest from `part * clips_per_part` on, decoded.

    parts/part-000012.npy      float16 [frames, bands]: the frames of its clips, one clip after another
    parts/part-000012.parquet  one row for every manifest row of the part: all columns of the manifest, and

        first_frame, num_frames      where the clip lies in the .npy
        num_samples, is_padded       samples at the front end's rate; whether it was filled up to one patch
        label_indices                ascending indices into the label set
        warnings                     list of sentences; empty where the decoder had nothing to complain of
        media_container, media_codec, media_sample_rate_hz, media_num_channels   what the media was
        failure_kind, failure_reason null where the clip is stored; elsewhere the columns above are null

`media` is the manifest's: absolute paths of the machine that built the store, or URLs.

The Parquet file is put in place last: a part counts once it is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from earwitness.errors import ManifestError, StoreError
from earwitness.files import replacing
from earwitness.parallel import Failure
from earwitness.store.decoded import DecodedClip
from earwitness.store.files import replacing_npy
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

PLACE_COLUMNS = {"first_frame": pa.int64(), "label_indices": pa.list_(pa.int32())}
"""Columns that building adds for the index."""

FAILURE_COLUMNS = {"failure_kind": pa.string(), "failure_reason": pa.string()}
"""Columns that say why a clip is not stored."""

ADDED_COLUMNS = {**CLIP_COLUMNS, **PLACE_COLUMNS, **FAILURE_COLUMNS}
"""All of them; every other column of a part is one of the manifest."""

_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class PartCounts:
    """Counts over the rows of one part."""

    num_rows: int
    num_failed: int
    num_warned: int
    num_frames: int
    num_samples: int


def frames_name(part: int) -> str:
    """The name of the `.npy` of a part."""
    return f"part-{part:06d}.npy"


def frames_path(folder: Path, part: int) -> Path:
    """The `.npy` of a part."""
    return folder / PARTS_FOLDER / frames_name(part)


def rows_path(folder: Path, part: int) -> Path:
    """The Parquet file of a part."""
    return folder / PARTS_FOLDER / f"part-{part:06d}.parquet"


def check_columns(manifest_columns: Sequence[str]) -> None:
    """Refuse a manifest with columns that building fills.

    Raises:
        ManifestError: names the first such column.
    """
    for name in manifest_columns:
        if name in ADDED_COLUMNS:
            raise ManifestError(f"column {name!r} of the manifest is one that a store fills itself; rename or drop it")


def write_part(
    folder: Path,
    part: int,
    *,
    rows: pa.Table,
    label_indices: Sequence[Sequence[int]],
    results: Sequence[DecodedClip | Failure],
    append_frames: Callable[[int, Callable[[npt.NDArray[Any] | bytes], None]], None],
    num_bands: int,
) -> None:
    """Write and commit one part.

    Args:
        folder: the store.
        part: number of the part.
        rows: its rows of the manifest.
        label_indices: for each row.
        results: for each row.
        append_frames: called as `append_frames(row of the part, append)` for each stored clip in order; it
            hands the clip's frames to `append`.
        num_bands: bands of a frame.
    """
    with replacing_npy(frames_path(folder, part), dtype=FRAME_DTYPE, row_shape=(num_bands,)) as append:
        for row, result in enumerate(results):
            if isinstance(result, DecodedClip):
                append_frames(row, append)
    added: dict[str, list[Any]] = {name: [] for name in ADDED_COLUMNS}
    next_frame = 0
    for result, indices in zip(results, label_indices, strict=True):
        if isinstance(result, DecodedClip):
            values = {name: getattr(result, name) for name in CLIP_COLUMNS}
            values |= {"first_frame": next_frame, "label_indices": indices}
            next_frame += result.num_frames
        else:
            values = {"failure_kind": result.kind, "failure_reason": result.message}
        for name, column in added.items():
            column.append(values.get(name))
    table = rows.replace_schema_metadata(None)
    for name, kind in ADDED_COLUMNS.items():
        table = table.append_column(name, pa.array(added[name], kind))
    with replacing(rows_path(folder, part)) as file:
        pyarrow.parquet.write_table(table.combine_chunks(), file, compression="zstd")


def copy_raw_frames(spool_path: Path, append: Callable[[npt.NDArray[Any] | bytes], None]) -> None:
    """Append the raw frames of a spool file, in pieces of bounded size."""
    with spool_path.open("rb", buffering=0) as spool:
        while piece := spool.read(_COPY_BYTES):
            append(piece)


def read_rows(folder: Path, part: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a committed part, stored and failed ones.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = rows_path(folder, part)
    try:
        # not `read_table`, which takes five times as long to open a file and reads folder names as columns
        with pyarrow.parquet.ParquetFile(path) as file:
            return file.read(None if columns is None else list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def read_schema(folder: Path, part: int) -> pa.Schema:
    """Names and types of all columns of a part.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = rows_path(folder, part)
    try:
        return pyarrow.parquet.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def read_stored_rows(folder: Path, part: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Like `read_rows`, stored clips only; the failure columns are left out."""
    wanted = None if columns is None else [*columns, "failure_kind"]
    table = read_rows(folder, part, wanted)
    if table["failure_kind"].null_count < table.num_rows:
        table = table.filter(pc.is_null(table["failure_kind"]))
    table = table.drop_columns([name for name in FAILURE_COLUMNS if name in table.column_names])
    return table if columns is None else table.select(list(columns))


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: this part of the store cannot be read ({first_line(error)})")


def count_part(folder: Path, part: int) -> PartCounts:
    """Counts over a committed part."""
    table = read_rows(folder, part, ["num_frames", "num_samples", "warnings", "failure_kind"])
    num_warnings = pc.fill_null(pc.list_value_length(table["warnings"]), 0)
    return PartCounts(
        num_rows=table.num_rows,
        num_failed=table.num_rows - table["failure_kind"].null_count,
        num_warned=pc.sum(pc.greater(num_warnings, 0), min_count=0).as_py(),
        num_frames=pc.sum(table["num_frames"], min_count=0).as_py(),
        num_samples=pc.sum(table["num_samples"], min_count=0).as_py(),
    )


def committed_counts(folder: Path, part: int, *, num_rows: int, num_bands: int) -> PartCounts | None:
    """Counts of a part if it is committed and whole; None if it has to be built."""
    if not rows_path(folder, part).exists():
        return None
    try:
        counts = count_part(folder, part)
        frames = np.load(frames_path(folder, part), mmap_mode="r")
    except (StoreError, OSError, ValueError, EOFError):
        return None  # damaged from outside: built again
    is_whole = frames.shape == (counts.num_frames, num_bands) and counts.num_rows == num_rows
    return counts if is_whole else None
