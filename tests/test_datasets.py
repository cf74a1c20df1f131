"""Adapters: tables, folders and ESC-50 become manifests, and what is wrong is said."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from earwitness.datasets.esc50 import manifest_from_esc50
from earwitness.datasets.folders import manifest_from_folders
from earwitness.datasets.media import MEDIA_SUFFIXES, missing_media
from earwitness.datasets.tables import manifest_from_table
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest

TAGS = """file,tags,fold,snr,code
a.wav,dog; rain,1,0.5,007
sub/b.mp4,,2,1,008
/c.ogg,"rain;rain; ;dog, small",3,-2.5,9
https://x.org/d.mp3,007,4,,10
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_csv_with_separated_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "my.csv", TAGS)
    manifest = manifest_from_table(path, media_column="file", label_column="tags", label_separator=";")
    assert manifest.table.to_pydict() == {
        "clip_id": ["a.wav", "sub/b.mp4", "/c.ogg", "https://x.org/d.mp3"],
        "media": [f"{tmp_path}/a.wav", f"{tmp_path}/sub/b.mp4", "/c.ogg", "https://x.org/d.mp3"],
        "start_seconds": [None] * 4,
        "stop_seconds": [None] * 4,
        "labels": [["dog", "rain"], [], ["rain", "dog, small"], ["007"]],
        "fold": [1, 2, 3, 4],
        "snr": [0.5, 1.0, -2.5, None],
        "code": ["007", "008", "9", "10"],
    }


def test_without_separator_a_cell_is_one_label(tmp_path: Path) -> None:
    path = write(tmp_path, "my.csv", TAGS)
    manifest = manifest_from_table(path, media_column="file", label_column="tags")
    assert manifest.table["labels"].to_pylist() == [["dog; rain"], [], ["rain;rain; ;dog, small"], ["007"]]


def test_media_root_is_where_relative_paths_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "my.csv", "file\na.wav\n")
    (tmp_path / "sounds").mkdir()
    monkeypatch.chdir(tmp_path)
    for table, root in ((path, tmp_path / "sounds"), ("my.csv", "sounds")):
        manifest = manifest_from_table(table, media_column="file", media_root=root)
        assert manifest.table["media"].to_pylist() == [f"{tmp_path}/sounds/a.wav"]
        assert manifest.table["clip_id"].to_pylist() == ["a.wav"]
    assert manifest_from_table("my.csv", media_column="file").table["media"].to_pylist() == [f"{tmp_path}/a.wav"]
    with pytest.raises(ManifestError, match="no: the media root must be a folder"):
        manifest_from_table(path, media_column="file", media_root="no")
    with pytest.raises(ManifestError, match="URLs belong into the table"):
        manifest_from_table(path, media_column="file", media_root="https://x.org/")


RANGES = "file,from,to,name\nf.mp4, 0.000, 2.500,x\nf.mp4, 12.5, ,y\nf.mp4,30.000,40,z\ng.mp4,,,w\n"


def test_ranges_of_one_file_get_ids_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", RANGES)
    manifest = manifest_from_table(path, media_column="file", start_column="from", stop_column="to")
    assert manifest.table.select(["clip_id", "start_seconds", "stop_seconds", "name"]).to_pydict() == {
        "clip_id": ["f.mp4@0.000", "f.mp4@12.5", "f.mp4@30.000", "g.mp4"],
        "start_seconds": [0.0, 12.5, 30.0, None],
        "stop_seconds": [2.5, None, 40.0, None],
        "name": ["x", "y", "z", "w"],
    }


def test_ids_from_a_column(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", RANGES)
    manifest = manifest_from_table(path, media_column="file", clip_id_column="name")
    assert manifest.table["clip_id"].to_pylist() == ["x", "y", "z", "w"]
    assert manifest.table["start_seconds"].null_count == 4  # not named, not called so: carried along
    assert manifest.table["from"].to_pylist() == [" 0.000", " 12.5", "30.000", ""]


def test_columns_of_the_manifests_own_names_are_used(tmp_path: Path) -> None:
    path = write(tmp_path, "own.csv", "clip_id,media,start_seconds,labels,tags\n01,a.wav,1.5,dog,x\n")
    assert manifest_from_table(path, media_column="media").table.to_pylist()[0] == {
        "clip_id": "01",
        "media": f"{tmp_path}/a.wav",
        "start_seconds": 1.5,
        "stop_seconds": None,
        "labels": ["dog"],
        "tags": "x",
    }
    row = manifest_from_table(path, media_column="media", label_column="tags").table.to_pylist()[0]
    assert (row["labels"], row["labels_in_table"]) == (["x"], "dog")


def test_every_format_gives_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"file": "a.wav", "tags": ["dog", " rain ", "", "dog"], "from": 0.5, "fold": 1},
        {"file": "b.wav", "tags": [], "from": None, "fold": 2},
    ]
    write(tmp_path, "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    write(tmp_path, "t.csv", "file,tags,from,fold\na.wav,dog| rain ||dog,0.5,1\nb.wav,,,2\n")
    write(tmp_path, "t.tsv", "file\ttags\tfrom\tfold\na.wav\tdog|rain\t0.5\t1\nb.wav\t\t\t2\n")
    tables = [
        manifest_from_table(
            tmp_path / f"t.{suffix}",
            media_column="file",
            label_column="tags",
            label_separator="|",
            start_column="from",
        ).table
        for suffix in ("jsonl", "parquet", "csv", "tsv")
    ]
    assert tables[0]["labels"].to_pylist() == [["dog", "rain"], []]
    for table in tables[1:]:
        assert table.to_pylist() == tables[0].to_pylist()


def test_numbers_as_labels_become_text(tmp_path: Path) -> None:
    path = write(tmp_path, "t.jsonl", '{"file": "a", "c": 3}\n{"file": "b", "c": null}\n')
    labels = manifest_from_table(path, media_column="file", label_column="c").table["labels"]
    assert labels.to_pylist() == [["3"], []]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (TAGS, {"media_column": "files"}, r"no column 'files' \(did you mean 'file'\?\); the columns are file, tags"),
        (TAGS, {"media_column": "file", "label_column": "xyz"}, "no column 'xyz'; the columns are file"),
        ("file,t\na,1\nb,2\na,3\n", {"media_column": "file"}, "row 3: clip_id 'a' already stands in row 1"),
        (
            "file,t\na,1\nb,2\na,1\n",
            {"media_column": "file", "start_column": "t"},
            "row 3: clip_id 'a@1' already stands in row 1",
        ),
        ("file,t\na,1\n,2\n", {"media_column": "file"}, "row 2: column file is empty"),
        ("file,t\na,1\nb,1:30\n", {"media_column": "file", "start_column": "t"}, "row 2: t='1:30'"),
        (
            "file,t,u\na,1,2\nb,3,2\n",
            {"media_column": "file", "start_column": "t", "stop_column": "u"},
            "row 2: u=2.0 is not after t=3.0",
        ),
        ("file,t\n", {"media_column": "file"}, "it has no rows"),
        ("", {"media_column": "file"}, "it is empty"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, arguments: dict[str, str], message: str) -> None:
    path = write(tmp_path, "my.csv", text)
    with pytest.raises(ManifestError, match=message):
        manifest_from_table(path, **arguments)


def test_missing_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no such file"):
        manifest_from_table(tmp_path / "no.csv", media_column="file")
    with pytest.raises(ManifestError, match="this is a folder"):
        manifest_from_table(tmp_path, media_column="file")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_per_label(tmp_path: Path) -> None:
    touch(tmp_path, "rain/c.FLAC", "dog/b.wav", "dog/a.wav", "dog/field/deep/d.mp4", "großer Hund/ä.opus")
    touch(tmp_path, "readme.txt", "loose.wav", "dog/notes.txt", "dog/._a.wav", ".git/x.wav")
    (tmp_path / "empty").mkdir()
    scan = manifest_from_folders(tmp_path)
    assert scan.manifest.table.select(["clip_id", "labels"]).to_pydict() == {
        "clip_id": ["dog/a.wav", "dog/b.wav", "dog/field/deep/d.mp4", "großer Hund/ä.opus", "rain/c.FLAC"],
        "labels": [["dog"], ["dog"], ["dog"], ["großer Hund"], ["rain"]],
    }
    assert scan.manifest.table["media"].to_pylist()[0] == f"{tmp_path}/dog/a.wav"
    assert set(scan.skipped) == {".git", "readme.txt", "loose.wav", "dog/notes.txt", "dog/._a.wav"}
    assert missing_media(scan.manifest) == []


def test_links_and_odd_names(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.wav", "top/dog/b.wav")
    (tmp_path / "top" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "dog" / "circle").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "dog" / os.fsdecode(b"\xff.wav")).touch()
    scan = manifest_from_folders(tmp_path / "top")
    assert scan.manifest.table["clip_id"].to_pylist() == ["cat/a.wav", "dog/b.wav"]
    assert set(scan.skipped) == {"dog/circle", "dog/\\xff.wav"}


def test_folders_without_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no such folder"):
        manifest_from_folders(tmp_path / "no")
    touch(tmp_path, "a.wav", "b.txt")
    with pytest.raises(ManifestError, match=r"no media file lies in a sub-folder of it \(2 other"):
        manifest_from_folders(tmp_path)
    with pytest.raises(ManifestError, match="this is a file"):
        manifest_from_folders(tmp_path / "a.wav")


def test_media_suffixes_are_lower_case() -> None:
    assert {".wav", ".mp4", ".webm", ".opus", ".flac", ".mkv"} <= MEDIA_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in MEDIA_SUFFIXES)


def test_missing_media_are_listed_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "there.wav")
    media = ["z.wav", "there.wav", "https://x.org/a.wav", ".", "z.wav", "x" * 5_000, "a.wav"]
    table = pa.table({"clip_id": list("0123456"), "media": media})
    assert missing_media(Manifest.from_table(table, folder=tmp_path)) == ["0", "3", "4", "5", "6"]


ESC = """filename,fold,target,category,esc10,src_file,take
1-1-A-0.wav,1,0,dog,True,0100,A
2-2-B-1.wav,2,1,rooster,False,7,B
"""


@pytest.mark.parametrize("name", ["esc50.csv", "esc10.csv"])
def test_esc50(tmp_path: Path, name: str) -> None:
    (tmp_path / "meta").mkdir()
    write(tmp_path / "meta", name, ESC)
    touch(tmp_path, "audio/1-1-A-0.wav")
    manifest = manifest_from_esc50(tmp_path)
    assert manifest.table.to_pylist()[0] == {
        "clip_id": "1-1-A-0.wav",
        "media": f"{tmp_path}/audio/1-1-A-0.wav",
        "start_seconds": None,
        "stop_seconds": None,
        "labels": ["dog"],
        "fold": 1,
        "target": 0,
        "category": "dog",
        "esc10": "True",
        "group": "0100",
        "take": "A",
    }
    assert missing_media(manifest) == ["2-2-B-1.wav"]


def test_esc50_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds neither meta/esc50.csv nor meta/esc10.csv"):
        manifest_from_esc50(tmp_path)
    (tmp_path / "meta").mkdir()
    write(tmp_path / "meta", "esc50.csv", ESC)
    with pytest.raises(ManifestError, match=r"none of its 2 files lies in .*the first would be 1-1-A-0.wav"):
        manifest_from_esc50(tmp_path)
    write(tmp_path / "meta", "esc50.csv", ESC.replace("fold", "part"))
    with pytest.raises(ManifestError, match="no column 'fold'; the columns are filename, part"):
        manifest_from_esc50(tmp_path)


def test_esc10_as_published(data_dir: Path) -> None:
    manifest = manifest_from_esc50(data_dir / "esc10")
    assert len(manifest) == 400
    assert set(manifest.label_counts().values()) == {40}
    assert len(manifest.label_counts()) == 10
    assert missing_media(manifest) == []
    folds_of_group: dict[str, set[int]] = {}
    for row in manifest.table.to_pylist():
        folds_of_group.setdefault(row["group"], set()).add(row["fold"])
    assert {fold for folds in folds_of_group.values() for fold in folds} == {1, 2, 3, 4, 5}
    assert all(len(folds) == 1 for folds in folds_of_group.values())
