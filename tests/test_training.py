"""Training: that it learns, repeats to the bit, resumes as if nothing had happened, and refuses what cannot be."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.errors import ModelError, RunError, SelectionError, SettingsError, StoreError
from earwitness.experiments.evaluating import evaluate_model, trained_clips
from earwitness.inference.probabilities import PatchScorer
from earwitness.models.model_file import load_model
from earwitness.scoring.clip_scores import score_clips
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.batches import BatchLoader
from earwitness.training.clips import choose_clips
from earwitness.training.loop import TrainProgress, train
from earwitness.training.run_folder import read_metrics
from earwitness.training.settings import TrainSettings

QUICK = TrainSettings(
    network="fully_connected",
    width=0.03,
    steps=60,
    batch_size=16,
    learning_rate=1e-3,
    validation_share=0.2,
    validation_every=25,
    threads=1,
    precision="float32",
)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(path).network.state_dict())


def assert_bit_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def stop_at(step: int) -> Callable[[TrainProgress], None]:
    """Presses Ctrl-C at that step."""

    def watch(progress: TrainProgress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_batches_hold_the_store_s_patches_and_labels(made_store: Store) -> None:
    clips = made_store.select("fold <> 2")
    with FrameReader(made_store) as reader:
        index = PatchIndex(made_store.frames_per_clip, clips, patch_frames=96, hop_frames=96)
        plan = BatchPlan(index.num_patches, batch_size=16, seed=5)
        with BatchLoader(reader, index, plan, patch_frames=96) as loader:
            for step, batch in enumerate(loader.batches(0, 9)):
                patches, targets = batch.to_device(torch.device("cpu"), num_labels=3)
                batch_clips, first_frames = index.locate(plan.batch(step))
                for row, (clip, first) in enumerate(zip(batch_clips, first_frames, strict=True)):
                    expected = reader.read_clip(int(clip), first_frame=int(first), num_frames=96)
                    np.testing.assert_array_equal(patches[row].numpy(), expected.astype(np.float32))
                    row_labels = made_store.clips["labels"][int(clip)].as_py()
                    assert [made_store.label_set.ids[i] for i in targets[row].nonzero().flatten()] == row_labels


def test_learns_and_watches_and_leaves_a_run_folder(made_store: Store, tmp_path: Path) -> None:
    summary = train(made_store, tmp_path / "run", settings=replace(QUICK, steps=200))
    assert summary.is_finished
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    losses = [float(row["loss"]) for row in rows if row["kind"] == "train"]
    assert losses[-1] < 0.5 * losses[0]
    watched = [row for row in rows if row["kind"] == "validation"]
    assert [int(row["step"]) for row in watched] == list(range(25, 201, 25))
    assert 0 <= float(watched[-1]["one_best_accuracy"]) <= 1
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"] == replace(QUICK, steps=200).to_dict()
    assert record["store_fingerprint"] == made_store.fingerprint
    assert load_model(summary.model_path).provenance["settings"]["steps"] == 200


@pytest.mark.parametrize("network", ["fully_connected", "resnet50"])
def test_stopped_and_resumed_is_bit_identical(made_store: Store, tmp_path: Path, network: str) -> None:
    settings = replace(QUICK, network=network, width=0.03 if network == "fully_connected" else 0.0625, steps=14)
    whole = train(made_store, tmp_path / "whole", settings=settings)
    for step in (3, 9):
        stopped = train(made_store, tmp_path / "parts", settings=settings, on_progress=stop_at(step))
        assert not stopped.is_finished
        assert stopped.step == step
    resumed = train(made_store, tmp_path / "parts", settings=settings)
    assert resumed.is_finished
    assert_bit_equal(weights(whole.model_path), weights(resumed.model_path))
    measured = [
        [(row["step"], row["kind"], row["loss"], row["mean_average_precision"]) for row in read_metrics(path)]
        for path in (tmp_path / "whole" / "metrics.csv", tmp_path / "parts" / "metrics.csv")
    ]
    assert measured[0] == measured[1]


def test_killed_and_resumed_is_bit_identical(made_store: Store, tmp_path: Path) -> None:
    """SIGKILL through the command line, at a moment that nothing is prepared for."""
    command = [
        *(sys.executable, "-m", "earwitness", "train", str(made_store.folder), str(tmp_path / "killed")),
        *("--network", "fully_connected", "--width", "0.03", "--steps", "1000", "--batch-size", "16"),
        *("--learning-rate", "0.001", "--validation-share", "0", "--threads", "1", "--precision", "float32"),
        *("--checkpoint-seconds", "0.2"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was to be killed before its end"
    assert checkpoint.exists()
    settings = replace(QUICK, steps=1000, validation_share=0.0)
    resumed = train(made_store, tmp_path / "killed", settings=settings)
    whole = train(made_store, tmp_path / "whole", settings=settings)
    assert_bit_equal(weights(whole.model_path), weights(resumed.model_path))


def test_continuing_a_finished_run_equals_a_longer_one(made_store: Store, tmp_path: Path) -> None:
    longer = replace(QUICK, steps=40)
    whole = train(made_store, tmp_path / "whole", settings=longer)
    train(made_store, tmp_path / "parts", settings=replace(QUICK, steps=20))
    continued = train(made_store, tmp_path / "parts", settings=longer)
    assert_bit_equal(weights(whole.model_path), weights(continued.model_path))


def test_finished_run_is_left_alone(made_store: Store, tmp_path: Path) -> None:
    first = train(made_store, tmp_path / "run", settings=QUICK)
    written = first.model_path.stat().st_mtime_ns
    again = train(made_store, tmp_path / "run", settings=QUICK)
    assert again.is_finished
    assert again.model_path.stat().st_mtime_ns == written


def test_seed_decides_the_weights(made_store: Store, tmp_path: Path) -> None:
    a = train(made_store, tmp_path / "a", settings=QUICK)
    torch.manual_seed(99)  # the caller's random state must not matter
    b = train(made_store, tmp_path / "b", settings=QUICK)
    c = train(made_store, tmp_path / "c", settings=replace(QUICK, seed=2, validation_where="fold = 1"))
    assert_bit_equal(weights(a.model_path), weights(b.model_path))
    assert not torch.equal(weights(a.model_path)["head.weight"], weights(c.model_path)["head.weight"])


def test_watched_clips_are_never_learnt_from_and_groups_stay_together(made_store: Store) -> None:
    groups = np.array(made_store.clips["group"].to_pylist())
    num_watched = []
    for seed in range(20):
        clips = choose_clips(made_store, replace(QUICK, seed=seed, where="fold <> 3"))
        assert not set(clips.train) & set(clips.validation)
        assert not set(groups[clips.train]) & set(groups[clips.validation])
        assert set(clips.train) | set(clips.validation) == set(made_store.select("fold <> 3"))
        num_watched.append(len(clips.validation))
    assert 0.1 < np.mean(num_watched) / len(made_store.select("fold <> 3")) < 0.3
    by_where = choose_clips(made_store, replace(QUICK, validation_where="fold = 4"))
    assert by_where.validation.tolist() == made_store.select("fold = 4").tolist()
    assert by_where.train.tolist() == made_store.select("fold <> 4").tolist()


def test_clip_scores_are_means_of_patch_probabilities(made_store: Store, tmp_path: Path) -> None:
    """Against the slow obvious way: one clip, one patch at a time."""
    model = load_model(train(made_store, tmp_path / "run", settings=QUICK).model_path)
    clips = made_store.select("fold in (2, 4)")
    scorer = PatchScorer(model.network, device=torch.device("cpu"))
    with FrameReader(made_store) as reader:
        scores = score_clips(scorer, reader, clips, front_end=model.front_end)
        for row, clip in enumerate(clips):
            frames = reader.read_clip(int(clip)).astype(np.float32)
            patches = [frames[first : first + 96] for first in range(0, len(frames) - 95, 96)]
            with torch.inference_mode():
                each = [torch.sigmoid(model.network(torch.from_numpy(patch)[None]))[0].numpy() for patch in patches]
            np.testing.assert_allclose(scores[row], np.mean(each, axis=0), atol=1e-6)


def test_evaluation_knows_what_was_learnt_from(made_store: Store, tmp_path: Path) -> None:
    summary = train(made_store, tmp_path / "run", settings=replace(QUICK, where="fold <> 1", validation_share=0.0))
    model = load_model(summary.model_path)
    learnt = trained_clips(model, made_store)
    assert learnt is not None
    assert learnt.tolist() == made_store.select("fold <> 1").tolist()
    held_out = evaluate_model(model, made_store, where="fold = 1")
    assert held_out.notes == ()
    assert held_out.baseline is not None
    assert held_out.baseline.mean_auc > 0.8
    everything = evaluate_model(model, made_store)
    assert "24 of the 32 evaluated clips were learnt from" in everything.notes[0]


def test_resuming_with_changed_settings_is_refused(made_store: Store, tmp_path: Path) -> None:
    train(made_store, tmp_path / "run", settings=QUICK)
    with pytest.raises(RunError, match=r"batch_size: 16 before, 8 now"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, batch_size=8))
    with pytest.raises(RunError, match=r"steps: 60 before, 30 now \(more is allowed\)"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, steps=30))


def test_folder_with_something_else_is_refused(made_store: Store, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(RunError, match="not empty and holds no run"):
        train(made_store, tmp_path, settings=QUICK)
    with pytest.raises(RunError, match="this is a file"):
        train(made_store, tmp_path / "holiday.jpg", settings=QUICK)


def test_damaged_checkpoint_is_named(made_store: Store, tmp_path: Path) -> None:
    train(made_store, tmp_path / "run", settings=QUICK, on_progress=stop_at(5))
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match="checkpoint is damaged"):
        train(made_store, tmp_path / "run", settings=QUICK)


def test_divergence_is_said(made_store: Store, tmp_path: Path) -> None:
    """A weight that is no longer a number, as a diverging training leaves it."""
    train(made_store, tmp_path / "run", settings=QUICK, on_progress=stop_at(5))
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    state["network"]["head.bias"][0] = float("nan")
    torch.save(state, checkpoint)
    with pytest.raises(RunError, match=r"no longer a number after step 25; the training diverged.*--learning-rate"):
        train(made_store, tmp_path / "run", settings=QUICK)


def test_too_few_patches(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"fewer than one batch of 4096"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, batch_size=4096))
    assert not (tmp_path / "run").exists()


def test_bad_selections(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="fodl"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, where="fodl = 1"))
    with pytest.raises(SelectionError, match="nothing is left to learn from"):
        train(
            made_store,
            tmp_path / "run",
            settings=replace(QUICK, where="fold = 1", validation_where="fold < 3"),
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"width": 0.0}, "width"),
        ({"patch_hop_frames": 0}, "patch_hop_frames"),
    ],
)
def test_bad_settings(changes: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(QUICK, **changes)  # type: ignore[arg-type]


def test_unknown_network() -> None:
    with pytest.raises(ModelError, match="known: fully_connected, resnet50"):
        TrainSettings(network="resnet")


def test_no_such_device(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="device 'warp' is not to be had here"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, device="warp"))
