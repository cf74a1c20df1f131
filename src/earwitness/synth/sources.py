"""The clips that soundtracks are composed of: where each truly sounds, and which may be heard together.

**Where a clip sounds.** Clips are often padded with silence, or silent between two barks. A window of 10 ms sounds if
it is no more than 40 dB below the loudest of its clip; gaps of up to 0.5 s belong to the sound around them.

**Parts.** Clips of one fold are dealt to some parts, whole groups (recordings) at a time, so that the labels are spread
over the parts. A soundtrack takes all of its clips from one part: no clip is ever on two sides of a split by folds, nor
by parts.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.audio.decode import read_waveform
from earwitness.audio.source import media_source
from earwitness.errors import CorpusError, ManifestError
from earwitness.files import replacing
from earwitness.manifest import Manifest
from earwitness.parallel import run_tasks
from earwitness.synth.signals import SAMPLE_RATE_HZ

WINDOW_SECONDS = 0.01
QUIET_DB = 40.0
"""Below the loudest window."""
SILENT_RMS = 1e-4
"""A clip whose loudest window is below this is silent."""
CLOSED_GAP_SECONDS = 0.5

SOURCES_FILE = "sources.json"
NUM_FOLDS = 5
"""Where the manifest has no folds."""
_MOST_PARTS, _GROUPS_OF_PART = 4, 10
_TIMEOUT_SECONDS = 600.0

Span = tuple[float, float]


@dataclass(frozen=True)
class Source:
    """A clip to be placed in soundtracks."""

    clip_id: str
    media: str
    start_seconds: float | None
    stop_seconds: float | None
    first_byte: int | None
    num_bytes: int | None
    labels: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    """Where it sounds, in its own time; at least one."""

    @property
    def begin(self) -> float:
        """Where it begins to sound."""
        return self.spans[0][0]

    @property
    def end(self) -> float:
        """Where it has sounded."""
        return self.spans[-1][1]

    def read(self) -> npt.NDArray[np.float32]:
        """Its sound [samples] at `SAMPLE_RATE_HZ`."""
        source = media_source(self.media, self.first_byte, self.num_bytes)
        return read_waveform(
            source, sample_rate_hz=SAMPLE_RATE_HZ, start_seconds=self.start_seconds, stop_seconds=self.stop_seconds
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """Clips that may be heard together."""

    fold: int
    name: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """All clips, by part."""

    parts: tuple[Part, ...]
    """Fold by fold in turn."""
    num_clips: int
    left_out: tuple[tuple[str, str], ...]
    """Clips that could not be read, are silent or have no label, and why."""


def sounding_spans(waveform: npt.NDArray[np.float32], *, sample_rate_hz: int) -> tuple[Span, ...]:
    """Where a clip sounds, from start to stop in seconds; empty where it is silent."""
    window = round(WINDOW_SECONDS * sample_rate_hz)
    padded = np.pad(waveform.astype(np.float64), (0, -len(waveform) % window))
    rms = np.sqrt(np.mean(padded.reshape(-1, window) ** 2, axis=1))
    if not len(rms) or rms.max() < SILENT_RMS:
        return ()
    loud = np.flatnonzero(rms >= rms.max() * 10 ** (-QUIET_DB / 20))
    breaks = np.flatnonzero(np.diff(loud) - 1 > round(CLOSED_GAP_SECONDS / WINDOW_SECONDS))
    firsts, lasts = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]]
    end = len(waveform) / sample_rate_hz
    return tuple(
        (round(first * WINDOW_SECONDS, 3), round(min((last + 1) * WINDOW_SECONDS, end), 3))
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    )


def read_sources(
    manifest: Manifest, *, seed: int, workers: int, on_clips: Callable[[int, int], None] | None = None
) -> Sources:
    """Listen to all clips of a manifest and deal them to parts.

    Args:
        manifest: its columns `fold` and `group` are heeded, where it has them.
        seed: decides what is dealt where.
        workers: processes at work.
        on_clips: told how many clips are done, and of how many.

    Raises:
        ManifestError: no clip has sound and a label.
    """
    rows = _rows(manifest)
    heard: dict[str, Source] = {}
    left_out = [(source.clip_id, "no label") for source, _, _ in rows if not source.labels]
    tasks = [source for source, _, _ in rows if source.labels]
    outcomes = run_tasks(_listen, tasks, workers=workers, timeout_seconds=_TIMEOUT_SECONDS)
    for done, outcome in enumerate(outcomes, start=1):
        if outcome.value:
            heard[outcome.task.clip_id] = Source(**{**vars(outcome.task), "spans": outcome.value})
        else:
            left_out.append((outcome.task.clip_id, outcome.failure.message if outcome.failure else "silent"))
        if on_clips is not None:
            on_clips(done, len(tasks))
    if not heard:
        why = f"; {left_out[0][0]!r}: {left_out[0][1]}" if left_out else ""
        raise ManifestError(f"{manifest.source}: none of its {len(rows):,} clips has sound and a label{why}")
    kept = [(heard[source.clip_id], fold, group) for source, fold, group in rows if source.clip_id in heard]
    return Sources(parts=tuple(_deal(kept, seed)), num_clips=len(kept), left_out=tuple(sorted(left_out)))


def digest_of(manifest: Manifest) -> str:
    """Of what decides the soundtracks: where the clips lie does not."""
    names = ["clip_id", "start_seconds", "stop_seconds", "labels", "fold", "group"]
    rows = manifest.table.select([name for name in names if name in manifest.table.column_names]).to_pylist()
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()[:32]


def require_same_sources(folder: Path, sources: Sources) -> None:
    """Refuse clips that sound elsewhere, or can be used or not, other than when the corpus in `folder` was begun.

    Which clips a soundtrack takes, and when they sound, follows from all of them: soundtracks made before would not be
    what the tables say. `FOLDER/sources.json` keeps where each clip sounds.

    Raises:
        CorpusError: they differ, or the file is damaged.
    """
    path = folder / SOURCES_FILE
    now = {source.clip_id: source.spans for part in sources.parts for source in part.sources}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["spans"] if path.exists() else None
        then = {clip: tuple((start, stop) for start, stop in spans) for clip, spans in (found or now).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: damaged ({error}); choose another folder") from error
    if then != now:
        clip_id = min(clip_id for clip_id in then.keys() | now.keys() if then.get(clip_id) != now.get(clip_id))
        what = "sounds at other times" if clip_id in then and clip_id in now else "could not be used"
        when = "now" if clip_id in then else "when the corpus was begun"
        raise CorpusError(
            f"{folder}: was begun with other clips: {clip_id!r} {what} {when}. Bring back the clips as they were, or "
            "choose another folder"
        )
    if found is None:
        with replacing(path) as file:
            file.write(json.dumps({"schema_version": 1, "spans": now}).encode())


def _listen(source: Source) -> tuple[Span, ...]:
    return sounding_spans(source.read(), sample_rate_hz=SAMPLE_RATE_HZ)


def _rows(manifest: Manifest) -> list[tuple[Source, int | None, str]]:
    """Clips with their fold and group; without one, the group is the media."""
    table = manifest.table
    has_folds = "fold" in table.column_names and pa.types.is_integer(table.schema.field("fold").type)
    names = ["clip_id", "media", "start_seconds", "stop_seconds", "labels"]
    names += [name for name in ("group", "media_offset_bytes", "media_num_bytes") if name in table.column_names]
    rows = []
    for row in table.select([*names, *(["fold"] if has_folds else [])]).to_pylist():
        source = Source(
            row["clip_id"],
            row["media"],
            row["start_seconds"],
            row["stop_seconds"],
            row.get("media_offset_bytes"),
            row.get("media_num_bytes"),
            tuple(dict.fromkeys(row["labels"])),
        )
        group = row.get("group")
        name = f"group {group}" if group not in (None, "") else f"media {row['media']} {source.first_byte}"
        rows.append((source, row.get("fold"), name))
    return rows


def _deal(rows: Sequence[tuple[Source, int | None, str]], seed: int) -> list[Part]:
    """Groups to folds, where they have none, and to the parts of their fold; label by label, in an order by chance."""
    rng = np.random.default_rng(seed)
    by_group: dict[str, list[tuple[Source, int | None]]] = defaultdict(list)
    for source, fold, group in rows:
        by_group[f"{fold} {group}"].append((source, fold))  # what is in two folds already is not brought together
    names = sorted(by_group)
    order = sorted(rng.permutation(len(names)).tolist(), key=lambda i: by_group[names[i]][0][0].labels[0])
    by_fold: dict[int, list[list[Source]]] = defaultdict(list)
    for place, number in enumerate(order):
        clips = by_group[names[number]]
        fold = clips[0][1]
        by_fold[fold if fold is not None else place % NUM_FOLDS + 1].append([source for source, _ in clips])
    parts: list[Part] = []
    for fold, groups in sorted(by_fold.items()):
        num_parts = max(1, min(_MOST_PARTS, len(groups) // _GROUPS_OF_PART))
        for part in range(num_parts):
            parts.append(
                Part(
                    fold=fold,
                    name=f"fold-{fold}-part-{part + 1}",
                    sources=tuple(source for group in groups[part::num_parts] for source in group),
                )
            )
    return sorted(parts, key=lambda part: (int(part.name.rpartition("-")[2]), part.fold))
