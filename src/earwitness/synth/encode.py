"""A waveform into a media file, by PyAV's encoders; the same bytes every time."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt

_CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".wav": ("pcm_s16le", "mono", {}),
    ".mp3": ("libmp3lame", "stereo", {"compression_level": "7"}),
    ".ogg": ("libopus", "mono", {}),
    ".mp4": ("aac", "stereo", {"aac_coder": "fast"}),
}
"""Encoder, channels, and what makes the encoder twice as fast."""

SUFFIXES = tuple(_CODECS)
"""The containers made here; `.mp4` has a small picture, too."""

_PICTURES_PER_SECOND = 5
_HEIGHT, _WIDTH = 48, 64


def encode(waveform: npt.NDArray[np.float32], path: Path, *, sample_rate_hz: int) -> None:
    """Write a media file whose suffix is one of `SUFFIXES`.

    Args:
        waveform: [2, samples] within [-1, 1]; a file with one channel gets the mean.
        path: the file; replaced where it exists.
        sample_rate_hz: rate of `waveform` and of the file (Opus decodes at 48 kHz whatever it is).

    Raises:
        OSError: it cannot be written.
    """
    codec, layout, options = _CODECS[path.suffix]
    channels = waveform if layout == "stereo" else waveform.mean(axis=0, keepdims=True)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
    frame.sample_rate = sample_rate_hz
    frame.pts = 0
    # bitexact: no version strings and, in Ogg, no random serial number
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        sound = cast(av.AudioStream, container.add_stream(codec, rate=sample_rate_hz, layout=layout, options=options))
        if path.suffix == ".mp4":  # streams are declared before the first packet
            picture = container.add_stream("mpeg4", rate=_PICTURES_PER_SECOND)
            picture.height, picture.width, picture.pix_fmt = _HEIGHT, _WIDTH, "yuv420p"
            picture.codec_context.thread_count = 1  # the order of threads must not show
        container.mux([*sound.encode(frame), *sound.encode(None)])
        if path.suffix == ".mp4":
            for pixels in _film(waveform.shape[1] / sample_rate_hz):
                container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(picture.encode(None))


def _film(seconds: float) -> Iterator[npt.NDArray[np.uint8]]:
    """A bar that crosses a small picture while the sound lasts; [height, width, 3] each."""
    num_pictures = max(1, round(seconds * _PICTURES_PER_SECOND))
    for left in np.linspace(0, _WIDTH - 4, num_pictures).astype(int):
        pixels = np.full((_HEIGHT, _WIDTH, 3), 32, np.uint8)
        pixels[:, left : left + 4] = 224
        yield pixels
