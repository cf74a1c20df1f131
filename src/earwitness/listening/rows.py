"""What comes of one input, as a plain dictionary: it travels between machines, lies in journals, and is written out.

- `schema_version`, `media`; of a manifest's row also `clip_id`, `start_seconds`, `stop_seconds`;
- `status`: ok or failed;
- `seconds`, `scored_seconds`, `num_patches`, `is_padded`, `is_calibrated`, `has_own_thresholds`, `warnings`;
- `tags`, best first, each with `label_id`, `label_name`, `score`;
- `events`, with --timeline, each with `label_id`, `label_name`, `start_seconds`, `stop_seconds`, `peak_score`;
- `scores`, with --all-scores: of every label by its id;
- `failure_kind` and `failure_reason` of what failed, in place of all that stands behind `status`.
"""

from typing import Any, TypeAlias

from earwitness.inference.tagging import Tagging
from earwitness.labels import LabelSet
from earwitness.listening.inputs import Input

SCHEMA_VERSION = 2

Row: TypeAlias = dict[str, Any]


def tagged_row(given: Input, tagging: Tagging, labels: LabelSet, *, has_all_scores: bool) -> Row:
    """The row of an input that gave sound."""
    row = {
        **_begin(given),
        "status": "ok",
        "seconds": round(tagging.seconds, 3),
        "scored_seconds": round(tagging.scored_seconds, 3),
        "num_patches": tagging.num_patches,
        "is_padded": tagging.is_padded,
        "is_calibrated": tagging.is_calibrated,
        "has_own_thresholds": tagging.has_own_thresholds,
        "warnings": list(tagging.warnings),
        "tags": [{**_named(tag.label, labels), "score": tag.score} for tag in tagging.tags],
    }
    if tagging.events is not None:
        row["events"] = [
            {
                **_named(event.label, labels),
                "start_seconds": round(event.start_seconds, 3),
                "stop_seconds": round(event.stop_seconds, 3),
                "peak_score": event.peak_score,
            }
            for event in tagging.events
        ]
    if has_all_scores:
        row["scores"] = dict(zip(labels.ids, tagging.scores.tolist(), strict=True))
    return row


def failed_row(given: Input, kind: str, reason: str) -> Row:
    """The row of an input that gave none."""
    return {**_begin(given), "status": "failed", "failure_kind": kind, "failure_reason": reason}


def remarks(row: Row) -> list[str]:
    """What a reader of the scores should know."""
    return [*row["warnings"], *(["shorter than one patch, filled up with silence"] if row["is_padded"] else [])]


def _named(label: int, labels: LabelSet) -> dict[str, str]:
    return {"label_id": labels.ids[label], "label_name": labels.names[label]}


def _begin(given: Input) -> Row:
    row: Row = {"schema_version": SCHEMA_VERSION, "media": given.media}
    if given.clip_id is not None:
        row |= {"clip_id": given.clip_id, "start_seconds": given.start_seconds, "stop_seconds": given.stop_seconds}
    return row
