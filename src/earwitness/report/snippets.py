"""Short sounds for pages: the beginning of a clip, or a part of it, small enough to be carried in the page.

Media are whatever people have, so they are decoded where they can do no harm: in limited processes (see `parallel`).
What gives no sound has no snippet, and that is not an error: the page says of such clips what is wrong with them.
"""

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from earwitness.audio.decode import decode
from earwitness.audio.source import ByteRange
from earwitness.parallel import run_tasks
from earwitness.report.html import Embedded

SNIPPET_SECONDS = 6.0
"""Longest sound of a snippet."""
_RATE_HZ = 16_000
_BIT_RATE = 48_000
"""MP3, which every browser plays: 6 kB a second."""
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A part of a media file: `SNIPPET_SECONDS` from its start, or up to its stop where that comes first."""

    media: str | ByteRange
    """Path or URL, or a range of the bytes of a file."""
    start_seconds: float = 0.0
    """On the clock of the media."""
    stop_seconds: float | None = None
    """Exclusive; None: the end of the media."""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """A sound for a page."""

    audio: Embedded
    seconds: float


def make_snippets(excerpts: Iterable[Excerpt], *, workers: int, most_bytes: int) -> dict[Excerpt, Snippet]:
    """The sounds of excerpts, until there is no more room: first come, first served.

    Args:
        excerpts: of media that may be broken, missing or hostile.
        workers: processes at work.
        most_bytes: of all sounds together; those that do not fit any more are left out.

    Returns:
        A snippet of every excerpt that has sound and found room.
    """
    wanted = list(dict.fromkeys(excerpts))
    outcomes = run_tasks(_encoded, wanted, workers=workers, timeout_seconds=_TIMEOUT_SECONDS)
    with contextlib.closing(outcomes):
        sounds = {outcome.task: outcome.value for outcome in outcomes if outcome.value is not None}
    found: dict[Excerpt, Snippet] = {}
    room = most_bytes
    for excerpt in wanted:  # in the order asked for, whichever worker was first
        content, seconds = sounds.get(excerpt, (b"", 0.0))
        if content and len(content) <= room:
            room -= len(content)
            found[excerpt] = Snippet(audio=Embedded(content=content, media_type="audio/mpeg"), seconds=seconds)
    return found


def _encoded(excerpt: Excerpt) -> tuple[bytes, float]:
    """An excerpt as MP3, and its seconds. Runs in a worker.

    Raises:
        MediaError: the media gives no sound.
    """
    stop = excerpt.start_seconds + SNIPPET_SECONDS
    if excerpt.stop_seconds is not None:
        stop = min(stop, excerpt.stop_seconds)
    with decode(
        excerpt.media, sample_rate_hz=_RATE_HZ, start_seconds=excerpt.start_seconds, stop_seconds=stop
    ) as blocks:
        sound = np.concatenate(list(blocks))
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        track = container.add_stream("libmp3lame", rate=_RATE_HZ, layout="mono")
        track.bit_rate = _BIT_RATE
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None].clip(-1, 1)), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = _RATE_HZ, Fraction(1, _RATE_HZ), 0
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue(), len(sound) / _RATE_HZ
