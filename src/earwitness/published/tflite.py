"""The layers with weights of a TFLite file, as float32.

A TFLite file is a FlatBuffer: operators in the order they run, each with the numbers of its tensors; tensors, each with
a shape, a type and the number of the buffer that holds its numbers. Only convolutions and fully connected layers are
given; what computes the front end beside them is passed over.

Weights of 8 bits stand for (q - zero_point) * scale, with one scale for the whole tensor or one for each slice along an
axis. Which numbers they were before is lost: half a scale is the largest difference.

References: the TFLite schema (tensorflow/lite/schema/schema.fbs), version 3.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ModelError
from earwitness.published.flatbuffer import OutsideError, Table
from earwitness.published.placing import shortened

_IDENTIFIER = b"TFL3"

# Numbers of fields in the schema's tables.
_MODEL_OPERATOR_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_OPERATORS = 0, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 2, 3, 4
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT, _QUANTIZATION_AXIS = 2, 3, 6
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OPTIONS = 0, 1, 4
_CODE_DEPRECATED, _CODE_BUILTIN = 0, 3
_BUFFER_DATA = 0
_STRIDE_WIDTH, _STRIDE_HEIGHT = 1, 2
_ACTIVATION_AND_DILATIONS = {3: (3, (4, 5)), 4: (4, (5, 6)), 9: (0, ())}
"""Of the options of each kind of operator in `_KINDS`; those of fully connected layers know no dilation."""
_ACTIVATIONS = {0: "none", 1: "ReLU", 2: "ReLU to 1", 3: "ReLU to 6", 4: "tanh", 5: "sign"}
_MAX_AXES = 8
_MIN_ZERO, _MAX_ZERO = -128, 255
"""Zero points of 8 bits."""

_KINDS = {3: "convolution", 4: "depthwise convolution", 9: "fully connected layer"}
"""By their numbers among the builtin operators."""

_FLOAT32, _FLOAT16, _UINT8, _INT8 = 0, 1, 3, 9
_DTYPES = {_FLOAT32: "<f4", _FLOAT16: "<f2", _UINT8: "u1", _INT8: "i1"}


@dataclass(frozen=True, kw_only=True)
class TFLiteLayer:
    """An operator that has weights."""

    kind: str
    """A value of `_KINDS`."""
    name: str
    """Of the tensor that holds the weights."""
    weight: npt.NDArray[np.float32]
    """Convolution: [out, rows, columns, in]; depthwise: [1, rows, columns, channels]; fully connected: [out, in]."""
    bias_name: str
    bias: npt.NDArray[np.float32] | None
    strides: tuple[int, int]
    """Rows, columns; (1, 1) in a fully connected layer."""
    activation: str
    """A value of `_ACTIVATIONS`: what the operator itself puts behind its result."""
    dilations: tuple[int, int]
    """Rows, columns; (1, 1): its weights meet neighbours."""
    is_quantised: bool
    """Whether the weights were 8-bit."""


def read_tflite_layers(path: Path) -> list[TFLiteLayer]:
    """The layers with weights in the order they run.

    Raises:
        ModelError: no TFLite file, truncated, or with tensors of a kind that cannot be read; the tensor is named.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: the file cannot be read ({error.strerror})") from error
    if bytes(data[4:8]) != _IDENTIFIER:
        raise ModelError(f"{path}: not a TFLite file (it does not say {_IDENTIFIER.decode()} at its beginning)")
    try:
        return _Graph(Table.root(data), path).layers()
    except OutsideError as error:
        raise ModelError(f"{path}: truncated or damaged, its tables point outside ({error})") from error


class _Graph:
    """The only graph of a file."""

    def __init__(self, model: Table, path: Path) -> None:
        self._path = path
        graphs = model.tables(_MODEL_SUBGRAPHS)
        if not graphs:
            raise ModelError(f"{path}: the TFLite file holds no graph")
        self._tensors = graphs[0].tables(_GRAPH_TENSORS)
        self._operators = graphs[0].tables(_GRAPH_OPERATORS)
        self._buffers = model.tables(_MODEL_BUFFERS)
        self._codes = [
            max(code.whole_number(_CODE_BUILTIN), code.whole_number(_CODE_DEPRECATED, kind="<b"))
            for code in model.tables(_MODEL_OPERATOR_CODES)
        ]

    def layers(self) -> list[TFLiteLayer]:
        found = []
        for operator in self._operators:
            code = self._item(self._codes, operator.whole_number(_OPERATOR_CODE, kind="<I"), "operator code")
            inputs = [int(i) for i in operator.numbers(_OPERATOR_INPUTS, "<i4")]
            if code not in _KINDS or len(inputs) < 2:
                continue
            weight = self._item(self._tensors, inputs[1], "tensor")
            if not self._num_bytes(weight):  # computed while it runs: a product, not a layer
                continue
            bias = self._item(self._tensors, inputs[2], "tensor") if len(inputs) > 2 and inputs[2] >= 0 else None
            activation, dilations = _options_behind(operator, code)
            found.append(
                TFLiteLayer(
                    kind=_KINDS[code],
                    name=weight.text(_TENSOR_NAME),
                    weight=self._numbers(weight),
                    bias_name=bias.text(_TENSOR_NAME) if bias else "",
                    bias=self._numbers(bias) if bias else None,
                    strides=_strides(operator) if _KINDS[code] != "fully connected layer" else (1, 1),
                    activation=activation,
                    dilations=dilations,
                    is_quantised=weight.whole_number(_TENSOR_TYPE, kind="<b") in (_INT8, _UINT8),
                )
            )
        return found

    def _num_bytes(self, tensor: Table) -> int:
        try:
            return len(self._data(tensor))
        except OutsideError as error:
            raise ModelError(
                f"{self._path}: truncated: tensor {shortened(tensor.text(_TENSOR_NAME))!r} lies at {error}"
            ) from error

    def _data(self, tensor: Table) -> memoryview:
        buffer: Table = self._item(self._buffers, tensor.whole_number(_TENSOR_BUFFER, kind="<I"), "buffer")
        return buffer.data(_BUFFER_DATA)

    def _numbers(self, tensor: Table) -> npt.NDArray[np.float32]:
        """A tensor's numbers in its shape, dequantised."""
        name, kind = shortened(tensor.text(_TENSOR_NAME)), tensor.whole_number(_TENSOR_TYPE, kind="<b")
        shape = tuple(int(size) for size in tensor.numbers(_TENSOR_SHAPE, "<i4"))
        if kind not in _DTYPES:
            raise ModelError(
                f"{self._path}: tensor {name!r} is of TFLite type {kind}; float32, float16 and 8 bits are read"
            )
        if len(shape) > _MAX_AXES:
            raise ModelError(f"{self._path}: tensor {name!r} has {len(shape):,} axes; the file is damaged")
        expected, came = math.prod(shape) * np.dtype(_DTYPES[kind]).itemsize, self._num_bytes(tensor)
        if min(shape, default=1) < 1 or came != expected:
            raise ModelError(
                f"{self._path}: tensor {name!r} of shape {list(shape)} needs {expected:,} bytes and has {came:,}; the "
                "file is damaged"
            )
        numbers = np.frombuffer(self._data(tensor), _DTYPES[kind]).reshape(shape)
        if kind in (_FLOAT32, _FLOAT16):
            return numbers.astype(np.float32)
        return self._dequantised(numbers, tensor, name)

    def _dequantised(self, numbers: npt.NDArray[Any], tensor: Table, name: str) -> npt.NDArray[np.float32]:
        quantization = tensor.table(_TENSOR_QUANTIZATION)
        scales = quantization.numbers(_QUANTIZATION_SCALE, "<f4") if quantization else np.empty(0, "<f4")
        zeros = quantization.numbers(_QUANTIZATION_ZERO_POINT, "<i8") if quantization else np.empty(0, "<i8")
        axis = quantization.whole_number(_QUANTIZATION_AXIS) if quantization else 0
        fits_axis = 0 <= axis < numbers.ndim and len(scales) == numbers.shape[axis]
        if not (len(scales) == 1 or fits_axis) or len(zeros) not in (0, 1, len(scales)):
            raise ModelError(
                f"{self._path}: tensor {name!r} of shape {list(numbers.shape)} has {len(scales)} scales and "
                f"{len(zeros)} zero points along axis {axis}; the file is damaged"
            )
        are_scales = all(0 < float(scale) < math.inf for scale in scales)
        if not are_scales or not all(_MIN_ZERO <= int(zero) <= _MAX_ZERO for zero in zeros):
            raise ModelError(f"{self._path}: tensor {name!r} has scales or zero points that cannot be; it is damaged")
        along = [1] * numbers.ndim
        if len(scales) > 1:
            along[axis] = len(scales)
        shift = zeros.reshape(along if len(zeros) > 1 else 1).astype(np.float32) if len(zeros) else np.float32(0)
        result: npt.NDArray[np.float32] = (numbers.astype(np.float32) - shift) * scales.reshape(along)  # type: ignore[operator]
        return result

    def _item(self, items: list[Any], number: int, what: str) -> Any:
        if not 0 <= number < len(items):
            raise ModelError(f"{self._path}: damaged, it has {len(items)} {what}s and names number {number}")
        return items[number]


def _strides(operator: Table) -> tuple[int, int]:
    options = operator.table(_OPERATOR_OPTIONS)
    if options is None:
        return (0, 0)
    return options.whole_number(_STRIDE_HEIGHT), options.whole_number(_STRIDE_WIDTH)


def _options_behind(operator: Table, code: int) -> tuple[str, tuple[int, int]]:
    """The activation, and the dilations of rows and columns."""
    options = operator.table(_OPERATOR_OPTIONS)
    if options is None:
        return _ACTIVATIONS[0], (1, 1)
    activation, dilations = _ACTIVATION_AND_DILATIONS[code]
    number = options.whole_number(activation, kind="<b")
    columns, rows = (options.whole_number(field, default=1) for field in dilations) if dilations else (1, 1)
    return _ACTIVATIONS.get(number, f"number {number}"), (rows, columns)
