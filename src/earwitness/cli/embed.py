"""`earwitness embed`: what a model makes of every patch of a store, written down."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, progress_bar


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Write the embeddings of a store: the layer before a model's output, for every patch. `train` can learn from them.

    OUT takes embeddings.npy (float32, a row a patch), clips.parquet (a row a clip, with first_patch and num_patches)
    and the model.
    """

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or a model exported with --embeddings (.onnx)."""
    store: Annotated[Positional[str], arg(metavar="STORE")]
    """Made by `earwitness prepare`; its labels need not be the model's."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """The folder to make."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Embed and report."""
        from earwitness.inference.any_model import open_model
        from earwitness.scoring.embedding import embed_store
        from earwitness.store.embeddings import open_store

        model = open_model(self.model)
        store = open_store(self.store)
        with progress_bar(total=None, unit="patch", title="embed") as bar:

            def show(done: int, num_patches: int) -> None:
                bar.total = num_patches
                bar.update(done - bar.n)

            summary = embed_store(model, store, self.out, device=self.device, on_patches=show)
        if self.json:
            print_json({"schema_version": 1, "embeddings": str(self.out), **vars(summary)})
            return 0
        print(
            f"{self.out}: {summary.num_patches:,} embeddings of {summary.embedding_size:,} numbers, of "
            f"{counted(summary.num_clips, 'clip')}"
        )
        if summary.was_complete:
            print("  they were complete already")
        return 0
