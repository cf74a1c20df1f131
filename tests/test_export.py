"""Exported models: the graph against the model, all the ways a file may be wrong, and 8 bits."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from conftest import MadeSounds
from earwitness.audio.decode import read_waveform
from earwitness.audio.frames import waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.errors import MissingExtraError, ModelError, StoreError
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import open_model
from earwitness.inference.tagger import Tagger
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, load_model, save_model
from earwitness.models.onnx_file import load_onnx_model, missing_extra
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from in_process import run
from test_cli import refused

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from earwitness.export.check import made_sounds as check_sounds  # noqa: E402
from earwitness.export.eight_bit import EightBitReport, EightBitSettings, require_small_loss  # noqa: E402
from earwitness.export.exporting import export_model  # noqa: E402
from earwitness.export.graph import front_end_graph  # noqa: E402
from earwitness.export.waveform_patches import WaveformPatches  # noqa: E402
from earwitness.inference.onnx_runner import open_session  # noqa: E402

TOLERANCE = 1e-5
"""In probability: what the project promises on a CPU."""

WIDTHS = {"fully_connected": 0.05, "alexnet": 0.1, "vgg": 0.1, "inception_v3": 0.1, "resnet50": 0.1}
"""The paper's; `test_export_models` has the published ones."""

OTHER_FRONT_END = FrontEnd(
    sample_rate_hz=8_000,
    window_samples=200,
    hop_samples=80,
    fft_length=256,
    num_bands=40,
    min_hz=60.0,
    max_hz=4_000.0,
    log_offset=1e-3,
    patch_frames=40,
    patch_hop_frames=15,
)
FILLED_FRONT_END = replace(OTHER_FRONT_END, fill_last_patch=True)
GAPPED_FRONT_END = FrontEnd(window_samples=300, hop_samples=450, num_bands=16, patch_frames=10, patch_hop_frames=10)


def made_model(name: str, front_end: FrontEnd | None = None) -> Model:
    """Random weights whose scores spread over [0, 1], with batch-norm statistics as after some training."""
    front_end = front_end or FrontEnd()
    arguments = {"num_labels": 3, "patch_frames": front_end.patch_frames, "num_bands": front_end.num_bands}
    architecture = Architecture(name=name, arguments={**arguments, "width": WIDTHS[name]})
    torch.manual_seed(0)
    network = architecture.build()
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(8, front_end.patch_frames, front_end.num_bands) * 2 - 2)
        network.head.weight.normal_(std=1 / network.head.in_features**0.5)
    return Model(
        network=network.eval(),
        architecture=architecture,
        label_set=LabelSet.of(["click", "noise", "tone"]),
        front_end=front_end,
        provenance={"settings": {"where": "fold != 1"}},
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.safetensors and, of it, model.onnx with embeddings; sound.wav of 7 s."""
    folder = tmp_path_factory.mktemp("exported")
    save_model(made_model("alexnet"), folder / "model.safetensors")
    run("export", folder / "model.safetensors", folder / "model.onnx", "--embeddings")
    rng = np.random.default_rng(1)
    wavfile.write(folder / "sound.wav", 16_000, (3_000 * rng.standard_normal(7 * 16_000)).astype(np.int16))
    return folder


@pytest.mark.parametrize(
    "front_end",
    [FrontEnd(), OTHER_FRONT_END, FILLED_FRONT_END, GAPPED_FRONT_END],
    ids=["paper", "other", "filled", "gapped"],
)
def test_front_end_in_torch_and_in_onnx_gives_the_same_bits(front_end: FrontEnd) -> None:
    module = WaveformPatches(front_end)
    session = open_session(front_end_graph(front_end).SerializeToString(), name="front end")
    for name, waveforms in check_sounds(front_end):
        frames = [waveform_frames(waveform, front_end=front_end) for waveform in waveforms]
        expected = np.stack([cut_patches(f, front_end=front_end) for f in frames]).astype(np.float32)
        assert np.array_equal(module(torch.from_numpy(waveforms)).numpy(), expected), name
        [came] = session.run(None, {"waveform": waveforms})
        assert np.array_equal(came, expected), name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "inception_v3" else name for name in WIDTHS]
)
def test_every_network(name: str, tmp_path: Path) -> None:
    model = made_model(name)
    summary = export_model(model, tmp_path / "m.onnx", with_embeddings=True)
    assert summary.agreement.largest_score_difference <= TOLERANCE
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    rng = np.random.default_rng(2)
    for batch, num_samples in ((1, 1), (4, 15_600), (2, 47_000)):
        waveforms = (0.1 * rng.standard_normal((batch, num_samples))).astype(np.float32)
        scores, clips, embeddings = session.run(None, {"waveform": waveforms})
        for row, waveform in enumerate(waveforms):
            patches = cut_patches(waveform_frames(waveform, front_end=model.front_end), front_end=model.front_end)
            with torch.inference_mode():
                expected = model.network.embed(torch.from_numpy(patches.astype(np.float32)))
                probabilities = torch.sigmoid(model.network.classify(expected)).numpy()
            np.testing.assert_allclose(scores[row], probabilities, rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(clips[row], probabilities.mean(axis=0), rtol=0, atol=TOLERANCE)
            scale = float(expected.abs().max())
            np.testing.assert_allclose(embeddings[row] / scale, expected.numpy() / scale, rtol=0, atol=1e-4)


def test_overlapping_patches_of_another_front_end(tmp_path: Path) -> None:
    model = made_model("fully_connected", OTHER_FRONT_END)
    assert export_model(model, tmp_path / "m.onnx").agreement.largest_score_difference <= TOLERANCE
    assert load_onnx_model(tmp_path / "m.onnx").front_end == OTHER_FRONT_END


def test_file_describes_itself(files: Path) -> None:
    session = onnxruntime.InferenceSession(files / "model.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["format"] == "earwitness exported model"
    description = json.loads(metadata["description"])
    assert [label["id"] for label in description["labels"]] == ["click", "noise", "tone"]
    assert description["front_end"]["sample_rate_hz"] == 16_000
    assert description["provenance"] == {"settings": {"where": "fold != 1"}}
    export = description["export"]
    assert export["precision"] == "float32"
    assert export["check"]["largest_score_difference"] <= export["check"]["score_tolerance"] == TOLERANCE
    assert [put.name for put in session.get_inputs()] == ["waveform"]
    assert [put.shape for put in session.get_outputs()][:2] == [["batch", "patches", 3], ["batch", 3]]
    assert str(Path.cwd()).encode() not in (files / "model.onnx").read_bytes(), "paths of this machine"


def test_tag_gives_the_same_scores_without_torch(files: Path, tmp_path: Path) -> None:
    def scores(model: Path) -> list[float]:
        row = json.loads(run("tag", model, files / "sound.wav", "--json", "--top", 3).stdout)
        return [tag["score"] for tag in sorted(row["tags"], key=lambda tag: str(tag["label_id"]))]

    np.testing.assert_allclose(
        scores(files / "model.onnx"), scores(files / "model.safetensors"), rtol=0, atol=TOLERANCE
    )
    code = (
        f"import sys; sys.argv = ['earwitness', 'tag', {str(files / 'model.onnx')!r}, {str(files / 'sound.wav')!r}]\n"
        "from earwitness.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ending: assert not ending.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_same_scores_on_real_media(files: Path, data_dir: Path) -> None:
    original, exported = (
        Tagger(load_model(files / "model.safetensors"), device="cpu"),
        Tagger(open_model(files / "model.onnx")),
    )
    session = onnxruntime.InferenceSession(files / "model.onnx")
    media = sorted((data_dir / "esc10" / "audio").iterdir())[::100]
    media += [data_dir / "media" / "torchcodec" / name for name in ("nasa_13013.mp4.audio.mp3", "sine_mono_s16.wav")]
    for path in media:
        expected = original.score(path).scores
        np.testing.assert_allclose(exported.score(path).scores, expected, rtol=0, atol=TOLERANCE, err_msg=str(path))
        [scores] = session.run(["clip_scores"], {"waveform": read_waveform(path)[None]})
        np.testing.assert_allclose(scores[0], expected, rtol=0, atol=TOLERANCE, err_msg=str(path))


def test_example_of_the_documentation(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("soundfile")
    text = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    code = text.partition("<!-- example -->\n```python\n")[2].partition("```")[0]
    monkeypatch.chdir(files)
    exec(code, {})
    tags = json.loads(run("tag", "model.onnx", "sound.wav", "--json").stdout)["tags"]
    assert capsys.readouterr().out == "".join(f"{tag['score']:.3f}  {tag['label_name']}\n" for tag in tags)


def test_embed_and_evaluate_take_it(files: Path, made_store: Store, tmp_path: Path) -> None:
    for suffix in ("onnx", "safetensors"):
        run("embed", files / f"model.{suffix}", made_store.folder, tmp_path / suffix)
    ours, theirs = (np.load(tmp_path / suffix / "embeddings.npy") for suffix in ("onnx", "safetensors"))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
    assert (tmp_path / "onnx" / "model.onnx").read_bytes() == (files / "model.onnx").read_bytes()
    assert "complete already" in run("embed", files / "model.onnx", made_store.folder, tmp_path / "onnx").stdout
    refused("train", tmp_path / "onnx", tmp_path / "run", "--steps", 1, saying="made by an exported model")
    results = [
        json.loads(run("evaluate", files / name, made_store.folder, "--json").stdout)["model"]
        for name in ("model.onnx", "model.safetensors")
    ]
    assert results[0]["mean_average_precision"] == pytest.approx(results[1]["mean_average_precision"], abs=1e-3)


def test_no_embeddings_unless_asked_for(files: Path, made_store: Store, tmp_path: Path) -> None:
    export_model(load_model(files / "model.safetensors"), tmp_path / "plain.onnx")
    assert len(onnxruntime.InferenceSession(tmp_path / "plain.onnx").get_outputs()) == 2
    refused(
        "embed", tmp_path / "plain.onnx", made_store.folder, tmp_path / "e", saying="export the model again with --emb"
    )


class TestEightBit:
    def test_measured_and_written(self, files: Path, made_store: Store, tmp_path: Path) -> None:
        out = tmp_path / "8.onnx"
        store = made_store.folder
        options = ("--int8", "--calibrate-on", store, "--where", "fold != 1", "--measure-where", "fold = 1")
        said = json.loads(
            run("export", files / "model.safetensors", out, *options, "--accept-loss", 1, "--json").stdout
        )
        model = load_onnx_model(out)
        report = model.export["eight_bit"]
        assert said["eight_bit"] == report
        assert model.export["precision"] == said["precision"] == "int8"
        assert report["num_clips"] == 8
        assert report["calibrated_on"] == made_store.fingerprint
        assert report["map_loss"] == pytest.approx(report["map_before"] - report["map_after"])
        assert len(model.network) < 0.6 * len(load_onnx_model(files / "model.onnx").network)
        sound = read_waveform(files / "sound.wav")
        [scores] = onnxruntime.InferenceSession(out).run(["clip_scores"], {"waveform": sound[None]})
        tagged = Tagger(open_model(out)).score(files / "sound.wav").scores
        np.testing.assert_allclose(scores[0], tagged, rtol=0, atol=TOLERANCE)
        original = Tagger(load_model(files / "model.safetensors")).score(files / "sound.wav").scores
        assert 1e-6 < np.abs(tagged - original).max() < 0.1

    def test_refused_for_a_large_loss(self) -> None:
        report = EightBitReport(
            calibrated_on="a",
            calibrated_where=None,
            num_calibration_patches=1,
            measured_on="a",
            measured_where=None,
            num_clips=5,
            map_before=0.5,
            map_after=0.4,
            largest_score_difference=0.3,
        )
        with pytest.raises(ModelError, match=r"from 0\.5000 to 0\.4000 over 5 clips.*--accept-loss 0\.1"):
            require_small_loss(report, accept_loss=0.01, name="m")
        require_small_loss(report, accept_loss=0.11, name="m")
        require_small_loss(replace(report, map_after=0.6), accept_loss=0.0, name="m")

    def test_bad_stores(self, files: Path, made_sounds: MadeSounds, made_store: Store, tmp_path: Path) -> None:
        model, out = files / "model.safetensors", tmp_path / "8.onnx"
        refused("export", model, out, "--int8", saying="--calibrate-on STORE")
        refused("export", model, out, "--where", "fold = 1", saying="--where is about 8 bits")
        refused("export", model, out, "--int8", "--calibrate-on", tmp_path / "none", saying="none")
        on_store = ("--int8", "--calibrate-on", made_store.folder)
        refused("export", model, out, *on_store, "--where", "fold = 99", saying="true for none")
        refused("export", model, out, *on_store, "--measure-where", "fodl = 9", saying=["--measure-where", "fodl"])
        refused("export", model, out, *on_store, "--accept-loss", 2, saying="accept_loss=2.0")
        settings = BuildSettings(front_end=FrontEnd(num_bands=32))
        build_store(made_sounds.manifest, tmp_path / "bands", settings=settings)
        with pytest.raises(StoreError, match="num_bands: 32 / 64"):
            export_model(load_model(model), out, eight_bit=EightBitSettings(calibrate_on=str(tmp_path / "bands")))
        assert [path.name for path in tmp_path.iterdir()] == ["bands"], "nothing is left"


class TestBadInput:
    def test_files_that_are_no_exported_models(self, files: Path, tmp_path: Path) -> None:
        sound = files / "sound.wav"
        content = (files / "model.onnx").read_bytes()
        bad = tmp_path / "bad.onnx"
        refused("tag", bad, sound, saying="there is no such model file")
        for damaged in (b"", b"hello", sound.read_bytes(), content[: len(content) // 2], content[:-1]):
            bad.write_bytes(damaged)
            refused("tag", bad, sound, saying="not an ONNX file, or one that was cut off")
        refused("tag", tmp_path, sound, saying="this is a folder")
        bad.unlink()
        bad.mkdir()
        refused("tag", bad, sound, saying="bad.onnx")

    def test_an_onnx_file_of_somebody_else(self, files: Path, tmp_path: Path) -> None:
        def change(**metadata: str | None) -> Path:
            model = onnx.load(files / "model.onnx")
            kept = {entry.key: entry.value for entry in model.metadata_props} | metadata
            onnx.helper.set_model_props(model, {key: value for key, value in kept.items() if value is not None})
            onnx.save(model, tmp_path / "changed.onnx")
            return tmp_path / "changed.onnx"

        sound = files / "sound.wav"
        refused("tag", change(format=None), sound, saying="none that `earwitness export` wrote")
        refused("tag", change(format_version="2"), sound, saying="format 2 of exported models; this earwitness reads 1")
        refused("tag", change(description=None), sound, saying="description is damaged")
        refused("tag", change(description="{"), sound, saying="description is damaged")
        description = load_onnx_model(files / "model.onnx").describe()
        unlabelled = json.dumps({**description, "labels": []})
        refused("tag", change(description=unlabelled), sound, saying="label set: it is empty")
        model = onnx.load(files / "model.onnx")
        for node in model.graph.node:
            node.name = ""
        onnx.save(model, tmp_path / "nameless.onnx")
        refused("tag", tmp_path / "nameless.onnx", sound, saying="its network is not found in the graph")
        model = onnx.load(files / "model.onnx")
        next(node for node in model.graph.node if node.op_type == "Conv").op_type = "Convolution"
        onnx.save(model, tmp_path / "unknown.onnx")
        refused("tag", tmp_path / "unknown.onnx", sound, saying="ONNX Runtime cannot run it")
        onnx.save(
            onnx.load(files / "model.onnx"), tmp_path / "o.onnx", save_as_external_data=True, location="numbers.bin"
        )
        refused("tag", tmp_path / "o.onnx", sound, saying="keeps its numbers in other files")

    def test_device(self, files: Path) -> None:
        refused("tag", files / "model.onnx", files / "sound.wav", "--device", "cuda", saying="run on the CPU here")

    def test_export(self, files: Path, tmp_path: Path) -> None:
        model = files / "model.safetensors"
        refused(
            "export", files / "model.onnx", tmp_path / "o.onnx", saying="this is an exported model; give the model file"
        )
        refused("export", model, tmp_path / "o.pt", saying="written as .onnx; came .pt")
        refused("export", model, model, saying="would be overwritten")
        refused("export", model, "/proc/o.onnx", saying="/proc/o.onnx")
        refused("export", model, model / "o.onnx", saying="o.onnx")
        (tmp_path / "folder.onnx").mkdir()
        refused("export", model, tmp_path / "folder.onnx", saying="this is a folder")
        refused("export", model, tmp_path / "o.onnx", "--tolerance", 0, saying="tolerance=0.0")
        (tmp_path / "text.mp4").write_text("hello")
        refused("export", model, tmp_path / "o.onnx", "--check-on", tmp_path / "text.mp4", saying="text.mp4")
        assert {path.name for path in tmp_path.iterdir()} == {"folder.onnx", "text.mp4"}, "nothing is left"

    def test_scores_that_differ(self, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A front end that is a little off is found out, and nothing is written, nor what was there lost."""
        from earwitness.export import exporting

        out = tmp_path / "o.onnx"
        out.write_text("before")
        model = load_model(files / "model.safetensors")
        other = replace(model.front_end, min_hz=130.0)
        monkeypatch.setattr(exporting, "front_end_graph", lambda _: front_end_graph(other))
        with pytest.raises(ModelError, match=r"scores .* differ .* 1e-05 is allowed; nothing is written"):
            export_model(model, out)
        assert out.read_text() == "before"
        assert [path.name for path in tmp_path.iterdir()] == ["o.onnx"]

    def test_numbers_that_are_none(self, files: Path, tmp_path: Path) -> None:
        model = load_model(files / "model.safetensors")
        with torch.no_grad():
            model.network.head.bias[0] = torch.nan
        with pytest.raises(ModelError, match="up to nan"):
            export_model(model, tmp_path / "o.onnx")

    def test_missing_extra(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'earwitness\[onnx\]'"):
            load_onnx_model(files / "model.onnx")
        assert "onnxruntime" in str(missing_extra(ModuleNotFoundError(name="onnxruntime")))
