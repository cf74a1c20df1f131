"""The experiment on event detection in miniature, and how events found in time are scored."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from earwitness.cli.main import main
from earwitness.datasets.events import TrueEvent
from earwitness.errors import MissingExtraError
from earwitness.evaluation.detection import score_detection
from earwitness.models.model_file import load_model, save_model
from earwitness.paper import printed, running
from earwitness.paper.detecting import Cells
from earwitness.paper.experiment import make_table
from earwitness.store.patch_view import with_patches
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from in_process import run
from made_models import untrained


class TestDetection:
    def test_by_hand(self) -> None:
        truth = {"dog": [(0.0, 2.0)], "rain": [(1.0, 1.5)]}
        found = {"dog": [(0.1, 2.1)], "rain": [(2.0, 3.0)]}
        figures = score_detection([(truth, found, 3.0)], labels=("dog", "rain"))
        # seconds: dog is true in 0, 1, found in 0, 1, 2; rain is true in 1, found in 2
        assert figures.segment_precision == pytest.approx(2 / 4)
        assert figures.segment_recall == pytest.approx(2 / 3)
        assert figures.segment_f1 == pytest.approx(2 * 2 / (3 + 4))
        assert (figures.event_precision, figures.event_recall) == (0.5, 0.5)
        assert figures.onset_f1 == 0.5

    def test_late_ends_are_allowed_a_fifth(self) -> None:
        truth = {"dog": [(0.0, 2.0)]}
        for stop, right in ((2.39, 1.0), (2.45, 0.0)):
            figures = score_detection([(truth, {"dog": [(0.0, stop)]}, 3.0)], labels=("dog",))
            assert figures.event_f1 == pytest.approx(right)
            assert figures.onset_f1 == 1.0

    def test_silent_clips(self) -> None:
        figures = score_detection([({}, {}, 2.0), ({"a": [(0.0, 1.0)]}, {}, 2.0)], labels=("a",))
        assert (figures.segment_recall, figures.segment_f1, figures.event_f1) == (0.0, 0.0, 0.0)
        assert np.isnan(figures.segment_precision)

    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sed_eval", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'earwitness\[detection\]'"):
            score_detection([], labels=("a",))


class TestCells:
    def test_perfect_scores(self, made_store: Store) -> None:
        clips = made_store.select("fold = 1")
        events = [(TrueEvent("click", 0.4, 1.2),), (TrueEvent("tone", 0.0, 0.6), TrueEvent("tone", 0.5, 1.0))]
        events += [()] * (len(clips) - 2)
        cells = Cells.of(made_store, clips, events)
        assert cells.truth[1] == {"tone": [(0.0, 1.0)]}
        click = made_store.label_set.index_of["click"]
        assert np.flatnonzero(cells.targets[: cells.per_clip[0], click]).tolist() == [2, 3, 4, 5]
        figures = cells.measure(cells.targets.astype(np.float32))
        names = ("within_clips_auc", "frame_map", "segment_f1", "event_f1", "onset_f1")
        assert [figures[name] for name in names] == [1.0] * 5
        same = cells.measure(np.zeros(cells.targets.shape, np.float32))
        assert same["within_clips_auc"] == 0.5
        assert same["frame_map"] == pytest.approx(cells.targets[:, cells.targets.any(axis=0)].mean())

    def test_up_to_the_end_of_a_clip(self, made_store: Store) -> None:
        clips = made_store.select("fold = 1")[:1]
        end = float(made_store.clips["num_samples"][int(clips[0])].as_py()) / made_store.front_end.sample_rate_hz
        cells = Cells.of(
            made_store, clips, [(TrueEvent("click", 0.4, end + 1.0), TrueEvent("tone", end + 0.05, end + 1.0))]
        )
        assert cells.truth == [{"click": [(0.4, end)]}]

    @pytest.mark.parametrize(("patch_frames", "hop_frames"), [(20, 20), (96, 20), (96, 96), (50, 10)])
    def test_a_cell_takes_the_patch_around_it(self, made_store: Store, patch_frames: int, hop_frames: int) -> None:
        clips = made_store.select("fold = 2")
        cells = Cells.of(made_store, clips, [()] * len(clips))
        view = with_patches(made_store, patch_frames=patch_frames)
        front_end = replace(view.front_end, patch_hop_frames=hop_frames)
        numbers, expected = [], []
        for clip, num_cells in zip(clips, cells.per_clip, strict=True):
            starts = 0.01 * np.arange(0, made_store.frames_per_clip[clip] - patch_frames + 1, hop_frames)
            numbers += [(clip, start) for start in starts]
            for cell in range(num_cells):
                distances = np.abs(starts + patch_frames * 0.005 - (cell + 0.5) * 0.2)
                expected.append((clip, distances.min()))
        scores = np.array(numbers, np.float32)
        spread = cells.spread(scores, made_store, front_end)
        middles = np.concatenate([(np.arange(number) + 0.5) * 0.2 for number in cells.per_clip])
        assert np.array_equal(spread[:, 0], [clip for clip, _ in expected])
        distances = np.abs(spread[:, 1] + patch_frames * 0.005 - middles)
        assert np.allclose(distances, [distance for _, distance in expected], atol=1e-5)

    def test_short_patches_are_the_same_frames(self, made_store: Store) -> None:
        view = with_patches(made_store, patch_frames=20)
        assert (view.front_end.patch_frames, made_store.front_end.patch_frames) == (20, 96)
        assert view.front_end.frames_identity == made_store.front_end.frames_identity
        with FrameReader(view) as reader:
            assert np.array_equal(reader.read_patches(np.array([3]), np.array([20]), 20)[0], reader.read_clip(3)[20:40])


@pytest.fixture(scope="module")
def model_path(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(untrained(made_store), path)
    return path


@pytest.fixture(scope="module")
def events_path(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds of the first second of each clip."""
    rows = [
        {"clip_id": row["clip_id"], "label": label, "start_seconds": 0.0, "stop_seconds": 1.0}
        for row in made_store.clips.to_pylist()
        for label in row["labels"]
    ]
    path = tmp_path_factory.mktemp("events") / "events.csv"
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows), path)
    return path


def clip_of_fold_1(store: Store) -> str:
    return str(store.clips["clip_id"][int(store.select("fold = 1")[0])].as_py())


def experiment(store: Store, folder: Path, *more: object) -> dict[str, Any]:
    common = ("--preset", "smoke", "--folder", folder, "--device", "cpu", "--threads", 1, "--steps", 4, "--json")
    table: dict[str, Any] = json.loads(run("experiment", "event-detection", store.folder, *common, *more).stdout)
    return table


def test_event_detection(
    made_store: Store, model_path: Path, events_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("--embedding-from", model_path, "--events", events_path)
    table = experiment(made_store, tmp_path, *more)
    logmel, embedding, *still, chance = table["rows"]
    assert logmel["input"] == "log-mel, 20 x 64"
    assert embedding["input"] == "the embedding of fully_connected (8 numbers)"
    assert logmel["paper_mean_average_precision"] == printed.EVENT_DETECTION["logmel"].mean_average_precision
    # weights and shifts of the units, then of the three labels
    assert logmel["num_weights"] == 64 * 20 * 1_000 + 1_000 + 3 * 1_001
    assert [row["within_clips_auc"] for row in (*still, chance)] == [0.5] * 3
    assert all(0 <= row["segment_f1"] <= 1 for row in table["rows"])
    cells = tmp_path / "event-detection" / "cells"
    short = load_model(cells / "logmel" / "run" / "model.safetensors")
    assert (short.front_end.patch_frames, short.front_end.patch_hop_frames) == (20, 20)
    settings = json.loads((cells / "embedding" / "run" / "run.json").read_text())["settings"]
    assert (settings["from_model"], settings["freeze"], settings["num_layers"]) == (str(model_path), True, 1)
    markdown = (tmp_path / "event-detection" / "table.md").read_text()
    assert "find events in time" in markdown
    assert "So many batches are" in markdown
    assert "it cannot be told whether it has learnt from these clips" in markdown
    assert "weights of the embedding's row include those of the network" in markdown

    def train(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(running, "train", train)
    assert experiment(made_store, tmp_path, *more) == table
    assert (
        experiment(made_store, tmp_path, "--events", events_path) == table
    )  # the embedding is the one it was begun with

    path = cells / "embedding" / "result.json"
    result = json.loads(path.read_text())
    assert (result["num_learnt_again"], result["num_known_labels"]) == (0, 3)
    path.write_text(json.dumps({**result, "num_learnt_again": 20}))
    notes = make_table(cells.parent)[0].notes
    assert any("has learnt from 20 clips of those that the classifiers learn from, too" in note for note in notes)


def test_other_events_are_another_experiment(
    made_store: Store,
    model_path: Path,
    events_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without = experiment(made_store, tmp_path, "--embedding-from", model_path)
    assert "segment_f1" not in without["columns"]
    assert len(without["rows"]) == 3

    def refused(*more: object) -> str:
        words = ("experiment", "event-detection", made_store.folder, "--preset", "smoke", "--folder", tmp_path)
        monkeypatch.setattr("sys.argv", ["earwitness", *map(str, (*words, *more))])  # the last of two folders counts
        with pytest.raises(SystemExit) as ending:
            main()
        assert ending.value.code == 1
        return capsys.readouterr().err

    ours = ("--steps", 4, "--device", "cpu", "--embedding-from", model_path)
    assert "the experiment there is another one (events:" in refused(*ours, "--events", events_path)
    elsewhere = tmp_path / "events.csv"
    elsewhere.write_text("clip_id,label,start_seconds,stop_seconds\nstrange,click,0,1\n")
    assert "has no event in any of the 8 clips" in refused(*ours, "--events", elsewhere)
    elsewhere.write_text(f"clip_id,label,start_seconds,stop_seconds\n{clip_of_fold_1(made_store)},click,90,91\n")
    assert "row 1: 'click' begins 90 s into clip" in refused(*ours, "--events", elsewhere)
    assert "name a model by --embedding-from" in refused("--steps", 4, "--folder", tmp_path / "new")
    monkeypatch.setitem(sys.modules, "sed_eval", None)
    assert "pip install 'earwitness[detection]'" in refused(*ours, "--events", events_path)
