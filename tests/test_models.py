"""Networks and the model file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from earwitness.errors import ModelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.probabilities import PatchScorer
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model, load_model, save_model
from earwitness.models.network import Network
from earwitness.models.registry import NETWORKS, create_network

SMALL = {
    **{"alexnet": 0.0625, "fully_connected": 0.05, "inception_v3": 0.05, "resnet50": 0.125, "vgg": 0.0625},
    **{"vggish": 0.125, "yamnet": 0.125},
}
"""A width at which a network is quick to test."""

SHORTEST_PATCH = {"alexnet": 31, "inception_v3": 17, "vgg": 32} | dict.fromkeys(
    ("fully_connected", "resnet50", "vggish", "yamnet"), 1
)
FEWEST_BANDS = {**SHORTEST_PATCH, "alexnet": 21}


@pytest.fixture(params=sorted(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[None, 16], ids=["plain", "bottleneck"])
def bottleneck(request: pytest.FixtureRequest) -> int | None:
    units: int | None = request.param
    return units


def small(name: str, *, num_labels: int = 5, patch_frames: int = 96, **options: Any) -> Network:
    torch.manual_seed(0)
    return create_network(name, num_labels=num_labels, patch_frames=patch_frames, width=SMALL[name], **options)


def test_resnet50_is_he_et_al_without_the_first_stride() -> None:
    """The map sizes of the table in the file's docstring."""
    network = create_network("resnet50", num_labels=1, width=0.125)
    x = torch.zeros(1, 1, 96, 64)
    shapes = []
    for stage in [network.stem, *network.stages]:  # type: ignore[misc]
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 48, 32), (32, 48, 32), (64, 24, 16), (128, 12, 8), (256, 6, 4)]


def map_sizes(network: Network, patch: torch.Tensor) -> list[tuple[int, ...]]:
    """(channels, frames, bands) of each map that convolutions and pools of the top floor give, where it changes."""
    shapes: list[tuple[int, ...]] = []

    def watch(_layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        shape = tuple(output.shape[1:])
        if output.ndim == 4 and shapes[-1:] != [shape]:
            shapes.append(shape)

    for part in network.children():
        for layer in part.children():
            layer.register_forward_hook(watch)
    network.eval()(patch)
    return shapes


def test_map_sizes_are_those_of_the_docstrings() -> None:
    """Maps (channels, frames, bands); the paper's own: 6 x 4 before ResNet-50's average, 10 x 6 before Inception's."""
    patch = torch.zeros(1, 96, 64, device="meta")
    with torch.device("meta"):
        alexnet, vgg, inception = (create_network(name, num_labels=9) for name in ("alexnet", "vgg", "inception_v3"))
    assert map_sizes(alexnet, patch) == [
        *((96, 43, 54), (96, 21, 26), (256, 21, 26), (256, 10, 12), (384, 10, 12), (256, 10, 12), (256, 2, 2)),
    ]
    assert map_sizes(vgg, patch) == [
        *((64, 96, 64), (64, 48, 32), (128, 48, 32), (128, 24, 16), (256, 24, 16), (256, 12, 8), (512, 12, 8)),
        *((512, 6, 4), (512, 3, 2)),
    ]
    assert map_sizes(inception, patch) == [
        *((80, 96, 64), (192, 94, 62), (192, 46, 30), (256, 46, 30), (288, 46, 30), (768, 22, 14)),
        *((1280, 10, 6), (2048, 10, 6)),
    ]


@pytest.mark.parametrize("patch_frames", [96, 97, 50, None])
def test_forward_and_embed(name: str, patch_frames: int | None, bottleneck: int | None) -> None:
    """At the paper's patch length, at others, and at the shortest."""
    patch_frames = patch_frames or SHORTEST_PATCH[name]
    network = small(name, patch_frames=patch_frames, bottleneck=bottleneck).eval()
    patches = torch.randn(3, patch_frames, 64)
    with torch.inference_mode():
        logits, embedding = network(patches), network.embed(patches)
        assert logits.shape == (3, 5)
        assert embedding.shape == (3, network.embedding_size)
        assert bottleneck in (None, network.embedding_size)
        torch.testing.assert_close(logits, network.head(embedding))
    assert torch.isfinite(logits).all()
    assert (logits[0] - logits[1]).abs().max() > 0


def test_the_bottleneck_changes_nothing_below_it(name: str) -> None:
    plain, narrow = small(name), small(name, bottleneck=7)
    assert narrow.bottleneck is not None
    assert narrow.bottleneck.in_features == plain.embedding_size
    body = {key: tensor.shape for key, tensor in plain.state_dict().items() if not key.startswith("head.")}
    below = {key: tensor.shape for key, tensor in narrow.state_dict().items()}
    assert body.items() <= below.items()
    assert set(below) - set(body) == {"bottleneck.weight", "bottleneck.bias", "head.weight", "head.bias"}


def test_every_weight_has_a_gradient(name: str, bottleneck: int | None) -> None:
    network = small(name, bottleneck=bottleneck)
    network(torch.randn(4, 96, 64)).square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_learns_eight_clips_by_heart(name: str, bottleneck: int | None) -> None:
    network = small(name, num_labels=8, bottleneck=bottleneck)
    patches = torch.randn(8, 96, 64)
    targets = torch.eye(8)
    learning_rate = {"inception_v3": 5e-3, "yamnet": 5e-3, "vggish": 1e-3}.get(name, 2e-3)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    for _ in range(120 if name == "vggish" else 60):  # it has no batch norm, and starts slowly
        loss = nn.functional.binary_cross_entropy_with_logits(network(patches), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (network(patches).argmax(dim=1) == torch.arange(8)).all()
    assert loss.item() < 0.05


@pytest.mark.parametrize(("patch_frames", "num_bands"), [(31, 21), (40, 64), (96, 64), (97, 63)])
def test_alexnets_last_pool_sees_the_whole_map(patch_frames: int, num_bands: int) -> None:
    """The second window ends where the map ends, and begins no later than the first one ends: odd or even."""
    network = create_network("alexnet", num_labels=1, patch_frames=patch_frames, num_bands=num_bands, width=0.02)
    *layers, pool = network.convolutions.children()  # type: ignore[union-attr]
    assert isinstance(pool, nn.MaxPool2d)
    assert isinstance(pool.kernel_size, tuple)
    assert isinstance(pool.stride, tuple)
    x = nn.Sequential(*layers).eval()(torch.zeros(1, 1, patch_frames, num_bands))
    for size, window, step in zip(x.shape[2:], pool.kernel_size, pool.stride, strict=True):
        assert step + window == size
        assert step <= window


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("resnet-50", "resnet50"), ("AlexNet", "alexnet"), ("inception", "inception_v3"), ("vgg19", "vgg")],
)
def test_unknown_network_names_the_nearest(misspelt: str, meant: str) -> None:
    with pytest.raises(ModelError, match=rf"unknown network '{misspelt}'; known: alexnet, .*did you mean '{meant}'"):
        create_network(misspelt, num_labels=3)


def test_patch_too_short(name: str) -> None:
    shortest, fewest = SHORTEST_PATCH[name], FEWEST_BANDS[name]
    with pytest.raises(SettingsError, match=rf"patch_frames={shortest - 1} .* {name}; .* {shortest} frames"):
        small(name, patch_frames=shortest - 1)
    with pytest.raises(SettingsError, match=rf"num_bands={fewest - 1} .* {name}; .* {fewest} mel bands"):
        small(name, num_bands=fewest - 1)
    network = small(name, patch_frames=shortest, num_bands=fewest).eval()
    assert torch.isfinite(network(torch.randn(2, shortest, fewest))).all()


@pytest.mark.parametrize("units", [0, -3])
def test_bottleneck_that_makes_no_layer(name: str, units: int) -> None:
    with pytest.raises(SettingsError, match=f"bottleneck={units} makes no layer"):
        small(name, bottleneck=units)


@pytest.mark.parametrize("width", [0.0, -1.0, 1e-4])
def test_width_that_leaves_no_layer(name: str, width: float) -> None:
    with pytest.raises(SettingsError, match="width"):
        create_network(name, num_labels=3, width=width)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ModelError, match="num_heads"):
        create_network("resnet50", num_labels=3, num_heads=2)


def model_of(name: str, bottleneck: int | None = None) -> Model:
    arguments: dict[str, Any] = {
        "num_labels": 3,
        "patch_frames": 96,
        "num_bands": 64,
        "width": SMALL[name],
        "bottleneck": bottleneck,
    }
    torch.manual_seed(3)
    return Model(
        network=create_network(name, **arguments).eval(),
        architecture=Architecture(name=name, arguments=arguments),
        label_set=LabelSet(("a", "b", "c"), ("Ä", "B,b", 'C"c')),
        front_end=FrontEnd(log_offset=0.001),
        provenance={"note": "made in a test"},
    )


def test_saved_and_loaded_model_gives_equal_scores(name: str, bottleneck: int | None, tmp_path: Path) -> None:
    model = model_of(name, bottleneck)
    patches = np.random.default_rng(0).normal(size=(5, 96, 64)).astype(np.float16)
    device = torch.device("cpu")
    before = PatchScorer(model.network, device=device)(patches)
    save_model(model, tmp_path / "model.safetensors")
    random_state = torch.random.get_rng_state()
    loaded = load_model(tmp_path / "model.safetensors")
    assert torch.equal(random_state, torch.random.get_rng_state()), "loading must not draw from the random state"
    np.testing.assert_array_equal(PatchScorer(loaded.network, device=device)(patches), before)
    assert loaded.architecture == model.architecture
    assert loaded.network.embedding_size == model.network.embedding_size
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
        ({"labels": "x"}, "its rows must be objects"),
        ({"provenance": 3}, "description is damaged"),
        ({"front_end": [1]}, "description is damaged"),
        *(
            (
                {
                    "architecture": {
                        "name": "fully_connected",
                        "arguments": {"num_labels": 3, "width": 0.05, **arguments},
                    }
                },
                message,
            )
            for arguments, message in (
                # none of these is built, which would take all memory, or for ever
                ({"num_labels": 10**12}, r"has shape \[.*\], the network needs \[1000000000000"),
                ({"bottleneck": 10**12}, "tensor 'bottleneck.weight' is missing"),
                ({"num_units": 10**10}, r"the network needs \[500000000, 6144\]"),
                ({"num_layers": 10**9}, "num_layers=1000000000 cannot be, for there are"),
                ({"classifier_layers": 10**9}, "classifier_layers=1000000000 cannot be, for there are"),
                ({"width": "a"}, "description is damaged"),
                ({"num_labels": "3"}, "description is damaged"),
                ({"num_bands": 32}, "num_bands of the network is 32, and of its front end 64"),
            )
        ),
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
