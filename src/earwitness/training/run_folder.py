"""The run folder: everything that one training leaves on disk, and all that is needed to run it again.

run.json             settings, store and its fingerprint, versions, machine; written first, never changed
                     except for `settings.steps` when a finished run is continued
metrics.csv          one row a measurement: step, seconds, kind (train | validation), loss,
                     one_best_accuracy, mean_average_precision, patches_per_second
tensorboard/         the same for TensorBoard
checkpoint.pt        weights, optimiser and step; replaced whole, loaded with weights_only
model.safetensors    the trained model; present once the run is finished
"""

import csv
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from earwitness.errors import RunError
from earwitness.store.read import Store
from earwitness.training.settings import TrainSettings

SCHEMA_VERSION = 1

METRICS_COLUMNS = (
    "step",
    "seconds",
    "kind",
    "loss",
    "one_best_accuracy",
    "mean_average_precision",
    "patches_per_second",
)

# Changing these does not change the weights, so a run may be resumed with other values.
_FREE_SETTINGS = frozenset({"checkpoint_seconds", "validation_every", "validation_clips"})


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run."""

    folder: Path

    @property
    def record_path(self) -> Path:
        """`run.json`."""
        return self.folder / "run.json"

    @property
    def metrics_path(self) -> Path:
        """`metrics.csv`."""
        return self.folder / "metrics.csv"

    @property
    def checkpoint_path(self) -> Path:
        """`checkpoint.pt`."""
        return self.folder / "checkpoint.pt"

    @property
    def model_path(self) -> Path:
        """`model.safetensors`."""
        return self.folder / "model.safetensors"

    @property
    def tensorboard_path(self) -> Path:
        """`tensorboard/`."""
        return self.folder / "tensorboard"

    def read_record(self) -> dict[str, Any]:
        """The run's record.

        Raises:
            RunError: it is missing or damaged.
        """
        try:
            record: dict[str, Any] = json.loads(self.record_path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{self.folder}: no run is here (run.json is missing)") from error
        except (OSError, json.JSONDecodeError) as error:
            raise RunError(f"{self.record_path}: the run's record cannot be read ({error})") from error
        return record


def threads_of_run(folder: str | Path) -> int | None:
    """The number of threads that the run in `folder` was started with; None where no run is."""
    run = RunFolder(Path(folder))
    return int(run.read_record()["threads"]) if run.record_path.exists() else None


def open_run(folder: str | Path, *, settings: TrainSettings, store: Store, threads: int) -> RunFolder:
    """Start a run in a new or empty folder, or take up the one that is there.

    Raises:
        RunError: the folder holds something else, cannot be written, or holds a run with other settings,
            another store or another number of threads (both sides are printed).
    """
    run = RunFolder(Path(folder))
    record = {
        "schema_version": SCHEMA_VERSION,
        "settings": settings.to_dict(),
        "learning_rate": settings.effective_learning_rate,
        "threads": threads,
        "store": str(Path(store.folder).resolve()),
        "store_fingerprint": store.fingerprint,
        "front_end": store.front_end.to_dict(),
        "versions": _versions(),
        "commit": _commit(),
        "machine": {"processor": _processor_name(), "system": platform.platform()},
    }
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        if not run.record_path.exists():
            if any(run.folder.iterdir()):
                raise RunError(f"{run.folder}: the folder is not empty and holds no run; choose a new one")
            write_json(record, run.record_path)
            return run
        before = run.read_record()
        _refuse_changes(run, before, record)
        if before["settings"]["steps"] < settings.steps:
            write_json({**before, "settings": record["settings"]}, run.record_path)
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{run.folder}: this is a file; a folder is needed for the run") from error
    except OSError as error:
        raise RunError(f"{run.folder}: the run folder cannot be written ({error.strerror or error})") from error
    return run


def write_json(value: Any, path: Path) -> None:
    """Write JSON, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all, and on the disk before the old one goes.

    Raises:
        RunError: it cannot be written; the previous one is still there.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        partial.unlink(missing_ok=True)
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


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv`; none where the file is missing."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _refuse_changes(run: RunFolder, before: dict[str, Any], now: dict[str, Any]) -> None:
    changes = [
        f"{name}: {before['settings'].get(name)!r} before, {value!r} now"
        for name, value in now["settings"].items()
        if before["settings"].get(name) != value and name not in _FREE_SETTINGS and name != "steps"
    ]
    if now["settings"]["steps"] < before["settings"]["steps"]:
        changes.append(f"steps: {before['settings']['steps']} before, {now['settings']['steps']} now (more is allowed)")
    if before["store_fingerprint"] != now["store_fingerprint"]:
        changes.append(
            f"store: {before['store']} ({before['store_fingerprint'][:12]}) before, "
            f"{now['store']} ({now['store_fingerprint'][:12]}) now"
        )
    if before["threads"] != now["threads"]:
        changes.append(
            f"threads: {before['threads']} before, {now['threads']} now (give --threads {before['threads']})"
        )
    if changes:
        raise RunError(
            f"{run.folder}: the run there was started with other settings ({'; '.join(changes)}); "
            "use the same ones, or another folder"
        )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("earwitness", "torch", "numpy", "scipy", "av")
    }


def _commit() -> str | None:
    """The commit of the source this runs from, where it runs from a checkout of its own."""
    here = Path(__file__)
    try:
        for command in (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"]):
            answer = subprocess.run(
                ["git", "-C", str(here.parent), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=5,
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
