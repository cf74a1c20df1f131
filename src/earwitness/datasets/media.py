"""Media files by name: which suffixes are taken for media, and which files of a manifest are not there."""

import os

from earwitness.manifest import Manifest
from earwitness.places import is_url

_SOUND = (
    "aac ac3 aif aifc aiff alac amr ape au caf dts eac3 flac gsm m4a m4b mka mp2 mp3 mpc oga ogg opus ra snd "
    "spx tta voc w64 wav wave weba wma wv"
)
_FILM = "3g2 3gp asf avi f4v flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv rm rmvb ts vob webm wmv"

MEDIA_SUFFIXES = frozenset(f".{name}" for name in f"{_SOUND} {_FILM}".split())
"""Lower-case suffixes of files that a folder scan takes for media. What is in a file is found when it is
decoded; a table may list files of any name."""


def missing_media(manifest: Manifest) -> list[str]:
    """Ids of the clips whose media path names no file, in the manifest's order; URLs are not looked up."""
    is_there: dict[str, bool] = {}
    missing = []
    clips = zip(manifest.table["clip_id"].to_pylist(), manifest.table["media"].to_pylist(), strict=True)
    for clip_id, media in clips:
        if media not in is_there:
            # os.path: unlike Path's, it takes a name that is too long or forbidden for one that is not there
            is_there[media] = is_url(media) or os.path.isfile(media)  # noqa: PTH113
        if not is_there[media]:
            missing.append(clip_id)
    return missing
