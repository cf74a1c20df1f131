"""The tensors of a Keras weights file (.h5), by the path of each in it, without the `:0` at its end.

Keras before version 3 gives every layer a group, in it the layer's weights by their own names, which may hold slashes:
`layer1/conv/layer1/conv/kernel:0`. A file of a whole model has these below `model_weights`, and the optimiser's beside
them. An HDF5 file can refer to others; such references are refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import MissingExtraError, ModelError
from earwitness.table_files import first_line

_MAX_BYTES = 2**30
"""Of all tensors together; VGGish has 0.3 GB. A file of some kilobytes may say that it holds far more."""

_MODEL_GROUP = "model_weights/"
_OPTIMIZER_GROUP = "optimizer_weights/"


def require_h5py() -> Any:
    """The package that reads HDF5.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "Keras files (.h5) are read by h5py, which is not installed: pip install 'earwitness[keras]'"
        ) from error
    return h5py


def read_keras_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All tensors of a file but the optimiser's.

    Raises:
        ModelError: no HDF5 file, truncated, or holds something else than plain tensors; the tensor is named.
        MissingExtraError: h5py is not installed.
    """
    h5py = require_h5py()
    found: dict[str, npt.NDArray[Any]] = {}
    name = ""
    try:
        with h5py.File(path, "r") as file:
            datasets: dict[str, Any] = {}
            file.visititems(lambda each, item: datasets.update({each: item}) if hasattr(item, "shape") else None)
            num_bytes = 0
            for name, dataset in datasets.items():
                if name.startswith(_OPTIMIZER_GROUP):
                    continue
                if dataset.shape is None:
                    raise ModelError(f"{path}: tensor {name!r} is empty; the file is damaged")
                if dataset.is_virtual or dataset.external:
                    raise ModelError(f"{path}: tensor {name!r} lies in another file, which is not followed")
                if dataset.dtype.kind != "f":
                    raise ModelError(f"{path}: tensor {name!r} is of type {dataset.dtype}; only floats are read")
                num_bytes += int(np.prod(dataset.shape, dtype=np.float64)) * dataset.dtype.itemsize
                if num_bytes > _MAX_BYTES:
                    raise ModelError(f"{path}: tensor {name!r} of shape {list(dataset.shape)} is too large to be true")
                key = name.removeprefix(_MODEL_GROUP).removesuffix(":0")
                if key in found:
                    raise ModelError(f"{path}: tensor {name!r} is there twice, by two paths")
                found[key] = dataset[()]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        at = f" at tensor {name!r}" if name else ""
        raise ModelError(
            f"{path}: not a readable HDF5 file{at}: something else, truncated or damaged ({first_line(error)})"
        ) from error
    return found
