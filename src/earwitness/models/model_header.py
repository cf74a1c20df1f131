"""The front end that a model file names at its beginning, or an exported model, read without torch."""

import json
from pathlib import Path

from earwitness.errors import EarwitnessError, ModelError
from earwitness.front_end import FrontEnd
from earwitness.models.onnx_file import load_onnx_model


def read_front_end(path: str | Path) -> FrontEnd:
    """The front end of a model file (`.safetensors`), or of an exported model (`.onnx`).

    Raises:
        ModelError: the file cannot be read, or is no model of earwitness.
        MissingExtraError: it is exported, and the extra `onnx` is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        return load_onnx_model(path).front_end
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        return FrontEnd.from_dict(json.loads(header["__metadata__"]["description"])["front_end"])
    except EarwitnessError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a model file of earwitness ({type(error).__name__}: {error})") from error
