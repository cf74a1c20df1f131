"""`earwitness export`, step by step: build, check against the original, measure what 8 bits cost, write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
import torch

from earwitness import __version__
from earwitness.errors import ModelError, SettingsError
from earwitness.export.check import EMBEDDING_TOLERANCE, SCORE_TOLERANCE, Agreement, check, require_agreement
from earwitness.export.eight_bit import (
    EightBitReport,
    EightBitSettings,
    calibration_patches,
    measure,
    quantize,
    require_small_loss,
)
from earwitness.export.graph import OPSET, describe, front_end_graph, join, network_graph
from earwitness.files import replacing
from earwitness.inference.any_model import patch_scorer
from earwitness.labels import NO_LABELS
from earwitness.models.description import require_network
from earwitness.models.model_file import Model
from earwitness.models.onnx_file import OnnxModel, parse_onnx_model
from earwitness.scoring.clip_scores import require_fit, require_same_frames
from earwitness.store.embeddings import open_store

if TYPE_CHECKING:
    from onnx import ModelProto

_MAX_BYTES = 2 * 2**30 - 1
"""Of an ONNX file in one piece: the format's limit."""


@dataclass(frozen=True, kw_only=True)
class ExportSummary:
    """What a call of `export_model` came to."""

    num_bytes: int
    agreement: Agreement
    """Of the float32 graph with the model."""
    eight_bit: EightBitReport | None
    """None: the network is float32."""


def export_model(
    model: Model,
    path: Path,
    *,
    with_embeddings: bool = False,
    eight_bit: EightBitSettings | None = None,
    check_on: Sequence[str] = (),
    tolerance: float = SCORE_TOLERANCE,
    on_patches: Callable[[int], None] | None = None,
) -> ExportSummary:
    """Write a model as ONNX from waveform to scores, whole or not at all.

    The float32 graph is held against the model on made sounds and on media, and refused where they differ. An 8-bit
    one differs by its nature: its loss is measured, and refused where it is large.

    Args:
        model: to export.
        path: of the file, `.onnx`; its folder is made if need be.
        with_embeddings: also give the embeddings of patches.
        eight_bit: make the network's numbers small; None: float32.
        check_on: media files to compare on, beside made sounds.
        tolerance: largest difference of a score, in probability, between the float32 graph and the model.
        on_patches: told the number of patches scored for measuring, now and then.

    Raises:
        ModelError: the graph's numbers are not the model's, 8 bits lose too much, or the file cannot be written.
        SettingsError: the suffix is another, there is no such tolerance, or nothing is to come out of the graph.
        MediaError: a file of `check_on` gives no sound.
        StoreError: a store does not fit the model.
        SelectionError: a condition is bad or selects nothing.
    """
    if path.suffix.lower() != ".onnx":
        raise SettingsError(f"{path}: an exported model is written as .onnx; came {path.suffix or 'no suffix'}")
    if not 0 < tolerance < 1:
        raise SettingsError(f"tolerance={tolerance} must lie in (0, 1); it is a difference of probabilities")
    require_network(model)
    if model.label_set == NO_LABELS:
        names_nothing = f"this {model.architecture.name} names nothing, for it was published up to its embedding"
        if not with_embeddings:
            raise SettingsError(f"{names_nothing}; export it with --embeddings")
        if eight_bit is not None:
            raise SettingsError(f"{names_nothing}, so what 8 bits cost cannot be measured; leave --int8 away")
    if path.is_dir():
        raise ModelError(f"{path}: this is a folder; name a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:  # at once, so that a place that cannot be written is known before the work
            content, summary = _build(model, path, with_embeddings, eight_bit, check_on, tolerance, on_patches)
            file.write(content)
    except OSError as error:
        raise ModelError(f"{path}: the exported model cannot be written ({error.strerror or error})") from error
    return summary


def _build(
    model: Model,
    path: Path,
    with_embeddings: bool,
    eight_bit: EightBitSettings | None,
    check_on: Sequence[str],
    tolerance: float,
    on_patches: Callable[[int], None] | None,
) -> tuple[bytes, ExportSummary]:
    """The file's content, checked."""
    calibration = (
        _Calibration(model, eight_bit) if eight_bit is not None else None
    )  # stores that do not fit are refused first
    front_end, network = front_end_graph(model.front_end), network_graph(model, with_embeddings=with_embeddings)
    facts: dict[str, Any] = {
        "precision": "float32",
        "embedding_size": model.network.embedding_size if with_embeddings else None,
        "num_weights": model.num_weights,
        "model_digest": model.digest,
        "opset": OPSET,
        "versions": {"earwitness": __version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
    }
    exported = _finish(front_end, network, model, facts, path)
    agreement = check(exported, model, media=check_on)
    require_agreement(agreement, tolerance=tolerance, name=str(path))
    facts["check"] = {
        **agreement.to_dict(),
        "score_tolerance": tolerance,
        "embedding_tolerance": EMBEDDING_TOLERANCE,
    }
    report = None
    if calibration is not None:
        network = quantize(network, calibration.patches)
        facts["precision"] = "int8"
        report = calibration.measure(_finish(front_end, network, model, facts, path), on_patches)
        require_small_loss(report, accept_loss=calibration.settings.accept_loss, name=str(path))
        facts["eight_bit"] = report.to_dict()
    content = _finish(front_end, network, model, facts, path).content
    return content, ExportSummary(num_bytes=len(content), agreement=agreement, eight_bit=report)


def _finish(
    front_end: "ModelProto", network: "ModelProto", model: Model, facts: dict[str, Any], path: Path
) -> OnnxModel:
    """Both parts joined, with their metadata, as they will be read.

    Raises:
        ModelError: it is larger than ONNX allows.
    """
    whole = join(front_end, network, model)
    describe(whole, model, facts)
    if (num_bytes := whole.ByteSize()) > _MAX_BYTES:
        raise ModelError(f"{path}: the model has {num_bytes / 2**30:.1f} GiB, and an ONNX file holds 2 at most")
    return parse_onnx_model(whole.SerializeToString(), name=str(path))


class _Calibration:
    """The clips that an 8-bit network is calibrated and measured on."""

    def __init__(self, model: Model, settings: EightBitSettings) -> None:
        self.settings = settings
        self._model = model
        self._calibrated_on = open_store(settings.calibrate_on)
        require_same_frames(self._calibrated_on, front_end=model.front_end)
        other = settings.measure_on
        self._measured_on = open_store(other) if other is not None else self._calibrated_on
        require_fit(self._measured_on, front_end=model.front_end, label_set=model.label_set)
        clips = self._calibrated_on.select(settings.where)
        self._clips = self._measured_on.select(settings.measure_where, option="--measure-where")
        self.patches = calibration_patches(self._calibrated_on, clips, front_end=model.front_end)

    def measure(self, exported: OnnxModel, on_patches: Callable[[int], None] | None) -> EightBitReport:
        """What the 8 bits of a network cost."""
        before, after, difference = measure(
            patch_scorer(self._model),
            patch_scorer(exported),
            self._measured_on,
            self._clips,
            front_end=self._model.front_end,
            on_patches=on_patches,
        )
        return EightBitReport(
            calibrated_on=self._calibrated_on.fingerprint,
            calibrated_where=self.settings.where,
            num_calibration_patches=len(self.patches),
            measured_on=self._measured_on.fingerprint,
            measured_where=self.settings.measure_where,
            num_clips=len(self._clips),
            map_before=before,
            map_after=after,
            largest_score_difference=difference,
        )
