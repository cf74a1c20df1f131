"""AlexNet for log-mel patches.

Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", with the changes of Hershey
et al. 2017, section 3.2.2: the first 11 x 11 convolution has a stride of 2 x 1 (frames x bands) in place of 4 x 4, so
that the maps after it are about as large as an image's; batch norm after every convolution in place of local response
normalisation; one tower, not two halves on two GPUs. No dropout, as everywhere in that paper.

    layer        kernel    stride   output (frames x bands x channels)   weights (3,087 labels)
    patch                               96 x 64 x 1
    conv 1       11 x 11   2 x 1        43 x 54 x 96                         11,808   (no padding)
    max pool 1    3 x 3    2            21 x 26 x 96
    conv 2        5 x 5                 21 x 26 x 256                       614,912
    max pool 2    3 x 3    2            10 x 12 x 256
    conv 3        3 x 3                 10 x 12 x 384                       885,504
    conv 4        3 x 3                 10 x 12 x 384                     1,327,872
    conv 5        3 x 3                 10 x 12 x 256                       885,248
    max pool 3    5 x 6    5 x 6          2 x 2 x 256
    hidden 1                              4,096                           4,198,400
    hidden 2                              4,096   (the embedding)        16,781,312
    output                                3,087                          12,647,439
    all                                                                  37,352,495

The last pool is the one thing the paper does not print. The image network's, 3 x 3 with stride 2, would leave 4 x 5
and make 54 M weights; the paper's figures need 2 x 2 there. Here the pool's window is a quarter of the map.

At 3,087 labels: 37.35 M weights and 767.6 M multiplies. The paper's 37.3 M and 767 M are these with the last digits
cut off.
"""

from torch import Tensor, nn

from earwitness.models.network import Network, conv_norm_relu, require_patch, scaled

_MIN_PATCH_FRAMES = 31
"""31 frames become 11, 5 and 2: the smallest map with a half above and a half below."""
_MIN_BANDS = 21
"""21 bands become 11, 5 and 2."""


class AlexNet(Network):
    """Five convolutions and two hidden layers; the last pool leaves 2 x 2 of any patch of at least 31 frames."""

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
            "alexnet",
            patch_frames=patch_frames,
            num_bands=num_bands,
            min_patch_frames=_MIN_PATCH_FRAMES,
            min_bands=_MIN_BANDS,
        )
        channels = [scaled(size, width) for size in (96, 256, 384, 384, 256)]
        units = scaled(4_096, width)
        rows, columns = (patch_frames - 11) // 2 + 1, num_bands - 10
        for _ in range(2):
            rows, columns = (rows - 3) // 2 + 1, (columns - 3) // 2 + 1
        self.convolutions = nn.Sequential(
            conv_norm_relu(1, channels[0], 11, stride=(2, 1), padding="valid"),
            nn.MaxPool2d(3, stride=2),
            conv_norm_relu(channels[0], channels[1], 5),
            nn.MaxPool2d(3, stride=2),
            conv_norm_relu(channels[1], channels[2], 3),
            conv_norm_relu(channels[2], channels[3], 3),
            conv_norm_relu(channels[3], channels[4], 3),
            # Windows of the larger half, one smaller half apart: two of them cover the map, odd or even.
            nn.MaxPool2d((rows - rows // 2, columns - columns // 2), stride=(rows // 2, columns // 2)),
        )
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(channels[4] * 2 * 2, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()
        )
        self.add_output(num_features=units, num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The second hidden layer, [batch, 4,096 * width]."""
        hidden: Tensor = self.hidden(self.convolutions(patches.unsqueeze(1)))
        return hidden
