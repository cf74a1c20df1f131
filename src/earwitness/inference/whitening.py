"""PCA whitening of embeddings and their 8 bits, as Audio Set's were published with VGGish; or fitted to one's own.

    whitened = matrix @ (embedding - means)                      numbers of variance 1 that do not depend on one another
    8 bits   = floor((clip(whitened, -2, 2) + 2) * 255 / 4)      uint8
    and back = 8 bits * 4 / 255 + 4 / 512 - 2                    off by 4 / 510 and a little, within the limits

The way back is that of YouTube-8M's readers: it adds half a step for what was cut off. Parameters come in the
published `vggish_pca_params.npz` (`pca_eigen_vectors`, `pca_means`) or in a safetensors file of ours, with the tensors
`matrix` and `means` and where they come from. Sums are float64. Without torch.

References: tensorflow/models, research/audioset/vggish (vggish_postprocess.py); google/youtube-8m (utils.Dequantize).
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.table_files import first_line

LIMIT = 2.0
"""Whitened numbers beyond it are cut off before they become 8 bits."""
_STEPS = 255
_RANGE = 2 * LIMIT

FORMAT = "earwitness whitening"
FORMAT_VERSION = 1
_PUBLISHED_NAMES = {"pca_eigen_vectors": "matrix", "pca_means": "means"}

_SMALLEST_VARIANCE = 1e-10
"""Directions with less than this share of the largest variance hold rounding, and whitening would blow it up."""


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """A rotation with whitening."""

    matrix: npt.NDArray[np.float64]
    """[numbers kept, embedding_size]: a principal direction a row, divided by the standard deviation along it."""
    means: npt.NDArray[np.float64]
    """[embedding_size]."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it was fitted to; JSON values."""

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.means.shape != self.matrix.shape[1:]:
            raise SettingsError(
                f"PCA parameters of shapes {list(self.matrix.shape)} and {list(self.means.shape)}; a matrix "
                "[kept, size] and means [size] are needed"
            )
        if not (np.isfinite(self.matrix).all() and np.isfinite(self.means).all()):
            raise SettingsError("the PCA parameters hold something that is no number; the file is damaged")

    @property
    def input_size(self) -> int:
        """Numbers of an embedding."""
        return int(self.matrix.shape[1])

    @property
    def output_size(self) -> int:
        """Numbers that are kept of it."""
        return int(self.matrix.shape[0])

    @property
    def digest(self) -> str:
        """16 hex digits over its numbers: what was made with it names it by."""
        content = f"{self.matrix.shape}".encode() + self.matrix.tobytes() + self.means.tobytes()
        return hashlib.sha256(content).hexdigest()[:16]

    def require_size(self, embedding_size: int) -> None:
        """Refuse embeddings of another size.

        Raises:
            SettingsError: it was fitted to others; both sizes are named.
        """
        if embedding_size != self.input_size:
            raise SettingsError(
                f"the PCA parameters are for embeddings of {self.input_size:,} numbers, and the model's have "
                f"{embedding_size:,}; fit your own (--pca fit), or use the model they were fitted to"
            )

    def apply(self, embeddings: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Whitened [n, output_size] of embeddings [n, embedding_size]; not limited yet."""
        whitened: npt.NDArray[np.float64] = (embeddings.astype(np.float64) - self.means) @ self.matrix.T
        return whitened


def quantise(whitened: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """8 bits of numbers that are cut off at -2 and 2, as published: rounded down."""
    clipped = np.clip(whitened.astype(np.float64), -LIMIT, LIMIT)
    quantised: npt.NDArray[np.uint8] = ((clipped + LIMIT) * (_STEPS / _RANGE)).astype(np.uint8)
    return quantised


def dequantise(quantised: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Numbers about as they were before `quantise`: within a step of 4 / 255."""
    numbers: npt.NDArray[np.float32] = (quantised * (_RANGE / _STEPS) + (_RANGE / 512 - LIMIT)).astype(np.float32)
    return numbers


class WhiteningFit:
    """Takes embeddings block by block and gives their whitening: mean and covariance are exact, in float64.

    Memory is one matrix [size, size], however many come. Blocks are joined as by Chan, Golub and LeVeque (1979), so
    that a large mean does not drown a small variance.
    """

    def __init__(self, embedding_size: int) -> None:
        self.num_embeddings = 0
        self._means = np.zeros(embedding_size)
        self._scatter = np.zeros((embedding_size, embedding_size))

    def push(self, embeddings: npt.NDArray[Any]) -> None:
        """Take embeddings [n, embedding_size]."""
        if not len(embeddings):
            return
        block = embeddings.astype(np.float64)
        means, count = block.mean(axis=0), len(block)
        centred = block - means
        total = self.num_embeddings + count
        shift = means - self._means
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.num_embeddings * count / total)
        self._means += shift * (count / total)
        self.num_embeddings = total

    def finish(self, *, num_kept: int | None = None, provenance: Mapping[str, Any] | None = None) -> Whitening:
        """The whitening, along the directions of the largest variance first.

        A direction's sign is such that its largest number is positive: so a fit does not depend on the library.

        Args:
            num_kept: numbers to keep of an embedding. None: all whose variance is more than rounding.
            provenance: what it was fitted to.

        Raises:
            SettingsError: there are too few embeddings, or more is to be kept than they hold.
        """
        if self.num_embeddings < 2:
            raise SettingsError(
                f"a PCA cannot be fitted to {_counted(self.num_embeddings, 'embedding')}; at least 2 are needed"
            )
        covariance = self._scatter / (self.num_embeddings - 1)
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = variances[::-1], directions[:, ::-1]
        num_there = int(np.count_nonzero(variances > max(variances[0], 0.0) * _SMALLEST_VARIANCE))
        kept = num_there if num_kept is None else num_kept
        if not 1 <= kept <= num_there:
            raise SettingsError(
                f"{_counted(kept, 'number')} cannot be kept of an embedding: the {self.num_embeddings:,} embeddings "
                f"vary in {_counted(num_there, 'direction')} of {len(variances):,}; embed more sound, or keep fewer"
            )
        directions, variances = directions[:, :kept], variances[:kept]
        largest = directions[np.abs(directions).argmax(axis=0), np.arange(kept)]
        directions = directions * np.sign(largest)
        told = {
            "num_embeddings": self.num_embeddings,
            "share_of_variance_kept": float(variances.sum() / np.trace(covariance)),
            **(provenance or {}),
        }
        return Whitening(matrix=(directions / np.sqrt(variances)).T, means=self._means.copy(), provenance=told)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def save_whitening(whitening: Whitening, path: Path) -> None:
    """Write a whitening as a safetensors file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "provenance": json.dumps(dict(whitening.provenance), ensure_ascii=False),
    }
    tensors = {"matrix": np.ascontiguousarray(whitening.matrix), "means": whitening.means}
    with replacing(path) as file:
        file.write(save(tensors, metadata=metadata))


def load_whitening(path: Path) -> Whitening:
    """Read a whitening: a safetensors file of ours, or the published .npz.

    Raises:
        SettingsError: the file is missing, damaged or something else.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file of PCA parameters; `--pca fit` fits your own")
    try:
        found, provenance = _published(path) if path.suffix.lower() == ".npz" else _own(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError, AttributeError) as error:
        raise SettingsError(
            f"{path}: not a readable .npz or .safetensors file of PCA parameters ({first_line(error)})"
        ) from error
    if set(found) != {"matrix", "means"}:
        raise SettingsError(
            f"{path}: it holds {', '.join(sorted(found)) or 'nothing'}; PCA parameters are pca_eigen_vectors and "
            "pca_means (.npz), or matrix and means (.safetensors)"
        )
    numbers = {name: array.astype(np.float64) for name, array in found.items()}
    try:
        return Whitening(matrix=numbers["matrix"], means=numbers["means"].reshape(-1), provenance=provenance)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


Arrays = dict[str, npt.NDArray[Any]]


def _published(path: Path) -> tuple[Arrays, dict[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {_PUBLISHED_NAMES.get(name, name): file[name] for name in file.files}, {"file": path.name}


def _own(path: Path) -> tuple[Arrays, dict[str, Any]]:
    with safe_open(path, framework="np") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError("a safetensors file, but of something else; its metadata does not say so")
        if metadata.get("format_version") != str(FORMAT_VERSION):
            raise ValueError(f"format {metadata.get('format_version')}; this earwitness reads {FORMAT_VERSION}")
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata["provenance"])  # noqa: SIM118
