"""The run folder: everything that one training leaves on disk, and all that is needed to run it again.

    run.json             what was asked for, what it came down to on this machine, which clips, the store, and the
                         environments it ran in: see `RunRecord`
    metrics.csv          one row a measurement; see `training.measurements`
    tensorboard/         the same for TensorBoard
    checkpoint.pt        weights, optimiser and step; replaced whole, loaded with weights_only
    embeddings.npy       where only a classifier learns: what it learns from, made once; see `Setup.with_embeddings`
    best.safetensors     the model as it was at the validation of the highest mAP so far; none without clips to watch
    model.safetensors    the trained model as it was last; present just when the run is finished

One process works in a run folder at a time: of a training over several, the first.
"""

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from earwitness.errors import RunError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked, replacing
from earwitness.training.settings import TrainSettings

SCHEMA_VERSION = 1
"""Of `run.json`."""

# Other values of these give the same weights, so a run may be taken up with them. `threads` and `from_model` are here
# as they were asked for; what they came down to is compared.
_FREE_SETTINGS = frozenset({"checkpoint_seconds", "validation_every", "stop_after", "threads", "steps", "from_model"})

_RESOLVED_BEFORE = {"processes": 1}
"""Of records of an earlier version, which do not hold them."""

_HINTS = {"processes": " (start it by torchrun --nproc-per-node {})"}
"""What to do where something came down to another value; else it is given as an option."""

OTHER_CLIPS = (
    "the clips learnt from and watched are not those of before: an earlier version chose those to watch otherwise, or "
    "media have changed"
)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What decides the weights of a run. Kept as `run.json`, with a schema version and the environments."""

    settings: Mapping[str, Any]
    """`TrainSettings`, as asked for."""
    resolved: Mapping[str, Any]
    """What they came down to here: learning rate, precision, kind of device, threads, processes."""
    clips: Mapping[str, Any]
    """How many clips are learnt from and watched, and digests of their ids."""
    store: str
    store_fingerprint: str
    front_end: Mapping[str, Any]
    origin: Mapping[str, Any] | None = None
    """The model it began from: `digest` of its tensors, and its `provenance`. None: it began anew."""

    def differences(self, now: "RunRecord", *, step_reached: int) -> list[str]:
        """What in `now` cannot be had by going on, one sentence part each; empty where the run may go on."""
        before, after = flat_settings(self.settings), flat_settings(now.settings)
        changes = []
        for name, value in after.items():
            came_to = [record.resolved.get(name) for record in (self, now)]
            is_the_same = came_to[0] is not None and came_to[0] == came_to[1]
            if before[name] != value and name not in _FREE_SETTINGS and not is_the_same:
                sides = [setting_words(*each) for each in zip((before[name], value), came_to, strict=True)]
                changes.append(f"{name}: {sides[0]} before, {sides[1]} now")
        if after["steps"] < step_reached:
            changes.append(f"steps: {step_reached} are done, {after['steps']} now (more is allowed)")
        elif before["steps"] != after["steps"] and after["rate_plan"] == "cosine":
            changes.append(f"steps: {before['steps']} before, {after['steps']} now (the cosine ends at the last step)")
        follows = bool(changes)  # another network has another learning rate, another device another precision
        for name, value in now.resolved.items():
            earlier = self.resolved.get(name, _RESOLVED_BEFORE.get(name))
            if earlier != value and (name in ("threads", "processes") or not follows):
                hint = _HINTS.get(name, f" (give --{name.replace('_', '-')} {{}})").format(earlier)
                changes.append(f"{name}: {earlier} before, {value} now{hint}")
        models = [(record.origin or {}).get("digest") for record in (self, now)]
        if models[0] != models[1]:
            changes.append(f"from_model: {_model_words(self)} before, {_model_words(now)} now")
        if self.store_fingerprint != now.store_fingerprint:
            changes.append(
                f"store: {self.store} ({self.store_fingerprint[:12]}) before, "
                f"{now.store} ({now.store_fingerprint[:12]}) now"
            )
        elif self.front_end != now.front_end:
            changes += [
                f"{name} of the front end: {self.front_end.get(name)} before, {value} now"
                for name, value in now.front_end.items()
                if self.front_end.get(name) != value
            ]
        elif self.clips != now.clips and not changes:
            changes.append(OTHER_CLIPS)
        return changes


class RunFolder:
    """Paths and files of one run."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record_path = self.folder / "run.json"
        self.metrics_path = self.folder / "metrics.csv"
        self.checkpoint_path = self.folder / "checkpoint.pt"
        self.model_path = self.folder / "model.safetensors"
        self.best_path = self.folder / "best.safetensors"
        self.tensorboard_path = self.folder / "tensorboard"
        self.embeddings_path = self.folder / "embeddings.npy"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder if need be and keep every other process out of it.

        Raises:
            RunError: it is a file, cannot be written, holds something else, or another process works in it.
        """
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                strangers = [path.name for path in self.folder.iterdir() if not _is_ours(path.name)]
                if strangers and not self.record_path.exists():
                    raise RunError(f"{self.folder}: the folder is not empty and holds no run; choose a new one")
                busy = RunError(f"{self.folder}: another process is training in this folder; wait for it to end")
                stack.enter_context(locked(self.folder, busy=busy))
            except (FileExistsError, NotADirectoryError) as error:
                raise RunError(f"{self.folder}: this is, or lies in, a file; a folder is needed for the run") from error
            except OSError as error:
                raise RunError(
                    f"{self.folder}: the run folder cannot be written ({error.strerror or error})"
                ) from error
            yield

    def take_up(self, record: RunRecord, *, step_reached: int, is_finished: bool) -> None:
        """Write the record of a new run, or make sure that the run there is the same.

        The number of steps may be changed to any that is not passed already. A finished run is opened again by asking
        for more: its model goes, since it is no longer that of the run.

        Raises:
            RunError: the run there was made with other settings, clips or another store; both sides are printed.
        """
        environment = _environment()
        before = self.read_record()
        environments = [environment]
        if before is not None:
            then, environments = before
            if changes := then.differences(record, step_reached=step_reached):
                raise RunError(
                    f"{self.folder}: the run there was started with other settings ({'; '.join(changes)}); "
                    "use the same ones, or another folder"
                )
            if not is_finished:
                self.model_path.unlink(missing_ok=True)
            if environments[-1] != environment:
                environments = [*environments, environment]
        write_json({"schema_version": SCHEMA_VERSION, **vars(record), "environments": environments}, self.record_path)

    def environments(self) -> list[Mapping[str, Any]]:
        """The environments the run has run in, oldest first."""
        before = self.read_record()
        return before[1] if before is not None else []

    def threads(self) -> int | None:
        """The number of threads the run was started with; None where no run is."""
        before = self.read_record()
        return before[0].resolved.get("threads") if before is not None else None

    def read_record(self) -> tuple[RunRecord, list[Mapping[str, Any]]] | None:
        """The run's record and the environments it ran in; None where no run is.

        Raises:
            RunError: `run.json` is damaged, or something else.
        """
        if not self.record_path.exists():
            return None
        try:
            values = json.loads(self.record_path.read_text(encoding="utf-8"))
            written_by = values.pop("schema_version")
            environments = values.pop("environments")
            if written_by != SCHEMA_VERSION:
                raise RunError(
                    f"{self.record_path}: schema version {written_by}; this earwitness reads {SCHEMA_VERSION}"
                )
            return RunRecord(**values), environments
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self.record_path}: not a readable record of a run ({error})") from error


def write_json(value: Any, path: Path) -> None:
    """Write JSON, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    try:
        with replacing(path) as file:
            file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all, and on the disk before the old one goes.

    Raises:
        RunError: it cannot be written; the previous one is still there.
    """
    try:
        with replacing(path) as file:
            torch.save(dict(state), file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise RunError(f"{path}: the checkpoint cannot be written ({error}); the last one is kept") from error


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None where there is none.

    Raises:
        RunError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(f"{path}: the checkpoint is damaged ({error}); delete it to begin again") from error
    return state


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without groups, as they are on the command line; those an earlier version did not know by default."""
    flat: dict[str, Any] = {}
    for values in (TrainSettings().to_dict(), settings):
        for name, value in values.items():
            flat |= value if isinstance(value, Mapping) else {name: value}
    return flat


def setting_words(value: Any, came_to: Any = None) -> str:
    """A setting as a message names it; `came_to`: what it came down to, if that is known."""
    if value is None:
        return "not given" if came_to is None else f"the default, {came_to}"
    return repr(value)


def _model_words(record: RunRecord) -> str:
    if record.origin is None:
        return "none"
    path = record.settings.get("from_model") or "the model of the embeddings"
    return f"{path} (digest {record.origin['digest'][:12]})"


def _is_ours(name: str) -> bool:
    """Whether a first attempt that was killed may have left this behind."""
    return name == LOCK_FILE or name.endswith(PARTIAL_SUFFIX)


def _environment() -> Mapping[str, Any]:
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in ("earwitness", "torch", "numpy", "scipy", "av")}
    return {
        "versions": versions,
        "commit": _commit(),
        "processor": _processor_name(),
        "system": platform.platform(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def _commit() -> str | None:
    """The commit of the source this runs from, with `-dirty` where it was changed; None outside a checkout of it."""
    here = Path(__file__)
    try:
        for command in (
            ["ls-files", "--error-unmatch", here.name],
            ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        ):
            answer = subprocess.run(
                ["git", "-C", str(here.parent), *command], capture_output=True, text=True, check=True, timeout=5
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
