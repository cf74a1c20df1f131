"""What is learnt from where no store is given: a made corpus, the same for all experiments of a preset."""

from collections.abc import Callable
from pathlib import Path

from earwitness.errors import CorpusError
from earwitness.files import locked
from earwitness.labels import read_label_set
from earwitness.manifest import read_manifest
from earwitness.parallel import usable_cpus
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from earwitness.synth.corpus import make_corpus
from earwitness.synth.settings import SynthSettings
from earwitness.synth.truth import LABELS_FILE


def made_store(
    folder: Path, settings: SynthSettings, *, name: str = "", on_clips: Callable[[str, int, int], None] | None = None
) -> Store:
    """The store of a made corpus; made first, or finished, where it is not there. Of several processes one makes it.

    Args:
        folder: takes `corpus/` and `store/`.
        name: put before these names.
        settings: of the corpus.
        on_clips: told what is being done, how many clips are done and of how many.

    Raises:
        CorpusError, StoreError: the folder holds others, or cannot be written.
    """

    def tell(what: str, done: int, of: int) -> None:
        if on_clips is not None:
            on_clips(what, done, of)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, busy=None):
            made = make_corpus(
                folder / f"{name}corpus",
                settings=settings,
                workers=usable_cpus(),
                progress=lambda p: tell("making soundtracks", p.num_done, p.num_clips),
            )
            build_store(
                read_manifest(made.manifest_path),
                folder / f"{name}store",
                settings=BuildSettings(),
                label_set=read_label_set(folder / f"{name}corpus" / LABELS_FILE),
                progress=lambda p: tell("decoding", p.num_done, p.num_clips),
            )
            return Store.open(folder / f"{name}store")
    except OSError as error:
        raise CorpusError(f"{folder}: cannot be written ({error.strerror or error})") from error
