"""Where published networks are fetched from: the addresses that their authors give.

No SHA-256 is listed, for none was published with these files. What is computed is printed, so that it can be noted and
asked for (`--sha256`).

References: the READMEs of yamnet and vggish in tensorflow/models, research/audioset.
"""

from dataclasses import dataclass

from earwitness.published.importing import CLASS_MAP, Published

_AUDIOSET = "https://storage.googleapis.com/audioset"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The files of a published network."""

    published_as: Published
    weights_url: str
    class_map_url: str | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """All of its files."""
        return (self.weights_url,) if self.class_map_url is None else (self.class_map_url, self.weights_url)


SOURCES = {
    "yamnet": Source(
        published_as="yamnet",
        weights_url=f"{_AUDIOSET}/yamnet.h5",
        class_map_url=f"https://raw.githubusercontent.com/tensorflow/models/master/research/audioset/yamnet/{CLASS_MAP}",
    ),
    "vggish": Source(published_as="vggish", weights_url=f"{_AUDIOSET}/vggish_model.ckpt"),
}
