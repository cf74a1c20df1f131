"""`earwitness embed`: what a model makes of sound, written down."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.cli.label_set_option import read_labels_of
from earwitness.cli.output import counted, print_json, progress_bar, remark
from earwitness.errors import SettingsError
from earwitness.inference.embed_settings import EmbedSettings
from earwitness.places import UrlPath, place

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel
    from earwitness.scoring.embedding_media import MediaSummary
    from earwitness.store.read import Store


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Write the embeddings of media or of a store: the layer before a model's output, for every patch.

    The last name says where to, and in which form. A folder takes what `train` can learn from: embeddings.npy
    (float32, a row a patch), clips.parquet (a row a clip, with first_patch and num_patches) and the model.
    OUT.parquet, OUT.npy and OUT.tfrecord (Audio Set's layout) are for other programs.
    """

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or a model exported with --embeddings (.onnx)."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE... OUT")]
    """Media files, URLs and folders of media; or one manifest (.parquet, .csv, .tsv, .jsonl); or one store, made by
    `earwitness prepare`, whose labels need not be the model's. Then the folder or file to make."""
    settings: Annotated[EmbedSettings, arg(name="")] = field(default_factory=EmbedSettings)
    limits: Annotated[DecodeLimits, arg(name="")] = field(default_factory=DecodeLimits)
    label_set: str | None = None
    """The labels of a manifest in order: a .csv or .txt, a model (.safetensors) or a store. None: its own, sorted."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Embed and report; 1 if no clip gave sound."""
        if len(self.names) < 2:
            raise SettingsError(
                f"embed: {counted(len(self.names), 'name')} given after the model; name what to embed, then where to"
            )
        *sources, last = self.names
        out = Path(last)
        from earwitness.inference.any_model import open_model
        from earwitness.scoring.embedding_outputs import output_form

        form = output_form(out)
        store = self._store(sources)
        if store is not None and self.label_set is not None:
            raise SettingsError(f"--label-set {self.label_set}: a store has labels of its own; leave it away")
        model = open_model(self.model)
        if store is not None and form == "folder":
            return self._embed_store(model, store, out)
        return self._embed_clips(model, store, sources, out)

    def _store(self, sources: list[str]) -> "Store | None":
        from earwitness.store.embeddings import FILE_NAME as EMBEDDINGS_FILE
        from earwitness.store.embeddings import open_store
        from earwitness.store.header import FILE_NAME

        for source in sources:
            path = place(source)
            # behind a URL, a name without a suffix: media are not asked for what they are
            may_be = not path.suffix if isinstance(path, UrlPath) else path.is_dir()
            if may_be and any((path / name).exists() for name in (FILE_NAME, EMBEDDINGS_FILE)):
                if len(sources) > 1:
                    raise SettingsError(f"{source}: a store is embedded by itself; {len(sources)} sources are given")
                return open_store(source)
        return None

    def _embed_clips(self, model: "AnyModel", store: "Store | None", sources: list[str], out: Path) -> int:
        from earwitness.inference.whitening import load_whitening
        from earwitness.manifest import Manifest
        from earwitness.scoring.embedding_clips import manifest_of_sources
        from earwitness.scoring.embedding_media import embed_clips

        pca = self.settings.pca
        whitening = load_whitening(Path(pca)) if pca not in (None, "fit") else None
        clips = store or manifest_of_sources(sources)
        total = len(clips) if isinstance(clips, Manifest) else clips.num_clips
        with progress_bar(total=total, unit="clip", title="embed") as bar:

            def show(num_done: int, num_failed: int) -> None:
                bar.update(num_done - bar.n)
                bar.set_postfix_str(f"{num_failed} failed", refresh=False)

            summary = embed_clips(
                model,
                clips,
                out,
                settings=self.settings,
                limits=self.limits,
                label_set=read_labels_of(self.label_set) if self.label_set is not None else None,
                whitening=whitening,
                device=self.device,
                progress=show,
            )
        self._report(summary, out)
        return 0 if summary.num_rows else 1

    def _report(self, summary: "MediaSummary", out: Path) -> None:
        if self.json:
            print_json({"schema_version": 1, "embeddings": str(out), **vars(summary)})
        else:
            num_embedded = summary.num_clips - summary.num_failed
            print(
                f"{out}: {counted(summary.num_rows, 'embedding')} of {counted(summary.size, 'number')}, of "
                f"{num_embedded:,} of {counted(summary.num_clips, 'clip')}"
            )
            if summary.was_complete:
                print("  they were complete already")
            elif summary.num_resumed:
                print(f"  {counted(summary.num_resumed, 'clip')} of them from before")
            if summary.share_beyond_limits is not None:
                print(f"  {summary.share_beyond_limits:.1%} of all numbers lay beyond -2 and 2, which 8 bits cut off")
            for file in summary.files:
                print(f"  {file}")
        if summary.num_warned:
            remark(f"{counted(summary.num_warned, 'clip')} came with a warning: of the decoder, or of silence")
        if summary.num_failed:
            where = next(file for file in summary.files if file.endswith("failures.csv"))
            count = f"{summary.num_failed} of {counted(summary.num_clips, 'clip')}"
            remark(f"{count} gave no sound; the reasons are in {where}")

    def _embed_store(self, model: "AnyModel", store: "Store", out: Path) -> int:
        from earwitness.scoring.embedding import embed_store
        from earwitness.scoring.embedding_media import require_form

        require_form("folder", out, self.settings)
        with progress_bar(total=None, unit="patch", title="embed") as bar:

            def show(done: int, num_patches: int) -> None:
                bar.total = num_patches
                bar.update(done - bar.n)

            summary = embed_store(model, store, out, device=self.device, on_patches=show)
        if self.json:
            print_json({"schema_version": 1, "embeddings": str(out), **vars(summary)})
            return 0
        print(
            f"{out}: {counted(summary.num_patches, 'embedding')} of {counted(summary.embedding_size, 'number')}, of "
            f"{counted(summary.num_clips, 'clip')}"
        )
        if summary.was_complete:
            print("  they were complete already")
        return 0
