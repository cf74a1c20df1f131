"""The checksum CRC-32C (Castagnoli), as TensorFlow's and LevelDB's files have it."""

import google_crc32c

_MASK_DELTA = 0xA282EAD8
_PIECE_BYTES = 2**20
"""Copied at a time, since the library takes nothing but `bytes`."""


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of some bytes."""
    checksum = 0
    for first in range(0, len(data), _PIECE_BYTES):
        checksum = google_crc32c.extend(checksum, bytes(data[first : first + _PIECE_BYTES]))
    return checksum


def masked(checksum: int) -> int:
    """A checksum as it is stored beside what it is of, so that sums of sums stay apart."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
