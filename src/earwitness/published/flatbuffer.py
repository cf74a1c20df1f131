"""Tables of a FlatBuffer, read in place with every offset checked: enough for a TFLite file.

A table begins with the distance back to its vtable, which holds the place of each field, or 0 where the field has its
default. Tables, vectors and strings are referred to by the distance to them; a vector begins with its length. All
numbers are little-endian.

References: the FlatBuffers internals page, https://flatbuffers.dev/internals/.
"""

import struct

import numpy as np
import numpy.typing as npt


class OutsideError(Exception):
    """Something is said to lie outside the file."""


class Table:
    """A table at some place of a file. Fields are numbered as in the schema, from 0."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data = data
        self._place = place
        vtable = place - self._number("<i", place)
        self._fields_place = vtable + 4
        self._num_fields = (self._number("<H", vtable) - 4) // 2

    @classmethod
    def root(cls, data: memoryview) -> "Table":
        """The table that the file as a whole is."""
        return cls(data, int(struct.unpack_from("<I", data)[0]) if len(data) >= 4 else len(data))

    def whole_number(self, field: int, *, kind: str = "<i", default: int = 0) -> int:
        """A number, in `struct`'s notation of its kind."""
        place = self._field(field)
        return default if place is None else self._number(kind, place)

    def text(self, field: int) -> str:
        """A string; empty where there is none."""
        return bytes(self._vector(field, item_size=1)).decode("utf-8", errors="replace")

    def numbers(self, field: int, dtype: str) -> npt.NDArray[np.generic]:
        """A vector of numbers; empty where there is none."""
        return np.frombuffer(self._vector(field, item_size=np.dtype(dtype).itemsize), dtype)

    def data(self, field: int) -> memoryview:
        """A vector of bytes."""
        return self._vector(field, item_size=1)

    def table(self, field: int) -> "Table | None":
        """Another table; None where there is none."""
        place = self._field(field)
        return None if place is None else Table(self._data, place + self._number("<I", place))

    def tables(self, field: int) -> list["Table"]:
        """A vector of tables."""
        place = self._field(field)
        if place is None:
            return []
        first = place + self._number("<I", place) + 4
        count = len(self._vector(field, item_size=4)) // 4
        return [Table(self._data, at + self._number("<I", at)) for at in range(first, first + 4 * count, 4)]

    def _vector(self, field: int, *, item_size: int) -> memoryview:
        place = self._field(field)
        if place is None:
            return self._data[:0]
        start = place + self._number("<I", place)
        num_bytes = self._number("<I", start) * item_size
        self._require(start + 4, num_bytes)
        return self._data[start + 4 : start + 4 + num_bytes]

    def _field(self, field: int) -> int | None:
        if field >= self._num_fields:
            return None
        offset = self._number("<H", self._fields_place + 2 * field)
        return self._place + offset if offset else None

    def _number(self, kind: str, place: int) -> int:
        self._require(place, struct.calcsize(kind))
        return int(struct.unpack_from(kind, self._data, place)[0])

    def _require(self, place: int, num_bytes: int) -> None:
        if place < 0 or place + num_bytes > len(self._data):
            raise OutsideError(f"bytes {place:,} to {place + num_bytes:,} of a file of {len(self._data):,}")
