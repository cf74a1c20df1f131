"""A comparison as files: compare.html, compare.json with everything, compare.csv with a row for every label."""

import csv
import json
from pathlib import Path

from earwitness.errors import ScoreError
from earwitness.report.comparison_facts import ComparisonFacts
from earwitness.report.comparison_page import write_comparison_page
from earwitness.report.comparison_tables import paired_values, verdict

PAGE_FILE = "compare.html"
JSON_FILE = "compare.json"
TABLE_FILE = "compare.csv"
SCHEMA_VERSION = 2
"""Of `compare.json`."""


def write_comparison_report(folder: str | Path, facts: ComparisonFacts) -> list[Path]:
    """Write the report of a comparison into a folder, which is made if need be; the page comes first.

    Raises:
        ScoreError: the folder cannot be written.
        SettingsError: the page cannot be written.
    """
    folder = Path(folder)
    page, document, table = (folder / name for name in (PAGE_FILE, JSON_FILE, TABLE_FILE))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(comparison_values(facts), indent=2, ensure_ascii=False, allow_nan=False, default=str)
        document.write_text(text + "\n", encoding="utf-8", errors="replace")
        _write_table(table, facts)
        write_comparison_page(page, facts)
    except OSError as error:
        raise ScoreError(f"{folder}: the report cannot be written ({error.strerror})") from error
    return [page, document, table]


def comparison_values(facts: ComparisonFacts) -> dict[str, object]:
    """Plain values for JSON; numbers that are not finite become None."""
    comparison = facts.comparison
    return {
        "schema_version": SCHEMA_VERSION,
        "a": {"name": facts.name_a, **facts.details_a},
        "b": {"name": facts.name_b, **facts.details_b},
        "notes": list(facts.notes),
        "verdict": verdict(facts),
        "num_clips": comparison.num_clips,
        "num_labels": comparison.num_labels,
        "num_undefined_labels": comparison.num_undefined_labels,
        "resamples": comparison.resamples,
        "is_single_label": comparison.is_single_label,
        "are_equal": comparison.are_equal,
        "metrics": {name: paired_values(paired) for name, paired in comparison.metrics.items()},
        "labels": [
            {
                "id": label.id,
                "name": label.name,
                "num_positives": label.num_positives,
                "average_precision": paired_values(label.average_precision),
            }
            for label in comparison.labels
        ],
    }


def _write_table(path: Path, facts: ComparisonFacts) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["index", "id", "name", "num_positives"]
            + [
                f"average_precision_{name}"
                for name in (
                    "a",
                    "b",
                    "difference",
                    "difference_low",
                    "difference_high",
                    "share_a_better",
                    "share_b_better",
                )
            ]
        )
        for index, label in enumerate(facts.comparison.labels):
            values = paired_values(label.average_precision).values()
            writer.writerow(
                [index, label.id, label.name, label.num_positives, *("" if v is None else v for v in values)]
            )
