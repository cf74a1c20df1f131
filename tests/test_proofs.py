"""The proofs of `benchmarks/` on a small scale: killed builds are resumed, mutated media do no harm."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes through /proc")


def prove(script, *arguments):
    """Run a benchmark that exits with 0 only where everything held; returns what it printed."""
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow  # `test_store_build.py` kills builds faster
def test_a_build_killed_at_random_moments_gives_the_same_store():
    assert "| **1** | 0 |" in prove("kill_and_resume.py", "--builds", "1", "--clips", "6")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("moments", [["--builds", "20", "--seed", "2"], ["--every-step", "--clips", "6"]])
def test_many_builds_killed_at_many_moments(moments):
    prove("kill_and_resume.py", *moments)


def test_mutated_media_cost_a_build_nothing_but_their_rows(data_dir, monkeypatch):
    monkeypatch.setenv("EARWITNESS_DATA", str(data_dir))
    assert "| all | 222 |" in prove("mutated_media.py", "--copies", "40", "--seed", "2")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_many_mutated_media(data_dir, monkeypatch):
    monkeypatch.setenv("EARWITNESS_DATA", str(data_dir))
    assert "| all | 3182 |" in prove("mutated_media.py", "--copies", "3000", "--seed", "3")
