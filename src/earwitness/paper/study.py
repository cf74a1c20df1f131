"""The folder of one experiment.

    experiment.json            the plan, the store's fingerprint, and what the machine adds
    cells/NAME/run/            the training of a cell; see `training.run_folder`
    cells/NAME/result.json     what came of it; present just when the cell is done, be it that it failed
    table.md, .csv, .json      made from these alone

Any number of processes may work in it: each takes a cell that nobody holds.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earwitness.errors import RunError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked, read_description
from earwitness.paper.plan import Plan
from earwitness.paper.plan_changes import plan_changes
from earwitness.training.run_folder import write_json

FORMAT = "earwitness experiment"
SCHEMA_VERSION = 1
"""Of experiment.json and result.json."""

RECORD_FILE = "experiment.json"
_CELLS = "cells"

Result = Mapping[str, Any]


class Study:
    """Paths and files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record_path = folder / RECORD_FILE

    def cell_folder(self, name: str) -> Path:
        """Where a cell's run and result lie."""
        return self.folder / _CELLS / name

    def run_folder(self, name: str) -> Path:
        """Where a cell's training lies."""
        return self.cell_folder(name) / "run"

    def take_up(self, plan: Plan, *, store: str, store_fingerprint: str, machine: Mapping[str, Any]) -> dict[str, Any]:
        """Write the record of a new experiment, or make sure that the one there is the same; what the machine adds.

        It may be part of the one there, or have more parts than that: then it is kept from now on.

        Args:
            plan: all of it.
            store: where it lies, to be named.
            store_fingerprint: what is compared.
            machine: device and arithmetic; and threads, where None stands for what the experiment was begun with.

        Raises:
            RunError: the folder holds another experiment or something else, or cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder, busy=None):
                before = self.read_record()
                if before is None:
                    strangers = [path.name for path in self.folder.iterdir() if not _may_come_first(path.name)]
                    if strangers:
                        raise RunError(
                            f"{self.folder}: the folder is not empty and holds no experiment; choose a new one"
                        )
                    record = {
                        "format": FORMAT,
                        "schema_version": SCHEMA_VERSION,
                        "store": store,
                        "store_fingerprint": store_fingerprint,
                        "machine": dict(machine),
                        "plan": plan.to_dict(),
                    }
                    write_json(record, self.record_path)
                    (self.folder / _CELLS).mkdir(exist_ok=True)
                    return dict(machine)
                then: dict[str, Any] = dict(before["machine"])
                threads = machine["threads"] if machine["threads"] is not None else then["threads"]
                now = {**machine, "threads": threads}
                changes = plan_changes(before["plan"], plan.to_dict())
                changes += [
                    f"{name}: {then.get(name)} before, {value} now"
                    for name, value in now.items()
                    if then.get(name) != value
                ]
                if before["store_fingerprint"] != store_fingerprint:
                    mark = before["store_fingerprint"][:12]
                    changes.insert(
                        0, f"store: {before['store']} ({mark}) before, {store} ({store_fingerprint[:12]}) now"
                    )
                if changes:
                    raise RunError(
                        f"{self.folder}: the experiment there is another one ({'; '.join(changes)}); give the same "
                        "settings, or choose another folder"
                    )
                if len(plan.cells) > len(before["plan"]["cells"]):
                    write_json({"format": FORMAT, **before, "plan": plan.to_dict()}, self.record_path)
                return now
        except (FileExistsError, NotADirectoryError) as error:
            raise RunError(f"{self.folder}: this is, or lies in, a file; a folder is needed") from error
        except OSError as error:
            raise RunError(f"{self.folder}: cannot be written ({error.strerror or error})") from error

    def read_record(self) -> dict[str, Any] | None:
        """The content of experiment.json; None where there is none.

        Raises:
            RunError: it is damaged, or of another version.
        """
        if not self.record_path.exists():
            return None
        record = read_description(self.record_path, of=FORMAT, error_type=RunError)
        if record.get("schema_version") != SCHEMA_VERSION:
            raise RunError(
                f"{self.record_path}: schema version {record.get('schema_version')}; this earwitness reads "
                f"{SCHEMA_VERSION}"
            )
        if missing := {"plan", "store", "store_fingerprint", "machine"} - record.keys():
            raise RunError(f"{self.record_path}: damaged, it has no {', '.join(sorted(missing))}")
        return record

    def record(self) -> dict[str, Any]:
        """The content of experiment.json.

        Raises:
            RunError: there is none, or it is damaged, or of another version.
        """
        record = self.read_record()
        if record is None:
            raise RunError(f"{self.folder}: holds no experiment")
        return record

    def plan(self) -> Plan:
        """The plan that is kept.

        Raises:
            RunError: there is none, or it is of another version.
        """
        record = self.record()
        try:
            return Plan.from_dict(record["plan"])
        except (KeyError, TypeError) as error:
            raise RunError(f"{self.record_path}: its plan is not understood ({error})") from error

    def result(self, name: str) -> Result | None:
        """What came of a cell; None where it is not done.

        Raises:
            RunError: the file is damaged.
        """
        path = self.cell_folder(name) / "result.json"
        if not path.exists():
            return None
        try:
            result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if result["schema_version"] != SCHEMA_VERSION or result["state"] not in ("finished", "failed"):
                raise RunError(f"{path}: written by another version; delete it to evaluate again")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: cannot be read ({error}); delete it to evaluate again") from error
        return result

    def results(self, plan: Plan) -> dict[str, Result | None]:
        """What came of all cells, those among them that cannot be done because another has failed.

        Raises:
            RunError: a file is damaged.
        """
        results = {cell.name: self.result(cell.name) for cell in plan.cells}
        failed = failed_among(results)
        for cell in plan.cells:
            reason = cell.why_not(failed)
            if results[cell.name] is None and reason is not None:
                results[cell.name] = {"state": "failed", "reason": reason}
        return results

    def write_result(self, name: str, result: Result) -> None:
        """Note what came of a cell.

        Raises:
            RunError: it cannot be written.
        """
        write_json({"schema_version": SCHEMA_VERSION, **result}, self.cell_folder(name) / "result.json")

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Keep every other process out of a cell.

        Raises:
            TakenError: another process works on it.
            RunError: the folder cannot be written.
        """
        folder = self.cell_folder(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, busy=TakenError(f"{folder}: another process works on it")):
                yield
        except OSError as error:
            raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from error


def failed_among(results: Mapping[str, Result | None]) -> set[str]:
    """The cells that have failed."""
    return {name for name, result in results.items() if result is not None and result["state"] == "failed"}


class TakenError(RunError):
    """Another process works on this cell. Never reaches users."""


def _may_come_first(name: str) -> bool:
    """Whether a first attempt that was killed may have left this behind."""
    return name in (LOCK_FILE, _CELLS) or name.endswith(PARTIAL_SUFFIX)
