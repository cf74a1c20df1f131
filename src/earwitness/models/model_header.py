"""The front end that a model file names at its beginning, or an exported model, read without torch."""

import json
from pathlib import Path
from typing import Any

from earwitness.errors import EarwitnessError, ModelError
from earwitness.front_end import FrontEnd
from earwitness.models.onnx_file import load_onnx_model

FORMAT = "earwitness model"
"""What the metadata of a model file says that it is."""

MODEL_NAME = "model.safetensors"
"""What a training calls its model."""


def read_front_end(path: str | Path) -> FrontEnd:
    """The front end of a model file (`.safetensors`), or of an exported model (`.onnx`).

    Raises:
        ModelError: the file cannot be read, or is no model of earwitness.
        MissingExtraError: it is exported, and the extra `onnx` is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        return load_onnx_model(path).front_end
    require_no_folder(path)
    metadata = _metadata(path)
    try:
        return FrontEnd.from_dict(json.loads(metadata["description"])["front_end"])
    except EarwitnessError as error:
        raise ModelError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{path}: a safetensors file, but not a model of earwitness ({type(error).__name__}: {error})"
        ) from error


def is_model_of_ours(path: Path) -> bool:
    """Whether a safetensors file says that it is a model of earwitness, and does not hold tensors alone.

    Raises:
        ModelError: the file cannot be read, or is no safetensors file.
    """
    return bool(_metadata(path).get("format") == FORMAT)


def require_no_folder(path: Path) -> None:
    """Refuse a folder where a model file is needed.

    Raises:
        ModelError: it is one; the model in it is named.
    """
    if path.is_dir():
        inside = path / MODEL_NAME
        hint = f"; the model is {inside}" if inside.exists() else f"; a training writes {MODEL_NAME} at its end"
        raise ModelError(f"{path}: this is a folder, a model file is needed{hint}")


def _metadata(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        metadata = header.get("__metadata__", {})
        if isinstance(metadata, dict):
            return metadata
        why = "its metadata are none"
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError, RecursionError) as error:
        why = type(error).__name__
    raise ModelError(
        f"{path}: not a model file of earwitness, which is a safetensors file ({why}); published weights become one by "
        "`earwitness import`"
    )
