"""Nested, balanced and split subsets: against brute force, integer and linear programming, and by their promises."""

import csv
import json
import sys
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from earwitness.cli.main import main
from earwitness.errors import LabelError, ManifestError, SettingsError
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.subsets.balanced import BalancedSet, balanced_set, rest_of
from earwitness.subsets.cover import Cover, cover
from earwitness.subsets.draws import clip_draws, group_draws
from earwitness.subsets.incidence import Incidence
from earwitness.subsets.nested import nested_subsets
from earwitness.subsets.prices import climb
from earwitness.subsets.splits import split_manifest
from made_manifests import ids_of, in_another_order, labels_by_clip, manifest_of, random_manifest

# --- covers ---


def incidence(rows: list[list[int]], num_labels: int) -> Incidence:
    unique = [sorted(set(row)) for row in rows]
    lengths, labels = np.array([len(row) for row in unique]), np.array([label for row in unique for label in row], int)
    return Incidence.from_parts([(lengths, labels)], num_labels)


def random_rows(num_rows: int, num_labels: int, seed: int) -> Incidence:
    rng = np.random.default_rng(seed)
    priors = 1.0 / np.arange(1, num_labels + 1)
    sizes = rng.integers(0, min(7, num_labels), num_rows)
    rows = [rng.choice(num_labels, size, replace=False, p=priors / priors.sum()).tolist() for size in sizes]
    return incidence(rows, num_labels)


def order_of(num_rows: int, seed: int = 5) -> npt.NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64 - 1, num_rows, dtype=np.uint64)


def check(rows: Incidence, wanted: npt.NDArray[np.int64], found: Cover) -> None:
    """It covers, no row can be left out, and the bound is none above it."""
    matrix = rows.matrix(found.rows).toarray()
    held = matrix.sum(axis=0)
    assert (held >= wanted).all()
    for row in matrix:
        assert ((held - row) < wanted).any(), "a row can be left out"
    assert found.lower_bound <= len(found.rows)
    assert (np.diff(found.rows) > 0).all()


CLIPS = st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=9)


@given(clips=CLIPS, per_label=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_small_covers_beside_all_subsets(clips: list[list[int]], per_label: int) -> None:
    rows = incidence(clips, 5)
    wanted = np.minimum(rows.counts(), per_label)
    found = cover(rows, wanted, order_of(len(clips)))
    check(rows, wanted, found)
    matrix = rows.matrix(np.arange(len(clips))).toarray()
    smallest = next(
        size
        for size in range(len(clips) + 1)
        if any((matrix[list(some)].sum(axis=0) >= wanted).all() for some in combinations(range(len(clips)), size))
    )
    assert found.lower_bound <= smallest <= len(found.rows) <= smallest + 1


@pytest.mark.parametrize("seed", range(4))
def test_covers_beside_integer_programming(seed: int) -> None:
    rows = random_rows(300, 25, seed)
    wanted = np.minimum(rows.counts(), 8)
    found = cover(rows, wanted, order_of(300))
    check(rows, wanted, found)
    matrix = rows.matrix(np.arange(300))
    best = milp(
        np.ones(300), integrality=np.ones(300), bounds=Bounds(0, 1), constraints=LinearConstraint(matrix.T, lb=wanted)
    )
    assert found.lower_bound <= round(best.fun) <= len(found.rows) <= 1.03 * best.fun + 1


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_nearly_that_of_linear_programming(seed: int) -> None:
    rows = random_rows(2_000, 60, seed)
    wanted = np.minimum(rows.counts(), 20)
    matrix = rows.matrix(np.arange(2_000))
    exact = linprog(np.ones(2_000), A_ub=-matrix.T, b_ub=-wanted, bounds=(0, 1)).fun
    found = climb(matrix, wanted, upper_bound=int(1.02 * exact))
    assert 0.99 * exact <= found.bound <= exact + 1e-6
    worth = matrix @ found.prices
    assert found.bound == wanted @ found.prices - np.maximum(worth - 1.0, 0.0).sum(), "sums on the grid are exact"


def test_the_order_of_rows_changes_nothing() -> None:
    rows, order = random_rows(800, 40, 3), order_of(800)
    wanted = np.minimum(rows.counts(), 9)
    lists = np.split(rows.labels, rows.offsets[1:-1])
    turned = np.random.default_rng(2).permutation(800)
    for max_whole_rows in (1_000, 50):
        found = cover(rows, wanted, order, max_whole_rows=max_whole_rows)
        other = cover(
            incidence([lists[row].tolist() for row in turned], 40), wanted, order[turned], max_whole_rows=max_whole_rows
        )
        assert set(turned[other.rows]) == set(found.rows)
        assert other.lower_bound == found.lower_bound


def test_a_core_does_nearly_as_well_and_its_bound_is_for_all_rows() -> None:
    rows, order = random_rows(6_000, 50, 7), order_of(6_000)
    wanted = np.minimum(rows.counts(), 12)
    whole, core = cover(rows, wanted, order), cover(rows, wanted, order, max_whole_rows=100)
    check(rows, wanted, core)
    assert len(core.rows) <= 1.02 * len(whole.rows)
    assert 0.98 * whole.lower_bound <= core.lower_bound <= len(whole.rows)


def test_an_order_that_favours_one_end_still_covers() -> None:
    """Numbers that are no hashes: the core would be empty but for the labels that it lacks."""
    rows = random_rows(500, 20, 1)
    wanted = np.minimum(rows.counts(), 6)
    order = np.arange(500, dtype=np.uint64) + np.uint64(2**63)
    check(rows, wanted, cover(rows, wanted, order, max_whole_rows=10))


# --- balanced sets ---


def counts_in(found: BalancedSet) -> dict[str, int]:
    counts = found.manifest.label_counts()
    return {label: counts.get(label, 0) for label in found.labels}


def test_every_label_is_filled_or_has_all_its_clips() -> None:
    corpus = random_manifest(num_clips=1_500, num_labels=60)
    found = balanced_set(corpus, per_label=33)
    in_corpus = corpus.label_counts()
    in_set = counts_in(found)
    assert not found.is_filled.all()
    for label, in_all in in_corpus.items():
        assert in_set[label] >= min(33, in_all)
        assert found.is_filled[list(found.labels).index(label)] == (in_all >= 33)
    assert dict(zip(found.labels, found.num_in_set.tolist(), strict=True)) == in_set
    assert dict(zip(found.labels, found.num_in_corpus.tolist(), strict=True)) == in_corpus
    for labels in labels_by_clip(found.manifest).values():
        assert any(in_set[label] - 1 < min(33, in_corpus[label]) for label in labels), "a clip can be left out"
    assert found.manifest.table.equals(corpus.take(found.rows).table)


def test_the_set_of_some_labels_keeps_the_others_on_its_clips() -> None:
    corpus = random_manifest(num_clips=600, num_labels=30)
    chosen = ["l005", "l020", "absent"]
    found = balanced_set(corpus, per_label=10, labels=chosen)
    assert list(found.labels) == chosen
    assert len(found.rows) <= 20
    assert found.num_in_corpus[2] == found.num_in_set[2] == 0
    assert len(found.manifest.label_counts()) > 3


def test_the_same_set_whatever_the_order_another_with_another_seed() -> None:
    corpus = random_manifest(num_clips=800, num_labels=40)
    found = balanced_set(corpus, per_label=12)
    assert ids_of(balanced_set(in_another_order(corpus), per_label=12).manifest) == ids_of(found.manifest)
    other = balanced_set(corpus, per_label=12, seed=1)
    assert ids_of(other.manifest) != ids_of(found.manifest)
    assert abs(len(other.rows) - len(found.rows)) <= 0.03 * len(found.rows)


def test_the_rest_shares_no_group_with_the_set() -> None:
    groups = [None if row % 3 == 0 else f"g{row // 7}" for row in range(400)]
    corpus = random_manifest(num_clips=400, num_labels=40, group=groups)
    found = balanced_set(corpus, per_label=2)
    rest = rest_of(corpus, found.rows)
    sides = [
        {row["group"] or row["media"] for row in side.table.to_pylist()} for side in (found.manifest, rest.manifest)
    ]
    assert not sides[0] & sides[1]
    assert len(found.rows) + len(rest.manifest) + rest.num_of_same_groups == 400
    assert rest.num_of_same_groups > 0
    with pytest.raises(ManifestError, match="nothing is left to learn from"):
        rest_of(corpus, np.arange(400))


def test_balanced_sets_refused() -> None:
    with pytest.raises(SettingsError, match="per_label=0"):
        balanced_set(manifest_of([["a"]]), per_label=0)
    with pytest.raises(ManifestError, match="not one of its clips has a label"):
        balanced_set(manifest_of([[]]), per_label=1)
    with pytest.raises(LabelError, match=r"carries any of the 2 labels wanted, such as 'x'; .* is 'a'"):
        balanced_set(manifest_of([["a"]]), per_label=1, labels=["x", "y"])


# --- nested subsets ---

GOLDEN_DRAWS = ["0x8fa477e75921dea6", "0x71afdd16a968ca1c", "0x5dd8fbeb82dc9d04"]
"""Of c0, c1, c2 with seed 0, by this very program."""


def test_draws_are_of_names_alone_and_stay_what_they_are() -> None:
    corpus = random_manifest(num_clips=2_000, num_labels=5)
    draws = dict(zip(corpus.table["clip_id"].to_pylist(), clip_draws(corpus, seed=1).tolist(), strict=True))
    turned = in_another_order(corpus)
    assert draws == dict(zip(turned.table["clip_id"].to_pylist(), clip_draws(turned, seed=1).tolist(), strict=True))
    assert len(set(draws.values())) == 2_000
    sixteenths = np.bincount([draw >> 60 for draw in draws.values()], minlength=16)
    assert np.abs(sixteenths - 125).max() < 50, "evenly spread: 125 +- 11"
    # subsets that people trained on must be had again from every later version
    assert [hex(draw) for draw in clip_draws(manifest_of([["a"]] * 3), seed=0).tolist()] == GOLDEN_DRAWS
    assert np.mean(clip_draws(corpus, seed=1) >> np.uint64(63) == clip_draws(corpus, seed=2) >> np.uint64(63)) < 0.6


def test_groups_draw_together() -> None:
    corpus = manifest_of(
        [["a"]] * 7,
        media=["/m/x.wav", "/m/x.wav", "/m/y.wav", "/m/z.wav", "/m/z.wav", "g", "/m/w.tar"],
        group=["g", "g", "g", None, "", None, ""],
        start_seconds=[0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    )
    draws = group_draws(corpus, seed=0).tolist()
    assert draws[0] == draws[1] == draws[2]
    assert draws[3] == draws[4]
    assert len({draws[0], draws[3], draws[5], draws[6]}) == 4, "a group is not a file of the same name"
    numbered = manifest_of([["a"]] * 3, group=[7, 7, None])
    assert len(set(group_draws(numbered, seed=0).tolist())) == 2


def test_smaller_subsets_lie_in_larger_ones_and_growing_keeps_the_choice() -> None:
    corpus = random_manifest(num_clips=3_000, num_labels=5)
    found = nested_subsets(corpus, fractions=(0.01, 1.0, 0.1), sizes=(500, 23))
    assert [subset.name for subset in found.subsets] == ["1.0", "500", "0.1", "0.01", "23"]
    clips = [ids_of(found.take(subset)) for subset in found.subsets]
    assert all(larger > smaller for larger, smaller in pairwise(clips))
    assert [len(each) for each in clips] == [subset.num_clips for subset in found.subsets]
    assert (len(clips[0]), len(clips[1]), len(clips[4])) == (3_000, 500, 23)
    assert abs(len(clips[2]) - 300) < 60

    part = Manifest.from_table(corpus.table.slice(1_000))
    of_part = nested_subsets(part, fractions=(0.1,))
    assert ids_of(of_part.take(of_part.subsets[0])) == clips[2] & ids_of(part)
    other = nested_subsets(corpus, fractions=(0.1,), seed=1)
    assert len(ids_of(other.take(other.subsets[0])) & clips[2]) < 60


def test_sizes_of_whole_groups_are_not_exceeded() -> None:
    groups = [f"g{row // 10}" for row in range(1_000)]
    corpus = random_manifest(num_clips=1_000, num_labels=3, group=groups)
    found = nested_subsets(corpus, sizes=(105,), fractions=(0.5,), whole_groups=True)
    small = found.take(found.subsets[1])
    assert len(small) == 100
    assert set(Counter(small.table["group"].to_pylist()).values()) == {10}
    with pytest.raises(
        ManifestError, match=r"the subset of 5 would be empty; it has 1000 clips, drawn in whole groups"
    ):
        nested_subsets(corpus, sizes=(5,), whole_groups=True)


def test_nested_subsets_refused() -> None:
    corpus = manifest_of([["a"]] * 10)
    with pytest.raises(SettingsError, match="which subsets"):
        nested_subsets(corpus)
    with pytest.raises(SettingsError, match="asked for twice"):
        nested_subsets(corpus, fractions=(0.5, 0.5))
    with pytest.raises(SettingsError, match=r"fraction=0.0 must be above 0"):
        nested_subsets(corpus, fractions=(0.0,))
    with pytest.raises(SettingsError, match="size=11 must be from 1 to the 10 clips"):
        nested_subsets(corpus, sizes=(11,))
    with pytest.raises(ManifestError, match="has a column 'draw' already"):
        nested_subsets(nested_subsets(corpus, fractions=(1.0,)).manifest, fractions=(1.0,))


# --- splits ---

PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_groups_stay_together_and_labels_keep_their_shares() -> None:
    rng = np.random.default_rng(4)
    groups = [f"g{number}" for number in rng.integers(0, 900, 2_000)]
    corpus = random_manifest(num_clips=2_000, num_labels=40, group=groups)
    found = split_manifest(corpus, PARTS)
    table = found.manifest.table
    part_of_group = {}
    held: Counter[tuple[str, str]] = Counter()
    for row in table.to_pylist():
        assert part_of_group.setdefault(row["group"], row["split"]) == row["split"]
        held.update((label, row["split"]) for label in set(row["labels"]))
    assert Counter(table["split"].to_pylist()) == found.num_clips
    assert Counter(part_of_group.values()) == found.num_groups
    counts = corpus.label_counts()
    errors = [abs(held[label, part] / count - PARTS[part]) for label, count in counts.items() for part in PARTS]
    assert found.label_error == pytest.approx(np.mean(errors))
    assert np.mean(errors) < 0.02
    at_random = rng.choice(list(PARTS), 2_000, p=list(PARTS.values()))
    random_held = Counter(
        (label, part)
        for labels, part in zip(labels_by_clip(corpus).values(), at_random, strict=True)
        for label in labels
    )
    assert np.mean(errors) < 0.5 * np.mean(
        [abs(random_held[label, part] / count - PARTS[part]) for label, count in counts.items() for part in PARTS]
    )
    assert {name: found.num_clips[name] / 2_000 for name in PARTS} == pytest.approx(PARTS, abs=0.01)
    assert not found.missing


def test_rare_labels_reach_every_part_where_they_have_groups_enough() -> None:
    labels = [["common"]] * 200 + [["rare", "common"]] * 3 + [["two"]] * 2 + [["one"]] * 4
    groups = [f"g{row}" for row in range(205)] + ["h"] * 4
    found = split_manifest(manifest_of(labels, group=groups), PARTS)
    held = Counter((label, row["split"]) for row in found.manifest.table.to_pylist() for label in row["labels"])
    assert all(held["rare", part] == 1 for part in PARTS)
    assert found.num_too_few == 2
    assert not found.missing


def test_what_cannot_reach_every_part_is_said() -> None:
    """Of a and b, which have two groups each, one group is common: one part can have both, the other neither."""
    found = split_manifest(manifest_of([["a", "b"], ["a", "c"], ["b", "c"]]), {"x": 0.5, "y": 0.5})
    assert sum(found.num_clips.values()) == 3
    assert len(found.missing) == 1
    assert all(len(parts) == 1 for parts in found.missing.values())


@given(
    clips=st.lists(st.lists(st.sampled_from("abcde"), max_size=3), min_size=4, max_size=30),
    num_parts=st.integers(2, 4),
)
@settings(deadline=None)
def test_every_clip_gets_a_part_the_same_in_any_order(clips: list[list[str]], num_parts: int) -> None:
    shares = {f"p{part}": 1.0 / num_parts for part in range(num_parts)}
    corpus = manifest_of(clips)
    found = split_manifest(corpus, shares, column="part")
    rows = found.manifest.table.to_pylist()
    assert {row["part"] for row in rows} <= shares.keys()
    turned = split_manifest(Manifest.from_table(pa.Table.from_pylist(corpus.table.to_pylist()[::-1])), shares)
    other = {row["clip_id"]: row["split"] for row in turned.manifest.table.to_pylist()}
    assert {row["clip_id"]: row["part"] for row in rows} == other


def test_splits_refused() -> None:
    listed = manifest_of([["a"], ["b"]], group=[["x"], ["y"]])
    with pytest.raises(ManifestError, match=r"column group is list<item: string>; a group is named by a text"):
        split_manifest(listed, {"a": 0.5, "b": 0.5})
    corpus = manifest_of([["a"]] * 4, group=["g", "g", "h", "h"], split=["x"] * 4)
    with pytest.raises(SettingsError, match="two parts at least"):
        split_manifest(corpus, {"train": 1.0})
    with pytest.raises(SettingsError, match=r"train=0.9, test=0.2, which sum to 1.1"):
        split_manifest(corpus, {"train": 0.9, "test": 0.2})
    with pytest.raises(SettingsError, match="must be above 0"):
        split_manifest(corpus, {"train": 1.0, "test": 0.0})
    with pytest.raises(ManifestError, match=r"has a column 'split' already; --column"):
        split_manifest(corpus, PARTS)
    with pytest.raises(ManifestError, match="3 parts need as many groups of clips; there are 2"):
        split_manifest(corpus, PARTS, column="part")


# --- as users type it ---


def earwitness(*arguments: object, status: int = 0) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    assert (ending.value.code or 0) == status


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("subsets") / "all.parquet"
    write_manifest(random_manifest(num_clips=500, num_labels=20, group=[f"g{row // 2}" for row in range(500)]), path)
    return path


def test_nested_as_typed(corpus_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "all.parquet"
    earwitness("subset", "nested", corpus_file, "--fractions", 0.5, 0.1, "--sizes", 7, "--out", out)
    said = capsys.readouterr().out
    assert "--where 'draw < 0.1'" in said
    assert "  7 clips" in said
    draws = read_manifest(out).table["draw"].to_pylist()
    assert f"{sum(draw < 0.5 for draw in draws)} clips" in said
    earwitness(
        *("subset", "nested", corpus_file, "--fractions", 0.5, "--sizes", 7, "--out", tmp_path / "t_{}.csv", "--json")
    )
    subsets = json.loads(capsys.readouterr().out)["subsets"]
    assert [Path(subset["manifest"]).name for subset in subsets] == ["t_0.5.csv", "t_7.csv"]
    assert [len(read_manifest(subset["manifest"])) for subset in subsets] == [sum(draw < 0.5 for draw in draws), 7]
    earwitness("subset", "nested", corpus_file, "--out", out, status=1)
    assert "which subsets?" in capsys.readouterr().err


def test_balanced_as_typed(corpus_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, rest, report = tmp_path / "eval.parquet", tmp_path / "train.csv", tmp_path / "report.csv"
    arguments = ("subset", "balanced", corpus_file, "--out", out, "--report-out", report)
    earwitness(*arguments, "--per-label", 40, "--rest-out", rest)
    said = capsys.readouterr()
    num_clips = len(read_manifest(out))
    assert f"eval.parquet: {num_clips} clips; " in said.out
    assert "are needed at least" in said.out
    assert "with fewer than 40 clips in the manifest, all of them taken" in said.err
    assert "in neither: of the same group" in said.err
    with report.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = read_manifest(out).label_counts()
    assert {row["label"]: int(row["in_set"]) for row in rows} == counts
    assert {row["is_filled"] for row in rows} == {"True", "False"}
    assert not ids_of(read_manifest(out)) & ids_of(read_manifest(rest))

    (tmp_path / "labels.csv").write_text("id,name\nl003,Three\nl999,None\n", encoding="utf-8")
    report = tmp_path / "report.json"
    earwitness(
        *("subset", "balanced", corpus_file, "--out", out, "--per-label", 5, "--labels", tmp_path / "labels.csv"),
        *("--report-out", report, "--json"),
    )
    summary = json.loads(capsys.readouterr().out)
    assert (summary["num_clips"], summary["lower_bound"], summary["num_filled"], summary["num_absent"]) == (5, 5, 1, 1)
    assert json.loads(report.read_text(encoding="utf-8"))["labels"][0]["name"] == "Three"

    earwitness(*arguments, "--most-frequent", 3, "--per-label", 5, "--json")
    assert json.loads(capsys.readouterr().out)["num_labels"] == 3
    earwitness(*arguments, "--most-frequent", 3, "--labels", tmp_path / "labels.csv", status=1)
    assert "give one of them" in capsys.readouterr().err
    earwitness("subset", "balanced", corpus_file, "--out", out, "--report-out", tmp_path / "report.txt", status=1)
    assert "its suffix must be .csv or .json" in capsys.readouterr().err


def test_split_as_typed(corpus_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "split.parquet"
    arguments = ("subset", "split", corpus_file, "--out", out)
    earwitness(*arguments, "--parts", "train=0.75", "test=0.25")
    said = capsys.readouterr().out
    counts = Counter(read_manifest(out).table["split"].to_pylist())
    assert f"split = 'train': {counts['train']} clips" in said
    assert sum(counts.values()) == 500
    earwitness(*arguments, "--parts", "a=0.5", "b=0.5", "--column", "half", "--json")
    assert set(json.loads(capsys.readouterr().out)["num_groups"]) == {"a", "b"}
    for parts, words in (
        (("train",), "a part is a name and a share"),
        (("=1",), "a part is a name and a share"),
        (("a=0.5", "a=0.5"), "'a' is named twice"),
        (("a=0.5", "b=nan"), "must be above 0 and sum to 1"),
        (("a=nan", "b=1"), "must be above 0 and sum to 1"),
    ):
        earwitness(*arguments, "--parts", *parts, status=1)
        assert words in capsys.readouterr().err


def test_inputs_are_not_overwritten(corpus_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = corpus_file.read_bytes()
    (tmp_path / "link.parquet").symlink_to(corpus_file)
    (tmp_path / "all_0.5.parquet").symlink_to(corpus_file)
    for words in (
        ("subset", "nested", corpus_file, "--fractions", 0.5, "--out", corpus_file),
        ("subset", "nested", corpus_file, "--fractions", 0.5, "--out", tmp_path / "all_{}.parquet"),
        (
            "subset",
            "balanced",
            corpus_file,
            "--out",
            corpus_file.parent / ".." / corpus_file.parent.name / "all.parquet",
        ),
        ("subset", "balanced", corpus_file, "--out", tmp_path / "a.csv", "--rest-out", corpus_file),
        ("subset", "split", corpus_file, "--parts", "a=0.5", "b=0.5", "--out", tmp_path / "link.parquet"),
        ("labels", corpus_file, "--out", corpus_file),
        ("inspect", corpus_file, "--clean-out", corpus_file),
        ("manifest", "table", corpus_file, "--media-column", "media", "--out", corpus_file),
        ("manifest", "audioset", corpus_file, "--missing-out", corpus_file, "--out", tmp_path / "a.csv"),
    ):
        earwitness(*words, status=1)
        assert "this is what is read, and would be overwritten" in capsys.readouterr().err
    assert corpus_file.read_bytes() == before
    same = tmp_path / "x.parquet"
    earwitness("subset", "balanced", corpus_file, "--out", same, "--rest-out", same, status=1)
    assert "--rest-out" in (said := capsys.readouterr().err)
    assert "this is what --out names, and would be overwritten" in said
    assert not same.exists()
