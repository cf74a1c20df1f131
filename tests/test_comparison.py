"""Two models side by side: aligned by clip and label, told in words, tables and a page; and as people call it."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earwitness.cli.comparison_notes import notes_of_sides
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.selected_scores import SelectedScores
from earwitness.experiments.evaluating import notes_of_scores
from earwitness.report.comparison_facts import ComparisonFacts, ahead, side_ahead
from earwitness.report.comparison_report import write_comparison_report
from earwitness.report.comparison_tables import change, quick_comparison, verdict
from earwitness.report.scatter import comparison_scatter
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.scoring.score_table import take_over_scores
from earwitness.store.read import Store
from in_process import run
from made_evaluations import made_comparison
from test_doctor_page import assert_offline
from test_page import HOSTILE, Reader
from test_score_cli import refused


def made_facts(num_labels: int = 120) -> ComparisonFacts:
    return ComparisonFacts(
        name_a=HOSTILE,
        name_b="reports/b",
        comparison=made_comparison(num_labels),
        details_a={"store": "s", "hop": 96, "source_path": "models/first.safetensors"},
        details_b={"store": "t", "level": "clip"},
        notes=(f"Mind {HOSTILE}.", "Type `earwitness compare`."),
    )


def test_files_of_a_comparison(tmp_path: Path) -> None:
    facts = made_facts()
    files = write_comparison_report(tmp_path / "new" / "folder", facts)
    assert [path.name for path in files] == ["compare.html", "compare.json", "compare.csv"]
    page = Reader(files[0])
    assert_offline(page, files[0])
    assert page.text.count(HOSTILE) >= 2
    assert verdict(facts) in page.text
    assert "store s t" in page.text
    assert "level clip" in page.text
    assert "A models/first.safetensors scores in" in page.text
    assert "B reports/b In mAP" in page.text
    assert "<code>earwitness compare</code>" in files[0].read_text(encoding="utf-8")
    ends = ahead(facts.comparison, most=6)
    assert f"A evidently ahead: {ends.num_a} B evidently ahead: {ends.num_b} too close to tell:" in page.text
    assert f"A is higher in {ends.num_higher_a} labels, evidently (*) in {ends.num_a}" in page.text
    labels = facts.comparison.labels
    document = json.loads(files[1].read_text(encoding="utf-8"))
    assert document["metrics"]["mean_auc"]["a"] == facts.comparison.metrics["mean_auc"].a
    assert [label["name"] for label in document["labels"]] == [label.name for label in labels]
    with files[2].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(labels)
    for row, label in zip(rows, labels, strict=True):
        if label.is_defined:
            assert float(row["average_precision_difference"]) == label.average_precision.difference
        else:
            assert row["average_precision_difference"] == ""
    (data,) = re.findall(r'id="label-data">(.*?)</script>', files[0].read_text(encoding="utf-8"), re.DOTALL)
    differences = json.loads(data)["columns"]["difference"]
    assert differences[0] * 1e-4 == pytest.approx(labels[0].average_precision.difference, abs=1e-4)


def test_words_for_a_terminal() -> None:
    facts = replace(made_facts(), name_a="reports/a")
    text = quick_comparison(facts)
    assert max(map(len, text.splitlines())) <= 80
    ends = ahead(facts.comparison, most=5)
    for label in (*ends.a, *ends.b):
        assert f"{label.name} " in text
    assert f"A in {ends.num_a:,} labels, B in {ends.num_b:,}." in text
    assert change(0.01234) == "+0.012"
    assert change(-0.5) == "−0.500"


def test_who_is_ahead() -> None:
    comparison = made_comparison(400)
    sides = [side_ahead(label) for label in comparison.labels]
    ends = ahead(comparison, most=400)
    assert (ends.num_a, ends.num_b) == (sides.count(1), sides.count(-1))
    assert [side_ahead(label) for label in ends.a] == sorted((side_ahead(x) for x in ends.a), reverse=True)
    assert ends.num_higher_a == len(ends.a)
    assert ends.num_higher_b == len(ends.b)
    assert ends.num_defined == sum(label.is_defined for label in comparison.labels)
    evident = [x.average_precision.difference for x in ends.a if side_ahead(x)]
    assert evident == sorted(evident, reverse=True)
    assert all(label.average_precision.difference < 0 for label in ends.b)


def test_verdict() -> None:
    facts = made_facts()
    paired = facts.comparison.metrics["mean_average_precision"]
    assert (
        verdict(facts)
        == f"In mAP, A is ahead of B by {paired.difference:.3f}, more than the choice of the clips explains. "
        "A is also evidently ahead in: AUC, mean of labels; d-prime of the mean AUC."
    )
    unsure = replace(paired, difference=-0.0445, interval=Interval(-0.103, 0.014), share_better=0.06, share_worse=0.935)
    f1 = replace(unsure, interval=Interval(-0.2, -0.04))
    comparison = replace(facts.comparison, metrics={"mean_average_precision": unsure, "mean_f1": f1})
    assert verdict(replace(facts, comparison=comparison)) == (
        "In mAP, B is ahead of A by 0.044, which these clips are too few to make sure of: A is ahead in 6 % of the "
        "draws, and the 95 % interval of A − B, −0.103 … 0.014, holds 0. B is evidently ahead in: F1, mean of labels."
    )
    even = replace(paired, difference=0.0, interval=None)
    comparison = replace(facts.comparison, metrics={"mean_average_precision": even})
    assert verdict(replace(facts, comparison=comparison)) == "In mAP, A and B are equal."
    unknown = replace(paired, difference=float("nan"))
    comparison = replace(facts.comparison, metrics={"mean_average_precision": unknown})
    assert "nothing can be compared" in verdict(replace(facts, comparison=comparison))


def test_scatter_of_a_comparison() -> None:
    comparison = made_comparison(300)
    plot = comparison_scatter(comparison.labels)
    assert plot is not None
    defined = [label for label in comparison.labels if label.is_defined]
    assert sum(path.count("M") for _, path in plot.paths) == len(defined)
    above = [x for x in defined if side_ahead(x) == 1]
    assert dict(plot.paths)["a-ahead"].count("M") == len(above)
    first = above[0].average_precision
    assert f"M{plot.frame.x(first.b):.1f} {plot.frame.y(first.a):.1f}h0" in dict(plot.paths)["a-ahead"]
    assert comparison_scatter([x for x in comparison.labels if not x.is_defined]) is None


def test_selected_scores_are_the_selection() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 12))
    clips, labels = rng.permutation(40)[:25], np.array([3, 4, 5, 0, 11])
    selected = SelectedScores(ArrayScores(scores), clips=clips, labels=labels)
    wanted = scores[clips][:, labels]
    assert (selected.num_clips, selected.num_labels) == wanted.shape
    for first, stop in ((0, 25), (3, 9), (24, 25), (5, 5)):
        np.testing.assert_array_equal(selected.clip_block(first, stop), wanted[first:stop])
    for first, stop in ((0, 5), (2, 4), (4, 5), (1, 1)):
        block = selected.label_block(first, stop)
        np.testing.assert_array_equal(block, wanted.T[first:stop])
        assert block.flags.c_contiguous


class Counting(ArrayScores):
    """Scores that know the most numbers that were ever read at a time."""

    most = 0

    def label_block(self, first: int, stop: int) -> np.ndarray:
        block = super().label_block(first, stop)
        self.most = max(self.most, block.size)
        return block

    def clip_block(self, first: int, stop: int) -> np.ndarray:
        block = super().clip_block(first, stop)
        self.most = max(self.most, block.size)
        return block


def test_few_of_many_clips_are_read_in_small_pieces() -> None:
    """A block of few selected clips holds many labels; so many of all clips would not fit."""
    scores = np.random.default_rng(0).random((1_000, 50))
    whole = Counting(scores)
    clips = np.arange(7, 1_000, 100)
    few = SelectedScores(whole, clips=clips, labels=np.arange(50))
    np.testing.assert_array_equal(few.label_block(0, 50), scores[clips].T)
    assert whole.most <= max(50 * len(clips), 1_000)
    whole.most = 0
    few = SelectedScores(whole, clips=np.arange(1_000), labels=np.array([3, 4]))
    np.testing.assert_array_equal(few.clip_block(0, 1_000), scores[:, 3:5])
    assert whole.most <= 2 * 1_000


def reported(store: Store, folder: Path, *, seed: int, where: str | None = None) -> Path:
    """The folder of a report that keeps random scores, as other software would have them."""
    scores = np.random.default_rng(seed).random((store.num_clips, len(store.label_set)))
    folder.mkdir()
    with (folder / "theirs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", *store.label_set.ids])
        for clip_id, row in zip(store.clips["clip_id"].to_pylist(), scores.tolist(), strict=True):
            table.writerow([clip_id, *row])
    take_over_scores(folder / "theirs.csv", store, folder / "report" / "scores", where=where)
    return folder / "report"


def test_compared_by_the_command(made_store: Store, tmp_path: Path) -> None:
    a, b = (reported(made_store, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 2)))
    said = run("compare", a, b, "--resamples", 50, "--report", tmp_path / "out")
    assert "A : B % |" in said.stdout
    assert f"scores in {a}" in said.stdout
    assert f"report: {tmp_path / 'out' / 'compare.html'}" in said.stderr
    document = json.loads(run("compare", a / "scores", b, "--resamples", 50, "--json").stdout)
    assert document == {
        **json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8")),
        "a": {**document["a"], "name": str(a / "scores")},
    }
    found = [json.loads(run("evaluate", side, "--resamples", 0, "--json").stdout)["model"] for side in (a, b)]
    for name in ("mean_average_precision", "mean_auc", "dprime"):
        measured = document["metrics"][name]
        assert (measured["a"], measured["b"]) == tuple(pytest.approx(side[name]) for side in found)
        assert measured["difference"] == pytest.approx(found[0][name] - found[1][name])
    same = json.loads(run("compare", a, a, "--json").stdout)
    assert {x["average_precision"]["difference"] for x in same["labels"]} == {0.0}


def test_only_a_side_that_is_evidently_ahead_stands_out(tmp_path: Path) -> None:
    facts = made_facts()
    paired = facts.comparison.metrics["mean_auc"]
    metrics = {
        "mean_average_precision": replace(paired, interval=Interval(-0.1, 0.2)),
        "mean_auc": replace(paired, interval=Interval(0.01, 0.2)),
        "dprime": replace(paired, interval=Interval(-0.2, -0.01)),
    }
    facts = replace(facts, comparison=replace(facts.comparison, metrics=metrics))
    page = write_comparison_report(tmp_path, facts)[0].read_text(encoding="utf-8")
    table = page[page.index('<table class="measures') :]
    rows = table[: table.index("</table>")].split("<tr")[2:]
    assert [re.findall(r"is-(?:model|a|b)", row) for row in rows] == [[], ["is-a"], ["is-b"]]


def test_notes_of_reports_are_quoted(made_store: Store, tmp_path: Path) -> None:
    """A report made with the model knows what it learnt from; scores alone, or changed ones, do not."""
    a, b = (reported(made_store, tmp_path / name, seed=1) for name in "ab")
    sides = [ScoreFolder.open(side) for side in (a, b)]
    for folder, side, notes in ((a, sides[0], ["Mind that.", "It watched."]), (b, sides[1], ["Mind that."])):
        document = {"details": {**side.details, "is_same_corpus": True}, "notes": notes}
        (folder / "evaluation.json").write_text(json.dumps(document, default=str))
    assert notes_of_sides(*sides) == ["A and B, by their reports: Mind that.", "A, by its report: It watched."]
    for content in ("{", json.dumps({"details": {**sides[1].details, "where": "fold = 9"}, "notes": []}), "[]"):
        (b / "evaluation.json").write_text(content)
        own = notes_of_scores(sides[1])
        assert notes_of_sides(*sides) == ["A, by its report: Mind that.", "A, by its report: It watched.", *own]


def test_other_clips_only_by_common(made_store: Store, tmp_path: Path) -> None:
    a = reported(made_store, tmp_path / "a", seed=1, where="fold != 1")
    b = reported(made_store, tmp_path / "b", seed=2, where="fold != 2")
    num_both = len(made_store.select("fold not in (1, 2)"))
    refused("compare", a, b, saying=f"have other clips: {made_store.num_clips // 4} only in {a / 'scores'}")
    refused("compare", a, b, saying=f"--common compares the {num_both} that both have")
    said = run("compare", a, b, "--common", "--json", "--resamples", 20)
    document = json.loads(said.stdout)
    assert document["num_clips"] == num_both
    assert f"Only the {num_both} clips that both have are compared" in said.stderr
    alone = json.loads(run("evaluate", a, "--where", "fold != 2", "--resamples", 0, "--json").stdout)["model"]
    assert document["metrics"]["mean_auc"]["a"] == pytest.approx(alone["mean_auc"])
    c = reported(made_store, tmp_path / "c", seed=2, where="fold = 1")
    refused("compare", a, c, "--common", saying="have no clip in common")


def test_what_cannot_be_compared(made_store: Store, tmp_path: Path) -> None:
    a, b = (reported(made_store, tmp_path / name, seed=1) for name in "ab")
    clips = b / "scores" / "clips.parquet"
    table = pq.read_table(clips)
    indices = table["label_indices"].to_pylist()
    indices[5] = [1] if indices[5] == [0] else [0]
    place = table.column_names.index("label_indices")
    pq.write_table(table.set_column(place, "label_indices", pa.array(indices, pa.list_(pa.int32()))), clips)
    differing = table["clip_id"][5].as_py()
    refused("compare", a, b, saying=f"1 of their clips carry other labels here than there ({differing!r})")
    header = json.loads((b / "scores" / "scores.json").read_text())
    (b / "scores" / "scores.json").write_text(json.dumps({**header, "level": "patch"}))
    refused("compare", a, b, saying="these are scores of patches; scores of clips are compared")
    refused("compare", a, tmp_path, saying="this is no folder of scores")
    refused("compare", a, a, "--resamples", 1, saying="resamples=1 must be at least 2")
    refused("compare", a, a, "--seed", -1, saying="seed=-1 must be at least 0")
