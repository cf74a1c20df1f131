"""A grid search on disk, and how several processes share it.

    grid.json            what all trials have in common: see `earwitness.experiments.grid`
    study.log            Optuna's study: one line an event, appended; Optuna's own tools read it
    trials/0000/         the run folder of trial 0
    locks/0000           held by the process that works on trial 0
    table.csv, .json     the trials so far, best first

A trial is begun by adding it to the study as running, in one line, and ended by telling the study how. The study is
read and written only under the lock of the whole folder, for moments; a trial's own lock is held while it is worked
on. The system lets go of both however a process ends. So a trial that runs in the study and is not locked was left
behind, and whoever comes first takes it up: its run folder goes on from its last checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from earwitness.errors import MissingExtraError, RunError
from earwitness.experiments.grid_axes import Combination, is_log_scaled, nearest
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked
from earwitness.training.run_folder import write_json

try:
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.trial import FrozenTrial, TrialState
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"a grid search needs Optuna, and {error.name} is not installed; pip install 'earwitness[search]'"
    ) from error

SCHEMA_VERSION = 1
"""Of `grid.json`."""

_STUDY_NAME = "earwitness grid"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One combination."""

    number: int
    """From 0, in the order begun."""
    combination: Combination
    state: Literal["running", "finished", "failed"]
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What was told when it ended."""


class GridStudy:
    """The trials in a folder."""

    def __init__(self, folder: str | Path, combinations: Sequence[Combination]) -> None:
        """`combinations`: all that this process may try."""
        self.folder = Path(folder)
        self._ranges = _ranges(combinations)
        self._journal_path = self.folder / "study.log"
        self._record_path = self.folder / "grid.json"
        self._locks = self.folder / "locks"

    def run_folder(self, number: int) -> Path:
        """Of a trial."""
        return self.folder / "trials" / f"{number:04d}"

    def join(self, asked: Callable[[Mapping[str, Any] | None], Mapping[str, Any]]) -> dict[str, Any]:
        """Begin a search in the folder, or join the one that is there.

        Args:
            asked: what all trials of this process have in common, plain values. It is given what those of the search
                there have in common, None where there is none, and raises where the two do not go together.

        Returns:
            What it gave.

        Raises:
            RunError: the folder is a file, cannot be written, or holds something else.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            strangers = [path.name for path in self.folder.iterdir() if not _may_come_first(path.name)]
            if strangers and not self._record_path.exists():
                raise RunError(f"{self.folder}: the folder is not empty and holds no grid search; choose a new one")
            with locked(self.folder, busy=None):
                before = self._read_record()
                now = dict(asked(before))
                self._locks.mkdir(exist_ok=True)
                if before is None:
                    write_json({"schema_version": SCHEMA_VERSION, **now}, self._record_path)
                return now
        except (FileExistsError, NotADirectoryError) as error:
            raise RunError(
                f"{self.folder}: this is, or lies in, a file; a folder is needed for the grid search"
            ) from error
        except OSError as error:
            raise RunError(f"{self.folder}: the folder cannot be written ({error.strerror or error})") from error

    def claim(self, stack: ExitStack, propose: Callable[[Sequence[Trial]], Combination | None]) -> Trial | None:
        """A trial that is this process's own while `stack` is open: one left behind, or else a new one.

        Args:
            stack: holds the trial's lock.
            propose: the combination of a new trial, beside the trials so far; None where there is to be none.
        """
        with self._opened() as (study, _):
            trials = [_trial(trial) for trial in study.trials]
            for trial in trials:
                if trial.state == "running" and self._could_be_locked(trial.number, stack):
                    return trial
            combination = propose(trials)
            if combination is None:
                return None
            new = Trial(number=len(trials), combination=combination, state="running")
            if not self._could_be_locked(new.number, stack):
                raise RunError(f"{self.folder}: trial {new.number} is held by a process that knows another study")
            ranges = {name: self._ranges[name] for name in combination}
            study.add_trial(optuna.create_trial(state=TrialState.RUNNING, params=combination, distributions=ranges))
            return new

    def end(self, trial: Trial, *, value: float | None, figures: Mapping[str, Any]) -> None:
        """Note how a trial ended.

        Args:
            trial: claimed by this process.
            value: the larger, the better; None: it failed.
            figures: plain values to keep beside it.
        """
        with self._opened() as (study, storage):
            study_id = storage.get_study_id_from_name(_STUDY_NAME)
            trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
            for name, figure in figures.items():
                storage.set_trial_user_attr(trial_id, name, figure)
            study.tell(trial.number, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)

    @contextmanager
    def trials(self) -> Iterator[list[Trial]]:
        """All trials so far, in a moment in which no other process changes anything in the folder."""
        with self._opened() as (study, _):
            yield [_trial(trial) for trial in study.trials]

    @contextmanager
    def _opened(self) -> Iterator[tuple[optuna.Study, JournalStorage]]:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            with locked(self.folder, busy=None):
                is_new = not self._cut_to_whole_lines()
                try:
                    path = str(self._journal_path)
                    storage = JournalStorage(JournalFileBackend(path, lock_obj=_HeldAlready(path)))
                    if is_new:
                        study = optuna.create_study(storage=storage, study_name=_STUDY_NAME, direction="maximize")
                    else:
                        study = optuna.load_study(storage=storage, study_name=_STUDY_NAME)
                except (ValueError, KeyError, TypeError) as error:
                    raise RunError(f"{self._journal_path}: the study is damaged ({error})") from error
                yield study, storage
        except OSError as error:
            raise RunError(f"{self._journal_path}: cannot be written ({error.strerror or error})") from error

    def _cut_to_whole_lines(self) -> int:
        """Forget the event that was being written when a process was killed: nothing came of it. Returns the size."""
        if not self._journal_path.exists():
            return 0
        with self._journal_path.open("rb+") as file:
            content = file.read()
            size = content.rfind(b"\n") + 1
            if size < len(content):
                file.truncate(size)
        return size

    def _could_be_locked(self, number: int, stack: ExitStack) -> bool:
        """Whether no other process had the trial; now this one has."""
        try:
            stack.enter_context(locked(self._locks, busy=_TakenError(), name=f"{number:04d}"))
        except _TakenError:
            return False
        return True

    def _read_record(self) -> dict[str, Any] | None:
        if not self._record_path.exists():
            return None
        try:
            record: dict[str, Any] = json.loads(self._record_path.read_text(encoding="utf-8"))
            written_by = record.pop("schema_version")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise RunError(f"{self._record_path}: not a readable record of a grid search ({error})") from error
        if written_by != SCHEMA_VERSION:
            raise RunError(f"{self._record_path}: schema version {written_by}; this earwitness reads {SCHEMA_VERSION}")
        return record


class _TakenError(RunError):
    """Another process works on this trial. Never leaves this file."""


def likely_best(trials: Sequence[Trial], untried: Sequence[Combination], *, seed: int) -> Combination:
    """The untried combination nearest to what Optuna's tree-structured Parzen estimator makes of the trials so far.

    The first ten trials are drawn at random. Trials at work elsewhere count as bad, so that no two look alike.
    """
    ranges = _ranges([*untried, *(trial.combination for trial in trials)])
    sampler = optuna.samplers.TPESampler(seed=(seed + len(trials)) % 2**32, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    states = {"running": TrialState.RUNNING, "finished": TrialState.COMPLETE, "failed": TrialState.FAIL}
    for trial in trials:
        study.add_trial(
            optuna.create_trial(
                state=states[trial.state],
                value=trial.figures["mean_average_precision"] if trial.state == "finished" else None,
                params=trial.combination,
                distributions={name: ranges[name] for name in trial.combination},
            )
        )
    asked = study.ask(ranges).params
    return nearest(asked, untried)


class _HeldAlready(JournalFileOpenLock):
    """Optuna's lock on the journal: the whole folder is locked whenever it is touched."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return


def _trial(trial: FrozenTrial) -> Trial:
    states: dict[TrialState, Literal["finished", "failed"]] = {
        TrialState.COMPLETE: "finished",
        TrialState.FAIL: "failed",
    }
    return Trial(
        number=trial.number,
        combination=dict(trial.params),
        state=states.get(trial.state, "running"),
        figures=dict(trial.user_attrs),
    )


def _ranges(combinations: Sequence[Combination]) -> dict[str, BaseDistribution]:
    """From the smallest to the largest value of each setting."""
    ranges: dict[str, BaseDistribution] = {}
    for name in {name: None for combination in combinations for name in combination}:
        values = [combination[name] for combination in combinations if name in combination]
        kind = IntDistribution if all(isinstance(value, int) for value in values) else FloatDistribution
        ranges[name] = kind(min(values), max(values), log=is_log_scaled(name))  # type: ignore[arg-type]
    return ranges


def _may_come_first(name: str) -> bool:
    """Whether a first attempt that was killed may have left this behind."""
    return name in (LOCK_FILE, "locks") or name.endswith(PARTIAL_SUFFIX)
