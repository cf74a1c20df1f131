"""Published weights as models of ours: every tensor in its place, every route, and what is refused."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from conftest import MadeSounds
from earwitness.errors import LabelError, ModelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.probabilities import PatchScorer
from earwitness.inference.tagger import PatchScores, Tagger
from earwitness.labels import NO_LABELS, LabelSet, write_label_set
from earwitness.manifest import Manifest, write_manifest
from earwitness.models.model_file import load_model, save_model
from earwitness.models.network import Network
from earwitness.models.vggish import VGGish
from earwitness.models.yamnet import SameConv2d
from earwitness.published import vggish, yamnet
from earwitness.published.importing import import_model
from earwitness.scoring.clip_scores import score_clips
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from in_process import run
from made_published import (
    MEAN,
    Tensors,
    made_network,
    vggish_as_tensorflow,
    vggish_as_torch,
    write_keras,
    write_tflite,
    yamnet_as_keras,
    yamnet_as_torch,
    yamnet_operators,
)
from test_cli import refused

WIDTH = 0.0625
EIGHT_BITS = 0.02
"""Of scores: each weight is off by up to half a 127th of its channel's largest."""


def logits(network: Network) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = network(torch.randn(3, 96, 64, generator=torch.Generator().manual_seed(1)))
    return result


def assert_same(network: Network, other: Network) -> None:
    assert logits(network).std() > 0.02
    torch.testing.assert_close(logits(network), logits(other), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def class_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "yamnet_class_map.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["index", "mid", "display_name"])
        rows.writerows([number, f"/m/{number}", f"Sound {number}, made"] for number in range(521))
    return path


@pytest.fixture(scope="module")
def folded() -> Network:
    return made_network("yamnet", batch_norm=False)


@pytest.fixture(scope="module")
def tflite(folded: Network, class_map: Path) -> Path:
    """YAMNet's size, weights of 8 bits, the class map beside it."""
    return write_tflite(class_map.with_name("yamnet.tflite"), yamnet_operators(folded, bits=8))


@pytest.fixture(scope="module")
def model(tflite: Path) -> Path:
    path = tflite.with_name("yamnet.safetensors")
    save_model(import_model(tflite, published_as="yamnet").model, path)
    return path


# The layers


@pytest.mark.parametrize(("rows", "columns"), [(8, 6), (7, 6), (5, 5), (1, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_tensorflows(rows: int, columns: int, stride: int) -> None:
    """By its definition: ceil(size / stride) windows, the odd row of padding behind; one product at a time."""
    torch.manual_seed(0)
    layer = SameConv2d(1, 1, 3, stride=stride, bias=False)
    x = torch.randn(1, 1, rows, columns)
    out = [-(-size // stride) for size in (rows, columns)]
    before = [max(0, (n - 1) * stride + 3 - size) // 2 for n, size in zip(out, (rows, columns), strict=True)]
    expected = torch.zeros(out)
    for r in range(out[0]):
        for c in range(out[1]):
            for i in range(3):
                for j in range(3):
                    y, z = r * stride + i - before[0], c * stride + j - before[1]
                    if 0 <= y < rows and 0 <= z < columns:
                        expected[r, c] += layer.weight[0, 0, i, j].item() * x[0, 0, y, z]
    torch.testing.assert_close(layer(x)[0, 0], expected, rtol=1e-5, atol=1e-5)


def test_folded_batch_norm_is_the_same_function() -> None:
    """Weights over the deviation, shifts less the mean over it: what a TFLite converter does."""
    network = made_network("yamnet", width=WIDTH)
    folded = made_network("yamnet", width=WIDTH, batch_norm=False)
    state = network.state_dict()
    with torch.no_grad():
        for name, tensor in folded.state_dict().items():
            norm = name.rpartition(".0.")[0] + ".1."
            if norm + "running_var" not in state:
                tensor.copy_(state[name])
                continue
            scale = state[norm + "weight"] / torch.sqrt(state[norm + "running_var"] + 1e-4)
            if name.endswith("weight"):
                tensor.copy_(state[name] * scale.view(-1, 1, 1, 1))
            else:
                tensor.copy_(state[norm + "bias"] - state[norm + "running_mean"] * scale)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert_same(folded, network)


def test_vggish_enters_its_hidden_layers_as_in_tensorflow() -> None:
    """Frame by frame, band by band, the channels side by side; with and without the last ReLU and whitening."""
    network = made_network("vggish", width=WIDTH)
    patches = torch.randn(2, 96, 64, generator=torch.Generator().manual_seed(1))
    assert isinstance(network, VGGish)
    with torch.inference_mode():
        maps = network.convolutions(patches.unsqueeze(1))
        flat = torch.stack([maps[:, :, f, b] for f in range(6) for b in range(4)], dim=1).flatten(1)
        for layer in (network.hidden[0], network.hidden[2]):
            flat = F.relu(layer(flat))
        expected = network.hidden[4](flat)
        torch.testing.assert_close(network.embed(patches), expected)
        with_relu = made_network("vggish", width=WIDTH, last_relu=True)
        with_relu.load_state_dict(network.state_dict())
        torch.testing.assert_close(with_relu.embed(patches), expected.clamp(min=0))
    assert (expected < 0).any()


# Tensors in their places


def test_yamnet_from_keras(tmp_path: Path, class_map: Path) -> None:
    network = made_network("yamnet")
    path = write_keras(tmp_path / "yamnet.h5", yamnet_as_keras(network))
    imported = import_model(path, published_as="yamnet", class_map=class_map)
    assert (imported.format, imported.num_tensors, imported.left_out) == ("Keras", 27 * 4 + 2, ())
    assert_same(imported.model.network, network)
    assert imported.model.front_end == FrontEnd(log_offset=0.001, patch_hop_frames=48, fill_last_patch=True)
    assert imported.model.label_set.names[2] == "Sound 2, made"
    assert set(imported.model.provenance["imported"]["sha256"]) == {"yamnet.h5"}


def test_keras_scopes_and_numbers_do_not_matter() -> None:
    network, other = made_network("yamnet", width=WIDTH), made_network("yamnet", width=WIDTH)
    torch.nn.init.zeros_(other.head.weight)
    found = {
        f"yamnet_frames/{n.replace('dense/dense', 'dense_3/dense_3')}": t for n, t in yamnet_as_keras(network).items()
    }
    yamnet.place_keras_tensors(other, found, path=Path("a.h5"))
    assert_same(other, network)


def test_yamnet_from_torch(tmp_path: Path, class_map: Path) -> None:
    network = made_network("yamnet")
    torch.save(yamnet_as_torch(network), tmp_path / "yamnet.pth")
    save_file(
        {name: tensor.contiguous() for name, tensor in yamnet_as_torch(network).items()}, tmp_path / "y.safetensors"
    )
    for name in ("yamnet.pth", "y.safetensors"):
        imported = import_model(tmp_path / name, published_as="yamnet", class_map=class_map)
        assert imported.format == "PyTorch"
        assert_same(imported.model.network, network)


@pytest.mark.parametrize("bits", [8, 32])
def test_yamnet_from_tflite(folded: Network, class_map: Path, tmp_path: Path, bits: int) -> None:
    path = write_tflite(tmp_path / "yamnet.tflite", yamnet_operators(folded, bits=bits))
    imported = import_model(path, published_as="yamnet", class_map=class_map)
    assert (imported.num_tensors, imported.left_out, imported.is_quantised) == (56, ("mel",), bits == 8)
    if bits == 32:
        assert_same(imported.model.network, folded)
    else:
        difference = torch.sigmoid(logits(imported.model.network)) - torch.sigmoid(logits(folded))
        assert 0 < difference.abs().mean() < EIGHT_BITS


def test_vggish_from_tensorflow_keras_and_torch() -> None:
    network = made_network("vggish", width=WIDTH, num_labels=1)
    released = vggish_as_tensorflow(network)
    renamed = {n.replace("weights", "kernel").replace("biases", "bias"): t for n, t in released.items()}
    by_layer = {f"{n.split('/')[-2]}/{n}".replace("vggish/fc", "vggish_fc"): t for n, t in renamed.items()}
    for found in ({**released, "global_step": np.int64(3)}, renamed, by_layer):
        other = made_network("vggish", width=WIDTH, num_labels=1)
        for tensor in other.parameters():
            torch.nn.init.zeros_(tensor)
        other.head.load_state_dict(network.head.state_dict())
        vggish.place_tensorflow_tensors(other, found, path=Path("a"))
        assert_same(other, network)
    other = made_network("vggish", width=WIDTH, num_labels=1)
    torch.nn.init.zeros_(other.get_parameter("hidden.4.weight"))
    vggish.place_torch_tensors(other, {n: t.numpy() for n, t in vggish_as_torch(network).items()}, path=Path("a"))
    assert_same(other, network)


def test_a_whole_vggish_names_nothing(tmp_path: Path, made_sounds: MadeSounds) -> None:
    """At its full size; numbers that are all the same need no room in a .pth."""
    with torch.device("meta"):
        tensors = vggish_as_torch(made_network_on_meta())
    torch.save({name: torch.tensor(0.01).expand(tensor.shape) for name, tensor in tensors.items()}, tmp_path / "v.pth")
    pca = tmp_path / "pca.npz"
    np.savez(pca, pca_eigen_vectors=np.eye(128), pca_means=np.full((128, 1), 0.5))
    imported = import_model(tmp_path / "v.pth", published_as="vggish", pca=pca)
    assert imported.model.label_set == NO_LABELS
    assert imported.model.front_end == FrontEnd()
    assert imported.model.network.embedding_size == 128
    with torch.inference_mode():
        embedding = imported.model.network.embed(torch.full((1, 96, 64), 0.1))
    assert embedding.abs().max() == 2.0, "far beyond the limit"
    with pytest.raises(ModelError, match=r"this vggish names nothing.*--freeze"):
        Tagger(imported.model)


def made_network_on_meta() -> Network:
    from earwitness.models.registry import create_network

    return create_network("vggish", num_labels=1)


def test_whitening_is_the_releases_post_processor(data_dir: Path) -> None:
    """Against its formula in NumPy, the 8 bits included, with the released parameters."""
    path = data_dir / "reference" / "vggish_pca_params.npz"
    network = made_network("vggish", num_labels=1, whiten=True, patch_frames=16, num_bands=16)
    assert isinstance(network, VGGish)
    vggish.place_whitening(network, path)
    raw = np.random.default_rng(0).normal(scale=0.5, size=(50, 128))
    with np.load(path) as file:
        matrix, means = file["pca_eigen_vectors"], file["pca_means"].reshape(-1, 1)
    released = ((np.clip((matrix @ (raw.T - means)).T, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
    assert network.whitening is not None
    with torch.inference_mode():
        ours = network.whitening(torch.from_numpy(raw.astype(np.float32))).clamp(-2, 2).numpy()
    in_8_bits = ((ours + 2) * (255 / 4)).astype(np.uint8)
    assert (in_8_bits == released).mean() > 0.999, "but where rounding goes the other way"
    assert np.abs(in_8_bits.astype(int) - released).max() <= 1


# The real file


@pytest.mark.parametrize("copy", ["a", "b"])
def test_real_yamnet_knows_dogs_and_roosters(data_dir: Path, copy: str) -> None:
    model = import_model(data_dir / "weights" / f"yamnet_waveform_{copy}.tflite", published_as="yamnet").model
    tagger = Tagger(model, device="cpu")
    with (data_dir / "esc10" / "meta" / "esc10.csv").open() as file:
        clips = list(csv.DictReader(file))
    expected = {"dog": "Dog", "rooster": "Fowl", "sea_waves": "Ocean", "crying_baby": "Crying, sobbing"}
    num_found = 0
    for category, name in expected.items():
        for clip in [clip for clip in clips if clip["category"] == category][:4]:
            best = np.argsort(-tagger.score(data_dir / "esc10" / "audio" / clip["filename"]).scores)[:5]
            num_found += name in [model.label_set.names[i] for i in best]
    assert num_found >= 11, "of 16, and of 521 labels each"


# Every route


def test_store_and_file_give_the_same_scores(model: Path, made_sounds: MadeSounds, tmp_path: Path) -> None:
    few = Manifest.from_table(made_sounds.manifest.table.slice(0, 3))
    write_manifest(few, tmp_path / "m.parquet")
    run("prepare", tmp_path / "m.parquet", tmp_path / "store", "--for", model, "--workers", 1)
    store = Store.open(tmp_path / "store")
    assert store.front_end == yamnet.FRONT_END
    loaded = load_model(model)
    clips = np.arange(3)
    scorer = PatchScorer(loaded.network, device=torch.device("cpu"))
    with FrameReader(store) as reader:
        stored = score_clips(scorer, reader, clips, front_end=loaded.front_end)
    tagger = Tagger(loaded, device="cpu")
    for row, clip in zip(made_sounds.manifest.table.to_pylist(), stored, strict=False):
        blocks: list[PatchScores] = []
        tagged = tagger.score(row["media"], on_patches=blocks.append)
        np.testing.assert_allclose(tagged.scores, clip, atol=1e-6)
        assert tagged.scored_seconds == tagged.seconds, "the last patch is filled, nothing is left over"
        assert tagged.num_patches == 1 + -(-(round(tagged.seconds * 16_000) - 15_600) // 7_680)


def test_day_one(tflite: Path, made_sounds: MadeSounds, tmp_path: Path) -> None:
    """As typed: import, tag with a timeline, prepare, embed, a head for one's own labels, evaluate, tag with it."""
    model, store, head = tmp_path / "yamnet.safetensors", tmp_path / "store", tmp_path / "head"
    said = run("import", tflite, "--as", "yamnet", "--out", model).stdout
    assert "yamnet, 521 labels, embeddings of 1,024 numbers; 56 tensors of a TFLite file" in said
    assert "left out: mel, of the file's own front end" in said
    assert f"next: earwitness tag {model} FILE" in said
    media = made_sounds.manifest.table["media"][0].as_py()
    tagged = json.loads(run("tag", model, media, "--json", "--timeline", "--threshold", 0.01).stdout)
    assert tagged["tags"][0]["label_name"].startswith("Sound ")
    assert len(tagged["tags"]) == 5
    few = Manifest.from_table(made_sounds.manifest.table.slice(0, 16))
    write_manifest(few, tmp_path / "m.parquet")
    said = run("prepare", tmp_path / "m.parquet", store, "--for", model, "--workers", 1).stdout
    assert f"next: earwitness train {store} RUN --from {model} --freeze" in said
    refused("evaluate", model, store, saying=["not the model's", "train --from MODEL --freeze learns the store's"])
    run("embed", model, store, tmp_path / "embeddings")
    options = ("--where", "fold != 1", "--batch-size", 16, "--learning-rate", 0.01, "--validation-share", 0)
    run("train", store, head, "--from", model, "--freeze", "--steps", 200, *options)
    assert (head / "embeddings.npy").exists(), "made once, kept with the run"
    run("train", tmp_path / "embeddings", tmp_path / "again", "--steps", 200, *options)
    networks = [load_model(folder / "model.safetensors").network for folder in (head, tmp_path / "again")]
    torch.testing.assert_close(networks[0].state_dict(), networks[1].state_dict(), rtol=1e-2, atol=1e-2)
    evaluated = json.loads(run("evaluate", head / "model.safetensors", store, "--where", "fold = 1", "--json").stdout)
    assert evaluated["model"]["mean_auc"] > 0.8, "random layers tell tones from noise"
    own = json.loads(run("tag", head / "model.safetensors", media, "--json").stdout)
    assert {tag["label_id"] for tag in own["tags"]} == {"click", "noise", "tone"}
    learnt = load_model(head / "model.safetensors")
    assert learnt.front_end == yamnet.FRONT_END
    assert learnt.architecture.arguments["batch_norm"] is False


# Bad input


def altered(tensors: Tensors, **changes: Any) -> Tensors:
    return {name: tensor for name, tensor in {**tensors, **changes}.items() if tensor is not None}


def test_keras_tensors_that_do_not_fit() -> None:
    network = made_network("yamnet", width=WIDTH)
    tensors, path = yamnet_as_keras(network), Path("y.h5")
    kernel = "layer3/pointwise_conv/layer3/pointwise_conv/kernel"
    bad = tensors[kernel].copy()
    bad.flat[5] = np.nan
    large = tensors[kernel].copy()
    large.flat[5] = 1e16  # one bit of an exponent
    for changes, message in (
        ({kernel: None}, r"y\.h5: tensor 'layer3/pointwise_conv/kernel' is missing; this is not the file of yamnet"),
        ({kernel: np.zeros((1, 1, 4, 9))}, r"'layer3/pointwise_conv/kernel' has shape \[1, 1, 4, 9\], yamnet needs"),
        ({kernel: bad}, "'layer3/pointwise_conv/kernel' holds something that is no number; the file is damaged"),
        ({kernel: large}, r"'layer3/pointwise_conv/kernel' holds 1e\+16, which no weight of a network is"),
        ({"attention/kernel": bad, "z": bad}, r"'attention/kernel' belongs to no layer of yamnet \(nor 1 more\)"),
        ({f"twice/{kernel}": bad}, "'twice/layer3/.*' is there twice"),
    ):
        with pytest.raises(ModelError, match=message):
            yamnet.place_keras_tensors(network, altered(tensors, **changes), path=path)


def test_tflite_of_another_network(folded: Network, class_map: Path, tmp_path: Path) -> None:
    operators = yamnet_operators(folded)
    path = tmp_path / "a.tflite"
    stride = [(*operators[3][:2], 2)]
    for others, message in (
        (
            operators[:-4],
            "it has 25 layers with weights behind its front end, yamnet has 28",
        ),
        (
            [*operators[:3], *stride, *operators[4:]],
            r"'layer2/pointwise_conv' belongs to a convolution with strides \(2",
        ),
        ([*operators[:2], operators[3], operators[2], *operators[4:]], "yamnet has a depthwise convolution with"),
        ([(operators[1][0], operators[1][1][:1], 2), *operators[2:]], "'layer1/conv' .* and no bias"),
        ([(MEAN, [], 1)], "it has 0 layers with weights"),
    ):
        write_tflite(path, others)
        with pytest.raises(ModelError, match=message):
            import_model(path, published_as="yamnet", class_map=class_map)
    for options, message in (
        ({1: {3: ("<b", 1)}, 2: {4: ("<b", 1)}}, None),
        (
            {1: {3: ("<b", 3)}},
            "'layer1/conv' belongs to a convolution with activation ReLU to 6, which yamnet does not",
        ),
        ({2: {4: ("<b", 4)}}, "'layer2/depthwise_conv' belongs to a depthwise convolution with activation tanh"),
        ({2: {5: ("<i", 2)}}, r"'layer2/depthwise_conv' .* with dilations \(1, 2\); yamnet has none"),
        ({29: {0: ("<b", 1)}}, "'dense' belongs to a fully connected layer with activation ReLU, which"),
    ):
        write_tflite(path, operators, options=options)
        if message is None:
            assert_same(import_model(path, published_as="yamnet", class_map=class_map).model.network, folded)
            continue
        with pytest.raises(ModelError, match=message):
            import_model(path, published_as="yamnet", class_map=class_map)
    with pytest.raises(ModelError, match="a TFLite file, which vggish was not published as"):
        import_model(path, published_as="vggish")


def test_class_maps_that_do_not_fit(tflite: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    write_label_set(LabelSet.of([f"label {i}" for i in range(520)]), short)
    with pytest.raises(ModelError, match=r"short\.csv: the class map has 520 labels, and .*tflite has 521 outputs"):
        import_model(tflite, published_as="yamnet", class_map=short)
    (tmp_path / "bare.tflite").write_bytes(tflite.read_bytes())
    with pytest.raises(SettingsError, match=r"521 outputs and not their names; give --class-map"):
        import_model(tmp_path / "bare.tflite", published_as="yamnet")
    with pytest.raises(LabelError, match="cannot be read"):
        import_model(tflite, published_as="yamnet", class_map=tmp_path / "nothing.csv")
    long, strange = tmp_path / "long.csv", tmp_path / "strange.csv"
    long.write_text(f"index,mid,display_name\n0,/m/0,{'x' * 200_000}\n")
    strange.write_bytes("index,mid,display_name\n0,/m/0,Gel\u00e4chter\n".encode("latin-1"))
    for path, message in ((long, "it is no CSV .field larger"), (strange, "is not UTF-8 text")):
        with pytest.raises(LabelError, match=message):
            import_model(tflite, published_as="yamnet", class_map=path)


def test_pca_parameters_that_do_not_fit(tmp_path: Path) -> None:
    network = made_network("vggish", num_labels=1, width=WIDTH, whiten=True)
    assert isinstance(network, VGGish)
    path = tmp_path / "pca.npz"
    np.savez(path, pca_eigen_vectors=np.eye(128), pca_means=np.zeros(128))
    with pytest.raises(ModelError, match=r"pca_eigen_vectors has shape \[128, 128\].*\[8, 8\] and \[8\] are needed"):
        vggish.place_whitening(network, path)
    np.savez(path, means=np.zeros(8))
    with pytest.raises(ModelError, match="it holds means; pca_eigen_vectors and pca_means are needed"):
        vggish.place_whitening(network, path)
    np.savez(path, pca_eigen_vectors=np.full((8, 8), np.nan), pca_means=np.zeros(8))
    with pytest.raises(ModelError, match="no number"):
        vggish.place_whitening(network, path)
    path.write_bytes(b"PK nonsense")
    with pytest.raises(ModelError, match=r"not a readable \.npz"):
        vggish.place_whitening(network, path)


def test_a_model_that_is_there(tflite: Path, model: Path, tmp_path: Path) -> None:
    """The same one is left as it is; another one, or anything else, is replaced only where that is said."""
    out = tmp_path / "yamnet.safetensors"
    what = ("import", tflite, "--as", "yamnet", "--out", out)
    digest = hashlib.sha256(tflite.read_bytes()).hexdigest()
    assert f"SHA-256 {digest}" in run(*what).stderr
    bias = load_model(model).network.head.bias
    torch.testing.assert_close(load_model(out).network.head.bias, bias, rtol=0, atol=0)
    before = out.stat().st_mtime_ns
    assert "it was there already" in run(*what).stdout
    assert json.loads(run(*what, "--json").stdout)["was_there"] is True
    assert out.stat().st_mtime_ns == before
    changed = load_model(out)
    with torch.no_grad():
        changed.network.head.bias.add_(1)
    save_model(changed, out)
    refused(*what, saying=["there is another file already", "say --overwrite"])
    assert "was there" not in run(*what, "--overwrite").stdout
    torch.testing.assert_close(load_model(out).network.head.bias, bias, rtol=0, atol=0)
    out.write_text("my notes")
    refused(*what, saying="there is another file already")
    assert out.read_text() == "my notes"


def test_commands_that_are_refused(tflite: Path, model: Path, made_store: Store, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out.safetensors")
    (tmp_path / "page.h5").write_text("<html>")
    refused(
        "import", tmp_path / "page.h5", "--as", "yamnet", *out, saying=["page.h5", "a page of a server that refused"]
    )
    refused("import", tmp_path, "--as", "vggish", *out, saying="this is a folder")
    refused("import", tflite, "--as", "yamnet", "--last-relu", *out, saying="--last-relu and --pca are of vggish")
    refused("import", tflite, "--as", "vggish", "--class-map", tflite, *out, saying="--class-map is of yamnet")
    refused("import", tflite, "--as", "yamnet", "--out", tflite, saying="would be overwritten")
    refused("import", tflite, "--as", "yamnet", "--out", tmp_path, saying="this is a folder; name a file in it")
    refused("tag", tflite, tmp_path / "a.wav", saying="published weights become one by `earwitness import`")
    refused("prepare", tmp_path / "m.csv", tmp_path / "s", "--for", tmp_path, saying="a folder, a model file is needed")
    write_manifest(
        Manifest.from_table(pa.table({"clip_id": ["a"], "media": ["a.wav"], "labels": [["x"]]})), tmp_path / "m.csv"
    )
    refused("prepare", tmp_path / "m.csv", tmp_path / "s", "--for", tflite, saying="not a model file of earwitness")
    refused(
        "prepare", tmp_path / "m.csv", tmp_path / "s", "--for", tmp_path / "none", saying="the model cannot be read"
    )
    refused(
        *("prepare", tmp_path / "m.csv", tmp_path / "s", "--for", model, "--log-offset", 0.02),
        saying=["brings the model's front end", "log_offset: 0.02 / 0.01"],
    )
    refused(
        *("train", made_store.folder, tmp_path / "run", "--from", model, "--freeze"),
        saying=["log_offset: 0.01 / 0.001", "prepare the media again with --for MODEL"],
    )
