"""`earwitness score` and `evaluate` as users type them: shards, folders, tables of other software, bad words."""

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from earwitness.cli.main import main
from earwitness.decisions import FittedOn, Thresholds
from earwitness.experiments import evaluating
from earwitness.models.model_file import Model, save_model
from earwitness.store.read import Store
from in_process import run
from made_models import untrained


@pytest.fixture
def model(made_store: Store, tmp_path: Path) -> Path:
    save_model(untrained(made_store), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def refused(*arguments: object, saying: str) -> None:
    """One sentence that holds the words, and exit with 1."""
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr("sys.argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    assert ending.value.code == 1
    [sentence] = [line for line in errors.getvalue().splitlines() if line.startswith("earwitness: ")]
    assert saying in sentence


def test_shards_then_evaluated_without_model_and_store(made_store: Store, model: Path, tmp_path: Path):
    scores = tmp_path / "scores"
    command = ("score", model, made_store.folder, scores, "--range-clips", 9)
    said = run(*command, "--shard", "2/2").stdout
    assert said == f"{scores}: scores of 32 clips x 3 labels, 2 of 4 ranges are there; the other shards complete them\n"
    refused("evaluate", scores, saying="unfinished (2 of 4 ranges of clips are there)")
    said = run(*command, "--shard", "1/2").stdout
    assert said == f"{scores}: scores of 32 clips x 3 labels, complete\n  next: earwitness evaluate {scores}\n"
    assert "they were complete already" in run(*command).stdout
    report = json.loads(run(*command, "--json").stdout)
    assert (report["num_scored"], report["num_finished"], report["is_complete"]) == (0, 4, True)

    alone = json.loads(run("evaluate", scores, "--json").stdout)
    beside = json.loads(run("evaluate", model, made_store.folder, "--json", "--report", tmp_path / "report").stdout)
    for one, other in zip(alone["model"]["labels"], beside["model"]["labels"], strict=True):
        assert one["auc"] == pytest.approx(other["auc"], abs=0.01)
    assert alone["model"]["resamples"] == 1_000, "few clips"
    assert alone["scores_path"] == str(scores)
    assert json.loads(run("evaluate", tmp_path / "report", "--json").stdout)["model"] == beside["model"]
    text = run("evaluate", scores, made_store.folder, "--resamples", 50, "--memory-mib", 1).stdout
    assert "95 %: over 50 draws of the clips." in text
    fold = json.loads(run("evaluate", scores, "--where", "fold = 2", "--resamples", 0, "--json").stdout)
    assert (fold["model"]["num_clips"], fold["model"]["intervals"]) == (8, None)


def test_scores_found_in_the_report(made_store: Store, model: Path, tmp_path: Path):
    run("score", model, made_store.folder, tmp_path / "report" / "scores")
    tile = tmp_path / "report" / "scores" / "tiles" / "00000.npy"
    before = tile.stat().st_mtime_ns
    run("evaluate", model, made_store.folder, "--report", tmp_path / "report")
    assert tile.stat().st_mtime_ns == before
    again = ("evaluate", model, made_store.folder, "--report", tmp_path / "report", "--where")
    refused(*again, "fold = 1", saying="where None, digest")


def test_what_is_neither_model_nor_scores_nor_table(made_store: Store, model: Path, tmp_path: Path):
    on = (made_store.folder, "--where", "fold = 1")
    report = tmp_path / "report"
    said = run("evaluate", model, *on, "--report", report)
    assert f"{model.parent.name}/{model.name} on " in (report / "report.html").read_text(encoding="utf-8")
    refused("evaluate", tmp_path, *on, saying="this folder holds no scores; what is evaluated is a model")
    for name in ("report.html", "evaluation.json", "per_label.csv", "summary.md"):
        refused("evaluate", report / name, *on, saying=f"part of a report; `earwitness evaluate {report}` measures")
    (tmp_path / "theirs.xlsx").write_bytes(b"PK")
    refused("evaluate", tmp_path / "theirs.xlsx", *on, saying=".xlsx files are not read")
    again = run("evaluate", report, made_store.folder)
    assert f"{made_store.folder} is not needed" in again.stderr
    assert "measured again, and not its baseline" in again.stderr
    assert said.stdout.splitlines()[2].split("|")[2] == again.stdout.splitlines()[2].split("|")[2]


def test_scores_that_are_no_probabilities(made_store: Store, tmp_path: Path):
    scores = np.random.default_rng(1).random((32, 3))
    for name, factor in (("probabilities", 1), ("percent", 128)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["clip_id", *made_store.label_set.ids])
            for clip_id, row in zip(made_store.clips["clip_id"].to_pylist(), scores * factor, strict=True):
                table.writerow([clip_id, *row])
    found = {}
    for name in ("probabilities", "percent"):
        command = ("evaluate", tmp_path / f"{name}.csv", made_store.folder, "--report", tmp_path / name, "--json")
        found[name] = json.loads(run(*command).stdout)
    one, other = (found[name]["model"] for name in ("probabilities", "percent"))
    assert other["mean_average_precision"] == one["mean_average_precision"]
    assert one["mean_f1"] is not None
    assert other["mean_f1"] is other["micro_precision"] is other["labels"][0]["threshold"] is None
    assert any("Not all of these scores are probabilities" in note for note in found["percent"]["notes"])
    assert not any("probabilities" in note for note in found["probabilities"]["notes"])
    pages = {name: (tmp_path / name / "report.html").read_text(encoding="utf-8") for name in found}
    assert ["recall, mean of" in page for page in pages.values()] == [True, False]
    compared = json.loads(run("compare", *(tmp_path / name for name in found), "--json").stdout)
    assert "mean_f1" not in compared["metrics"]
    assert "lwlrap" in compared["metrics"]
    same = run("compare", tmp_path / "percent", tmp_path / "percent").stdout
    assert "A and B are the same scores" in same


def test_aggregated_otherwise_and_patches(made_store: Store, model: Path):
    found = {}
    for options in ((), ("--aggregation", "max"), ("--level", "patch")):
        said = run("evaluate", model, made_store.folder, "--json", *options)
        found[options] = json.loads(said.stdout)
    aucs = [values["model"]["mean_auc"] for values in found.values()]
    assert len(set(aucs)) == 3
    patches = found["--level", "patch"]
    assert patches["model"]["num_clips"] > 32
    assert patches["aggregation"] is None
    assert any("patches of 32 clips" in note for note in patches["notes"])
    evaluate = ("evaluate", model, made_store.folder)
    refused(*evaluate, "--level", "patch", "--aggregation", "max", saying="aggregation=max is for level=clip")
    refused(*evaluate, "--level", "patch", "--resamples", 5, saying="resamples=5: intervals are over clips")


def test_thresholds_of_the_model_s_own(made_store: Store, tmp_path: Path):
    fitted_on = FittedOn(store_fingerprint=made_store.fingerprint, where="fold = 4", num_clips=8)

    def saved(*values: float) -> Model:
        thresholds = Thresholds(values=np.array(values), precision=None, beta=1.0, fitted_on=fitted_on)
        fitted = untrained(made_store)
        object.__setattr__(fitted, "thresholds", thresholds)
        save_model(fitted, tmp_path / "model.safetensors")
        return fitted

    for values in ((0.25, 0.75, 0.5), (0.125, np.inf, 0.5)):  # the second time, the scores are those of the first
        saved(*values)
        command = ("evaluate", tmp_path / "model.safetensors", made_store.folder, "--report", tmp_path / "report")
        found = json.loads(run(*command, "--json").stdout)["model"]["labels"]
        assert [label["threshold"] for label in found] == [value if value < np.inf else "never" for value in values]
        again = json.loads(run("evaluate", tmp_path / "report", "--json").stdout)
        assert again["model"]["labels"] == found
        assert again["has_own_thresholds"]
        assert not again["is_calibrated"]
    noted = {
        "fold >= 3": ["fitted on 8 of these 16 clips"],
        "fold = 1": [],
    }
    for where, said in noted.items():
        scores = json.loads(run("evaluate", tmp_path / "report", "--where", where, "--json").stdout)["notes"]
        assert "Scores alone do not tell whether the model has learnt from these clips" in scores[0]
        assert len(scores) == 1 + len(said)
        assert all(words in note for words, note in zip(said, scores[1:], strict=True))
    said = run("evaluate", tmp_path / "model.safetensors", made_store.folder, "--aggregation", "max").stderr
    assert "fitted to means over patches; these scores, aggregated by max, are raw" in said


def test_a_table_of_other_software(made_store: Store, tmp_path: Path):
    scores = np.random.default_rng(1).random((32, 3))
    with (tmp_path / "theirs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", *made_store.label_set.ids])
        for clip_id, row in zip(made_store.clips["clip_id"].to_pylist(), scores, strict=True):
            table.writerow([clip_id, *row])
    command = ("evaluate", tmp_path / "theirs.csv", made_store.folder, "--where", "fold != 3")
    found = json.loads(run(*command, "--json", "--report", tmp_path / "report").stdout)
    assert found["model"]["num_clips"] == 24
    assert found["source_path"] == str(tmp_path / "theirs.csv")
    assert json.loads(run("evaluate", tmp_path / "report", "--json").stdout)["model"] == found["model"]
    assert "mAP" in run(*command).stdout
    refused("evaluate", tmp_path / "theirs.csv", saying="a table of scores is evaluated on a store, which is missing")
    refused(*command, "--aggregation", "max", saying="--aggregation is for a model, and")
    assert json.loads(run(*command, "--no-baseline", "--json").stdout)["model"] == found["model"]
    refused(*command, "--events", "e.csv", saying="--events is for a model")
    (tmp_path / "theirs.csv").write_text("clip_id,click,noise,horse\nclip-00,1,2,3\n")
    refused(*command, saying="labels without scores: tone; labels, or columns, that the store does not know: horse.")


def test_bad_words(made_store: Store, model: Path, tmp_path: Path):
    score = ("score", model, made_store.folder, tmp_path / "scores")
    refused(*score, "--shard", "4/2", saying="shard='4/2' must be NUMBER/COUNT")
    refused(*score, "--range-clips", 0, saying="range_clips=0 must be at least 1")
    refused(*score, "--ray-address", "auto", saying="--ray-address auto is for --engine ray")
    refused(*score, "--engine", "ray", "--ray-address", "x", saying="ray_address='x' must be local, auto, or HOST:PORT")
    refused(*score, "--device", "abacus", saying="abacus")
    refused("evaluate", model, saying="a model is evaluated on a store, which is missing behind it")
    refused("evaluate", model, made_store.folder, "--resamples", -1, saying="resamples=-1 must be at least 0")
    refused("evaluate", model, made_store.folder, "--memory-mib", 0, saying="memory_mib=0 must be at least 1")
    refused("evaluate", tmp_path / "gone", made_store.folder, saying="there is no such model file")
    run(*score)
    refused("evaluate", tmp_path / "scores", "--device", "cpu", saying="--device is for a model")
    refused(*score, "--aggregation", "max", saying="aggregated otherwise (mean there, max now)")


def test_scores_of_another_store(made_store: Store, model: Path, tmp_path: Path, monkeypatch):
    run("score", model, made_store.folder, tmp_path / "scores")
    header = tmp_path / "scores" / "scores.json"
    values = json.loads(header.read_text())
    header.write_text(json.dumps({**values, "store_fingerprint": "f" * 32}))
    refused("evaluate", tmp_path / "scores", made_store.folder, saying="of another store")
    labels = [{"id": name, "name": name} for name in ("click", "noise", "horse")]
    header.write_text(json.dumps({**values, "label_set": labels}))
    refused(
        *("evaluate", tmp_path / "scores", made_store.folder),
        saying="only in the scores: horse; only in the store: tone",
    )


def test_why_there_is_no_baseline(monkeypatch):
    class Training:
        train = np.arange(600)

    assert evaluating._unaffordable(Training, np.arange(9), 3) is None
    monkeypatch.setattr(evaluating, "_BASELINE_PAIRS", 1_000)
    assert "3 labels of 600 training clips would take hours" in evaluating._unaffordable(Training, np.arange(9), 3)
    monkeypatch.setattr(evaluating, "_BASELINE_CLIPS", 600)
    assert "up to 600 clips" in evaluating._unaffordable(Training, np.arange(9), 3)
