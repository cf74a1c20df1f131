"""The table that an experiment ends in: our figures and the paper's beside them, as Markdown, CSV and JSON."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.errors import RunError
from earwitness.files import replacing
from earwitness.paper.measuring import figure
from earwitness.paper.printed import Printed
from earwitness.paper.study import Result
from earwitness.training.run_folder import write_json

SCHEMA_VERSION = 1
"""Of table.json."""

MEASURES = {"mean_auc": "AUC", "dprime": "d'", "mean_average_precision": "mAP"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column."""

    name: str
    """In CSV and JSON."""
    title: str
    """In Markdown; an empty one is not shown there."""
    shown: Callable[[Any], str] = str
    """How a value is shown; never called with None."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row."""

    values: Mapping[str, Any]
    """By column; plain values. A column that is missing is empty."""
    cell: str | None
    """Where it comes from; None: chance."""
    label: str
    """In pictures."""
    remark: str = ""
    """Why it has no figures, or what they are not."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """All of it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    findings: Sequence[str]
    """What the paper found, and whether it is seen here, as sentences."""
    notes: Sequence[str]
    """What a reader must know, as sentences."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For JSON: what was learnt from."""

    @property
    def is_complete(self) -> bool:
        """Whether every row has its figures, or a reason why not."""
        return all("state" not in row.values or row.values["state"] != "not run" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "columns": [column.name for column in self.columns],
            "rows": [
                {**{column.name: row.values.get(column.name) for column in self.columns}, "remark": row.remark or None}
                for row in self.rows
            ],
            "findings": list(self.findings),
            "notes": list(self.notes),
            **self.facts,
        }

    def to_csv(self) -> str:
        """All columns, numbers in full."""
        text = io.StringIO()
        names = [*(column.name for column in self.columns), "remark"]
        rows = csv.DictWriter(text, names, lineterminator="\n")
        rows.writeheader()
        rows.writerows(
            {**{name: row.values.get(name) for name in names[:-1]}, "remark": row.remark} for row in self.rows
        )
        return text.getvalue()

    def to_markdown(self) -> str:
        """The columns with a title, then findings and notes."""
        shown = [column for column in self.columns if column.title]
        lines = [[_cell(column, row.values.get(column.name)) for column in shown] for row in self.rows]
        header = [column.title for column in shown]
        if any(row.remark for row in self.rows):
            header.append("remark")
            lines = [[*line, row.remark.replace("|", "/")] for line, row in zip(lines, self.rows, strict=True)]
        text = [f"# {self.title}", "", _aligned(header, lines)]
        for sentences in (self.findings, self.notes):
            if sentences:
                text += ["", *(f"- {sentence}" for sentence in sentences)]
        return "\n".join(text) + "\n"


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write table.md, table.csv and table.json, each whole or not at all; their paths.

    Raises:
        RunError: one cannot be written.
    """
    paths = [folder / f"table.{suffix}" for suffix in ("md", "csv", "json")]
    write_json(table.to_dict(), paths[2])
    for path, text in zip(paths, (table.to_markdown(), table.to_csv()), strict=False):
        try:
            with replacing(path) as file:
                file.write(text.encode())
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror or error})") from error
    return paths


def columns_of_measures() -> list[Column]:
    """Ours, those of chance being in a row of their own, then the paper's; ends of intervals in CSV and JSON alone."""
    columns = [Column(name=name, title=title, shown=three_decimals) for name, title in MEASURES.items()]
    for name in MEASURES:
        columns += [Column(name=f"{name}_{end}", title="") for end in ("low", "high")]
    return columns


def columns_printed(*, with_steps: bool = False) -> list[Column]:
    """The paper's."""
    columns = []
    if with_steps:
        columns += [
            Column(name="paper_steps", title="paper: steps", shown=rounded),
            Column(name="paper_hours", title="hours", shown=lambda hours: f"{hours:g}"),
        ]
    for name, title in MEASURES.items():
        columns.append(Column(name=f"paper_{name}", title=f"paper: {title}", shown=three_decimals))
    return columns


def measured(result: Result | None) -> dict[str, Any]:
    """What a row says of its cell: state, sizes, time and figures."""
    if result is None:
        return {"state": "not run"}
    values: dict[str, Any] = {"state": result["state"]}
    if result["state"] == "failed":
        return values
    evaluation = result["evaluation"]
    for name in MEASURES:
        values[name] = "inf" if math.isinf(figure(evaluation, name)) else evaluation[name]
        ends = evaluation["intervals"].get(name)
        values |= {f"{name}_{end}": ends[end] if ends else None for end in ("low", "high")}
    names = ("steps", "seconds", "num_weights", "num_multiply_adds", "num_train_clips", "num_patches", "last_loss")
    values |= {name: result[name] for name in names}
    values |= {"best_step": result["best_step"]}
    for when in ("best", "last"):
        values[f"{when}_watched_map"] = result[f"{when}_validation"].get("mean_average_precision")
    return values


def printed(figures: Printed | None) -> dict[str, Any]:
    """What a row says of the paper."""
    if figures is None:
        return {}
    return {f"paper_{name}": value for name, value in vars(figures).items() if value is not None}


def remark_on(result: Result | None) -> str:
    """Why a row has no figures; nothing where it has."""
    if result is None:
        return "not run yet"
    return f"failed: {result['reason']}" if result["state"] == "failed" else ""


def chance_row(results: Sequence[Result | None], *, first_column: str) -> list[Row]:
    """What scores give that do not look at the clip, from the first cell that has it: all have the same."""
    for result in results:
        if result is not None and result["state"] == "finished":
            chance = {name: result["evaluation"]["chance"][name] for name in MEASURES}
            return [Row(values={first_column: "chance", **chance}, cell=None, label="chance")]
    return []


def common_notes(results: Sequence[Result | None], *, settings: Mapping[str, Any] | None) -> list[str]:
    """What holds for all rows.

    Args:
        results: of the cells.
        settings: of the trainings, to be said. None: they are not of networks of one width.
    """
    done = [result for result in results if result is not None and result["state"] == "finished"]
    if not done:
        return []
    evaluation = done[0]["evaluation"]
    undefined = evaluation["num_undefined_labels"]
    notes = [
        f"Evaluated on {evaluation['num_clips']:,} clips held out and {evaluation['num_labels']:,} labels"
        + (f", of which {undefined} are on none or all of them and not counted" if undefined else "")
        + "; scores are means over a clip's patches, measures means over labels. CSV and JSON have 95 % intervals over "
        "clips drawn anew.",
    ]
    if settings is not None:
        notes.append(
            f"All networks at {settings['width']:g} of the paper's width, batches of {settings['batch_size']} patches, "
            f"seed {settings['seed']}; one training each, so small differences between rows may be chance."
        )
    if shared := max(result["num_shared_groups"] for result in done):
        notes.append(f"{shared:,} groups (recordings) have clips on both sides, so the figures may flatter the models.")
    return notes


def three_decimals(value: float | str) -> str:
    """A measure."""
    return value if isinstance(value, str) else f"{value:.3f}"


def rounded(number: float) -> str:
    """`37.4 M`, `1.86 G`, `12.3 k`; `9,400` as it is."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= max(size, 1e4):
            return f"{float(f'{number / size:.3g}'):g}{unit}"
    return f"{number:,g}"


def _cell(column: Column, value: Any) -> str:
    return "" if value is None else column.shown(value)


def _aligned(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    sides = [str.ljust, *([str.rjust] * (len(header) - 1))]
    if header[-1] == "remark":
        sides[-1] = str.ljust
    rule = [
        "-" * width if side is str.ljust else "-" * (width - 1) + ":" for width, side in zip(widths, sides, strict=True)
    ]
    return "\n".join(
        "| " + " | ".join(side(cell, width) for side, cell, width in zip(sides, line, widths, strict=True)) + " |"
        for line in [header, rule, *lines]
    )
