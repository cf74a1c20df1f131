"""A trained model to begin from, other labels to learn, embeddings on disk, and how runs are compared."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from conftest import MadeSounds
from earwitness.manifest import Manifest
from earwitness.models.model_file import load_model
from earwitness.scoring.embedding import embed_store
from earwitness.store.build import build_store
from earwitness.store.embeddings import Embeddings, open_reader
from earwitness.store.read import LabelledClips, Store
from earwitness.store.settings import BuildSettings
from earwitness.training.distributed import Processes
from earwitness.training.loop import TrainProgress, train
from earwitness.training.measurements import read_measurements
from earwitness.training.settings import TrainSettings
from earwitness.training.setup import Setup, set_up

PLAIN = TrainSettings(
    steps=24,
    batch_size=16,
    learning_rate=1e-2,
    validation_share=0.2,
    validation_every=8,
    threads=1,
    precision="float32",
)
CLASSIFIER = ("head.", "hidden_on_embedding.")

ROUNDING = 1e-5
"""Of losses and weights: float32 sums in batches of other shapes."""
SCORES = 1e-6
"""Of scores: docs/design.md, promise 1."""


@pytest.fixture(scope="module")
def base(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ResNet-50, batch norm and bottleneck and all, trained on some of the made sounds."""
    settings = replace(
        PLAIN, network="resnet50", width=0.0625, bottleneck=24, steps=30, learning_rate=2e-3, where="fold in (1, 2)"
    )
    return train(made_store, tmp_path_factory.mktemp("base") / "run", settings=settings).model_path


@pytest.fixture(scope="module")
def other_labels(made_sounds: MadeSounds, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same sounds, with two labels of another kind."""
    rows = [
        {**row, "labels": ["noisy" if "noise" in row["labels"] else "clean"]}
        for row in made_sounds.manifest.table.to_pylist()
    ]
    folder = tmp_path_factory.mktemp("other_labels") / "store"
    build_store(Manifest.from_table(pa.Table.from_pylist(rows)), folder, settings=BuildSettings(workers=2))
    return Store.open(folder)


@pytest.fixture(scope="module")
def table(base: Path, other_labels: Store, tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    """The embeddings of `other_labels` by `base`."""
    folder = tmp_path_factory.mktemp("table") / "embeddings"
    embed_store(load_model(base), other_labels, folder)
    return Embeddings.open(folder)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(path).network.state_dict())


def embedding_weights(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights(path).items() if not name.startswith(CLASSIFIER)}


def is_bit_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=ROUNDING, atol=ROUNDING)


def losses(run: Path) -> list[list[float]]:
    rows = read_measurements(run / "metrics.csv")
    names = ("loss", "one_best_accuracy", "mean_average_precision")
    return [[float(row[name] or -1) for name in names] for row in rows]


def stop_at(step: int) -> Callable[[TrainProgress], None]:
    def watch(progress: TrainProgress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def of(store: LabelledClips, settings: TrainSettings) -> Setup:
    return set_up(open_reader(store), settings=settings, processes=Processes())
