"""`earwitness records`: embeddings that others published, to be learnt from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.label_set_option import read_labels_of
from earwitness.cli.output import counted, print_json, print_next, progress_bar, remark
from earwitness.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Records:
    """Make embeddings published as TFRecord files, as Audio Set's are, a folder that `train` learns from.

    Checksums are checked. The folder is that of `earwitness embed`.
    """

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES... OUT")]
    """TFRecord files, and folders of them; then the folder to make."""
    label_set: str | None = None
    """What the label numbers mean: class_labels_indices.csv, as Audio Set publishes it, or another .csv or .txt."""
    vggish: Path | None = None
    """VGGish with its whitening (`earwitness import vggish_model.ckpt --pca vggish_pca_params.npz`), which made Audio
    Set's embeddings: then a model that is learnt from them tags media. None: it can classify embeddings only."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Read and report."""
        if len(self.names) < 2:
            raise SettingsError(
                f"records: {counted(len(self.names), 'name')} given; name TFRecord files, and then the folder to make"
            )
        from earwitness.scoring.embedding_records import embeddings_of_records, record_files

        *sources, out = self.names
        files = record_files(sources)
        label_set = read_labels_of(self.label_set) if self.label_set is not None else None
        vggish = None
        if self.vggish is not None:
            from earwitness.models.model_file import load_model

            vggish = load_model(self.vggish)
        with progress_bar(total=len(files), unit="file", title="records") as bar:
            summary = embeddings_of_records(
                files, Path(out), label_set=label_set, vggish=vggish, progress=lambda done: bar.update(done - bar.n)
            )
        if self.json:
            print_json({"schema_version": 1, "embeddings": out, **vars(summary)})
            return 0
        print(
            f"{out}: {counted(summary.num_patches, 'embedding')} of {counted(summary.num_clips, 'clip')}, from "
            f"{counted(summary.num_files, 'file')}; {counted(summary.num_labels, 'label')}"
        )
        if summary.num_empty:
            remark(f"{counted(summary.num_empty, 'record')} without embeddings left out")
        print_next("train", out, "RUN")
        return 0
