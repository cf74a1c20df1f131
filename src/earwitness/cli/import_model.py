"""`earwitness import`: a published file to a model file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, print_next, remark, require_separate_files
from earwitness.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from earwitness.models.model_file import Model
    from earwitness.published.importing import ImportedModel


@dataclass(frozen=True, kw_only=True)
class ImportModel:
    """Make a model file of published weights: YAMNet's (.h5, .tflite, .pth) or VGGish's (.ckpt, .h5, .pth).

    TensorFlow is not needed, and nothing in the file is run. `earwitness pull` fetches the files and does this.
    """

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """As published; of a TensorFlow checkpoint in several files, the .index."""
    published_as: Annotated[Literal["yamnet", "vggish"], arg(name="as")]
    """Whose file it is."""
    out: Path
    """The model file to write (.safetensors)."""
    class_map: Path | None = None
    """YAMNet's labels, a .csv. None: yamnet_class_map.csv beside FILE."""
    last_relu: bool = False
    """VGGish: put a ReLU behind the embedding, as the older release did."""
    pca: Path | None = None
    """VGGish: the parameters of its post-processor (vggish_pca_params.npz), by which embeddings are whitened as those
    published with Audio Set are. None: they stay as they are."""
    overwrite: bool = False
    """Replace OUT where it is there already and holds something else."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Import and report."""
        from earwitness.published.importing import import_model

        require_separate_files({"--out": self.out}, inputs=[self.file, self.class_map, self.pca])
        require_writable(self.out, may_overwrite=self.overwrite)
        imported = import_model(
            self.file,
            published_as=self.published_as,
            class_map=self.class_map,
            last_relu=self.last_relu,
            pca=self.pca,
        )
        write_imported(imported, self.out, may_overwrite=self.overwrite, as_json=self.json)
        for name, digest in imported.model.provenance["imported"]["sha256"].items():
            remark(f"{name}: SHA-256 {digest}, for comparing with where it is from")
        return 0


def require_writable(out: Path, *, may_overwrite: bool) -> None:
    """Refuse a place for an imported model before any work is done. A model that is there may turn out to be the same.

    Raises:
        SettingsError: a folder, or a file that is no model, which is not to be overwritten.
    """
    from earwitness.models.model_header import read_front_end

    if out.is_dir():
        raise SettingsError(f"--out {out}: this is a folder; name a file in it, such as {out / 'model.safetensors'}")
    if out.exists() and not may_overwrite:
        try:
            read_front_end(out)
        except ModelError as error:
            raise SettingsError(_is_there(out)) from error


def write_imported(imported: "ImportedModel", out: Path, *, may_overwrite: bool, as_json: bool) -> None:
    """Save the model, unless it is there, and say what it is.

    Raises:
        SettingsError: there is another model, which is not to be overwritten.
    """
    from earwitness.labels import NO_LABELS
    from earwitness.models.model_file import save_model
    from earwitness.published.placing import shortened

    model = imported.model
    was_there = out.exists() and not may_overwrite
    if was_there:
        _require_same(model, out)
    else:
        save_model(model, out)
    has_labels = model.label_set != NO_LABELS
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "model": str(out),
                "was_there": was_there,
                "network": model.architecture.name,
                "format": imported.format,
                "num_tensors": imported.num_tensors,
                "left_out": list(imported.left_out),
                "is_quantised": imported.is_quantised,
                "num_labels": len(model.label_set) if has_labels else 0,
                "embedding_size": model.network.embedding_size,
                "imported": model.provenance["imported"],
            }
        )
        return
    labels = counted(len(model.label_set), "label") if has_labels else "no labels"
    print(
        f"{out}: {model.architecture.name}, {labels}, embeddings of {model.network.embedding_size:,} numbers; "
        f"{counted(imported.num_tensors, 'tensor')} of a {imported.format} file"
    )
    if was_there:
        print("  it was there already")
    if imported.is_quantised:
        print("  its weights were of 8 bits, and are what those stand for")
    for name in imported.left_out:
        print(f"  left out: {shortened(name)}, of the file's own front end; ours computes the same")
    if has_labels:
        print_next("tag", out, "FILE")
    else:
        print_next("prepare", "MANIFEST", "STORE", "--for", out)
        print_next("train", "STORE", "RUN", "--from", out, "--freeze")


def _require_same(model: "Model", out: Path) -> None:
    from earwitness.models.model_file import digest_weights, load_model

    there = load_model(out)
    of_both = [
        (each.architecture, each.label_set, each.front_end, each.provenance, each.calibration, each.thresholds)
        for each in (model, there)
    ]
    if of_both[0] != of_both[1] or digest_weights(model.network) != digest_weights(there.network):
        raise SettingsError(_is_there(out))


def _is_there(out: Path) -> str:
    return f"--out {out}: there is another file already; name another one, or say --overwrite"
