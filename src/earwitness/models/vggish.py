"""VGGish: the network whose embeddings were published with Audio Set.

VGG, configuration A (Simonyan and Zisserman 2014), in the short form of its release (tensorflow/models,
research/audioset/vggish): without the last group of convolutions, and with an embedding of 128 numbers where the output
was. No batch norm; every convolution is 3 x 3 with stride 1, padding and a bias, every pool 2 x 2 with stride 2.

    layers           output (frames x bands x channels)     weights
    patch               96 x 64 x 1
    convolution         96 x 64 x 64                             640
    max pool            48 x 32 x 64
    convolution         48 x 32 x 128                         73,856
    max pool            24 x 16 x 128
    2 convolutions      24 x 16 x 256                        885,248
    max pool             12 x 8 x 256
    2 convolutions       12 x 8 x 512                      3,539,968
    max pool              6 x 4 x 512
    hidden 1              4,096                           50,335,744
    hidden 2              4,096                           16,781,312
    hidden 3                128   (the embedding)            524,416
    all                                                   72,141,184   and the output, which was not published

72.14 M weights and 863.9 M multiplies without an output. (Its authors print neither.)

The last map enters hidden 1 with its channels side by side, frame by frame and band by band, as in TensorFlow: so the
published weights are held as they are. In the older release a ReLU followed hidden 3 (`last_relu`); the newer has
none. `whiten` puts the release's post-processor behind it: a rotation with whitening, and a limit of 2 in either
direction. The published embeddings were then rounded to 8 bits; here they are not, for rounding has no gradient.
"""

from itertools import pairwise

from torch import Tensor, nn

from earwitness.models.network import Network, require_patch, scaled

STAGES = ((64, 1), (128, 1), (256, 2), (512, 2))
"""Channels and convolutions of each stage; a pool ends it."""
_SHRINKING = 2 ** len(STAGES)
_HIDDEN_UNITS = (4_096, 4_096, 128)

WHITENED_LIMIT = 2.0
"""Whitened numbers beyond it are cut off, in either direction."""


class VGGish(Network):
    """Six convolutions and three hidden layers; the first of these grows with the patch."""

    def __init__(
        self,
        *,
        num_labels: int,
        patch_frames: int = 96,
        num_bands: int = 64,
        width: float = 1.0,
        bottleneck: int | None = None,
        last_relu: bool = False,
        whiten: bool = False,
    ) -> None:
        """Build it.

        Args:
            num_labels: outputs.
            patch_frames: frames of a patch.
            num_bands: mel bands of a frame.
            width: multiplies channels and units of every layer.
            bottleneck: units of a further layer before the output; None: there is none.
            last_relu: whether a ReLU follows the embedding, as in the older release.
            whiten: whether the embedding is rotated, whitened and limited, as the published ones are.
        """
        super().__init__()
        require_patch("vggish", patch_frames=patch_frames, num_bands=num_bands)
        layers: list[nn.Module] = []
        num_channels = 1
        for size, num_convolutions in STAGES:
            for _ in range(num_convolutions):
                convolution = nn.Conv2d(num_channels, scaled(size, width), 3, padding=1)
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
                layers += [convolution, nn.ReLU(inplace=True)]
                num_channels = scaled(size, width)
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.convolutions = nn.Sequential(*layers)
        map_size = -(-patch_frames // _SHRINKING) * -(-num_bands // _SHRINKING)
        sizes = [num_channels * map_size, *(scaled(units, width) for units in _HIDDEN_UNITS)]
        layers = [layer for size_in, size_out in pairwise(sizes) for layer in (nn.Linear(size_in, size_out), nn.ReLU())]
        self.hidden = nn.Sequential(*(layers if last_relu else layers[:-1]))
        self.whitening = nn.Linear(sizes[-1], sizes[-1]) if whiten else None
        self.add_output(num_features=sizes[-1], num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The embedding, [batch, 128 * width]."""
        maps: Tensor = self.convolutions(patches.unsqueeze(1))  # [batch, channels, frames, bands]
        embedding: Tensor = self.hidden(maps.permute(0, 2, 3, 1).flatten(1))
        if self.whitening is None:
            return embedding
        whitened: Tensor = self.whitening(embedding)
        return whitened.clamp(-WHITENED_LIMIT, WHITENED_LIMIT)
