"""What is measured while training: written to `metrics.csv` and for TensorBoard as it happens.

Columns: step; seconds of training so far; kind (train | validation); loss; one_best_accuracy; mean_average_precision;
patches_per_second (over all processes); learning_rate; waiting_share, of the time that went by, in which the first
process waited for data. A figure that was not measured or is undefined is empty.
"""

import csv
import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from earwitness.errors import RunError
from earwitness.files import replacing

COLUMNS = (
    "step",
    "seconds",
    "kind",
    "loss",
    "one_best_accuracy",
    "mean_average_precision",
    "patches_per_second",
    "learning_rate",
    "waiting_share",
)


class MeasurementLog:
    """Appends measurements to a run's files; those after `last_step`, from before a kill, are forgotten first."""

    def __init__(self, csv_path: Path, tensorboard_path: Path, *, last_step: int) -> None:
        self._path = csv_path
        try:
            kept = [row for row in read_measurements(csv_path) if int(row["step"]) <= last_step]
            with replacing(csv_path) as file:
                lines = [",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in kept)]
                file.write(("\n".join(lines) + "\n").encode())
            self._file = csv_path.open("a", newline="", encoding="utf-8")
            self._rows = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")
            tensorboard_path.mkdir(exist_ok=True)
            # The writer itself, not SummaryWriter: that one writes in a thread, which a full disk ends in silence.
            self._board = EventsWriter(str(tensorboard_path / "events"))
            self._board.write_event(Event(step=last_step + 1, session_log=SessionLog(status=SessionLog.START)))
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, *, step: int, seconds: float, kind: str, **figures: float | None) -> None:
        """Add one measurement; figures by the names of the columns, None where undefined.

        Raises:
            RunError: it cannot be written.
        """
        given = {name: value for name, value in figures.items() if value is not None}
        row = {name: f"{value:.6g}" for name, value in given.items()}
        try:
            self._rows.writerow({"step": step, "seconds": f"{seconds:.3f}", "kind": kind, **row})
            self._file.flush()
            for name, value in given.items():
                summary = scalar(f"{kind}/{name}", value)
                self._board.write_event(Event(wall_time=time.time(), step=step, summary=summary))
            self._board.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> "MeasurementLog":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
            self._board.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"{self._path}: measurements cannot be written ({error.strerror or error})")


def read_measurements(path: Path) -> list[dict[str, str]]:
    """The whole rows of `metrics.csv`, a last one that was cut off left out; none where the file is missing."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if line.endswith("\n")))
    return [row for row in rows if row.get("step", "").isdigit() and None not in row.values()]
