"""The fields of a Protocol Buffers message, one after another: enough to read TensorFlow's checkpoints.

References: the Protocol Buffers encoding, https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

Value = int | memoryview


class MessageError(Exception):
    """Not a message, or a truncated one."""


def fields_of(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: whole numbers, or the bytes of everything else.

    Raises:
        MessageError: while it goes on.
    """
    place = 0
    while place < len(message):
        tag, place = varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = varint(message, place)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, place = varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise MessageError(f"a field of kind {kind}")
        if place + length > len(message):
            raise MessageError("a field ends behind its message")
        yield tag >> 3, message[place : place + length]
        place += length


def varint(data: memoryview, place: int) -> tuple[int, int]:
    """A whole number of up to 64 bits, and the place behind it.

    Raises:
        MessageError: it does not end.
    """
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise MessageError("a number does not end")
