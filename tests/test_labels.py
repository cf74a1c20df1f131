"""Label sets: order, identity, files, and words for what does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from earwitness.errors import LabelError
from earwitness.labels import LabelSet, read_label_set, read_model_labels


def test_indices_are_ascending_and_unique() -> None:
    labels = LabelSet.of(["dog", "cat", "cow"])
    assert labels.indices(["cow", "dog", "cow"]) == [0, 2]
    assert labels.indices([]) == []
    assert labels.index_of == {"dog": 0, "cat": 1, "cow": 2}
    assert len(labels) == 3


def test_equality_and_identity_are_of_ids_in_order() -> None:
    named = LabelSet(("a", "b"), ("Ah", "Be"))
    assert named == LabelSet.of(["a", "b"])
    assert hash(named) == hash(LabelSet.of(["a", "b"]))
    assert named.identity == LabelSet.of(["a", "b"]).identity
    assert named != LabelSet.of(["b", "a"])
    assert named.identity != LabelSet.of(["b", "a"]).identity
    assert LabelSet.of(["ab", "c"]).identity != LabelSet.of(["a", "bc"]).identity
    assert named != "ab"
    assert len(named.identity) == 16


def test_rows_round_trip() -> None:
    labels = LabelSet(("/m/1", "größe"), ("One, two", "Größe"))
    back = LabelSet.from_rows(labels.to_rows())
    assert (back.ids, back.names) == (labels.ids, labels.names)
    with pytest.raises(LabelError, match="rows must be objects with id and name"):
        LabelSet.from_rows([{"id": "a"}])


@pytest.mark.parametrize(
    ("ids", "names", "message"),
    [
        ((), (), "it is empty"),
        (("a", ""), ("a", ""), "id at index 1 is empty"),
        (("a", "b", "a"), ("a", "b", "c"), "id 'a' occurs twice"),
        (("a",), ("a", "b"), "1 ids but 2 names"),
    ],
)
def test_bad_sets_are_refused(ids: tuple[str, ...], names: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelSet(ids, names)


def test_an_unknown_label_is_named_with_the_nearest() -> None:
    labels = LabelSet.of(["church_bells", "dog", *(f"label {i}" for i in range(9))])
    with pytest.raises(LabelError, match=r"unknown label 'church_bell'; .*did you mean 'church_bells'\?"):
        labels.indices(["dog", "church_bell"])
    with pytest.raises(LabelError, match=r"known labels \(11\): church_bells, dog, .*, \.\.\."):
        labels.indices(["#"])


@pytest.mark.parametrize(
    ("name", "text", "ids", "names"),
    [
        ("l.txt", "dog\n\n cat \n", ("dog", "cat"), ("dog", "cat")),
        ("l.csv", "id\ndog\ncat\n", ("dog", "cat"), ("dog", "cat")),
        ("l.csv", '﻿id,name\n1,"Dog, big"\n2,Cat\n', ("1", "2"), ("Dog, big", "Cat")),
        ("l.csv", 'index,mid,display_name\n0,/m/1,"A\nB"\n1,/m/2,C\n', ("/m/1", "/m/2"), ("A\nB", "C")),
    ],
)
def test_files_are_read(tmp_path: Path, name: str, text: str, ids: tuple[str, ...], names: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    labels = read_label_set(tmp_path / name)
    assert (labels.ids, labels.names) == (ids, names)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.txt", b"", "l.txt: label set: it is empty"),
        ("l.csv", b"", "no id column; the header is empty"),
        ("l.csv", b"a,b\n1,2\n", "no id column; the header is a, b, one of id, mid"),
        ("l.csv", b"id,name\n1,Male speech, man\n", r"row 1 has more or fewer columns .*comma unquoted"),
        ("l.csv", b"id,name\n1,a\n2\n", "row 2 has more or fewer columns"),
        ("l.csv", b"index,mid\n0,a\n2,b\n", "row 2: index is 2, but must count 0, 1, 2"),
        ("l.csv", b"id\na\na\n", "l.csv: label set: id 'a' occurs twice"),
        ("l.txt", b"\xe4\n", "not UTF-8"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelError, match=message):
        read_label_set(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_label_set(tmp_path / "no.csv")
    with pytest.raises(LabelError, match="cannot be read"):
        read_label_set(tmp_path)


def test_audio_sets_table(data_dir: Path) -> None:
    labels = read_label_set(data_dir / "audioset" / "class_labels_indices.csv")
    assert len(labels) == 527
    assert labels.ids[:2] == ("/m/09x0r", "/m/05zppz")
    assert labels.names[1] == "Male speech, man speaking"
    assert labels.index_of["/m/07hvw1"] == 526


def model_file(path: Path, metadata: object) -> Path:
    header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"tensors")
    return path


def test_labels_of_a_model(tmp_path: Path) -> None:
    rows = [{"id": "/m/2", "name": "Two"}, {"id": "/m/1", "name": "Öne"}]
    path = model_file(tmp_path / "m.safetensors", {"description": json.dumps({"labels": rows, "front_end": {}})})
    labels = read_model_labels(path)
    assert labels.to_rows() == rows


def test_labels_of_a_model_are_those_that_safetensors_reads(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    metadata = {"format": "x", "description": json.dumps({"labels": LabelSet.of(["b", "a"]).to_rows()})}
    save_file({"weight": np.zeros(3, np.float32)}, path, metadata=metadata)
    assert read_model_labels(path) == LabelSet.of(["b", "a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable safetensors file"),
        (b"RIFF....WAVEfmt ", "not a readable safetensors file"),
        (b"\x03" + 7 * b"\0" + b"{{{", "not a readable safetensors file"),
        (b"\x02" + 7 * b"\0" + b"{}", "a safetensors file, but not a model of earwitness"),
        (b"\x02" + 7 * b"\0" + b"[]", "a safetensors file, but not a model of earwitness"),
    ],
)
def test_what_is_no_model(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=rf"m\.safetensors: {message}"):
        read_model_labels(path)


def test_models_without_a_label_set(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(LabelError, match=r"m\.safetensors: .*No such file"):
        read_model_labels(path)
    for metadata in ({}, {"description": "{}"}, {"description": 1}, None):
        with pytest.raises(LabelError, match=r"m\.safetensors: .*not a model of earwitness"):
            read_model_labels(model_file(path, metadata))
    for labels, message in (([], "it is empty"), ([{"id": "a"}], "objects with id and name")):
        with pytest.raises(LabelError, match=rf"m\.safetensors: label set: .*{message}"):
            read_model_labels(model_file(path, {"description": json.dumps({"labels": labels})}))
