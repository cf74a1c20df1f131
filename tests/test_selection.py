"""Selecting rows: conditions over columns, and what they must not reach."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from earwitness.errors import SelectionError
from earwitness.selection import columns_read, select_rows

TABLE = pa.table(
    {
        "fold": [3, 1, 2, 1],
        "category": ["dog", "cat", "it's", None],
        "labels": [["dog", "bark"], [], ["cat"], ["dog"]],
        "start time": [0.5, None, 2.0, 3.0],
        "is_good": ["True", "False", "True", "False"],
        "_row": [9, 9, 9, 9],
    }
)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (None, [0, 1, 2, 3]),
        ("fold != 1", [0, 2]),
        ("fold = 1", [1, 3]),
        ("fold in (1, 2) and category is not null", [1, 2]),
        ("category = 'dog'", [0]),
        ("category = 'it''s'", [2]),
        ("category != 'dog'", [1, 2]),  # null is neither
        ("list_contains(labels, 'dog')", [0, 3]),
        ("len(labels) = 0", [1]),
        ('"start time" > 1', [2, 3]),
        ("is_good", [0, 2]),
        ("fold = 3 or fold = 2", [0, 2]),
        ("fold = 1 -- a comment", [1, 3]),
        ("fold = (select max(fold) from clips)", [0]),
        ("_row = 9", [0, 1, 2, 3]),
    ],
)
def test_rows_where_the_condition_is_true(where: str | None, rows: list[int]) -> None:
    assert select_rows(TABLE, where).tolist() == rows


def test_order_is_the_tables_also_when_large() -> None:
    table = pa.table({"x": list(range(300_000, 0, -1))})
    rows = select_rows(table, "x % 3 = 0")
    assert rows.tolist() == [row for row in range(300_000) if (300_000 - row) % 3 == 0]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "a condition is needed"),
        ("fld = 1", r"no column 'fld'; did you mean 'fold'\? Columns: fold, category"),
        ('category = "dog"', r"text stands in single quotes: category = 'dog'"),
        ("fold = 9", "is true for none of the 4 clips"),
        ("fold =", "syntax error"),
        ("fold = 'one'", "Could not convert"),
        ("sum(fold) > 1", "aggregate"),
        ("nonsense(fold)", "nonsense does not exist"),
    ],
)
def test_bad_conditions_are_refused(where: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        select_rows(TABLE, where)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("random() < 0.6", r"random\(\)"),
        ("fold = 1 and (true or RANDOM() < 2)", r"random\(\)"),
        ("len(list_filter([1, 2], x -> random() < 0.5)) = 1", r"random\(\)"),
        ("uuid() > 'a'", r"uuid\(\)"),
        ("now() > timestamp '2020-01-01'", r"now\(\)"),
        ("Current_Date > date '2020-01-01'", "Current_Date"),
        ("fold in (select fold from clips using sample 2)", "a sample"),
        ("fold in (select fold from clips tablesample 50%)", "a sample"),
    ],
)
def test_conditions_that_change_are_refused(where: str, what: str) -> None:
    with pytest.raises(SelectionError, match=rf"{what} is another one each time.*same clips every time"):
        select_rows(TABLE, where)


def test_what_only_looks_like_chance() -> None:
    table = TABLE.append_column("current_date", pa.array([1, 2, 3, 4])).append_column("random", TABLE["fold"])
    assert select_rows(table, "current_date > 1 and category <> 'random()' -- now()").tolist() == [1, 2]
    assert select_rows(table, "random = 1").tolist() == [1, 3]


def test_the_way_to_draw_that_is_recommended() -> None:
    table = pa.table({"clip_id": [f"clip {row}" for row in range(1_000)]})
    rows = select_rows(table, "md5_number_lower(clip_id) % 10 < 6")
    assert len(rows) == pytest.approx(600, abs=60)
    md5 = [hashlib.md5(f"clip {row}".encode()).digest() for row in range(1_000)]
    assert rows.tolist() == [row for row in range(1_000) if int.from_bytes(md5[row][8:], "little") % 10 < 6]


@pytest.mark.parametrize(
    "where",
    [
        "fold = 1; drop table clips",
        "fold = 1); drop table clips; select (1",
        "true) union all select 99 from clips where (true",
        "true) from clips where (fold = 1",
        "true), (true",
    ],
)
def test_only_one_condition_is_taken(where: str) -> None:
    with pytest.raises(SelectionError):
        select_rows(TABLE, where)


def test_a_condition_reads_nothing_but_its_table(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    in_this_scope = pa.table({"a": [1]})
    assert len(in_this_scope) == 1
    for source in (
        f"'{secret}'",
        f"read_csv('{secret}')",
        f"read_text('{secret}')",
        f"glob('{tmp_path}/*')",
        "in_this_scope",
        "read_text('https://example.org/')",
    ):
        with pytest.raises(SelectionError):
            select_rows(TABLE, f"exists (select * from {source})")
    for statement in (
        f"copy clips to '{tmp_path}/out.csv'",
        f"attach '{tmp_path}/db'",
        "install httpfs",
        "set enable_external_access = true",
    ):
        with pytest.raises(SelectionError):
            select_rows(TABLE, f"true); {statement}; select (true")
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        ("fold = 1", ["fold"]),
        ("FOLD = 1 and clips.category is null", ["fold", "category"]),
        ("list_contains(labels, 'dog')", ["labels"]),
        ('"start time" between 1 and 2', ["start time"]),
        ("true", ["fold"]),
        ("fold = (select max(fold) from clips)", TABLE.column_names),
        ("exists (select 1 from clips as other where other.fold = 1)", TABLE.column_names),
        ("columns(*) is not null", TABLE.column_names),
        ("#1 = 3", TABLE.column_names),
        ("clips is not null", TABLE.column_names),
        ("len([x for x in labels if x = 'dog']) > 0", TABLE.column_names),
    ],
)
def test_what_a_condition_reads_is_enough(where: str, columns: list[str]) -> None:
    assert columns_read(TABLE.schema, where) == columns
    assert select_rows(TABLE.select(columns), where).tolist() == select_rows(TABLE, where).tolist()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("fld = 1", "no column 'fld'; did you mean 'fold'"),
        ("fold =", "syntax error"),
        ("random() < 0.5", r"random\(\) is another one each time"),
        (" ", "a condition is needed"),
    ],
)
def test_a_bad_condition_is_refused_before_anything_is_read(where: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        columns_read(TABLE.schema, where)
