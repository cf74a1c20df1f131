"""TFRecord files: records of bytes, one after another, each with its length and two checksums. Without TensorFlow.

    uint64   number of bytes, little-endian
    uint32   masked CRC-32C of these eight bytes
    bytes    the record
    uint32   masked CRC-32C of the record

Checksums are checked while a file is read: a flipped bit is refused with the number of the record, counted from 1.

References: TensorFlow's tfrecord_writer and its guide "TFRecord and tf.train.Example".
"""

import struct
from collections.abc import Callable, Iterable, Iterator

from earwitness.checksums import crc32c, masked
from earwitness.errors import RecordError
from earwitness.files import replacing
from earwitness.places import Place, open_file

SUFFIX = ".tfrecord"

_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_MAX_RECORD_BYTES = 2**28
"""Far beyond any record of embeddings (24 days of them)."""
_GZIP = b"\x1f\x8b"


def read_records(path: Place) -> Iterator[bytes]:
    """The records of a file, in order; one is held in memory at a time.

    Raises:
        RecordError: the file cannot be read, is none of records, ends within one, or a checksum does not fit.
    """
    try:
        with open_file(path) as file:
            number = 0
            while head := file.read(_HEAD.size):
                number += 1
                yield _record(file.read, head, where=f"{path}: record {number}", is_first=number == 1)
    except OSError as error:
        raise RecordError(f"{path}: the records cannot be read ({error.strerror or error})") from error


def _record(read: Callable[[int], bytes], head: bytes, *, where: str, is_first: bool) -> bytes:
    if is_first and head.startswith(_GZIP):
        raise RecordError(f"{where}: the file is compressed by gzip; unpack it first")
    if len(head) < _HEAD.size:
        raise RecordError(f"{where} is cut off: the file ends within its length")
    num_bytes, checksum = _HEAD.unpack(head)
    if masked(crc32c(head[:8])) != checksum:
        reason = "this is no TFRecord file" if is_first else "the file is damaged there"
        raise RecordError(f"{where}: the checksum of its length does not fit; {reason}")
    if num_bytes > _MAX_RECORD_BYTES:
        raise RecordError(f"{where} has {num_bytes:,} bytes; {_MAX_RECORD_BYTES:,} are the most that is read")
    record, tail = read(num_bytes), read(_TAIL.size)
    if len(record) < num_bytes or len(tail) < _TAIL.size:
        raise RecordError(f"{where} is cut off: the file ends within it")
    if masked(crc32c(record)) != _TAIL.unpack(tail)[0]:
        raise RecordError(f"{where}: its checksum does not fit; the file is damaged there")
    return record


def write_records(path: Place, records: Iterable[bytes]) -> int:
    """Write records to a file, whole or not at all, and give their number.

    Raises:
        OSError: it cannot be written.
    """
    number = 0
    with replacing(path) as file:
        for record in records:
            head = struct.pack("<Q", len(record))
            file.write(head + _TAIL.pack(masked(crc32c(head))))
            file.write(record)
            file.write(_TAIL.pack(masked(crc32c(record))))
            number += 1
    return number
