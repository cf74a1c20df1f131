"""The tables of a made corpus: manifest, manifest with true labels, true events, label set.

`events.parquet` has a row for every label of every event, parents included, and a row without times for every label
that the metadata give and nothing sounds for:

    clip_id        text
    label          what sounds; null where nothing does
    start_seconds, stop_seconds   when, in the clip's time; null where nothing sounds. The room rings on after it
    level_db       of the sound over the noise; null where nothing sounds
    given_label    what the metadata say of it: the same label, another in its place, or null
    flaw           null where the metadata are right; else missing, wrong, coarse or inaudible
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from earwitness.files import replacing
from earwitness.labels import LabelSet
from earwitness.synth.kinds import labels_of
from earwitness.synth.plan import ClipPlan

MANIFEST_FILE = "manifest.parquet"
TRUE_MANIFEST_FILE = "manifest_true.parquet"
EVENTS_FILE = "events.parquet"
LABELS_FILE = "labels.csv"

_METADATA = {"schema_version": "1"}
CLIP_COLUMNS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("media", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("seconds", pa.float64()),
        ("split", pa.string()),
        ("fold", pa.int64()),
        ("group", pa.string()),
    ],
    metadata=_METADATA,
)
_EVENT_COLUMNS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("label", pa.string()),
        ("start_seconds", pa.float64()),
        ("stop_seconds", pa.float64()),
        ("level_db", pa.float64()),
        ("given_label", pa.string()),
        ("flaw", pa.string()),
    ],
    metadata=_METADATA,
)
_CLIPS_AT_ONCE = 1_000


def write_tables(folder: Path, plans: Iterable[ClipPlan], label_set: LabelSet) -> None:
    """Write all tables of these clips in one pass; the manifest takes its place last: where it is, all is.

    Raises:
        OSError: one cannot be written.
    """
    with ExitStack() as stack:  # closes the last opened first

        def table(name: str, columns: pa.Schema) -> pyarrow.parquet.ParquetWriter:
            file = stack.enter_context(replacing(folder / name))
            return stack.enter_context(pyarrow.parquet.ParquetWriter(file, columns))

        manifest = table(MANIFEST_FILE, CLIP_COLUMNS)
        true_manifest = table(TRUE_MANIFEST_FILE, CLIP_COLUMNS)
        events = table(EVENTS_FILE, _EVENT_COLUMNS)
        labels = stack.enter_context(replacing(folder / LABELS_FILE))
        rows = zip(label_set.ids, label_set.names, strict=True)
        lines = ["index,id,name", *(f"{index},{label},{name}" for index, (label, name) in enumerate(rows))]
        labels.write(("\n".join(lines) + "\n").encode())
        remaining = iter(plans)
        while batch := list(islice(remaining, _CLIPS_AT_ONCE)):
            for writer, columns, values in (
                (manifest, CLIP_COLUMNS, [_clip_row(plan, plan.given_labels) for plan in batch]),
                (true_manifest, CLIP_COLUMNS, [_clip_row(plan, plan.true_labels) for plan in batch]),
                (events, _EVENT_COLUMNS, [row for plan in batch for row in event_rows(plan)]),
            ):
                writer.write_table(pa.Table.from_pylist(values, schema=columns))


def event_rows(plan: ClipPlan) -> Iterator[dict[str, Any]]:
    """The clip's rows of `events.parquet`: those with times first."""
    given = set(plan.given_labels)
    flaw_of = {flaw.kind: flaw for flaw in plan.flaws if flaw.kind is not None}
    for event in plan.events:
        for label in labels_of((event.kind,)):
            flaw = flaw_of.get(event.kind)
            is_given = label in given
            yield {
                "clip_id": plan.clip_id,
                "label": label,
                "start_seconds": event.start_seconds,
                "stop_seconds": event.stop_seconds,
                "level_db": event.level_db,
                "given_label": label if is_given else flaw.given if flaw and label == event.kind else None,
                "flaw": None if is_given or flaw is None else flaw.flaw,
            }
    true = set(plan.true_labels)
    for flaw in plan.flaws:
        if flaw.flaw in ("wrong", "inaudible"):
            for label in labels_of((str(flaw.given),)):
                if label not in true:
                    yield {"clip_id": plan.clip_id, "given_label": label, "flaw": flaw.flaw}


def _clip_row(plan: ClipPlan, labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "clip_id": plan.clip_id,
        "media": plan.media,
        "labels": list(labels),
        "seconds": plan.seconds,
        "split": "test" if plan.is_test else "train",
        "fold": plan.fold,
        "group": f"recording-{plan.recording:06d}",
    }
