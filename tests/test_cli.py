"""The command line as people use it: the main job end to end on files made here, and every kind of bad input."""

import contextlib
import csv
import io
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from scipy.io import wavfile

from conftest import MadeSounds
from earwitness.cli.main import main
from earwitness.cli.output import progress_bar
from earwitness.cli.training_bar import begin_training
from earwitness.manifest import read_manifest, write_manifest

TRAIN = ("--network", "fully_connected", "--width", "0.05", "--steps", "400", "--batch-size", "16")
FAST = ("--learning-rate", "0.001", "--validation-every", "100")


def earwitness(*arguments: object, status: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; whatever happens, a traceback must never be seen."""
    result = subprocess.run(
        [sys.executable, "-m", "earwitness", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **options,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == status, f"{result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def refused(*arguments: object, saying: str | Sequence[str]) -> None:
    """A command that must fail with one sentence that holds the given words.

    Called in this process, through the same entry point: starting PyTorch for every bad word would take minutes.
    """
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
    assert ending.value.code == 1, errors.getvalue()
    assert_one_sentence(errors.getvalue(), saying)


def assert_one_sentence(errors: str, saying: str | Sequence[str]) -> None:
    sentences = [line for line in errors.splitlines() if line.startswith("earwitness: ")]
    assert len(sentences) == 1, errors
    for words in [saying] if isinstance(saying, str) else saying:
        assert words in sentences[0]


@pytest.fixture(scope="module")
def workspace(made_sounds: MadeSounds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my.csv, and from it by commands: my.parquet, store/, run/."""
    folder = tmp_path_factory.mktemp("workspace")
    with (folder / "my.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "tags", "fold", "group"])
        for row in made_sounds.manifest.table.to_pylist():
            rows.writerow([row["media"], ";".join(row["labels"]), row["fold"], row["group"]])
    earwitness(
        *("manifest", "table", folder / "my.csv", "--media-column", "file", "--label-column", "tags"),
        *("--label-separator", ";", "--out", folder / "my.parquet"),
    )
    earwitness("prepare", folder / "my.parquet", folder / "store", "--workers", 2)
    earwitness("train", folder / "store", folder / "run", *TRAIN, *FAST, "--where", "fold != 1")
    return folder


@pytest.fixture
def model(workspace: Path) -> Path:
    return workspace / "run" / "model.safetensors"


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A tone for 4 s that begins after 3 s of near silence."""
    time_seconds = np.arange(7 * 16_000) / 16_000
    waveform = 0.003 * np.random.default_rng(1).normal(size=len(time_seconds))
    waveform += 0.2 * np.sin(2 * np.pi * 800 * time_seconds) * (time_seconds >= 3)
    wavfile.write(tmp_path / "tone.wav", 16_000, (waveform * 32_767).astype(np.int16))
    return tmp_path / "tone.wav"


def test_help_answers_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['earwitness', 'train', '--help']\n"
        "from earwitness.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'av', 'duckdb', 'pyarrow', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version_and_misspelt_option() -> None:
    assert earwitness("--version").stdout.startswith("earwitness ")
    assert "--steps" in earwitness("train", "s", "r", "--setps", "3", status=2).stderr


def test_run_folder(workspace: Path) -> None:
    assert {path.name for path in (workspace / "run").iterdir()} == {
        *(
            ".lock",
            "run.json",
            "metrics.csv",
            "tensorboard",
            "checkpoint.pt",
            "best.safetensors",
            "model.safetensors",
            "learning_curves.png",
        )
    }


def test_evaluate(workspace: Path, model: Path) -> None:
    result = earwitness(
        *("evaluate", model, workspace / "store", "--where", "fold == 1"),
        *("--report", workspace / "report", "--json"),
    )
    evaluation = json.loads(result.stdout)
    assert evaluation["model"]["num_clips"] == 8
    assert evaluation["model"]["mean_auc"] > 0.65, "better than chance, on 8 clips"
    assert evaluation["baseline"]["mean_auc"] > 0.5
    assert evaluation["model"]["chance"]["mean_auc"] == 0.5
    assert [row["num_positives"] for row in evaluation["model"]["labels"]] == [4, 2, 4]
    assert not any("learnt from in training" in note for note in evaluation["notes"])
    assert {"evaluation.json", "per_label.csv", "summary.md"} <= {p.name for p in (workspace / "report").iterdir()}
    again = json.loads(earwitness("evaluate", workspace / "report", "--json").stdout)  # the scores are kept in it
    assert again["model"] == evaluation["model"]
    table = earwitness("evaluate", model, workspace / "store", "--where", "fold == 1").stdout
    assert "baseline" in table
    assert "chance" in table
    assert "were learnt from" in earwitness("evaluate", model, workspace / "store").stderr


def test_evaluate_timelines(workspace: Path, model: Path, made_sounds: MadeSounds, tmp_path: Path) -> None:
    rows = ["clip_id,label,start_seconds,stop_seconds"]
    for row in read_manifest(workspace / "my.parquet").table.to_pylist():
        rows += [f"{row['clip_id']},{label},0,9" for label in row["labels"]]  # their whole length
    (tmp_path / "events.csv").write_text("\n".join(rows))
    options = (model, workspace / "store", "--where", "fold == 1", "--events", tmp_path / "events.csv")
    text = earwitness("evaluate", *options).stdout
    answer = json.loads(earwitness("evaluate", *options, "--json", "--report", tmp_path / "report").stdout)
    found, over_patches = answer["timeline"], answer["timeline"]["over_patches"]
    assert answer["events_path"] == str(tmp_path / "events.csv")
    assert over_patches["mean_average_precision"] > over_patches["chance"]["mean_average_precision"] + 0.2
    assert found["num_clips"] == 8
    assert found["within_clips"]["mean_auc"] is None, "nothing sounds only part of the time"
    assert "Timeline, within clips: AUC undefined (chance 0.5" in text
    assert f"Timeline, over all patches: mAP {over_patches['mean_average_precision']:.3f} (chance" in text
    assert "events that go on after the end of their clip were cut there: 10." in " ".join(answer["notes"])
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text())["timeline"] == found
    refused("evaluate", *options[:-1], tmp_path / "missing.csv", saying="there is no such file")


def test_tag_text_and_timeline(model: Path, tone: Path, tmp_path: Path) -> None:
    picture = tmp_path / "tone.png"
    result = earwitness("tag", model, tone, "--timeline", "--plot", picture)
    assert result.stdout.startswith(f"{tone}  (7 s)")
    assert "tone" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_tag_json_lines_csv_and_patch_scores(model: Path, tone: Path, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("this is no film")
    files = (tone, tmp_path / "no.mp4", tmp_path / "missing.wav", tone)
    result = earwitness(
        *("tag", model, *files, "--timeline", "--json", "--patch-scores", tmp_path / "patches.csv"), status=1
    )
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "failed", "failed", "ok"]
    assert [row["media"] for row in rows] == list(map(str, files))
    scores = [[tag["score"] for tag in row["tags"]] for row in (rows[0], rows[3])]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6), "but for rounding: they share a batch"
    assert [row["failure_kind"] for row in rows[1:3]] == ["undecodable", "missing"]
    assert "2 of 4 files gave no sound" in result.stderr
    heard = [event for event in rows[0]["events"] if event["label_name"] == "tone"]
    assert any(event["start_seconds"] <= 4 and event["stop_seconds"] >= 6 for event in heard)

    with (tmp_path / "patches.csv").open(newline="") as file:
        patches = list(csv.DictReader(file))
    assert [row["start_seconds"] for row in patches[:7]] == [f"{0.96 * i:.3f}" for i in range(7)]
    assert {row["is_calibrated"] for row in patches} == {"false"}
    mean = np.mean([float(row["tone"]) for row in patches[:7]])
    score = {tag["label_name"]: tag["score"] for tag in rows[0]["tags"]}["tone"]
    assert score == pytest.approx(mean, abs=1e-6), "a clip's score is the mean of its patches' probabilities"

    earwitness("tag", model, *files, "--timeline", "--out", tmp_path / "tags.csv", status=1)
    with (tmp_path / "tags.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["row"] for row in table} == {"tag", "event", "failure"}
    assert {row["failure_kind"] for row in table} == {"", "undecodable", "missing"}
    assert {(row["is_calibrated"], row["has_own_thresholds"]) for row in table} == {("false", "false"), ("", "")}
    assert {row["media"] for row in table} == set(map(str, files))


def test_csv_has_a_row_for_every_file_whatever_its_name(model: Path, tone: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.wav")
    shutil.copy(tone, odd)
    earwitness("tag", model, odd, tone, "--min-score", 1, "--out", tmp_path / "tags.csv")
    with (tmp_path / "tags.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["media"] for row in rows] == [str(odd), str(tone)]
    assert {row["warnings"] for row in rows} == {"no label reaches the scores asked for"}
    earwitness("tag", model, odd, "--json", errors="surrogateescape")


def test_same_scores_from_the_store_and_from_the_file(
    workspace: Path, model: Path, made_sounds: MadeSounds, tmp_path: Path
) -> None:
    """Promise 1: a file tagged directly scores as it does when it is read from a store."""
    from earwitness.experiments.evaluating import evaluate_model
    from earwitness.models.model_file import load_model
    from earwitness.store.read import Store

    stored = evaluate_model(load_model(model), Store.open(workspace / "store"), where="fold = 1")
    media = [row["media"] for row in made_sounds.manifest.table.to_pylist() if row["fold"] == 1]
    result = earwitness("tag", model, *media, "--json", "--top", 3)
    for row, scores in zip(result.stdout.splitlines(), stored.scores, strict=True):
        tags = {tag["label_name"]: tag["score"] for tag in json.loads(row)["tags"]}
        np.testing.assert_allclose([tags[name] for name in ("click", "noise", "tone")], scores, atol=1e-6)


def test_crossvalidate_and_again(workspace: Path, tmp_path: Path) -> None:
    command = (
        "crossvalidate",
        workspace / "store",
        tmp_path / "cv",
        "--group",
        "fold",
        *TRAIN,
        *FAST,
        "--json",
    )
    first = json.loads(earwitness(*command).stdout)
    assert [fold["fold"] for fold in first["folds"]] == [1, 2, 3, 4]
    spread = first["model"]["mean_auc"]
    assert spread["mean"] == pytest.approx(np.mean(spread["per_fold"]))
    assert spread["standard_deviation"] == pytest.approx(np.std(spread["per_fold"], ddof=1))
    assert spread["low"] < spread["mean"] < spread["high"]
    written = (tmp_path / "cv" / "fold-3" / "model.safetensors").stat().st_mtime_ns
    assert json.loads(earwitness(*command).stdout) == first
    assert (tmp_path / "cv" / "fold-3" / "model.safetensors").stat().st_mtime_ns == written
    refused(*command, "--scored-hop-frames", 97, saying=["patch_hop_frames=97", "must not exceed"])
    finer = json.loads(earwitness(*command, "--scored-hop-frames", 32).stdout)
    assert finer["model"]["mean_auc"] != spread, "evaluated again"
    assert (tmp_path / "cv" / "fold-3" / "model.safetensors").stat().st_mtime_ns == written, "but not trained again"


def test_patches_scored_at_another_hop(workspace: Path, model: Path) -> None:
    import torch

    from earwitness.experiments.evaluating import evaluate_model
    from earwitness.models.model_file import load_model
    from earwitness.store.read import Store
    from earwitness.store.reading import FrameReader

    store, trained = Store.open(workspace / "store"), load_model(model)
    finer = evaluate_model(trained, store, where="fold = 1", patch_hop_frames=32, device="cpu")
    clip = int(finer.clips[0])
    with FrameReader(store) as reader:
        frames = reader.read_clip(clip)
    patches = np.stack([frames[start : start + 96] for start in range(0, len(frames) - 95, 32)])
    with torch.inference_mode():
        scores = trained.network.eval()(torch.from_numpy(patches.astype(np.float32))).sigmoid()
    np.testing.assert_allclose(finer.scores[0], scores.mean(dim=0), atol=1e-6)


def test_ctrl_c_and_again(workspace: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "earwitness", "train", workspace / "store", tmp_path / "run", *TRAIN]
    command[command.index("400")] = "100000"
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    metrics = tmp_path / "run" / "metrics.csv"
    while time.monotonic() < deadline and not (metrics.exists() and "train" in metrics.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_prepare_lists_failures_and_keeps_the_rest(made_sounds: MadeSounds, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not a sound")
    rows = [
        {"media": str(made_sounds.folder / "00.wav"), "labels": "a"},
        {"media": "notes.wav", "labels": "a"},
    ]
    rows += [{"media": "gone.wav", "labels": "b"}]
    with (tmp_path / "m.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["media", "labels"])
        table.writeheader()
        table.writerows(rows)
    result = json.loads(earwitness("prepare", tmp_path / "m.csv", tmp_path / "store", "--json").stdout)
    assert (result["num_clips"], result["num_stored"], result["num_failed"]) == (3, 1, 2)
    with (tmp_path / "store" / "failures.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_the_next_command_is_told(workspace: Path) -> None:
    """It is one that works; what is in capitals is to be filled in."""
    run = workspace / "run"
    prepared = earwitness("prepare", workspace / "my.parquet", workspace / "store").stdout
    assert prepared.endswith(f"\n  next: earwitness train {workspace / 'store'} RUN\n")
    trained = earwitness("train", workspace / "store", run, *TRAIN, *FAST, "--where", "fold != 1").stdout
    _, told = trained.rsplit("  next: earwitness ", 1)
    assert "evaluated clips" not in earwitness(*shlex.split(told)).stdout, "none was learnt from or watched"


def test_watched_clips_are_not_in_the_next_command(workspace: Path, tmp_path: Path) -> None:
    def told(where: str, watched: str) -> str:
        few = (*TRAIN, "--steps", 4, "--validation-every", 2, "--where", where, "--validation-where", watched)
        number = len(list(tmp_path.iterdir()))
        return earwitness("train", workspace / "store", tmp_path / f"run{number}", *few).stdout

    said = told("fold <= 2", "fold = 3")
    assert re.search(r"on 8 clips watched, not learnt from: 1-best accuracy \d\.\d+, mAP \d", said)
    assert "only 8 clips are watched; figures of so few say little" in said
    _, command = said.rsplit("  next: earwitness evaluate ", 1)
    assert shlex.split(command)[2:] == ["--where", "fold > 2 AND fold != 3"]
    best = re.search(r"as it was after step (\d)", said)
    assert best is not None
    assert ("best.safetensors" in command) == (best[1] == "2")
    assert "evaluated clips" not in earwitness("evaluate", *shlex.split(command)).stderr
    assert "  next: earwitness tag " in told("fold != 1", "fold = 1"), "nothing is left to evaluate on"


@pytest.mark.parametrize(
    ("condition", "opposite"),
    [
        ("fold != 1", "fold = 1"),
        ("fold <> 1", "fold = 1"),
        (" split='test' ", "split != 'test'"),
        ("draw < 0.01", "draw >= 0.01"),
        ("fold != 1 and fold != 2", "NOT (fold != 1 and fold != 2)"),
        ("a = 'it''s'", "NOT (a = 'it''s')"),
        ("fold = other", "NOT (fold = other)"),
    ],
)
def test_opposites(condition: str, opposite: str) -> None:
    from earwitness.cli import held_out

    assert held_out.opposite(condition) == opposite


def test_the_hop_is_said(workspace: Path, model: Path) -> None:
    command = ("evaluate", model, workspace / "store", "--where", "fold = 1")
    assert "patches scored" not in earwitness(*command, "--patch-hop-frames", 96).stdout
    assert "\npatches scored every 0.48 s\n" in earwitness(*command, "--patch-hop-frames", 48).stdout


class TestFoldsSummedUp:
    def test_intervals_stay_where_figures_can_be(self) -> None:
        from earwitness.experiments.crossvalidate import _spreads

        folds = [{"mean_auc": 1.0, "dprime": None}, {"mean_auc": 0.9, "dprime": 1.8}, {"mean_auc": 1.0, "dprime": None}]
        spreads = _spreads(folds)
        auc = spreads["mean_auc"]
        assert auc.high == 1.0
        assert auc.low == pytest.approx(29 / 30 - 4.30265273 * np.std([1, 0.9, 1], ddof=1) / 3**0.5)
        assert spreads["dprime"].mean == np.inf
        assert spreads["dprime"].to_dict()["per_fold"] == [None, 1.8, None]
        assert spreads["dprime"].to_dict()["mean"] is None
        json.dumps(spreads["dprime"].to_dict(), allow_nan=False)
        below = _spreads([{"mean_auc": 0.02, "dprime": -3.0}, {"mean_auc": 0.0, "dprime": -3.5}])
        assert below["mean_auc"].low == 0.0
        assert below["dprime"].low < -3.5
        assert "dprime" not in _spreads([{"mean_auc": None, "dprime": None}])

    def test_print(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from earwitness.cli.crossvalidate import CrossValidate
        from earwitness.experiments.crossvalidate import CrossValidation, _spreads

        figures = {"mean_auc": 0.9, "dprime": 1.8, "mean_average_precision": 0.7, "one_best_accuracy": 0.5}
        best = {**figures, "mean_auc": 1.0, "dprime": None}
        outcome = CrossValidation(
            folds=tuple({"fold": n, "seconds": 1.0, "notes": ["odd."] * (n < 3), "model": figures} for n in (1, 2, 3)),
            model=_spreads([figures, {**figures, "dprime": 1.0}]),
            baseline=_spreads([figures, best]),
            chance=_spreads([figures, figures]),
        )
        CrossValidate(store=tmp_path, out=tmp_path)._print(outcome)
        said = capsys.readouterr()
        [row] = [line.split() for line in said.out.splitlines() if line.startswith("d-prime ") and "to" in line]
        assert row == ["d-prime", "1.400", "0.566", "-3.682", "to", "6.482", "inf", "1.800", "1.800", "1.000"]
        assert "d-prime inf: the clips of every label are ranked before all others" in said.out
        assert said.err == "fold 1, 2: odd.\n"


def test_refusals_show_no_progress(workspace: Path) -> None:
    arguments = ("train", workspace / "store", workspace / "new", *TRAIN, "--device", "abacus")
    assert earwitness(*arguments, status=1).stderr.startswith("earwitness: unknown device 'abacus'; use auto, cpu")


def test_bars_end_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(total=2, unit="step", title="short"):
        pass
    assert capsys.readouterr().err == ""
    with progress_bar(total=2, unit="step", title="fold") as bar:
        begin_training(bar, num_steps=2, title="fold 1")
    assert capsys.readouterr().err.endswith("\n")


def test_models() -> None:
    listed = json.loads(earwitness("models", "--json").stdout)
    assert (listed["schema_version"], listed["num_labels"], listed["bottleneck"]) == (1, 3087, None)
    rows = {row["network"]: row for row in listed["networks"]}
    assert sorted(rows) == ["alexnet", "fully_connected", "inception_v3", "resnet50", "vgg", "vggish", "yamnet"]
    assert rows["yamnet"]["paper_num_weights"] is None
    assert rows["yamnet"]["released"]["num_weights"] == 3_740_425
    assert rows["yamnet"]["released"]["published_num_multiply_adds"] == 69_200_000
    assert rows["vggish"]["released"]["num_weights"] == 72_141_184
    assert rows["resnet50"]["num_weights"] == 29_827_023
    assert rows["resnet50"]["paper_num_weights"] == 30_000_000
    assert rows["vgg"]["embedding_size"] == 4096
    assert rows["fully_connected"]["learning_rate"] == 3e-5
    assert [name for name, row in rows.items() if row["remark"] is not None] == ["inception_v3"]
    assert "4.7 G are not reconciled" in rows["inception_v3"]["remark"]
    table = earwitness("models").stdout
    assert f"\ninception_v3: {rows['inception_v3']['remark']}\n" in table
    assert re.search(r"^yamnet +521 +3\.74 M +3\.7 M +69\.17 M +69\.2 M +1,024$", table, re.MULTILINE)
    assert re.search(r"^vggish +none +72\.14 M +- +863\.9 M +- +128$", table, re.MULTILINE)
    assert re.search(r"^inception_v3 +28\.08 M +28 M +5\.438 G +4\.7 G +2,048$", table, re.MULTILINE)


def test_models_at_another_size() -> None:
    options = ("--num-labels", 10, "--width", 0.25, "--patch-frames", 20, "--bottleneck", 128)
    rows = {row["network"]: row for row in json.loads(earwitness("models", *options, "--json").stdout)["networks"]}
    assert rows["resnet50"]["embedding_size"] == 128
    assert "paper_num_weights" not in rows["resnet50"], "the paper's figures are for the paper's size"
    assert "31 frames" in rows["alexnet"]["impossible"]
    table = earwitness("models", *options).stdout
    assert "a bottleneck of 128" in table
    assert "paper" not in table


class TestBadInput:
    """One clear sentence and a non-zero exit."""

    def test_manifest(self, workspace: Path, tmp_path: Path) -> None:
        out = ("--out", tmp_path / "m.parquet")
        table = ("manifest", "table", workspace / "my.csv")
        refused(*table, "--media-column", "fil", *out, saying=["no column 'fil'", "did you mean 'file'"])
        refused("manifest", "table", tmp_path / "no.csv", "--media-column", "file", *out, saying="no.csv")
        refused(*table, "--media-column", "file", "--out", tmp_path / "m.xlsx", saying=".parquet, .csv, .jsonl")
        (tmp_path / "empty.csv").write_text("media,labels\n")
        refused("prepare", tmp_path / "empty.csv", tmp_path / "s", saying="has no rows")
        (tmp_path / "twice.csv").write_text("clip_id,media\na,x.wav\nb,y.wav\na,z.wav\n")
        refused("prepare", tmp_path / "twice.csv", tmp_path / "s", saying=["row 3", "row 1"])
        (tmp_path / "times.csv").write_text("media,start_seconds,stop_seconds\nx.wav,1,2\ny.wav,4.5,3\n")
        refused("prepare", tmp_path / "times.csv", tmp_path / "s", saying=["row 2", "stop_seconds=3.0"])
        refused("prepare", tmp_path, tmp_path / "s", saying="this is a folder")
        refused("prepare", tmp_path / "none.csv", tmp_path / "s", saying="there is no such file")

    def test_unknown_label(self, workspace: Path, tmp_path: Path) -> None:
        (tmp_path / "labels.txt").write_text("click\ntones\n")
        options = ("--label-set", tmp_path / "labels.txt")
        refused(
            "prepare",
            workspace / "my.parquet",
            tmp_path / "s",
            *options,
            saying=["row 1", "'tone'", "'tones'"],
        )

    def test_store(self, workspace: Path, made_sounds: MadeSounds, tmp_path: Path) -> None:
        refused("train", tmp_path, tmp_path / "run", saying=str(tmp_path))
        other = ("prepare", workspace / "my.parquet", workspace / "store", "--num-bands", 32)
        refused(*other, saying=["num_bands", "64", "32"])
        (tmp_path / "mine.txt").write_text("")
        refused("prepare", workspace / "my.parquet", tmp_path, saying=str(tmp_path))

    def test_where(self, workspace: Path, model: Path, tmp_path: Path) -> None:
        store = workspace / "store"
        refused("train", store, tmp_path / "r", "--where", "fodl != 1", saying=["fodl", "Columns: clip_id"])
        refused("evaluate", model, store, "--where", "fold = 99", saying="true for none")
        refused("crossvalidate", store, tmp_path / "r", "--group", "uploader", saying=["uploader", "columns"])

    def test_other_front_end_and_other_labels(
        self, workspace: Path, model: Path, made_sounds: MadeSounds, tmp_path: Path
    ) -> None:
        manifest = read_manifest(workspace / "my.parquet")
        write_manifest(type(manifest)(manifest.table.slice(0, 4)), tmp_path / "four.parquet")
        earwitness("prepare", tmp_path / "four.parquet", tmp_path / "bands", "--num-bands", 32)
        refused("evaluate", model, tmp_path / "bands", saying=["front end", "num_bands: 32 / 64"])
        (tmp_path / "labels.txt").write_text("click\ntone\nnoise\nwhistle\n")
        options = ("--label-set", tmp_path / "labels.txt")
        earwitness("prepare", tmp_path / "four.parquet", tmp_path / "labels", *options)
        refused("evaluate", model, tmp_path / "labels", saying="only in the store: whistle")

    def test_model(self, workspace: Path, tone: Path, tmp_path: Path) -> None:
        refused("tag", tmp_path / "none.safetensors", tone, saying="there is no such model file")
        refused("tag", tone, tone, saying="not a model file")
        refused("tag", workspace / "run", tone, saying="model.safetensors")

    def test_media(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "text.mp4").write_text("hello")
        for path in (tmp_path, tmp_path / "none.wav", tmp_path / "text.mp4"):
            row = json.loads(earwitness("tag", model, path, "--json", status=1).stdout)
            assert row["status"] == "failed"
            assert row["failure_reason"]

    def test_settings(self, workspace: Path, model: Path, tone: Path, tmp_path: Path) -> None:
        store = workspace / "store"
        refused("train", store, tmp_path / "r", "--network", "resnet", saying="did you mean 'resnet50'")
        refused("train", store, tmp_path / "r", "--steps", 0, saying="steps=0")
        refused("train", store, tmp_path / "r", "--width", 0, saying="width=0.0")
        refused("prepare", workspace / "my.parquet", tmp_path / "s", "--max-hz", 9000, saying="max_hz")
        refused("tag", model, saying="no file is given")
        refused("tag", model, tone, tone, "--plot", tmp_path / "x.png", saying="draws one file")
        refused("tag", model, tone, "--plot", tmp_path / "x.xyz", saying="x.xyz")
        refused("tag", model, tone, "--out", tmp_path / "x.txt", saying=".jsonl, .csv or .parquet")

    def test_sizes_of_networks(self) -> None:
        refused("models", "--width", 1e-4, saying=["width=0.0001", "use at least"])
        refused("models", "--bottleneck", 0, saying="bottleneck=0 makes no layer")
        refused("models", "--num-labels", 0, saying="num_labels=0 must be at least 1")
        refused("models", "--width", 17, saying="width=17")

    def test_changed_settings_on_resume(self, workspace: Path) -> None:
        refused(*("train", workspace / "store", workspace / "run", "--batch-size", 8), saying=["before", "now"])

    @pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder that nobody can write")
    def test_unwritable_folder(self, workspace: Path) -> None:
        """/proc takes no new files, not even from root."""
        refused("prepare", workspace / "my.parquet", "/proc/store", saying="/proc/store")
        refused("train", workspace / "store", "/proc/run", *TRAIN, saying="/proc/run")

    def test_full_disk(self, workspace: Path, tmp_path: Path) -> None:
        """A limit on the size of files stands in for a full disk: writing fails midway."""

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        result = earwitness("prepare", workspace / "my.parquet", tmp_path / "store", status=1, preexec_fn=limit)
        assert_one_sentence(result.stderr, str(tmp_path))
        earwitness("prepare", workspace / "my.parquet", tmp_path / "store")  # with room, it is finished


def test_model_file_describes_itself(model: Path) -> None:
    with safe_open(model, framework="np") as file:
        description = json.loads(file.metadata()["description"])
    assert description["architecture"]["name"] == "fully_connected"
    assert [label["id"] for label in description["labels"]] == ["click", "noise", "tone"]
    assert description["front_end"]["sample_rate_hz"] == 16_000
    assert description["provenance"]["settings"]["where"] == "fold != 1"


def test_model_needs_nothing_but_itself(model: Path, tone: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere" / "m.safetensors"
    alone.parent.mkdir()
    shutil.copy(model, alone)
    assert json.loads(earwitness("tag", alone, tone, "--json").stdout)["status"] == "ok"
