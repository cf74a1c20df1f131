"""`earwitness import`: a published file to a model file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, print_next, require_separate_files

if TYPE_CHECKING:
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
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Import and report."""
        from earwitness.published.importing import import_model

        require_separate_files({"--out": self.out}, inputs=[self.file, self.class_map, self.pca])
        imported = import_model(
            self.file,
            published_as=self.published_as,
            class_map=self.class_map,
            last_relu=self.last_relu,
            pca=self.pca,
        )
        write_imported(imported, self.out, as_json=self.json)
        return 0


def write_imported(imported: "ImportedModel", out: Path, *, as_json: bool) -> None:
    """Save the model and say what it is."""
    from earwitness.labels import NO_LABELS
    from earwitness.models.model_file import save_model

    model = imported.model
    save_model(model, out)
    has_labels = model.label_set != NO_LABELS
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "model": str(out),
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
    if imported.is_quantised:
        print("  its weights were of 8 bits, and are what those stand for")
    for name in imported.left_out:
        print(f"  left out: {name[:60]}, of the file's own front end; ours computes the same")
    if has_labels:
        print_next("tag", out, "FILE")
    else:
        print_next("prepare", "MANIFEST", "STORE", "--for", out)
        print_next("train", "STORE", "RUN", "--from", out, "--freeze")
