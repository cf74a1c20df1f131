"""The demo as a newcomer types it, and a second time."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def demo(folder: Path) -> str:
    command = [sys.executable, "-m", "earwitness", "demo", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_demo_learns_and_a_second_call_finds_it_done(tmp_path: Path) -> None:
    first = demo(tmp_path / "demo")
    row = next(line for line in first.splitlines() if line.startswith("| mAP"))
    model, baseline, chance = (float(cell) for cell in row.split("|")[2:5])
    assert model > 2 * chance
    assert model > baseline, "a network has to be worth its trouble"
    for name in ("timeline.png", "learning_curves.png", "summary.md", "evaluation.json"):
        assert (tmp_path / "demo" / "report" / name).exists()
    written = (tmp_path / "demo" / "run" / "model.safetensors").stat().st_mtime_ns
    assert row in demo(tmp_path / "demo")
    assert (tmp_path / "demo" / "run" / "model.safetensors").stat().st_mtime_ns == written
