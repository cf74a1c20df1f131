"""What people give to be heard, and what is wrong with it as one sentence."""

from io import TextIOBase
from os import PathLike
from typing import Any

import numpy.typing as npt

from earwitness.audio.samples import samples_of
from earwitness.audio.source import ByteRange, Source
from earwitness.errors import SettingsError

Sound = Source | npt.NDArray[Any] | tuple[npt.NDArray[Any], float]
"""A path, URL, bytes, binary file object or array; a pair is an array of samples and its rate in Hz."""


def source_of(sound: Any, *, sample_rate_hz: float | None) -> Any:
    """What the decoder reads: a `Source`, or `Samples`.

    Args:
        sound: whatever came.
        sample_rate_hz: of arrays that bring no rate themselves.

    Raises:
        SettingsError: it is nothing that sounds, or the rate makes no sense.
        MediaError: it is an array that holds no sound.
    """
    if isinstance(sound, tuple) and len(sound) == 2 and hasattr(sound[0], "__array__"):
        return samples_of(sound[0], sample_rate_hz=sound[1])
    if hasattr(sound, "__array__"):
        return samples_of(sound, sample_rate_hz=sample_rate_hz)
    if sample_rate_hz is not None and not isinstance(sound, list | tuple):
        raise SettingsError("sample_rate_hz is for arrays of samples; a file states its own rate")
    if isinstance(sound, bytearray | memoryview):
        return bytes(sound)
    if isinstance(sound, TextIOBase):
        raise SettingsError(
            f"{getattr(sound, 'name', 'file object')}: the file is open as text; open it as binary, with 'rb'"
        )
    if getattr(sound, "closed", False) is True:
        raise SettingsError("the file object is closed; open it again, and close it when it is heard")
    if isinstance(sound, str | PathLike | bytes | ByteRange) or hasattr(sound, "read"):
        return sound
    hint = "; numpy.asarray makes an array of it" if isinstance(sound, list | tuple) else ""
    raise SettingsError(
        "sound must be a path, a URL, bytes, a binary file object or an array of samples, not "
        f"{type(sound).__name__}{hint}"
    )
