"""What a training may be asked for beyond the paper's recipe: that each thing does what it says, and resumes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import tyro
from scipy import stats
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes

from earwitness.cli.crossvalidate import CrossValidate
from earwitness.cli.main import command_line
from earwitness.cli.train import Train
from earwitness.errors import DivergedError, RunError, SettingsError
from earwitness.models.model_file import load_model
from earwitness.models.registry import create_network
from earwitness.store.read import Store
from earwitness.training.augment import Augmentation, Draws, augmented
from earwitness.training.averaging import AveragedNetwork
from earwitness.training.clips import TrainingClips, clip_groups, num_shared_groups
from earwitness.training.distributed import Processes
from earwitness.training.learner import make_optimizer
from earwitness.training.learning_rate import learning_rate
from earwitness.training.loop import train
from earwitness.training.measurements import read_measurements
from earwitness.training.random_draws import uniform_draws
from earwitness.training.recipes import RECIPES, recipe, without_patch_changes
from earwitness.training.settings import LearningRatePlan, SmallData, TrainSettings
from test_training import QUICK, assert_bit_equal, stop_at, weights

EVERYTHING = SmallData(
    balanced=True,
    time_shift_frames=30,
    mixup=0.4,
    mask_frames=20,
    mask_bands=10,
    dropout=0.3,
    weight_decay=0.01,
    average_decay=0.9,
)


def rates(settings: TrainSettings) -> list[float]:
    return [learning_rate(settings, step) for step in range(settings.steps)]


class TestLearningRate:
    def test_by_hand(self) -> None:
        settings = replace(QUICK, steps=10, learning_rate=0.1)
        assert rates(settings) == [0.1] * 10
        plan = LearningRatePlan(warmup_steps=4, drop_steps=(6, 8), drop_factor=0.5)
        expected = [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
        assert rates(replace(settings, plan=plan)) == pytest.approx(expected)

    def test_cosine_as_torch_has_it(self) -> None:
        settings = replace(QUICK, steps=30, learning_rate=0.2, plan=LearningRatePlan(rate_plan="cosine"))
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
        for ours in rates(settings):
            assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
            optimizer.step()
            schedule.step()
        warm = rates(replace(settings, plan=LearningRatePlan(rate_plan="cosine", warmup_steps=10)))
        assert max(warm) == warm[9] == warm[10] == 0.2
        assert warm[-1] > 0

    def test_is_what_the_optimiser_uses(self, made_store: Store, tmp_path: Path) -> None:
        plan = LearningRatePlan(drop_steps=(50,), drop_factor=1e-9)
        train(made_store, tmp_path / "run", settings=replace(QUICK, plan=plan, steps=50))
        before = weights(tmp_path / "run" / "model.safetensors")
        train(made_store, tmp_path / "run", settings=replace(QUICK, plan=plan, steps=60))
        for name, tensor in weights(tmp_path / "run" / "model.safetensors").items():
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=1e-9)
        rows = read_measurements(tmp_path / "run" / "metrics.csv")
        assert [float(row["learning_rate"]) for row in rows if row["kind"] == "train"] == [1e-3, 1e-3, 1e-12]
        assert all(0 <= float(row["waiting_share"]) <= 1 for row in rows if row["kind"] == "train")


class TestRandomDraws:
    def test_against_the_generator_itself(self) -> None:
        """SplitMix64, number after number, from its description."""
        mask = 2**64 - 1
        state = int.from_bytes(hashlib.sha256(b"7/shift/3").digest()[:8], "little")
        numbers = []
        for _ in range(12):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            numbers.append(((z ^ (z >> 31)) >> 11) / 2**53)
        draws = uniform_draws(seed=7, purpose="shift", step=3, positions=np.arange(4), count=3)
        np.testing.assert_array_equal(draws.ravel(), numbers)
        some = uniform_draws(seed=7, purpose="shift", step=3, positions=np.array([2, 3]), count=3)
        np.testing.assert_array_equal(some, draws[2:])

    def test_look_random(self) -> None:
        draws = np.concatenate(
            [uniform_draws(seed=1, purpose="x", step=s, positions=np.arange(64), count=2) for s in range(100)]
        )
        assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(draws.T)[0, 1]) < 0.05
        assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.05


def augmentation(**settings: Any) -> Augmentation:
    return Augmentation(settings=SmallData(**settings), seed=3, patch_frames=96, num_bands=64, embedding_size=50)


class TestAugmentation:
    def test_off_is_nothing(self) -> None:
        nothing = augmentation()
        assert nothing.draw(step=1, positions=np.arange(8)) == Draws()
        firsts = np.array([0, 96, 5])
        assert nothing.shift(firsts, firsts + 96, step=1, positions=np.arange(3)) is firsts

    def test_shifts_reach_everything_within_the_clip(self) -> None:
        firsts, lengths = np.tile([0, 96, 100, 0], 5_000), np.tile([192, 300, 196, 96], 5_000)
        shifted = augmentation(time_shift_frames=20).shift(firsts, lengths, step=0, positions=np.arange(20_000))
        expected = [range(21), range(76, 117), range(80, 101), range(1)]
        for clip, allowed in enumerate(expected):
            values, counts = np.unique(shifted[clip::4], return_counts=True)
            assert values.tolist() == list(allowed)
            assert counts.min() > 0.5 * counts.mean()

    def test_shares_are_beta(self) -> None:
        shares = augmentation(mixup=0.4).draw(step=2, positions=np.arange(5_000)).shares
        assert shares is not None
        assert stats.kstest(shares.numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-4

    def test_stripes_and_dropout_are_as_wide_as_asked(self) -> None:
        draws = augmentation(mask_frames=20, mask_bands=100, dropout=0.3).draw(step=2, positions=np.arange(5_000))
        assert draws.frames is not None
        assert draws.bands is not None
        assert draws.kept is not None
        for stripes, widest, size in ((draws.frames, 20, 96), (draws.bands, 64, 64)):
            widths = stripes[..., 1] - stripes[..., 0]
            assert (widths.min(), widths.max()) == (0, widest)
            assert (stripes.min(), stripes.max()) == (0, size)
        assert draws.kept.shape == (5_000, 50)
        assert draws.kept.float().mean().item() == pytest.approx(0.7, abs=0.01)

    def test_against_a_loop(self) -> None:
        rng = torch.Generator().manual_seed(1)
        patches, targets = torch.randn(6, 96, 64, generator=rng), torch.eye(6, 9)
        draws = augmentation(mixup=0.5, mask_frames=30, mask_bands=20).draw(step=5, positions=np.arange(6))
        assert draws.shares is not None
        assert draws.frames is not None
        assert draws.bands is not None
        result, mixed_targets = augmented(patches, targets, draws)
        for row in range(6):
            other, share = row ^ 1, draws.shares[row].item()
            expected = share * patches[row] + (1 - share) * patches[other]
            mean = expected.mean()
            for first, stop in draws.frames[row].tolist():
                expected[first:stop] = mean
            for first, stop in draws.bands[row].tolist():
                expected[:, first:stop] = mean
            torch.testing.assert_close(result[row], expected)
            torch.testing.assert_close(mixed_targets[row], share * targets[row] + (1 - share) * targets[other])


def test_average_against_a_loop() -> None:
    """With batch norm, whose count of batches is a whole number and cannot be averaged."""
    torch.manual_seed(0)
    network, copy = (create_network("resnet50", num_labels=3, width=0.0625) for _ in range(2))
    copy.load_state_dict(network.state_dict())
    averaged = AveragedNetwork(copy, decay=0.8)
    expected = {name: tensor.clone().double() for name, tensor in network.state_dict().items()}
    for step in range(1, 50):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor += 1 if tensor.dtype == torch.int64 else torch.randn(tensor.shape)
        averaged.follow(network, step=step)
        decay = min(0.8, step / (step + 9))
        for name, tensor in network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor if tensor.is_floating_point() else tensor
    for name, tensor in copy.state_dict().items():
        torch.testing.assert_close(tensor.double(), expected[name].double(), rtol=1e-4, atol=1e-5)


def test_weight_decay_spares_vectors() -> None:
    network = create_network("resnet50", num_labels=3, width=0.0625)
    plain = make_optimizer(network, QUICK, torch.device("cpu"))
    assert type(plain) is torch.optim.Adam
    decaying = make_optimizer(network, replace(QUICK, small_data=SmallData(weight_decay=0.1)), torch.device("cpu"))
    assert isinstance(decaying, torch.optim.AdamW)
    by_decay = {group["weight_decay"]: {p.ndim for p in group["params"]} for group in decaying.param_groups}
    assert by_decay == {0.1: {2, 4}, 0.0: {1}}
    assert sum(len(group["params"]) for group in decaying.param_groups) == len(list(network.parameters()))


def test_parts_of_a_batch_make_the_same_update(made_store: Store, tmp_path: Path) -> None:
    for parts in (1, 4):
        train(made_store, tmp_path / str(parts), settings=replace(QUICK, steps=10, accumulate=parts))
    whole, in_parts = (weights(tmp_path / str(parts) / "model.safetensors") for parts in (1, 4))
    for name in whole:  # to rounding, over ten updates
        torch.testing.assert_close(whole[name], in_parts[name], rtol=1e-3, atol=1e-5)


def test_everything_at_once_resumes_to_the_bit_and_learns(made_store: Store, tmp_path: Path) -> None:
    plan = LearningRatePlan(rate_plan="cosine", warmup_steps=10)
    settings = replace(QUICK, steps=200, batch_size=32, small_data=EVERYTHING, plan=plan, accumulate=2)
    whole = train(made_store, tmp_path / "whole", settings=settings)
    for step in (7, 110):
        assert not train(made_store, tmp_path / "parts", settings=settings, on_progress=stop_at(step)).is_finished
    parts = train(made_store, tmp_path / "parts", settings=settings)
    assert_bit_equal(weights(whole.model_path), weights(parts.model_path))
    assert whole.best_path is not None
    assert parts.best_path is not None
    assert whole.best_step == parts.best_step
    assert_bit_equal(weights(whole.best_path), weights(parts.best_path))
    rows = [row for row in read_measurements(tmp_path / "whole" / "metrics.csv") if row["kind"] == "train"]
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])


class TestBestAndEarlyStop:
    # So small a rate changes nothing, so no validation is better than the first.
    settings = replace(QUICK, steps=200, validation_every=10, learning_rate=1e-12, stop_after=2)

    def test_ends_when_nothing_gets_better(self, made_store: Store, tmp_path: Path) -> None:
        summary = train(made_store, tmp_path / "run", settings=self.settings)
        assert summary.is_finished
        assert summary.stopped_early
        assert (summary.step, summary.best_step) == (30, 10)
        assert load_model(summary.model_path).provenance["step"] == 30
        assert summary.best_path is not None
        assert load_model(summary.best_path).provenance["step"] == 10
        again = train(made_store, tmp_path / "run", settings=self.settings)
        assert again.was_finished
        assert again.is_finished
        longer = train(made_store, tmp_path / "run", settings=replace(self.settings, stop_after=3))
        assert (longer.step, longer.best_step, longer.was_finished) == (40, 10, False)

    def test_best_is_of_the_highest_map(self, made_store: Store, tmp_path: Path) -> None:
        settings = replace(self.settings, learning_rate=1e-3, stop_after=None, steps=100)
        summary = train(made_store, tmp_path / "run", settings=settings)
        rows = [r for r in read_measurements(tmp_path / "run" / "metrics.csv") if r["kind"] == "validation"]
        highest = max(rows, key=lambda row: float(row["mean_average_precision"]))  # the first of equal ones
        assert summary.best_step == int(highest["step"])

    def test_no_clip_watched_no_best(self, made_store: Store, tmp_path: Path) -> None:
        summary = train(made_store, tmp_path / "run", settings=replace(QUICK, steps=5, validation_share=0.0))
        assert summary.best_path is None
        assert not (tmp_path / "run" / "best.safetensors").exists()


def test_checkpoint_before_divergence_is_kept(made_store: Store, tmp_path: Path) -> None:
    """A loss that is no number any more must not take the place of the weights before."""
    settings = replace(QUICK, checkpoint_seconds=1e-9, validation_share=0.0)
    train(made_store, tmp_path / "run", settings=settings, on_progress=stop_at(5))
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    state["network"]["head.bias"][0] = float("nan")
    torch.save(state, checkpoint)
    spoilt = checkpoint.read_bytes()
    with pytest.raises(RunError, match=r"no longer a number after step 6; .*--learning-rate.*--warmup-steps"):
        train(made_store, tmp_path / "run", settings=settings)
    assert checkpoint.read_bytes() == spoilt


def test_weights_that_the_last_update_spoils(made_store: Store, tmp_path: Path) -> None:
    """The loss before it is still a number; neither model nor checkpoint may have what came after it."""
    settings = replace(QUICK, validation_share=0.0, steps=6)
    train(made_store, tmp_path / "run", settings=settings, on_progress=stop_at(5))
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    state["optimizer"]["state"][0]["exp_avg"][0] = float("inf")
    torch.save(state, checkpoint)
    spoilt = checkpoint.read_bytes()
    with pytest.raises(DivergedError, match=r"a loss or weight is no longer a number after step 6"):
        train(made_store, tmp_path / "run", settings=settings)
    assert checkpoint.read_bytes() == spoilt
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_more_memory_than_there_is(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"does not fit into the memory of the device \(.*\); try --accumulate"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, num_units=10**12))
    assert not (tmp_path / "run").exists()


def test_undefined_figures_end_nothing(made_store: Store, tmp_path: Path) -> None:
    """Clips that all have the same labels give no mAP, so it cannot get worse."""
    settings = replace(QUICK, validation_where="clip_id = 'clip-00'", steps=6, validation_every=2, stop_after=1)
    summary = train(made_store, tmp_path / "run", settings=settings)
    assert (summary.step, summary.stopped_early, summary.best_path) == (6, False, None)


def test_changed_choices_are_refused(made_store: Store, tmp_path: Path) -> None:
    cosine = replace(QUICK, steps=20, plan=LearningRatePlan(rate_plan="cosine"))
    train(made_store, tmp_path / "run", settings=cosine)
    with pytest.raises(RunError, match=r"steps: 20 before, 30 now \(the cosine ends at the last step\)"):
        train(made_store, tmp_path / "run", settings=replace(cosine, steps=30))
    with pytest.raises(RunError, match=r"mixup: 0\.0 before, 0\.3 now"):
        train(made_store, tmp_path / "run", settings=replace(cosine, small_data=SmallData(mixup=0.3)))


def test_refusals_say_what_settings_came_to(made_store: Store, tmp_path: Path) -> None:
    """And nothing of what only follows from them."""
    own = replace(QUICK, learning_rate=None, steps=2, batch_size=16)
    train(made_store, tmp_path / "run", settings=own)
    with pytest.raises(RunError, match=r"\(learning_rate: the default, 3e-05 before, 0\.001 now\); use"):
        train(made_store, tmp_path / "run", settings=replace(own, learning_rate=1e-3))
    with pytest.raises(RunError, match=r"\(network: 'fully_connected' before, 'vgg' now\); use"):
        train(made_store, tmp_path / "run", settings=replace(own, network="vgg"))
    with pytest.raises(RunError, match=r"\(where: not given before, 'fold != 1' now\); use"):
        train(made_store, tmp_path / "run", settings=replace(own, where="fold != 1"))
    assert train(made_store, tmp_path / "run", settings=replace(own, learning_rate=3e-5)).was_finished
    record = tmp_path / "run" / "run.json"
    values = json.loads(record.read_text())
    values["clips"]["validation_digest"] = "another"
    values["resolved"]["precision"] = "bfloat16"
    record.write_text(json.dumps(values))
    with pytest.raises(
        RunError, match=r"\(precision: bfloat16 before, float32 now \(give --precision bfloat16\)\); use"
    ):
        train(made_store, tmp_path / "run", settings=own)
    values["resolved"]["precision"] = "float32"
    record.write_text(json.dumps(values))
    with pytest.raises(RunError, match="the clips learnt from and watched are not those of before: an earlier version"):
        train(made_store, tmp_path / "run", settings=own)


def test_stripes_as_wide_as_a_patch(made_store: Store, tmp_path: Path) -> None:
    for changes, message in (
        (SmallData(mask_frames=96), "mask_frames=96"),
        (SmallData(mask_bands=64), "mask_bands=64"),
    ):
        with pytest.raises(SettingsError, match=f"{message} may blank out a whole patch"):
            train(made_store, tmp_path / "run", settings=replace(QUICK, small_data=changes))


def test_another_number_of_processes_is_refused(made_store: Store, tmp_path: Path) -> None:
    train(made_store, tmp_path / "run", settings=QUICK, on_progress=stop_at(5))
    record = tmp_path / "run" / "run.json"
    values = json.loads(record.read_text())
    values["resolved"]["processes"] = 2
    record.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"processes: 2 before, 1 now \(start it by torchrun --nproc-per-node 2\)"):
        train(made_store, tmp_path / "run", settings=QUICK)


def test_run_of_an_earlier_version_is_taken_up(made_store: Store, tmp_path: Path) -> None:
    """Its record and checkpoint know nothing of what came since."""
    train(made_store, tmp_path / "run", settings=QUICK, on_progress=stop_at(5))
    record, checkpoint = tmp_path / "run" / "run.json", tmp_path / "run" / "checkpoint.pt"
    values = json.loads(record.read_text())
    for name in ("plan", "small_data", "accumulate", "compile", "stop_after", "bottleneck", "sync_batch_norm"):
        del values["settings"][name]
    del values["resolved"]["processes"]
    record.write_text(json.dumps(values))
    state = torch.load(checkpoint, weights_only=True)
    torch.save({name: state[name] for name in state if name not in ("best", "averaged")}, checkpoint)
    assert train(made_store, tmp_path / "run", settings=QUICK).is_finished
    assert TrainSettings.from_dict(values["settings"]) == QUICK


def test_layers_and_units_are_built(made_store: Store, tmp_path: Path) -> None:
    summary = train(made_store, tmp_path / "run", settings=replace(QUICK, steps=2, num_layers=2, num_units=300))
    network = load_model(summary.model_path).network
    sizes = [layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    assert sizes == [round(300 * QUICK.width)] * 2 + [3]


def test_bottleneck_is_built(made_store: Store, tmp_path: Path) -> None:
    summary = train(made_store, tmp_path / "run", settings=replace(QUICK, steps=2, bottleneck=7))
    assert load_model(summary.model_path).network.embedding_size == 7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own
def test_compiled_is_the_same_to_rounding(made_store: Store, tmp_path: Path) -> None:
    for how in ("never", "always"):
        settings = replace(QUICK, steps=10, compile=how, small_data=SmallData(dropout=0.2))  # type: ignore[arg-type]
        train(made_store, tmp_path / how, settings=settings)
    plain, compiled = (weights(tmp_path / how / "model.safetensors") for how in ("never", "always"))
    assert plain.keys() == compiled.keys()
    for name in plain:
        torch.testing.assert_close(plain[name], compiled[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "processes", "message"),
    [
        ({"batch_size": 16}, 3, "batch_size=16 does not divide among 3 processes; choose a multiple of 3"),
        ({"accumulate": 3}, 1, "batch_size=16 does not divide among accumulate=3; choose a multiple of 3"),
        ({"accumulate": 4}, 3, "among 3 processes with accumulate=4; choose a multiple of 12"),
        ({"accumulate": 8}, 2, "leaves one patch at a time"),
        ({"batch_size": 6, "small_data": SmallData(mixup=0.1)}, 2, "in pairs.*choose a multiple of 4"),
    ],
)
def test_batches_that_do_not_divide(settings: dict[str, Any], processes: int, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(QUICK, **settings).patches_at_once(num_processes=processes)
    assert QUICK.patches_at_once(num_processes=2) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 0}, "accumulate=0"),
        ({"bottleneck": 0}, "bottleneck=0"),
        ({"network": "fully_connected", "num_layers": 0}, "num_layers=0 must be at least 1"),
        ({"network": "vgg", "num_units": 500}, "num_units=500 is for the fully connected network; the layers of vgg"),
        ({"stop_after": 0}, "stop_after=0"),
        ({"stop_after": 3, "validation_share": 0.0}, "stop_after=3 needs clips to watch"),
        ({"plan": LearningRatePlan(warmup_steps=60)}, "warmup_steps=60 leaves nothing of 60 steps for the full rate"),
        ({"plan": LearningRatePlan(drop_steps=(20, 61))}, r"drop_steps=\[20, 61\] go beyond steps=60"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(QUICK, **changes)


@pytest.mark.parametrize(
    ("group", "changes", "message"),
    [
        (LearningRatePlan, {"warmup_steps": -1}, "warmup_steps=-1"),
        (LearningRatePlan, {"drop_steps": (5, 5)}, r"drop_steps=\[5, 5\] must be positive and rising"),
        (LearningRatePlan, {"drop_factor": 1.0}, r"drop_factor=1\.0"),
        (SmallData, {"mixup": -0.1}, r"mixup=-0\.1"),
        (SmallData, {"weight_decay": float("nan")}, "weight_decay=nan"),
        (SmallData, {"dropout": 1.0}, r"dropout=1\.0 must lie in \[0, 1\)"),
    ],
)
def test_bad_groups(group: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        group(**changes)


def test_what_only_gpus_can(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sync_batch_norm: PyTorch synchronises batch norm on GPUs only"):
        train(made_store, tmp_path / "run", settings=replace(QUICK, sync_batch_norm=True, device="cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="device 'cuda' is not to be had here"):
            train(made_store, tmp_path / "run", settings=replace(QUICK, device="cuda"))
    assert not (tmp_path / "run").exists()


def test_a_gpu_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    touched: list[str] = []
    monkeypatch.setattr("torch.cuda.set_device", lambda number: touched.append(f"set to {number}"))
    monkeypatch.setattr(
        "earwitness.training.distributed.choose_device", lambda name: (touched.append(name), torch.device(name))[1]
    )
    for name in ("cuda", "auto"):
        assert Processes(rank=3, count=4, local_rank=1).choose_device(name) == torch.device("cuda", 1)
    assert touched == ["set to 1", "cuda:1"] * 2, "a process has nothing to do with the GPU of another"
    assert Processes(rank=3, count=4, local_rank=1).choose_device("cpu") == torch.device("cpu")
    with pytest.raises(SettingsError, match=r"more processes than GPUs on this machine \(2\)"):
        Processes(rank=2, count=4, local_rank=2).choose_device("cuda")
    with pytest.raises(SettingsError, match="names one GPU for 4 processes"):
        Processes(rank=1, count=4, local_rank=1).choose_device("cuda:0")
    assert Processes().choose_device("cuda:1") == torch.device("cuda", 1)


def parsed(arguments: Sequence[str]) -> Any:
    config = (OmitArgPrefixes, OmitSubcommandPrefixes, FlagCreatePairsOff)
    return tyro.cli(command_line(arguments), args=list(arguments), config=config)


class TestRecipe:
    def test_given_settings_win(self) -> None:
        settings = recipe("small-data", steps=77)
        assert settings == replace(RECIPES["small-data"], steps=77)
        assert recipe("paper") == TrainSettings()
        with pytest.raises(TypeError, match="stepz"):
            recipe("paper", stepz=1)

    def test_on_the_command_line(self) -> None:
        plain = parsed(["train", "S", "R", "--steps", "5"])
        assert isinstance(plain, Train)
        assert plain.settings == TrainSettings(steps=5)
        options = ["--mixup", "0", "--no-balanced", "--drop-steps", "10", "20"]
        small = parsed(["train", "S", "R", *options, "--recipe", "small-data", "--steps", "3000"])
        theirs = RECIPES["small-data"]
        assert small.settings == replace(
            theirs,
            plan=replace(theirs.plan, drop_steps=(10, 20)),
            small_data=replace(theirs.small_data, mixup=0.0, balanced=False),
        )
        folds = parsed(["crossvalidate", "S", "R", "--recipe=small-data"])
        assert isinstance(folds, CrossValidate)
        assert folds.settings == replace(theirs, validation_share=0.0)

    def test_warm_up_of_a_short_training(self, made_store: Store, tmp_path: Path) -> None:
        for steps, expected in ((3_000, 100), (1_000, 100), (300, 30), (5, 0)):
            assert recipe("small-data", steps=steps).effective_warmup_steps == expected
        assert rates(recipe("small-data", steps=300))[:31:10] == pytest.approx(
            [1e-3 / 30, 11e-3 / 30, 21e-3 / 30, 1e-3]
        )
        given = parsed(["train", "S", "R", "--recipe", "small-data", "--steps", "300", "--warmup-steps", "7"])
        assert given.settings.effective_warmup_steps == 7
        own = replace(RECIPES["small-data"], network="fully_connected", width=0.03, steps=20, batch_size=16)
        train(made_store, tmp_path / "run", settings=own)
        assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["plan"]["warmup_steps"] == 2

    def test_for_embeddings(self) -> None:
        theirs = RECIPES["small-data"]
        left = without_patch_changes(theirs, "small-data").small_data
        assert left == SmallData(balanced=True, dropout=0.2, weight_decay=0.01, average_decay=0.995)
        asked = replace(theirs, small_data=replace(theirs.small_data, mixup=0.5))
        assert without_patch_changes(asked, "small-data").small_data.mixup == 0.5, "to be refused"
        assert without_patch_changes(TrainSettings(), "paper") == TrainSettings()

    def test_unknown(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            parsed(["train", "S", "R", "--recipe", "large-data"])
        assert "small-data" in capsys.readouterr().err


class TestGroups:
    """Against the same, written out over Python's lists."""

    @staticmethod
    def made(rng: np.random.Generator, groups: str | None) -> Any:
        size = 700
        columns: dict[str, Any] = {
            "clip_id": [f"clip {row} ü" for row in range(size)],
            "media": [f"/m{number}" for number in rng.integers(0, 200, size)],
        }
        numbers = rng.integers(0, 40, size).tolist()
        if groups == "some":  # one is called as a medium is
            columns["group"] = [[None, "", f"g{number}", f"/m{number}"][number % 4] for number in numbers]
        elif groups == "text":
            columns["group"] = [f"g{number}" for number in numbers]
        elif groups == "numbers":
            columns["group"] = [None if number < 5 else number for number in numbers]
        elif groups == "fractions":
            columns["group"] = [None if number < 5 else number / 4 for number in numbers]
        table = pa.table(columns)
        table = pa.concat_tables([table.slice(0, 300), table.slice(300)])

        class Clips:
            clips_schema = table.schema
            num_clips = size

            def read_clips(self, names: Sequence[str]) -> pa.Table:
                return table.select(list(names))

        return table, Clips()

    @staticmethod
    def written_out(table: pa.Table, clips: np.ndarray) -> list[str]:
        rows = table.take(clips).to_pylist()
        first_id: dict[str, str] = {}
        for row in rows:
            first_id.setdefault(row["media"], row["clip_id"])
        return [
            f"media of {first_id[row['media']]}" if row.get("group") in (None, "") else f"group {row['group']}"
            for row in rows
        ]

    @pytest.mark.parametrize("groups", [None, "some", "text", "numbers", "fractions"])
    def test_groups(self, groups: str | None) -> None:
        rng = np.random.default_rng(3)
        table, store = self.made(rng, groups)
        clips = np.sort(rng.choice(700, 500, replace=False))
        expected = self.written_out(table, clips)
        found = clip_groups(store, clips)
        assert [found.names[int(number)].as_py() for number in found.numbers] == expected

    @pytest.mark.parametrize("groups", [None, "some", "text"])
    def test_shared_groups(self, groups: str | None) -> None:
        table, store = self.made(np.random.default_rng(4), groups)
        sides = np.arange(0, 350), np.arange(350, 700, 5)
        own = [
            {row["media"] if row.get("group") in (None, "") else ("group", row["group"]) for row in side}
            for side in (table.take(clips).to_pylist() for clips in sides)
        ]
        assert num_shared_groups(store, *sides) == len(own[0] & own[1]) > 0

    def test_digests(self) -> None:
        table, store = self.made(np.random.default_rng(5), None)
        sides = [np.arange(0, 700, 3), np.arange(0)]
        described = TrainingClips(train=sides[0], validation=sides[1]).describe(store)
        for side, clips in zip(("train", "validation"), sides, strict=True):
            ids = b"".join(clip_id.encode() + b"\0" for clip_id in table["clip_id"].take(clips).to_pylist())
            assert described[f"{side}_digest"] == hashlib.sha256(ids).hexdigest()[:16]
            assert described[f"num_{side}"] == len(clips)
