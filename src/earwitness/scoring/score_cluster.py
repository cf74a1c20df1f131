"""Scoring by a Ray cluster: its nodes score ranges of clips, each as one process does, and write the tiles themselves.

What travels to a task is the number of a range, what comes back is a count; no score enters Ray's object store. All
nodes must see the folder of scores and the model under the same paths, and the store likewise or behind a URL. A
process that has scored one range keeps model and store open for the next.
"""

import functools
import importlib.metadata
import platform
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earwitness import __version__
from earwitness.errors import ClusterError, EarwitnessError
from earwitness.inference.any_model import AnyModel, open_model, patch_scorer
from earwitness.inference.patch_runner import ScoreRunner
from earwitness.models.onnx_file import OnnxModel
from earwitness.ray_tasks import connected, require_address, require_versions, require_visible, run_on_cluster
from earwitness.scoring.score_folder import CLIPS_FILE
from earwitness.scoring.score_header import FILE_NAME, read_scores_header
from earwitness.scoring.score_settings import WHOLE, ScoreSettings, Shard
from earwitness.scoring.score_store import Plan, ScoreSummary, plan_scores, summary_of, write_scores
from earwitness.scoring.score_tiles import finished_tiles, is_finished, tile_path
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.tables import read_parquet

_REMEDY = "all nodes must see the folder of scores under the same path"


@dataclass(frozen=True)
class _Work:
    """What every task must know."""

    model_path: Path
    model_digest: str
    store: str
    store_fingerprint: str
    folder: Path
    device: str


def score_on_cluster(
    model: AnyModel,
    store: Store,
    folder: Path,
    *,
    settings: ScoreSettings,
    model_path: Path,
    address: str,
    workers: int | None = None,
    shard: Shard = WHOLE,
    range_clips: int | None = None,
    device: str = "auto",
    on_patches: Callable[[int, int], None] | None = None,
) -> ScoreSummary:
    """As `score_store`, by the nodes of a Ray cluster.

    Args:
        model: as it is read from `model_path`.
        store: of the clips.
        folder: see `score_store`.
        settings: see `score_store`.
        model_path: where all nodes find the model.
        address: see `ray_tasks.require_address`.
        workers: tasks at a time. None: as many as keep all nodes at work.
        shard: see `score_store`.
        range_clips: see `score_store`.
        device: where the network runs. `auto`: on GPUs, one a task, where the cluster has some, and the model is not
            an exported one.
        on_patches: told the number of patches done so far, and of all that are to be done.

    Raises:
        SettingsError: the address is none.
        MissingExtraError: Ray is not installed.
        ClusterError: the cluster does not answer, or cannot do the work.
        EarwitnessError: as `score_store`.
    """
    require_address(address)
    plan = plan_scores(model, store, folder, settings=settings, model_path=model_path, range_clips=range_clips)
    there = set(finished_tiles(folder, plan.header))
    tiles = [tile for tile in range(plan.header.num_tiles) if shard.has(tile) and tile not in there]
    if not tiles:
        return summary_of(plan, num_scored=0)
    with connected(address, workers) as ray:
        if device == "auto":
            has_gpus = ray.cluster_resources().get("GPU") and not isinstance(model, OnnxModel)
            device = "cuda" if has_gpus else "cpu"
        work = _Work(
            model_path.resolve(),
            model.digest,
            str(store.folder.absolute()),
            store.fingerprint,
            folder.absolute(),
            device,
        )
        scored = run_on_cluster(
            ray,
            _score_range,
            tiles,
            work,
            _versions(work.model_path),
            workers=workers,
            name_of=lambda tile: f"range {tile}",
            num_gpus=int(device.startswith("cuda")),
        )
        done, num_patches = 0, plan.patches_in(tiles)
        with closing(scored):
            for tile, _ in scored:
                require_visible(tile_path(folder, tile), remedy=_REMEDY)
                done += len(plan.span(tile))
                if on_patches is not None:
                    on_patches(done, num_patches)
    return summary_of(plan, num_scored=len(tiles))


# What runs on the nodes.


def _score_range(tile: int, work: _Work, versions: dict[str, str]) -> EarwitnessError | None:
    """Score a range and write its tile, unless a task that was lost has done so. Errors for people are given back."""
    try:
        require_versions(_versions(work.model_path), versions)
        for path in (work.folder / FILE_NAME, work.model_path):
            if not path.exists():
                raise ClusterError(
                    f"node {socket.gethostname()} sees no file {path}: all nodes must see the folder of scores and the "
                    "model under the same paths"
                )
        plan, scorer, reader = _opened(work)
        if not is_finished(plan.folder, plan.header, tile):
            write_scores(plan, [tile], scorer, reader)
    except EarwitnessError as error:
        return error
    return None


@functools.lru_cache(maxsize=1)
def _opened(work: _Work) -> tuple[Plan, ScoreRunner, FrameReader]:
    """What is kept open from one range to the next."""
    model, store = open_model(work.model_path), Store.open(work.store)
    for what, path, seen, meant in (
        ("model", work.model_path, model.digest, work.model_digest),
        ("store", work.store, store.fingerprint, work.store_fingerprint),
    ):
        if seen != meant:
            raise ClusterError(
                f"node {socket.gethostname()} sees another {what} at {path} ({seen[:12]}, and {meant[:12]} is meant)"
            )
    header = read_scores_header(work.folder)
    assert header.patch_frames is not None
    assert header.patch_hop_frames is not None
    clips = read_parquet(work.folder / CLIPS_FILE, ["clip_number"])["clip_number"].to_numpy()
    index = PatchIndex(
        store.frames_per_clip,
        clips.astype(np.int64),
        patch_frames=header.patch_frames,
        hop_frames=header.patch_hop_frames,
    )
    scorer = patch_scorer(model, device=work.device)
    return Plan(work.folder, header, index), scorer, FrameReader(store)


def _versions(model_path: Path) -> dict[str, Any]:
    """Of what the scores depend on: one runs the network."""
    runs = "onnxruntime" if model_path.suffix.lower() == ".onnx" else "torch"
    return {"earwitness": __version__, runs: importlib.metadata.version(runs), "python": platform.python_version()}
