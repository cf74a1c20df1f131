"""How commands speak: JSON and tables to standard output, remarks and progress to standard error."""

import json
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from earwitness.errors import SettingsError
from earwitness.report.words import counted as counted  # commands say it, too


def print_json(value: Any) -> None:
    """One JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def remark(sentence: str) -> None:
    """A sentence to standard error, where it does not disturb the result."""
    print(sentence, file=sys.stderr, flush=True)


def print_next(*words: object) -> None:
    """The command to go on with, ready for the shell; words in capitals are to be filled in."""
    print(f"  next: {shlex.join(['earwitness', *map(str, words)])}")


@contextmanager
def progress_bar(*, total: int | None, unit: str, title: str) -> Iterator[Any]:
    """A bar with rate and time left; a line every 30 seconds where standard error is no terminal.

    It appears after a second: what cannot be is mostly refused before, by its sentence alone.
    """
    is_terminal = sys.stderr.isatty()
    with tqdm(
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        desc=title,
        mininterval=0.2 if is_terminal else 30.0,
        delay=1.0,
        dynamic_ncols=is_terminal,
        ascii=not is_terminal,
        leave=True,
    ) as bar:
        yield bar


def require_separate_files(outputs: Mapping[str, Path | None], *, inputs: Collection[Path | None]) -> None:
    """Refuse outputs, by the options that name them, that would replace what is read, or one another.

    Raises:
        SettingsError: two of the paths are one file.
    """
    said_of = {path.resolve(): "this is what is read" for path in inputs if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        if (said := said_of.get(path.resolve())) is not None:
            raise SettingsError(f"{option} {path}: {said}, and would be overwritten; name another file")
        said_of[path.resolve()] = f"this is what {option} names"


def media_and_range(media: str, start_seconds: float | None, stop_seconds: float | None) -> str:
    """What is heard of a media file: `film.mp4`, or `film.mp4 from 0:10.0 to 0:20.0`."""
    if start_seconds is None and stop_seconds is None:
        return media
    stop = f" to {clock(stop_seconds)}" if stop_seconds is not None else ""
    return f"{media} from {clock(start_seconds or 0.0)}{stop}"


def clock(seconds: float) -> str:
    """A place in a recording: `1:02:03.4` or `2:03.4`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{rest / 10:04.1f}"
