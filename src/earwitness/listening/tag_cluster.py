"""Inputs to rows by a Ray cluster: its nodes hear whole groups of inputs and give the rows back.

All nodes must see the media and the model under the same paths, or the media behind URLs. A process that has heard one
group keeps the model open for the next. Media are decoded under the limits of the local engine.
"""

import functools
import importlib.metadata
import platform
import socket
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from earwitness import __version__
from earwitness.audio.decode_limits import DecodeLimits
from earwitness.errors import ClusterError, EarwitnessError, SettingsError
from earwitness.inference.any_model import AnyModel, open_model
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import Tagger
from earwitness.listening.engines import digest_of
from earwitness.listening.tag_sounds import Hearing, Numbered, NumberedRow, OnPatches, groups, tag_in_parallel
from earwitness.listening.work import Engine
from earwitness.models.onnx_file import OnnxModel
from earwitness.places import is_url
from earwitness.ray_tasks import bare_main, connected, require_address, require_versions, run_on_cluster


@dataclass(frozen=True)
class _Work:
    """What every task must know."""

    model_path: Path
    model_digest: str
    settings: TagSettings
    limits: DecodeLimits
    has_all_scores: bool
    device: str


def cluster_engine(
    model: AnyModel,
    *,
    model_path: Path,
    address: str,
    settings: TagSettings,
    limits: DecodeLimits,
    has_all_scores: bool = False,
    device: str = "auto",
) -> Engine:
    """The nodes of a cluster; `limits.workers` are tasks at a time.

    Raises:
        SettingsError: the address is none.
    """
    require_address(address)

    def rows(
        inputs: Iterable[Numbered],
        *,
        spool_folder: Path | None,
        on_patches: OnPatches | None,
    ) -> Generator[list[NumberedRow]]:
        if on_patches is not None:
            raise SettingsError("the scores of patches do not travel through a cluster; write them by --engine local")
        with connected(address, limits.workers) as ray:
            resources = ray.cluster_resources()
            named = device
            if named == "auto":
                named = "cuda" if resources.get("GPU") and not isinstance(model, OnnxModel) else "cpu"
            work = _Work(model_path.resolve(), digest_of(model), settings, limits, has_all_scores, named)
            names: dict[int, str] = {}
            heard = run_on_cluster(
                ray,
                _hear_group,
                _groups(inputs, names),
                work,
                _versions(work.model_path),
                workers=limits.workers,
                name_of=lambda group: f"the rows of {group[0][1].media} and those behind it",
                num_gpus=int(named.startswith("cuda")),
            )
            with closing(heard):
                for _, of_group in heard:
                    for rows in of_group:
                        yield [(number, {**row, "media": names.pop(number)}) for number, row in rows]

    return rows


def _groups(inputs: Iterable[Numbered], names: dict[int, str]) -> Iterator[list[Numbered]]:
    """Paths are made whole, for nodes have working directories of their own; `names` keeps those that were given."""
    for group in groups(inputs):
        names.update((number, given.media) for number, given in group)
        yield [(number, replace(given, media=_whole_path(given.media))) for number, given in group]


def _whole_path(media: str) -> str:
    return media if is_url(media) else str(Path(media).absolute())


# What runs on the nodes.


def _hear_group(
    group: list[Numbered], work: _Work, versions: dict[str, str]
) -> list[list[NumberedRow]] | EarwitnessError:
    """The rows of some inputs. Errors for people are given back."""
    try:
        require_versions(_versions(work.model_path), versions)
        hearing = Hearing(tagger=_opened(work), settings=work.settings, has_all_scores=work.has_all_scores)
        with TemporaryDirectory(prefix="earwitness-") as folder, bare_main():
            limits = replace(work.limits, workers=1)
            return list(tag_in_parallel(hearing, group, limits=limits, spool_folder=Path(folder)))
    except EarwitnessError as error:
        return error


@functools.lru_cache(maxsize=1)
def _opened(work: _Work) -> Tagger:
    """What is kept open from one group to the next."""
    node = socket.gethostname()
    if not work.model_path.exists():
        raise ClusterError(f"node {node} sees no file {work.model_path}: all nodes must see it under the same path")
    model = open_model(work.model_path)
    if (seen := digest_of(model)) != work.model_digest:
        raise ClusterError(
            f"node {node} sees another model at {work.model_path} ({seen[:12]}, and {work.model_digest[:12]} is meant)"
        )
    return Tagger(model, device=work.device)


def _versions(model_path: Path) -> dict[str, Any]:
    """Of what the scores depend on: one runs the network, the other decodes."""
    runs = "onnxruntime" if model_path.suffix.lower() == ".onnx" else "torch"
    return {
        "earwitness": __version__,
        **{name: importlib.metadata.version(name) for name in (runs, "av")},
        "python": platform.python_version(),
    }
