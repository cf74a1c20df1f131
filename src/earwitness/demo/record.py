"""What of the demo is done, and how long each stage took: `demo.json` in its folder.

A stage that was stopped keeps the time it has taken so far; one that is done is not timed again.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.demo.settings import CORPUS, SETTINGS
from earwitness.errors import RunError
from earwitness.files import PARTIAL_SUFFIX, replacing

_FILE = "demo.json"
_SCHEMA_VERSION = 1


@dataclass
class DemoRecord:
    """The record of one demo folder."""

    folder: Path
    stages: dict[str, dict[str, Any]]
    """Seconds taken and whether it is done, by name, in the order they were begun."""
    results: dict[str, Any] | None
    """What came of it; None until all is done."""

    @classmethod
    def take_up(cls, folder: Path) -> "DemoRecord":
        """The record in the folder, or a new one.

        Raises:
            RunError: the folder holds something else, or a demo of other settings, or cannot be written.
        """
        path = folder / _FILE
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder}: this is a file; the demo needs a folder, choose another by --folder")
        try:
            if not path.exists():
                if folder.is_dir() and any(entry.name != _FILE + PARTIAL_SUFFIX for entry in folder.iterdir()):
                    raise RunError(
                        f"{folder}: the folder is not empty and holds no demo of this version; choose another by "
                        "--folder, or remove it"
                    )
                folder.mkdir(parents=True, exist_ok=True)
                record = cls(folder, {}, None)
                record.save()
                return record
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["settings"] != _settings():
                raise RunError(
                    f"{folder}: holds a demo of another version, with other settings; choose another by --folder, "
                    "or remove it"
                )
            if values["results"] is None and values["begun_in"] != str(folder.resolve()):
                raise RunError(
                    f"{folder}: this demo was begun in {values['begun_in']} and is not finished; move it back, or "
                    "choose another folder by --folder"
                )
            return cls(folder, dict(values["stages"]), values["results"])
        except OSError as error:
            raise RunError(f"{folder}: the demo's folder cannot be written ({error.strerror or error})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: not a readable record of a demo ({error}); remove the folder") from error

    def save(self) -> None:
        """Write it."""
        values = {
            "schema_version": _SCHEMA_VERSION,
            "begun_in": str(self.folder.resolve()),
            "settings": _settings(),
            "stages": self.stages,
            "results": self.results,
        }
        with replacing(self.folder / _FILE) as file:
            file.write((json.dumps(values, indent=2) + "\n").encode())

    def finish(self, results: dict[str, Any]) -> None:
        """All is done; this came of it."""
        self.results = results
        self.save()

    @property
    def seconds(self) -> dict[str, float]:
        """What each stage took so far, by name."""
        return {name: entry["seconds"] for name, entry in self.stages.items()}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, unless it was done before; done when the block ends well."""
        entry = self.stages.setdefault(name, {"seconds": 0.0, "is_done": False})
        if entry["is_done"]:
            yield
            return
        started = time.monotonic()
        try:
            yield
            entry["is_done"] = True
        finally:
            entry["seconds"] += time.monotonic() - started
            self.save()


def _settings() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps({"corpus": CORPUS.to_dict(), "training": SETTINGS.to_dict()}))
    return values
