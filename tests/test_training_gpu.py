"""Training on a GPU: runs where there is one."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.cli.train_command import train_command
from earwitness.store.order import BatchPlan
from earwitness.store.patches import PatchIndex
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.augment import Augmentation
from earwitness.training.batches import BatchLoader, on_device
from earwitness.training.loop import train
from earwitness.training.measurements import read_measurements
from earwitness.training.settings import LearningRatePlan, SmallData
from test_training import QUICK, stop_at

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

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


def losses(folder: Path) -> list[float]:
    rows = read_measurements(folder / "metrics.csv")
    return [float(row["loss"]) for row in rows if row["kind"] == "train"]


def test_batches_are_those_of_the_processor(made_store: Store) -> None:
    """Copied on a stream of their own, while the device is kept at work."""
    index = PatchIndex(made_store.frames_per_clip, made_store.select(None), patch_frames=96, hop_frames=96)
    plan = BatchPlan(index.num_patches, batch_size=16, seed=5)
    augmentation = Augmentation(settings=EVERYTHING, seed=5, patch_frames=96, num_bands=64, embedding_size=30)
    batches = {}
    with FrameReader(made_store) as reader:
        for name in ("cpu", "cuda"):
            device = torch.device(name)
            with BatchLoader(reader, index, plan, augmentation=augmentation, pin_memory=name == "cuda") as loader:
                batches[name] = []
                for batch in on_device(loader.batches(0, 20), device, num_labels=3):
                    work = torch.randn(2_000, 2_000, device=device)
                    for _ in range(3):
                        work = work @ work
                    kept = None if batch.kept is None else batch.kept.cpu()
                    batches[name].append((batch.patches.cpu(), batch.targets.cpu(), kept))
    for here, there in zip(*batches.values(), strict=True):
        for ours, theirs in zip(here, there, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("compiled", ["never", pytest.param("always", marks=pytest.mark.slow)])
@pytest.mark.parametrize("network", ["fully_connected", "resnet50"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own
def test_losses_are_those_of_the_processor(made_store: Store, tmp_path: Path, network: str, compiled: str) -> None:
    settings = replace(QUICK, network=network, width=0.0625, steps=20, validation_every=5, small_data=EVERYTHING)
    train(made_store, tmp_path / "cpu", settings=replace(settings, device="cpu"))
    train(made_store, tmp_path / "gpu", settings=replace(settings, device="cuda", compile=compiled))  # type: ignore[arg-type]
    np.testing.assert_allclose(losses(tmp_path / "gpu"), losses(tmp_path / "cpu"), rtol=0.02)


def test_bfloat16_resumes(made_store: Store, tmp_path: Path) -> None:
    plan = LearningRatePlan(rate_plan="cosine", warmup_steps=5)
    settings = replace(QUICK, network="resnet50", width=0.0625, steps=40, plan=plan, accumulate=2)
    settings = replace(settings, device="cuda", precision="bfloat16", small_data=EVERYTHING)
    train(made_store, tmp_path / "whole", settings=settings)
    assert not train(made_store, tmp_path / "parts", settings=settings, on_progress=stop_at(17)).is_finished
    assert train(made_store, tmp_path / "parts", settings=settings).is_finished
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(tmp_path / "whole"), rtol=0.05)


def test_batch_norm_shared_by_one_process(made_store: Store, tmp_path: Path) -> None:
    settings = replace(QUICK, network="resnet50", width=0.0625, steps=4, device="cuda", sync_batch_norm=True)
    assert train(made_store, tmp_path / "run", settings=settings).is_finished


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("network", ["fully_connected", "resnet50"])
def test_two_gpus_are_as_one(made_store: Store, tmp_path: Path, network: str) -> None:
    """With batch norm over the patches of both, so that a network that has it gives the same losses, too."""
    settings = replace(QUICK, network=network, width=0.0625, steps=20, validation_every=5, sync_batch_norm=True)
    train(made_store, tmp_path / "one", settings=replace(settings, device="cuda:0"))
    command = train_command(made_store.folder, tmp_path / "two", settings=settings, recipe="paper")
    words = shlex.split(command)[1:]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, "-m", "earwitness", *words], check=True, timeout=240)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=0.02)
