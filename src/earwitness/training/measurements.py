"""What is measured while training: written to `metrics.csv` and for TensorBoard as it happens."""

import csv

from tensorboardX import SummaryWriter

from earwitness.training.run_folder import METRICS_COLUMNS, RunFolder, read_metrics


class MeasurementLog:
    """Appends measurements to a run; measurements after `last_step`, from before a kill, are forgotten first."""

    def __init__(self, run: RunFolder, *, last_step: int) -> None:
        kept = [row for row in read_metrics(run.metrics_path) if int(row["step"]) <= last_step]
        self.last_training_step = max((int(row["step"]) for row in kept if row["kind"] == "train"), default=0)
        """Where the figures of the running mean begin."""
        partial = run.metrics_path.with_name(".metrics.csv.partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, METRICS_COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        partial.replace(run.metrics_path)
        self._file = run.metrics_path.open("a", newline="", encoding="utf-8")
        self._rows = csv.DictWriter(self._file, METRICS_COLUMNS)
        self._board = SummaryWriter(str(run.tensorboard_path), purge_step=last_step + 1)

    def write(self, *, step: int, seconds: float, kind: str, **figures: float | None) -> None:
        """Add one measurement; figures by the names of the columns, None where undefined."""
        given = {name: value for name, value in figures.items() if value is not None}
        row = {name: f"{value:.6g}" for name, value in given.items()}
        self._rows.writerow({"step": step, "seconds": f"{seconds:.3f}", "kind": kind, **row})
        self._file.flush()
        for name, value in given.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)
        if kind == "train":
            self.last_training_step = step

    def __enter__(self) -> "MeasurementLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()
