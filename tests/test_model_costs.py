"""Sizes of the networks: against the paper's figures, against sums by hand, and against torch's own counter."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from earwitness.errors import ModelError, SettingsError
from earwitness.models.costs import count_multiply_adds, network_costs
from earwitness.models.registry import NETWORKS, create_network

Layer = tuple[int, int, int, int]
"""Numbers that enter one output, outputs (channels or units), places of the map, trained numbers an output besides."""


def conv(num_in: int, num_out: int, kernel: int, places: int) -> Layer:
    """A convolution of `kernel` numbers an input channel, with batch norm: a scale and a shift a channel."""
    return (num_in * kernel, num_out, places, 2)


def linear(num_in: int, num_out: int) -> Layer:
    return (num_in, num_out, 1, 1)


def totals(layers: list[Layer]) -> tuple[int, int]:
    """Weights and multiply-adds."""
    weights = sum((num_in + others) * num_out for num_in, num_out, _, others in layers)
    return weights, sum(num_in * num_out * places for num_in, num_out, places, _ in layers)


def alexnet() -> list[Layer]:
    return [
        conv(1, 96, 121, 43 * 54),
        conv(96, 256, 25, 21 * 26),
        conv(256, 384, 9, 10 * 12),
        conv(384, 384, 9, 10 * 12),
        conv(384, 256, 9, 10 * 12),
        linear(256 * 2 * 2, 4096),
        linear(4096, 4096),
        linear(4096, 3087),
    ]


def fully_connected() -> list[Layer]:
    return [linear(96 * 64, 1000), linear(1000, 1000), linear(1000, 1000), linear(1000, 3087)]


def vgg() -> list[Layer]:
    layers, num_in, places = [], 1, 96 * 64
    for num_out, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            layers.append(conv(num_in, num_out, 9, places))
            num_in = num_out
        places //= 4
    return [*layers, linear(512 * 3 * 2, 4096), linear(4096, 4096), linear(4096, 3087)]


def resnet50() -> list[Layer]:
    layers, num_in, places = [conv(1, 64, 49, 96 * 64)], 64, 48 * 32
    for inner, blocks, shrinking in ((64, 3, 1), (128, 4, 4), (256, 6, 4), (512, 3, 4)):
        places //= shrinking
        layers.append(conv(num_in, 4 * inner, 1, places))  # the first shortcut
        for _ in range(blocks):
            layers += [conv(num_in, inner, 1, places), conv(inner, inner, 9, places), conv(inner, 4 * inner, 1, places)]
            num_in = 4 * inner
    return [*layers, linear(2048, 3087)]


def inception_v3() -> list[Layer]:
    large, middle, small = 46 * 30, 22 * 14, 10 * 6
    layers = [conv(1, 80, 1, 96 * 64), conv(80, 192, 9, 94 * 62)]
    for num_in, pooled in ((192, 32), (256, 64), (288, 64)):
        layers += [conv(num_in, size, 1, large) for size in (64, 48, 64, pooled)]
        layers += [conv(48, 64, 25, large), conv(64, 96, 9, large), conv(96, 96, 9, large)]
    layers += [conv(288, 384, 9, middle), conv(288, 64, 1, large), conv(64, 96, 9, large), conv(96, 96, 9, middle)]
    for n in (128, 160, 160, 192):
        layers += [conv(768, size, 1, middle) for size in (192, n, n, 192)]
        layers += [conv(n, n, 7, middle)] * 4 + [conv(n, 192, 7, middle)] * 2
    layers += [conv(768, 192, 1, middle)] * 2 + [conv(192, 192, 7, middle)] * 2
    layers += [conv(192, 320, 9, small), conv(192, 192, 9, small)]
    for num_in in (1280, 2048):
        layers += [conv(num_in, size, 1, small) for size in (320, 384, 448, 192)]
        layers += [conv(384, 384, 3, small)] * 4 + [conv(448, 384, 9, small)]
    return [*layers, linear(2048, 3087)]


def yamnet() -> list[Layer]:
    layers, num_in, places = [conv(1, 32, 9, 48 * 32)], 32, 48 * 32
    outs = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    for number, num_out in enumerate(outs, start=2):
        places //= 4 if number in (3, 5, 7, 13) else 1
        layers += [conv(1, num_in, 9, places), conv(num_in, num_out, 1, places)]
        num_in = num_out
    return [*layers, linear(1024, 3087)]


def vggish() -> list[Layer]:
    layers, num_in, places = [], 1, 96 * 64
    for num_out, count in ((64, 1), (128, 1), (256, 2), (512, 2)):
        for _ in range(count):
            layers.append((num_in * 9, num_out, places, 1))  # a bias, no batch norm
            num_in = num_out
        places //= 4
    return [*layers, linear(512 * 6 * 4, 4096), linear(4096, 4096), linear(4096, 128), linear(128, 3087)]


BY_HAND = {
    "alexnet": alexnet(),
    "fully_connected": fully_connected(),
    "inception_v3": inception_v3(),
    "resnet50": resnet50(),
    "vgg": vgg(),
    "vggish": vggish(),
    "yamnet": yamnet(),
}


@pytest.fixture(params=sorted(NETWORKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_sums_by_hand(name: str) -> None:
    costs = network_costs(name, num_labels=3087)
    assert (costs.num_weights, costs.num_multiply_adds) == totals(BY_HAND[name])
    assert costs.embedding_size == BY_HAND[name][-1][0]


@pytest.mark.parametrize(
    ("network", "weights", "multiply_adds"),
    [
        ("fully_connected", "11.2 M", "11.2 M"),
        ("resnet50", "30 M", "1.9 G"),
        ("vgg", "62 M", "2.4 G"),
        ("inception_v3", "28 M", None),  # 4.7 G is not reconciled: docs/design.md
        ("alexnet", None, None),  # the next test
    ],
)
def test_paper_figures_after_rounding(network: str, weights: str | None, multiply_adds: str | None) -> None:
    costs, entry = network_costs(network, num_labels=3087), NETWORKS[network]
    for ours, registered, printed in (
        (costs.num_weights, entry.paper_num_weights, weights),
        (costs.num_multiply_adds, entry.paper_num_multiply_adds, multiply_adds),
    ):
        if printed is not None:
            digits, unit = printed.split()
            size = {"M": 10**6, "G": 10**9}[unit]
            decimals = len(digits.partition(".")[2])
            assert round(ours / size, decimals) == float(digits)
            assert registered == float(digits) * size


def test_published_figures_of_yamnet_after_rounding() -> None:
    """Its README: 3.7M weights and 69.2M multiplies. Batch norm's scales, which the release has not, do not show."""
    costs, released = network_costs("yamnet", num_labels=521), NETWORKS["yamnet"].released
    assert released is not None
    assert released.num_multiply_adds == round(costs.num_multiply_adds, -5) == 69_200_000
    for num_weights in (costs.num_weights, costs.num_weights - 10_944):
        assert released.num_weights == round(num_weights, -5) == 3_700_000


def test_vggish_up_to_its_embedding() -> None:
    costs = network_costs("vggish", num_labels=1)
    assert costs.num_weights - 129 == 72_141_184
    with torch.device("meta"):
        parts = [sum(p.numel() for p in m.parameters()) for m in create_network("vggish", num_labels=1).hidden]
    assert [part for part in parts if part] == [50_335_744, 16_781_312, 524_416]


def test_alexnets_figures_are_cut_not_rounded() -> None:
    costs = network_costs("alexnet", num_labels=3087)
    assert costs.num_weights // 100_000 * 100_000 == NETWORKS["alexnet"].paper_num_weights == 37_300_000
    assert costs.num_multiply_adds // 10**6 * 10**6 == NETWORKS["alexnet"].paper_num_multiply_adds == 767_000_000


@pytest.mark.parametrize("bottleneck", [None, 128])
@pytest.mark.parametrize("patch_frames", [96, 61])
def test_torchs_counter_agrees(name: str, patch_frames: int, bottleneck: int | None) -> None:
    """By operations, not layers; it counts a multiply-add twice."""
    options: dict[str, Any] = {"num_labels": 40, "patch_frames": patch_frames, "width": 0.3, "bottleneck": bottleneck}
    with torch.device("meta"):
        network = create_network(name, **options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, patch_frames, 64, device="meta"))
    assert network_costs(name, **options).num_multiply_adds * 2 == counter.get_total_flops()


def test_shapes_without_numbers_cost_the_same_as_a_real_run(name: str) -> None:
    options: dict[str, Any] = {"num_labels": 6, "width": 0.1, "bottleneck": 3}
    random_state = torch.random.get_rng_state()
    costs = network_costs(name, **options)
    assert torch.equal(random_state, torch.random.get_rng_state())
    network = create_network(name, **options)
    assert costs.num_weights == network.num_weights
    assert costs.embedding_size == 3
    for _ in range(2):  # counting leaves nothing behind
        assert costs.num_multiply_adds == count_multiply_adds(network, torch.zeros(1, 96, 64))
    assert network.training


def test_a_bottleneck_saves_weights_as_the_paper_says() -> None:
    """With 30,871 outputs and no bottleneck, ResNet-50 has more than 80 M weights."""
    wide = network_costs("resnet50", num_labels=30_871)
    narrow = network_costs("resnet50", num_labels=30_871, bottleneck=128)
    assert wide.num_weights - narrow.num_weights == 2048 * 30_871 - (2048 * 128 + 128) - 128 * 30_871
    assert narrow.num_weights < 30e6 < 80e6 < wide.num_weights


def test_refusals() -> None:
    with pytest.raises(ModelError, match="unknown network 'vgg16'"):
        network_costs("vgg16", num_labels=3)
    with pytest.raises(SettingsError, match="num_labels=0"):
        network_costs("vgg", num_labels=0)
