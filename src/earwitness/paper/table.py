"""The table that an experiment ends in, as Markdown, CSV and JSON; what is in it: `table_parts`."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.errors import RunError
from earwitness.files import replacing
from earwitness.training.run_folder import write_json

SCHEMA_VERSION = 1
"""Of table.json."""


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
    """For JSON: what it was made with."""

    @property
    def is_complete(self) -> bool:
        """Whether every row has its figures, or a reason why not."""
        return all("state" not in row.values or row.values["state"] != "not run" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "columns": [*(column.name for column in self.columns), "remark"],
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


def three_decimals(value: float | str) -> str:
    """A measure."""
    return value if isinstance(value, str) else f"{value:.3f}"


def grouped(number: int) -> str:
    """`12,300`."""
    return f"{number:,}"


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
