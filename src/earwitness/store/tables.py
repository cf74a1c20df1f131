"""Tables of a store: Parquet with checksums, written whole or not at all."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet

from earwitness.errors import StoreError
from earwitness.files import replacing
from earwitness.places import Place, UrlPath
from earwitness.table_files import first_line


def read_parquet(path: Place, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of a store, its checksums verified.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        source = pa.BufferReader(path.read_bytes()) if isinstance(path, UrlPath) else path
        table = pyarrow.parquet.read_table(
            source, columns=None if columns is None else list(columns), page_checksum_verification=True
        )
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: this part of the store cannot be read ({first_line(error)})") from error
    return _with_plain_lists(table)


def write_parquet(path: Place, table: pa.Table, *, writer: str = "") -> None:
    """Put a table of a store in its place, with checksums. For `writer` see `replacing`."""
    table = _with_plain_lists(table.replace_schema_metadata(None))
    with replacing(path, writer=writer) as file:
        pyarrow.parquet.write_table(table, file, compression="zstd", write_page_checksum=True)


def _with_plain_lists(table: pa.Table) -> pa.Table:
    """Parquet calls what is in a list `element`, Arrow `item`; where a table came from shall not show in its bytes."""
    kinds = [pa.list_(field.type.value_type) if pa.types.is_list(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))
