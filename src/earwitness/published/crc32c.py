"""The checksum CRC-32C (Castagnoli), as TensorFlow's and LevelDB's files have it.

A byte's share in the sum depends on its place alone, and shares are joined by exclusive or: so a long text is cut into
stripes of equal length, whose sums NumPy makes side by side, one byte of each at a time.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
_NUM_STRIPES, _STRIPE_BYTES = 4_096, 256
"""A megabyte at a time, which a core's cache holds."""
_MASK_DELTA = 0xA282EAD8

Lookup = npt.NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of some bytes."""
    table = _table()
    register = 0xFFFFFFFF
    start = 0
    while len(data) - start >= _NUM_STRIPES * _STRIPE_BYTES:
        stripes = np.frombuffer(data, np.uint8, _NUM_STRIPES * _STRIPE_BYTES, offset=start)
        sums = np.zeros(_NUM_STRIPES, np.uint32)
        for column in np.ascontiguousarray(stripes.reshape(_NUM_STRIPES, _STRIPE_BYTES).T):
            sums = table[(sums ^ column) & 0xFF] ^ (sums >> 8)
        shift = _shift_by_stripe()
        for stripe_sum in sums.tolist():
            register = _shifted(register, shift) ^ stripe_sum
        start += len(stripes)
    plain = table.tolist()
    for byte in bytes(data[start:]):
        register = plain[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """A checksum as it is stored beside what it is of, so that sums of sums stay apart."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF


@lru_cache(maxsize=1)
def _table() -> Lookup:
    """What a register becomes by a byte: [256]."""
    registers = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        registers = np.where(registers & 1, (registers >> 1) ^ np.uint32(_POLYNOMIAL), registers >> 1)
    return registers.astype(np.uint32)


@lru_cache(maxsize=1)
def _shift_by_stripe() -> list[list[int]]:
    """What each byte of a register becomes by a stripe of zero bytes behind it: [4][256]."""
    table = _table()
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)  # what becomes of each bit of the register
    for _ in range(_STRIPE_BYTES):
        bits = table[bits & 0xFF] ^ (bits >> 8)
    lookups = np.zeros((4, 256), np.uint32)
    for byte in range(4):
        for bit in range(8):
            lookups[byte] ^= np.where(np.arange(256) >> bit & 1, bits[8 * byte + bit], 0).astype(np.uint32)
    result: list[list[int]] = lookups.tolist()
    return result


def _shifted(register: int, shift: list[list[int]]) -> int:
    return (
        shift[0][register & 0xFF]
        ^ shift[1][register >> 8 & 0xFF]
        ^ shift[2][register >> 16 & 0xFF]
        ^ shift[3][register >> 24]
    )
