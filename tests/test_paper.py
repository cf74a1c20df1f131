"""The paper's experiments in miniature: tables from folders, nothing done twice, refusals that say what would fit."""

import copy
import csv
import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch

from conftest import MadeSounds
from earwitness.cli.main import main
from earwitness.errors import LabelError, RunError, SelectionError, SettingsError, StoreError
from earwitness.evaluation.metrics import auc_to_dprime
from earwitness.experiments.evaluating import evaluate_model
from earwitness.files import locked
from earwitness.inference.tagger import Tagger
from earwitness.models.costs import network_costs
from earwitness.models.model_file import load_model
from earwitness.models.precision import is_lack_of_memory
from earwitness.paper import architectures, label_set_size, made_corpus, printed, running, training_set_size
from earwitness.paper.experiment import make_table, run_experiment
from earwitness.paper.memory import held_to_free_memory
from earwitness.paper.plan import Plan
from earwitness.paper.plan_changes import plan_changes
from earwitness.paper.qualitative import _file_name, best_model
from earwitness.paper.running import Told
from earwitness.paper.sizing import Sides, choose_sides, size
from earwitness.paper.study import Study
from earwitness.report.figure import PICTURE_SUFFIXES
from earwitness.store.most_frequent import most_frequent_labels, with_labels
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.synth.settings import SynthSettings
from earwitness.training.clips import choose_clips, clip_groups
from earwitness.training.settings import TrainSettings
from in_process import run

SILENT = Told(cell=lambda *_: None, progress=lambda _: None, wait=lambda _: None)


def experiment(name: str, store: Store, folder: Path, *more: object) -> dict[str, Any]:
    """The table of an experiment, by the command line."""
    said = run("experiment", name, store.folder, "--preset", "smoke", "--folder", folder, "--json", *more)
    table: dict[str, Any] = json.loads(said.stdout)
    return table


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    monkeypatch.setattr("sys.argv", ["earwitness", "experiment", *map(str, arguments)])
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 1
    return capsys.readouterr().err


def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(running, "train", train)


def without_time(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in table["rows"]]


def sides_of(**columns: Any) -> Sides:
    """What is held out of a store with these columns."""
    clips = pa.table(columns)
    store = SimpleNamespace(folder="store", clips_schema=clips.schema, read_clips=clips.select)
    return choose_sides(cast(Store, store), where=None, test_where=None)


@pytest.fixture(scope="module")
def labels_plan(made_store: Store) -> Plan:
    sides = Sides(where="fold <> 1", test_where="fold = 1")
    sizing = size("smoke", sides=sides, experiment=label_set_size.NAME, steps=4)
    return label_set_size.plan(sizing, made_store, many=2, few=1, network="fully_connected")


@pytest.fixture(scope="module")
def labels_done(made_store: Store, labels_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that ran through."""
    folder = tmp_path_factory.mktemp("paper") / "undisturbed"
    assert run_experiment(labels_plan, made_store, folder, device="cpu", threads=1, told=SILENT).is_finished
    return folder


class TestPrinted:
    def test_dprimes_are_those_of_the_aucs(self) -> None:
        rows = [
            *printed.ARCHITECTURES.values(),
            printed.LONG_RUN,
            *printed.LABEL_SET_SIZE.values(),
            *printed.TRAINING_SET_SIZE.values(),
            *printed.EVENT_DETECTION.values(),
        ]
        for row in rows:  # an AUC of three decimals leaves its d-prime this open
            ends = [float(auc_to_dprime(np.float64(row.mean_auc + half))) for half in (-0.00052, 0.00052)]
            assert ends[0] <= row.dprime <= ends[1], row


class TestFewerLabels:
    def test_columns_of_the_store(self, made_store: Store) -> None:
        clips = np.arange(made_store.num_clips)
        targets = made_store.targets(clips)
        counts = {label: int(n) for label, n in zip(made_store.label_set.ids, targets.sum(axis=0), strict=True)}
        assert counts == {"click": 16, "noise": 8, "tone": 16}
        chosen = most_frequent_labels(made_store, 2, among=clips)
        assert [made_store.label_set.ids[label] for label in chosen] == ["click", "tone"]
        view = with_labels(made_store, chosen)
        assert view.label_set.ids == ("click", "tone")
        assert np.array_equal(view.targets(clips), targets[:, chosen])
        assert np.array_equal(view.targets(clips[::-3]), targets[::-3][:, chosen])
        assert view.fingerprint != made_store.fingerprint
        assert made_store.label_set.ids == ("click", "noise", "tone")
        with FrameReader(made_store) as whole, FrameReader(view) as part:
            assert np.array_equal(whole.read_clip(5), part.read_clip(5))

    def test_too_many_are_refused(self, made_store: Store) -> None:
        noisy = made_store.select("list_contains(labels, 'noise')")
        with pytest.raises(LabelError, match="carry 1; 1 to 1 would fit"):
            most_frequent_labels(made_store, 2, among=noisy)


class TestTrainShare:
    def test_the_smaller_lie_in_the_larger(self, made_store: Store) -> None:
        def chosen(share: float) -> Any:
            return choose_clips(made_store, TrainSettings(train_share=share, where="fold <> 1", seed=3))

        whole = chosen(1.0)
        before = whole.train
        for share in (0.8, 0.5, 0.2, 0.01):
            now = chosen(share)
            assert set(now.train) < set(before)
            assert np.array_equal(now.validation, whole.validation)
            groups = clip_groups(made_store, whole.train).numbers
            drawn = np.isin(whole.train, now.train)
            assert not set(groups[drawn]) & set(groups[~drawn])
            largest = np.bincount(groups).max()
            assert share * len(whole.train) <= len(now.train) < share * len(whole.train) + largest
            before = now.train


def test_architectures(made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("--networks", "fully_connected", "alexnet", "--steps", 5, "--device", "cpu", "--threads", 1)
    table = experiment("architectures", made_store, tmp_path, *more)
    folder = tmp_path / "architectures"
    rows = {(row["network"], row["run"]): row for row in table["rows"]}
    runs = [(network, run) for run in ("equal steps", "equal time") for network in ("fully_connected", "alexnet")]
    assert list(rows) == [*runs, ("alexnet", "long, rate lowered"), ("chance", None)]
    for network in ("fully_connected", "alexnet"):
        row = rows[network, "equal steps"]
        costs = network_costs(network, num_labels=3, width=0.0625)
        assert (row["num_weights"], row["num_multiply_adds"]) == (costs.num_weights, costs.num_multiply_adds)
        assert row["steps"] == 5
        assert row["paper_mean_average_precision"] == printed.ARCHITECTURES[network].mean_average_precision
        assert row["paper_steps"] == 5_000_000
    quick, slow = rows["fully_connected", "equal steps"], rows["alexnet", "equal steps"]
    same_time = rows["fully_connected", "equal time"]
    assert same_time["steps"] == max(1, round(5 * slow["seconds"] / quick["seconds"]))
    assert {**slow, "run": None} == {
        **rows["alexnet", "equal time"],
        "run": None,
        **{name: value for name, value in slow.items() if name.startswith("paper_")},
    }
    long = json.loads((folder / "cells" / "alexnet-long" / "run" / "run.json").read_text())["settings"]
    assert (long["steps"], long["plan"]["drop_steps"]) == (17, [13])
    assert rows["chance", None]["mean_auc"] == 0.5

    with (folder / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["network"] for line in lines] == [row["network"] for row in table["rows"]]
    assert float(lines[0]["mean_auc"]) == quick["mean_auc"]
    assert f"{quick['mean_auc']:.3f}" in (folder / "table.md").read_text()
    assert "fully connected network is last" in (folder / "table.md").read_text()
    suffixes = (".md", ".csv", ".json", *PICTURE_SUFFIXES)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in suffixes}
    pictures = {f"{name}.{suffix}" for name in ("figures", "curves") for suffix in ("svg", "pdf")}
    assert set(files) == {"table.md", "table.csv", "table.json", "experiment.json", *pictures}

    no_training(monkeypatch)
    experiment("architectures", made_store, tmp_path, *more[:-2])
    assert files == {name: (folder / name).read_bytes() for name in files}

    for name in ("alexnet", "alexnet-equal-time"):  # the second is the first, and has no model of its own
        path = folder / "cells" / name / "result.json"
        result = json.loads(path.read_text())
        result["last_validation"]["mean_average_precision"] = 1.5
        path.write_text(json.dumps(result))
    path = folder / "cells" / "fully_connected-equal-time" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": slow["seconds"] / 2}))
    late = next(row for row in make_table(folder)[0].rows if row.cell == "fully_connected-equal-time")
    assert late.remark == "took 0.5 of alexnet's time: the speed measured first was another"
    assert best_model(tmp_path) == folder / "cells" / "alexnet" / "run" / "model.safetensors"


def test_training_set_size(
    made_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("--network", "fully_connected", "--steps", 8, "--device", "cpu", "--threads", 1, "--shares")
    experiment("training-set-size", made_store, tmp_path, *more, 1)
    first = tmp_path / "training-set-size" / "cells" / "share-1" / "result.json"
    before = first.stat().st_mtime_ns
    table = experiment("training-set-size", made_store, tmp_path, *more, 0.25, 1)  # one more part
    assert first.stat().st_mtime_ns == before
    large, small, chance = table["rows"]
    assert (large["share"], small["share"], chance["share"]) == (1.0, 0.25, "chance")
    # 24 of 32 clips are learnt from, a tenth of them in whole groups of two is watched
    assert large["num_train_clips"] == 22
    assert small["num_train_clips"] == 6
    assert small["true_share"] == pytest.approx(6 / 22)
    assert large["paper_videos"] == 70_000_000
    assert small["paper_videos"] is None
    assert 0 < large["best_step"] <= 8
    assert large["best_watched_map"] >= large["last_watched_map"]
    assert len([line for line in table["findings"] if "mAP of the 2 clips watched is highest" in line]) == 2
    assert (
        table["notes"][0]
        == "Held out: `fold = 1` (8 clips); learnt from: `fold <> 1` (up to 22 clips, 2 more watched)."
    )
    assert "Only 2 clips are watched: their figures say little." in table["notes"]
    assert {*table["columns"]} == {*large}
    facts = {"where": "fold <> 1", "test_where": "fold = 1", "device": "cpu", "threads": 1, "seed": 1, "steps": 8}
    assert facts.items() <= table.items()

    no_training(monkeypatch)
    assert experiment("training-set-size", made_store, tmp_path, *more, 0.25) == table  # fewer parts are part of it
    nowhere = ("training-set-size", tmp_path / "moved", "--preset", "smoke", "--folder", tmp_path)
    said = run("experiment", *nowhere, "--json")
    assert json.loads(said.stdout) == table
    assert "all was done before, and the table is made from" in said.stderr
    first.unlink()
    assert "earwitness: " in refused(capsys, monkeypatch, *nowhere)
    error = refused(capsys, monkeypatch, nowhere[0], made_store.folder, *nowhere[2:], *more, 1, 0.5)
    assert "another one (parts: share-0.25 before and not now, share-0.5 now and not before)" in error


class TestShares:
    def plan(self, store: Store, *shares: float) -> Plan:
        sides = Sides(where="fold <> 1", test_where="fold = 1")
        sizing = size("smoke", sides=sides, experiment=training_set_size.NAME, batch_size=2)
        return training_set_size.plan(sizing, store, shares=shares)

    def test_below_a_group(self, made_store: Store, labels_done: Path) -> None:
        with pytest.raises(SettingsError, match=r"0\.01 and 0\.02 are the same 2 clips"):
            self.plan(made_store, 1, 0.02, 0.01)
        plan = self.plan(made_store, 1, 0.02)
        done = Study(labels_done).result("plain-all")
        assert done is not None

        def of(clips: int, low: float, high: float) -> dict[str, Any]:
            intervals = {"mean_average_precision": {"low": low, "high": high}}
            return {**done, "num_train_clips": clips, "evaluation": {**done["evaluation"], "intervals": intervals}}

        for low, words in ((0.5, "overlap for 22 and 2."), (0.61, "do not meet.")):
            table = training_set_size.table(plan, {"share-1": of(22, low, 0.7), "share-0.02": of(2, 0.4, 0.6)})
            assert table.findings[0].endswith(f"The 95 % intervals of neighbours {words}")
        assert [row.remark for row in table.rows] == [
            "",
            "asked for 0.02: whole groups are drawn, and these are 0.091",
            "",
        ]
        assert table.rows[1].values["paper_videos"] == 7_000_000


class TestLabelSetSize:
    def test_rows_are_evaluated_on_the_fewest(self, made_store: Store, labels_done: Path) -> None:
        table, paths = make_table(labels_done)
        rows = {row.cell: row for row in table.rows}
        assert [rows[f"plain-{size}"].values["labels"] for size in ("all", "many", "few")] == [3, 2, 1]
        assert rows["bottleneck-all"].values["paper_mean_auc"] == 0.925
        assert "paper_mean_auc" not in rows["plain-all"].values
        assert all(path.exists() for path in paths)
        view = with_labels(made_store, most_frequent_labels(made_store, 2, among=made_store.select("fold <> 1")))
        few = most_frequent_labels(made_store, 1, among=made_store.select("fold <> 1"))
        model = load_model(labels_done / "cells" / "plain-many" / "run" / "model.safetensors")
        by_hand = evaluate_model(model, view, where="fold = 1", with_baseline=False, device="cpu")
        label = next(row for row in by_hand.model.labels if row.id == made_store.label_set.ids[few[0]])
        assert rows["plain-many"].values["mean_auc"] == pytest.approx(label.auc)
        assert rows["plain-many"].values["mean_average_precision"] == pytest.approx(label.average_precision)

    def test_killed_midway(
        self, made_store: Store, labels_plan: Plan, labels_done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = make_table(labels_done)[0].to_dict()
        folder = tmp_path / "killed"

        def go_on() -> bool:
            return run_experiment(labels_plan, made_store, folder, device="cpu", threads=None, told=SILENT).is_finished

        with monkeypatch.context() as patch:
            seen: list[str] = []

            def dies(cell: str, *_: int) -> None:
                seen.append(cell)
                if len(seen) == 3:
                    raise KeyboardInterrupt

            patch.setattr(torch, "get_num_threads", lambda: 1)
            with pytest.raises(KeyboardInterrupt):
                run_experiment(
                    labels_plan,
                    made_store,
                    folder,
                    device="cpu",
                    told=Told(cell=dies, progress=SILENT.progress, wait=SILENT.wait),
                )
        with monkeypatch.context() as patch:
            patch.setattr(running, "measure_model", _raising(OSError("no room")))
            with pytest.raises(RunError, match="no room"):
                go_on()
        assert [row.remark for row in make_table(folder)[0].rows[:3]] == ["", "", "not run yet"]
        assert go_on()
        assert without_time(make_table(folder)[0].to_dict()) == without_time(whole)

    def test_shared_with_another_process(
        self, made_store: Store, labels_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, waited = tmp_path / "shared", []
        monkeypatch.setattr(running, "_WAIT_SECONDS", 0)
        with ExitStack() as other:
            other.enter_context(Study(folder).held("plain-few"))

            def wait(num_cells: int) -> None:
                waited.append(num_cells)
                other.close()

            told = Told(cell=SILENT.cell, progress=SILENT.progress, wait=wait)
            only = ("plain-few", "plain-all")
            done = run_experiment(labels_plan, made_store, folder, device="cpu", threads=1, only=only, told=told)
        assert (done.is_finished, waited) == (True, [1])
        states = [row.values.get("state") for row in done.table.rows]
        assert states == ["finished", "not run", "finished", *["not run"] * 3, None]

    def test_another_configuration(self, made_store: Store, labels_done: Path) -> None:
        sides = Sides(where="fold <> 1", test_where="fold = 1")
        sizing = size("smoke", sides=sides, experiment=label_set_size.NAME, steps=7, seed=2)
        plan = label_set_size.plan(sizing, made_store, many=2, few=1, network="fully_connected")
        with pytest.raises(RunError, match=r"another one \(steps: 4 before, 7 now; seed: 1 before, 2 now\); give"):
            run_experiment(plan, made_store, labels_done, device="cpu", threads=1, told=SILENT)
        same = size("smoke", sides=sides, experiment=label_set_size.NAME, steps=4)
        other = label_set_size.plan(same, made_store, many=2, few=1, bottleneck=5, network="fully_connected")
        with pytest.raises(
            RunError, match=r"\(bottleneck: 8 before, 5 now in bottleneck-all, bottleneck-many, bottleneck-few\);"
        ):
            run_experiment(other, made_store, labels_done, device="cpu", threads=1, told=SILENT)

    def test_what_follows_from_another_preset_is_not_said(self, made_store: Store, labels_plan: Plan) -> None:
        sides = Sides(where="(fold > 1) IS NOT TRUE", test_where="fold > 1")
        sizing = size("cpu", sides=sides, experiment=label_set_size.NAME)
        plan = label_set_size.plan(sizing, made_store, many=2, few=1, network="fully_connected")
        assert plan_changes(labels_plan.to_dict(), plan.to_dict()) == [
            "preset: smoke before, cpu now",
            "test_where: fold = 1 before, fold > 1 now",
            "where: fold <> 1 before, all but (fold > 1) now",
        ]

    def test_too_few_labels(
        self, made_store: Store, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        more = ("--preset", "smoke", "--folder", tmp_path)
        error = refused(capsys, monkeypatch, "label-set-size", made_store.folder, "--many", 9, "--few", 4, *more)
        assert "carry 3 labels; --many 9 needs more than 9. Try --many 2 --few 1" in error
        error = refused(capsys, monkeypatch, "label-set-size", made_store.folder, "--many", 2, "--few", 2, *more)
        assert "many=2 and few=2" in error


class TestWhatDoesNotFit:
    def test_lack_of_memory_is_an_error(self) -> None:
        with (
            held_to_free_memory(torch.device("cpu"), free_bytes=2**20),
            pytest.raises(RuntimeError) as error,
        ):
            torch.empty(2**31, dtype=torch.uint8)
        assert is_lack_of_memory(error.value)
        assert torch.empty(2**31, dtype=torch.uint8).numel() == 2**31

    def test_the_row_says_so_and_the_others_go_on(
        self, made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train = running.train

        def too_large(store: Store, folder: Path, *, settings: TrainSettings, **more: Any) -> Any:
            if settings.network == "alexnet":
                raise RunError(f"{folder}: the training does not fit into the memory; try less") from MemoryError()
            return train(store, folder, settings=settings, **more)

        monkeypatch.setattr(running, "train", too_large)
        more = ("--networks", "alexnet", "fully_connected", "--steps", 2, "--device", "cpu", "--threads", 1)
        table = experiment("architectures", made_store, tmp_path, *more)
        remarks = [row["remark"] for row in table["rows"]]
        assert remarks[0] == "failed: the training does not fit into the memory"
        assert remarks[2] == "failed: alexnet at equal steps, whose speed it shall have, failed"
        assert [remarks[place] for place in (1, 3, 4, 5)] == [None] * 4
        assert table["rows"][3]["steps"] == 2  # the time is that of the other one now
        assert "does not fit" in (tmp_path / "architectures" / "table.md").read_text()
        with monkeypatch.context() as patch:
            no_training(patch)  # what failed has been tried
            experiment("architectures", made_store, tmp_path, *more)
        monkeypatch.setattr(running, "train", train)  # now there is room
        shutil.rmtree(tmp_path / "architectures" / "cells" / "alexnet")
        table = experiment("architectures", made_store, tmp_path, *more)
        remarks = [row["remark"] for row in table["rows"]]
        remarks[2] = None  # in times of milliseconds it may be far from the time of the other
        assert remarks == [None] * 6
        assert table["rows"][3]["steps"] == 2
        assert any("the time fully_connected takes" in note for note in table["notes"])

    def test_too_few_clips(
        self, made_store: Store, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        more = ("--preset", "smoke", "--folder", tmp_path, "--batch-size", 16)
        error = refused(capsys, monkeypatch, "training-set-size", made_store.folder, *more, "--shares", 1, 0.05)
        assert "a share of 0.05 is 2 clips" in error
        assert "fewer than one batch of 16; shares above about 0." in error
        error = refused(capsys, monkeypatch, "training-set-size", made_store.folder, *more, "--shares", 1, 1)
        assert "one is named twice" in error
        assert not list(tmp_path.iterdir())

    def test_both_sides(self, made_store: Store, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        more = ("--preset", "smoke", "--folder", tmp_path)
        sides = ("--where", "fold < 3", "--test-where", "fold > 1")
        error = refused(capsys, monkeypatch, "architectures", made_store.folder, *more, *sides)
        assert "8 clips are both among those to learn from and those to evaluate on" in error
        error = refused(capsys, monkeypatch, "architectures", made_store.folder, *more, "--only", "resnet5")
        assert "architectures has no part 'resnet5'" in error
        error = refused(capsys, monkeypatch, "all", made_store.folder, *more, "--only", "resnet50")
        assert "parts are those of one experiment" in error

    def test_all_of_them_before_any(
        self, made_store: Store, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """What a later experiment lacks is said before an earlier one takes hours."""
        no_training(monkeypatch)
        more = ("--preset", "smoke", "--folder", tmp_path, "--device", "cpu")
        assert "Try --many 2 --few 1" in refused(capsys, monkeypatch, "all", made_store.folder, *more)
        with monkeypatch.context() as patch:  # the made corpus has true events
            patch.setitem(sys.modules, "sed_eval", None)
            assert "pip install 'earwitness[detection]'" in refused(capsys, patch, "all", *more)
        for bad in (("--device", "gpu"), ("--width", 0), ("--seed", -1)):
            refused(capsys, monkeypatch, "architectures", *more[:-2], *bad)
        assert "name a model by --embedding-from" in refused(capsys, monkeypatch, "event-detection", *more)
        assert "name a model by --model" in refused(capsys, monkeypatch, "qualitative", *more)
        assert not list(tmp_path.iterdir())  # nor is a corpus made

    def test_networks_may_be_added(self) -> None:
        """The time is that of the same network; which others would give it if that failed does not matter."""
        sizing = size("smoke", sides=Sides(where="fold <> 1", test_where="fold = 1"), experiment=architectures.NAME)

        def of(*networks: str) -> dict[str, Any]:
            return architectures.plan(sizing, networks=networks).to_dict()

        assert plan_changes(of("alexnet", "resnet50"), of("fully_connected", "alexnet", "vgg", "resnet50")) == []
        assert plan_changes(of("alexnet", "resnet50"), of("resnet50", "alexnet")) == []
        changes = plan_changes(of("fully_connected", "alexnet"), of("fully_connected", "alexnet", "resnet50"))
        assert changes[0] == (
            "parts: alexnet-long before and not now, resnet50, resnet50-equal-time, resnet50-long now and not before"
        )

    def test_a_strange_folder(self, made_store: Store, labels_plan: Plan, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        with pytest.raises(RunError, match="holds no experiment; choose a new one"):
            run_experiment(labels_plan, made_store, tmp_path, device="cpu", threads=1, told=SILENT)
        with pytest.raises(RunError, match="holds no experiment"):
            make_table(tmp_path)

    @pytest.mark.parametrize("file", ["experiment.json", "cells/plain-all/result.json"])
    def test_damaged(self, labels_done: Path, tmp_path: Path, file: str) -> None:
        there = tmp_path / "copy"
        (there / "cells" / "plain-all").mkdir(parents=True)
        for name in ("experiment.json", "cells/plain-all/result.json"):
            (there / name).write_bytes((labels_done / name).read_bytes())
        make_table(there)
        (there / file).write_text("{")
        with pytest.raises(RunError, match=r"damaged|cannot be read"):
            make_table(there)


class TestSides:
    def test_by_the_store(self, made_store: Store) -> None:
        assert choose_sides(made_store, where=None, test_where=None) == Sides(where="fold <> 1", test_where="fold = 1")
        asked = choose_sides(made_store, where="fold > 2", test_where=None)
        assert asked.where == "fold > 2"
        assert np.array_equal(made_store.select(asked.test_where), made_store.select("fold <= 2"))

    @pytest.mark.parametrize(
        ("values", "where", "test_where"),
        [
            (pa.array(["train", "test", None], pa.large_string()), "split = 'train'", "split = 'test'"),
            (pa.array(["dev", "eval"]).dictionary_encode(), "split = 'dev'", "split = 'eval'"),
        ],
    )
    def test_splits_as_pandas_writes_them(self, values: pa.Array, where: str, test_where: str) -> None:
        assert sides_of(split=values) == Sides(where=where, test_where=test_where)
        assert sides_of(split=values, fold=[1] * len(values)) == Sides(where=where, test_where=test_where)

    def test_folds_of_other_types(self) -> None:
        for values in (pa.array([1, 2], pa.uint8()), [1.0, None, 3.0]):
            assert sides_of(fold=values) == Sides(where="fold <> 1", test_where="fold = 1")
        assert sides_of(fold=["1", "2"]) == Sides(where="fold <> '1'", test_where="fold = '1'")

    def test_what_was_found_is_said(self) -> None:
        said = """column split holds training, eval; say --where "split = 'training'" --test-where "split = 'eval'\""""
        with pytest.raises(SelectionError, match=re.escape(said)):
            sides_of(split=["training", "eval", "training"])
        with pytest.raises(SelectionError, match='column fold holds 2, 3; say --test-where "fold = 3"'):
            sides_of(fold=[2, 3, 2])
        with pytest.raises(SelectionError, match="column split holds train; give --where and --test-where"):
            sides_of(split=["train"])

    def test_nothing_to_tell_apart(
        self, made_store: Store, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        no_training(monkeypatch)
        side = "fold = 1 AND len(labels) = 1 AND list_contains(labels, 'click')"
        more = ("--preset", "smoke", "--folder", tmp_path, "--test-where", side)
        error = refused(capsys, monkeypatch, "architectures", made_store.folder, *more)
        assert "no label is on some and not all of the " in error
        assert not list(tmp_path.iterdir())

    def test_none_there(self, made_store: Store) -> None:
        bare, schema = copy.copy(made_store), made_store.clips_schema
        bare.__dict__["clips_schema"] = schema.remove(schema.get_field_index("fold"))
        with pytest.raises(SelectionError, match="column fold; give --where and --test-where"):
            choose_sides(bare, where=None, test_where=None)


class TestQualitative:
    def test_peaks_by_hand(self, made_store: Store, made_sounds: MadeSounds, labels_done: Path, tmp_path: Path) -> None:
        path = labels_done / "cells" / "plain-all" / "run" / "model.safetensors"
        more = ("--model", path, "--clips", "clip-03", "clip-01", "--hop-frames", 24, "--labels", 2)
        folder = ("--folder", tmp_path, "--device", "cpu")
        said = run("experiment", "qualitative", made_store.folder, *more, *folder, "--json")
        table = json.loads(said.stdout)
        assert [(row["clip_id"], row["rank"]) for row in table["rows"]] == [
            (clip, rank) for clip in ("clip-03", "clip-01") for rank in (1, 2)
        ]
        for name in ("clip-03", "clip-01"):
            assert (tmp_path / "qualitative" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
            assert (tmp_path / "qualitative" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        model = load_model(path)
        model = replace(model, front_end=replace(model.front_end, patch_hop_frames=24))
        pieces: list[Any] = []
        Tagger(model, device="cpu").score(
            str(made_sounds.folder / "03.wav"), on_patches=lambda patches: pieces.append(patches.scores)
        )
        scores = np.concatenate(pieces)
        for row in table["rows"][:2]:
            column = scores[:, made_store.label_set.index_of[row["label"]]]
            assert row["peak"] == pytest.approx(column.max(), abs=1e-5)
            assert row["peak_seconds"] == pytest.approx(0.24 * column.argmax() + 0.48)
            assert row["is_given"] == (row["label"] in ("click", "tone"))

    def test_refused(
        self,
        made_store: Store,
        labels_done: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        ours = ("qualitative", made_store.folder, "--folder", tmp_path)
        error = refused(capsys, monkeypatch, *ours)
        assert "no network has been trained there; name a model by --model" in error
        model = ("--model", labels_done / "cells" / "plain-all" / "run" / "model.safetensors")
        assert "no clip 'x'; its first is 'clip-00'" in refused(capsys, monkeypatch, *ours, *model, "--clips", "x")
        assert "has 5 to 120 seconds; name some by --clips" in refused(capsys, monkeypatch, *ours, *model)
        assert "labels=0 must be at least 1" in refused(capsys, monkeypatch, *ours, *model, "--labels", 0)


def test_file_names_of_clips_differ() -> None:
    assert _file_name("clip-1") == "clip-1"
    names = [_file_name(clip_id) for clip_id in ("a/b", "a_b", "a b", "x" * 120, "x" * 121)]
    assert len(set(names)) == 5
    assert all("/" not in name and len(name) <= 110 for name in names)


def test_one_of_two_processes_makes_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    settings = SynthSettings(clips=4, mean_seconds=2.0, kinds=3, seed=3)
    with ExitStack() as other:
        other.enter_context(locked(tmp_path / "made", busy=None))
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(made_corpus.made_store, tmp_path / "made", settings)
            time.sleep(0.2)
            assert not (tmp_path / "made" / "corpus").exists()
            other.close()
            assert waiting.result().num_clips == 4


@pytest.mark.slow
def test_all_of_it_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing: the corpora are made, too; then once more, without any training."""
    more = ("experiment", "all", "--preset", "smoke", "--folder", tmp_path, "--device", "cpu", "--json")
    tables = json.loads(run(*more).stdout)["experiments"]
    assert [table["experiment"] for table in tables] == [
        "architectures",
        "label-set-size",
        "training-set-size",
        "event-detection",
        "qualitative",
    ]
    for table in tables[:4]:
        num_beside = 3 if table["experiment"] == "event-detection" else 1
        num_done = len(table["rows"]) - num_beside
        assert [row["state"] for row in table["rows"]] == ["finished"] * num_done + [None] * num_beside
        remarks = {row["remark"] for row in table["rows"] if row.get("run") != "equal time"}
        assert all(remark is None or remark.startswith("asked for ") for remark in remarks)
    no_training(monkeypatch)
    assert json.loads(run(*more).stdout)["experiments"] == tables


def _raising(error: Exception) -> Callable[..., None]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def test_store_error_is_of_the_store(made_store: Store) -> None:
    """A share without a batch is refused as what it is: a store too small."""
    sides = Sides(where="fold <> 1", test_where="fold = 1")
    sizing = size("smoke", sides=sides, experiment=training_set_size.NAME, batch_size=4096)
    with pytest.raises(StoreError, match="a smaller --batch-size or more clips are needed"):
        training_set_size.plan(sizing, made_store)
