"""Media to embeddings: decoding, front end and network in one stream, in memory that does not grow with length.

    embedder = Embedder(open_model("model.safetensors"))
    with embedder.embed("film.mp4") as stream:
        for patches in stream:
            patches.start_seconds, patches.embeddings
    stream.seconds, stream.warnings

An embedding is what the model's classifier reads. Calibrations do not touch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.frames import FrameStream, media_frames
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import patch_embedder
from earwitness.inference.patch_cutter import PatchCutter
from earwitness.inference.tagger import is_silence

if TYPE_CHECKING:
    from earwitness.inference.any_model import AnyModel
    from earwitness.inference.tagger import FrameBlocks

SILENT = "it is silent (or its channels cancel out, or it is a single sample), so its embeddings mean nothing"
"""Warning for sound without sound."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedPatches:
    """Embeddings of consecutive patches."""

    start_seconds: npt.NDArray[np.float64]
    """[patches], in the time of the media file."""
    embeddings: npt.NDArray[np.float32]
    """[patches, embedding_size]."""


class Embedder:
    """A model made ready to embed media."""

    def __init__(self, model: AnyModel, *, device: str = "auto", patch_hop_frames: int | None = None) -> None:
        """Make it ready.

        Args:
            model: of either kind. It need not name anything.
            device: where the network runs.
            patch_hop_frames: from the start of one patch to the next. None: the model's own.

        Raises:
            ModelError: an exported model gives no embeddings.
            SettingsError: there is no such device, or the hop is not within 1 and the length of a patch.
        """
        own = model.front_end
        self.model = model
        self.front_end: FrontEnd = own if patch_hop_frames is None else replace(own, patch_hop_frames=patch_hop_frames)
        """The model's, with the hop asked for."""
        self.runner = patch_embedder(model, device=device)
        """Gives the embeddings of patches."""

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self.runner.num_outputs

    def embed(
        self, source: Any, *, start_seconds: float | None = None, stop_seconds: float | None = None
    ) -> EmbeddingStream:
        """The embeddings of a media file, or of a range of it, as they are made.

        Args:
            source: path, URL, bytes or binary file object.
            start_seconds: where to begin; None is the beginning of the file.
            stop_seconds: where to end, exclusive; None is its end.

        Returns:
            A stream. Read it to its end, close it, or use it as a context manager.

        Raises:
            MediaError: no sound came out of it; here, or while it is read.
        """
        frames = media_frames(source, front_end=self.front_end, start_seconds=start_seconds, stop_seconds=stop_seconds)
        return EmbeddingStream(self, frames, start_seconds=start_seconds)

    def embed_frames(self, frames: FrameBlocks, *, start_seconds: float | None = None) -> EmbeddingStream:
        """The same of frames that `front_end` made; `start_seconds` is where in its media the first lies."""
        return EmbeddingStream(self, frames, start_seconds=start_seconds)


class EmbeddingStream(AbstractContextManager["EmbeddingStream"]):
    """Embeddings of one clip, block by block. What is said of the clip is final after the last block."""

    def __init__(self, embedder: Embedder, frames: FrameBlocks, *, start_seconds: float | None) -> None:
        """Use `Embedder.embed`."""
        self.front_end = embedder.front_end
        """With the hop of the patches."""
        self.embedding_size = embedder.embedding_size
        self._runner = embedder.runner
        self.frames = frames
        """What is embedded; a `FrameStream` where the media were opened here."""
        self.start_seconds = start_seconds or 0.0
        """Where the clip begins in its media."""
        self.num_frames = 0
        """Frames read so far."""
        self.num_patches = 0
        """Patches given so far."""
        self._loudest = -np.inf
        self._blocks = self._embedded()

    def __iter__(self) -> Iterator[EmbeddedPatches]:
        return self._blocks

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the media; further blocks do not come."""
        self._blocks = iter(())
        if isinstance(self.frames, FrameStream):
            self.frames.close()

    @property
    def seconds(self) -> float:
        """Length of the sound that was decoded."""
        return self.frames.num_samples / self.front_end.sample_rate_hz

    @property
    def is_padded(self) -> bool:
        """Whether the sound was shorter than one patch and was filled up with silence."""
        return self.frames.is_padded

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user of the embeddings should know: complaints of the decoder, and silence."""
        silent = self.num_patches > 0 and is_silence(self._loudest, self.front_end)
        return (*self.frames.warnings, *([SILENT] if silent else []))

    def _embedded(self) -> Iterator[EmbeddedPatches]:
        cutter = PatchCutter(self.front_end, batch_patches=self._runner.batch_patches)
        for block in self.frames:
            self.num_frames += len(block)
            if len(patches := cutter.push(block)):
                yield self._of(patches)
        if len(patches := cutter.finish()):
            yield self._of(patches)

    def _of(self, patches: npt.NDArray[np.float16]) -> EmbeddedPatches:
        self._loudest = max(self._loudest, float(patches.max()))
        numbers = np.arange(self.num_patches, self.num_patches + len(patches), dtype=np.float64)
        self.num_patches += len(patches)
        return EmbeddedPatches(
            start_seconds=self.start_seconds + numbers * self.front_end.patch_hop_seconds,
            embeddings=self._runner(patches),
        )
