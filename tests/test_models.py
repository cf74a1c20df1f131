"""Networks and the model file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from earwitness.errors import ModelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.probabilities import PatchScorer
from earwitness.labels import LabelSet
from earwitness.models.model_file import Architecture, Model, load_model, save_model
from earwitness.models.network import Network
from earwitness.models.registry import NETWORKS, create_network

SMALL = {"fully_connected": 0.05, "resnet50": 0.125}
"""A width at which a network is quick to test."""

PAPER_FIGURES = {
    # weights and multiply-adds at 3,087 labels, recomputed from layer shapes; printed: 11.2 M / 11.2 M, 30 M / 1.9 G
    "fully_connected": (11_237_087, 11_231_000),
    "resnet50": (29_827_023, 1_856_000_000),
}


@pytest.fixture(params=sorted(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def small(name: str, *, num_labels: int = 5, patch_frames: int = 96, num_bands: int = 64) -> Network:
    torch.manual_seed(0)
    return create_network(
        name, num_labels=num_labels, patch_frames=patch_frames, num_bands=num_bands, width=SMALL[name]
    )


def count_multiplies(network: nn.Module, patches: torch.Tensor) -> int:
    """Multiply-adds of one patch, by watching the layers run: independent of any formula in the network's file."""
    total = 0

    def watch(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    for module in network.modules():
        module.register_forward_hook(watch)
    with torch.inference_mode():
        network.eval()(patches[:1])
    return total


def test_paper_size(name: str) -> None:
    network = create_network(name, num_labels=3087)
    weights, multiplies = PAPER_FIGURES[name]
    assert network.num_weights == weights
    assert count_multiplies(network, torch.zeros(1, 96, 64)) == pytest.approx(multiplies, rel=1e-3)


def test_resnet50_is_he_et_al_without_the_first_stride() -> None:
    """The map sizes of the table in the file's docstring."""
    network = create_network("resnet50", num_labels=1, width=0.125)
    x = torch.zeros(1, 1, 96, 64)
    shapes = []
    for stage in [network.stem, *network.stages]:  # type: ignore[misc]
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 48, 32), (32, 48, 32), (64, 24, 16), (128, 12, 8), (256, 6, 4)]


@pytest.mark.parametrize("patch_frames", [96, 20])
def test_forward_and_embed(name: str, patch_frames: int) -> None:
    network = small(name, patch_frames=patch_frames).eval()
    patches = torch.randn(3, patch_frames, 64)
    with torch.inference_mode():
        logits, embedding = network(patches), network.embed(patches)
        assert logits.shape == (3, 5)
        assert embedding.shape == (3, network.embedding_size)
        torch.testing.assert_close(logits, network.head(embedding))
    assert torch.isfinite(logits).all()


def test_every_weight_has_a_gradient(name: str) -> None:
    network = small(name)
    network(torch.randn(4, 96, 64)).square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_learns_eight_clips_by_heart(name: str) -> None:
    network = small(name, num_labels=8)
    patches = torch.randn(8, 96, 64)
    targets = torch.eye(8)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(network(patches), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (network(patches).argmax(dim=1) == torch.arange(8)).all()
    assert loss.item() < 0.05


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"unknown network 'resnet-50'.*did you mean 'resnet50'"):
        create_network("resnet-50", num_labels=3)


@pytest.mark.parametrize("width", [0.0, -1.0, 1e-4])
def test_width_that_leaves_no_layer(width: float) -> None:
    with pytest.raises(SettingsError, match="width"):
        create_network("resnet50", num_labels=3, width=width)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ModelError, match="num_heads"):
        create_network("resnet50", num_labels=3, num_heads=2)


def model_of(name: str) -> Model:
    arguments = {"num_labels": 3, "patch_frames": 96, "num_bands": 64, "width": SMALL[name]}
    torch.manual_seed(3)
    return Model(
        network=create_network(name, **arguments).eval(),
        architecture=Architecture(name=name, arguments=arguments),
        label_set=LabelSet(("a", "b", "c"), ("Ä", "B,b", 'C"c')),
        front_end=FrontEnd(log_offset=0.001),
        provenance={"note": "made in a test"},
    )


def test_saved_and_loaded_model_gives_equal_scores(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    patches = np.random.default_rng(0).normal(size=(5, 96, 64)).astype(np.float16)
    device = torch.device("cpu")
    before = PatchScorer(model.network, device=device)(patches)
    save_model(model, tmp_path / "model.safetensors")
    random_state = torch.random.get_rng_state()
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(random_state, torch.random.get_rng_state()), "loading must not draw from the random state"
    np.testing.assert_array_equal(PatchScorer(loaded.network, device=device)(patches), before)
    assert loaded.label_set == model.label_set
    assert loaded.label_set.names == model.label_set.names
    assert loaded.front_end == model.front_end
    assert loaded.provenance == model.provenance


def test_scores_are_independent_of_company(name: str) -> None:
    """A patch scores the same alone, among others, and at another place: promise 1."""
    patches = np.random.default_rng(1).normal(size=(11, 96, 64)).astype(np.float16)
    scorer = PatchScorer(model_of(name).network, device=torch.device("cpu"), batch_patches=4)
    together = scorer(patches)
    alone = np.concatenate([scorer(patches[i : i + 1]) for i in range(len(patches))])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(scorer(patches[::-1]), together[::-1], atol=1e-6)
    with torch.inference_mode():
        plain = torch.sigmoid(scorer.network(torch.from_numpy(patches.astype(np.float32)))).numpy()
    np.testing.assert_allclose(together, plain, atol=1e-6)


def test_no_model_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such model file"):
        load_model(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="this is a folder"):
        load_model(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelError, match="not a model file"):
        load_model(tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="not a model of earwitness"):
        load_model(tmp_path / "foreign.safetensors")


def altered(tmp_path: Path, **changes: object) -> Path:
    """A model file of which a part of the description, the version or the tensors was changed."""
    from safetensors import safe_open

    save_model(model_of("fully_connected"), tmp_path / "whole.safetensors")
    with safe_open(tmp_path / "whole.safetensors", framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    description = json.loads(metadata["description"])
    for key, value in changes.items():
        if key == "format_version":
            metadata[key] = str(value)
        elif key == "drop":
            del tensors[str(value)]
        elif key == "shape":
            tensors[str(value)] = torch.zeros(2, 2)
        elif value is None:
            del description[key]
        else:
            description[key] = value
    metadata["description"] = json.dumps(description)
    save_file(tensors, tmp_path / "altered.safetensors", metadata=metadata)
    return tmp_path / "altered.safetensors"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "model format 99"),
        ({"labels": None}, "description is damaged"),
        ({"front_end": {"num_bands": 64}}, "expected exactly the fields"),
        ({"architecture": {"name": "resnet51", "arguments": {"num_labels": 3}}}, "unknown network"),
        ({"drop": "head.bias"}, r"tensor 'head.bias' is missing"),
        ({"shape": "head.bias"}, r"tensor 'head.bias' has shape \[2, 2\], the network needs \[3\]"),
    ],
)
def test_altered_model_file_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(altered(tmp_path, **changes))


def test_truncated_model_file_is_refused(tmp_path: Path) -> None:
    save_model(model_of("fully_connected"), tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="not a model file"):
        load_model(tmp_path / "model.safetensors")
