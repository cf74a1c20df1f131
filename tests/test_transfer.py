"""Beginning from a trained model: what is taken over, what learns, and that every route gives the same scores."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from conftest import MadeSounds
from earwitness.cli.main import main
from earwitness.cli.train_command import train_command
from earwitness.errors import ModelError, RunError, SettingsError, StoreError
from earwitness.experiments.evaluating import evaluate_model
from earwitness.front_end import FrontEnd
from earwitness.inference.tagger import Tagger
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.models.model_file import Model, digest_weights, load_model, save_model
from earwitness.models.network import Classifier
from earwitness.models.registry import NETWORKS, create_network
from earwitness.scoring.embedding import embed_store
from earwitness.store.build import build_store
from earwitness.store.embeddings import Embeddings, open_clips, open_reader
from earwitness.store.read import LabelledClips, Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings
from earwitness.training import setup as training_setup
from earwitness.training.distributed import Processes
from earwitness.training.loop import TrainProgress, train
from earwitness.training.measurements import read_measurements
from earwitness.training.settings import SmallData, TrainSettings
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


# What a network offers for it


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_only_the_classifier_of_a_frozen_network_learns(name: str) -> None:
    torch.manual_seed(0)
    network = create_network(name, num_labels=3, width=0.125, classifier_layers=1, classifier_units=40)
    network.freeze_embedding()
    network.train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.randn(4, 96, 64)).square().sum().backward()
    optimizer.step()
    for key, parameter in network.named_parameters():
        assert (parameter.grad is not None) == key.startswith(CLASSIFIER), key
    changed = {key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed
    assert all(key.startswith(CLASSIFIER) for key in changed), "batch norm's statistics stay, too"
    assert not any(module.training for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))


def test_classifier_on_an_embedding(tmp_path: Path) -> None:
    network = create_network("fully_connected", num_labels=3, width=0.01).eval()
    plain = network.embedding_size
    patches = torch.randn(2, 96, 64)
    embeddings = network.embed(patches)
    network.put_classifier(num_labels=4, num_layers=2, num_units=6)
    assert network.embedding_size == plain
    assert torch.equal(network.embed(patches), embeddings), "an embedding is what the classifier reads"
    hidden = embeddings
    for layer in (network.hidden_on_embedding[0], network.hidden_on_embedding[2]):
        hidden = torch.clamp(hidden @ layer.weight.T + layer.bias, min=0)
    by_hand = hidden @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(patches), by_hand)
    alone = Classifier(network)
    torch.testing.assert_close(alone(embeddings), by_hand)
    assert alone.embedding_size == plain
    with pytest.raises(SettingsError, match="0 hidden layers of 0 units cannot be"):
        network.put_classifier(num_labels=4, num_units=0)


# Fine-tuning


def test_takes_all_but_the_output(base: Path, other_labels: Store, tmp_path: Path) -> None:
    settings = replace(PLAIN, from_model=base)
    first = of(other_labels, settings).fresh_network()
    assert is_bit_equal(
        {k: t for k, t in first.state_dict().items() if not k.startswith(CLASSIFIER)}, embedding_weights(base)
    )
    assert first.head.out_features == 2
    summary = train(other_labels, tmp_path / "run", settings=settings)
    model = load_model(summary.model_path)
    assert model.label_set.ids == ("clean", "noisy")
    assert model.architecture.arguments["num_labels"] == 2
    assert not is_bit_equal(embedding_weights(summary.model_path), embedding_weights(base)), "all of it learns"
    digest = digest_weights(load_model(base).network)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    for provenance in (record, model.provenance):
        assert provenance["origin"]["digest"] == digest
        assert provenance["origin"]["provenance"]["clips"] == load_model(base).provenance["clips"]
    assert record["settings"]["network"] == "resnet50"
    assert record["settings"]["bottleneck"] == 24


def test_the_same_labels_keep_their_output(base: Path, made_store: Store, tmp_path: Path) -> None:
    kept = of(made_store, replace(PLAIN, from_model=base)).fresh_network()
    assert is_bit_equal(dict(kept.state_dict()), weights(base))
    asked_anew = of(made_store, replace(PLAIN, from_model=base, num_layers=0)).fresh_network()
    assert not torch.equal(asked_anew.head.weight, kept.head.weight)
    reordered = replace(load_model(base), label_set=LabelSet.of(["tone", "noise", "click"]))
    save_model(reordered, tmp_path / "reordered.safetensors")
    anew = of(made_store, replace(PLAIN, from_model=tmp_path / "reordered.safetensors")).fresh_network()
    assert torch.equal(anew.head.weight, asked_anew.head.weight), "the same labels in another order are others"


# Frozen


@pytest.mark.parametrize("num_layers", [None, 2])
def test_what_is_frozen_is_untouched_bit_for_bit(
    base: Path, other_labels: Store, tmp_path: Path, num_layers: int | None
) -> None:
    units = 7 if num_layers else None
    frozen = replace(PLAIN, from_model=base, freeze=True, num_layers=num_layers, num_units=units)
    ways = {"embeddings": frozen, "new patches": replace(frozen, small_data=SmallData(time_shift_frames=20))}
    for name, settings in ways.items():
        summary = train(other_labels, tmp_path / name, settings=settings)
        assert is_bit_equal(embedding_weights(summary.model_path), embedding_weights(base)), name
        assert is_bit_equal(embedding_weights(summary.best_path or Path()), embedding_weights(base)), name
        first = of(other_labels, settings).fresh_network().head.weight
        assert not torch.equal(weights(summary.model_path)["head.weight"], first)
        state = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        assert len(state["optimizer"]["state"]) == 2 * (1 + (num_layers or 0)), "of the classifier's layers alone"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_layers": 1, "num_units": 9, "accumulate": 2},
        {"small_data": SmallData(balanced=True, dropout=0.3, weight_decay=0.1, average_decay=0.9)},
    ],
    ids=["plain", "hidden layer", "small data"],
)
def test_embeddings_made_once_give_the_same_losses(
    base: Path, other_labels: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Against pushing every patch through the frozen network at every step."""
    settings = replace(PLAIN, from_model=base, freeze=True, **changes)
    once = train(other_labels, tmp_path / "once", settings=settings)
    assert (tmp_path / "once" / "embeddings.npy").exists()
    with monkeypatch.context() as patch:
        patch.setattr(training_setup, "_learns_on_embeddings", lambda *_: False)
        always = train(other_labels, tmp_path / "always", settings=settings)
    assert not (tmp_path / "always" / "embeddings.npy").exists()
    np.testing.assert_allclose(losses(tmp_path / "once"), losses(tmp_path / "always"), rtol=1e-4)
    assert_close(weights(once.model_path), weights(always.model_path))


def test_new_patches_are_asked_for(base: Path, made_store: Store) -> None:
    frozen = replace(PLAIN, from_model=base, freeze=True)
    assert of(made_store, frozen).learns_on_embeddings
    assert of(made_store, replace(frozen, patch_hop_frames=96)).learns_on_embeddings
    assert not of(made_store, replace(frozen, freeze=False)).learns_on_embeddings
    assert not of(made_store, replace(frozen, patch_hop_frames=48)).learns_on_embeddings
    for name in ("time_shift_frames", "mixup", "mask_frames", "mask_bands"):
        assert not of(made_store, replace(frozen, small_data=SmallData(**{name: 1}))).learns_on_embeddings


# Embeddings on disk


def test_embeddings_against_one_patch_at_a_time(base: Path, table: Embeddings, other_labels: Store) -> None:
    network = load_model(base).network
    rows = pyarrow.parquet.read_table(table.folder / "clips.parquet").to_pylist()
    embeddings = np.load(table.folder / "embeddings.npy")
    assert embeddings.dtype == np.float32
    assert len(embeddings) == sum(row["num_patches"] for row in rows)
    with FrameReader(other_labels) as reader, torch.inference_mode():
        for clip in (0, 5, other_labels.num_clips - 1):
            row, frames = rows[clip], reader.read_clip(clip).astype(np.float32)
            assert row["clip_id"] == other_labels.clips["clip_id"][clip].as_py()
            patches = [frames[first : first + 96] for first in range(0, len(frames) - 95, 96)]
            slow = np.concatenate([network.embed(torch.from_numpy(patch)[None]).numpy() for patch in patches])
            of_clip = embeddings[row["first_patch"] : row["first_patch"] + row["num_patches"]]
            np.testing.assert_allclose(of_clip, slow, rtol=1e-5, atol=1e-4)  # values up to 8, sums in another order
            with open_reader(table) as of_table:
                first_frames = np.arange(len(patches)) * 96
                np.testing.assert_array_equal(
                    of_table.read_patches(np.full(len(patches), clip), first_frames, 96), of_clip
                )


def test_a_table_has_the_clips_of_its_store(table: Embeddings, other_labels: Store) -> None:
    assert isinstance(open_clips(table.folder), Embeddings)
    assert table.label_set == other_labels.label_set
    assert table.fingerprint == other_labels.fingerprint
    clips = other_labels.select("fold <> 2 and list_contains(labels, 'clean')")
    np.testing.assert_array_equal(table.select("fold <> 2 and list_contains(labels, 'clean')"), clips)
    np.testing.assert_array_equal(table.targets(clips), other_labels.targets(clips))
    np.testing.assert_array_equal(table.frames_per_clip, other_labels.frames_per_clip)
    with open_reader(table) as reader, pytest.raises(ValueError, match="there are no embeddings of these patches"):
        reader.read_patches(np.array([0]), np.array([48]), 96)


@pytest.mark.parametrize("changes", [{}, {"num_layers": 1, "num_units": 9}], ids=["logistic regression", "a layer"])
def test_from_a_table_as_from_the_store(
    base: Path, table: Embeddings, other_labels: Store, tmp_path: Path, changes: dict[str, Any]
) -> None:
    settings = replace(PLAIN, **changes)
    by_table = train(table, tmp_path / "table", settings=settings)
    by_store = train(other_labels, tmp_path / "store", settings=replace(settings, from_model=base, freeze=True))
    assert_close(weights(by_table.model_path), weights(by_store.model_path))
    models = [load_model(summary.model_path) for summary in (by_table, by_store)]
    assert models[0].architecture == models[1].architecture
    assert models[0].provenance["origin"] == models[1].provenance["origin"]
    assert models[0].front_end == models[1].front_end


def test_one_file_and_the_same_scores_on_every_route(
    table: Embeddings, other_labels: Store, made_sounds: MadeSounds, tmp_path: Path
) -> None:
    """The store by `evaluate`, the media by `tag`, and the embeddings by arithmetic."""
    trained = train(table, tmp_path / "run", settings=replace(PLAIN, num_layers=1, num_units=9))
    alone = tmp_path / "elsewhere.safetensors"
    shutil.copy(trained.model_path, alone)
    model = load_model(alone)
    outcome = evaluate_model(model, other_labels)
    embeddings = np.load(table.folder / "embeddings.npy")
    rows = table.clips.to_pylist()
    state = {name: tensor.double().numpy() for name, tensor in model.network.state_dict().items()}
    hidden = embeddings @ state["hidden_on_embedding.0.weight"].T + state["hidden_on_embedding.0.bias"]
    logits = np.maximum(hidden, 0) @ state["head.weight"].T + state["head.bias"]
    scores = 1 / (1 + np.exp(-logits))
    tagger = Tagger(model)
    for clip, row in enumerate(rows):
        of_clip = scores[row["first_patch"] : row["first_patch"] + row["num_patches"]].mean(axis=0)
        np.testing.assert_allclose(outcome.scores[clip], of_clip, atol=SCORES)
        if clip < 5:
            np.testing.assert_allclose(tagger.score(row["media"]).scores, of_clip, atol=SCORES)


def test_embedding_again_and_elsewhere(base: Path, other_labels: Store, table: Embeddings, tmp_path: Path) -> None:
    model = load_model(base)
    told: list[tuple[int, int]] = []
    first = embed_store(model, other_labels, tmp_path / "e", on_patches=lambda *counts: told.append(counts))
    assert told[-1] == (first.num_patches, first.num_patches)
    assert not first.was_complete
    assert embed_store(model, other_labels, tmp_path / "e").was_complete
    for name in ("embeddings.npy", "embeddings.json", "clips.parquet"):
        assert (tmp_path / "e" / name).read_bytes() == (table.folder / name).read_bytes(), "the same each time"
    (tmp_path / "e" / "embeddings.json").unlink()  # as after a kill
    (tmp_path / "e" / "embeddings.npy.partial").write_bytes(b"half")
    assert not embed_store(model, other_labels, tmp_path / "e").was_complete
    (tmp_path / "e" / "embeddings.npy").unlink()
    assert not embed_store(model, other_labels, tmp_path / "e").was_complete
    model.network.head.bias.data += 1
    with pytest.raises(StoreError, match=r"of another model \(.* there, .* now\)"):
        embed_store(model, other_labels, tmp_path / "e")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="is not empty and holds no embeddings"):
        embed_store(model, other_labels, tmp_path / "mine")
    with pytest.raises(StoreError, match="lies in, a file"):
        embed_store(model, other_labels, tmp_path / "mine" / "letter.txt")


def test_damaged_tables(table: Embeddings, base: Path, tmp_path: Path) -> None:
    def spoilt(name: str) -> Path:
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        shutil.copytree(table.folder, tmp_path / "t")
        return tmp_path / "t" / name

    np.save(spoilt("embeddings.npy"), np.zeros((3, 24), np.float32))
    with pytest.raises(
        StoreError, match=r"embeddings.npy: damaged, expected float32 \[\d+, 24\], came float32 \[3, 24\]; delete it"
    ):
        train(Embeddings.open(tmp_path / "t"), tmp_path / "run", settings=PLAIN)
    spoilt("embeddings.npy").unlink()
    with pytest.raises(StoreError, match=r"embeddings.npy: the embeddings cannot be read"):
        train(Embeddings.open(tmp_path / "t"), tmp_path / "run", settings=PLAIN)
    spoilt("clips.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"clips.parquet: the clips of the embeddings cannot be read"):
        Embeddings.open(tmp_path / "t")
    spoilt("model.safetensors").unlink()
    with pytest.raises(ModelError, match="there is no such model file"):
        train(Embeddings.open(tmp_path / "t"), tmp_path / "run", settings=PLAIN)
    model = load_model(base)
    model.network.head.bias.data += 1
    save_model(model, spoilt("model.safetensors"))
    with pytest.raises(StoreError, match=r"were made by the model \w{12}, and model.safetensors there is \w{12}"):
        train(Embeddings.open(tmp_path / "t"), tmp_path / "run", settings=PLAIN)
    header = spoilt("embeddings.json")
    values = json.loads(header.read_text())
    for changed, message in (
        ("[]", "describes no earwitness embeddings"),
        ("{", "not JSON"),
        (json.dumps({**values, "version": 9}), "format version 9, this earwitness reads 1"),
        (json.dumps({**values, "label_set": []}), "damaged"),
        (json.dumps({**values, "num_clips": 2}), "holds 32 clips of 2"),
    ):
        header.write_text(changed)
        with pytest.raises(StoreError, match=message):
            Embeddings.open(tmp_path / "t")
    assert not (tmp_path / "run").exists(), "refused before any work"


# Taking up again


@pytest.mark.parametrize("way", ["all", "frozen", "frozen with new patches", "table"])
def test_stopped_and_resumed_is_bit_identical(
    base: Path, other_labels: Store, table: Embeddings, tmp_path: Path, way: str
) -> None:
    settings = {
        "all": replace(PLAIN, from_model=base, steps=12),
        "frozen": replace(PLAIN, from_model=base, freeze=True, num_layers=1, num_units=5),
        "frozen with new patches": replace(PLAIN, from_model=base, freeze=True, small_data=SmallData(mask_frames=9)),
        "table": replace(PLAIN, small_data=SmallData(dropout=0.2, average_decay=0.9)),
    }[way]
    clips: LabelledClips = table if way == "table" else other_labels
    whole = train(clips, tmp_path / "whole", settings=settings)
    for step in (3, 9):
        assert not train(clips, tmp_path / "parts", settings=settings, on_progress=stop_at(step)).is_finished
        (tmp_path / "parts" / "embeddings.npy").unlink(missing_ok=True)  # it can be made again
    resumed = train(clips, tmp_path / "parts", settings=settings)
    assert is_bit_equal(weights(whole.model_path), weights(resumed.model_path))
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert train(clips, tmp_path / "parts", settings=settings).was_finished


def test_another_model_is_refused_wherever_the_first_one_lies(
    base: Path, other_labels: Store, made_store: Store, tmp_path: Path
) -> None:
    model = tmp_path / "model.safetensors"
    shutil.copy(base, model)
    settings = replace(PLAIN, from_model=model, freeze=True)
    train(other_labels, tmp_path / "run", settings=settings, on_progress=stop_at(5))
    moved = tmp_path / "moved.safetensors"
    model.rename(moved)
    changed = load_model(moved)
    changed.network.head.weight.data[0, 0] += 1e-3
    save_model(changed, model)
    words = rf"{model} \(digest \w{{12}}\)"
    with pytest.raises(RunError, match=f"from_model: {words} before, {words} now"):
        train(other_labels, tmp_path / "run", settings=settings)
    with pytest.raises(RunError, match=f"from_model: {words} before, none now"):
        train(other_labels, tmp_path / "run", settings=replace(PLAIN, network="resnet50", width=0.0625, bottleneck=24))
    resumed = train(other_labels, tmp_path / "run", settings=replace(settings, from_model=moved))
    assert resumed.is_finished
    whole = train(other_labels, tmp_path / "whole", settings=replace(settings, from_model=base))
    assert is_bit_equal(weights(whole.model_path), weights(resumed.model_path))


def test_two_processes_freeze_alike(base: Path, other_labels: Store, tmp_path: Path) -> None:
    options = ("--steps", 8, "--batch-size", 16, "--learning-rate", 0.01, "--validation-share", 0, "--threads", 1)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = ("earwitness", "train", other_labels.folder, tmp_path / "two", "--from", base, "--freeze", *options)
    result = subprocess.run(
        [*torchrun, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    settings = replace(PLAIN, steps=8, validation_share=0.0, from_model=base, freeze=True)
    one = train(other_labels, tmp_path / "one", settings=settings)
    assert_close(weights(one.model_path), weights(tmp_path / "two" / "model.safetensors"))
    assert is_bit_equal(embedding_weights(one.model_path), embedding_weights(tmp_path / "two" / "model.safetensors"))


# What an evaluation must know


def test_clips_that_the_first_model_learnt_from_are_not_new(
    base: Path, made_store: Store, other_labels: Store, tmp_path: Path
) -> None:
    settings = replace(PLAIN, steps=2, from_model=base, where="fold = 3", validation_share=0.0)
    again = load_model(train(made_store, tmp_path / "again", settings=settings).model_path)
    outcome = evaluate_model(again, made_store, where="fold in (1, 4)")
    num_learnt = load_model(base).provenance["clips"]["num_train"]
    fold_1_and_2 = made_store.select("fold in (1, 2)")
    assert num_learnt < len(fold_1_and_2), "some were watched"
    assert any("of the 16 evaluated clips were learnt from" in note for note in outcome.notes)
    clean = evaluate_model(again, made_store, where="fold = 4")
    assert not any("learnt from" in note for note in clean.notes)
    elsewhere = load_model(train(other_labels, tmp_path / "elsewhere", settings=settings).model_path)
    doubts = evaluate_model(elsewhere, other_labels, where="fold = 4").notes
    assert any("began from another one" in note and "trained on another store" in note for note in doubts)


# Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "alexnet"}, r"network='alexnet' contradicts the model to begin from: in .* it is 'resnet50'"),
        ({"width": 1.0}, r"width=1.0 contradicts the model to begin from: in .* it is 0.0625"),
        ({"bottleneck": 128}, r"bottleneck=128 contradicts the model to begin from: in .* it is 24"),
        ({"num_units": 5}, "num_units=5 are units of hidden layers, and none are asked for; give num_layers"),
        ({"num_layers": 0, "num_units": 5}, "num_units=5 are units of hidden layers"),
        ({"num_layers": -1}, "num_layers=-1 must be at least 0"),
    ],
)
def test_contradictions(
    base: Path, made_store: Store, table: Embeddings, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, from_model=base, **changes))
    if "num_layers" not in changes and "num_units" not in changes:
        with pytest.raises(SettingsError, match=message):
            train(table, tmp_path / "run", settings=replace(PLAIN, **changes))
    agreeing = replace(PLAIN, from_model=base, network="resnet50", width=0.0625, bottleneck=24)
    assert of(made_store, agreeing).architecture == load_model(base).architecture
    assert not (tmp_path / "run").exists(), "refused before any work"


def test_freeze_needs_a_model() -> None:
    with pytest.raises(SettingsError, match="freeze keeps a trained model what it is, and none is given; name it by"):
        replace(PLAIN, freeze=True)


def test_layers_of_what(made_store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="num_layers=1 is for the fully connected network; the layers of resnet50"):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, num_layers=1))


def test_a_model_of_another_front_end(base: Path, made_store: Store, tmp_path: Path) -> None:
    model = load_model(base)
    deaf = tmp_path / "deaf.safetensors"
    save_model(replace(model, front_end=FrontEnd(log_offset=0.001)), deaf)
    both_sides = r"another front end than the model expects \(store / model: log_offset: 0.01 / 0.001\)"
    with pytest.raises(StoreError, match=both_sides):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, from_model=deaf))
    with pytest.raises(StoreError, match=both_sides):
        embed_store(load_model(deaf), made_store, tmp_path / "e")


def test_patches_are_cut_as_the_model_needs_them(made_store: Store, base: Path, tmp_path: Path) -> None:
    """Frames are the same, so patches of another length come from the same store, as far as clips are long enough."""

    def hearing(patch_frames: int) -> Path:
        arguments = {"num_labels": 3, "patch_frames": patch_frames, "num_bands": 64, "width": 0.03}
        network = create_network("fully_connected", **arguments).eval()
        architecture = replace(load_model(base).architecture, name="fully_connected", arguments=arguments)
        model = Model(
            network=network,
            architecture=architecture,
            label_set=made_store.label_set,
            front_end=FrontEnd(patch_frames=patch_frames, patch_hop_frames=patch_frames),
        )
        save_model(model, tmp_path / f"{patch_frames}.safetensors")
        return tmp_path / f"{patch_frames}.safetensors"

    for freeze in (False, True):
        settings = replace(PLAIN, from_model=hearing(20), freeze=freeze)
        summary = train(made_store, tmp_path / f"run-{freeze}", settings=settings)
        assert load_model(summary.model_path).front_end.patch_frames == 20
        assert evaluate_model(load_model(summary.model_path), made_store).scores.shape == (32, 3)
    with pytest.raises(StoreError, match="frames, fewer than the 350 of one patch of this model"):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, from_model=hearing(350)))
    with pytest.raises(StoreError, match="frames, fewer than the 350 of one patch of this model"):
        embed_store(load_model(hearing(350)), made_store, tmp_path / "e")


def test_no_model_to_begin_from(made_store: Store, base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such model file"):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, from_model=tmp_path / "no"))
    with pytest.raises(ModelError, match="this is a folder"):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, from_model=base.parent))
    half = tmp_path / "half.safetensors"
    half.write_bytes(base.read_bytes()[:5_000])
    with pytest.raises(ModelError, match="not a model file"):
        train(made_store, tmp_path / "run", settings=replace(PLAIN, from_model=half))
    assert not (tmp_path / "run").exists(), "refused before any work"


def test_what_embeddings_cannot_give(table: Embeddings, base: Path, tmp_path: Path) -> None:
    for changes, message in (
        (
            {"from_model": base},
            r"from_model=.*: the embeddings in .* bring the model that made them; leave --from away",
        ),
        (
            {"patch_hop_frames": 48},
            "patch_hop_frames: embeddings are of patches as they are; give --patch-hop-frames 96, or",
        ),
        (
            {"small_data": SmallData(mixup=0.3, mask_bands=3)},
            "mixup, mask_bands: embeddings are of patches as they are; give --mixup 0 --mask-bands 0, or train on the "
            "store itself with --from .* --freeze",
        ),
    ):
        with pytest.raises(SettingsError, match=message):
            train(table, tmp_path / "run", settings=replace(PLAIN, **changes))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"embeddings.json"):
        Embeddings.open(tmp_path)


# The command line


def test_commands_from_a_model_to_scores(
    base: Path,
    other_labels: Store,
    made_sounds: MadeSounds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def earwitness(*arguments: object, status: int = 0) -> str:
        """What the command prints, or where it fails its sentence; in this process, for starting takes seconds."""
        monkeypatch.setattr(sys, "argv", ["earwitness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
        printed = capsys.readouterr()
        assert ending.value.code == status, printed
        return printed.err if status else printed.out

    options = ("--steps", 300, "--batch-size", 16, "--where", "fold <> 1", "--threads", 1)
    told = json.loads(earwitness("embed", base, other_labels.folder, tmp_path / "e", "--json"))
    assert told["num_clips"] == 32
    assert told["embedding_size"] == 24
    assert "they were complete already" in earwitness("embed", base, other_labels.folder, tmp_path / "e")
    said = earwitness("train", tmp_path / "e", tmp_path / "table", *options, "--num-layers", 1, "--num-units", 30)
    assert f"safetensors {other_labels.folder.resolve()} --where 'fold = 1'\n" in said
    earwitness("train", tmp_path / "e", tmp_path / "small", *options, "--recipe", "small-data")
    resolved = json.loads((tmp_path / "small" / "run.json").read_text())["settings"]
    assert (resolved["small_data"]["mixup"], resolved["plan"]["warmup_steps"]) == (0.0, 30)
    of = f"e: this holds embeddings, and the store is needed that they are of: {other_labels.folder.resolve()}"
    assert of in earwitness("evaluate", base, tmp_path / "e", status=1)
    assert of in earwitness("embed", base, tmp_path / "e", tmp_path / "e2", status=1)
    a_file = "this is a file; a store is a folder that `earwitness prepare` makes"
    for words in (("train", base, tmp_path / "r"), ("evaluate", base, base)):
        assert a_file in earwitness(*words, status=1)
    assert "1 of 1 clip gave no sound" in earwitness("embed", base, base, tmp_path / "e2", status=1)
    earwitness("train", other_labels.folder, tmp_path / "frozen", "--from", base, "--freeze", *options)
    media = made_sounds.folder / "00.wav"
    for run in ("table", "frozen"):
        model = tmp_path / run / "model.safetensors"
        answer = earwitness("evaluate", model, other_labels.folder, "--where", "fold = 1", "--json")
        assert json.loads(answer)["model"]["mean_average_precision"] > 0.6
        tags = json.loads(earwitness("tag", model, media, "--json"))["tags"]
        assert {tag["label_name"] for tag in tags} <= {"clean", "noisy"}
    sentence = earwitness("train", other_labels.folder, tmp_path / "no", "--freeze", status=1)
    assert sentence == "earwitness: freeze keeps a trained model what it is, and none is given; name it by --from\n"
    assert not (tmp_path / "no").exists()
    again = train_command(Path("S"), Path("R"), settings=TrainSettings(from_model=base, freeze=True), recipe="paper")
    assert again == f"earwitness train S R --from {base} --freeze"
    tune = ("--from", base, "--steps", 2, "--batch-size", 16, "--json")
    summary = json.loads(earwitness("train", other_labels.folder, tmp_path / "tuned", *tune))
    assert Path(summary["model_path"]).exists()
