"""A network that fills up the last patch, by every route: file, store, stored scores, evaluation, embeddings.

The lengths are those at which one patch more begins, and a clip from the middle of a file ends beside each of them.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from scipy.io import wavfile

from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.inference.tagger import Tagger
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, save_model
from earwitness.published.yamnet import FRONT_END
from earwitness.scoring.score_folder import ScoreFolder
from in_process import run
from made_published import made_network

LABELS = ("a", "b", "c")
LENGTHS = (1, 15_599, 15_600, 15_601, 23_280, 23_281, 80_000)
NUM_PATCHES = (1, 1, 1, 2, 2, 3, 10)
"""By hand: one of 15,600 samples, and one more for each 7,680 begun beyond them."""
TOLERANCE = 1e-5
"""Batches differ in what stands beside a patch; the rest is float32."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    arguments = {"num_labels": 3, "patch_frames": 96, "num_bands": 64, "width": 0.0625, "batch_norm": False}
    network = made_network("yamnet", num_labels=3, width=0.0625, batch_norm=False)
    made = Model(
        network=network,
        architecture=Architecture(name="yamnet", arguments=arguments),
        label_set=LabelSet.of(LABELS),
        front_end=FRONT_END,
    )
    save_model(made, tmp_path_factory.mktemp("model") / "yamnet.safetensors")
    return made


@pytest.fixture(scope="module")
def folder(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and its manifest: whole files, and ranges of one file that hold as many samples."""
    folder = tmp_path_factory.mktemp("routes")
    save_model(model, folder / "model.safetensors")
    rng = np.random.default_rng(3)
    rows = []
    for number, length in enumerate(LENGTHS):
        loudness = np.exp(rng.uniform(-5, 0, length // 4_000 + 1)).repeat(4_000)[:length]
        samples = (0.3 * rng.normal(size=length).clip(-3, 3) * loudness * 32_767).astype(np.int16)
        before, behind = rng.integers(-9_000, 9_000, size=(2, 16_000), dtype=np.int16)
        wavfile.write(folder / f"{number}.wav", 16_000, samples)
        wavfile.write(folder / f"within{number}.wav", 16_000, np.concatenate([before, samples, behind]))
        label = LABELS[number % len(LABELS)]
        rows.append([f"whole{number}", folder / f"{number}.wav", "", "", label])
        rows.append([f"range{number}", folder / f"within{number}.wav", "1", f"{1 + length / 16_000:.7f}", label])
    with (folder / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["clip_id", "media", "start_seconds", "stop_seconds", "labels"], *rows])
    run("prepare", folder / "m.csv", folder / "store", "--for", folder / "model.safetensors", "--workers", 1)
    return folder


def expected(model: Model, folder: Path, number: int) -> np.ndarray:
    """Scores from the definition: zeros behind the waveform by hand, all patches at once, their mean."""
    _, samples = wavfile.read(folder / f"{number}.wav")
    waveform = np.zeros(15_600 + 7_680 * (NUM_PATCHES[number] - 1), np.float32)
    waveform[: len(samples)] = samples / 32_768
    patches = cut_patches(waveform_frames(waveform, front_end=FRONT_END), front_end=FRONT_END)
    assert len(patches) == NUM_PATCHES[number]
    with torch.inference_mode():
        logits = model.network(torch.from_numpy(patches.astype(np.float32)))
        return torch.sigmoid(logits).double().mean(dim=0).numpy()


def test_every_route_gives_the_same_scores(model: Model, folder: Path) -> None:
    path, store = folder / "model.safetensors", folder / "store"
    run("score", path, store, folder / "scores")
    run("evaluate", path, store, "--no-baseline", "--report", folder / "report")
    run("embed", path, store, folder / "embeddings")
    stored = [ScoreFolder.open(each) for each in (folder / "scores", folder / "report" / "scores")]
    rows = [each.clips["clip_id"].to_pylist() for each in stored]
    scores = [np.asarray(each.source.clip_block(0, each.num_clips)) for each in stored]
    embedded = pyarrow.parquet.read_table(folder / "embeddings" / "clips.parquet").to_pylist()
    embeddings = np.load(folder / "embeddings" / "embeddings.npy")
    places = {row["clip_id"]: slice(row["first_patch"], row["first_patch"] + row["num_patches"]) for row in embedded}
    tagger = Tagger(model, device="cpu")
    for number, length in enumerate(LENGTHS):
        wanted = expected(model, folder, number)
        ranges = {"start_seconds": 1.0, "stop_seconds": 1 + length / 16_000}
        for name, file, span in (("whole", f"{number}.wav", {}), ("range", f"within{number}.wav", ranges)):
            clip_id = f"{name}{number}"
            tagged = tagger.score(folder / file, **span)
            assert tagged.num_patches == NUM_PATCHES[number]
            np.testing.assert_allclose(tagged.scores, wanted, atol=TOLERANCE, err_msg=f"tagged {clip_id}")
            for clips, each in zip(rows, scores, strict=True):
                np.testing.assert_allclose(each[clips.index(clip_id)], wanted, atol=TOLERANCE, err_msg=clip_id)
            own = torch.from_numpy(embeddings[places[clip_id]])
            assert len(own) == NUM_PATCHES[number]
            with torch.inference_mode():
                heads = torch.sigmoid(model.network.classify(own)).double().mean(dim=0).numpy()
            np.testing.assert_allclose(heads, wanted, atol=TOLERANCE, err_msg=f"embedded {clip_id}")


def test_the_command_prints_these_scores(model: Model, folder: Path) -> None:
    said = json.loads(run("tag", folder / "model.safetensors", folder / "6.wav", "--json", "--top", 3).stdout)
    scores = {tag["label_id"]: tag["score"] for tag in said["tags"]}
    np.testing.assert_allclose([scores[label] for label in LABELS], expected(model, folder, 6), atol=TOLERANCE)
    assert said["num_patches"] == 10
