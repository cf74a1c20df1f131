"""Beginning from a trained model: what is taken over, what learns, taking it up again, what is refused, the commands.

Learning from embeddings on disk is in test_transfer_embeddings.py.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import MadeSounds
from earwitness.cli.main import main
from earwitness.cli.train_command import train_command
from earwitness.errors import ModelError, RunError, SettingsError, StoreError
from earwitness.experiments.evaluating import evaluate_model
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.models.model_file import Model, digest_weights, load_model, save_model
from earwitness.models.network import Classifier
from earwitness.models.registry import NETWORKS, create_network
from earwitness.scoring.embedding import embed_store
from earwitness.store.embeddings import Embeddings
from earwitness.store.read import LabelledClips, Store
from earwitness.training import setup as training_setup
from earwitness.training.loop import train
from earwitness.training.settings import SmallData, TrainSettings
from made_transfers import (
    CLASSIFIER,
    PLAIN,
    assert_close,
    embedding_weights,
    is_bit_equal,
    losses,
    of,
    stop_at,
    weights,
)
from made_transfers import base as base
from made_transfers import other_labels as other_labels
from made_transfers import table as table

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
