"""What is to be heard: media files, folders of them, lists, and manifests with their time ranges, in one list."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from earwitness.audio.decoding_pool import Sound
from earwitness.datasets.media import media_named
from earwitness.errors import SettingsError
from earwitness.manifest import RANGE_COLUMNS, read_manifest
from earwitness.places import place
from earwitness.selection import select_rows
from earwitness.table_files import TABLE_SUFFIXES

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Input:
    """One file, or a range of one; a row comes of it."""

    media: str
    """Path or URL."""
    clip_id: str | None = None
    """Of a manifest's row; None for files."""
    start_seconds: float | None = None
    stop_seconds: float | None = None
    media_offset_bytes: int | None = None
    media_num_bytes: int | None = None

    def sound(self, number: int) -> Sound[int]:
        """What to decode, known by its number."""
        return Sound(
            number,
            self.media,
            self.start_seconds,
            self.stop_seconds,
            self.media_offset_bytes,
            self.media_num_bytes,
        )

    def to_json(self) -> str:
        """One line by which it is told from others."""
        return json.dumps(astuple(self), ensure_ascii=True)


@dataclass(frozen=True)
class Inputs:
    """All that is to be heard, in order."""

    rows: tuple[Input, ...]
    notes: tuple[str, ...] = ()
    """What folders and manifests came to, in sentences for people."""


def gather_inputs(
    items: Iterable[str], *, files_from: str | None = None, where: str | None = None, command: str = "tag"
) -> Inputs:
    """Put the inputs together.

    Args:
        items: media files, folders, and manifests, by path or URL. Folders give all their media files (by suffix), at
            any depth, in order of their names.
        files_from: a text file with an item in each line; `-` is standard input.
        where: which rows of the manifests are meant.
        command: what a message calls who asks.

    Raises:
        SettingsError: a list cannot be read, a folder has no media file, nothing is left, or `where` has no manifest.
        ManifestError: a manifest cannot be used.
        SelectionError: `where` cannot be evaluated, or selects nothing.
    """
    rows: list[Input] = []
    notes: list[str] = []
    has_manifest = False
    for item in [*items, *(_listed(files_from) if files_from is not None else ())]:
        if item.lower().endswith(TABLE_SUFFIXES):  # a manifest: no media file is called so
            has_manifest = True
            of_item = list(_of_manifest(item, where))
            notes.append(f"{item}: {len(of_item):,} clips")
        else:
            media = media_named(item)
            of_item = [Input(name) for name in media]
            if media != [item]:
                notes.append(_of_folder(item, media))
        rows += of_item
    if where is not None and not has_manifest:
        raise SettingsError(f"--where {where}: it chooses rows of a manifest, and none is given")
    if not rows:
        raise SettingsError(
            f"{command}: no file is given; name media files, a folder of them or a manifest after the model"
        )
    return Inputs(tuple(rows), tuple(notes))


def _listed(path: str) -> list[str]:
    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"--files-from {path}: it cannot be read ({error.strerror or error})") from error
    if b"\0" in content:
        raise SettingsError(f"--files-from {path}: this is no text with the name of a file in each line")
    # names of files need not be UTF-8, and may hold what Unicode calls the end of a line
    lines = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").split(b"\n")
    names = [line.decode(errors="surrogateescape") for line in lines if line.strip()]
    if not names:
        raise SettingsError(f"--files-from {path}: it is empty; the name of a file in each line is needed")
    return names


def _of_manifest(path: str, where: str | None) -> Iterator[Input]:
    table = read_manifest(place(path)).table
    names = ["media", "clip_id", "start_seconds", "stop_seconds", *RANGE_COLUMNS]
    selected = table.take(select_rows(table, where)).select([name for name in names if name in table.column_names])
    for batch in selected.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            yield Input(**row)


def _of_folder(folder: str, media: Sequence[str]) -> str:
    kinds = Counter(Path(name).suffix.lower() for name in media).most_common()
    said = ", ".join(f"{count:,} {suffix}" for suffix, count in kinds)
    return f"{folder}: {len(media):,} media files ({said}); files of other suffixes are left out"
