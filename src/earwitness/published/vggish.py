"""Which tensor of a published VGGish belongs where in ours.

- TensorFlow checkpoint (as released): `vggish/conv1/weights`, `vggish/conv3/conv3_1/biases`,
  `vggish/fc1/fc1_1/weights`, `vggish/fc2/weights` ...
- Keras conversions (.h5): the same names with `kernel` and `bias`, with or without `vggish_` or a scope before them,
  and `conv3_1` or `fc1_1` by themselves.
- PyTorch (torchvggish): `features.0.weight`, `embeddings.0.weight` ...; `pproc.` is its post-processor.

All of them end in the embedding: a classifier was not published. The parameters of the post-processor come in a file of
their own (`vggish_pca_params.npz`) or, in PyTorch, with the rest.

References: tensorflow/models, research/audioset/vggish; harritaylor/torchvggish; DTaoo/VGGish.
"""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from earwitness.errors import ModelError
from earwitness.front_end import FrontEnd
from earwitness.models.network import Network
from earwitness.models.vggish import STAGES, VGGish
from earwitness.published.placing import CONVOLUTION_AXES, LINEAR_AXES, Tensors, Wanted, place_tensors
from earwitness.table_files import first_line

FRONT_END = FrontEnd()
"""The paper's, which the release fixed."""

_TENSORFLOW_NAMES = (
    *("conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2", "conv4/conv4_1", "conv4/conv4_2"),
    *("fc1/fc1_1", "fc1/fc1_2", "fc2"),
)
_SCOPED = re.compile(r"(?:^|[/_])(conv\d(?:_\d)?|fc\d(?:_\d)?)/(weights|kernel|biases|bias)$")
_KINDS = {"weights": "weight", "kernel": "weight", "biases": "bias", "bias": "bias"}
_STEP = "global_step"
_PCA_NAMES = {"pca_eigen_vectors": "matrix", "pca_means": "means"}


def place_tensorflow_tensors(network: Network, found: Tensors, *, path: Path) -> None:
    """Give a network the tensors of a TensorFlow checkpoint or of a Keras file.

    Raises:
        ModelError: they are not VGGish's; a tensor is named.
    """
    wanted: dict[str, Wanted] = {}
    for ours, theirs in zip(_our_layers(), _TENSORFLOW_NAMES, strict=True):
        axes = CONVOLUTION_AXES if theirs.startswith("conv") else LINEAR_AXES
        short = theirs.rpartition("/")[2]
        wanted[f"{ours}.weight"] = Wanted(name=f"{short}/weight", axes=axes)
        wanted[f"{ours}.bias"] = Wanted(name=f"{short}/bias")
    short_names: dict[str, npt.NDArray[Any]] = {}
    for name, numbers in found.items():
        match = _SCOPED.search(name)
        key = f"{match[1]}/{_KINDS[match[2]]}" if match else name
        if key in short_names:
            raise ModelError(f"{path}: tensor {name!r} is there twice, by two paths")
        if key != _STEP:
            short_names[key] = numbers
    place_tensors(network, wanted, short_names, path=path, what="vggish")


def place_torch_tensors(network: Network, found: Tensors, *, path: Path) -> None:
    """Give a network the tensors of torchvggish; those of its post-processor are passed over.

    Raises:
        ModelError: they are not VGGish's; a tensor is named.
    """
    wanted: dict[str, Wanted] = {}
    for ours in _our_layers():
        theirs = ours.replace("convolutions", "features").replace("hidden", "embeddings")
        for name in ("weight", "bias"):
            wanted[f"{ours}.{name}"] = Wanted(name=f"{theirs}.{name}")
    own = {name: tensor for name, tensor in found.items() if not name.startswith("pproc.")}
    place_tensors(network, wanted, own, path=path, what="vggish")


def place_whitening(network: VGGish, path: Path) -> None:
    """Give a network with `whiten` the parameters of the post-processor, from the published .npz.

    Raises:
        ModelError: the file holds others, or none.
    """
    assert network.whitening is not None
    size = network.whitening.in_features
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {_PCA_NAMES.get(name, name): file[name].astype(np.float64) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ModelError(f"{path}: not a readable .npz of PCA parameters ({first_line(error)})") from error
    matrix, means = found.get("matrix"), found.get("means")
    if set(found) != {"matrix", "means"} or matrix is None or means is None:
        raise ModelError(f"{path}: it holds {', '.join(found) or 'nothing'}; {' and '.join(_PCA_NAMES)} are needed")
    if matrix.shape != (size, size) or means.size != size:
        raise ModelError(
            f"{path}: pca_eigen_vectors has shape {list(matrix.shape)} and pca_means {list(means.shape)}; "
            f"[{size}, {size}] and [{size}] are needed"
        )
    if not (np.isfinite(matrix).all() and np.isfinite(means).all()):
        raise ModelError(f"{path}: the PCA parameters hold something that is no number; the file is damaged")
    with torch.no_grad():  # matrix @ (embedding - means)
        network.whitening.weight.copy_(torch.from_numpy(matrix))
        network.whitening.bias.copy_(torch.from_numpy(-matrix @ means.reshape(-1)))


def silence_output(network: Network) -> None:
    """Zero the output, which no published file has: until one is learnt, it says nothing."""
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()


def _our_layers() -> list[str]:
    """The layers with weights, in the order they run; torchvggish's places in its sequences are the same."""
    names, place = [], 0
    for _, num_convolutions in STAGES:
        for _ in range(num_convolutions):
            names.append(f"convolutions.{place}")
            place += 2  # a ReLU follows
        place += 1  # a pool follows
    return [*names, "hidden.0", "hidden.2", "hidden.4"]
