"""The manifest as a store keeps it, `manifest.parquet`: what a build goes on with, and is compared with.

It has the rows of all parts, those that failed or were dropped included, in their order. It may have more than the
store: those of an `append` that has hardly begun. A store of version 1 has none; then its parts say the same.
"""

import pyarrow as pa

from earwitness.errors import StoreError
from earwitness.places import Place
from earwitness.store.header import StoreHeader
from earwitness.store.parts import manifest_columns, read_rows
from earwitness.store.tables import read_parquet, write_parquet

FILE_NAME = "manifest.parquet"


def keep_manifest(folder: Place, header: StoreHeader, table: pa.Table) -> None:
    """Put a manifest beside the parts, in place of one that may be there."""
    write_parquet(folder / header.data_folder / FILE_NAME, table)


def kept_manifest(folder: Place, header: StoreHeader) -> pa.Table | None:
    """The rows that the store was made from; None where neither the manifest nor all parts are there."""
    data_folder = folder / header.data_folder
    try:
        table = read_parquet(data_folder / FILE_NAME)
    except StoreError:
        table = None
    if table is not None and table.num_rows >= header.num_rows:
        return table.slice(0, header.num_rows)
    try:
        parts = [manifest_columns(read_rows(data_folder, part)) for part in range(header.num_parts)]
        return pa.concat_tables(parts)
    except StoreError:
        return None
