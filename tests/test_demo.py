"""The demo as a newcomer types it: interrupted, taken up again, and a second time."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "earwitness", "demo", "--folder", str(folder)]


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder), capture_output=True, text=True, check=True)


def test_demo_learns_and_a_second_call_finds_it_done(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = subprocess.Popen(command(folder), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (folder / "run" / "metrics.csv").exists():
        time.sleep(0.2)
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors

    first = demo(folder).stdout
    row = next(line for line in first.splitlines() if line.startswith("| mAP"))
    model, baseline, chance = (float(cell) for cell in row.split("|")[2:5])
    assert model > 2 * chance
    assert model > baseline + 0.05, "a network has to be worth its trouble"
    found = re.search(r"Timeline, within clips: AUC (\S+) \(chance 0\.5", first)
    assert found is not None
    assert float(found[1]) > 0.6
    page = (folder / "demo.html").read_text(encoding="utf-8")
    assert f"{model:.3f}" in page
    assert "://" not in re.sub(r"data:[^\"']*|xmlns=\S+", "", page), "the page is offline"
    for name in ("timeline.png", "learning_curves.png", "summary.md", "evaluation.json"):
        assert (folder / "report" / name).exists()
    stages = json.loads((folder / "demo.json").read_text())["stages"]
    assert all(stage["is_done"] and stage["seconds"] > 0 for stage in stages.values())

    written = (folder / "run" / "model.safetensors").stat().st_mtime_ns
    second = demo(folder)
    assert "has been done before" in second.stderr
    assert row in second.stdout
    assert json.loads((folder / "demo.json").read_text())["stages"] == stages, "nothing is done again"
    assert (folder / "run" / "model.safetensors").stat().st_mtime_ns == written


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").touch()
    answer = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "the folder is not empty and holds no demo" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
