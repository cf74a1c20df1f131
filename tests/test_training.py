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
import pyarrow as pa
import pytest
import torch

from conftest import MadeSounds
from earwitness.errors import ModelError, RunError, SelectionError, SettingsError, StoreError
from earwitness.experiments.evaluating import evaluate_model
from earwitness.experiments.learnt_clips import training_clips
from earwitness.inference.probabilities import PatchScorer
from earwitness.manifest import Manifest
from earwitness.models.model_file import load_model
from earwitness.scoring.clip_scores import score_clips
from earwitness.store.build import build_store
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings
from earwitness.training.batches import BatchLoader
from earwitness.training.clips import choose_clips
from earwitness.training.loop import TrainProgress, train
from earwitness.training.measurements import read_measurements
from earwitness.training.run_folder import RunFolder
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
        with BatchLoader(reader, index, plan) as loader:
            for step, batch in enumerate(loader.batches(0, 9)):
                ready = batch.to_device(torch.device("cpu"), num_labels=3)
                patches, targets = ready.patches, ready.targets
                batch_clips, first_frames = index.locate(plan.batch(step))
                for row, (clip, first) in enumerate(zip(batch_clips, first_frames, strict=True)):
                    expected = reader.read_clip(int(clip), first_frame=int(first), num_frames=96)
                    np.testing.assert_array_equal(patches[row].numpy(), expected.astype(np.float32))
                    row_labels = made_store.clips["labels"][int(clip)].as_py()
                    assert [made_store.label_set.ids[i] for i in targets[row].nonzero().flatten()] == row_labels


def test_learns_and_watches_and_leaves_a_run_folder(made_store: Store, tmp_path: Path) -> None:
    summary = train(made_store, tmp_path / "run", settings=replace(QUICK, steps=200))
    assert summary.is_finished
    rows = read_measurements(tmp_path / "run" / "metrics.csv")
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
        [(row["step"], row["kind"], row["loss"], row["mean_average_precision"]) for row in read_measurements(path)]
        for path in (tmp_path / "whole" / "metrics.csv", tmp_path / "parts" / "metrics.csv")
    ]
    assert measured[0] == measured[1]


def test_killed_and_resumed_is_bit_identical(made_store: Store, tmp_path: Path) -> None:
    """SIGKILL through the command line, at a moment that nothing is prepared for."""
    command = [
        *(sys.executable, "-m", "earwitness", "train", str(made_store.folder), str(tmp_path / "killed")),
        *("--network", "fully_connected", "--width", "0.03", "--steps", "600", "--batch-size", "16"),
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
    settings = replace(QUICK, steps=600, validation_share=0.0)
    resumed = train(made_store, tmp_path / "killed", settings=settings)
    whole = train(made_store, tmp_path / "whole", settings=settings)
    assert_bit_equal(weights(whole.model_path), weights(resumed.model_path))


def test_continuing_a_finished_run_equals_a_longer_one(made_store: Store, tmp_path: Path) -> None:
    longer = replace(QUICK, steps=40)
    whole = train(made_store, tmp_path / "whole", settings=longer)
    train(made_store, tmp_path / "parts", settings=replace(QUICK, steps=20))
    continued = train(made_store, tmp_path / "parts", settings=longer)
    assert_bit_equal(weights(whole.model_path), weights(continued.model_path))


def test_fewer_steps_than_asked_for_at_first(made_store: Store, tmp_path: Path) -> None:
    """Who has seen enough can have the model of a step that is not passed."""
    train(made_store, tmp_path / "run", settings=QUICK, on_progress=stop_at(20))
    with pytest.raises(RunError, match="steps: 20 are done, 10 now"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, steps=10))
    short = train(made_store, tmp_path / "run", settings=replace(QUICK, steps=20))
    whole = train(made_store, tmp_path / "whole", settings=replace(QUICK, steps=20))
    assert short.is_finished
    assert_bit_equal(weights(whole.model_path), weights(short.model_path))


def test_finished_run_is_left_alone(made_store: Store, tmp_path: Path) -> None:
    first = train(made_store, tmp_path / "run", settings=QUICK)
    written = first.model_path.stat().st_mtime_ns
    again = train(made_store, tmp_path / "run", settings=QUICK)
    assert again.is_finished
    assert again.model_path.stat().st_mtime_ns == written


def test_seed_decides_the_weights(made_store: Store, tmp_path: Path) -> None:
    watch_none = replace(QUICK, validation_share=0.0)  # the seed also decides which clips are watched
    a = train(made_store, tmp_path / "a", settings=watch_none)
    torch.manual_seed(99)  # the caller's random state must not matter
    b = train(made_store, tmp_path / "b", settings=watch_none)
    c = train(made_store, tmp_path / "c", settings=replace(watch_none, seed=2))
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
    clips = training_clips(model.provenance, made_store)
    assert not isinstance(clips, str)
    assert clips.train.tolist() == made_store.select("fold <> 1").tolist()
    held_out = evaluate_model(model, made_store, where="fold = 1")
    assert not any("learnt from in training" in note for note in held_out.notes)
    assert held_out.baseline is not None
    assert held_out.baseline.mean_auc > 0.8
    everything = evaluate_model(model, made_store)
    assert any("24 of the 32 evaluated clips were learnt from" in note for note in everything.notes)
    assert not any("were watched" in note for note in everything.notes)


def test_evaluation_knows_what_was_watched(made_store: Store, tmp_path: Path) -> None:
    """By it the best model is chosen, and where a training ends early."""
    settings = replace(QUICK, where="fold <> 1", validation_where="fold = 1", steps=5)
    summary = train(made_store, tmp_path / "run", settings=settings)
    assert summary.best_path is not None
    notes = evaluate_model(load_model(summary.best_path), made_store, where="fold in (1, 2)").notes
    assert any("8 of the 16 evaluated clips were watched in training" in note for note in notes)


def test_clips_that_an_earlier_version_chose_cannot_be_told(made_store: Store, tmp_path: Path) -> None:
    model = load_model(train(made_store, tmp_path / "run", settings=replace(QUICK, steps=2)).model_path)
    clips = {**model.provenance["clips"], "validation_digest": "another"}
    earlier = replace(model, provenance={**model.provenance, "clips": clips})
    outcome = evaluate_model(earlier, made_store)
    assert outcome.baseline is None
    assert any(
        "cannot be told, and there is no baseline: the model was trained by another version" in note
        for note in outcome.notes
    )


def test_resuming_with_changed_settings_is_refused(made_store: Store, tmp_path: Path) -> None:
    train(made_store, tmp_path / "run", settings=QUICK)
    with pytest.raises(RunError, match=r"batch_size: 16 before, 8 now"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, batch_size=8))
    with pytest.raises(RunError, match=r"steps: 60 are done, 30 now \(more is allowed\)"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, steps=30))


def test_continued_run_that_dies_before_its_model_is_written(
    made_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model of fewer steps must never pass for the model of more."""
    train(made_store, tmp_path / "run", settings=replace(QUICK, steps=20))
    longer = replace(QUICK, steps=40)
    with monkeypatch.context() as patch:
        patch.setattr("earwitness.training.loop.save_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(made_store, tmp_path / "run", settings=longer)
    assert not RunFolder(tmp_path / "run").model_path.exists()
    continued = train(made_store, tmp_path / "run", settings=longer)
    whole = train(made_store, tmp_path / "whole", settings=longer)
    assert_bit_equal(weights(whole.model_path), weights(continued.model_path))


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_corrected_folds_are_another_store(made_sounds: MadeSounds, tmp_path: Path) -> None:
    """Otherwise clips that were learnt from would be evaluated on, unseen."""
    summaries = []
    for name, shift in (("before", 0), ("after", 1)):
        rows = made_sounds.manifest.table.to_pylist()
        table = pa.Table.from_pylist([{**row, "fold": (row["fold"] + shift) % 4} for row in rows])
        build_store(Manifest.from_table(table), tmp_path / name, settings=BuildSettings(workers=1))
        summaries.append(Store.open(tmp_path / name))
    settings = replace(QUICK, where="fold <> 1", steps=5)
    model = load_model(train(summaries[0], tmp_path / "run", settings=settings).model_path)
    assert training_clips(model.provenance, summaries[1]) == "the model was trained on another store"
    with pytest.raises(RunError, match=r"store: .* before, .* now"):
        train(summaries[1], tmp_path / "run", settings=settings)


def test_threads_of_the_run_are_used_again(made_store: Store, tmp_path: Path) -> None:
    unset = replace(QUICK, threads=None)
    train(made_store, tmp_path / "run", settings=QUICK, on_progress=stop_at(5))
    with pytest.raises(RunError, match=r"threads: 1 before, 2 now \(give --threads 1\)"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, threads=2))
    torch.set_num_threads(2)
    assert train(made_store, tmp_path / "run", settings=unset).is_finished
    assert torch.get_num_threads() == 1


def test_one_process_at_a_time(made_store: Store, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.held(), pytest.raises(RunError, match="another process is training in this folder"):
        train(made_store, run.folder, settings=QUICK)


def test_trouble_in_the_work_is_not_blamed_on_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), RunFolder(tmp_path / "run").held():
        raise FileNotFoundError("elsewhere")


def test_bad_settings_do_not_spoil_the_folder(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="leaves nothing of a layer"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, width=1e-4))
    assert train(made_store, tmp_path / "run", settings=QUICK).is_finished


def test_foreign_record_is_refused(made_store: Store, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"a": 1}')
    with pytest.raises(RunError, match="not a readable record of a run"):
        train(made_store, tmp_path / "run", settings=QUICK)


def test_leftovers_of_a_killed_beginning_do_no_harm(made_store: Store, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json.partial").write_text("{")
    assert train(made_store, tmp_path / "run", settings=QUICK).is_finished


def test_full_disk_says_so_and_keeps_the_last_checkpoint(made_store: Store, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk; it must end in a sentence, and never hang."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "from earwitness.cli.main import main\n"
        "main()"
    )
    arguments = ["train", str(made_store.folder), str(tmp_path / "run"), "--network", "fully_connected"]
    arguments += ["--width", "0.03", "--steps", "200000", "--batch-size", "16", "--validation-share", "0"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--checkpoint-seconds", "0.5"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_folder_with_something_else_is_refused(made_store: Store, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(RunError, match="not empty and holds no run"):
        train(made_store, tmp_path, settings=QUICK)
    with pytest.raises(RunError, match="lies in, a file"):
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
    with pytest.raises(SelectionError, match=r"^--validation-where 'fold = 9' is true for none"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, validation_where="fold = 9"))
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
    with pytest.raises(ModelError, match=r"unknown network 'resnet'; known: .*did you mean 'resnet50'"):
        TrainSettings(network="resnet")


def test_no_such_device(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown device 'warp'; use auto, cpu, cuda"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, device="warp"))
