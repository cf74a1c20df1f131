"""Stores made in a test: their sounds and manifests, an engine without worker processes, and all that can be read."""

import os
import shutil
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.io.wavfile

from earwitness.errors import MediaError
from earwitness.manifest import Manifest
from earwitness.parallel import Failure
from earwitness.store.build import build_store
from earwitness.store.decode import ClipTask, decode_clip
from earwitness.store.part_jobs import PartJob, counts_of
from earwitness.store.parts import PARTS_FOLDER, PartCounts, copy_raw_frames
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader
from earwitness.store.settings import BuildSettings, DecodeSettings
from earwitness.store.verify import verify_store

RATE_HZ = 16_000
SETTINGS = BuildSettings(workers=1, clips_per_part=3)


def here(jobs: Iterable[PartJob], spool_folder: Path, settings: DecodeSettings) -> Generator[PartCounts, None, None]:
    """An engine without worker processes: part after part, clip after clip."""
    spool_folder.mkdir()
    for job in jobs:
        results, rows = {}, job.rows.to_pylist()
        for place in range(len(rows)) if job.places is None else job.places:
            values = {name: rows[place][name] for name in ("media", "start_seconds", "stop_seconds")}
            path = str(spool_folder / str(place))
            try:
                results[place] = decode_clip(
                    ClipTask(part=job.part, place=place, spool_path=path, front_end=job.front_end, **values)
                )
            except MediaError as error:
                results[place] = Failure(error.kind, str(error))
            yield counts_of(results[place])
        job.commit(results, lambda place, append: copy_raw_frames(spool_folder / str(place), append))


def write_sounds(folder: Path) -> Path:
    """Twelve sounds of 1 to 2.1 seconds, `0.wav` to `11.wav`."""
    rng = np.random.default_rng(0)
    for number in range(12):
        samples = rng.standard_normal(RATE_HZ + number * 1_600) * 3_000
        scipy.io.wavfile.write(folder / f"{number}.wav", RATE_HZ, samples.astype(np.int16))
    return folder


def manifest_of(folder: Path, numbers: Iterable[int], *, source: str = "clips.csv", **columns: object) -> Manifest:
    numbers = list(numbers)
    table = pa.table(
        {
            "clip_id": [f"clip {number}" for number in numbers],
            "media": [str(folder / f"{number}.wav") for number in numbers],
            "labels": [["noise", f"n{number % 3}"] for number in numbers],
            "fold": [number % 4 for number in numbers],
            **columns,
        }
    )
    return Manifest.from_table(table, source=source)


def build(manifest: Manifest, folder: Path, **settings: object) -> Path:
    build_store(manifest, folder, settings=BuildSettings(**{**vars(SETTINGS), **settings}), engine=here)
    return folder


def content(folder: Path, *, but_for: tuple[str, ...] = ()) -> dict[str, object]:
    """All that can be read of a store, which must be whole, files at the folder's top that are named excepted."""
    report = verify_store(folder)
    others = [other for other in report.others if not other.startswith(tuple(str(folder / name) for name in but_for))]
    assert replace(report, others=tuple(others)).is_whole, report
    store = Store.open(folder)
    with FrameReader(store) as reader:
        frames = [reader.read_clip(clip).tobytes() for clip in range(store.num_clips)]
    return {
        "clips": store.clips.to_pylist(),
        "frames": frames,
        "failures": store.failures().to_pylist(),
        "labels": store.label_set.ids,
        "targets": store.targets(np.arange(store.num_clips)).tolist(),
        "fingerprint": store.fingerprint,
        "totals": store.totals,
    }


def files(folder: Path, *, data_folder: str = ".") -> dict[str, bytes]:
    """The files of the parts."""
    return {path.name: path.read_bytes() for path in sorted((folder / data_folder / PARTS_FOLDER).iterdir())}


def moments(folder: Path, change: Callable[[], object], tmp_path: Path, monkeypatch) -> list[Path]:
    """Make a change, and give what the folder was at some syncs on the way, others each time; with
    EARWITNESS_ALL_MOMENTS set, at each.
    """
    copies: list[Path] = []
    sync = os.fsync
    step = 1 if "EARWITNESS_ALL_MOMENTS" in os.environ else 7
    offset = int.from_bytes(os.urandom(4)) % step

    def sync_and_copy(descriptor: int) -> None:
        sync(descriptor)
        copies.append(tmp_path / f"moment {len(copies)}" / folder.name)
        if (len(copies) + offset) % step == 0:
            shutil.copytree(folder, copies[-1])

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync_and_copy)
        change()
    return [copy for copy in copies if copy.exists()]


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
