"""The sorted table of keys and values that TensorFlow's checkpoints are, as in LevelDB.

    blocks    each followed by a byte that says how it is compressed, and the masked CRC-32C of both
    index     a block, too: its values say where the others lie
    footer    48 bytes: where the index lies, and a magic number

Within a block, a key begins with so many bytes of the one before; behind the entries are places to begin reading at.

References: LevelDB's doc/table_format.md; tensorflow/core/lib/io/format.cc.
"""

from collections.abc import Iterator

from earwitness.checksums import crc32c, masked
from earwitness.published.protobuf import MessageError, varint

FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57

_TRAILER_BYTES = 5
_MAX_KEY_BYTES = 2**14
"""Tensors have names of some dozen letters."""


class TableError(Exception):
    """Not a table, or a damaged one."""


def is_sorted_table(data: memoryview) -> bool:
    """Whether the magic number is at the end."""
    return len(data) >= FOOTER_BYTES and int.from_bytes(data[-8:], "little") == MAGIC


def table_entries(data: memoryview) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Key and value of each entry, and whether the checksum of its block is right.

    Raises:
        TableError: while it goes on: what is left makes no sense.
    """
    if not is_sorted_table(data):
        raise TableError("it does not end as such a file does")
    try:
        footer = data[-FOOTER_BYTES:]
        about, place = _handle(footer, 0)
        index, _ = _handle(footer, place)
        for block in (about, index):
            if not _block(data, *block)[1]:
                raise TableError("its index was altered: the checksum is another one")
        for _, value in _entries(_block(data, *index)[0]):
            handle, _ = _handle(value, 0)
            entries, is_right = _block(data, *handle)
            for key, each in _entries(entries):
                yield key, each, is_right
    except MessageError as error:
        raise TableError(str(error)) from error


def _handle(data: memoryview, place: int) -> tuple[tuple[int, int], int]:
    start, place = varint(data, place)
    num_bytes, place = varint(data, place)
    return (start, num_bytes), place


def _block(data: memoryview, start: int, num_bytes: int) -> tuple[memoryview, bool]:
    """The entries of a block, and whether its checksum is right."""
    end = start + num_bytes
    if end + _TRAILER_BYTES > len(data) or num_bytes < 4:
        raise TableError(f"a block lies at bytes {start:,} to {end:,} of {len(data):,}")
    if data[end] != 0:
        raise TableError("a block is compressed, which TensorFlow's own checkpoints are not")
    stored = int.from_bytes(data[end + 1 : end + _TRAILER_BYTES], "little")
    is_right = masked(crc32c(data[start : end + 1])) == stored
    block = data[start:end]
    restarts_bytes = 4 * (int.from_bytes(block[-4:], "little") + 1)
    if restarts_bytes > num_bytes:
        raise TableError("the end of a block makes no sense")
    return block[: num_bytes - restarts_bytes], is_right


def _entries(entries: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    key, place = b"", 0
    while place < len(entries):
        num_shared, place = varint(entries, place)
        num_own, place = varint(entries, place)
        value_bytes, place = varint(entries, place)
        if place + num_own + value_bytes > len(entries) or num_shared > len(key):
            raise TableError("an entry ends behind its block")
        if num_shared + num_own > _MAX_KEY_BYTES:
            raise TableError(f"a key of {num_shared + num_own:,} bytes")
        key = key[:num_shared] + bytes(entries[place : place + num_own])
        place += num_own
        yield key, entries[place : place + value_bytes]
        place += value_bytes
