"""The files of the page: read once, all of them, and served by name. No path of a request reaches the disk."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of the page."""

    content: bytes
    media_type: str
    tag: str
    """Changes with the content."""


def read_assets() -> dict[str, Asset]:
    """Every file of the page by its path in an address."""
    assets = {}
    for file in files("earwitness.service").joinpath("page").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = file.read_bytes()
            tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
            assets[f"/page/{file.name}"] = Asset(content=content, media_type=_TYPES[suffix], tag=tag)
    return {"/": assets.pop("/page/index.html"), "/docs": assets.pop("/page/docs.html"), **assets}
