"""Whether a store is what was once written: rows, frames, manifest and index, held against checksums and each other.

Frames carry a checksum a clip, in the rows; the rows lie in Parquet, whose pages carry checksums; manifest and rows
must say the same; index, list of failures, totals and fingerprint must follow from the rows; the rest of `store.json`
carries a checksum of its own. A bit that changes nothing of what is read from a Parquet file is not looked for.

Repairing marks, it does not decode: clips whose frames are damaged become failures of the kind `damaged`, which
`prepare --retry-failures` tries again; a part whose rows are lost is taken out, and `prepare` makes it anew.
"""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from earwitness.errors import StoreError
from earwitness.parallel import Failure
from earwitness.places import Place, place
from earwitness.store.complete import begin_change, finish_store, held_store, write_what_follows
from earwitness.store.files import new_digest
from earwitness.store.header import FILE_NAME as HEADER_FILE
from earwitness.store.header import StoreHeader, changed_in_header, digest_table, read_header
from earwitness.store.index import INDEX_FOLDER
from earwitness.store.kept_manifest import FILE_NAME as MANIFEST_FILE
from earwitness.store.kept_manifest import keep_manifest, kept_manifest
from earwitness.store.parts import (
    FAILURES_FILE,
    change_part,
    frame_pieces,
    frames_path,
    manifest_columns,
    read_rows,
    remove_rows,
    rows_path,
)
from earwitness.store.tables import read_parquet

_CHECKSUM = "checksum"


@dataclass(frozen=True, kw_only=True)
class PartFault:
    """What is wrong with a part."""

    part: int
    path: str
    num_rows: int
    clips: tuple[str, ...]
    """Clips whose frames are damaged; empty where the rows themselves are lost."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What was found."""

    num_parts: int
    num_clips: int
    """Clips whose frames were read."""
    num_without_checksum: int
    """Of these, clips stored by an earlier version, of which only the place could be checked."""
    parts: tuple[PartFault, ...]
    manifest: str
    """Where the store keeps its manifest."""
    is_manifest_lost: bool
    is_header_lost: bool
    """What `store.json` was given, such as labels and front end, has changed since: no part says it a second time."""
    others: tuple[str, ...]
    """Faults of header, manifest, and what follows from the parts, in sentences."""

    @property
    def are_rows_lost(self) -> bool:
        """Whether a part must be made again whole, its rows among it."""
        return any(not fault.clips for fault in self.parts)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.parts and not self.others


def verify_store(
    folder: str | Place, *, repair: bool = False, progress: Callable[[int, int], None] | None = None
) -> VerifyReport:
    """Read all of a finished store and hold it against its checksums.

    Args:
        folder: the store.
        repair: mark what is damaged, so that it can be made again; write manifest, index, list of failures and totals
            again from the parts.
        progress: called with the number of parts that are done, and of all parts.

    Raises:
        StoreError: there is no finished store; or, for a repair, its header is lost, it cannot be written, or another
            process holds it.
    """
    folder = place(folder)
    with held_store(folder) if repair else contextlib.nullcontext(read_header(folder)) as header:
        if not header.is_finished:
            raise StoreError(f"{folder}: the store is unfinished; finish it first, by the command that began it")
        report = _look(folder, header, progress)
        if repair and report.is_header_lost:
            raise StoreError(f"{report.others[0]}; nothing was repaired")
        if repair and not report.is_whole:
            _repair(folder, header, report)
        return report


def _look(folder: Place, header: StoreHeader, progress: Callable[[int, int], None] | None) -> VerifyReport:
    data_folder = folder / header.data_folder
    changed = changed_in_header(folder, header)
    others, faults, num_clips, num_without = _faults_of_header(folder / HEADER_FILE, changed), [], 0, 0
    is_manifest_lost = False
    try:
        manifest = _read_manifest(data_folder / MANIFEST_FILE, header)
    except StoreError as error:
        manifest, is_manifest_lost = None, True
        others.append(str(error))
    for part, rows in enumerate(header.part_rows):
        expected = manifest.slice(rows.start, len(rows)) if manifest is not None else None
        try:
            table = _read_part(data_folder, part, len(rows), expected)
        except StoreError as error:
            path = str(rows_path(data_folder, part))
            faults.append(PartFault(part=part, path=path, num_rows=len(rows), clips=(), reason=str(error)))
        else:
            bad = {}
            for row in table.to_pylist():
                if row["failure_kind"] is None:
                    num_clips += 1
                    num_without += row["frames_digest"] is None
                    if fault := _fault_of_frames(frames_path(data_folder, part), row, header):
                        bad[row["clip_id"]] = fault
            if bad:
                path, reason = str(frames_path(data_folder, part)), next(iter(bad.values()))
                faults.append(PartFault(part=part, path=path, num_rows=len(rows), clips=tuple(bad), reason=reason))
        if progress:
            progress(part + 1, header.num_parts)
    if all(fault.clips for fault in faults):
        others += _faults_of_what_follows(folder, header)
    return VerifyReport(
        manifest=str(data_folder / MANIFEST_FILE),
        is_manifest_lost=is_manifest_lost,
        is_header_lost=_CHECKSUM in changed,
        num_parts=header.num_parts,
        num_clips=num_clips,
        num_without_checksum=num_without,
        parts=tuple(faults),
        others=tuple(others),
    )


def _read_manifest(path: Place, header: StoreHeader) -> pa.Table | None:
    """The manifest that is kept; None where an earlier version kept none."""
    if not path.exists():
        return None
    table = read_parquet(path).slice(0, header.num_rows)
    if digest_table(table) != header.manifest_digest:
        raise StoreError(f"{path}: its rows are not those that the store was made from")
    return table


def _read_part(data_folder: Place, part: int, num_rows: int, manifest: pa.Table | None) -> pa.Table:
    table = read_rows(data_folder, part)
    if table.num_rows != num_rows:
        raise StoreError(f"{rows_path(data_folder, part)}: holds {table.num_rows} rows instead of {num_rows}")
    if manifest is not None and digest_table(manifest_columns(table)) != digest_table(manifest):
        raise StoreError(f"{rows_path(data_folder, part)}: its rows are not those of the manifest")
    return table


def _fault_of_frames(path: Place, row: dict[str, object], header: StoreHeader) -> str:
    digest = new_digest()
    first_frame, num_frames = row["first_frame"], row["num_frames"]
    assert isinstance(first_frame, int)
    assert isinstance(num_frames, int)
    try:
        for piece in frame_pieces(path, first_frame, num_frames, header.front_end.num_bands):
            digest.update(piece)
    except StoreError as error:
        return str(error)
    return "" if row["frames_digest"] in (None, digest.hexdigest()) else f"{path}: frames do not match their checksum"


def _faults_of_header(path: Place, changed: list[str]) -> list[str]:
    if _CHECKSUM in changed:
        return [f"{path}: it was changed since it was written, or is damaged; only a copy of it can mend that"]
    return [f"{path}: {name} is not what was written" for name in changed]


def _faults_of_what_follows(folder: Place, header: StoreHeader) -> list[str]:
    """Make a second time, elsewhere, what is made of the parts, and compare."""
    data_folder, faults = folder / header.data_folder, []
    with tempfile.TemporaryDirectory() as elsewhere:
        again = write_what_follows(header, data_folder, index_to=Path(elsewhere), failures_to=Path(elsewhere))
        made = [FAILURES_FILE, *(f"{INDEX_FOLDER}/{path.name}" for path in (Path(elsewhere) / INDEX_FOLDER).iterdir())]
        for name in sorted(made):
            there = (folder if name == FAILURES_FILE else data_folder) / name
            if not there.exists() or there.read_bytes() != (Path(elsewhere) / name).read_bytes():
                faults.append(f"{there}: not what follows from the parts")
    if again.fingerprint != header.fingerprint:
        faults.append(f"the fingerprint of the parts is {again.fingerprint}, store.json says {header.fingerprint}")
    if again.totals != header.totals:
        faults.append(f"the totals of the parts are {again.totals}, store.json says {header.totals}")
    return faults


def _repair(folder: Place, header: StoreHeader, report: VerifyReport) -> None:
    data_folder = folder / header.data_folder
    header = begin_change(folder, header)
    if report.is_manifest_lost:
        (data_folder / MANIFEST_FILE).unlink(missing_ok=True)
    for fault in report.parts:
        if fault.clips:
            clip_ids = read_rows(data_folder, fault.part, ["clip_id"])["clip_id"].to_pylist()
            failure = Failure("damaged", "its frames in the store were damaged")
            results = {place: failure for place, clip_id in enumerate(clip_ids) if clip_id in fault.clips}
            change_part(data_folder, fault.part, results, num_bands=header.front_end.num_bands)
        else:
            remove_rows(data_folder, fault.part)
    if not report.are_rows_lost:
        table = kept_manifest(folder, header)
        assert table is not None
        keep_manifest(folder, header, table)
        finish_store(folder, header)
