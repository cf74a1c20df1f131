"""Media files by name: which suffixes are taken for media, which lie below a folder, and which files of a manifest are
not there.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import RANGE_COLUMNS, Manifest
from earwitness.places import is_url

_SOUND = (
    "aac ac3 aif aifc aiff alac amr ape au caf dts eac3 flac gsm m4a m4b mka mp2 mp3 mpc oga ogg opus ra snd "
    "spx tta voc w64 wav wave weba wma wv"
)
_FILM = "3g2 3gp asf avi f4v flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv rm rmvb ts vob webm wmv"

MEDIA_SUFFIXES = frozenset(f".{name}" for name in f"{_SOUND} {_FILM}".split())
"""Lower-case suffixes of files that a folder scan takes for media. What is in a file is found when it is
decoded; a table may list files of any name."""

_ANY_SIZE = np.iinfo(np.int64).max
_NOT_THERE = -1


def missing_media(manifest: Manifest) -> list[str]:
    """Ids of the clips whose media path names no file, or a range of bytes that the file does not reach, in the
    manifest's order; URLs are not looked up.
    """
    table = manifest.table
    media = table["media"].combine_chunks().dictionary_encode()
    if isinstance(media, pa.ChunkedArray):
        media = media.unify_dictionaries().combine_chunks()
    sizes = np.array([_size(name) for name in media.dictionary.to_pylist()], np.int64)
    needed = np.zeros(len(manifest), np.int64)
    if RANGE_COLUMNS.keys() <= set(table.column_names):
        stops = pc.add(*(table[name] for name in RANGE_COLUMNS))
        needed = pc.fill_null(stops, 0).to_numpy()
    is_missing = sizes[media.indices.to_numpy()] < needed
    return list(table["clip_id"].filter(pa.array(is_missing)).to_pylist())


def media_named(name: str) -> list[str]:
    """What a name that people give stands for: of a folder all media files at any depth, in order of their names; of
    all else, file or URL, itself.

    Raises:
        SettingsError: no media file lies in the folder.
        ManifestError: the folder cannot be read.
    """
    if is_url(name) or not os.path.isdir(name):  # noqa: PTH112 - a name that is too long or forbidden is none
        return [name]
    if not (found := media_below(Path(name))):
        raise SettingsError(
            f"{name}: no media file lies in this folder, at any depth (files are known by their suffix: .wav, .mp4 and "
            "the like; others are taken where they are named)"
        )
    return [f"{name.rstrip('/')}/{below}" for below in found]


def media_below(folder: Path) -> list[str]:
    """Paths below `folder`, with `/`, of all media files at any depth, sorted; hidden files and folders are left out,
    and so are names that are no UTF-8 text. Links are followed, each folder is entered once.

    Raises:
        ManifestError: it is no folder, or cannot be read.
    """
    if not folder.is_dir():
        reason = "this is a file" if folder.exists() else "there is no such folder"
        raise ManifestError(f"{folder}: {reason}; a folder of media files is needed")
    try:
        found = [path for path in _files_below(str(folder), "", set()) if is_text(path)]
    except OSError as error:
        raise ManifestError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
    return sorted(found)


def is_text(name: str) -> bool:
    """Whether a name is UTF-8, as names in tables must be; those of files need not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _files_below(folder: str, prefix: str, entered: set[tuple[int, int]]) -> Iterator[str]:
    status = os.stat(folder)  # noqa: PTH116 - os.path's functions, by text: millions of files are looked at
    place = (status.st_dev, status.st_ino)
    if place in entered:
        return
    entered.add(place)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files_below(entry.path, f"{prefix}{entry.name}/", entered)
            elif os.path.splitext(entry.name)[1].lower() in MEDIA_SUFFIXES:  # noqa: PTH122
                yield prefix + entry.name


def _size(media: str) -> int:
    if is_url(media):
        return int(_ANY_SIZE)
    try:
        status = os.stat(media)  # noqa: PTH116 - a name that is too long or forbidden is not there
    except (OSError, ValueError):
        return _NOT_THERE
    return status.st_size if stat.S_ISREG(status.st_mode) else _NOT_THERE
