"""Grid search: every combination once, whatever is killed and however many share the work; one table, best first."""

import csv
import json
import math
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes

from earwitness.cli.grid import Grid
from earwitness.cli.main import command_line
from earwitness.cli.train_command import train_command
from earwitness.errors import MissingExtraError, RunError, SelectionError, SettingsError
from earwitness.experiments.grid_axes import Axes, nearest
from earwitness.store.read import Store
from earwitness.training.recipes import RECIPES, recipe
from earwitness.training.run_folder import RunFolder, load_checkpoint
from earwitness.training.settings import LearningRatePlan, SmallData, TrainSettings
from test_training import QUICK, stop_at

SETTINGS = replace(QUICK, steps=30, validation_every=10, learning_rate=None)
AXES = Axes(learning_rates=(1e-4, 1e-3), layers=(1, 2), widths=(0.03,))


def search(store: Store, folder: Path, *, axes: Axes = AXES, settings: TrainSettings = SETTINGS, **more: Any) -> Any:
    pytest.importorskip("optuna")
    from earwitness.experiments.grid import grid_search

    return grid_search(store, folder, axes=axes, settings=settings, **more)


def without_time(table: Any) -> list[dict[str, Any]]:
    """By combination: with several processes the numbers of the trials are a matter of chance."""
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "trial", "rank")} for row in table["trials"]]
    return sorted(rows, key=str)


@pytest.fixture(scope="module")
def undisturbed(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that ran through."""
    folder = tmp_path_factory.mktemp("grid") / "undisturbed"
    assert search(made_store, folder) is not None
    return folder


class TestAxes:
    def test_combinations_by_hand(self) -> None:
        axes = Axes(learning_rates=(1e-3, 1e-4, 1e-3), batch_sizes=(8, 16), units=(50,))
        settings = TrainSettings(network="fully_connected", num_layers=2, width=1.0)
        assert axes.combinations(settings) == [
            {"learning_rate": rate, "batch_size": size, "num_layers": 2, "num_units": 50, "width": 1.0}
            for rate in (1e-3, 1e-4)
            for size in (8, 16)
        ]
        plain = Axes(widths=(0.5,)).combinations(TrainSettings(network="vgg"))
        assert plain == [{"batch_size": 128, "width": 0.5}]

    def test_no_layers_have_no_units(self) -> None:
        combinations = Axes(layers=(0, 2), units=(20, 50)).combinations(TrainSettings(batch_size=16))
        assert combinations == [
            {"batch_size": 16, "num_layers": 0},
            {"batch_size": 16, "num_layers": 2, "num_units": 20},
            {"batch_size": 16, "num_layers": 2, "num_units": 50},
        ]
        assert nearest({"batch_size": 16, "num_layers": 0, "num_units": 50}, combinations) == combinations[0]
        assert nearest({"batch_size": 16, "num_layers": 2, "num_units": 45}, combinations) == combinations[2]

    def test_nearest_is_on_a_log_scale(self) -> None:
        combinations = [{"learning_rate": r, "batch_size": b} for r, b in product((1e-5, 1e-4, 1e-3), (32, 64))]
        assert nearest({"learning_rate": 4e-4, "batch_size": 33}, combinations) == combinations[4]
        assert nearest({"learning_rate": 2.9e-4, "batch_size": 50}, combinations) == combinations[3]

    @pytest.mark.parametrize(
        ("axes", "settings", "message"),
        [
            ({}, {}, "nothing to search over; give values to try by some of --learning-rates, --batch-sizes, --layers"),
            ({"learning_rates": ()}, {}, "learning_rates names no value to try"),
            ({"layers": (2, 3)}, {"network": "resnet50"}, "num_layers=2 is for the fully connected network"),
            ({"learning_rates": (1e-3, -1.0)}, {}, r"learning_rate=-1\.0 must lie in"),
            ({"batch_sizes": (64, 0)}, {}, "batch_size=0 must be at least 1"),
            ({"widths": (17.0,)}, {}, r"width=17\.0 must lie in"),
        ],
    )
    def test_refused(self, axes: dict[str, Any], settings: dict[str, Any], message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            Axes(**axes).combinations(replace(SETTINGS, **settings))


def test_every_combination_once_best_first(made_store: Store, undisturbed: Path) -> None:
    table = json.loads((undisturbed / "table.json").read_text())
    rows = table["trials"]
    combinations = [(row["learning_rate"], row["num_layers"]) for row in rows]
    assert sorted(combinations) == sorted(product((1e-4, 1e-3), (1, 2)))
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    figures = [row["mean_average_precision"] for row in rows]
    assert figures == sorted(figures, reverse=True)
    for row in rows:
        run = RunFolder(undisturbed / "trials" / f"{row['trial']:04d}")
        assert run.model_path.exists()
        kept = load_checkpoint(run.checkpoint_path)
        assert kept is not None
        assert kept["best"]["mean_average_precision"] == pytest.approx(row["mean_average_precision"], rel=1e-5)
        assert kept["best"]["step"] == row["best_step"]
        settings = json.loads(run.record_path.read_text())["settings"]
        assert (settings["learning_rate"], settings["num_layers"]) == (row["learning_rate"], row["num_layers"])
    with (undisturbed / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["trial"] for line in lines] == [*(str(row["trial"]) for row in rows), ""]
    assert lines[-1]["state"] == "chance"
    assert float(lines[-1]["mean_average_precision"]) == table["chance"]["mean_average_precision"]


def test_chance_is_that_of_the_watched_clips(made_store: Store, undisturbed: Path) -> None:
    from earwitness.training.clips import choose_clips

    targets = made_store.targets(choose_clips(made_store, SETTINGS).validation)
    table = json.loads((undisturbed / "table.json").read_text())
    assert table["num_validation_clips"] == len(targets)
    priors = [column.mean() for column in targets.T if 0 < column.sum() < len(targets)]
    assert table["chance"]["mean_average_precision"] == pytest.approx(np.mean(priors))
    assert table["chance"]["one_best_accuracy"] == pytest.approx(targets.sum(axis=0).max() / len(targets))


def test_clips_not_selected_have_no_say(made_store: Store, tmp_path: Path) -> None:
    """Those kept for reporting are neither learnt from nor watched."""
    from earwitness.training.clips import choose_clips

    settings = replace(SETTINGS, where="fold <> 4", steps=2)
    assert search(made_store, tmp_path / "grid", axes=Axes(widths=(0.03,)), settings=settings) is not None
    record = json.loads((tmp_path / "grid" / "grid.json").read_text())
    chosen = choose_clips(made_store, settings)
    assert record["clips"] == chosen.describe(made_store)
    kept_out = set(made_store.select("fold = 4").tolist())
    assert not kept_out & {*chosen.train.tolist(), *chosen.validation.tolist()}


def test_again_does_nothing_and_more_values_are_added(made_store: Store, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=5)
    first = search(made_store, tmp_path / "grid", axes=Axes(widths=(0.03,)), settings=settings)
    model = tmp_path / "grid" / "trials" / "0000" / "model.safetensors"
    written = model.stat().st_mtime_ns
    again = search(made_store, tmp_path / "grid", axes=Axes(widths=(0.03,)), settings=settings)
    assert again.rows() == first.rows()
    more = search(made_store, tmp_path / "grid", axes=Axes(widths=(0.02, 0.03, 0.04)), settings=settings)
    assert sorted((row["width"], row["trial"]) for row in more.rows()) == [(0.02, 1), (0.03, 0), (0.04, 2)]
    assert model.stat().st_mtime_ns == written
    assert len(more.at_an_end()) == (more.best.combination["width"] != 0.03)


def test_stopped_and_taken_up(made_store: Store, undisturbed: Path, tmp_path: Path) -> None:
    begun = []
    stopped = search(
        made_store, tmp_path / "grid", on_trial=lambda number, _: begun.append(number), on_progress=stop_at(13)
    )
    assert stopped is None
    steps: list[int] = []
    table = search(
        made_store,
        tmp_path / "grid",
        on_trial=lambda number, _: begun.append(number),
        on_progress=lambda now: steps.append(now.step),
    )
    assert begun == [0, 0, 1, 2, 3]
    assert steps[0] == 14
    whole = json.loads((undisturbed / "table.json").read_text())
    assert [row["trial"] for row in table.rows()] == [row["trial"] for row in whole["trials"]]
    assert without_time(table.to_dict()) == without_time(whole)


def command(store: Store, folder: Path, *, steps: int = 30) -> list[str]:
    return [
        *(sys.executable, "-m", "earwitness", "grid", str(store.folder), str(folder), "--json"),
        *("--learning-rates", "1e-4", "1e-3", "--layers", "1", "2", "--widths", "0.03"),
        *("--network", "fully_connected", "--steps", str(steps), "--batch-size", "16", "--validation-share", "0.2"),
        *("--validation-every", "10", "--threads", "1", "--precision", "float32", "--checkpoint-seconds", "0.05"),
    ]


def started(store: Store, folder: Path) -> subprocess.Popen[str]:
    """A process that searches as `longer` did."""
    pytest.importorskip("optuna")
    return subprocess.Popen(
        command(store, folder, steps=300), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def stop_in_trial(process: subprocess.Popen[str], run: Path) -> None:
    """Freeze a process in the middle of a trial."""
    deadline = time.monotonic() + 90
    while not (run / "checkpoint.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    assert (run / "checkpoint.pt").exists()
    assert not (run / "model.safetensors").exists(), "it was to be stopped before its end"


@pytest.fixture(scope="module")
def longer(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A search that ran through."""
    table = search(made_store, tmp_path_factory.mktemp("grid") / "longer", settings=replace(SETTINGS, steps=300))
    plain: dict[str, Any] = table.to_dict()
    return plain


def test_killed_anywhere_and_taken_up(made_store: Store, longer: dict[str, Any], tmp_path: Path) -> None:
    """SIGKILL in the middle of a trial, and of writing the study; then again."""
    process = started(made_store, tmp_path / "grid")
    stop_in_trial(process, tmp_path / "grid" / "trials" / "0001")
    process.kill()
    process.communicate()
    with (tmp_path / "grid" / "study.log").open("a") as file:
        file.write('{"op_code":4,"worker_id":"half a li')
    begun, steps = [], []
    table = search(
        made_store,
        tmp_path / "grid",
        settings=replace(SETTINGS, steps=300),
        on_trial=lambda number, _: begun.append(number),
        on_progress=lambda now: steps.append(now.step),
    )
    assert begun == [1, 2, 3]
    assert steps[0] > 1
    assert [row["trial"] for row in table.rows()] == [row["trial"] for row in longer["trials"]]
    assert without_time(table.to_dict()) == without_time(longer)


def test_processes_share_the_work_and_that_of_a_killed_one(
    made_store: Store, longer: dict[str, Any], tmp_path: Path
) -> None:
    doomed = started(made_store, tmp_path / "grid")
    stop_in_trial(doomed, tmp_path / "grid" / "trials" / "0000")
    others = [started(made_store, tmp_path / "grid") for _ in range(2)]
    table = tmp_path / "grid" / "table.json"
    deadline = time.monotonic() + 120
    states: list[str] = []
    while sorted(states) != ["finished"] * 3 + ["running"] and time.monotonic() < deadline:
        time.sleep(0.1)
        states = [row["state"] for row in json.loads(table.read_text())["trials"]] if table.exists() else []
    assert all(process.poll() is None for process in others), "they wait for the frozen one"
    doomed.kill()
    doomed.communicate()
    outputs = [process.communicate(timeout=120) for process in others]
    tables = [json.loads(out) for out, _ in outputs]
    assert tables[0] == tables[1]
    assert sorted(row["trial"] for row in tables[0]["trials"]) == [0, 1, 2, 3]
    assert without_time(tables[0]) == without_time(longer)
    begun = [sorted(number for number in range(4) if f"trial {number:04d} (" in errors) for _, errors in outputs]
    assert sorted(begun[0] + begun[1]) == [0, 1, 2, 3]
    assert any("waiting for" in errors for _, errors in outputs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_trial_is_taken_up_on_another_gpu(made_store: Store, tmp_path: Path) -> None:
    """As far as one GPU can show it: it is not asked for by the same name."""
    axes, settings = Axes(widths=(0.03,)), replace(SETTINGS, precision="auto")
    on_first = replace(settings, device="cuda:0")
    assert search(made_store, tmp_path / "grid", axes=axes, settings=on_first, on_progress=stop_at(5)) is None
    table = search(made_store, tmp_path / "grid", axes=axes, settings=settings)
    assert [trial.state for trial in table.trials] == ["finished"]
    with pytest.raises(RunError, match="device: 'cuda' before, 'cpu' now"):
        search(made_store, tmp_path / "grid", axes=axes, settings=replace(settings, device="cpu"))


def test_trials_that_cannot_be_are_passed_by(made_store: Store, tmp_path: Path) -> None:
    axes = Axes(learning_rates=(1e-3, 1.0), batch_sizes=(16, 100_000), widths=(1e-6, 0.03))
    plan = LearningRatePlan()
    table = search(made_store, tmp_path / "grid", axes=axes, settings=replace(SETTINGS, steps=5, plan=plan))
    assert len(table.rows()) == 8
    finished = [row for row in table.rows() if row["state"] == "finished"]
    assert [(row["batch_size"], row["width"]) for row in finished] == [(16, 0.03)] * 2
    reasons = {(row["batch_size"], row["width"]): row["reason"] for row in table.rows() if row["state"] == "failed"}
    assert "width=1e-06 leaves nothing of a layer of 1000; use at least 0.001" in reasons[16, 1e-6]
    assert "fewer than one batch of 100000" in reasons[100_000, 0.03]
    assert table.to_markdown().count("leaves nothing of a layer") == 2
    assert [row["rank"] for row in table.rows()] == [1, 2, *[None] * 6]
    again = search(made_store, tmp_path / "grid", axes=axes, settings=replace(SETTINGS, steps=5, plan=plan))
    assert again.rows() == table.rows()


def test_a_search_of_which_no_trial_can_be_is_refused(made_store: Store, tmp_path: Path) -> None:
    axes, settings = Axes(layers=(2, 3)), replace(SETTINGS, network=None, width=None)
    with pytest.raises(SettingsError, match="num_layers=2 is for the fully connected network"):
        search(made_store, tmp_path / "grid", axes=axes, settings=settings)
    assert not (tmp_path / "grid").exists()


def test_no_trial_came_to_its_end(
    made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    from earwitness.training import loop

    monkeypatch.setattr(loop, "learning_rate", lambda settings, step: math.inf)
    words = command(made_store, tmp_path / "grid")[3:]
    words.remove("--json")
    assert parsed(words).run() == 1
    said = capsys.readouterr()
    assert "no trial came to its end" in said.out
    assert "clips are watched; figures of so few say little" in said.err


def test_trial_that_diverges_is_passed_by(made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from earwitness.training import loop

    def rate(settings: TrainSettings, step: int) -> float:
        return math.inf if settings.effective_learning_rate == 0.5 else 1e-3

    monkeypatch.setattr(loop, "learning_rate", rate)
    axes = Axes(learning_rates=(0.5, 1e-3))
    table = search(made_store, tmp_path / "grid", axes=axes, settings=replace(SETTINGS, steps=12))
    assert [(row["learning_rate"], row["state"]) for row in table.rows()] == [(1e-3, "finished"), (0.5, "failed")]
    assert table.rows()[1]["reason"].startswith(
        "a loss or weight is no longer a number after step 10; the training diverged. Try"
    )
    assert "| a loss or weight is no longer a number after step 10; the training diverged |" in table.to_markdown()


def test_what_is_wrong_with_the_machine_is_no_failed_trial(
    made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    from earwitness.experiments import grid

    def train(*_: Any, **__: Any) -> None:
        raise RunError("the checkpoint cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr(grid, "train", train)
        with pytest.raises(RunError, match="No space left"):
            search(made_store, tmp_path / "grid", axes=Axes(widths=(0.03,)))
    table = search(made_store, tmp_path / "grid", axes=Axes(widths=(0.03,)), settings=replace(SETTINGS))
    assert [trial.state for trial in table.trials] == ["finished"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_fewer_trials_than_combinations(made_store: Store, tmp_path: Path, sampler: str) -> None:
    axes = Axes(learning_rates=(1e-4, 3e-4, 1e-3, 3e-3), units=(500, 1000), widths=(0.01, 0.03))
    settings = replace(SETTINGS, steps=2, validation_every=2)
    few = search(made_store, tmp_path / "grid", axes=axes, settings=settings, trials=5, sampler=sampler)
    assert len(few.trials) == 5
    more = search(made_store, tmp_path / "grid", axes=axes, settings=settings, trials=14, sampler=sampler)
    assert {trial.number: trial.combination for trial in few.trials}.items() <= {
        trial.number: trial.combination for trial in more.trials
    }.items()
    assert len({str(trial.combination) for trial in more.trials}) == 14
    rates = [trial.combination["learning_rate"] for trial in sorted(more.trials, key=lambda trial: trial.number)]
    assert rates != sorted(rates), "they are not taken in order"
    every = search(made_store, tmp_path / "grid", axes=axes, settings=settings, sampler=sampler)
    assert len(every.trials) == 16


def test_tpe_looks_where_it_goes_well() -> None:
    pytest.importorskip("optuna")
    from earwitness.experiments.grid_study import Trial, likely_best

    combinations = [
        {"learning_rate": float(rate), "num_units": units}
        for rate, units in product(np.geomspace(1e-5, 1e-1, 20), range(500, 4001, 250))
    ]
    tried: list[Trial] = []
    for number in range(30):
        known = [trial.combination for trial in tried]
        untried = [combination for combination in combinations if combination not in known]
        choice = likely_best(tried, untried, seed=1)
        value = -abs(math.log10(choice["learning_rate"]) + 3)  # best at 1e-3
        tried.append(
            Trial(number=number, combination=choice, state="finished", figures={"mean_average_precision": value})
        )
    distances = [-trial.figures["mean_average_precision"] for trial in tried]
    assert np.mean(distances[10:]) < 0.6 * np.mean(distances[:10])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 31}, "steps: 30 before, 31 now"),
        ({"where": "fold <> 1"}, "where: not given before, 'fold <> 1' now"),
        ({"small_data": SmallData(dropout=0.5)}, r"dropout: 0\.0 before, 0\.5 now"),
        ({"precision": "bfloat16"}, "precision: 'float32' before, 'bfloat16' now"),
        ({"threads": 2}, "threads: 1 before, 2 now"),
    ],
)
def test_another_search_is_refused(made_store: Store, undisturbed: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=f"started with other settings.*{message}.*or another folder"):
        search(made_store, undisturbed, settings=replace(SETTINGS, **changes))


def test_free_settings_and_those_of_earlier_versions(made_store: Store, undisturbed: Path, tmp_path: Path) -> None:
    assert search(made_store, undisturbed, settings=replace(SETTINGS, threads=None, checkpoint_seconds=7.0))
    record = json.loads((undisturbed / "grid.json").read_text())
    for name in ("plan", "stop_after", "bottleneck"):
        del record["settings"][name]
    (undisturbed / "grid.json").write_text(json.dumps(record))
    assert search(made_store, undisturbed)


def test_bad_places(made_store: Store, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(RunError, match="holiday: the folder is not empty and holds no grid search"):
        search(made_store, tmp_path / "holiday")
    with pytest.raises(RunError, match=r"photo\.jpg: this is, or lies in, a file"):
        search(made_store, tmp_path / "holiday" / "photo.jpg")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "grid.json").write_text("[]")
    with pytest.raises(RunError, match=r"grid\.json: not a readable record of a grid search"):
        search(made_store, tmp_path / "old")
    (tmp_path / "old" / "grid.json").write_text('{"schema_version": 99}')
    with pytest.raises(RunError, match=r"grid\.json: schema version 99"):
        search(made_store, tmp_path / "old")
    assert search(made_store, tmp_path / "new", axes=Axes(widths=(0.01,)), settings=replace(SETTINGS, steps=1))
    (tmp_path / "new" / "study.log").write_text("not a study\nat all\n")
    with pytest.raises(RunError, match=r"study\.log: the study is damaged"):
        search(made_store, tmp_path / "new", axes=Axes(widths=(0.01,)), settings=replace(SETTINGS, steps=1))


def test_nothing_to_compare_by(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="none are set aside; give --validation-share or --validation-where"):
        search(made_store, tmp_path / "grid", settings=replace(SETTINGS, validation_share=0.0))
    with pytest.raises(SelectionError, match="of the 1 clips watched, no label has both"):
        search(made_store, tmp_path / "grid", settings=replace(SETTINGS, validation_where="clip_id = 'clip-00'"))
    with pytest.raises(SettingsError, match="trials=0 must be at least 1"):
        search(made_store, tmp_path / "grid", trials=0)
    assert not (tmp_path / "grid").exists()


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "earwitness.experiments.grid_study", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"needs Optuna.*pip install 'earwitness\[search\]'"):
        __import__("earwitness.experiments.grid_study")


def parsed(arguments: Sequence[str]) -> Any:
    config = (OmitArgPrefixes, OmitSubcommandPrefixes, FlagCreatePairsOff)
    return tyro.cli(command_line(arguments), args=list(arguments), config=config)


class TestCommandLine:
    def test_axes_beside_settings(self) -> None:
        words = "grid S O --learning-rates 1e-4 0.001 --layers 2 3 --batch-size 64 --network fully_connected"
        grid = parsed([*words.split(), "--where", "fold <> 1"])
        assert isinstance(grid, Grid)
        assert grid.axes == Axes(learning_rates=(1e-4, 1e-3), layers=(2, 3))
        assert grid.settings == TrainSettings(network="fully_connected", batch_size=64, where="fold <> 1")
        assert parsed(["grid", "S", "O", "--widths", "1", "--recipe", "small-data"]).settings == RECIPES["small-data"]

    def test_one_value_and_several(self) -> None:
        grid = parsed(["grid", "S", "O", "--learning-rates", "1e-4", "--learning-rate", "1e-3"])
        with pytest.raises(SettingsError, match="--learning-rate and --learning-rates are both given"):
            grid.run()

    def test_empty_axis(self) -> None:
        with pytest.raises(SettingsError, match="learning_rates names no value to try"):
            parsed(["grid", "S", "O", "--learning-rates", "--layers", "2"])

    def test_not_under_torchrun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(SettingsError, match="start the same command several times"):
            parsed(["grid", "S", "O", "--widths", "1"]).run()

    @pytest.mark.parametrize(
        ("settings", "name"),
        [
            (TrainSettings(), "paper"),
            (
                TrainSettings(
                    network="fully_connected",
                    num_layers=2,
                    learning_rate=1e-05,
                    where="fold <> 'it''s'",
                    plan=LearningRatePlan(drop_steps=(10, 20)),
                    small_data=SmallData(balanced=True, dropout=0.1),
                    sync_batch_norm=True,
                ),
                "paper",
            ),
            (TrainSettings(from_model=Path("my model.safetensors"), freeze=True, num_layers=0), "paper"),
            (recipe("small-data", small_data=SmallData(), learning_rate=None, width=0.25), "small-data"),
        ],
    )
    def test_train_command_gives_the_settings_again(self, settings: TrainSettings, name: Any) -> None:
        line = train_command(Path("my store"), Path("OUT/best"), settings=settings, recipe=name)
        words = shlex.split(line)
        assert words[:4] == ["earwitness", "train", "my store", "OUT/best"]
        assert parsed(words[1:]).settings == settings

    def test_report(self, made_store: Store, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = command(made_store, undisturbed)[3:]
        words.remove("--json")
        assert parsed(words).run() == 0
        said = capsys.readouterr()
        lines = said.out.splitlines()
        assert [cell.strip() for cell in lines[0].split("|")[1:4]] == ["rank", "trial", "learning rate"]
        assert len({len(line) for line in lines[:7]}) == 1
        assert [line.split("|")[1].strip() for line in lines[2:6]] == ["1", "2", "3", "4"]
        assert "chance" in lines[6]
        again = parsed(shlex.split(lines[-1].partition(": ")[2])[1:])
        best = json.loads((undisturbed / "table.json").read_text())["best_settings"]
        assert again.settings == TrainSettings.from_dict({**best, "checkpoint_seconds": 0.05})
        assert "tried; the same command with" in said.err
