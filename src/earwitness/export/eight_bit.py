"""The network in 8 bits: calibrated on patches of a corpus, and measured on clips whose labels are known.

Weights have signed 8 bits with a scale for each output channel; activations have unsigned 8 bits with one scale and
zero point a tensor, from the smallest and largest number met in a batch of calibration, averaged over the batches. The
front end, the last layer and the sigmoid stay as they are: they are little work, and scores in 256 steps would be of no
use.

Tried on ResNet-50 (a quarter wide, ESC-10): with extremes of all patches instead of averages, scores correlate with
float32's by 0.981 instead of 0.995; with 7-bit weights by 0.978; with unsigned weights by 0.996, half as fast. So
signed 8 bits, which x86 processors without VNNI (before about 2019) may overflow: what was measured holds for
processors like the one it was measured on.

References: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference"; ONNX Runtime's guide to quantization.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.errors import ModelError, SettingsError
from earwitness.evaluation.summary import evaluate
from earwitness.front_end import FrontEnd
from earwitness.inference.patch_runner import ScoreRunner
from earwitness.models.onnx_file import NETWORK_PATCHES, NETWORK_SCORES, missing_extra
from earwitness.scoring.clip_scores import patches_of, score_clips
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

try:
    import onnx
    from onnx import ModelProto
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
except ModuleNotFoundError as error:
    raise missing_extra(error) from error

CALIBRATION_PATCHES = 512
"""Taken evenly from all patches of the chosen clips."""

_BATCH_PATCHES = 16
"""Whose smallest and largest numbers are averaged: of 4, 16 and 64 the best of both models tried."""

_QUANTIZED = [
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
    "Flatten",
]
"""Operations in 8 bits; what stands between two of them must be, or numbers go back and forth."""


@dataclass(frozen=True, kw_only=True)
class EightBitSettings:
    """From which clips the scales come, on which the loss is measured, and how large it may be."""

    calibrate_on: str
    """A store; its labels do not matter."""
    where: str | None = None
    """SQL condition: its clips to calibrate on."""
    measure_on: str | None = None
    """A store with the model's labels; None: the one to calibrate on."""
    measure_where: str | None = None
    """SQL condition: its clips to measure on; better not those that were learnt from or calibrated on."""
    accept_loss: float = 0.01
    """Largest fall of mAP with which a file is written."""

    def __post_init__(self) -> None:
        if not 0 <= self.accept_loss <= 1:
            raise SettingsError(f"accept_loss={self.accept_loss} must lie in [0, 1]; it is a difference of mAP")


@dataclass(frozen=True, kw_only=True)
class EightBitReport:
    """What the metadata say of an 8-bit network."""

    calibrated_on: str
    """Fingerprint of the store."""
    calibrated_where: str | None
    num_calibration_patches: int
    measured_on: str
    """Fingerprint of the store."""
    measured_where: str | None
    num_clips: int
    map_before: float
    """Mean average precision in float32."""
    map_after: float
    """The same in 8 bits."""
    largest_score_difference: float
    """Of a clip's score, over the clips and labels measured on."""

    @property
    def loss(self) -> float:
        """How far the mAP falls."""
        return self.map_before - self.map_after

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "map_loss": self.loss}


def calibration_patches(store: Store, clips: npt.NDArray[np.int64], *, front_end: FrontEnd) -> npt.NDArray[np.float16]:
    """Patches [n, patch_frames, bands], evenly over all of these clips; at most `CALIBRATION_PATCHES`."""
    index = patches_of(store, clips, front_end=front_end)
    num_taken = min(CALIBRATION_PATCHES, index.num_patches)
    numbers = np.linspace(0, index.num_patches - 1, num_taken).round().astype(np.int64)
    with FrameReader(store) as reader:
        patches: npt.NDArray[np.float16] = reader.read_patches(*index.locate(numbers), front_end.patch_frames)
    return patches


def quantize(network: ModelProto, patches: npt.NDArray[Any]) -> ModelProto:
    """The network in 8 bits, with scales from these patches; same names of input and outputs."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        written = Path(folder) / "8-bit.onnx"
        quantize_static(
            onnx.shape_inference.infer_shapes(network),
            str(written),
            _Patches(patches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=_last_layers(network),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},
        )
        return onnx.load(written)


def measure(
    before: ScoreRunner,
    after: ScoreRunner,
    store: Store,
    clips: npt.NDArray[np.int64],
    *,
    front_end: FrontEnd,
    on_patches: Callable[[int], None] | None = None,
) -> tuple[float, float, float]:
    """Mean average precision of both over some clips, and the largest difference of a clip's score.

    `on_patches` counts the patches of both passes.

    Raises:
        ModelError: no label has clips with and without it, so that there is no mAP.
    """
    targets = store.targets(clips)
    num_patches = patches_of(store, clips, front_end=front_end).num_patches
    scores: list[npt.NDArray[np.float32]] = []
    with FrameReader(store) as reader:
        for runner in (before, after):

            def tell(done: int, done_before: int = num_patches * len(scores)) -> None:
                if on_patches is not None:
                    on_patches(done_before + done)

            scores.append(score_clips(runner, reader, clips, front_end=front_end, on_patches=tell))
    precisions = [evaluate(s, targets, label_set=store.label_set).mean_average_precision for s in scores]
    if not np.isfinite(precisions).all():
        raise ModelError(
            f"{store.folder}: the loss of 8 bits cannot be measured on these {len(clips)} clips: no label has clips "
            "both with and without it; choose others with --measure-on and --measure-where"
        )
    return precisions[0], precisions[1], float(np.abs(scores[0] - scores[1]).max())


def require_small_loss(report: EightBitReport, *, accept_loss: float, name: str) -> None:
    """Refuse an 8-bit network that does much worse.

    Raises:
        ModelError: the mAP falls by more than is accepted.
    """
    if report.loss > accept_loss:
        raise ModelError(
            f"{name}: in 8 bits the mAP falls from {report.map_before:.4f} to {report.map_after:.4f} over "
            f"{report.num_clips} clips, by more than the {accept_loss:g} that is accepted; nothing is written. "
            f"Calibrate on other clips, or accept it with --accept-loss {np.ceil(report.loss * 1_000) / 1_000:g}"
        )


class _Patches(CalibrationDataReader):  # type: ignore[misc]
    """Hands out patches by batches."""

    def __init__(self, patches: npt.NDArray[Any]) -> None:
        self._batches: Iterator[npt.NDArray[Any]] = iter(
            [patches[first : first + _BATCH_PATCHES] for first in range(0, len(patches), _BATCH_PATCHES)]
        )

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {NETWORK_PATCHES: batch.astype(np.float32)}


def _last_layers(network: ModelProto) -> list[str]:
    """Names of the nodes from the last layer with weights to the scores."""
    makers = {name: node for node in network.graph.node for name in node.output}
    names, node = [], makers[NETWORK_SCORES]
    while True:
        names.append(node.name)
        if node.op_type in ("Gemm", "MatMul", "Conv"):
            return names
        node = next(makers[name] for name in node.input if name in makers)


class _quiet:  # noqa: N801 (reads as a statement)
    """Within it, the quantizer does not advise on the root logger."""

    def __enter__(self) -> None:
        self._level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)
