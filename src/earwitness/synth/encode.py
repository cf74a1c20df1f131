"""Sound into a media file, by PyAV's encoders; the same bytes every time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class _Format:
    muxer: str
    codec: str
    rates_hz: tuple[int, ...]
    bit_rates: tuple[int, ...] = (0,)
    """Bits a second, low ones among them, that are heard; 0 where the codec loses nothing."""
    options: tuple[tuple[str, str], ...] = ()
    """What makes the encoder fast."""
    picture_codec: str | None = None
    picture_options: tuple[tuple[str, str], ...] = ()


_FORMATS = {
    ".mp4": _Format(
        muxer="mp4",
        codec="aac",
        rates_hz=(24_000, 32_000, 44_100),
        bit_rates=(40_000, 64_000, 96_000, 128_000),
        options=(("aac_coder", "fast"),),
        picture_codec="libx264",
        picture_options=(("preset", "ultrafast"), ("tune", "zerolatency")),
    ),
    ".m4a": _Format(
        muxer="ipod",
        codec="aac",
        rates_hz=(24_000, 44_100),
        bit_rates=(32_000, 64_000),
        options=(("aac_coder", "fast"),),
    ),
    ".webm": _Format(
        muxer="webm",
        codec="libopus",
        rates_hz=(24_000, 48_000),
        bit_rates=(20_000, 32_000, 64_000),
        options=(("compression_level", "3"),),
        picture_codec="libvpx",
        picture_options=(("deadline", "realtime"), ("cpu-used", "8")),
    ),
    ".mp3": _Format(
        muxer="mp3",
        codec="libmp3lame",
        rates_hz=(24_000, 44_100),
        bit_rates=(32_000, 64_000, 128_000),
        options=(("compression_level", "7"),),
    ),
    ".ogg": _Format(
        muxer="ogg",
        codec="libopus",
        rates_hz=(16_000, 24_000),
        bit_rates=(16_000, 32_000),
        options=(("compression_level", "3"),),
    ),
    ".flac": _Format(muxer="flac", codec="flac", rates_hz=(16_000, 24_000)),
    ".wav": _Format(muxer="wav", codec="pcm_s16le", rates_hz=(16_000, 24_000)),
}

_PICTURES_PER_SECOND = 2
_HEIGHT, _WIDTH = 72, 128


def encode(
    blocks: Iterable[npt.NDArray[np.float32]],
    path: Path,
    *,
    suffix: str,
    sample_rate_hz: int,
    rng: np.random.Generator,
) -> None:
    """Write sound as a media file.

    Args:
        blocks: [2, samples] each, within [-1, 1], one after another.
        path: to write to; any name.
        suffix: what kind of file it becomes.
        sample_rate_hz: rate of the blocks; that of the file, its bit rate and its channels are drawn.
        rng: draws them.

    Raises:
        OSError: it cannot be written.
    """
    chosen = _FORMATS[suffix]
    rate_hz, bit_rate = int(rng.choice(chosen.rates_hz)), int(rng.choice(chosen.bit_rates))
    layout = "mono" if rng.random() < 0.5 else "stereo"
    # bitexact: no version strings and, in Ogg, no random serial number
    with av.open(str(path), "w", format=chosen.muxer, options={"fflags": "+bitexact"}) as container:
        sound = cast(
            av.AudioStream,
            container.add_stream(chosen.codec, rate=rate_hz, layout=layout, options=dict(chosen.options)),
        )
        if bit_rate:
            sound.bit_rate = bit_rate
        # streams are declared before the first packet
        picture = _picture_stream(container, chosen.picture_codec, chosen) if chosen.picture_codec else None
        num_samples = num_pictures = 0
        for block in blocks:
            channels = block if layout == "stereo" else block.mean(axis=0, keepdims=True)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
            frame.sample_rate = sample_rate_hz
            frame.time_base = Fraction(1, sample_rate_hz)
            frame.pts = num_samples
            container.mux(sound.encode(frame))
            num_samples += block.shape[1]
            if picture is not None:
                due = round(num_samples / sample_rate_hz * _PICTURES_PER_SECOND)
                for pixels in _film(num_pictures, due):
                    container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                num_pictures = due
        container.mux(sound.encode(None))
        if picture is not None:
            container.mux(picture.encode(None))


def _picture_stream(container: av.container.OutputContainer, codec: str, chosen: _Format) -> av.VideoStream:
    stream = cast(
        av.VideoStream,
        container.add_stream(codec, rate=_PICTURES_PER_SECOND, options=dict(chosen.picture_options)),
    )
    stream.height, stream.width, stream.pix_fmt = _HEIGHT, _WIDTH, "yuv420p"
    stream.codec_context.thread_count = 1  # the order of threads must not show
    return stream


def _film(first: int, stop: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Pictures `first` to `stop` of a bar that crosses a small picture every 16 seconds; [height, width, 3] each."""
    for number in range(first, stop):
        left = 4 * (number % 32)
        pixels = np.full((_HEIGHT, _WIDTH, 3), 32, np.uint8)
        pixels[:, left : left + 4] = 224
        yield pixels
