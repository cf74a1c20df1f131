"""The manifest that a command is given: where it is none, what it may be is said."""

from pathlib import Path
from typing import TYPE_CHECKING

from earwitness.errors import ManifestError
from earwitness.places import place

if TYPE_CHECKING:
    from earwitness.manifest import Manifest


def read_given_manifest(where: str | Path) -> "Manifest":
    """Read a manifest, on the disk or behind a URL.

    Raises:
        ManifestError: it is none, or a row is bad; says what would make a manifest of it where that is known.
    """
    from earwitness.datasets.recognise import hint
    from earwitness.manifest import read_manifest

    path = place(where)
    try:
        return read_manifest(path)
    except ManifestError as error:
        known = hint(path) if isinstance(path, Path) else ""
        raise ManifestError(f"{error}{'' if 'a manifest already' in known else known}") from error
