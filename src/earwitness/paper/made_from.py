"""What pictures of clips were made from, as facts and in words; and those of an earlier call, which go."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.datasets.events import digest_of_events
from earwitness.errors import RunError
from earwitness.experiments.learnt_clips import learnt_before, training_clips
from earwitness.inference.any_model import AnyModel
from earwitness.report.words import counted
from earwitness.store.read import Store

_SUFFIXES = (".pdf", ".png")


@dataclass(frozen=True, kw_only=True)
class MadeFrom:
    """Of a table."""

    facts: dict[str, Any]
    notes: tuple[str, ...]


def made_from(
    model: AnyModel,
    store: Store,
    *,
    model_path: Path,
    clips: npt.NDArray[np.int64],
    clip_ids: Sequence[str],
    is_named: bool,
    where: str | None,
    events_path: Path | None,
    num_events: int,
) -> MadeFrom:
    """Model, store, clips and events.

    Args:
        model: it scored them.
        store: of the clips.
        model_path: where the model was read.
        clips: their places in the store.
        clip_ids: their ids.
        is_named: whether somebody chose them.
        where: SQL condition that they were chosen by; None: by none.
        events_path: the table of true events, if any.
        num_events: how many of them are in these clips.

    Raises:
        ManifestError: the table of events cannot be read.
    """
    path = model_path.resolve()
    experiment, cell = _cell(path)
    facts: dict[str, Any] = {
        "model": {
            "path": str(path),
            "digest": model.digest,
            "network": model.architecture.name,
            "num_labels": len(model.label_set),
            "experiment": experiment,
            "cell": cell,
        },
        "store": {"path": str(store.folder), "fingerprint": store.fingerprint},
        "clips": list(clip_ids),
        "where": where,
        "events": None,
    }
    of_cell = f", {cell} of {experiment}" if cell is not None else ""
    chosen = "named" if is_named else "those with the most labels " + (f"where {where}" if where else "of all")
    notes = [
        f"Model: {path} ({model.architecture.name}{of_cell}; {counted(len(model.label_set), 'label')}; digest "
        f"{model.digest[:12]}{'; scores calibrated' if model.calibration is not None else ''}).",
        f"Clips: {', '.join(clip_ids)} ({chosen}), of the store {store.folder} (fingerprint {store.fingerprint[:12]}).",
    ]
    if events_path is not None:
        digest = digest_of_events(events_path)
        facts["events"] = {"path": str(events_path.resolve()), "digest": digest, "num_events": num_events}
        notes.append(
            f"True events: {events_path.resolve()} (digest {digest[:12]}), {num_events:,} of them in these clips."
        )
    num_learnt, doubts = _learnt(model, store, clips)
    facts["num_learnt"] = num_learnt if num_learnt or not doubts else None
    if num_learnt:
        was = "was" if num_learnt == 1 else "were"
        notes.append(f"{num_learnt} of {counted(len(clips), 'clip')} {was} learnt from: the scores say little there.")
    elif not doubts:
        notes.append("None of these clips was learnt from.")
    return MadeFrom(facts=facts, notes=(*notes, *doubts))


def earlier_pictures(table_json: Path, *, experiment: str) -> set[str]:
    """The files that an earlier table of this experiment names as its pictures; none where there is none.

    Raises:
        RunError: the table is damaged.
    """
    if not table_json.exists():
        return set()
    try:
        table = json.loads(table_json.read_text(encoding="utf-8"))
        names = table.get("pictures", []) if table.get("experiment") == experiment else []
        # nothing but pictures that lie beside it
        return {name for name in names if Path(name).name == name and Path(name).suffix in _SUFFIXES}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{table_json}: cannot be read ({error}), so it is not known which pictures are of it; delete it and them"
        ) from error


def remove_pictures(folder: Path, names: Collection[str]) -> None:
    """Delete them, as far as they are there.

    Raises:
        RunError: one cannot be deleted.
    """
    for name in sorted(names):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{folder / name}: cannot be deleted ({error.strerror or error})") from error


def _cell(path: Path) -> tuple[str | None, str | None]:
    """Experiment and cell of a model that lies in the folder of one; None for others."""
    parts = path.parts
    return (parts[-5], parts[-3]) if len(parts) > 5 and (parts[-4], parts[-2]) == ("cells", "run") else (None, None)


def _learnt(model: AnyModel, store: Store, clips: npt.NDArray[np.int64]) -> tuple[int, list[str]]:
    """How many of the clips it has learnt from, or models before it; and sentences where that cannot be told."""
    learnt, doubts = learnt_before(model, store)
    training = training_clips(model.provenance, store)
    if isinstance(training, str):
        doubts.insert(0, f"It cannot be told whether the model has learnt from these clips: {training}.")
    else:
        learnt = np.union1d(learnt, training.train)
    return len(np.intersect1d(clips, learnt)), doubts
