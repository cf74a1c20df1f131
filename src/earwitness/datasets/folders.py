"""A folder per label becomes a manifest.

    FOLDER/dog/a.wav            label `dog`
    FOLDER/dog/field/b.mp4      label `dog`: the folder directly below FOLDER is the label, at any depth
    FOLDER/rain/c.flac          label `rain`
    FOLDER/d.wav                skipped: in no label's folder
    FOLDER/dog/notes.txt        skipped: no media suffix

What is skipped is listed, hidden files and folders too. Links to folders are followed where they are labels,
not deeper (they may run in a circle). A clip's id is its path below FOLDER, with `/`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from earwitness.datasets.media import MEDIA_SUFFIXES
from earwitness.datasets.recognise import hint, refuse_published
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class FolderScan:
    """What a folder per label gave."""

    manifest: Manifest
    """One clip for each media file, by label, then by path."""
    skipped: tuple[str, ...]
    """Entries that became no clip, as paths below the folder, for people (see `_printable`)."""


def manifest_from_folders(folder: str | Path) -> FolderScan:
    """Make a manifest of all media files below the sub-folders of `folder`; the sub-folder is the label.

    Raises:
        ManifestError: the folder is missing, cannot be read, has no media file in any sub-folder, or is a published
            corpus that comes with a table.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        reason = "this is a file" if folder.exists() else "there is no such folder"
        raise ManifestError(f"{folder}: {reason}; a folder with a sub-folder per label is needed{hint(folder)}")
    refuse_published(folder)
    clip_ids, labels, skipped = [], [], []
    try:
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith(".") or not entry.is_dir():
                skipped.append(_printable(entry.name))
                continue
            for path in _walk(entry):
                name = path.relative_to(folder).as_posix()
                if _is_media(path) and name == _printable(name):
                    clip_ids.append(name)
                    labels.append([entry.name])
                else:
                    skipped.append(_printable(name))
    except OSError as error:
        raise ManifestError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
    if not clip_ids:
        raise ManifestError(
            f"{folder}: no media file lies in a sub-folder of it ({len(skipped)} other entries skipped); "
            f"a sub-folder's name is the label: FOLDER/dog/a.wav{hint(folder)}"
        )
    media = [f"{folder}/{name}" for name in clip_ids]
    table = pa.table({"clip_id": clip_ids, "media": media, "labels": labels})
    return FolderScan(manifest=Manifest.from_table(table, source=str(folder)), skipped=tuple(skipped))


def _walk(top: Path) -> Iterator[Path]:
    """All files below `top`, in a fixed order; among them links to folders, which are not entered."""

    def fail(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(top, onerror=fail):
        folders.sort()
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in sorted(files + links):
            yield Path(parent, name)


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _printable(name: str) -> str:
    """The name with every byte that is no UTF-8 written as an escape; a manifest cannot hold such names."""
    return os.fsencode(name).decode(errors="backslashreplace")
