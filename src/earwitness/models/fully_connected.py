"""The fully connected network: the paper's baseline.

Hershey et al. 2017, section 3.2: the best of N = 2..6 layers of M = 500..4,000 units was N = 3, M = 1,000, with ReLU
activations, trained at a learning rate of 3e-5. No batch norm: there is no convolution.

    layer          output   weights (3,087 labels)
    patch         96 x 64
    hidden 1        1,000    6,145,000
    hidden 2        1,000    1,001,000
    hidden 3        1,000    1,001,000   (the embedding)
    output          3,087    3,090,087
    all                     11,237,087   (the paper: 11.2 M weights, 11.2 M multiplies)
"""

from itertools import pairwise

from torch import Tensor, nn

from earwitness.errors import SettingsError
from earwitness.models.network import Network, require_patch, scaled


class FullyConnected(Network):
    """`num_layers` hidden layers of `num_units` ReLU units."""

    def __init__(
        self,
        *,
        num_labels: int,
        patch_frames: int = 96,
        num_bands: int = 64,
        width: float = 1.0,
        bottleneck: int | None = None,
        num_layers: int = 3,
        num_units: int = 1_000,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise SettingsError(f"num_layers={num_layers} must be at least 1")
        require_patch("fully_connected", patch_frames=patch_frames, num_bands=num_bands)
        units = scaled(num_units, width)
        sizes = [patch_frames * num_bands, *[units] * num_layers]
        layers: list[nn.Module] = [nn.Flatten()]
        for size_in, size_out in pairwise(sizes):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.add_output(num_features=units, num_labels=num_labels, bottleneck=bottleneck)

    def features(self, patches: Tensor) -> Tensor:
        """The last hidden layer, [batch, num_units * width]."""
        hidden: Tensor = self.hidden(patches)
        return hidden
