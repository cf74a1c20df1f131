"""What stands in for a network of which there are but embeddings: it gives back those that come.

Audio Set's embeddings can be learnt from without the network that made them. The model that is learnt is a classifier
of such embeddings; it takes no patches.
"""

from torch import Tensor

from earwitness.errors import SettingsError
from earwitness.models.network import Network


class PublishedEmbeddings(Network):
    """A classifier on `embedding_size` numbers. The other arguments are those of all networks."""

    def __init__(
        self,
        *,
        num_labels: int,
        patch_frames: int,
        num_bands: int,
        width: float,
        bottleneck: int | None,
        embedding_size: int,
    ) -> None:
        super().__init__()
        if width != 1.0 or bottleneck is not None:
            raise SettingsError("published embeddings have neither a width nor a bottleneck to choose")
        self.add_output(num_features=embedding_size, num_labels=num_labels, bottleneck=None)

    def features(self, patches: Tensor) -> Tensor:
        """The embeddings that came, [batch, embedding_size]."""
        return patches
