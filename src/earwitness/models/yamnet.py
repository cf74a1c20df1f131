"""YAMNet: MobileNet v1 for log-mel patches, as Google released it for 521 labels of Audio Set.

The released definition (tensorflow/models, research/audioset/yamnet) of Howard et al. 2017, "MobileNets: Efficient
Convolutional Neural Networks for Mobile Vision Applications". A separable convolution is a 3 x 3 filter for each
channel by itself, which has the stride, and a 1 x 1 convolution over the channels; batch norm (epsilon 1e-4) and ReLU
follow each of the two. A map is padded as TensorFlow pads: where a stride of 2 meets an even size, behind its last row
only.

    layers                         output (frames x bands x channels)   weights (521 labels)
    patch                             96 x 64 x 1
    convolution, stride 2             48 x 32 x 32                             352
    separable                         48 x 32 x 64                           2,528
    separable, stride 2; separable    24 x 16 x 128                         27,200
    separable, stride 2; separable     12 x 8 x 256                        103,552
    separable, stride 2                 6 x 4 x 512                        134,912
    5 separable                         6 x 4 x 512                      1,344,000
    separable, stride 2; separable      3 x 2 x 1,024                    1,593,856
    mean over the map                   1,024   (the embedding)
    output                                521                              534,025
    all                                                                  3,740,425

At 521 labels: 3.74 M weights and 69.2 M multiplies (its authors print 3.7 M and 69.2 M). Their batch norm only shifts
(10,944 weights fewer); ours can also scale, and has 1 there after an import.

Weights with batch norm folded into the convolutions, as TFLite files have them, are held by the same network without
batch norm and with biases: `batch_norm=False`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness.models.network import Network, require_patch, scaled

STEM_CHANNELS = 32
SEPARABLE_LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1_024, 2), (1_024, 1)),
)
"""Channels out and stride of each separable convolution."""

_EPSILON = 1e-4
"""Of batch norm, as released. torch's own 1e-5 would change the scores."""


class YAMNet(Network):
    """One convolution and thirteen separable ones. Any patch of at least one frame and band works."""

    def __init__(
        self,
        *,
        num_labels: int,
        patch_frames: int = 96,
        num_bands: int = 64,
        width: float = 1.0,
        bottleneck: int | None = None,
        batch_norm: bool = True,
    ) -> None:
        """Build it.

        Args:
            num_labels: outputs.
            patch_frames: frames of a patch.
            num_bands: mel bands of a frame.
            width: multiplies the channels of every layer.
            bottleneck: units of a layer before the output; None: there is none.
            batch_norm: False: a bias in every convolution takes its place, for weights that it was folded into.
        """
        super().__init__()
        require_patch("yamnet", patch_frames=patch_frames, num_bands=num_bands)
        num_channels = scaled(STEM_CHANNELS, width)
        self.stem = _convolution(1, num_channels, 3, stride=2, batch_norm=batch_norm)
        layers = []
        for size, stride in SEPARABLE_LAYERS:
            size = scaled(size, width)
            depthwise = _convolution(
                num_channels, num_channels, 3, stride=stride, groups=num_channels, batch_norm=batch_norm
            )
            layers.append(nn.Sequential(depthwise, _convolution(num_channels, size, 1, batch_norm=batch_norm)))
            num_channels = size
        self.separable = nn.Sequential(*layers)
        self.add_output(num_features=num_channels, num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The average over the last map, [batch, 1,024 * width]; none of its numbers is negative."""
        x: Tensor = self.separable(self.stem(patches.unsqueeze(1)))
        return x.mean(dim=(2, 3))


class SameConv2d(nn.Conv2d):
    """A convolution padded so that its map has ceil(size / stride) rows; an odd one out is added at the end."""

    def forward(self, input: Tensor) -> Tensor:
        """The map [batch, channels, rows, columns] of `input`, likewise."""
        (top, bottom), (left, right) = (
            _padding(size, kernel=kernel, stride=stride)
            for size, kernel, stride in zip(input.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        if top == bottom and left == right:
            return F.conv2d(input, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _padding(size: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """Rows to add before and behind a map of `size` rows."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _convolution(
    num_in: int, num_out: int, kernel: int, *, stride: int = 1, groups: int = 1, batch_norm: bool
) -> nn.Sequential:
    convolution = SameConv2d(num_in, num_out, kernel, stride=stride, groups=groups, bias=not batch_norm)
    if batch_norm:
        return nn.Sequential(convolution, nn.BatchNorm2d(num_out, eps=_EPSILON), nn.ReLU(inplace=True))
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.bias.zero_()
    return nn.Sequential(convolution, nn.ReLU(inplace=True))
