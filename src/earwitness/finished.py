"""What a result was made of, said beside it in `OUT.made.json`, which is put in place last.

By it the same command finds its work done, and another one does not replace the result unasked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.errors import SettingsError
from earwitness.files import read_description, replacing

MADE_SUFFIX = ".made.json"
_SHOWN_CHARACTERS = 12
"""Of a digest, as elsewhere."""


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """The file that says it."""

    path: Path
    format: str
    """Of what result."""
    version: int

    def read(self, out: Path, made_of: Mapping[str, object], *, remedy: str) -> dict[str, Any] | None:
        """What the same work came to; None where nothing says what the result was made of.

        Args:
            out: the result, as it is called in messages.
            made_of: values for JSON, by names for people, that change the result.
            remedy: what to do about another result.

        Raises:
            SettingsError: the result is that of other work; both sides are said. Or the file is damaged.
        """
        if not self.path.exists():
            return None
        values = read_description(self.path, of=self.format, error_type=SettingsError)
        there, now = values.get("made_of", {}), json.loads(json.dumps(made_of))
        said = [
            f"{name}: {_shown(there.get(name))} there, {_shown(now.get(name))} now"
            for name in {**there, **now}
            if there.get(name) != now.get(name)
        ]
        if (version := values.get("version")) != self.version:
            said.append(f"version: {version} there, {self.version} now")
        if said:
            raise SettingsError(f"{out}: what is there was made otherwise ({'; '.join(said)}); {remedy}")
        return values

    def write(self, made_of: Mapping[str, object], came_to: Mapping[str, object]) -> None:
        """Say it.

        Raises:
            OSError: it cannot be written.
        """
        values = {"format": self.format, "version": self.version, "made_of": made_of, **came_to}
        with replacing(self.path) as file:
            file.write(json.dumps(values, indent=1, ensure_ascii=False).encode(errors="surrogateescape") + b"\n")


def _shown(value: object) -> str:
    return value[:_SHOWN_CHARACTERS] if isinstance(value, str) and len(value) >= 2 * _SHOWN_CHARACTERS else str(value)
