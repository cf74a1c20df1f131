"""`earwitness pull`: a published network, or a model of one's own, from where it lies to a model file."""

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.import_model import require_writable, write_imported
from earwitness.cli.output import print_json, print_next, progress_bar, remark
from earwitness.errors import DownloadError, ModelError, SettingsError

if TYPE_CHECKING:
    from earwitness.published.download import Download
    from earwitness.published.sources import Source

_MODEL_SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Fetch a published network and make a model file of it, or fetch any model from a URL.

    What was cut goes on where it was; what was fetched is kept ($XDG_CACHE_HOME/earwitness, or ~/.cache/earwitness) and
    not fetched again. Proxies are those of the environment (https_proxy).
    """

    what: Annotated[Positional[str], arg(metavar="WHAT")]
    """yamnet, vggish, or the URL of a model file or of published weights."""
    out: Path | None = None
    """The model file to write. None: yamnet.safetensors, vggish.safetensors, or the file's own name, here."""
    sha256: str | None = None
    """What the file's SHA-256 has to be (64 hexadecimal digits). None: it is printed; of a name such as
    vggish-10086976.pth the digits are compared."""
    overwrite: bool = False
    """Replace OUT where it is there already and holds something else."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Fetch, make the model, and say where it is."""
        from earwitness.published.sources import SOURCES

        if (source := SOURCES.get(self.what)) is not None:
            self._pull_published(source)
            return 0
        if "://" not in self.what:
            raise SettingsError(
                f"pull {self.what}: known are {', '.join(SOURCES)}; anything else is a URL (https://...)"
            )
        self._pull_url()
        return 0

    def _pull_published(self, source: "Source") -> None:
        from earwitness.published.importing import import_model
        from earwitness.published.keras_file import require_h5py

        out = self.out or Path(self.what + _MODEL_SUFFIX)
        require_writable(out, may_overwrite=self.overwrite)
        if source.weights_url.endswith(".h5"):
            require_h5py()  # before anything is fetched
        try:
            class_map = self._fetch(source.class_map_url, sha256=None).path if source.class_map_url else None
            weights = self._fetch(source.weights_url, sha256=self.sha256)
        except DownloadError as error:
            raise DownloadError(f"{error}{_also_missing(source, error)}") from error
        try:
            imported = import_model(weights.path, published_as=source.published_as, class_map=class_map)
        except ModelError as error:
            raise ModelError(f"{error}. To have it fetched again, delete it") from error
        write_imported(imported, out, may_overwrite=self.overwrite, as_json=self.json)

    def _pull_url(self) -> None:
        from earwitness.files import replacing
        from earwitness.models.model_header import is_model_of_ours
        from earwitness.published.download import cached_path

        out = self.out or Path(cached_path(self.what).name)
        if out.is_dir():
            raise SettingsError(f"--out {out}: this is a folder; name a file in it")
        fetched = self._fetch(self.what, sha256=self.sha256)
        is_model = fetched.path.suffix == _MODEL_SUFFIX and is_model_of_ours(fetched.path)
        if is_model:
            from earwitness.models.model_file import load_model

            load_model(fetched.path)
        was_there = out.exists() and not self.overwrite
        if was_there and not filecmp.cmp(fetched.path, out, shallow=False):
            raise SettingsError(
                f"--out {out}: there is another file already, not the one fetched; name another one, or say --overwrite"
            )
        if not was_there:
            out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(out) as file, fetched.path.open("rb") as copied:
                shutil.copyfileobj(copied, file)
        if self.json:
            print_json({"schema_version": 1, "file": str(out), "is_model": is_model, **_described(fetched)})
        elif is_model:
            print(f"{out}: a model of earwitness, {fetched.num_bytes:,} bytes{' (was there)' if was_there else ''}")
            print_next("tag", out, "FILE")
        else:
            print(f"{out}: {fetched.num_bytes:,} bytes{' (was there)' if was_there else ''}")
            print_next("import", out, "--as", "NETWORK", "--out", "MODEL")

    def _fetch(self, url: str, *, sha256: str | None) -> "Download":
        from earwitness.published.download import cached_path, download

        with progress_bar(total=None, unit="B", title=cached_path(url).name) as bar:

            def show(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            fetched = download(url, sha256=sha256, on_bytes=show)
        said = "as expected" if fetched.is_checked else "not compared, for none is known here; --sha256 compares it"
        remark(f"{fetched.path}{' (was there)' if fetched.was_there else ''}\n  SHA-256 {fetched.sha256}: {said}")
        return fetched


def _also_missing(source: "Source", error: DownloadError) -> str:
    """What else to fetch, for those who fetch by hand."""
    from earwitness.published.download import cached_path

    missing = [url for url in source.urls if not cached_path(url).exists() and url not in str(error)]
    return "".join(f"; likewise {url} at {cached_path(url)}" for url in missing)


def _described(fetched: "Download") -> dict[str, object]:
    return {**vars(fetched), "path": str(fetched.path)}
