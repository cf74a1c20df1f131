"""The tensors of a TensorFlow checkpoint, by name; of both formats, without TensorFlow.

Version 1, as VGGish was published: one file, a sorted table of `SavedTensorSlices` messages; the first has names and
shapes, each other one the numbers of a tensor.

Version 2: `NAME.index`, a sorted table of `BundleEntryProto` messages by tensor name, which say where the numbers lie
in `NAME.data-00000-of-00001` and its like.

Every block and tensor has a checksum, and each is checked.

References: tensorflow/core/util/saved_tensor_slice.proto, tensorflow/core/protobuf/tensor_bundle.proto.
"""

import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.checksums import crc32c, masked
from earwitness.errors import ModelError
from earwitness.published.protobuf import MessageError, Value, fields_of
from earwitness.published.sorted_table import TableError, is_sorted_table, table_entries

_INDEX_SUFFIX = ".index"

_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
"""By their numbers in `types.proto`: float, double, int32, int64."""
_PACKED_FIELDS = {5: "<f4", 6: "<f8"}
"""Fields of `TensorProto` whose numbers lie side by side."""


def read_checkpoint_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All tensors of a checkpoint.

    Args:
        path: the file of version 1; or of version 2 the `.index`, or the name that its files have in common.

    Raises:
        ModelError: there is no such checkpoint, or it is truncated or altered; the tensor is named where it can be.
    """
    index = path if path.suffix == _INDEX_SUFFIX else path.with_name(path.name + _INDEX_SUFFIX)
    if not path.exists() and not index.exists():
        raise ModelError(f"{path}: there is no such file (nor {index.name})")
    is_version_2 = not path.exists() or path.suffix == _INDEX_SUFFIX
    table_path = index if is_version_2 else path
    try:
        table = _mapped(table_path)
        if not is_sorted_table(table):
            raise ModelError(
                f"{table_path}: not a TensorFlow checkpoint, or a truncated one (its last bytes are others)"
            )
        if is_version_2:
            return _bundle_tensors(table, table_path)
        return _slice_tensors(table, table_path)
    except (TableError, MessageError) as error:
        raise ModelError(f"{table_path}: the checkpoint is damaged ({error})") from error
    except OSError as error:
        raise ModelError(f"{error.filename or path}: the file cannot be read ({error.strerror or error})") from error


def is_checkpoint(path: Path) -> bool:
    """Whether a path is that of a checkpoint, of either version."""
    if path.with_name(path.name + _INDEX_SUFFIX).exists():
        return True
    return path.is_file() and is_sorted_table(_mapped(path))


def _mapped(path: Path) -> memoryview:
    if path.stat().st_size == 0:
        return memoryview(b"")
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _slice_tensors(table: memoryview, path: Path) -> dict[str, npt.NDArray[Any]]:
    """Of version 1."""
    shapes: dict[str, tuple[int, ...]] = {}
    found: dict[str, npt.NDArray[Any]] = {}
    for key, value, is_right in table_entries(table):
        if not key:
            _require_right(is_right, "the list of names", path)
            shapes = dict(_slice_shape(each) for each in _messages(_first(value, 1), 1))
            continue
        saved = dict(fields_of(_bytes(_first(value, 2))))
        name = _text(saved.get(1))
        _require_right(is_right, f"tensor {name!r}", path)
        numbers = _numbers(_bytes(saved.get(3)))
        shape = shapes.get(name)
        if shape is None or len(numbers) != math.prod(shape) or name in found:
            raise ModelError(
                f"{path}: tensor {name!r} has {len(numbers):,} numbers for shape {list(shape or ())}; it is damaged, "
                "or stored in slices, which are not read"
            )
        found[name] = numbers.reshape(shape)
    if missing := [name for name in shapes if name not in found]:
        raise ModelError(f"{path}: tensor {missing[0]!r} is listed and not there; the file is truncated")
    return found


def _slice_shape(meta: memoryview) -> tuple[str, tuple[int, ...]]:
    values = dict(fields_of(meta))
    return _text(values.get(1)), _shape(_bytes(values.get(2, memoryview(b""))))


def _bundle_tensors(table: memoryview, path: Path) -> dict[str, npt.NDArray[Any]]:
    """Of version 2."""
    found: dict[str, npt.NDArray[Any]] = {}
    num_shards = 1
    shards: dict[int, memoryview] = {}
    for key, value, is_right in table_entries(table):
        name = key.decode("utf-8", errors="replace")
        _require_right(is_right, f"what is said of tensor {name!r}" if name else "the header", path)
        entry = dict(fields_of(value))
        if not key:
            num_shards = _whole(entry.get(1, 1))
            if _whole(entry.get(2, 0)) != 0:
                raise ModelError(f"{path}: the checkpoint was written on a big-endian machine, and is not read")
            continue
        dtype, shape = _DTYPES.get(_whole(entry.get(1, 0))), _shape(_bytes(entry.get(2, memoryview(b""))))
        if dtype is None or 7 in entry:
            continue  # texts, and tensors in slices: one of the network's that is missing is named
        shard = _whole(entry.get(3, 0))
        if shard not in shards:
            shards[shard] = _mapped(path.with_name(f"{path.stem}.data-{shard:05d}-of-{num_shards:05d}"))
        start, num_bytes = _whole(entry.get(4, 0)), _whole(entry.get(5, 0))
        data = shards[shard][start : start + num_bytes]
        if len(data) != num_bytes or num_bytes != math.prod(shape) * np.dtype(dtype).itemsize:
            raise ModelError(f"{path}: tensor {name!r} is truncated: {len(data):,} bytes of {num_bytes:,} are there")
        stored = int.from_bytes(_bytes(entry.get(6, memoryview(b""))), "little")
        _require_right(masked(crc32c(data)) == stored, f"tensor {name!r}", path)
        found[name] = np.frombuffer(data, dtype).reshape(shape)
    return found


def _numbers(tensor: memoryview) -> npt.NDArray[Any]:
    """All numbers of a `TensorProto`, as they come."""
    parts = []
    for number, value in fields_of(tensor):
        if (dtype := _PACKED_FIELDS.get(number)) is None:
            continue
        if len(_bytes(value)) % np.dtype(dtype).itemsize:
            raise MessageError("a tensor ends within a number")
        parts.append(np.frombuffer(_bytes(value), dtype))
    return np.concatenate(parts) if parts else np.empty(0, "<f4")


def _shape(message: memoryview) -> tuple[int, ...]:
    return tuple(_whole(dict(fields_of(dimension)).get(1, 0)) for dimension in _messages(message, 2))


def _messages(message: Value, number: int) -> Iterator[memoryview]:
    return (_bytes(value) for each, value in fields_of(_bytes(message)) if each == number)


def _first(message: memoryview, number: int) -> memoryview:
    for each in _messages(message, number):
        return each
    raise MessageError(f"field {number} is missing")


def _bytes(value: Value | None) -> memoryview:
    if not isinstance(value, memoryview):
        raise MessageError("a number where bytes are expected" if value is not None else "bytes are missing")
    return value


def _whole(value: Value) -> int:
    if not isinstance(value, int):
        raise MessageError("bytes where a number is expected")
    return value


def _text(value: Value | None) -> str:
    return bytes(_bytes(value)).decode("utf-8", errors="replace")


def _require_right(is_right: bool, what: str, path: Path) -> None:
    if not is_right:
        raise ModelError(f"{path}: {what} was altered: its checksum is another one; fetch the file again")
