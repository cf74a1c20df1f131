"""One clip under examination; what the worker processes of an inspection run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from earwitness.audio.frames import media_frames
from earwitness.audio.source import Source
from earwitness.audio.transient import trying_again
from earwitness.doctor.band_edge import BandEdge, find_edge, upper_hz
from earwitness.doctor.frames import FrameMeasures, FrameMeter, band_middles_hz
from earwitness.doctor.sound import SoundMeasures, SoundMeter
from earwitness.front_end import FrontEnd
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

READ_FRAMES = 16_384
"""Frames of a stored clip read at a time: 2 MiB."""


@dataclass(frozen=True, kw_only=True)
class MediaTask:
    """One row of a manifest, to be decoded."""

    row: int
    source: Source
    start_seconds: float | None
    stop_seconds: float | None
    front_end: FrontEnd


@dataclass(frozen=True, kw_only=True)
class StoredTask:
    """Clips of a store, to be read."""

    folder: str
    clips: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ClipMeasures:
    """What was measured of a clip."""

    row: int
    """Of the manifest, or number in the store."""
    seconds: float
    """Decoded, padding not counted."""
    is_padded: bool
    frames: FrameMeasures
    sound: SoundMeasures | None
    """None where frames were read from a store, or where time passed without sound."""
    warnings: tuple[str, ...]
    media_rate_hz: int | None
    edge: BandEdge | None
    upper_hz: float | None
    """Highest frequency within 60 dB of the loudest, among those seen."""


def examine_media(task: MediaTask) -> ClipMeasures:
    """Decode and measure a clip; disks and networks that fail are asked again, as they are when a store is built.

    Raises:
        MediaError: it gives no sound.
    """
    return trying_again(lambda: _examine(task))


def _examine(task: MediaTask) -> ClipMeasures:
    frames = FrameMeter(task.front_end)
    sound = SoundMeter(start_seconds=task.start_seconds, stop_seconds=task.stop_seconds)
    with media_frames(
        task.source,
        front_end=task.front_end,
        start_seconds=task.start_seconds,
        stop_seconds=task.stop_seconds,
        listener=sound.listen,
    ) as stream:
        for block in stream:
            frames.push(block)
        measured = sound.result()
        return ClipMeasures(
            row=task.row,
            seconds=stream.num_samples / task.front_end.sample_rate_hz,
            is_padded=stream.is_padded,
            frames=frames.result(),
            sound=measured,
            warnings=stream.warnings,
            media_rate_hz=stream.info.sample_rate_hz,
            edge=find_edge(measured.spectrum, measured.spectrum_hz, moments=measured.moments) if measured else None,
            upper_hz=upper_hz(measured.spectrum, measured.spectrum_hz) if measured else None,
        )


def examine_stored(task: StoredTask) -> list[ClipMeasures]:
    """Read and measure clips of a store.

    Raises:
        StoreError: a part is missing or damaged.
    """
    store = _opened(task.folder)
    rows = store.clips.take(np.asarray(task.clips))
    columns = ["num_samples", "is_padded", "warnings", "media_sample_rate_hz"]
    with FrameReader(store) as reader:
        return [
            _stored_clip(reader, clip, row)
            for clip, row in zip(task.clips, rows.select(columns).to_pylist(), strict=True)
        ]


def stored_tasks(folder: str, clips: Sequence[int], *, clips_per_task: int) -> list[StoredTask]:
    """The clips in tasks of some hundred, because a task costs as much as a clip."""
    starts = range(0, len(clips), clips_per_task)
    return [StoredTask(folder=folder, clips=tuple(clips[start : start + clips_per_task])) for start in starts]


def _stored_clip(reader: FrameReader, clip: int, row: dict[str, Any]) -> ClipMeasures:
    front_end = reader.store.front_end
    meter = FrameMeter(front_end)
    num_frames = int(reader.store.frames_per_clip[clip])
    for first in range(0, num_frames, READ_FRAMES):
        meter.push(reader.read_clip(clip, first_frame=first, num_frames=min(READ_FRAMES, num_frames - first)))
    frames = meter.result()
    hz = band_middles_hz(front_end)
    return ClipMeasures(
        row=clip,
        seconds=row["num_samples"] / front_end.sample_rate_hz,
        is_padded=row["is_padded"],
        frames=frames,
        sound=None,
        warnings=tuple(row["warnings"]),
        media_rate_hz=row["media_sample_rate_hz"],
        edge=find_edge(frames.band_powers, hz, moments=frames.moments),
        upper_hz=upper_hz(frames.band_powers, hz),
    )


@lru_cache(maxsize=1)
def _opened(folder: str) -> Store:
    return Store.open(folder)
