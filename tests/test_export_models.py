"""Exported models beyond the paper's: calibrated ones, those that fill the last patch, those that name nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from earwitness.audio.decode import read_waveform
from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.decisions import Calibration, FittedOn, Thresholds
from earwitness.errors import SettingsError
from earwitness.inference.any_model import open_model, patch_embedder
from earwitness.inference.tagger import Tagger
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, load_model, save_model
from earwitness.models.model_header import read_front_end
from earwitness.models.onnx_file import load_onnx_model
from earwitness.published import vggish, yamnet
from earwitness.scoring.score_folder import ScoreFolder
from earwitness.store.read import Store
from in_process import run
from made_models import untrained
from test_cli import refused

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from earwitness.export.eight_bit import EightBitSettings  # noqa: E402
from earwitness.export.exporting import export_model  # noqa: E402

TOLERANCE = 1e-5
"""In probability: what the project promises on a CPU."""

ON = FittedOn(store_fingerprint="0" * 32, where="fold = 2", num_clips=7)
CALIBRATION = Calibration(slopes=np.array([0.6, 1.0, 1.7]), offsets=np.array([-1.0, 0.5, 0.2]), fitted_on=ON)
THRESHOLDS = Thresholds(values=np.array([0.3, np.nan, np.inf]), precision=0.9, beta=None, fitted_on=ON)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 7.3 s, whose last patch is not complete."""
    path = tmp_path_factory.mktemp("sound") / "sound.wav"
    rng = np.random.default_rng(1)
    loudness = np.repeat([300, 9_000, 30], 16_000 * 3)[: int(16_000 * 7.3)]
    wavfile.write(path, 16_000, (loudness * rng.standard_normal(len(loudness)) / 3).astype(np.int16))
    return path


@pytest.fixture(scope="module")
def calibrated(made_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.safetensors, calibrated and with thresholds, and model.onnx of it."""
    folder = tmp_path_factory.mktemp("calibrated")
    model = replace(untrained(made_store), calibration=CALIBRATION, thresholds=THRESHOLDS)
    save_model(model, folder / "model.safetensors")
    said = run("export", folder / "model.safetensors", folder / "model.onnx").stdout
    assert "waveform to calibrated scores of 3 labels" in said
    assert "own thresholds are in the metadata" in said
    return folder


class TestCalibrated:
    def test_graph_against_the_map_of_torch_s_scores(self, calibrated: Path, sound: Path) -> None:
        model = load_model(calibrated / "model.safetensors")
        session = onnxruntime.InferenceSession(calibrated / "model.onnx")
        waveform = read_waveform(sound)
        outputs = ["patch_scores", "clip_scores", "raw_patch_scores"]
        patch_scores, clip_scores, raw = session.run(outputs, {"waveform": waveform[None]})
        patches = cut_patches(waveform_frames(waveform, front_end=model.front_end), front_end=model.front_end)
        with torch.inference_mode():
            expected = torch.sigmoid(model.network(torch.from_numpy(patches.astype(np.float32)))).numpy()
        np.testing.assert_allclose(raw[0], expected, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(patch_scores[0], CALIBRATION.apply(raw[0]), rtol=0, atol=1e-7)
        of_clip = CALIBRATION.apply(raw[0].mean(axis=0, dtype=np.float64))
        np.testing.assert_allclose(clip_scores[0], of_clip, rtol=0, atol=1e-7)
        assert np.abs(clip_scores[0] - patch_scores[0].mean(axis=0)).max() > 1e-3, (
            "calibrated is the mean, not its parts"
        )

    def test_extremes_of_the_graph_are_those_of_the_map(self, made_store: Store, tmp_path: Path) -> None:
        """Raw scores of 0 and 1."""
        model = replace(untrained(made_store), calibration=CALIBRATION)
        with torch.no_grad():
            model.network.head.weight.zero_()
            model.network.head.bias.copy_(torch.tensor([-1e4, 1e4, 0.0]))
        export_model(model, tmp_path / "m.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
        [scores] = session.run(["clip_scores"], {"waveform": np.zeros((1, 16_000), np.float32)})
        expected = CALIBRATION.apply(np.array([0.0, 1.0, 0.5], np.float32))
        np.testing.assert_allclose(scores[0], expected, rtol=1e-6, atol=1e-12)

    def test_tag(self, calibrated: Path, sound: Path) -> None:
        kinds = ("model.onnx", "model.safetensors")
        ours, theirs = (Tagger(open_model(calibrated / name), device="cpu").score(sound).scores for name in kinds)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
        said = [json.loads(run("tag", calibrated / name, sound, "--json", "--timeline").stdout) for name in kinds]
        for one, other in zip(said[0]["tags"], said[1]["tags"], strict=True):  # by the thresholds, the same labels
            assert one["label_id"] == other["label_id"]
            assert one["score"] == pytest.approx(other["score"], abs=TOLERANCE)
        assert said[0]["is_calibrated"] is said[0]["has_own_thresholds"] is True
        assert [e["label_id"] for e in said[0]["events"]] == [e["label_id"] for e in said[1]["events"]]

    def test_description(self, calibrated: Path) -> None:
        exported, model = load_onnx_model(calibrated / "model.onnx"), load_model(calibrated / "model.safetensors")
        assert exported.describe() == model.describe()
        assert exported.thresholds_or(0.5).tolist() == [0.3, 0.9, np.inf]
        assert exported.num_weights == model.num_weights
        assert exported.export["model_digest"] == model.digest != exported.digest
        assert read_front_end(calibrated / "model.onnx") == model.front_end

    def test_scores_and_evaluation(self, calibrated: Path, made_store: Store, tmp_path: Path) -> None:
        found = []
        for name in ("model.onnx", "model.safetensors"):
            run("score", calibrated / name, made_store.folder, tmp_path / name)
            report = ("--report", tmp_path / f"report-{name}", "--no-baseline", "--json")
            found.append(json.loads(run("evaluate", calibrated / name, made_store.folder, *report).stdout)["model"])
            again = json.loads(run("evaluate", tmp_path / name, "--json").stdout)["model"]
            assert again["mean_average_precision"] == found[-1]["mean_average_precision"]
        ours, theirs = (ScoreFolder.open(tmp_path / name) for name in ("model.onnx", "model.safetensors"))
        blocks = [scores.source.clip_block(0, made_store.num_clips) for scores in (ours, theirs)]
        np.testing.assert_allclose(*blocks, rtol=0, atol=TOLERANCE)
        assert ours.header.calibration_digest == theirs.header.calibration_digest is not None
        assert ours.header.threshold_values.tolist() == [0.3, 0.9, np.inf]
        assert found[0]["mean_average_precision"] == pytest.approx(found[1]["mean_average_precision"], abs=1e-3)
        card = (tmp_path / "report-model.onnx" / "model_card.md").read_text()
        assert f"fully_connected, {load_model(calibrated / 'model.safetensors').num_weights:,} weights" in card
        assert "train STORE RUN" not in card
        refused(
            *("score", calibrated / "model.safetensors", made_store.folder, tmp_path / "model.onnx"),
            saying="of another model",
        )

    def test_eight_bits(self, calibrated: Path, made_store: Store, tmp_path: Path, sound: Path) -> None:
        settings = EightBitSettings(calibrate_on=str(made_store.folder), accept_loss=1.0)
        export_model(load_model(calibrated / "model.safetensors"), tmp_path / "8.onnx", eight_bit=settings)
        [scores] = onnxruntime.InferenceSession(tmp_path / "8.onnx").run(
            ["clip_scores"], {"waveform": read_waveform(sound)[None]}
        )
        tagged = Tagger(open_model(tmp_path / "8.onnx")).score(sound).scores
        np.testing.assert_allclose(scores[0], tagged, rtol=0, atol=TOLERANCE)


def test_yamnet_with_its_filled_patches(tmp_path: Path, sound: Path) -> None:
    arguments = {"num_labels": 3, "patch_frames": 96, "num_bands": 64, "width": 0.25}
    architecture = Architecture(name="yamnet", arguments=arguments)
    torch.manual_seed(0)
    network = architecture.build()
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(8, 96, 64) * 2 - 2)
        network.head.weight.normal_(std=0.5)
    labels = LabelSet.of(["click", "noise", "tone"])
    model = Model(network=network.eval(), architecture=architecture, label_set=labels, front_end=yamnet.FRONT_END)
    summary = export_model(model, tmp_path / "m.onnx", with_embeddings=True, check_on=[str(sound)])
    assert summary.agreement.largest_score_difference is not None
    assert summary.agreement.largest_score_difference <= TOLERANCE
    original = Tagger(model, device="cpu").score(sound)
    exported = Tagger(open_model(tmp_path / "m.onnx")).score(sound)
    assert exported.num_patches == original.num_patches == 15  # of 7.3 s at a hop of 0.48 s, the last one filled up
    np.testing.assert_allclose(exported.scores, original.scores, rtol=0, atol=TOLERANCE)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    patch_scores, clip_scores = session.run(["patch_scores", "clip_scores"], {"waveform": read_waveform(sound)[None]})
    assert patch_scores.shape[1] == 15
    np.testing.assert_allclose(clip_scores[0], original.scores, rtol=0, atol=TOLERANCE)


def test_vggish_names_nothing_but_embeds(tmp_path: Path, sound: Path) -> None:
    arguments = {"num_labels": 1, "patch_frames": 96, "num_bands": 64, "width": 0.1, "whiten": True}
    architecture = Architecture(name="vggish", arguments=arguments)
    torch.manual_seed(0)
    model = Model(
        network=architecture.build().eval(), architecture=architecture, label_set=NO_LABELS, front_end=vggish.FRONT_END
    )
    out = tmp_path / "m.onnx"
    with pytest.raises(SettingsError, match=r"this vggish names nothing.*; export it with --embeddings"):
        export_model(model, out)
    with pytest.raises(SettingsError, match="what 8 bits cost cannot be measured"):
        export_model(model, out, with_embeddings=True, eight_bit=EightBitSettings(calibrate_on="store"))
    summary = export_model(model, out, with_embeddings=True)
    assert summary.agreement.largest_score_difference is None
    session = onnxruntime.InferenceSession(out)
    assert [put.name for put in session.get_outputs()] == ["embeddings"]
    waveform = read_waveform(sound)
    patches = cut_patches(waveform_frames(waveform, front_end=model.front_end), front_end=model.front_end)
    expected = patch_embedder(model, device="cpu")(patches)
    for came in (session.run(None, {"waveform": waveform[None]})[0][0], patch_embedder(open_model(out))(patches)):
        np.testing.assert_allclose(came, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    refused("tag", out, sound, saying="this vggish names nothing")
    save_model(model, tmp_path / "m.safetensors")
    refused("export", tmp_path / "m.safetensors", tmp_path / "o.onnx", saying="export it with --embeddings")
    said = run("export", tmp_path / "m.safetensors", tmp_path / "o.onnx", "--embeddings").stdout
    assert "waveform to embeddings" in said
    assert "next: earwitness embed" in said
