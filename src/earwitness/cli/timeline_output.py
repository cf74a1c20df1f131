"""Where `earwitness timeline` writes what, and what it prints."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from earwitness.cli.output import clock, counted, media_and_range, require_separate_files
from earwitness.errors import SettingsError
from earwitness.inference.tagger import SILENT
from earwitness.listening.event_files import FORMATS, events_as_json, require_format
from earwitness.listening.inputs import Input
from earwitness.listening.patch_score_files import require_scores_format
from earwitness.listening.results import HeardEvents
from earwitness.listening.rows import failed_row
from earwitness.parallel import Failure
from earwitness.places import is_url
from earwitness.report.figure import require_picture_path
from earwitness.report.words import duration


class Places:
    """The files that each media file's results go to: as they were named, or by the media file's name in a folder."""

    def __init__(
        self,
        inputs: Sequence[Input],
        *,
        out: Sequence[Path],
        formats: Sequence[str],
        patch_scores: Path | None,
        plot: Path | None,
    ) -> None:
        """Check all of them before anything is listened to.

        Raises:
            SettingsError: a suffix names no format, a file would take the results of several media files, or one file
                would replace another.
        """
        unknown = [name for name in formats if name not in FORMATS]
        if unknown:
            raise SettingsError(f"unknown format {unknown[0]!r}; events are written as {', '.join(FORMATS)}")
        self._stems = _stems(inputs)
        self._out, self._formats, self._patch_scores, self._plot = out, formats, patch_scores, plot
        for option, path, require in (
            *(("--out", path, require_format) for path in out),
            ("--patch-scores", patch_scores, require_scores_format),
            ("--plot", plot, require_picture_path),
        ):
            if path is None or _is_folder(path):
                continue
            require(path)
            if len(inputs) > 1:
                raise SettingsError(f"{option} {path}: {len(inputs)} files are given; name a folder to take them all")
        written: dict[str, Path | None] = {}
        for number in range(len(inputs)):
            for place in (*self.events(number), self.patch_scores(number), self.picture(number)):
                if place is not None:
                    written[f"output {len(written) + 1}"] = place
        media = dict.fromkeys(given.media for given in inputs)
        require_separate_files(written, inputs=[Path(name) for name in media if not is_url(name)])
        for path in {place.parent for place in written.values() if place is not None}:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(f"{path}: the folder cannot be made ({error.strerror or error})") from error

    def events(self, number: int) -> list[Path]:
        """Where the events of a media file go."""
        return [
            place
            for path in self._out
            for place in (
                [path / f"{self._stems[number]}.{name}" for name in self._formats] if _is_folder(path) else [path]
            )
        ]

    def patch_scores(self, number: int) -> Path | None:
        """Where the scores of its patches go."""
        return self._placed(self._patch_scores, number, "npz")

    def picture(self, number: int) -> Path | None:
        """Where its picture goes."""
        return self._placed(self._plot, number, "png")

    def _placed(self, path: Path | None, number: int, suffix: str) -> Path | None:
        return path / f"{self._stems[number]}.{suffix}" if path is not None and _is_folder(path) else path


def print_heard(heard: HeardEvents, places: Sequence[Path], *, as_json: bool) -> None:
    """A heading, then the events, or where they were written."""
    if as_json:
        print(json.dumps(events_as_json(heard), ensure_ascii=False), flush=True)
        return
    scale = ["calibrated scores"] if heard.is_calibrated else []
    padded = ["shorter than one patch, filled up with silence"] if heard.is_padded else []
    found = counted(len(heard.events), "event")
    name = media_and_range(heard.media, heard.clip_start_seconds, heard.clip_stop_seconds)
    print(f"{name}  ({'; '.join([duration(heard.seconds), found, *scale, *heard.warnings, *padded])})")
    for place in places:
        print(f"  -> {place}")
    if not places:
        for event in heard.events:
            span = f"{clock(event.start_seconds)} - {clock(event.stop_seconds)}"
            print(f"  {span:>19}  {event.label_name} (up to {event.peak_score:.3f})")
    if not heard.events:
        is_silent = SILENT in heard.warnings
        print(
            "  nothing sounds, so there are no events"
            if is_silent
            else "  no label reaches its threshold at any time; --threshold sets it"
        )


def print_failure(given: Input, failure: Failure, *, as_json: bool) -> None:
    """One line with the reason."""
    if as_json:
        print(json.dumps(failed_row(given, failure.kind, failure.message), ensure_ascii=False), flush=True)
        return
    name = media_and_range(given.media, given.start_seconds, given.stop_seconds)
    print(f"{name}  failed: {failure.message.removeprefix(f'{given.media}: ')}", flush=True)


def _name(given: Input) -> tuple[str, str]:
    """Without and with the suffix."""
    if given.clip_id is not None:
        name = given.clip_id.replace("/", "_").replace("\0", "_")
        return name, name
    name = PurePosixPath(given.media.rstrip("/")).name or "media"
    return PurePosixPath(name).stem, name


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix


def _stems(inputs: Sequence[Input]) -> list[str]:
    """A name for each file: its own without the suffix, as players look for captions; with it where two would be one.
    Rows of manifests have their clip ids, with `_` for what no file name may hold.

    Of files with one name in several folders, all but the first have a number behind it.
    """
    names = [_name(given) for given in inputs]
    times = Counter(stem for stem, _ in names)
    stems = [stem if times[stem] == 1 else name for stem, name in names]
    seen: Counter[str] = Counter()
    unique = []
    for stem in stems:
        seen[stem] += 1
        unique.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return unique
