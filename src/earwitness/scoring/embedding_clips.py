"""What is to be embedded, as a manifest: media files and folders of them, a manifest, or the clips of a store."""

import os
from collections.abc import Iterator, Sequence

import pyarrow as pa

from earwitness.audio.decoding_pool import Sound
from earwitness.datasets.media import is_text, media_named
from earwitness.errors import SettingsError
from earwitness.manifest import RANGE_COLUMNS, Manifest, read_manifest
from earwitness.places import place
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
    media = [name for source in sources for name in media_named(source)]
    for name in media:
        if not is_text(name):
            shown = os.fsencode(name).decode(errors="backslashreplace")
            raise SettingsError(f"{shown}: the name is no UTF-8 text, as names of clips must be; rename the file")
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
