"""The interface of HEAR: what the benchmark's own validator checks, and the same numbers as on other routes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from earwitness import hear
from earwitness.errors import ModelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.embed_settings import Per
from earwitness.inference.embedder import Embedder
from earwitness.inference.embedding_rows import embedding_rows
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, save_model
from made_media import wav

RATE_HZ = 16_000
TOLERANCE = 1e-5
"""Of the largest number, between routes."""

FRONT_ENDS = {"yamnet": FrontEnd(patch_hop_frames=48, fill_last_patch=True)}
ARGUMENTS = {"vggish": {"width": 0.1, "whiten": True}, "yamnet": {"width": 0.25}, "resnet50": {"width": 0.1}}
MODELS = ("fully_connected", "resnet50", "vggish", "yamnet", "onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hear")


@pytest.fixture(scope="module", params=MODELS)
def path(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A model file of each kind, and an exported one."""
    name = "fully_connected" if request.param == "onnx" else request.param
    has_labels = name != "vggish"
    arguments = {"num_labels": 2 if has_labels else 1, "patch_frames": 96, "num_bands": 64}
    arguments |= ARGUMENTS.get(name, {"num_units": 8, "num_layers": 1})
    architecture = Architecture(name=name, arguments=arguments)
    torch.manual_seed(0)
    network = architecture.build()
    with torch.no_grad():
        network(torch.randn(8, 96, 64))  # statistics for batch norm
    model = Model(
        network=network.eval(),
        architecture=architecture,
        label_set=LabelSet.of(["a", "b"]) if has_labels else NO_LABELS,
        front_end=FRONT_ENDS.get(name, FrontEnd()),
    )
    if request.param != "onnx":
        save_model(model, folder / f"{name}.safetensors")
        return folder / f"{name}.safetensors"
    pytest.importorskip("onnxruntime")
    from earwitness.export.exporting import export_model

    export_model(model, folder / "model.onnx", with_embeddings=True)
    return folder / "model.onnx"


def sounds(num_sounds: int, seconds: float) -> Tensor:
    torch.manual_seed(1)
    sounds = torch.rand(num_sounds, int(seconds * RATE_HZ)) * 2 - 1
    return (sounds * 32_767).round() / 32_768  # as 16 bits hold them


def test_what_the_validator_checks(path: Path) -> None:
    """Hearvalidator 2021.0.2, check for check: noise of 2 s in 16 sounds, and of 3.74 s in 8."""
    model = hear.load_model(str(path))
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in (16_000, 22_050, 44_100, 48_000)
    assert isinstance(model.scene_embedding_size, int)
    assert isinstance(model.timestamp_embedding_size, int)
    embeddings, timestamps = hear.get_timestamp_embeddings(sounds(2, 2.0), model)
    assert embeddings.dtype == torch.float32
    assert embeddings.shape[:2] == timestamps.shape == (2, 51)
    assert embeddings.shape[2] == model.timestamp_embedding_size
    steps = torch.diff(timestamps)
    assert steps.float().mean() <= 50.0
    assert (torch.abs(steps - steps.float().mean()) < 1e-3).all()
    assert timestamps[0, 0] == 0
    assert timestamps[0, -1] == 2_000
    scenes = hear.get_scene_embeddings(sounds(3, 3.74), model)
    assert scenes.dtype == torch.float32
    assert scenes.shape == (3, model.scene_embedding_size)


def embedded(path: Path, sound: Tensor, per: Per, hop: int | None = None) -> np.ndarray:
    from earwitness.inference.any_model import open_model

    embedder = Embedder(open_model(path), device="cpu", patch_hop_frames=hop)
    samples = (sound.numpy() * 32_768).astype(np.int16)
    with embedder.embed(wav(samples, RATE_HZ)) as stream:
        return np.concatenate([rows.embeddings for rows in embedding_rows(stream, per=per)])


@pytest.mark.parametrize("seconds", [0.5, 3.3])
def test_scenes_are_what_embed_gives_of_a_clip(path: Path, seconds: float) -> None:
    model, audio = hear.load_model(str(path)), sounds(2, seconds)
    ours = hear.get_scene_embeddings(audio, model).numpy()
    for sound, embedding in zip(audio, ours, strict=True):
        [expected] = embedded(path, sound, "clip")
        np.testing.assert_allclose(embedding, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_timestamps_are_what_embed_gives_of_patches(path: Path) -> None:
    """The one at t has the patch that begins at t - 480 ms, wherever that lies within the sound."""
    model, [sound] = hear.load_model(str(path)), sounds(1, 3.0)
    embeddings, timestamps = hear.get_timestamp_embeddings(sound[None], model)
    expected = embedded(path, sound, "patch", hop=4)
    num_whole = int((3.0 * RATE_HZ - 15_600) // 640) + 1
    first = int((timestamps[0] == 480).nonzero())
    inside = embeddings[0, first : first + num_whole].numpy()
    np.testing.assert_allclose(inside, expected[:num_whole], rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_a_click_is_loudest_in_the_middle_of_its_patch(folder: Path) -> None:
    """By hand: a network that gives back the middle frame of a patch hears a click at its own timestamp."""
    architecture = Architecture(name="fully_connected", arguments={"num_labels": 2, "num_units": 1, "num_layers": 1})
    network = architecture.build().eval()
    with torch.no_grad():
        network.hidden[1].weight.zero_()
        network.hidden[1].weight.view(1, 96, 64)[0, 48] = 1 / 64
        network.hidden[1].bias.fill_(10)
    model = Model(network=network, architecture=architecture, label_set=LabelSet.of(["a", "b"]), front_end=FrontEnd())
    audio = torch.zeros(1, 3 * RATE_HZ)
    for seconds in (0.2, 1.6, 2.8):
        audio[0, int(seconds * RATE_HZ) + 80 : int(seconds * RATE_HZ) + 240] = 0.9
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, hear.HearModel(model, hop_ms=10))
    loud = timestamps[0][embeddings[0, :, 0] > embeddings.min() + 1]
    for seconds in (200, 1_600, 2_800):
        near = loud[(loud - seconds).abs() < 100]
        assert len(near)
        assert abs(float(near.mean()) - seconds) <= 15
    assert len(loud) == sum(int(((loud - seconds).abs() < 100).sum()) for seconds in (200, 1_600, 2_800))


def test_the_step_between_timestamps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = sounds(1, 1.0)
    model = hear.load_model(str(path), timestamp_hop_ms=250)
    assert hear.get_timestamp_embeddings(audio, model)[1].tolist() == [[0, 250, 500, 750, 1_000]]
    monkeypatch.setenv(hear.HOP_VARIABLE, "500")
    assert hear.get_timestamp_embeddings(audio, hear.load_model(str(path)))[1].tolist() == [[0, 500, 1_000]]
    monkeypatch.setenv(hear.HOP_VARIABLE, "often")
    with pytest.raises(SettingsError, match="EARWITNESS_HEAR_HOP_MS=often: milliseconds are needed"):
        hear.load_model(str(path))
    for step in (0, 4, 970, float("nan"), float("inf"), -10):
        with pytest.raises(SettingsError, match="it must be from 10, a frame, to 960, a patch"):
            hear.load_model(str(path), timestamp_hop_ms=step)


def test_short_and_silent_sounds(path: Path) -> None:
    model = hear.load_model(str(path))
    for audio in (sounds(2, 1 / RATE_HZ), torch.zeros(2, 100)):
        assert hear.get_scene_embeddings(audio, model).isfinite().all()
        embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
        assert embeddings.shape == (2, 1, model.timestamp_embedding_size)
        assert timestamps.tolist() == [[0], [0]]
    assert hear.get_scene_embeddings(torch.zeros(0, 100), model).shape == (0, model.scene_embedding_size)


def test_audio_that_is_none_is_refused(path: Path) -> None:
    model = hear.load_model(str(path))
    nan = torch.full((1, 100), torch.nan)
    for audio, saying in (
        (torch.zeros(100), r"shape \[100\]"),
        (torch.zeros(1, 2, 100), r"shape \[1, 2, 100\]"),
        (torch.zeros(1, 100, dtype=torch.int16), "type torch.int16"),
        (torch.zeros(1, 0), "audio is empty"),
        (nan, "nan or an infinite"),
        (np.zeros((1, 100), np.float32), "audio is ndarray, not a tensor"),
    ):
        for get in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
            with pytest.raises(SettingsError, match=saying):
                get(audio, model)


def test_a_model_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model is named; give the path"):
        hear.load_model()
    with pytest.raises(ModelError, match="there is no such model file"):
        hear.load_model(str(tmp_path / "none.safetensors"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_network_runs_where_the_model_is(path: Path) -> None:
    if path.suffix == ".onnx":
        pytest.skip("exported models run on the CPU")
    model, audio = hear.load_model(str(path)), sounds(2, 2.0)
    expected = hear.get_scene_embeddings(audio, model)
    model = model.to("cuda")
    came = hear.get_scene_embeddings(audio.to("cuda"), model)
    assert came.device.type == "cuda"
    torch.testing.assert_close(came.cpu(), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
