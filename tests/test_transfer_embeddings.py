"""Learning from embeddings on disk: as from the store that they are of, by every route; damaged ones are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch

from conftest import MadeSounds
from earwitness.errors import ModelError, SettingsError, StoreError
from earwitness.experiments.evaluating import evaluate_model
from earwitness.inference.tagger import Tagger
from earwitness.models.model_file import load_model, save_model
from earwitness.scoring.embedding import embed_store
from earwitness.store.embeddings import Embeddings, open_clips, open_reader
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.loop import train
from earwitness.training.settings import SmallData
from made_transfers import PLAIN, SCORES, assert_close, weights
from made_transfers import base as base
from made_transfers import other_labels as other_labels
from made_transfers import table as table


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
