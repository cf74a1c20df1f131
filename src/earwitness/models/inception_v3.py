"""Inception V3 for log-mel patches.

Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", in the form its authors released,
with the changes of Hershey et al. 2017, section 3.2.4: the first four layers of the stem, up to and including the max
pool, and the auxiliary output are removed; the final average pool is 10 x 6 accordingly.

    layer        paths (channels at width 1)                                   output (frames x bands x channels)
    patch                                                                         96 x 64 x 1
    conv 3b      1 x 1, 80                                                        96 x 64 x 80
    conv 4a      3 x 3, 192, no padding                                           94 x 62 x 192
    max pool 5a  3 x 3, stride 2                                                  46 x 30 x 192
    mixed 5b     1x1 64 | 1x1 48, 5x5 64 | 1x1 64, 3x3 96, 3x3 96 | pool, 1x1 32  46 x 30 x 256
    mixed 5c     the same, the last 64                                            46 x 30 x 288
    mixed 5d     as 5c                                                            46 x 30 x 288
    mixed 6a     3x3/2 384 | 1x1 64, 3x3 96, 3x3/2 96 | max pool/2                22 x 14 x 768
    mixed 6b     1x1 192 | 1x1 n, 1x7 n, 7x1 192 |
                 1x1 n, 7x1 n, 1x7 n, 7x1 n, 1x7 192 | pool, 1x1 192; n = 128     22 x 14 x 768
    mixed 6c-d   the same, n = 160                                                22 x 14 x 768
    mixed 6e     the same, n = 192                                                22 x 14 x 768
    mixed 7a     1x1 192, 3x3/2 320 | 1x1 192, 1x7 192, 7x1 192, 3x3/2 192 |
                 max pool/2                                                       10 x 6 x 1,280
    mixed 7b-c   1x1 320 | 1x1 384, (1x3 384 | 3x1 384) |
                 1x1 448, 3x3 384, (1x3 384 | 3x1 384) | pool, 1x1 192            10 x 6 x 2,048
    average pool 10 x 6                                                                   2,048   (the embedding)
    output                                                                           num_labels

Convolutions and pools of stride 2 have no padding, all others in the mixed layers have; `pool` is a 3 x 3 average of
stride 1.

At 3,087 labels: 28.08 M weights (the paper: 28 M) and 5.438 G multiplies. The paper prints 4.7 G. docs/design.md lists
what was tried to reconcile the two: nothing that leaves out what the paper leaves out, and ends in 10 x 6, costs that.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from earwitness.models.network import Network, conv_norm_relu, require_patch, scaled

_MIN_PATCH_FRAMES = _MIN_BANDS = 17
"""17 become 15, 7, 3 and 1."""


class _Path(nn.Sequential):
    """A chain of convolutions, each (channels, frames, bands), after a pool if there is one.

    The last has the stride given, and no padding if that is 2. `is_forked` adds a 1 x 3 and a 3 x 1 side by side.
    """

    def __init__(
        self,
        num_in: int,
        *convolutions: tuple[int, int, int],
        width: float = 1.0,
        stride: int = 1,
        pool: nn.Module | None = None,
        is_forked: bool = False,
    ) -> None:
        super().__init__()
        if pool is not None:
            self.append(pool)
        self.num_out = num_in
        for number, (channels, *kernel) in enumerate(convolutions, start=1):
            step = stride if number == len(convolutions) else 1
            num_out = scaled(channels, width)
            self.append(
                conv_norm_relu(
                    self.num_out,
                    num_out,
                    (kernel[0], kernel[1]),
                    stride=step,
                    padding="same" if step == 1 else "valid",
                )
            )
            self.num_out = num_out
        if is_forked:
            fork = _Mixed(*(_Path(self.num_out, (self.num_out, *kernel)) for kernel in ((1, 3), (3, 1))))
            self.append(fork)
            self.num_out = fork.num_out


class _Mixed(nn.Module):
    """Paths side by side; their channels one after the other are the output."""

    def __init__(self, *paths: _Path) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)
        self.num_out = sum(path.num_out for path in paths)

    def forward(self, x: Tensor) -> Tensor:  # [batch, channels, frames, bands]
        return torch.cat([path(x) for path in self.paths], dim=1)


def _average() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _mixed_5(num_in: int, width: float, *, num_pooled: int) -> _Mixed:
    return _Mixed(
        _Path(num_in, (64, 1, 1), width=width),
        _Path(num_in, (48, 1, 1), (64, 5, 5), width=width),
        _Path(num_in, (64, 1, 1), (96, 3, 3), (96, 3, 3), width=width),
        _Path(num_in, (num_pooled, 1, 1), width=width, pool=_average()),
    )


def _mixed_6a(num_in: int, width: float) -> _Mixed:
    return _Mixed(
        _Path(num_in, (384, 3, 3), width=width, stride=2),
        _Path(num_in, (64, 1, 1), (96, 3, 3), (96, 3, 3), width=width, stride=2),
        _Path(num_in, pool=nn.MaxPool2d(3, stride=2)),
    )


def _mixed_6(num_in: int, width: float, *, num_inner: int) -> _Mixed:
    n = num_inner
    return _Mixed(
        _Path(num_in, (192, 1, 1), width=width),
        _Path(num_in, (n, 1, 1), (n, 1, 7), (192, 7, 1), width=width),
        _Path(num_in, (n, 1, 1), (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7), width=width),
        _Path(num_in, (192, 1, 1), width=width, pool=_average()),
    )


def _mixed_7a(num_in: int, width: float) -> _Mixed:
    return _Mixed(
        _Path(num_in, (192, 1, 1), (320, 3, 3), width=width, stride=2),
        _Path(num_in, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3), width=width, stride=2),
        _Path(num_in, pool=nn.MaxPool2d(3, stride=2)),
    )


def _mixed_7(num_in: int, width: float) -> _Mixed:
    return _Mixed(
        _Path(num_in, (320, 1, 1), width=width),
        _Path(num_in, (384, 1, 1), width=width, is_forked=True),
        _Path(num_in, (448, 1, 1), (384, 3, 3), width=width, is_forked=True),
        _Path(num_in, (192, 1, 1), width=width, pool=_average()),
    )


class InceptionV3(Network):
    """Works for any patch of at least 17 frames and bands: the final pool takes what is left."""

    def __init__(
        self,
        *,
        num_labels: int,
        patch_frames: int = 96,
        num_bands: int = 64,
        width: float = 1.0,
        bottleneck: int | None = None,
    ) -> None:
        super().__init__()
        require_patch(
            "inception_v3",
            patch_frames=patch_frames,
            num_bands=num_bands,
            min_patch_frames=_MIN_PATCH_FRAMES,
            min_bands=_MIN_BANDS,
        )
        num_stem, num_channels = scaled(80, width), scaled(192, width)
        self.stem = nn.Sequential(
            conv_norm_relu(1, num_stem, 1),
            conv_norm_relu(num_stem, num_channels, 3, padding="valid"),
            nn.MaxPool2d(3, stride=2),
        )
        makers: list[Callable[..., _Mixed]] = [
            *(partial(_mixed_5, num_pooled=size) for size in (32, 64, 64)),
            _mixed_6a,
            *(partial(_mixed_6, num_inner=size) for size in (128, 160, 160, 192)),
            _mixed_7a,
            _mixed_7,
            _mixed_7,
        ]
        self.mixed = nn.Sequential()
        for make in makers:
            layer = make(num_channels, width)
            self.mixed.append(layer)
            num_channels = layer.num_out
        self.add_output(num_features=num_channels, num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The average over the last map, [batch, 2,048 * width]."""
        x: Tensor = self.mixed(self.stem(patches.unsqueeze(1)))
        return x.mean(dim=(2, 3))
