"""Tables as the world makes them: encodings, quotes, line ends, and one bad row among a million."""

import codecs
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from earwitness.datasets.tables import manifest_from_table
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.table_files import read_table
from in_process import run
from test_cli import refused

TABLE = 'file,tags\n"-x.wav",größe\nb.wav,"say ""hi""|a, b"\nc.wav,"c;d|_y|007|日本 🐕|-x"\n'
LABELS = [["größe"], ['say "hi"', "a, b"], ["c;d", "_y", "007", "日本 🐕", "-x"]]


def adapt(path: Path, **settings: str) -> Manifest:
    return manifest_from_table(path, media_column="file", label_column="tags", label_separator="|", **settings)


def written(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with mark", "utf-32"])
def test_encodings_with_marks_and_line_ends(tmp_path: Path, encoding: str, ends: str) -> None:
    text = TABLE.replace("\n", ends)
    content = codecs.BOM_UTF16_BE + text.encode("utf-16-be") if "with mark" in encoding else text.encode(encoding)
    manifest = adapt(written(tmp_path / "t.csv", content))
    assert manifest.table["labels"].to_pylist() == LABELS
    assert manifest.table["clip_id"].to_pylist() == ["-x.wav", "b.wav", "c.wav"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift_jis"])
def test_encodings_that_are_named(tmp_path: Path, encoding: str) -> None:
    word = {"shift_jis": "日本"}.get(encoding, "größe")
    path = written(tmp_path / "t.csv", f"file,tags\na.wav,{word}\n", encoding)
    assert adapt(path, encoding=encoding).table["labels"].to_pylist() == [[word]]
    lines = written(tmp_path / "t.jsonl", json.dumps({"file": "a.wav", "tags": word}, ensure_ascii=False), encoding)
    assert adapt(lines, encoding=encoding).table["labels"].to_pylist() == [[word]]
    for unnamed in (path, lines):
        with pytest.raises(ManifestError, match="--encoding"):
            adapt(unnamed)


BAD = [
    (
        "t.csv",
        b"file,tags\na,x\nb,gr\xf6\xdfe\n",
        {},
        r"row 2 is not UTF-8 text \(in 'gr\\xf6\\xdfe'\); .*--encoding latin-1",
    ),
    ("t.csv", codecs.BOM_UTF8 + b"file,tags\na,\xff\n", {}, r"row 1 is not UTF-8 text"),
    ("t.csv", b"file,gr\xf6\xdfe\na,x\n", {}, r"the header is not UTF-8 text"),
    ("t.csv", "file,tags\na,x\n".encode("utf-16-le"), {}, "the header holds zero bytes; .*--encoding utf-16-le"),
    ("t.csv", "file,tags\na,x\n".encode("utf-16")[:-1], {}, "it is not utf-16 text"),
    ("t.csv", "file,tags\na,é\n".encode(), {"encoding": "ascii"}, r"row 1 is not ASCII text"),
    ("t.csv", b"file,tags\na,x\n", {"encoding": "latin-9000"}, "--encoding latin-9000: there is no such encoding"),
    ("t.csv", b"file,tags\na,x\n", {"encoding": "hex"}, "--encoding hex: there is no such encoding"),
    ("t.jsonl", b'{"file": "a"}\n{"file": "\xf6"}\n', {}, "line 2 is not UTF-8 text"),
    ("t.csv", b'file,tags\na,x\nb,"y\nc,z\n', {}, r'row 2: a quote \("\) opens a cell that is never closed'),
    ("t.csv", b'file,tags\na,x\n"b,y\nc,z\n', {}, r'row 2: a quote \("\) opens a cell that is never closed'),
    ("t.csv", b'file,tags\na,x\nb,"y' + b"\nc,z" * 60_000, {}, r'row 2: a quote \("\) opens a cell that does not seem'),
    ("t.jsonl", b'{"file": "a"}\n{"file": 1' + 5_000 * b"1" + b"}\n", {}, r"line 2 cannot be read \(.*4300 digits"),
    ("t.jsonl", b'{"file": ' + 100_000 * b"[", {}, r"line 1 cannot be read \(.*recursion"),
    (
        "t.jsonl",
        b'{"file": "a", "tags": {"x": 1}}',
        {},
        r"column tags: its cells are struct<x: int64>; a text, or a list",
    ),
    ("t.jsonl", b'{"file": "a", "tags": [{"x": 1}]}', {}, r"column tags: its cells are list<.*; a text, or a list"),
    ("t.csv", b"file,tags\r\na,x\r\nb\r\n", {}, "row 2 has 1 columns, the header has 2"),
]


@pytest.mark.parametrize(("name", "content", "settings", "message"), BAD)
def test_what_cannot_be_read_is_said_with_its_row(
    tmp_path: Path, name: str, content: bytes, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        adapt(written(tmp_path / name, content), **settings)


def test_quotes_and_breaks_within_cells_are_allowed(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'file,tags\na,x"y\nb,"two\nlines"\n')
    assert adapt(path).table["labels"].to_pylist() == [['x"y'], ["two\nlines"]]
    assert read_table(written(tmp_path / "u.csv", 'a,b\n1,"x\ny"')).to_pylist() == [{"a": 1, "b": "x\ny"}]


def test_a_manifest_in_utf_16_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "m.csv", "clip_id,media,labels\n-1,a.wav,größe|x\n", "utf-16")
    assert read_manifest(path).table["labels"].to_pylist() == [["größe", "x"]]


def test_parquet_takes_no_encoding(tmp_path: Path) -> None:
    write_manifest(read_manifest(written(tmp_path / "m.csv", "media,labels\na,x\n")), tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match="Parquet says itself how its text is encoded"):
        manifest_from_table(tmp_path / "m.parquet", media_column="media", encoding="latin-1")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("723456.wav,dog,12.5,x\n", "row 723456 has 4 columns, the header has 3"),
        ("723456.wav,dög,12.5\n", "row 723456 is not UTF-8 text"),
        ("723456.wav,dog,soon\n", "row 723456: from='soon' is not a number"),
        ("723455.wav,dog,1\n", "row 723456: clip_id '723455.wav' already stands in row 723455"),
        (",dog,1\n", "row 723456: column file is empty"),
    ],
)
def test_one_bad_row_among_a_million(tmp_path: Path, bad: str, message: str) -> None:
    path = tmp_path / "m.csv"
    rows = [f"{row}.wav,dog|rain,12.5\n" for row in range(1, 1_000_001)]
    rows[723_455] = bad
    path.write_bytes(("file,tags,from\n" + "".join(rows)).encode("latin-1"))
    with pytest.raises(ManifestError, match=message):
        adapt(path, start_column="from", clip_id_column="file")


def test_the_command(tmp_path: Path) -> None:
    written(tmp_path / "-x.wav", "x")
    path = written(tmp_path / "t.csv", 'file,tags\r\n-x.wav,"größe, groß"\r\n', "latin-1")
    table = ("manifest", "table", path, "--media-column", "file", "--label-column", "tags")
    out = tmp_path / "m.parquet"
    refused(*table, "--out", out, saying=["row 1 is not UTF-8 text", "--encoding latin-1"])
    run(*table, "--encoding", "latin-1", "--out", out)
    assert read_manifest(out).table["labels"].to_pylist() == [["größe, groß"]]
    assert read_manifest(out).table["clip_id"].to_pylist() == ["-x.wav"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["a.wav"], "tags": pa.array([b"\xff"], pa.binary())}, "column tags: its cells are bytes that are no"),
        ({"file": ["a.wav"], "tags": [[b"\xff"]]}, "column tags: its cells hold bytes that are no UTF-8 text"),
        ({"file": ["a.wav"], "tags": [{"a": 1}]}, "column tags: its cells are struct"),
        ({"file": ["a.wav"], "tags": [[["a"]]]}, "column tags: its cells are list<"),
        ({"file": pa.array([b"\xff"], pa.binary()), "tags": ["a"]}, "column file: its cells are bytes that are no"),
        ({"file": [["a.wav"]], "tags": ["a"]}, "column file is list"),
        ({"file": [{"path": "a.wav"}], "tags": ["a"]}, "column file is struct"),
    ],
)
def test_columns_of_other_kinds(tmp_path: Path, columns: dict[str, list[object]], message: str) -> None:
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(ManifestError, match=message):
        adapt(tmp_path / "t.parquet")


def test_messages_name_the_columns_of_the_table(tmp_path: Path) -> None:
    for row, message in (
        (",1,2", "column file is empty"),
        ("b,x,2", "from='x' is not a number"),
        ("b,3,2", "to=2.0 is"),
    ):
        path = written(tmp_path / "t.csv", f"file,from,to,tags\na,1,2,x\n{row},x\n")
        with pytest.raises(ManifestError, match=f"row 2: {message}"):
            adapt(path, start_column="from", stop_column="to")


def test_ids_hold_the_stop_where_starts_repeat(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "file,from,to,tags\na,0,1,x\na,0,2,x\na,,,x\n")
    table = adapt(path, start_column="from", stop_column="to").table
    assert table["clip_id"].to_pylist() == ["a@0-1", "a@0-2", "a"]


def test_json_lines_of_two_kinds_and_of_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"file": "a", "x": 1}\n' * 40 + '{"file": "b", "x": "no"}\n')
    with pytest.raises(ManifestError, match=r"column 'x' mixes kinds .* of another kind is in row 41 "):
        read_table(path)
    with pytest.raises(ManifestError, match="it is empty"):
        read_table(written(tmp_path / "t.jsonl", "\n"))


def test_lists_of_segments_are_sent_to_their_adapter(tmp_path: Path) -> None:
    path = written(tmp_path / "x_segments.csv", '# YTID, start_seconds\n--PJHxphWEs, 30.000, 40.000, "/m/09x0r"\n')
    for words in (("inspect", path), ("labels", path, "--out", tmp_path / "o.csv"), ("prepare", path, tmp_path / "s")):
        refused(*words, saying=["row 1", f"`earwitness manifest audioset {path}` takes it"])
    refused("inspect", tmp_path, saying=["holds no store", "earwitness manifest audioset"])
