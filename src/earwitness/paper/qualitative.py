"""The paper's figure of one video: the spectrogram above what 16 classifiers say patch by patch.

For each of some clips a picture, for print (PDF) and for screens (PNG), and a table of the peaks, which says what they
were made from. Clips that nobody names are chosen by how many labels they carry, not by how well they are scored.
Pictures and table have the same labels: those of the highest peaks, whatever truly sounds, then the others that do.

References: Hershey et al. 2017, figure 3.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.patches import cut_patches
from earwitness.datasets.events import TrueEvent, read_events
from earwitness.errors import RunError, SelectionError, SettingsError
from earwitness.experiments.timelines import check_ends
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import AnyModel, patch_scorer
from earwitness.models.description import require_labels
from earwitness.paper import architectures
from earwitness.paper.made_from import earlier_pictures, made_from, remove_pictures
from earwitness.paper.study import Study
from earwitness.paper.table import Column, Row, Table, three_decimals, write_table
from earwitness.report.figure import PRINT_WIDTH_INCHES
from earwitness.report.timeline_plot import TrueEvent as DrawnEvent
from earwitness.report.timeline_plot import plot_timeline
from earwitness.scoring.clip_scores import require_same_frames
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.training.run_folder import RunFolder

NAME = "qualitative"
LABELS = 16
"""As many as the paper draws."""
_BELOW = (
    "Labels that truly sound, but are not among these, stand below them: in the pictures under a line, here in the "
    "last rows of a clip."
)
_SHORTEST_SECONDS, _LONGEST_SECONDS = 5.0, 120.0
"""Of clips that nobody names: shorter ones have nothing to follow, longer ones are hard to look at."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What was drawn."""

    table: Table
    paths: tuple[Path, ...]
    """The table in its forms, then the pictures."""


def best_model(folder: Path, *, option: str = "--model") -> Path:
    """Of `architectures` in a folder of experiments, the model of the highest mAP at the end on the clips watched.

    Not on those evaluated: whoever asks may evaluate on these again. `option` names another.

    Raises:
        RunError: there is none yet.
    """
    study = Study(folder / architectures.NAME)
    found: dict[Path, float] = {}
    for cell in study.plan().cells if study.record_path.exists() else ():
        result = study.result(cell.name)
        path = RunFolder(study.run_folder(cell.name)).model_path
        if result is not None and result["state"] == "finished" and path.exists():  # some are those of other cells
            found[path] = result["last_validation"].get("mean_average_precision") or 0.0
    if not found:
        raise RunError(
            f"{study.folder}: no network has been trained there; name a model by {option}, or run "
            "`earwitness experiment architectures` first"
        )
    return max(found, key=lambda path: found[path])


def draw_clips(
    model: AnyModel,
    store: Store,
    folder: Path,
    *,
    model_path: Path,
    clip_ids: Sequence[str] = (),
    number: int = 3,
    where: str | None = None,
    labels: int = LABELS,
    patch_hop_frames: int | None = None,
    events_path: Path | None = None,
    device: str = "auto",
) -> Pictures:
    """Draw clips of a store, and write the table of their peaks.

    Args:
        model: its labels are drawn; they need not be those of the store.
        store: of the clips.
        folder: takes `CLIP.pdf`, `CLIP.png` and the table. Pictures that an earlier table there names go, unless they
            are drawn again.
        model_path: where the model lies, to be named.
        clip_ids: which clips. None named: some of `where`.
        number: how many, where none is named: those with the most labels, of a length to look at.
        where: SQL condition, for those.
        labels: how many of the highest peaks.
        patch_hop_frames: frames from one patch to the next. None: half a patch.
        events_path: a table of true events, to be drawn under the scores.
        device: where to compute.

    Raises:
        SelectionError: there is no such clip.
        SettingsError: a number is not allowed, or a picture cannot be written.
        ModelError: the model names nothing.
        ManifestError: the table of events cannot be used, or an event begins after the end of its clip.
        RunError: the table there before is damaged, or a file cannot be written or deleted.
        StoreError: the store's frames are not the model's.
    """
    for name, value in (("number", number), ("labels", labels)):
        if value < 1:
            raise SettingsError(f"{name}={value} must be at least 1")
    require_labels(model)
    require_same_frames(store, front_end=model.front_end)
    hop_frames = patch_hop_frames if patch_hop_frames is not None else model.front_end.patch_frames // 2
    front_end = replace(model.front_end, patch_hop_frames=hop_frames)
    clips = _named(store, clip_ids) if clip_ids else _many_labels(store, where, number)
    names = store.read_clips(["clip_id"])["clip_id"].take(clips).to_pylist()
    for clip, clip_id in zip(clips, names, strict=True):
        if not front_end.frames_to_patches(int(store.frames_per_clip[clip])):
            raise SelectionError(f"clip {clip_id!r} is shorter than one patch of the model; choose another")
    events = _events(events_path, store, clips, names)
    source = made_from(
        model,
        store,
        model_path=model_path,
        clips=clips,
        clip_ids=names,
        is_named=bool(clip_ids),
        where=where,
        events_path=events_path,
        num_events=sum(len(events.get(clip_id, ())) for clip_id in names),
    )
    earlier = earlier_pictures(folder / "table.json", experiment=NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be written ({error.strerror or error})") from error
    scorer = patch_scorer(model, device=device)
    rows: list[Row] = []
    paths: list[Path] = []
    with FrameReader(store) as reader:
        for clip, clip_id in zip(clips, names, strict=True):
            frames = reader.read_clip(int(clip))
            patches = cut_patches(frames, front_end=front_end)
            scores = scorer.calibrated(scorer(patches))
            stem = _file_name(clip_id)
            drawn = _drawn(events, clip_id, model, store)
            for suffix in ("pdf", "png"):
                paths.append(folder / f"{stem}.{suffix}")
                plot_timeline(
                    paths[-1],
                    frames=frames,
                    front_end=front_end,
                    times_seconds=np.arange(len(patches)) * front_end.patch_hop_seconds,
                    scores=scores,
                    names=model.label_set.names,
                    title=clip_id,
                    top=labels,
                    true_events=drawn,
                    events_below=True,
                    width_inches=PRINT_WIDTH_INCHES,
                )
            given = {store.label_set.ids[label] for label in store.label_pairs(np.array([clip]))[1]}
            rows += _rows(
                clip_id,
                scores,
                model,
                given=given,
                sounding=[event.label_name for event in drawn],
                labels=labels,
                front_end=front_end,
            )
    table = Table(
        title=f"What is heard when: {_which(labels, model)}, as in figure 3 of Hershey et al. 2017",
        columns=(
            Column(name="clip_id", title="clip"),
            Column(name="rank", title="rank"),
            Column(name="label", title="label"),
            Column(name="peak", title="peak", shown=three_decimals),
            Column(name="peak_seconds", title="at (s)", shown=lambda seconds: f"{seconds:.1f}"),
            Column(name="is_given", title="label of the clip", shown=_yes),
            *((Column(name="is_true", title="truly sounds", shown=_yes),) if events_path is not None else ()),
        ),
        rows=rows,
        findings=(),
        notes=(
            "Peaks are the highest score of a patch, at the middle of that patch; patches begin every "
            f"{front_end.patch_hop_seconds:g} s.",
            *((_BELOW,) if events_path is not None else ()),
            *source.notes,
        ),
        facts={
            "experiment": NAME,
            "patch_hop_frames": hop_frames,
            **source.facts,
            "pictures": [path.name for path in paths],
        },
    )
    written = write_table(table, folder)
    remove_pictures(folder, earlier - {path.name for path in paths})
    return Pictures(table=table, paths=(*written, *paths))


def _which(labels: int, model: AnyModel) -> str:
    """What is drawn, in words."""
    number = len(model.label_set)
    if min(labels, number) == 1:
        return "the label with the highest peak"
    return f"the {labels} labels with the highest peaks" if labels < number else f"all {number} labels by peak"


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _events(
    path: Path | None, store: Store, clips: npt.NDArray[np.int64], clip_ids: Sequence[str]
) -> Mapping[str, Sequence[TrueEvent]]:
    if path is None:
        return {}
    events = read_events(path)
    seconds = store.clips["num_samples"].take(clips).to_numpy() / store.front_end.sample_rate_hz
    check_ends(path, events, clip_ids, seconds)
    return events


def _file_name(clip_id: str) -> str:
    """Of its pictures: its id, and where that cannot be a name, what tells it from others."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in clip_id)[:100]
    return name if name == clip_id else f"{name}-{hashlib.sha256(clip_id.encode()).hexdigest()[:8]}"


def _named(store: Store, clip_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    place_of = {clip_id: place for place, clip_id in enumerate(store.read_clips(["clip_id"])["clip_id"].to_pylist())}
    missing = [clip_id for clip_id in clip_ids if clip_id not in place_of]
    if missing:
        raise SelectionError(
            f"{store.folder}: no clip {missing[0]!r}; its first is {next(iter(place_of), None)!r} (failed clips are in "
            "failures.csv there)"
        )
    return np.array([place_of[clip_id] for clip_id in clip_ids], np.int64)


def _many_labels(store: Store, where: str | None, number: int) -> npt.NDArray[np.int64]:
    """Those with the most labels, of equal ones the first."""
    clips = store.select(where, option="--test-where")
    seconds = store.frames_per_clip[clips] * store.front_end.frame_seconds
    fits = clips[(seconds >= _SHORTEST_SECONDS) & (seconds <= _LONGEST_SECONDS)]
    if not len(fits):
        raise SelectionError(
            f"{store.folder}: none of the {len(clips):,} clips to choose from has {_SHORTEST_SECONDS:g} to "
            f"{_LONGEST_SECONDS:g} seconds; name some by --clips"
        )
    counts = np.diff(store.label_offsets)[fits]
    chosen: npt.NDArray[np.int64] = fits[np.argsort(-counts, kind="stable")[:number]]
    return chosen


def _drawn(events: Mapping[str, Sequence[TrueEvent]], clip_id: str, model: AnyModel, store: Store) -> list[DrawnEvent]:
    """By the names that the model has for labels, or else the store."""
    drawn = []
    for event in events.get(clip_id, ()):
        name = event.label
        for label_set in (store.label_set, model.label_set):
            if event.label in label_set.index_of:
                name = label_set.names[label_set.index_of[event.label]]
        drawn.append(DrawnEvent(label_name=name, start_seconds=event.start_seconds, stop_seconds=event.stop_seconds))
    return drawn


def _rows(
    clip_id: str,
    scores: npt.NDArray[np.float32],
    model: AnyModel,
    *,
    given: set[str],
    sounding: Sequence[str],
    labels: int,
    front_end: FrontEnd,
) -> list[Row]:
    """Those of the picture, in its order; `sounding` are the names of labels that have events."""
    names = model.label_set.names
    rows = []
    for rank, label in enumerate(np.argsort(-scores.max(axis=0), kind="stable").tolist(), start=1):
        if rank > labels and names[label] not in sounding:
            continue
        start_seconds = float(scores[:, label].argmax() * front_end.patch_hop_seconds)
        values: dict[str, Any] = {
            "clip_id": clip_id,
            "rank": rank,
            "label": names[label],
            "peak": float(scores[:, label].max()),
            "peak_seconds": start_seconds + front_end.patch_seconds / 2,
            "is_given": model.label_set.ids[label] in given,
            "is_true": names[label] in sounding,
        }
        rows.append(Row(values=values, cell=None, label=f"{clip_id}, {names[label]}"))
    for name in dict.fromkeys(name for name in sounding if name not in names):
        values = {"clip_id": clip_id, "label": name, "is_true": True}
        remark = "not among the model's labels"
        rows.append(Row(values=values, cell=None, label=f"{clip_id}, {name}", remark=remark))
    return rows
