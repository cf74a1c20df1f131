"""Scores of other software: taken over as they are, or refused with a sentence that names what is wrong."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from earwitness.errors import EarwitnessError, ManifestError, ScoreError
from earwitness.evaluation.summary import evaluate
from earwitness.experiments.evaluating import evaluate_scores
from earwitness.manifest import Manifest
from earwitness.scoring import score_table
from earwitness.scoring.score_table import take_over_scores
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings

LABELS = ("click", "noise", "tone")
SCORES = np.random.default_rng(3).random((32, 3))


def rows_of(store: Store) -> list[dict[str, Any]]:
    """A wide table, by clip id, the last first."""
    ids = store.clips["clip_id"].to_pylist()
    return [{"clip_id": i, **dict(zip(LABELS, row, strict=True))} for i, row in zip(ids, SCORES.tolist(), strict=True)][
        ::-1
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return path


def long_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"clip_id": r["clip_id"], "label": name, "score": r[name]} for r in rows for name in r if name != "clip_id"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("shape", [list, long_rows])
def test_taken_over_as_they_are(made_store: Store, tmp_path: Path, suffix: str, shape, monkeypatch):
    monkeypatch.setattr(score_table, "_BLOCK_BYTES", 8 * 32)  # a label at a time
    path = write(tmp_path / f"theirs{suffix}", shape(rows_of(made_store)))
    folder = take_over_scores(path, made_store, tmp_path / "scores")
    np.testing.assert_array_equal(folder.source.clip_block(0, 32), SCORES)
    assert folder.header.dtype == "float64"
    targets = made_store.targets(np.arange(32))
    assert evaluate_scores(folder).model == evaluate(SCORES, targets, label_set=made_store.label_set)
    assert folder.details["source_path"] == str(path)
    assert folder.details["architecture"] is None
    again = take_over_scores(path, made_store, tmp_path / "scores")
    np.testing.assert_array_equal(again.source.label_block(0, 3), SCORES.T)


def test_a_selection_and_other_columns(made_store: Store, tmp_path: Path):
    rows = [{**row, "fold": 7, "media": "x", "tone": int(10 * row["tone"])} for row in rows_of(made_store)]
    path = write(tmp_path / "theirs.parquet", rows)
    folder = take_over_scores(path, made_store, tmp_path / "scores", where="fold = 2")
    chosen = made_store.select("fold = 2")
    expected = SCORES[chosen]
    expected[:, 2] = (10 * expected[:, 2]).astype(int)
    np.testing.assert_array_equal(folder.source.clip_block(0, 8), expected)
    single = pa.table({name: pa.array([row[name] for row in rows_of(made_store)]) for name in ("clip_id", *LABELS)})
    single = pa.table([single[0], *(column.cast(pa.float32()) for column in single.columns[1:])], single.column_names)
    pyarrow.parquet.write_table(single, tmp_path / "single.parquet")
    folder = take_over_scores(tmp_path / "single.parquet", made_store, tmp_path / "single")
    np.testing.assert_array_equal(folder.source.clip_block(0, 32), SCORES.astype(np.float32))
    assert folder.header.dtype == "float32"


@pytest.fixture(scope="module")
def odd_store(made_sounds, tmp_path_factory) -> Store:
    """Labels and ids with commas, quotes, dots and newlines; a number for an id."""
    media = made_sounds.manifest.table["media"].to_pylist()
    rows = [
        {"clip_id": "1", "media": media[0], "labels": ["St. Bernard", 'Dog, "Rex"']},
        {"clip_id": 'a,"b"', "media": media[1], "labels": ["St"]},
        {"clip_id": "007", "media": media[2], "labels": ["label"]},
    ]
    folder = tmp_path_factory.mktemp("odd") / "store"
    build_store(Manifest.from_table(pa.Table.from_pylist(rows)), folder, settings=BuildSettings(workers=1))
    return Store.open(folder)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("shape", [list, long_rows])
def test_odd_names(odd_store: Store, tmp_path: Path, suffix: str, shape):
    names = ['Dog, "Rex"', "St", "St. Bernard", "label"]
    assert list(odd_store.label_set.ids) == names
    values = np.arange(12.0).reshape(3, 4) / 100
    ids = odd_store.clips["clip_id"].to_pylist()
    rows = [{"clip_id": i, **dict(zip(names, row.tolist(), strict=True))} for i, row in zip(ids, values, strict=True)]
    path = write(tmp_path / f"odd{suffix}", shape(rows))
    if shape is long_rows:  # `label` is one of the labels here, so that the table could be a wide one
        with pytest.raises(ScoreError, match="labels without scores"):
            take_over_scores(path, odd_store, tmp_path / "scores")
        return
    found = take_over_scores(path, odd_store, tmp_path / "scores")
    np.testing.assert_array_equal(found.source.clip_block(0, 3), values)


def without(*clip_ids: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rows: [row for row in rows if row["clip_id"] not in clip_ids]


def changed(which: str, **values: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rows: [{**row, **values} if row["clip_id"] == which else row for row in rows]


def renamed(**names: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rows: [{names.get(name, name): value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (without("clip-03", "clip-09"), r"clips without scores \(2 of 32\): clip-03, clip-09$"),
        (
            without(*(f"clip-{n:02d}" for n in range(10))),
            r"clips without scores \(10 of 32\): clip-00, .*clip-04, \.\.\.$",
        ),
        (lambda rows: [*rows, rows[3]], "clips scored more than once: clip-28$"),
        (
            changed("clip-05", tone=float("nan")),
            "clip 'clip-05', label 'tone': the score is nan; every score must be a",
        ),
        (changed("clip-05", click=float("-inf")), "clip 'clip-05', label 'click': the score is -inf"),
        (changed("clip-05", noise=None), "clip 'clip-05', label 'noise': there is no score"),
        (
            renamed(tone="tones"),
            "without scores: tone; labels, or columns, that the store does not know: tones. A column",
        ),
        (renamed(clip_id="id"), "a column clip_id is needed; columns: id, click, noise, tone"),
        (changed("clip-05", clip_id=None), "row 27 has no clip_id"),
    ],
)
def test_refused(made_store: Store, tmp_path: Path, suffix: str, change, match: str):
    if suffix == ".csv":  # where text may be empty
        match = match.replace("row 27 has no clip_id", r"clips without scores \(1 of 32\): clip-05")
    path = write(tmp_path / f"theirs{suffix}", change(rows_of(made_store)))
    with pytest.raises(ScoreError, match=match) as caught:
        take_over_scores(path, made_store, tmp_path / "scores")
    assert str(path) in str(caught.value)
    write(path, rows_of(made_store))  # put right, it may come where it was refused
    assert take_over_scores(path, made_store, tmp_path / "scores").num_clips == 32


def test_text_among_numbers(made_store: Store, tmp_path: Path):
    for value, shown in (("loud", "'loud'"), ("0,5", "'0,5'")):
        path = write(tmp_path / "theirs.csv", changed("clip-05", tone=value)(rows_of(made_store)))
        with pytest.raises(ScoreError, match=f"clip 'clip-05', label 'tone': {shown} is no number"):
            take_over_scores(path, made_store, tmp_path / "scores")
    path = write(tmp_path / "theirs.csv", changed("clip-05", tone="1.5e3")(rows_of(made_store)))
    assert take_over_scores(path, made_store, tmp_path / "scores").source.clip_block(5, 6)[0, 2] == 1_500


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda rows: rows[1:], "clip 'clip-31', label 'click' has no score; every clip needs one for each label"),
        (lambda rows: rows[:-1], "clip 'clip-00', label 'tone' has no score"),
        (lambda rows: [*rows, rows[4]], "clip 'clip-30', label 'noise' is scored more than once"),
        (lambda rows: rows[3:], r"clips without scores \(1 of 32\): clip-31"),
        (lambda rows: [{**rows[0], "label": "horse"}, *rows], "that the store does not know: horse"),
        (lambda rows: [{**r, "score": None if n == 7 else r["score"]} for n, r in enumerate(rows)], "'clip-29', label"),
    ],
)
def test_long_tables_refused(made_store: Store, tmp_path: Path, change, match: str):
    path = write(tmp_path / "theirs.parquet", change(long_rows(rows_of(made_store))))
    with pytest.raises(ScoreError, match=match):
        take_over_scores(path, made_store, tmp_path / "scores")


def test_tables_that_are_none(made_store: Store, tmp_path: Path):
    (tmp_path / "soup.parquet").write_bytes(b"soup")
    (tmp_path / "twice.csv").write_text("clip_id,tone,tone\na,1,2\n")
    for name, error, match in (
        ("soup.parquet", ManifestError, "not a readable table"),
        ("gone.parquet", EarwitnessError, "there is no such file"),
        ("gone.csv", ManifestError, "there is no such file"),
        ("twice.csv", ManifestError, "'tone' stands there twice"),
    ):
        with pytest.raises(error, match=match):
            take_over_scores(tmp_path / name, made_store, tmp_path / "scores")


def test_columns_that_hold_no_numbers(made_store: Store, tmp_path: Path):
    rows = [{**row, "tone": [row["tone"]]} for row in rows_of(made_store)]
    with pytest.raises(ScoreError, match=r"clip 'clip-00', label 'tone': \[0\.\d+\] is no number"):
        take_over_scores(write(tmp_path / "lists.parquet", rows), made_store, tmp_path / "scores")


def test_another_table_in_the_same_folder(made_store: Store, tmp_path: Path):
    rows = rows_of(made_store)
    take_over_scores(write(tmp_path / "one.csv", rows), made_store, tmp_path / "scores")
    other = write(tmp_path / "other.csv", changed("clip-05", tone=0.25)(rows))
    with pytest.raises(ScoreError, match=r"of another model, or table \(.*one\.csv, digest .* there, .*other\.csv"):
        take_over_scores(other, made_store, tmp_path / "scores")
