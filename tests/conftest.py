"""Shared fixtures. Real data is found by the environment variable EARWITNESS_DATA; its tests skip where it is unset."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from scipy.io import wavfile

from earwitness.manifest import Manifest
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from s3_server import server as server

# The networks of the tests are so small that a second thread only waits for the first. Set before torch is imported,
# and inherited by the commands that the tests run.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shells begin what runs in their background deaf to Ctrl-C, and so do its children; some tests are about Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("busy machine", deadline=None)  # times are measured by benchmarks
settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data (ESC-10, a media collection, reference log-mels)."""
    folder = os.environ.get("EARWITNESS_DATA")
    if not folder:
        pytest.skip("EARWITNESS_DATA is unset: set it to the folder of real data to run this test")
    return Path(folder).resolve()


@dataclass(frozen=True)
class MadeSounds:
    """A corpus of short WAV files made in the test: tones, clicks and noise, some overlapping."""

    folder: Path
    manifest: Manifest
    """Columns fold (1..4) and group (two clips each) beside the core ones."""


@pytest.fixture(scope="session")
def made_sounds(tmp_path_factory: pytest.TempPathFactory) -> MadeSounds:
    """32 clips of 2 to 4 s with the labels click, noise and tone, one or two each."""
    folder = tmp_path_factory.mktemp("made_sounds")
    rng = np.random.default_rng(7)
    rows = []
    kinds = [("tone",), ("click",), ("noise",), ("click", "tone")]
    for number in range(32):
        num_samples = int(16_000 * rng.uniform(2.0, 4.0))
        time = np.arange(num_samples) / 16_000
        waveform = 0.003 * rng.normal(size=num_samples)
        labels = kinds[number % len(kinds)]
        if "tone" in labels:
            waveform += 0.2 * np.sin(2 * np.pi * rng.uniform(300, 3_000) * time)
        if "click" in labels:
            waveform[:: int(rng.integers(1_500, 4_000))] += 0.8
        if "noise" in labels:
            waveform += 0.1 * rng.normal(size=num_samples)
        wavfile.write(folder / f"{number:02d}.wav", 16_000, (waveform.clip(-1, 1) * 32_767).astype(np.int16))
        rows.append(
            {
                "clip_id": f"clip-{number:02d}",
                "media": str(folder / f"{number:02d}.wav"),
                "labels": list(labels),
                "fold": number // 4 % 4 + 1,
                "group": f"recording-{number // 2}",
            }
        )
    return MadeSounds(folder, Manifest.from_table(pa.Table.from_pylist(rows)))


@pytest.fixture(scope="session")
def made_store(made_sounds: MadeSounds, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of `made_sounds`, in three parts."""
    folder = tmp_path_factory.mktemp("made_store") / "store"
    build_store(made_sounds.manifest, folder, settings=BuildSettings(workers=2, clips_per_part=12))
    return Store.open(folder)
