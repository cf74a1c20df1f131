"""A store that differs from what a model was trained on is reported when the model is evaluated on it."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from conftest import MadeSounds
from earwitness.experiments.evaluating import evaluate_model
from earwitness.manifest import Manifest
from earwitness.models.model_file import load_model
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from earwitness.training.loop import train
from earwitness.training.settings import TrainSettings


def test_another_corpus_is_reported_and_the_same_is_not(
    made_sounds: MadeSounds, made_store: Store, tmp_path: Path
) -> None:
    settings = TrainSettings(network="fully_connected", width=0.02, steps=2, batch_size=8, where="fold <> 1")
    model = load_model(train(made_store, tmp_path / "run", settings=settings).model_path)
    same = evaluate_model(model, made_store, where="fold = 1")
    assert same.is_same_corpus is True
    assert not any("another corpus" in note for note in same.notes)

    rows = made_sounds.manifest.table.to_pylist()[:-4]
    build_store(Manifest.from_table(pa.Table.from_pylist(rows)), tmp_path / "fewer", settings=BuildSettings(workers=1))
    fewer = Store.open(tmp_path / "fewer")
    other = evaluate_model(model, fewer, where="fold = 1")
    assert other.is_same_corpus is False
    [note] = [note for note in other.notes if "another corpus" in note]
    num_learnt = model.provenance["clips"]["num_train"]
    assert f"fingerprint {made_store.fingerprint[:12]}, {num_learnt} clips learnt from" in note
    assert f"than this store (fingerprint {fewer.fingerprint[:12]}, 28 clips)" in note

    silent = evaluate_model(replace(model, provenance={}), fewer, where="fold = 1")
    assert silent.is_same_corpus is None
    assert any("does not say what it was trained on" in note for note in silent.notes)


def test_a_corpus_that_moved_is_the_same(made_sounds: MadeSounds, made_store: Store, tmp_path: Path) -> None:
    """In parts of another size, too."""
    rows = made_sounds.manifest.table.to_pylist()
    for row in rows:
        (tmp_path / Path(row["media"]).name).symlink_to(row["media"])
        row["media"] = str(tmp_path / Path(row["media"]).name)
    manifest = Manifest.from_table(pa.Table.from_pylist(rows))
    build_store(manifest, tmp_path / "moved", settings=BuildSettings(workers=1, clips_per_part=5))
    assert Store.open(tmp_path / "moved").fingerprint == made_store.fingerprint
