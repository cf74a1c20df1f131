"""Events found in time against true ones, by sed_eval, the field's own library; the extra `detection` brings it.

Figures are over all events of all labels and clips together (sed_eval's "overall"). Its means over labels leave out
labels of which nothing was found, as if they had not been asked for, and are not given here.

**Segment-based**: each second of a clip is a segment, in which a label sounds or does not. F1, precision and recall
over segments and labels; the error rate has 0 for perfect answers and 1 for none at all, and no upper end.

**Event-based**: an event found is right where a true one of its label begins within 0.2 s of it and ends within 0.2 s,
or within 20 % of the true one's length; and, beside, by its beginning alone. Each counts once.

References: Mesaros, Heittola and Virtanen 2016, Metrics for Polyphonic Sound Event Detection.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earwitness.errors import MissingExtraError

SEGMENT_SECONDS = 1.0
COLLAR_SECONDS = 0.2
SHARE_OF_LENGTH = 0.2
"""Of the true event, by which the end may be off where that is more than the collar."""

Spans = Mapping[str, Sequence[tuple[float, float]]]
"""By label: where it sounds in a clip, from start to stop in seconds."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """The measures. Precision is nan where nothing was found, recall where nothing is to be; F1 is then 0."""

    segment_f1: float
    segment_precision: float
    segment_recall: float
    segment_error_rate: float
    event_f1: float
    event_precision: float
    event_recall: float
    onset_f1: float
    """Of events, by their beginnings alone."""


def require_sed_eval() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            import sed_eval
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"events are scored by sed_eval, and {error.name} is not installed; pip install 'earwitness[detection]'"
        ) from error
    return sed_eval


def score_detection(clips: Iterable[tuple[Spans, Spans, float]], *, labels: Sequence[str]) -> Detection:
    """Score what was found.

    Args:
        clips: of each what is true, what was found, and its length in seconds. Spans of a label do not overlap.
        labels: all that may occur.

    Raises:
        MissingExtraError: sed_eval is not installed.
    """
    sound_event = require_sed_eval().sound_event
    names = list(labels)
    by_segment = sound_event.SegmentBasedMetrics(event_label_list=names, time_resolution=SEGMENT_SECONDS)
    by_event, by_onset = (
        sound_event.EventBasedMetrics(
            event_label_list=names,
            t_collar=COLLAR_SECONDS,
            percentage_of_length=SHARE_OF_LENGTH,
            evaluate_offset=with_offset,
        )
        for with_offset in (True, False)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of divisions where a label has nothing
        for truth, found, seconds in clips:
            lists = {"reference_event_list": _rows(truth), "estimated_event_list": _rows(found)}
            by_segment.evaluate(**lists, evaluated_length_seconds=seconds)
            by_event.evaluate(**lists)
            by_onset.evaluate(**lists)
        segments, events, onsets = (metric.results_overall_metrics() for metric in (by_segment, by_event, by_onset))
    return Detection(
        segment_f1=_or_zero(segments["f_measure"]["f_measure"]),
        segment_precision=float(segments["f_measure"]["precision"]),
        segment_recall=float(segments["f_measure"]["recall"]),
        segment_error_rate=float(segments["error_rate"]["error_rate"]),
        event_f1=_or_zero(events["f_measure"]["f_measure"]),
        event_precision=float(events["f_measure"]["precision"]),
        event_recall=float(events["f_measure"]["recall"]),
        onset_f1=_or_zero(onsets["f_measure"]["f_measure"]),
    )


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)


def _rows(spans: Spans) -> Any:
    from dcase_util.containers import MetaDataContainer

    return MetaDataContainer(
        [
            {"filename": "clip", "event_label": label, "onset": start, "offset": stop}
            for label, some in spans.items()
            for start, stop in some
        ]
    )
