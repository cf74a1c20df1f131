"""A published file to a model of ours: which reader it needs, which network, which labels and front end.

What a file is, its content says where it can, and its name else. The model's provenance names the file and its SHA-256.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from earwitness.errors import ModelError, SettingsError
from earwitness.labels import NO_LABELS, LabelSet, read_label_set
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model
from earwitness.models.vggish import VGGish
from earwitness.published import vggish, yamnet
from earwitness.published.keras_file import read_keras_tensors
from earwitness.published.placing import Tensors
from earwitness.published.tensorflow_checkpoint import is_checkpoint, read_checkpoint_tensors
from earwitness.published.tflite import TFLiteLayer, read_tflite_layers
from earwitness.published.torch_file import read_torch_tensors

Published = Literal["yamnet", "vggish"]
"""Networks whose files are known."""

CLASS_MAP = "yamnet_class_map.csv"
"""YAMNet's labels, as published beside it."""

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_TFLITE_MAGIC = b"TFL3"
_ZIP_MAGIC = b"PK\x03\x04"
_TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")

Format = Literal["Keras", "TFLite", "PyTorch", "TensorFlow checkpoint"]


@dataclass(frozen=True, kw_only=True)
class ImportedModel:
    """A model made from a published file."""

    model: Model
    format: Format
    num_tensors: int
    """Tensors of the file that the network holds."""
    left_out: tuple[str, ...]
    """Tensors of the file's own front end, which ours stands in for."""
    is_quantised: bool
    """Whether some weights were of 8 bits."""


def import_model(
    path: str | Path,
    *,
    published_as: Published,
    class_map: Path | None = None,
    last_relu: bool = False,
    pca: Path | None = None,
) -> ImportedModel:
    """Make a model of a published file.

    Args:
        path: Keras .h5, TFLite, a PyTorch state dictionary or a TensorFlow checkpoint.
        published_as: the network that it is the file of.
        class_map: YAMNet's labels. None: `yamnet_class_map.csv` beside the file.
        last_relu: VGGish: whether a ReLU follows the embedding, as in the older release.
        pca: VGGish: the parameters of its post-processor, which the embedding then goes through. None: it does not.

    Raises:
        ModelError: the file is missing, damaged, of another network, or of a kind that this network was not published
            in; a tensor is named where there is one.
        LabelError: the labels cannot be read.
        SettingsError: an option is another network's.
        MissingExtraError: h5py is needed and not installed.
    """
    path = Path(path)
    if published_as not in get_args(Published):
        raise SettingsError(f"--as {published_as}: known are {', '.join(get_args(Published))}")
    if published_as == "yamnet":
        if last_relu or pca is not None:
            raise SettingsError("--last-relu and --pca are of vggish; leave them away for yamnet")
        return _import_yamnet(path, class_map)
    if class_map is not None:
        raise SettingsError("--class-map is of yamnet; vggish was published without a classifier, up to its embedding")
    return _import_vggish(path, last_relu=last_relu, pca=pca)


def _import_yamnet(path: Path, class_map: Path | None) -> ImportedModel:
    file_format = format_of(path)
    before: Sequence[TFLiteLayer] = ()
    layers: Sequence[TFLiteLayer] = ()
    tensors: Tensors = {}
    if file_format == "TFLite":
        all_layers = read_tflite_layers(path)
        layers = yamnet.network_layers(all_layers, path=path)
        before = all_layers[: len(all_layers) - len(layers)]
        biases = [layer.bias for layer in layers[-1:] if layer.bias is not None]
    elif file_format == "Keras":
        tensors = read_keras_tensors(path)
        biases = yamnet.keras_output_biases(tensors)
    elif file_format == "PyTorch":
        tensors = read_torch_tensors(path)
        biases = [numbers for name, numbers in tensors.items() if name == "classifier.bias"]
    else:
        raise ModelError(f"{path}: a {file_format}, which yamnet was not published as; .h5, .tflite and .pth are read")
    num_labels = yamnet.num_outputs(biases, path=path)
    label_set = _class_map(path, class_map, num_labels)
    arguments = _arguments(num_labels)
    if file_format == "TFLite":
        arguments["batch_norm"] = False
    architecture = Architecture(name="yamnet", arguments=arguments)
    network = architecture.build()
    if file_format == "TFLite":
        yamnet.place_tflite_layers(network, layers, path=path)
    elif file_format == "Keras":
        yamnet.place_keras_tensors(network, tensors, path=path)
    else:
        yamnet.place_torch_tensors(network, tensors, path=path)
    model = Model(
        network=network.eval(),
        architecture=architecture,
        label_set=label_set,
        front_end=yamnet.FRONT_END,
        provenance=_provenance(path, file_format, "yamnet"),
    )
    return ImportedModel(
        model=model,
        format=file_format,
        num_tensors=2 * len(layers) or len(tensors),
        left_out=tuple(layer.name for layer in before),
        is_quantised=any(layer.is_quantised for layer in layers),
    )


def _import_vggish(path: Path, *, last_relu: bool, pca: Path | None) -> ImportedModel:
    file_format = format_of(path)
    arguments = {**_arguments(len(NO_LABELS)), "last_relu": last_relu, "whiten": pca is not None}
    architecture = Architecture(name="vggish", arguments=arguments)
    if file_format == "TensorFlow checkpoint":
        tensors = read_checkpoint_tensors(path)
    elif file_format == "Keras":
        tensors = read_keras_tensors(path)
    elif file_format == "PyTorch":
        tensors = read_torch_tensors(path)
    else:
        raise ModelError(f"{path}: a {file_format} file, which vggish was not published as; .ckpt, .h5, .pth are read")
    network = architecture.build()
    if file_format == "PyTorch":
        vggish.place_torch_tensors(network, tensors, path=path)
    else:
        vggish.place_tensorflow_tensors(network, tensors, path=path)
    vggish.silence_output(network)
    if pca is not None:
        assert isinstance(network, VGGish)
        vggish.place_whitening(network, pca)
    model = Model(
        network=network.eval(),
        architecture=architecture,
        label_set=NO_LABELS,
        front_end=vggish.FRONT_END,
        provenance=_provenance(path, file_format, "vggish"),
    )
    return ImportedModel(model=model, format=file_format, num_tensors=len(tensors), left_out=(), is_quantised=False)


def format_of(path: Path) -> Format:
    """What kind of file it is.

    Raises:
        ModelError: there is none, or of no kind that is read.
    """
    if path.is_dir():
        raise ModelError(f"{path}: this is a folder; name the file in it (.h5, .tflite, .ckpt, .pth)")
    if is_checkpoint(path):
        return "TensorFlow checkpoint"
    try:
        with path.open("rb") as file:
            beginning = file.read(8)
    except OSError as error:
        raise ModelError(f"{path}: the file cannot be read ({error.strerror})") from error
    if beginning == _HDF5_MAGIC:
        return "Keras"
    if beginning[4:] == _TFLITE_MAGIC:
        return "TFLite"
    if path.suffix in _TORCH_SUFFIXES or beginning.startswith(_ZIP_MAGIC):
        return "PyTorch"
    if path.suffix == ".ckpt":
        return "TensorFlow checkpoint"
    raise ModelError(
        f"{path}: neither Keras (.h5), TFLite, PyTorch (.pth) nor a TensorFlow checkpoint by its content; truncated, "
        "or something else (a page of a server that refused?)"
    )


def _arguments(num_labels: int) -> dict[str, Any]:
    return {"num_labels": num_labels, "patch_frames": 96, "num_bands": 64}


def _class_map(path: Path, class_map: Path | None, num_labels: int) -> LabelSet:
    beside = path.with_name(CLASS_MAP)
    if class_map is None and not beside.exists():
        raise SettingsError(
            f"{path}: the file has {num_labels} outputs and not their names; give --class-map {CLASS_MAP}, published "
            "beside it (`earwitness pull yamnet` fetches both)"
        )
    chosen = class_map or beside
    label_set = read_label_set(chosen)
    if len(label_set) != num_labels:
        raise ModelError(f"{chosen}: the class map has {len(label_set)} labels, and {path} has {num_labels} outputs")
    return label_set


def _provenance(path: Path, file_format: Format, published_as: Published) -> Mapping[str, Any]:
    files = [path] if path.exists() else sorted(path.parent.glob(f"{path.name}.*"))
    digests = {each.name: _sha256(each) for each in files}
    return {"imported": {"as": published_as, "format": file_format, "sha256": digests, "licence": "Apache-2.0"}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
