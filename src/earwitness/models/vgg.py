"""VGG, configuration E (19 layers with weights), for log-mel patches.

Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", table 1, with the
changes of Hershey et al. 2017, section 3.2.3: the last layer has an output a label, and batch norm follows every
convolution. No dropout, as everywhere in that paper. Every convolution is 3 x 3 with stride 1 and padding, every pool
2 x 2 with stride 2.

    layers           output (frames x bands x channels)   weights (3,087 labels)
    patch               96 x 64 x 1
    2 convolutions      96 x 64 x 64                              37,696
    max pool            48 x 32 x 64
    2 convolutions      48 x 32 x 128                            221,696
    max pool            24 x 16 x 128
    4 convolutions      24 x 16 x 256                          2,066,432
    max pool             12 x 8 x 256
    4 convolutions       12 x 8 x 512                          8,261,632
    max pool              6 x 4 x 512
    4 convolutions        6 x 4 x 512                          9,441,280
    max pool              3 x 2 x 512
    hidden 1              4,096                               12,587,008
    hidden 2              4,096   (the embedding)             16,781,312
    output                3,087                               12,647,439
    all                                                       62,044,495

At 3,087 labels: 62.04 M weights and 2.424 G multiplies (the paper: 62 M and 2.4 G).
"""

from torch import Tensor, nn

from earwitness.models.network import Network, conv_norm_relu, require_patch, scaled

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of each stage; a pool ends it."""
_SHRINKING = 2 ** len(_STAGES)
"""So many frames and bands become one."""


class VGG(Network):
    """Sixteen convolutions and two hidden layers; the first of these grows with the patch."""

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
            "vgg",
            patch_frames=patch_frames,
            num_bands=num_bands,
            min_patch_frames=_SHRINKING,
            min_bands=_SHRINKING,
        )
        layers: list[nn.Module] = []
        num_channels = 1
        for size, num_convolutions in _STAGES:
            for _ in range(num_convolutions):
                layers.append(conv_norm_relu(num_channels, scaled(size, width), 3))
                num_channels = scaled(size, width)
            layers.append(nn.MaxPool2d(2))
        self.convolutions = nn.Sequential(*layers)
        map_size = (patch_frames // _SHRINKING) * (num_bands // _SHRINKING)
        units = scaled(4_096, width)
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(num_channels * map_size, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()
        )
        self.add_output(num_features=units, num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The second hidden layer, [batch, 4,096 * width]."""
        hidden: Tensor = self.hidden(self.convolutions(patches.unsqueeze(1)))
        return hidden
