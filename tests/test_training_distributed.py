"""Several processes as one training: the same batches and losses, and the same weights after a stop or a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from earwitness.models.model_file import load_model
from earwitness.store.read import Store
from earwitness.training.loop import train
from earwitness.training.measurements import read_measurements
from trainings_under_torchrun import PLAIN, run

SCRIPT = Path(__file__).with_name("trainings_under_torchrun.py")
JOBS = ["plain", "everything", "accumulate", "convolutions", "stopped"]

FOUR_PLAIN, FOUR_EVERYTHING = (pytest.param(4, job, marks=pytest.mark.slow) for job in ("plain", "everything"))

ROUNDING = 2e-5
"""Relative: float32 sums in another order, over eight updates."""


def torchrun(count: int, *arguments: object) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)),
        *map(str, arguments),
    ]


def weights(run_folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(run_folder / "model.safetensors").network.state_dict())


def losses(run_folder: Path) -> list[tuple[str, str, float]]:
    rows = read_measurements(run_folder / "metrics.csv")
    return [(r["step"], r["kind"], float(r["loss"] or r["mean_average_precision"])) for r in rows]


class Trainings(dict[int, Path]):
    """All jobs in one, two or four processes: by their number, the folder of the jobs. Made when they are asked for."""

    def __init__(self, store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self._store = store
        self._tmp_path_factory = tmp_path_factory

    def __missing__(self, count: int) -> Path:
        folder = self[count] = self._tmp_path_factory.mktemp(f"processes-{count}")
        for job in JOBS:
            (folder / job).mkdir()
        if count == 1:
            for job in JOBS:
                run(self._store, folder, job)
            return folder
        jobs = JOBS if count == 2 else JOBS[:2]
        command = torchrun(count, SCRIPT, self._store.folder, folder, *jobs)
        result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert result.returncode == 0, result.stderr
        return folder


@pytest.fixture(scope="module")
def trainings(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    return Trainings(made_store, tmp_path_factory)


@pytest.mark.parametrize(("count", "job"), [(2, "plain"), FOUR_PLAIN, (2, "everything"), FOUR_EVERYTHING])
def test_together_the_batches_of_one_process(trainings: Trainings, count: int, job: str) -> None:
    """Patches, and all that is drawn for them, at every step."""
    alone = json.loads((trainings[1] / job / "read-0.json").read_text())
    shares = [json.loads((trainings[count] / job / f"read-{rank}.json").read_text()) for rank in range(count)]
    together = [[row for share in shares for row in share[step]] for step in range(len(alone))]
    assert len(alone) == 8
    assert [len(batch) for batch in alone] == [16] * 8
    assert together == alone


@pytest.mark.parametrize(
    ("count", "job"), [(2, "plain"), FOUR_PLAIN, (2, "everything"), FOUR_EVERYTHING, (2, "accumulate")]
)
def test_the_same_losses_and_weights_to_rounding(trainings: Trainings, count: int, job: str) -> None:
    """For a network without batch norm."""
    alone, together = (trainings[number] / job / "run" for number in (1, count))
    for one, other in zip(losses(alone), losses(together), strict=True):
        assert one[:2] == other[:2]
        assert one[2] == pytest.approx(other[2], rel=ROUNDING if one[1] == "train" else 0.05)
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(tensor, weights(together)[name], rtol=1e-3, atol=1e-5)


def test_only_the_first_writes_and_says_how_many(trainings: Trainings) -> None:
    folder = trainings[2] / "plain" / "run"
    assert json.loads((folder / "run.json").read_text())["resolved"]["processes"] == 2
    assert [row["step"] for row in read_measurements(folder / "metrics.csv")] == ["4", "4", "8", "8"]


def test_stopped_by_one_process_and_resumed_is_bit_identical(trainings: Trainings) -> None:
    """Statistics of batch norm included, which all processes have a share in."""
    whole, parts = (weights(trainings[2] / job / "run") for job in ("convolutions", "stopped"))
    assert whole.keys() == parts.keys()
    for name in whole:
        assert torch.equal(whole[name], parts[name]), name


def command_line(store: Store, run_folder: Path, *options: object) -> list[str]:
    return torchrun(
        *(2, "-m", "earwitness", "train", store.folder, run_folder, "--network", "fully_connected", "--width", 0.03),
        *("--batch-size", 16, "--learning-rate", 0.001, "--validation-share", 0, "--threads", 1),
        *("--precision", "float32", "--checkpoint-seconds", 0.3, *options),
    )


def children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
@pytest.mark.slow
def test_killed_process_ends_the_job_which_resumes(made_store: Store, tmp_path: Path) -> None:
    command = command_line(made_store, tmp_path / "killed", "--steps", 600)
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.02)
    workers = children(job.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    _, errors = job.communicate(timeout=60)
    assert job.returncode != 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert "process 0 of 2 has lost another one" in errors
    assert not (tmp_path / "killed" / "model.safetensors").exists()

    resumed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("over 2 processes") == 1
    whole = command_line(made_store, tmp_path / "whole", "--steps", 600)
    subprocess.run(whole, capture_output=True, timeout=120, check=True)
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "killed")[name]), name


def sentences(command: list[str]) -> list[str]:
    """What a training that must be refused or fail says."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode != 0
    return [line for line in result.stderr.splitlines() if line.startswith("earwitness: ")]


def test_what_cannot_be_is_said_once(made_store: Store, tmp_path: Path) -> None:
    command = command_line(made_store, tmp_path / "run", "--steps", 10, "--batch-size", 17)
    assert sentences(command) == ["earwitness: batch_size=17 does not divide among 2 processes; choose a multiple of 2"]
    assert not (tmp_path / "run").exists()


def test_each_machine_is_told_the_same(made_store: Store, tmp_path: Path) -> None:
    """Otherwise the weights of the processes would part in silence."""
    command = command_line(made_store, tmp_path / "run", "--steps", 10)
    code = (
        "import os, sys\n"
        "sys.argv += ['--learning-rate', '0.002'] if os.environ['RANK'] == '1' else []\n"
        "from earwitness.cli.main import main\n"
        "main()"
    )
    (tmp_path / "unlike.py").write_text(code)
    at = command.index("earwitness")
    assert sentences([*command[: at - 1], str(tmp_path / "unlike.py"), *command[at + 1 :]]) == [
        "earwitness: learning_rate of the processes differ (0: 0.001, 1: 0.002); all must have the same"
    ]
    assert not (tmp_path / "run").exists()


def test_divergence_is_said_once(made_store: Store, tmp_path: Path) -> None:
    train(made_store, tmp_path / "run", settings=replace(PLAIN, validation_share=0.0, steps=4))
    record, checkpoint = tmp_path / "run" / "run.json", tmp_path / "run" / "checkpoint.pt"
    record.write_text(record.read_text().replace('"processes": 1', '"processes": 2'))  # starting two takes time
    state = torch.load(checkpoint, weights_only=True)
    state["network"]["head.bias"][0] = float("nan")
    torch.save(state, checkpoint)
    (said,) = sentences(command_line(made_store, tmp_path / "run", "--steps", 6))
    assert "no longer a number after step 6; the training diverged" in said
