"""What is to be embedded, as a manifest: media files and folders of them, a manifest, or the clips of a store."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from earwitness.audio.decoding_pool import Sound
from earwitness.datasets.media import media_below
from earwitness.errors import SettingsError
from earwitness.manifest import RANGE_COLUMNS, Manifest, read_manifest
from earwitness.places import is_url, place
from earwitness.table_files import TABLE_SUFFIXES

_TIME_COLUMNS = ("start_seconds", "stop_seconds")


def manifest_of_sources(sources: Sequence[str]) -> Manifest:
    """One manifest of media files, URLs and folders, or the manifest that is named alone.

    A clip is called by the path of its media as it was given. What is in a file shows when it is decoded.

    Raises:
        SettingsError: a manifest is named beside others, or something twice.
        ManifestError: a folder or a manifest cannot be read; a folder holds no media.
    """
    is_manifest = [source.lower().endswith(TABLE_SUFFIXES) for source in sources]
    if any(is_manifest):
        if len(sources) > 1:
            named = sources[is_manifest.index(True)]
            raise SettingsError(f"{named}: a manifest is embedded by itself; {len(sources)} sources are given")
        return read_manifest(place(sources[0]))
    media: list[str] = []
    for source in sources:
        path = None if is_url(source) else Path(source)
        if path is None or not path.is_dir():
            media.append(source)
        elif found := media_below(path):
            media += [str(path / name) for name in found]
        else:
            raise SettingsError(f"{source}: no media file lies in this folder, at any depth")
    if len(set(media)) < len(media):
        seen: set[str] = set()
        twice = next(name for name in media if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise SettingsError(f"{twice}: it is named twice; name each file once, or the folder alone")
    return Manifest.from_table(pa.table({"media": media}), source=", ".join(sources[:3]))


def sounds_of(manifest: Manifest, *, but_for: frozenset[int]) -> Iterator[Sound[int]]:
    """What to decode of each clip, known by its row; without those done already."""
    table = manifest.table
    names = ("media", *_TIME_COLUMNS, *(name for name in RANGE_COLUMNS if name in table.column_names))
    number = 0
    for batch in table.select(names).to_batches(max_chunksize=4_096):
        for row in batch.to_pylist():
            if number not in but_for:
                yield Sound(key=number, **row)
            number += 1
