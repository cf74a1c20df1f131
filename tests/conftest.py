"""Shared fixtures. Real data is found by the environment variable EARWITNESS_DATA; its tests skip where it is unset."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data (ESC-10, a media collection, reference log-mels)."""
    folder = os.environ.get("EARWITNESS_DATA")
    if not folder:
        pytest.skip("EARWITNESS_DATA is unset: set it to the folder of real data to run this test")
    return Path(folder).resolve()
