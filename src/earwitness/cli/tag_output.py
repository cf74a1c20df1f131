"""The forms in which `earwitness tag` writes: text for reading, JSON Lines, CSV, and the scores of every patch.

Every form writes a file's rows as soon as the file is done, and one row at least for every file: tags or a reason.
"""

import csv
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from earwitness.cli.output import clock
from earwitness.errors import MediaError, SettingsError
from earwitness.inference.tagger import PatchScores
from earwitness.inference.tagging import Tagging
from earwitness.labels import LabelSet
from earwitness.report.words import duration

if TYPE_CHECKING:
    from earwitness.models.description import DescribedModel

SCHEMA_VERSION = 1

CSV_COLUMNS = (
    "media",
    "row",
    "start_seconds",
    "stop_seconds",
    "label_id",
    "label",
    "score",
    "is_calibrated",
    "has_own_thresholds",
    "warnings",
    "failure_kind",
    "reason",
)
"""`row` is tag (over all that was scored of a file), event, or failure. `is_calibrated` and `has_own_thresholds` are
true or false, as in JSON: whether the scores went by the model's calibration, and rows by its own thresholds."""


class Output(AbstractContextManager["Output"], Protocol):
    """Takes the outcome of one file after the other."""

    def tagged(self, tagging: Tagging) -> None:
        """A file was tagged."""

    def failed(self, media: str, error: MediaError) -> None:
        """A file gave no sound."""


def remarks(tagging: Tagging) -> list[str]:
    """What a reader of the scores should know."""
    padded = ["shorter than one patch, filled up with silence"] if tagging.is_padded else []
    return [*tagging.warnings, *padded]


class _FileOutput:
    """Writes to a file, or to standard output where there is none."""

    def __init__(self, path: Path | None, labels: LabelSet) -> None:
        self._labels = labels
        self._is_stdout = path is None
        self._file: TextIO = sys.stdout if path is None else open_for_writing(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_stdout:
            self._file.close()


class TextOutput(_FileOutput):
    """For reading in a terminal."""

    def tagged(self, tagging: Tagging) -> None:
        """A heading, the tags, and the events under them."""
        scale = ["calibrated scores"] if tagging.is_calibrated else []
        said = [duration(tagging.seconds), *scale, *remarks(tagging)]
        print(f"{tagging.media}  ({'; '.join(said)})")
        for tag in tagging.tags:
            print(f"  {tag.score:6.3f}  {self._labels.names[tag.label]}")
        if tagging.has_own_thresholds and not tagging.tags:
            print("  no label reaches its own threshold; --threshold 0.5 shows the best ones all the same")
        if tagging.events is not None:
            for event in tagging.events:
                span = f"{clock(event.start_seconds)} - {clock(event.stop_seconds)}"
                print(f"  {span:>19}  {self._labels.names[event.label]} (up to {event.peak_score:.3f})")
            if not tagging.events:
                print("  no label reaches the threshold at any time; --threshold sets it")
        sys.stdout.flush()

    def failed(self, media: str, error: MediaError) -> None:
        """One line with the reason."""
        print(f"{media}  failed: {str(error).removeprefix(f'{media}: ')}", flush=True)


class JsonLinesOutput(_FileOutput):
    """One JSON object a file."""

    def tagged(self, tagging: Tagging) -> None:
        """Write `status: ok` with the tags."""
        names = self._labels
        row = {
            "schema_version": SCHEMA_VERSION,
            "media": tagging.media,
            "status": "ok",
            "seconds": round(tagging.seconds, 3),
            "scored_seconds": round(tagging.scored_seconds, 3),
            "num_patches": tagging.num_patches,
            "is_padded": tagging.is_padded,
            "is_calibrated": tagging.is_calibrated,
            "has_own_thresholds": tagging.has_own_thresholds,
            "warnings": list(tagging.warnings),
            "tags": [{"id": names.ids[t.label], "label": names.names[t.label], "score": t.score} for t in tagging.tags],
        }
        if tagging.events is not None:
            row["events"] = [
                {
                    "id": names.ids[event.label],
                    "label": names.names[event.label],
                    "start_seconds": round(event.start_seconds, 3),
                    "stop_seconds": round(event.stop_seconds, 3),
                    "peak_score": event.peak_score,
                }
                for event in tagging.events
            ]
        self._write(row)

    def failed(self, media: str, error: MediaError) -> None:
        """Write `status: failed` with kind and reason."""
        self._write(
            {
                "schema_version": SCHEMA_VERSION,
                "media": media,
                "status": "failed",
                "kind": error.kind,
                "reason": str(error),
            }
        )

    def _write(self, row: dict[str, object]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()


class CsvOutput(_FileOutput):
    """One row a tag, event or failed file; see `CSV_COLUMNS`."""

    def __init__(self, path: Path | None, labels: LabelSet) -> None:
        super().__init__(path, labels)
        self._rows = csv.DictWriter(self._file, CSV_COLUMNS)
        self._rows.writeheader()

    def tagged(self, tagging: Tagging) -> None:
        """The tags, over the whole file, then the events."""
        spans = [("tag", 0.0, tagging.scored_seconds, tag.label, tag.score) for tag in tagging.tags]
        spans += [
            ("event", event.start_seconds, event.stop_seconds, event.label, event.peak_score)
            for event in tagging.events or ()
        ]
        of_all = {
            "media": tagging.media,
            "is_calibrated": str(tagging.is_calibrated).lower(),
            "has_own_thresholds": str(tagging.has_own_thresholds).lower(),
        }
        for row, start, stop, label, score in spans:
            self._rows.writerow(
                {
                    **of_all,
                    "row": row,
                    "start_seconds": f"{start:.3f}",
                    "stop_seconds": f"{stop:.3f}",
                    "label_id": self._labels.ids[label],
                    "label": self._labels.names[label],
                    "score": f"{score:.7g}",
                    "warnings": "; ".join(remarks(tagging)),
                }
            )
        if not spans:
            self._rows.writerow({**of_all, "row": "tag", "reason": "no label reaches the scores asked for"})
        self._file.flush()

    def failed(self, media: str, error: MediaError) -> None:
        """One row with kind and reason."""
        self._rows.writerow({"media": media, "row": "failure", "failure_kind": error.kind, "reason": str(error)})
        self._file.flush()


class PatchScoresOutput:
    """The scores of every patch as CSV: media, start_seconds, stop_seconds, is_calibrated (true or false: whether they
    went by the model's calibration), one a label; nothing without a path.
    """

    def __init__(self, path: Path | None, model: "DescribedModel") -> None:
        self._front_end = model.front_end
        self._is_calibrated = str(model.calibration is not None).lower()
        self._file = open_for_writing(path) if path is not None else None
        if self._file is not None:
            self._rows = csv.writer(self._file)
            self._rows.writerow(["media", "start_seconds", "stop_seconds", "is_calibrated", *model.label_set.ids])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, media: str, patches: PatchScores) -> None:
        """Add the patches of a file."""
        if self._file is None:
            return
        for start, scores in zip(patches.start_seconds.tolist(), patches.scores.tolist(), strict=True):
            stop = start + self._front_end.patch_seconds
            span = (f"{start:.3f}", f"{stop:.3f}")
            self._rows.writerow([media, *span, self._is_calibrated, *(f"{score:.7g}" for score in scores)])


def open_for_writing(path: Path) -> TextIO:
    """Open a text file for a result, or say why not.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # names of files need not be UTF-8; they are written as the bytes they are
        return path.open("w", newline="", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise SettingsError(f"{path}: the result cannot be written ({error.strerror or error})") from error
