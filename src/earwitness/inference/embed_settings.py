"""What can be chosen about embedding."""

from dataclasses import dataclass
from typing import Literal

from earwitness.errors import SettingsError

Per = Literal["patch", "second", "clip"]
"""What a row of embeddings stands for; see `embedding_rows`."""


@dataclass(frozen=True, kw_only=True)
class EmbedSettings:
    """What is made of embeddings."""

    per: Per = "patch"
    """A row for each patch (0.96 s, what Audio Set calls a second), for each second of the clip's own time, or for each
    clip: the mean of its patches."""
    patch_hop_frames: int | None = None
    """Frames of 10 ms from the start of one patch to the next. None: the model's own, 96 in the paper."""
    pca: str | None = None
    """Whiten by the parameters in this file: the published vggish_pca_params.npz, or a .safetensors that fit wrote. The
    word fit: fit them to what is embedded, and write them to OUT.pca.safetensors, too."""
    pca_size: int | None = None
    """Numbers that --pca fit keeps, those of the largest variance. None: all that vary."""
    quantise: bool = False
    """Bring numbers to 8 bits, as Audio Set's were published: what lies beyond -2 and 2 is cut off."""
    shards: int = 1
    """Files that the clips are dealt to, in order; for .tfrecord."""

    def __post_init__(self) -> None:
        if self.pca_size is not None and self.pca != "fit":
            raise SettingsError(f"pca_size={self.pca_size} is for --pca fit; a file says itself how many it keeps")
        for name in ("pca_size", "shards"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise SettingsError(f"{name}={value} must be at least 1")
