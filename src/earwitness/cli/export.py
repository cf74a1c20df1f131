"""`earwitness export`: a model as one ONNX file, from waveform to scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, print_next, progress_bar, require_separate_files
from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model for other programs: ONNX from waveform (float32, mono, 16 kHz) to scores, front end included.

    The file says what it is (labels, front end, provenance, how well it agrees), and is checked against the model on
    made sounds before it is written. `earwitness tag`, `score`, `evaluate` and `embed` take it, too.
    """

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run)."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """The file to write: .onnx."""
    embeddings: bool = False
    """Also give the embeddings of patches."""
    check_on: tuple[str, ...] = ()
    """Media files to compare on, too: the first minute of each."""
    tolerance: float = 1e-5
    """Nothing is written where a score differs by more than this from the model's, in float32."""
    int8: bool = False
    """8-bit weights and activations: smaller, and faster on most CPUs. Needs --calibrate-on."""
    calibrate_on: str | None = None
    """With --int8: a store (made by `earwitness prepare`) whose sound sets the scales; labels do not matter."""
    where: str | None = None
    """With --int8: SQL condition over its columns, the clips to calibrate on."""
    measure_on: str | None = None
    """With --int8: a store with the model's labels to measure the loss on. None: the one to calibrate on."""
    measure_where: str | None = None
    """With --int8: SQL condition over its columns; better clips that were neither learnt from nor calibrated on."""
    accept_loss: float = 0.01
    """With --int8: nothing is written where mAP falls by more than this."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Export and report."""
        self._check()
        from earwitness.export.eight_bit import EightBitSettings
        from earwitness.export.exporting import export_model
        from earwitness.models.model_file import load_model

        model = load_model(self.model)
        eight_bit = None
        if self.calibrate_on is not None:
            eight_bit = EightBitSettings(
                calibrate_on=self.calibrate_on,
                where=self.where,
                measure_on=self.measure_on,
                measure_where=self.measure_where,
                accept_loss=self.accept_loss,
            )
        with progress_bar(total=None, unit="patch", title="measure") as bar:
            summary = export_model(
                model,
                self.out,
                with_embeddings=self.embeddings,
                eight_bit=eight_bit,
                check_on=self.check_on,
                tolerance=self.tolerance,
                on_patches=lambda done: bar.update(done - bar.n),
            )
        agreement, report = summary.agreement, summary.eight_bit
        if self.json:
            print_json(
                {
                    "schema_version": 1,
                    "exported": str(self.out),
                    "num_bytes": summary.num_bytes,
                    "precision": "int8" if report is not None else "float32",
                    "is_calibrated": model.calibration is not None,
                    "has_thresholds": model.thresholds is not None,
                    "check": agreement.to_dict(),
                    "eight_bit": report.to_dict() if report is not None else None,
                }
            )
            return 0
        differences = []
        result = "embeddings"
        if agreement.largest_score_difference is not None:
            kind = "calibrated scores" if model.calibration is not None else "scores"
            result = f"{kind} of {counted(len(model.label_set), 'label')}"
            differences.append(f"scores within {agreement.largest_score_difference:.1g} of the model's")
        if agreement.largest_embedding_difference is not None:
            differences.append(
                f"embeddings within {agreement.largest_embedding_difference:.1g} of their largest number"
            )
        print(f"{self.out}: {summary.num_bytes / 1e6:.1f} MB, waveform to {result}")
        if model.thresholds is not None:
            print("  the model's own thresholds are in the metadata")
        print(
            f"  checked in float32 on {agreement.num_sounds} sounds, {agreement.num_patches} patches: "
            f"{', '.join(differences)}"
        )
        if report is not None:
            print(
                f"  in 8 bits: mAP {report.map_before:.4f} -> {report.map_after:.4f} over "
                f"{counted(report.num_clips, 'clip')}, their scores within {report.largest_score_difference:.2g}"
            )
        if agreement.largest_score_difference is not None:
            print_next("tag", self.out, "FILE")
        else:
            print_next("embed", self.out, "STORE", "OUT")
        return 0

    def _check(self) -> None:
        require_separate_files({"OUT": self.out}, inputs=[self.model])
        if self.int8 and self.calibrate_on is None:
            raise SettingsError(
                "--int8 needs sound to calibrate on: --calibrate-on STORE (made by `earwitness prepare`)"
            )
        given = [
            option
            for option, value in (
                ("--calibrate-on", self.calibrate_on),
                ("--where", self.where),
                ("--measure-on", self.measure_on),
                ("--measure-where", self.measure_where),
            )
            if value is not None
        ]
        if given and not self.int8:
            raise SettingsError(f"{given[0]} is about 8 bits; give --int8, too, or leave it away")
