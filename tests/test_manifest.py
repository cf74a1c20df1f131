"""Manifests: what is refused and in which words, and that every format gives back what was written."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earwitness.errors import ManifestError
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.places import is_url
from earwitness.table_files import read_table

SUFFIXES = (".parquet", ".csv", ".jsonl")


def manifest_of(**columns: Sequence[object]) -> Manifest:
    return Manifest.from_table(pa.table(columns), source="my.csv")


def awkward() -> Manifest:
    """Everything that a careless format breaks."""
    return manifest_of(
        clip_id=["007", "-x", 'say "hi"', "a,b;c", "größe 🐕", "line\nbreak", " space "],
        media=["/a.wav", "/b|c.mp4", "https://example.org/d.webm?x=1,2", "/e e.wav", "/ü.ogg", "/f.wav", "/g.wav"],
        start_seconds=[None, 0.0, 1.25, None, 1e-7, 30.0, 0.1],
        stop_seconds=[None, 0.5, None, 10.0, 1.0, 1e6, 0.30000000000000004],
        labels=[["dog"], [], ["a", "b c"], ['"q"', ","], ["Sprache, männlich"], ["x"], ["y"]],
        fold=[1, 2, 3, 1, 2, 3, -4],
        level=[0.5, 1.0, -2.25, 1e-9, 3.0, 4.0, 5.0],
        split=["train", "test", "train", "", "train", "test", "train"],
        code=["01", "02", "1e5", "3", "4", "5", "1234567890123456789"],
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_keeps_values_and_types(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    write_manifest(awkward(), path)
    back = read_manifest(path)
    assert back.table.schema.names == awkward().table.schema.names
    assert back.table.to_pylist() == awkward().table.to_pylist()
    assert back.source == str(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing partial is left


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0|"), min_size=1, max_size=8)


@given(
    ids=st.lists(TEXT, min_size=1, max_size=6, unique=True),
    labels=st.lists(st.lists(TEXT, max_size=3, unique=True), min_size=6, max_size=6),
    starts=st.lists(st.none() | st.floats(0, 1e9), min_size=6, max_size=6),
    suffix=st.sampled_from(SUFFIXES),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_of_anything(
    tmp_path: Path, ids: list[str], labels: list[list[str]], starts: list[float | None], suffix: str
) -> None:
    n = len(ids)
    manifest = manifest_of(
        clip_id=ids, media=[f"/{i}" for i in ids], start_seconds=starts[:n], labels=labels[:n], note=ids
    )
    write_manifest(manifest, tmp_path / f"m{suffix}")
    back = read_manifest(tmp_path / f"m{suffix}").table
    assert back.drop_columns("note").to_pylist() == manifest.table.drop_columns("note").to_pylist()
    if suffix != ".csv":  # which may take a carried column for numbers
        assert back["note"].to_pylist() == ids


def test_defaults_and_column_order() -> None:
    table = manifest_of(extra=[1, 2], media=["/a.wav", "/b.wav"]).table
    assert table.column_names == ["clip_id", "media", "start_seconds", "stop_seconds", "labels", "extra"]
    assert table.to_pylist()[1] == {
        "clip_id": "/b.wav",
        "media": "/b.wav",
        "start_seconds": None,
        "stop_seconds": None,
        "labels": [],
        "extra": 2,
    }


def test_relative_media_are_joined_to_the_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("media\na.wav\nsub/b.wav\n/c.wav\nhttps://x.org/d.wav\n")
    assert read_manifest(tmp_path / "m.csv").table["media"].to_pylist() == [
        f"{tmp_path}/a.wav",
        f"{tmp_path}/sub/b.wav",
        "/c.wav",
        "https://x.org/d.wav",
    ]
    assert is_url("s3://bucket/a")
    assert not is_url("/a/b.wav")


def test_label_counts_count_clips() -> None:
    table = pa.table(
        {
            "media": pa.chunked_array([["a", "b"], ["c", "d"]]),
            "labels": pa.chunked_array([[["x"], ["y", "x", "y"]], [[], ["x", "z"]]]),
        }
    )
    counts = Manifest.from_table(table).label_counts()
    assert list(counts.items()) == [("x", 3), ("y", 1), ("z", 1)]


def test_any_text_type_of_arrow_is_taken() -> None:
    table = pa.table(
        {
            "media": pa.array(["a", "a2"]).dictionary_encode(),
            "clip_id": pa.array([7, 8]),
            "labels": pa.array([["x"], []], pa.large_list(pa.large_string())),
        }
    )
    assert Manifest.from_table(table).table.select(["clip_id", "media", "labels"]).to_pylist() == [
        {"clip_id": "7", "media": "a", "labels": ["x"]},
        {"clip_id": "8", "media": "a2", "labels": []},
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["a"]}, r"my.csv: no column 'media'; the columns are file. `earwitness manifest table"),
        ({"media": pa.array([], pa.string())}, "my.csv: it has no rows"),
        ({"media": ["a", ""]}, "row 2: column media is empty"),
        ({"media": ["a", "b"], "clip_id": ["x", None]}, "row 2: column clip_id is empty"),
        ({"media": ["a", "b", "a"]}, "row 3: clip_id 'a' already stands in row 1; ids must be unique"),
        ({"media": ["a", "b"], "start_seconds": [0.0, -1.0]}, "row 2: start_seconds=-1"),
        ({"media": ["a"], "stop_seconds": [float("nan")]}, "row 1: stop_seconds=nan must be a number"),
        ({"media": ["a"], "stop_seconds": [float("inf")]}, "row 1: stop_seconds=inf must be a number"),
        (
            {"media": ["a", "b"], "start_seconds": [1.0, 4.5], "stop_seconds": [2.0, 3.0]},
            r"row 2: stop_seconds=3.0 is not after start_seconds=4.5 \(columns swapped\?\)",
        ),
        ({"media": ["a"], "stop_seconds": [0.0]}, "row 1: stop_seconds=0.0 is not after start_seconds=0.0"),
        ({"media": ["a", "b"], "start_seconds": ["1", "1 s"]}, "row 2: start_seconds='1 s' is not a number"),
        ({"media": ["a", "b"], "labels": [["x"], None]}, "row 2: labels is null"),
        ({"media": ["a", "b"], "labels": [["x"], ["y", None]]}, r"row 2: a label is empty; came \['y', None\]"),
        ({"media": ["a"], "labels": [["x", ""]]}, "row 1: a label is empty"),
        ({"media": ["a"], "labels": ["dog"]}, "column labels is string, list<.*> is needed"),
    ],
)
def test_bad_tables_are_refused_by_row(columns: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.from_table(pa.table(columns), source="my.csv")


def test_a_bad_row_is_found_across_chunks() -> None:
    media = pa.chunked_array([["a", "b"], ["c", "d"]])
    labels = pa.chunked_array([[["x"], ["x"]], [[], ["", "x"]]])
    with pytest.raises(ManifestError, match="row 4: a label is empty"):
        Manifest.from_table(pa.table({"media": media, "labels": labels}))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"", "m.csv: it is empty"),
        ("m.csv", b"media,x\n", "it has no rows"),
        ("m.csv", b"media,x\na,1\n\nb,2,3\n", "row 2 has 3 columns, the header has 2"),
        ("m.csv", b"media,x,x\na,1,2\n", "column 'x' stands there twice"),
        ("m.csv", "media\nä\n".encode("latin-1"), "not UTF-8 text"),
        ("m.csv", b"media,start_seconds\na,1\nb,soon\n", "row 2: start_seconds='soon' is not a number"),
        ("m.csv", b"media,labels\na,x\nb,x||y\n", "row 2: a label is empty"),
        ("m.jsonl", b"", "it is empty; a line for each row"),
        ("m.jsonl", b'{"media": "a"}\n{"media"\n', "line 2 is not JSON"),
        ("m.jsonl", b'{"media": "a"}\n[1]\n', "line 2 is not a JSON object"),
        ("m.jsonl", b'{"media": "a", "x": 1}\n{"media": "b", "x": "y"}\n', "column 'x' mixes kinds of values"),
        ("m.jsonl", b'{"media": "a", "x": 99999999999999999999}\n', "column 'x' .* too large"),
        ("m.jsonl", b'{"media": "\\ud800"}\n', "not UTF-8 text"),
        ("m.jsonl", b'{"media": "\xe4"}\n', "not UTF-8 text"),
        ("m.parquet", b"PAR1 not really", "m.parquet: not a readable table"),
        ("m.xlsx", b"", "a table ends in one of .csv, .tsv, .jsonl, .parquet; came .xlsx"),
        ("m", b"", "came no suffix"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / name)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no such file"):
        read_manifest(tmp_path / "no.csv")
    with pytest.raises(ManifestError, match="this is a folder"):
        read_manifest(tmp_path)


def test_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_manifest(manifest_of(media=["/a"]), path)
    table = pyarrow.parquet.read_table(path)
    assert table.schema.metadata[b"earwitness_manifest_version"] == b"1"
    pyarrow.parquet.write_table(table.replace_schema_metadata({"earwitness_manifest_version": "2"}), path)
    with pytest.raises(ManifestError, match="manifest version 2 is newer than 1"):
        read_manifest(path)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write_manifest(manifest_of(media=["/a"]), path)
    before = path.read_bytes()
    with pytest.raises(ManifestError, match=r"label 'a\|b' holds '\|'"):
        write_manifest(manifest_of(media=["/a"], labels=[["a|b"]]), path)
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(manifest_of(media=["/a"], lists=[[1, 2]]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_label_with_the_separator_survives_elsewhere(tmp_path: Path) -> None:
    for suffix in (".parquet", ".jsonl"):
        write_manifest(manifest_of(media=["/a"], labels=[["a|b"]]), tmp_path / f"m{suffix}")
        assert read_manifest(tmp_path / f"m{suffix}").label_counts() == {"a|b": 1}


def test_unwritable_places_are_refused(tmp_path: Path) -> None:
    manifest = manifest_of(media=["/a"])
    with pytest.raises(ManifestError, match=r"written as one of .parquet, .csv, .jsonl; came .txt"):
        write_manifest(manifest, tmp_path / "m.txt")
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(manifest, tmp_path / "file" / "m.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(manifest, tmp_path / "folder.csv")
    with pytest.raises(ManifestError, match="cannot be written"):
        write_manifest(manifest, "/proc/no/m.csv")


def test_csv_columns_become_numbers_only_where_all_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("i,f,gap,zero,hex,long,text\n1,1.5,,007,12e5,1234567890123456789,a\n-2,2,3,8,1,2,\n")
    table = read_table(path)
    assert table.to_pydict() == {
        "i": [1, -2],
        "f": [1.5, 2.0],
        "gap": [None, 3],
        "zero": ["007", "8"],
        "hex": ["12e5", "1"],
        "long": ["1234567890123456789", "2"],
        "text": ["a", ""],
    }
    assert read_table(path, text_columns=["i"])["i"].to_pylist() == ["1", "-2"]


def test_semicolons_and_tabs_are_found(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("﻿file;tags\na.wav;dog, cat\n", encoding="utf-8")
    (tmp_path / "t.tsv").write_text("file\ttags\na.wav\tdog; cat, cow\n")
    assert read_table(tmp_path / "t.csv").to_pylist() == [{"file": "a.wav", "tags": "dog, cat"}]
    assert read_table(tmp_path / "t.tsv").to_pylist() == [{"file": "a.wav", "tags": "dog; cat, cow"}]


def test_folder_names_add_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "fold=7" / "m.parquet"
    write_manifest(manifest_of(media=["/a"]), path)
    assert "fold" not in read_manifest(path).table.column_names


def test_jsonl_is_plain_json(tmp_path: Path) -> None:
    write_manifest(manifest_of(media=["/ä.wav"], labels=[["x"]], fold=[2]), tmp_path / "m.jsonl")
    assert json.loads((tmp_path / "m.jsonl").read_text("utf-8")) == {
        "clip_id": "/ä.wav",
        "media": "/ä.wav",
        "start_seconds": None,
        "stop_seconds": None,
        "labels": ["x"],
        "fold": 2,
    }


@pytest.mark.parametrize("row_group_size", [3, 1_000, 10**6])
def test_parquet_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_group_size: int) -> None:
    monkeypatch.setattr("earwitness.manifest.PIECE_ROWS", 700)
    size = 5_000
    table = pa.table(
        {
            "media": [f"a{row}.wav" for row in range(size)],
            "labels": [[f"label {row % 40}", f"label {row}"][: row % 3] for row in range(size)],
            "start_seconds": [None if row < 3_000 else 1.5 for row in range(size)],
        }
    )
    path = tmp_path / "m.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=row_group_size)
    manifest = read_manifest(path)
    assert manifest.table["labels"].to_pylist() == table["labels"].to_pylist()
    assert manifest.table["start_seconds"].to_pylist() == table["start_seconds"].to_pylist()
    assert manifest.table["media"].to_pylist() == [f"{tmp_path}/{name}" for name in table["media"].to_pylist()]
    assert manifest.label_counts() == Manifest.from_table(table).label_counts()
    rows = np.array([0, 1, 1, 698, 701, 4_999])
    assert manifest.take(rows).table.to_pylist() == [manifest.table.to_pylist()[row] for row in rows]
    write_manifest(manifest, tmp_path / "again.parquet")
    assert read_manifest(tmp_path / "again.parquet").table.to_pylist() == manifest.table.to_pylist()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("media", "", "row 4322: column media is empty"),
        ("clip_id", "17", "row 4322: clip_id '17' already stands in row 18"),
        ("labels", ["x", ""], r"row 4322: a label is empty; came \['x', ''\]"),
        ("labels", None, "row 4322: labels is null"),
        ("start_seconds", "soon", "row 4322: start_seconds='soon' is not a number"),
        ("stop_seconds", "-1", "row 4322: stop_seconds=-1"),
    ],
)
def test_a_bad_row_is_found_in_a_later_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, value: object, message: str
) -> None:
    monkeypatch.setattr("earwitness.manifest.PIECE_ROWS", 700)
    columns: dict[str, list[object]] = {
        "media": [f"/{row}" for row in range(5_000)],
        "clip_id": [str(row) for row in range(5_000)],
        "labels": [["x", str(row % 3)] for row in range(5_000)],
        "start_seconds": ["1"] * 5_000,
        "stop_seconds": ["2"] * 5_000,
    }
    columns[column][4_321] = value
    table = pa.table(columns)
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet", row_group_size=900)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match=message):
        Manifest.from_table(table)


def test_labels_of_any_dictionary_are_taken() -> None:
    chunks = [
        pa.ListArray.from_arrays([0, 2, 2], pa.array(["x", "y"]).dictionary_encode()),
        pa.ListArray.from_arrays(
            [0, 1], pa.DictionaryArray.from_arrays(pa.array([1], pa.int8()), pa.array(["unused", "y"]))
        ).cast(pa.list_(pa.dictionary(pa.int32(), pa.string()))),
    ]
    table = pa.table({"media": ["/a", "/b", "/c"], "labels": pa.chunked_array(chunks)}).slice(0, 3)
    manifest = Manifest.from_table(table)
    assert manifest.table["labels"].to_pylist() == [["x", "y"], [], ["y"]]
    assert manifest.label_counts() == {"y": 2, "x": 1}
    with pytest.raises(ManifestError, match="row 2: a label is empty"):
        Manifest.from_table(
            pa.table({"media": ["/a", "/b"], "labels": pa.array([["x"], ["x", ""]]).cast(table["labels"].type)})
        )


def test_json_lines_are_taken_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earwitness.table_files._JSON_ROWS", 10)
    rows: list[dict[str, object]] = [{} for _ in range(15)]
    rows += [{"media": f"/{row}", "x": row, "labels": []} for row in range(15, 40)]
    rows += [{"x": row + 0.5, "late": None, "media": f"/{row}", "labels": ["a"]} for row in range(40, 60)]
    rows += [{"media": "/60", "late": {"a": 1}}, {"media": "/61", "late": {"b": [None]}}]
    (tmp_path / "t.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    table = read_table(tmp_path / "t.jsonl")
    assert table.column_names == ["media", "x", "labels", "late"]
    assert table.select(["media", "x", "labels"]).to_pylist() == [
        {name: row.get(name) for name in ("media", "x", "labels")} for row in rows
    ]
    assert table["late"].to_pylist()[-3:] == [None, {"a": 1, "b": None}, {"a": None, "b": [None]}]
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write('\n{"media": "/62", "x": "y"}')
    with pytest.raises(ManifestError, match=r"t.jsonl: (a|the)? ?column.* mixes kinds of values"):
        read_table(tmp_path / "t.jsonl")


@pytest.mark.skipif(not hasattr(pa, "string_view"), reason="this pyarrow has no views")
def test_text_in_the_layout_of_other_programs():
    """Arrow can hold text as views, which it cannot pick rows from."""
    texts = pa.array(["a", None, "c"]).cast(pa.string_view())
    manifest = Manifest.from_table(pa.table({"media": ["1.wav", "2.wav", "3.wav"], "site": texts}))
    assert manifest.take(np.array([0, 2])).table["site"].to_pylist() == ["a", "c"]
