"""The trials of a grid search as one table, best first: for people (Markdown), and as table.csv and table.json."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from earwitness.errors import RunError
from earwitness.evaluation.summary import Chance
from earwitness.experiments.grid_axes import SEARCHED, combined
from earwitness.experiments.grid_study import Trial
from earwitness.files import replacing
from earwitness.training.run_folder import write_json
from earwitness.training.settings import TrainSettings

SCHEMA_VERSION = 1
"""Of table.json."""

COLUMNS = (
    "rank",
    "trial",
    "state",
    *SEARCHED,
    "mean_average_precision",
    "one_best_accuracy",
    "best_step",
    "last_mean_average_precision",
    "last_one_best_accuracy",
    "steps",
    "seconds",
    "reason",
)
"""Of table.csv; the last row is chance."""


@dataclass(frozen=True, kw_only=True)
class GridTable:
    """Made by `GridTable.of`."""

    trials: tuple[Trial, ...]
    """Finished ones from the best to the worst, then failed ones, then those at work."""
    settings: TrainSettings
    """What the combinations are put into."""
    chance: Chance
    """On the watched clips."""
    num_clips: int
    """Watched."""
    doubts: str | None
    """Why the figures of so few say little, as a sentence; None where they do not."""

    @classmethod
    def of(
        cls, trials: Sequence[Trial], *, settings: TrainSettings, chance: Chance, num_clips: int, doubts: str | None
    ) -> "GridTable":
        """The trials in order; of equally good ones the better 1-best accuracy comes first, then the earlier trial."""
        ordered = tuple(sorted(trials, key=_place))
        return cls(trials=ordered, settings=settings, chance=chance, num_clips=num_clips, doubts=doubts)

    @property
    def best(self) -> Trial | None:
        """The first; None where no trial is finished."""
        return self.trials[0] if self.trials and self.trials[0].state == "finished" else None

    @property
    def best_settings(self) -> TrainSettings | None:
        """Those of the best trial."""
        return combined(self.settings, self.best.combination) if self.best is not None else None

    @property
    def searched(self) -> list[str]:
        """The settings that differ among the trials."""
        return [name for name in SEARCHED if len({trial.combination.get(name) for trial in self.trials}) > 1]

    def at_an_end(self) -> list[str]:
        """A sentence for each setting whose best value is the smallest or largest of those tried."""
        sentences: list[str] = []
        if self.best is None:
            return sentences
        for name in self.searched:
            tried = sorted({trial.combination[name] for trial in self.trials if name in trial.combination})
            value = self.best.combination.get(name)
            is_least_possible = name == "num_layers" and value == tried[0] <= 1
            if len(tried) > 1 and value in (tried[0], tried[-1]) and not is_least_possible:
                end, beyond = ("smallest", "smaller") if value == tried[0] else ("largest", "larger")
                sentences.append(
                    f"{name.replace('_', ' ')} {value:g}, of the best trial, is the {end} tried; "
                    f"the same command with {beyond} ones goes on from here"
                )
        return sentences

    def rows(self) -> list[dict[str, Any]]:
        """By the names of `COLUMNS`, without chance; None where there is nothing to say."""
        rows = []
        for rank, trial in enumerate(self.trials, start=1):
            values = {
                **trial.combination,
                **trial.figures,
                "rank": rank if trial.state == "finished" else None,
                "trial": trial.number,
                "state": trial.state,
            }
            rows.append({name: values.get(name) for name in COLUMNS})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        chance = {name: _finite(value) for name, value in asdict(self.chance).items()}
        best = self.best_settings
        return {
            "schema_version": SCHEMA_VERSION,
            "num_validation_clips": self.num_clips,
            "validation_doubts": self.doubts,
            "trials": self.rows(),
            "chance": {name: chance[name] for name in ("mean_average_precision", "one_best_accuracy")},
            "best_settings": best.to_dict() if best is not None else None,
        }

    def to_csv(self) -> str:
        """All columns, numbers in full."""
        text = io.StringIO()
        rows = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        rows.writeheader()
        rows.writerows(self.rows())
        rows.writerow({"state": "chance", **self.to_dict()["chance"]})
        return text.getvalue()

    def to_markdown(self) -> str:
        """The searched settings and the main figures, and why a trial has none."""
        header = ["rank", "trial", *self.searched, "mAP", "1-best", "after step", "last mAP", "seconds"]
        lines = []
        for row in self.rows():
            remark = ""
            if row["state"] != "finished":
                remark = row["reason"].partition(". ")[0].replace("|", "/") if row["reason"] else "not at its end"
            lines.append(
                [
                    _cell(row["rank"]),
                    f"{row['trial']:04d}",
                    *(_cell(row[name]) for name in self.searched),
                    _figure(row["mean_average_precision"]),
                    _figure(row["one_best_accuracy"]),
                    _cell(row["best_step"]),
                    _figure(row["last_mean_average_precision"]),
                    "" if row["seconds"] is None else f"{row['seconds']:.0f}",
                    remark,
                ]
            )
        chance = [_figure(self.chance.mean_average_precision), _figure(self.chance.one_best_accuracy)]
        lines.append(["", "chance", *("" for _ in self.searched), *chance, "", "", "", ""])
        if any(line[-1] for line in lines):
            header.append("remark")
        return _aligned([name.replace("_", " ") for name in header], lines)


def write_table(table: GridTable, folder: Path) -> None:
    """Write table.csv and table.json, each whole or not at all.

    Raises:
        RunError: they cannot be written.
    """
    write_json(table.to_dict(), folder / "table.json")
    path = folder / "table.csv"
    try:
        with replacing(path) as file:
            file.write(table.to_csv().encode())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error


def _place(trial: Trial) -> tuple[float, ...]:
    states = ("finished", "failed", "running")
    figures = [trial.figures.get(name) for name in ("mean_average_precision", "one_best_accuracy")]
    return (states.index(trial.state), *(-(figure or 0.0) for figure in figures), trial.number)


def _aligned(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of the columns that have a header."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    rule = ["-" * (width - 1) + ":" for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=False)) + " |"
        for line in [header, rule, *lines]
    )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _figure(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
