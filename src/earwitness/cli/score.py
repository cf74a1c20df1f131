"""`earwitness score`: the scores of a store's clips, written down range by range."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, print_next, progress_bar
from earwitness.errors import SettingsError
from earwitness.scoring.score_settings import ScoreSettings, Shard

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel
    from earwitness.scoring.score_store import ScoreSummary
    from earwitness.store.read import LabelledClips


@dataclass(frozen=True, kw_only=True)
class Score:
    """Write the scores of a store's clips into a folder, which `evaluate` reads without model or store.

    It goes on where it was stopped. Several processes share the work by --shard 1/4, 2/4 ... into one folder, or the
    nodes of a cluster do by --engine ray; the scores are complete once all ranges of clips are there.
    """

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run), or an exported model (.onnx)."""
    store: Annotated[Positional[str], arg(metavar="STORE")]
    """Made by `earwitness prepare`; or embeddings, for a classifier that was learnt on such."""
    scores: Annotated[Positional[Path], arg(metavar="SCORES")]
    """The folder to make. `evaluate MODEL STORE --report DIR` finds its scores in DIR/scores."""
    settings: Annotated[ScoreSettings, arg(name="")] = field(default_factory=ScoreSettings)
    shard: str = "1/1"
    """The share of the ranges to score: 2/4 is the second of four."""
    range_clips: int | None = None
    """Clips of a range, scored whole or not at all (patches with --level patch). None: by the sizes of the store."""
    engine: Literal["local", "ray"] = "local"
    """Who scores: this process, or a Ray cluster, range by range."""
    ray_address: str = "local"
    """The cluster of --engine ray: HOST:PORT of its head, auto for the one that this machine belongs to, or local for
    one of this machine alone."""
    workers: int | None = None
    """Tasks of --engine ray at a time. None: as many as the cluster has room for."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: bool = False
    """Report as JSON."""

    def run(self) -> int:
        """Score and report."""
        shard = Shard.parse(self.shard)
        self._check()
        from earwitness.inference.any_model import open_model
        from earwitness.store.embeddings import open_clips

        model = open_model(self.model)
        store = open_clips(self.store)
        with progress_bar(total=None, unit="patch", title="score") as bar:

            def show(done: int, num_patches: int) -> None:
                bar.total = num_patches
                bar.update(done - bar.n)

            summary = self._score(model, store, shard, show)
        if self.json:
            values = {**vars(summary), "is_complete": summary.is_complete}
            print_json({"schema_version": 1, "scores_path": str(self.scores), "shard": self.shard, **values})
            return 0
        what = f"{counted(summary.num_clips, 'clip')} x {counted(summary.num_labels, 'label')}"
        if summary.is_complete:
            print(f"{self.scores}: scores of {what}, complete")
            if not summary.num_scored:
                print("  they were complete already")
            print_next("evaluate", self.scores)
        else:
            print(
                f"{self.scores}: scores of {what}, {summary.num_finished} of {summary.num_ranges} ranges are there; "
                "the other shards complete them"
            )
        return 0

    def _check(self) -> None:
        if self.range_clips is not None and self.range_clips < 1:
            raise SettingsError(f"range_clips={self.range_clips} must be at least 1")
        if self.engine == "ray":
            return
        for name, value, default in (("--ray-address", self.ray_address, "local"), ("--workers", self.workers, None)):
            if value != default:
                raise SettingsError(f"{name} {value} is for --engine ray")

    def _score(
        self, model: "AnyModel", store: "LabelledClips", shard: Shard, on_patches: Callable[[int, int], None]
    ) -> "ScoreSummary":
        if self.engine == "local":
            from earwitness.scoring.score_store import score_store

            return score_store(
                model,
                store,
                self.scores,
                settings=self.settings,
                model_path=self.model,
                shard=shard,
                range_clips=self.range_clips,
                device=self.device,
                on_patches=on_patches,
            )
        from earwitness.scoring.score_cluster import score_on_cluster
        from earwitness.store.read import Store

        if not isinstance(store, Store):
            raise SettingsError(f"--engine ray is for stores; {store.folder} has embeddings, which one process scores")

        return score_on_cluster(
            model,
            store,
            self.scores,
            settings=self.settings,
            model_path=self.model,
            address=self.ray_address,
            workers=self.workers,
            shard=shard,
            range_clips=self.range_clips,
            device=self.device,
            on_patches=on_patches,
        )
