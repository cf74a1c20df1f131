"""ResNet-50 for log-mel patches.

He et al. 2015, "Deep Residual Learning for Image Recognition", with the one change of Hershey et al. 2017,
section 3.2.5: the stride of 2 is removed from the first 7 x 7 convolution, and the final average pool is 6 x 4
accordingly. A stage's stride stands on its first 1 x 1 convolution, as in the original (on the 3 x 3 the network
would need 1.970 G multiplies; the paper prints 1.9 G, which only the original form gives after rounding).

    stage      blocks   channels (inner/outer)   output (frames x bands x channels)
    patch                                            96 x 64 x 1
    stem            -   7 x 7, 64                    96 x 64 x 64
    max pool        -   3 x 3, stride 2              48 x 32 x 64
    stage 1         3   64 / 256                     48 x 32 x 256
    stage 2         4   128 / 512, stride 2          24 x 16 x 512
    stage 3         6   256 / 1,024, stride 2         12 x 8 x 1,024
    stage 4         3   512 / 2,048, stride 2          6 x 4 x 2,048
    average pool    -                                         2,048   (the embedding)
    output          -                                   num_labels

At 3,087 labels: 29.83 M weights and 1.856 G multiplies (the paper: 30 M and 1.9 G).
"""

from torch import Tensor, nn

from earwitness.models.network import Network, require_patch, scaled

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, blocks and stride of each stage."""
_EXPANSION = 4
"""A block's outer channels are this many times its inner ones."""


class Bottleneck(nn.Module):
    """A residual block: 1 x 1 down (with the stride), 3 x 3, 1 x 1 up, and a shortcut.

    Called so in its paper; the bottleneck before the output is another thing.
    """

    def __init__(self, num_in: int, num_inner: int, *, stride: int) -> None:
        super().__init__()
        num_out = num_inner * _EXPANSION
        self.residual = nn.Sequential(
            nn.Conv2d(num_in, num_inner, 1, stride=stride, bias=False),
            nn.BatchNorm2d(num_inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_inner, num_inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_inner, num_out, 1, bias=False),
            nn.BatchNorm2d(num_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or num_in != num_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride=stride, bias=False), nn.BatchNorm2d(num_out)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:  # [batch, channels, frames, bands]
        y: Tensor = self.relu(self.residual(x) + self.shortcut(x))
        return y


class ResNet50(Network):
    """The paper's best network. Any patch of at least one frame and band works: the final pool takes what is left."""

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
        require_patch("resnet50", patch_frames=patch_frames, num_bands=num_bands)
        num_channels = scaled(64, width)
        self.stem = nn.Sequential(
            nn.Conv2d(1, num_channels, 7, padding=3, bias=False),
            nn.BatchNorm2d(num_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        stages = []
        for inner, num_blocks, stride in _STAGES:
            inner = scaled(inner, width)
            blocks = []
            for number in range(num_blocks):
                blocks.append(Bottleneck(num_channels, inner, stride=stride if number == 0 else 1))
                num_channels = inner * _EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.add_output(num_features=num_channels, num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The average over the last stage's map, [batch, 2,048 * width]."""
        x: Tensor = self.stages(self.stem(patches.unsqueeze(1)))
        return x.mean(dim=(2, 3))
