"""What versions of the software decode here: provenance that a build writes down."""

from importlib.metadata import version

import av

_LIBRARIES = ("libavformat", "libavcodec", "libswresample")
"""Those of FFmpeg's libraries that sound goes through."""


def decoder_versions() -> dict[str, str]:
    """Versions of earwitness, PyAV, and the libraries of FFmpeg that PyAV brought along, by name."""
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in _LIBRARIES}
    return {"earwitness": version("earwitness"), "av": version("av"), **libraries}
