"""What a model heard, as values: frozen, typed, and tables where one wants them.

`to_arrow()` gives an Arrow table, `to_pandas()` the same as a data frame (`pip install 'earwitness[pandas]'`).
Scores are as `earwitness tag` shows them: by the model's calibration where it has one.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import MissingExtraError
from earwitness.labels import LabelSet

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What all results say of their input."""

    media: str
    """Path, URL, a file object's name, `<bytes>` or `<array>`."""
    seconds: float
    """Length of the sound."""
    scored_seconds: float
    """Of these, what the patches cover: a last incomplete patch is left out."""
    num_patches: int
    warnings: tuple[str, ...]
    """Complaints of the decoder, and whether it is silent; empty where all was well."""
    is_padded: bool
    """Whether the sound was shorter than one patch and was filled up with silence."""


@dataclass(frozen=True, kw_only=True)
class ScoredLabel:
    """A label with the score of the whole input."""

    label_id: str
    label_name: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Tags(Heard):
    """What is heard in one input."""

    tags: tuple[ScoredLabel, ...]
    """Best first; above the model's own thresholds where it has any and they were asked for."""
    is_calibrated: bool
    """Whether scores are by a calibration that the model carries."""
    has_own_thresholds: bool
    """Whether `tags` are by the model's own thresholds."""
    label_set: LabelSet = field(repr=False)
    scores: npt.NDArray[np.float32] = field(repr=False, compare=False)
    """[labels]: of every label of the label set."""

    def to_arrow(self) -> pa.Table:
        """The tags as rows: media, label_id, label_name, score."""
        return pa.table(
            {
                "media": pa.array([self.media] * len(self.tags), pa.string()),
                "label_id": pa.array([tag.label_id for tag in self.tags], pa.string()),
                "label_name": pa.array([tag.label_name for tag in self.tags], pa.string()),
                "score": pa.array([tag.score for tag in self.tags], pa.float32()),
            }
        )

    def to_pandas(self) -> "pandas.DataFrame":
        """`to_arrow` as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return _frame(self.to_arrow())


@dataclass(frozen=True, kw_only=True)
class HeardEvent:
    """A label heard without interruption over [start_seconds, stop_seconds)."""

    label_id: str
    label_name: str
    start_seconds: float
    """In the time of the media."""
    stop_seconds: float
    peak_score: float
    """Highest score of its patches."""


@dataclass(frozen=True, kw_only=True)
class HeardEvents(Heard):
    """What is heard when in one input."""

    events: tuple[HeardEvent, ...]
    """By their start."""
    hop_seconds: float
    """From the start of one patch to the next."""
    patch_seconds: float
    is_calibrated: bool
    """Whether scores are by a calibration that the model carries."""
    has_own_thresholds: bool
    """Whether events are by the model's own thresholds."""
    clip_id: str | None = None
    """Of a manifest's row; None for files, as the two below."""
    clip_start_seconds: float | None = None
    """Where in the media the clip begins; None is the beginning."""
    clip_stop_seconds: float | None = None
    """Where it ends; None is the end."""

    def events_to_arrow(self) -> pa.Table:
        """The events as rows: media, start_seconds, stop_seconds, label_id, label_name, peak_score."""
        events = self.events
        return pa.table(
            {
                "media": pa.array([self.media] * len(events), pa.string()),
                "start_seconds": pa.array([event.start_seconds for event in events], pa.float64()),
                "stop_seconds": pa.array([event.stop_seconds for event in events], pa.float64()),
                "label_id": pa.array([event.label_id for event in events], pa.string()),
                "label_name": pa.array([event.label_name for event in events], pa.string()),
                "peak_score": pa.array([event.peak_score for event in events], pa.float32()),
            }
        )

    def events_to_pandas(self) -> "pandas.DataFrame":
        """`events_to_arrow` as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return _frame(self.events_to_arrow())


@dataclass(frozen=True, kw_only=True)
class Timeline(HeardEvents):
    """Events, and the scores that they were found in."""

    label_set: LabelSet = field(repr=False)
    """The columns of `scores`."""
    start_seconds: npt.NDArray[np.float64] = field(repr=False, compare=False)
    """[patches]: where each begins, in the time of the media."""
    scores: npt.NDArray[np.float32] = field(repr=False, compare=False)
    """[patches, labels]."""

    def to_arrow(self) -> pa.Table:
        """The scores, a row a patch: start_seconds, stop_seconds, then a column for each label id."""
        columns: dict[str, Any] = {
            "start_seconds": self.start_seconds,
            "stop_seconds": self.start_seconds + self.patch_seconds,
        }
        names = [*columns, *self.label_set.ids]
        return pa.Table.from_arrays([pa.array(c) for c in (*columns.values(), *self.scores.T.copy())], names=names)

    def to_pandas(self) -> "pandas.DataFrame":
        """`to_arrow` as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return _frame(self.to_arrow())


@dataclass(frozen=True, kw_only=True)
class Embeddings(Heard):
    """What the layer before the model's output makes of each patch."""

    hop_seconds: float
    """From the start of one patch to the next."""
    patch_seconds: float
    start_seconds: npt.NDArray[np.float64] = field(repr=False, compare=False)
    """[patches]: where each begins, in the time of the media."""
    vectors: npt.NDArray[np.float32] = field(repr=False, compare=False)
    """[patches, size]."""

    def to_arrow(self) -> pa.Table:
        """A row a patch: start_seconds, stop_seconds, embedding (a list of float32 of fixed size)."""
        size = self.vectors.shape[1]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(self.vectors).reshape(-1)), size)
        return pa.table(
            {
                "start_seconds": self.start_seconds,
                "stop_seconds": self.start_seconds + self.patch_seconds,
                "embedding": vectors,
            }
        )

    def to_pandas(self) -> "pandas.DataFrame":
        """`to_arrow` as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return _frame(self.to_arrow())


def _frame(table: pa.Table) -> Any:
    try:
        import pandas  # noqa: F401 (Arrow needs it, and names it less kindly)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "to_pandas: pandas is not installed; pip install 'earwitness[pandas]', or use to_arrow()"
        ) from error
    return table.to_pandas()
