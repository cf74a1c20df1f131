"""Tables of a store: Parquet with checksums, written whole or not at all."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from earwitness.errors import StoreError
from earwitness.files import replacing
from earwitness.places import Place, UrlPath
from earwitness.table_files import first_line

_GROUP_ROWS = 1 << 18
"""Written and read together: lists of text must stay below 2 GiB, even those of a manifest of many million rows."""


def read_parquet(path: Place, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of a store, its checksums verified.

    Raises:
        StoreError: it is missing or damaged.
    """
    wanted = None if columns is None else list(columns)
    try:
        # not `read_table`, which takes five times as long to open a file and reads folder names as columns
        with pyarrow.parquet.ParquetFile(_source(path), page_checksum_verification=True) as file:
            groups = range(file.num_row_groups)
            table = pa.concat_tables([file.read_row_group(group, wanted, use_threads=False) for group in groups])
    except (OSError, ValueError, pa.ArrowException) as error:  # a name that is no UTF-8 is a ValueError
        raise _damaged(path, error) from error
    require_columns(path, table, wanted or ())
    return table.cast(_plain(table.schema))


def read_parquet_schema(path: Place) -> pa.Schema:
    """Names and types of the columns that `read_parquet` gives.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        return _plain(pyarrow.parquet.read_schema(_source(path)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def require_columns(path: Place, table: pa.Table, names: Iterable[str]) -> None:
    """Make sure that a table has these columns.

    Raises:
        StoreError: it lacks one; `path` is where it came from.
    """
    if missing := [name for name in names if name not in table.column_names]:
        raise StoreError(f"{path}: damaged, it has no column {missing[0]!r}")


def write_parquet(path: Place, table: pa.Table, *, writer: str = "") -> None:
    """Put a table of a store in its place, with checksums, and without statistics, which these would not cover: other
    readers trust them. For `writer` see `replacing`.
    """
    schema = _plain(table.schema)
    with (
        replacing(path, writer=writer) as file,
        pyarrow.parquet.ParquetWriter(
            file, schema, compression="zstd", write_page_checksum=True, write_statistics=False
        ) as parquet,
    ):
        for first in range(0, max(1, table.num_rows), _GROUP_ROWS):
            parquet.write_table(table.slice(first, _GROUP_ROWS).cast(schema).combine_chunks())


def _source(path: Place) -> Path | pa.BufferReader:
    """What Arrow reads from; what is behind a URL comes by one request."""
    return pa.BufferReader(path.read_bytes()) if isinstance(path, UrlPath) else path


def _plain(schema: pa.Schema) -> pa.Schema:
    """Parquet calls what is in a list `element`, Arrow `item`, and manifests have labels as numbers into a dictionary:
    where a table came from shall not show in its bytes.
    """
    return pa.schema([(field.name, _plain_kind(field.type)) for field in schema])


def _plain_kind(kind: pa.DataType) -> pa.DataType:
    if not pa.types.is_list(kind):
        return kind
    inner = kind.value_type
    return pa.list_(inner.value_type if pa.types.is_dictionary(inner) else inner)


def _damaged(path: Place, error: Exception) -> StoreError:
    return StoreError(f"{path}: this part of the store cannot be read ({first_line(error)})")
