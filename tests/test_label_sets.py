"""Changing labels: ancestors, rules, the most frequent; against slow re-implementations and Audio Set's own tables."""

import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.cli.main import main
from earwitness.errors import LabelError, ManifestError, SettingsError
from earwitness.labels import LabelSet, read_label_set, write_label_set
from earwitness.manifest import read_manifest, write_manifest
from earwitness.subsets.ontology import read_ontology
from earwitness.subsets.relabelling import apply_map, read_rules, relabel
from made_manifests import labels_by_clip, manifest_of, random_manifest

# thing > (animal > (dog > bark), restricted machine > siren), and a bark is an alarm, too
NODES = [
    ("thing", ["animal", "machine", "alarm"], ["abstract"]),
    ("animal", ["dog"], []),
    ("dog", ["bark"], []),
    ("machine", ["siren"], ["blacklist"]),
    ("alarm", ["siren", "bark"], []),
    ("bark", [], []),
    ("siren", [], []),
]


def ontology_file(folder: Path, nodes: list[tuple[str, list[str], list[str]]] = NODES) -> Path:
    path = folder / "ontology.json"
    rows = [{"id": i, "name": i.upper(), "child_ids": c, "restrictions": r} for i, c, r in nodes]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def earwitness(*arguments: object, status: int = 0) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    assert (ending.value.code or 0) == status


def test_ancestors_by_every_parent_nearest_first(tmp_path: Path) -> None:
    ontology = read_ontology(ontology_file(tmp_path))
    assert ontology.ancestors["bark"] == ("dog", "alarm", "animal", "thing")
    assert ontology.ancestors["thing"] == ()
    assert ontology.restricted == {"thing", "machine"}
    assert ontology.names["dog"] == "DOG"


def test_restricted_ancestors_are_passed_over_but_labels_given_stay(tmp_path: Path) -> None:
    ontology = read_ontology(ontology_file(tmp_path))
    clips = manifest_of([["siren"], ["bark", "siren"], ["machine"], [], ["bark", "bark"]])
    assert list(labels_by_clip(relabel(clips, ontology=ontology).manifest).values()) == [
        ["siren", "alarm"],
        ["bark", "dog", "alarm", "animal", "siren"],
        ["machine"],
        [],
        ["bark", "dog", "alarm", "animal"],
    ]
    with_restricted = relabel(clips, ontology=ontology, with_restricted=True).manifest
    assert labels_by_clip(with_restricted)["c0"] == ["siren", "machine", "alarm", "thing"]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([("a", ["b"], []), ("b", ["c"], []), ("c", ["b"], [])], "'b' .B. is an ancestor of itself"),
        ([("a", ["a"], [])], "'a' .A. is an ancestor of itself"),
        ([("a", ["b"], [])], "'a' .A. has a child 'b' that is not there"),
        ([("a", [], []), ("a", [], [])], "node 'a' stands there twice"),
    ],
)
def test_ontologies_refused(tmp_path: Path, nodes: list[tuple[str, list[str], list[str]]], words: str) -> None:
    with pytest.raises(LabelError, match=words):
        read_ontology(ontology_file(tmp_path, nodes))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"index,mid", "not JSON"), (b"[1]", "this is none"), (b'{"a": {}}', "this is none"), (b"\xff\xfe", "not JSON")],
)
def test_what_is_no_ontology(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "o.json").write_bytes(content)
    with pytest.raises(LabelError, match=words):
        read_ontology(tmp_path / "o.json")
    with pytest.raises(LabelError, match="cannot be read"):
        read_ontology(tmp_path)


def test_an_ontology_of_other_labels_is_refused(tmp_path: Path) -> None:
    ontology = read_ontology(ontology_file(tmp_path))
    with pytest.raises(LabelError, match=r"knows none of its 2 labels; the first is 'x'"):
        relabel(manifest_of([["x"], ["x", "y"]]), ontology=ontology)
    assert relabel(manifest_of([["x", "dog"]]), ontology=ontology).not_in_ontology == ("x",)


def rules_file(folder: Path, text: str) -> Path:
    path = folder / "rules.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rules_rename_merge_drop_and_split_once(tmp_path: Path) -> None:
    path = rules_file(tmp_path, "from,to\na,b\nb,c\nd,c\ne,\nf,f\nf,g\nnever,h\n")
    found = relabel(manifest_of([["a", "b"], ["d", "b"], ["e"], ["e", "f"], ["z"]]), rules=read_rules(path))
    assert list(labels_by_clip(found.manifest).values()) == [["b", "c"], ["c"], [], ["f", "g"], ["z"]]
    assert found.idle_rules == ("never",)
    assert found.num_unlabelled == 1
    assert found.num_dropped == 0
    assert found.counts_before == {"b": 2, "e": 2, "a": 1, "d": 1, "f": 1, "z": 1}


def test_rules_have_the_last_word_on_ancestors(tmp_path: Path) -> None:
    ontology = read_ontology(ontology_file(tmp_path))
    rules = read_rules(rules_file(tmp_path, "from,to\nalarm,\nanimal,Tier\n"))
    found = relabel(manifest_of([["bark"], ["siren"]]), ontology=ontology, rules=rules)
    assert labels_by_clip(found.manifest) == {"c0": ["bark", "dog", "Tier"], "c1": ["siren"]}
    assert found.idle_rules == ()


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("from,into\na,b\n", ManifestError, "no column 'to'"),
        ("from,to\na,b\n,c\n", LabelError, "row 2: column from is empty"),
        ("from,to\na,b\na,\n", LabelError, "'a' is dropped in one row and becomes 'b' in another"),
    ],
)
def test_rules_refused(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_rules(rules_file(tmp_path, text))


def test_numbers_as_labels_stay_text(tmp_path: Path) -> None:
    assert read_rules(rules_file(tmp_path, "from,to\n007,7\n1,2\n")) == {"007": ("7",), "1": ("2",)}


def test_the_most_frequent_ties_decided_by_id_and_said() -> None:
    clips = manifest_of([["b", "b"], ["a"], ["c", "d"], ["d"], []])
    found = relabel(clips, most_frequent=2)
    assert dict(found.counts) == {"d": 2, "a": 1}
    assert found.tied == ("b", "c")
    assert found.num_labels_to_choose_from == 4
    assert list(labels_by_clip(found.manifest).values()) == [[], ["a"], ["d"], ["d"], []]
    dropped = relabel(clips, most_frequent=2, drop_unlabelled=True)
    assert labels_by_clip(dropped.manifest) == {"c1": ["a"], "c2": ["d"], "c3": ["d"]}
    assert dropped.num_dropped == dropped.num_unlabelled == 2
    assert relabel(clips, most_frequent=3).tied == ("c",)
    assert relabel(clips, most_frequent=9).tied == ()


def test_nothing_left_is_refused() -> None:
    with pytest.raises(ManifestError, match="no label would be left"):
        relabel(manifest_of([["a"], []]), rules={"a": ()})
    with pytest.raises(SettingsError, match="most_frequent=0"):
        relabel(manifest_of([["a"]]), most_frequent=0)


LABELS = st.sampled_from("abcd")


@given(
    clips=st.lists(st.lists(LABELS, max_size=5), min_size=1, max_size=8),
    label_map=st.fixed_dictionaries({label: st.lists(st.sampled_from("abxyz"), max_size=3) for label in "abcd"}),
)
def test_a_map_does_to_a_column_what_it_does_to_each_clip(
    clips: list[list[str]], label_map: dict[str, list[str]]
) -> None:
    expected = [list(dict.fromkeys(new for label in labels for new in label_map[label])) for labels in clips]
    mapped = apply_map(manifest_of(clips), {label: tuple(new) for label, new in label_map.items()})
    assert list(labels_by_clip(mapped).values()) == expected
    assert mapped.label_counts() == dict(
        sorted(Counter(label for labels in expected for label in labels).items(), key=lambda item: (-item[1], item[0]))
    )


def test_labels_of_a_subset_are_changed(tmp_path: Path) -> None:
    """Its column of labels still has the dictionary of the whole corpus, in memory and in Parquet."""
    subset = manifest_of([["a"], ["a", "b"], ["rare"]]).take(np.array([0, 1]))
    write_manifest(subset, tmp_path / "subset.parquet")
    for manifest in (subset, read_manifest(tmp_path / "subset.parquet")):
        found = relabel(manifest, most_frequent=1)
        assert labels_by_clip(found.manifest) == {"c0": ["a"], "c1": ["a"]}
        assert found.counts_before == {"a": 2, "b": 1}


def test_every_other_column_stays() -> None:
    clips = random_manifest(num_clips=50, num_labels=8, fold=list(range(50)))
    changed = relabel(clips, most_frequent=3).manifest
    assert changed.table.drop(["labels"]).equals(clips.table.drop(["labels"]))
    assert changed.table.schema.equals(clips.table.schema)


def test_label_sets_are_written_and_read_again(tmp_path: Path) -> None:
    labels = LabelSet(("/m/1", "a,b", 'say "c"'), ("Speech", "Male speech, man speaking", "x"))
    write_label_set(labels, tmp_path / "new" / "labels.csv")
    again = read_label_set(tmp_path / "new" / "labels.csv")
    assert (again.ids, again.names) == (labels.ids, labels.names)
    with pytest.raises(LabelError, match=r"is written as \.csv; came \.txt"):
        write_label_set(labels, tmp_path / "labels.txt")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(manifest_of([["bark"], ["siren"], ["siren", "hum"], []]), tmp_path / "all.csv")
    ontology = ontology_file(tmp_path)
    out, labels = tmp_path / "new.parquet", tmp_path / "labels.csv"
    arguments = ("labels", tmp_path / "all.csv", "--out", out, "--ontology", ontology, "--labels-out", labels)
    earwitness(*arguments, "--most-frequent", 2, "--drop-unlabelled")
    said = capsys.readouterr()
    assert "3 clips, 2 labels (before: 3), 1.67 a clip (before: 1.00)" in said.out
    assert "ALARM 3, SIREN 2" in said.out
    assert "1 clip of no label. They were left out." in said.err
    assert "does not know 1 label, which have no ancestors: hum" in said.err
    assert read_label_set(labels).ids == ("alarm", "siren")
    assert read_label_set(labels).names == ("ALARM", "SIREN")
    assert labels_by_clip(read_manifest(out)) == {"c0": ["alarm"], "c1": ["siren", "alarm"], "c2": ["siren", "alarm"]}

    names = tmp_path / "names.csv"
    names.write_text('index,mid,display_name\n0,alarm,"Bells, and whistles"\n', encoding="utf-8")
    rules = rules_file(tmp_path, "from,to\nhum,\nfoo,bar\n")
    earwitness(*arguments, "--names", names, "--rules", rules, "--most-frequent", 2, "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["label_counts"] == {"alarm": 3, "siren": 2}
    assert report["idle_rules"] == ["foo"]
    assert report["num_unlabelled"] == 1
    assert read_label_set(labels).names == ("Bells, and whistles", "SIREN")
    earwitness("labels", tmp_path / "all.csv", "--out", out, "--most-frequent", 3)
    assert "Nothing changed: the labels are what they were." in capsys.readouterr().err
    earwitness("labels", tmp_path / "all.csv", "--out", out, "--ontology", tmp_path / "all.csv", status=1)
    assert "the ontology is not JSON text" in capsys.readouterr().err


def ancestors_slowly(node: str, nodes: list[dict[str, Any]]) -> set[str]:
    """A walk upwards that asks every node whether it is a parent."""
    parents = {each["id"] for each in nodes if node in each["child_ids"]}
    return parents.union(*(ancestors_slowly(parent, nodes) for parent in parents))


def test_audio_set_has_the_ancestors_its_ontology_says(data_dir: Path) -> None:
    folder = data_dir / "audioset"
    ontology = read_ontology(folder / "ontology.json")
    nodes = json.loads((folder / "ontology.json").read_text(encoding="utf-8"))
    num_parents = Counter(child for node in nodes for child in node["child_ids"])
    assert len(ontology.names) == 632
    assert sum(count > 1 for count in num_parents.values()) == 38, "several parents"
    restricted = {node["id"] for node in nodes if node["restrictions"]}
    assert ontology.restricted == restricted
    slow = {node["id"]: ancestors_slowly(node["id"], nodes) for node in nodes}
    for node, ancestors in ontology.ancestors.items():
        assert set(ancestors) == slow[node]
        assert len(ancestors) == len(slow[node])

    with (folder / "eval_segments.csv").open(encoding="utf-8", newline="") as file:
        labels = [row["positive_labels"].split(",") for row in csv.DictReader(file)]
    assert len(labels) == 20_371
    found = relabel(manifest_of(labels), ontology=ontology)
    expected = [set(given).union(*(slow[label] - restricted for label in given)) for given in labels]
    assert [set(given) for given in labels_by_clip(found.manifest).values()] == expected
    assert (len(found.counts_before), len(found.counts)) == (527, 529)
    police = next(node["id"] for node in nodes if node["name"] == "Police car (siren)")
    assert {ontology.names[parent] for parent in ontology.ancestors[police][:2]} == {"Emergency vehicle", "Siren"}
