"""What the experiments of `earwitness experiment` have in common: the store, the folder, sizes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from earwitness.cli.output import progress_bar
from earwitness.paper.presets import PRESETS, PresetName

if TYPE_CHECKING:
    from earwitness.store.read import Store
    from earwitness.synth.settings import SynthSettings


@dataclass(frozen=True, kw_only=True)
class OnStore:
    """What all experiments have in common."""

    store: Annotated[Positional[str | None], arg(metavar="[STORE]")] = None
    """Made by `earwitness prepare`. None: a corpus is made, and its store."""
    folder: Path | None = None
    """Takes a folder for each experiment, and what is made. None: earwitness-experiments/ and the preset's name."""
    preset: PresetName = "cpu"
    """How large: smoke in miniature; cpu for two cores, 90 minutes a table; paper for GPUs, full size."""
    where: str | None = None
    """SQL condition: the clips to learn from. None: by the store's own split or folds, or the rest."""
    test_where: str | None = None
    """SQL condition: the clips to evaluate on. None: by the store's own split or folds, or the rest."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ... Where networks are trained, the same command on another GPU shares the work."""
    json: bool = False
    """Report as JSON."""

    def folder_of_all(self) -> Path:
        """Of all experiments, and of what is made."""
        return self.folder if self.folder is not None else Path("earwitness-experiments") / self.preset

    def open_store(self) -> "Store":
        """The store given, or that of the made corpus."""
        from earwitness.store.embeddings import open_store

        if self.store is not None:
            return open_store(self.store)
        from earwitness.paper.made_corpus import made_store

        name, corpus = self.made_corpus()
        with progress_bar(total=corpus.clips, unit="clip", title="corpus") as bar:

            def show(what: str, done: int, _of: int) -> None:
                if bar.desc != f"{what}: ":
                    bar.reset()
                    bar.set_description(what, refresh=False)
                bar.update(done - bar.n)

            return made_store(self.folder_of_all(), corpus, name=name, on_clips=show)

    def made_corpus(self) -> "tuple[str, SynthSettings]":
        """What stands before the names of its folders, and what it is."""
        return "", PRESETS[self.preset].corpus

    def true_events(self, given: Path | None) -> Path | None:
        """The table asked for, or that of the made corpus; None for a store of one's own without one."""
        if self.store is not None or given is not None:
            return given
        from earwitness.synth.truth import EVENTS_FILE

        return self.folder_of_all() / f"{self.made_corpus()[0]}corpus" / EVENTS_FILE


@dataclass(frozen=True, kw_only=True)
class Training(OnStore):
    """What those have in common that train networks."""

    width: float | None = None
    """Of all networks; 1 is the paper's. None: the preset's."""
    steps: int | None = None
    """Of a training (paper: 5 to 17 million). None: the preset's."""
    batch_size: int | None = None
    """Patches of an update (paper: 128). None: the preset's."""
    seed: int = 1
    """Decides the first weights and every draw."""
    threads: int | None = None
    """Processor threads. None: as many as torch chooses."""
    only: tuple[str, ...] = ()
    """Do some parts now, such as resnet50, and what they need; the names are those of the folders in cells/."""
