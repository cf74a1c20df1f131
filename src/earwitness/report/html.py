"""HTML pages in one file each: readable offline, on any screen, by day and night, on paper, for years.

A page carries its style, its few lines of script, its pictures and its sounds in itself, and forbids the browser
to load anything else (by a content security policy), whatever a file name or label holds; all text is escaped.
What it says stands in it without the script, which only adds comfort; of tables too long for a page, the beginning.

`templates/page.html` is the frame of every page and `templates/pieces.html` what they are put together from: tiles,
players, pictures, bars. A page is a template that extends the one and imports the other.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from earwitness import __version__
from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.report.words import duration, measure

_MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}
"""What browsers show or play, by suffix; of a video its sound."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A file that a page carries in itself."""

    content: bytes
    media_type: str
    """Such as `image/png` or `audio/mp4`."""

    @classmethod
    def read(cls, path: str | Path) -> "Embedded":
        """The file at `path`, its media type by its suffix.

        Raises:
            SettingsError: it cannot be read, or browsers neither show nor play its kind.
        """
        path = Path(path)
        media_type = _MEDIA_TYPES.get(path.suffix.lower())
        if media_type is None:
            raise SettingsError(f"{path}: a page can hold files of these kinds: {', '.join(sorted(_MEDIA_TYPES))}")
        try:
            return cls(content=path.read_bytes(), media_type=media_type)
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read for the page ({error.strerror})") from error

    @property
    def uri(self) -> str:
        """The whole file as an address."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture, and the words for those who cannot see it."""

    light: Embedded
    dark: Embedded | None = None
    """The same for a dark page; without it the light one is shown there too."""
    description: str


def write_page(path: str | Path, template: str, *, values: Mapping[str, object]) -> None:
    """Fill a template and write the page: whole, or not at all.

    Args:
        path: the file to write; its folder must be there.
        template: name of a file in `templates/`.
        values: what the template speaks of; a name that it needs and that is not there is an error.

    Raises:
        SettingsError: the page cannot be written.
    """
    path = Path(path)
    page = _templates().get_template(template).render(values)
    try:
        with replacing(path) as file:
            file.write(page.encode("utf-8", errors="replace"))  # a file name may hold lone surrogates
    except OSError as error:
        raise SettingsError(f"{path}: the page cannot be written ({error.strerror})") from error


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("earwitness.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "measure": measure, "percent": _percent}
    environment.globals["version"] = __version__
    return environment


def _percent(value: float, whole: float = 1.0) -> str:
    """`value` as a share of `whole` for a style sheet: `47.25%`, at least 0 % and at most 100 %; nan is 0 %."""
    share = value / whole if whole else 0.0
    return f"{0.0 if math.isnan(share) else 100 * min(max(share, 0.0), 1.0):.4g}%"
