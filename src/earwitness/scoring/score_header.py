"""`scores.json`: what the scores in a folder are of, and how they lie there.

Scores of two origins have the same header: those that a model of ours gave, range by range, and those of any other
software, taken over from a table.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earwitness.decisions import USUAL_THRESHOLD, Thresholds
from earwitness.errors import EarwitnessError, ScoreError
from earwitness.evaluation.aggregation_names import Aggregation
from earwitness.files import read_description, replacing
from earwitness.labels import LabelSet
from earwitness.scoring.score_settings import Level

FILE_NAME = "scores.json"
FORMAT = "earwitness scores"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ScoresHeader:
    """The content of `scores.json`."""

    label_set: LabelSet
    num_clips: int
    num_rows: int
    """Of the scores: clips, or their patches, one clip after another."""
    tile_rows: int
    """Rows of a tile, but for the last."""
    dtype: Literal["float32", "float64"]
    """float64 only where a table of other software had such."""
    level: Level
    aggregation: Aggregation | None
    """How a clip's patches became one score. None: patches did not, or it is not known."""
    store_fingerprint: str
    where: str | None
    """Which clips of the store, as it was asked for."""
    clips_digest: str
    """Of the clip ids, in order."""
    patch_frames: int | None
    """None: not known."""
    patch_hop_frames: int | None
    """Frames from one patch to the next. None: not known."""
    source_digest: str
    """Of the weights of the model, of the exported model, or of the table that the scores came from."""
    calibration_digest: str | None
    """Of the model's calibration, by which the scores went. None: they are raw, or a table's."""
    thresholds: dict[str, Any] | None
    """The model's own thresholds for these scores, as `decisions.Thresholds` writes them. None: there are none."""
    architecture: dict[str, Any] | None
    """The model's network: name and arguments. None: the scores came from a table."""
    source: str
    """Where the model, or the table, lay."""
    store: str
    """Where the store lay."""

    @property
    def is_of_a_model(self) -> bool:
        """Whether a model of ours gave the scores."""
        return self.architecture is not None

    @property
    def num_tiles(self) -> int:
        """Files that the scores lie in."""
        return -(-self.num_rows // self.tile_rows)

    @property
    def threshold_values(self) -> npt.NDArray[np.float64] | None:
        """[labels]: the scores at and above which each label is a yes; None where none were fitted."""
        if self.thresholds is None:
            return None
        return Thresholds.from_dict(self.thresholds).or_default(USUAL_THRESHOLD)

    def rows_of(self, tile: int) -> range:
        """The rows of a tile."""
        first = tile * self.tile_rows
        return range(first, min(first + self.tile_rows, self.num_rows))

    def require_same(self, asked: "ScoresHeader", folder: Path) -> None:
        """Refuse to go on with scores that are not those asked for.

        Raises:
            ScoreError: the model, the store or the way of scoring differ; both sides are said.
        """
        for what, identity, said in _DIFFERENCES:
            if getattr(self, identity) != getattr(asked, identity):
                there, now = (said.format(**vars(header)) for header in (self, asked))
                raise ScoreError(
                    f"{folder}: the scores there are {what} ({there} there, {now} now); choose another folder"
                )
        if self.label_set != asked.label_set:
            differences = self.label_set.differences(asked.label_set, mine="scores there", other="model now")
            raise ScoreError(f"{folder}: the scores there are of other labels ({differences}); choose another folder")


_DIFFERENCES = (
    ("of another model, or table", "source_digest", "{source}, digest {source_digest:.12}"),
    ("by another calibration", "calibration_digest", "{calibration_digest}"),
    ("of another store", "store_fingerprint", "{store}, fingerprint {store_fingerprint:.12}"),
    ("of other clips", "clips_digest", "{num_clips:,} clips, where {where}, digest {clips_digest:.12}"),
    ("of patches of another length", "patch_frames", "{patch_frames} frames"),
    ("of patches at another hop", "patch_hop_frames", "{patch_hop_frames} frames"),
    ("at another level", "level", "{level}"),
    ("aggregated otherwise", "aggregation", "{aggregation}"),
    ("in ranges of another size", "tile_rows", "{tile_rows:,} rows"),
)
"""What makes scores others, by which field it shows, and how both sides are said."""


def write_scores_header(folder: Path, header: ScoresHeader) -> None:
    """Write `scores.json`.

    Raises:
        OSError: it cannot be written.
    """
    values = {"format": FORMAT, "version": FORMAT_VERSION, **vars(header)}
    values["label_set"] = header.label_set.to_rows()
    with replacing(folder / FILE_NAME) as file:
        file.write(json.dumps(values, indent=1, ensure_ascii=False).encode(errors="surrogateescape") + b"\n")


def read_scores_header(folder: Path) -> ScoresHeader:
    """Read `scores.json`.

    Raises:
        ScoreError: it is missing, damaged or of another format version.
    """
    path = folder / FILE_NAME
    values = read_description(path, of=FORMAT, error_type=ScoreError)
    version = values.pop("version", None)
    if version != FORMAT_VERSION:
        raise ScoreError(
            f"{folder}: the scores have format version {version}, this earwitness reads {FORMAT_VERSION}; update "
            "earwitness or score again"
        )
    try:
        header = ScoresHeader(label_set=LabelSet.from_rows(values.pop("label_set")), **values)
        own = header.threshold_values
        if own is not None and len(own) != len(header.label_set):
            raise ScoreError("its thresholds are not one a label")
        return header
    except (KeyError, TypeError, ValueError, EarwitnessError) as error:
        raise ScoreError(f"{path}: damaged ({type(error).__name__}: {error})") from error
