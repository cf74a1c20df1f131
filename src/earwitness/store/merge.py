"""Stores made of stores: several merged into a new one, or one written again without what it no longer needs.

Rows are copied in order, store after store, those that were dropped left out; frames are held against their checksums
on the way. The merged store is the one that `prepare` would build from the joined manifests, byte for byte where one
and the same version decoded.

Label sets are joined in order: the labels of the first store, then those of the second that the first has not, and so
on. Columns that a manifest lacks become null.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import StoreError
from earwitness.labels import LabelSet
from earwitness.parallel import Failure
from earwitness.places import Place, listing, place, remove_folder
from earwitness.store.claim import claimed, existing_header
from earwitness.store.complete import BuildSummary, finish_store, held_store, summary
from earwitness.store.decoded import DecodedClip
from earwitness.store.files import new_digest, write_error
from earwitness.store.header import StoreHeader, digest_table, read_header, write_header
from earwitness.store.index import INDEX_FOLDER
from earwitness.store.kept_manifest import FILE_NAME as MANIFEST_FILE
from earwitness.store.kept_manifest import keep_manifest
from earwitness.store.part_jobs import Result
from earwitness.store.parts import (
    PARTS_FOLDER,
    Append,
    committed_counts,
    frame_pieces,
    frames_path,
    manifest_columns,
    read_rows,
    remove_rows,
    write_part,
)
from earwitness.table_files import first_line

CopyProgress = Callable[[int, int], None]
"""Called with the number of rows that are done, and of all rows."""


def merge_stores(
    sources: Sequence[str | Place], folder: str | Place, *, progress: CopyProgress | None = None
) -> BuildSummary:
    """Make one store of several, which stay as they are; goes on where an interrupted merge of the same stores was.

    Args:
        sources: finished stores, in the order their clips are to have.
        folder: the new store; must be empty or hold this merge.
        progress: called after every part.

    Raises:
        StoreError: a source is unfinished, damaged, or of another front end than the first; two of them hold the same
            clip; their columns cannot be joined; or `folder` holds something else or cannot be written.
    """
    folder = place(folder)
    headers = [_finished(place(source)) for source in sources]
    for source, header in zip(sources, headers, strict=True):
        if header.front_end.identity != headers[0].front_end.identity:
            differences = headers[0].front_end.differences(header.front_end)
            raise StoreError(f"{source}: its front end is not that of {sources[0]} (there / here): {differences}")
    data_folders = [place(source) / header.data_folder for source, header in zip(sources, headers, strict=True)]
    table, stores = _joined(data_folders, headers)
    _refuse_twice(table, stores, sources)
    wanted = StoreHeader(
        front_end=headers[0].front_end,
        label_set=_joined_labels([header.label_set for header in headers]),
        manifest_digest=digest_table(table),
        manifest_source=" + ".join(header.manifest_source for header in headers),
        num_rows=table.num_rows,
        clips_per_part=headers[0].clips_per_part,
        built_with=tuple(_unique(itertools.chain.from_iterable(header.built_with for header in headers))),
        merged_from=tuple(header.fingerprint or "" for header in headers),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with claimed(folder):
            found = existing_header(folder)
            if found and replace(found, totals=None, fingerprint=None) != wanted:
                raise StoreError(
                    f"{folder}: holds another store, or the merge of these stores as they were before they changed; "
                    "choose another folder, or remove this one"
                )
            if found and found.is_finished:
                return summary(found)
            write_header(folder, wanted)
            keep_manifest(folder, wanted, table)
            num_resumed = _copy(data_folders, headers, folder, wanted, table, progress)
            if [read_header(place(source)).fingerprint for source in sources] != list(wanted.merged_from):
                raise StoreError(f"{folder}: one of the stores has changed while they were merged; remove this folder")
            return summary(finish_store(folder, wanted), num_resumed_parts=num_resumed)
    except OSError as error:
        raise write_error(folder, error) from error


def compact_store(
    folder: str | Place, *, clips_per_part: int | None = None, progress: CopyProgress | None = None
) -> BuildSummary:
    """Write a store again, beside itself, without the clips that were dropped and without frames that no clip names,
    in parts of even size; then put the new one in the old one's place. An interrupted one begins anew.

    Args:
        folder: the store.
        clips_per_part: of the new parts; None: as before.
        progress: called after every part.

    Raises:
        StoreError: there is no such store, it is damaged, nothing of it is left, another process holds it, or it
            cannot be written.
    """
    folder = place(folder)
    with held_store(folder) as header:
        _remove_other_data(folder, header)
        table, _ = _joined([folder / header.data_folder], [header])
        if not table.num_rows:
            raise StoreError(f"{folder}: every clip of it was dropped; remove the folder")
        number = int(re.sub(r"\D", "", header.data_folder) or 0) + 1
        compacted = replace(
            header,
            manifest_digest=digest_table(table),
            num_rows=table.num_rows,
            clips_per_part=clips_per_part or header.clips_per_part,
            appended=(),
            data_folder=f"compacted-{number}",
        )
        (folder / compacted.data_folder).mkdir()
        keep_manifest(folder, compacted, table)
        _copy([folder / header.data_folder], [header], folder, compacted, table, progress)
        compacted = finish_store(folder, compacted)  # its header is the change
        _remove_other_data(folder, compacted)
        return summary(compacted)


def _remove_other_data(folder: Place, header: StoreHeader) -> None:
    """Remove what compacting has left behind, or left unfinished."""
    for name in listing(folder):
        if name.startswith("compacted-") and name != header.data_folder:
            remove_folder(folder / name)
    if header.data_folder != ".":
        for name in (PARTS_FOLDER, INDEX_FOLDER):
            remove_folder(folder / name)
        (folder / MANIFEST_FILE).unlink(missing_ok=True)


def _finished(source: Place) -> StoreHeader:
    header = read_header(source)
    if not header.is_finished:
        raise StoreError(f"{source}: the store is unfinished; finish it first, by the command that began it")
    return header


def _left(data_folder: Place, part: int) -> pa.Table:
    """The rows of a part that were not dropped."""
    rows = read_rows(data_folder, part)
    return rows.filter(pc.fill_null(pc.not_equal(rows["failure_kind"], "dropped"), True))


def _joined(data_folders: Sequence[Place], headers: Sequence[StoreHeader]) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """The manifest of all stores together, and for each row the number of its store."""
    tables, stores = [], []
    for number, (data_folder, header) in enumerate(zip(data_folders, headers, strict=True)):
        for part in range(header.num_parts):
            tables.append(manifest_columns(_left(data_folder, part)))
            stores.append(np.full(tables[-1].num_rows, number, np.int64))
    try:
        return pa.concat_tables(tables, promote_options="permissive"), np.concatenate(stores)
    except pa.ArrowException as error:
        raise StoreError(f"the columns of the stores cannot be joined ({first_line(error)})") from error


def _joined_labels(label_sets: Sequence[LabelSet]) -> LabelSet:
    names: dict[str, str] = {}
    for label_set in label_sets:
        for label_id, name in zip(label_set.ids, label_set.names, strict=True):
            names.setdefault(label_id, name)
    return LabelSet(tuple(names), tuple(names.values()))


def _refuse_twice(table: pa.Table, stores: npt.NDArray[np.int64], sources: Sequence[str | Place]) -> None:
    clips = pa.table({"clip_id": table["clip_id"], "store": stores})
    counts = clips.group_by("clip_id").aggregate([("store", "min"), ("store", "max"), ("store", "count")])
    twice = counts.filter(pc.greater(counts["store_count"], 1))
    if twice.num_rows:
        first = twice.slice(0, 1).to_pylist()[0]
        raise StoreError(
            f"{twice.num_rows} clips are in more than one store, such as {first['clip_id']!r} in "
            f"{sources[first['store_min']]} and {sources[first['store_max']]}; `earwitness store drop` takes them "
            "out of one"
        )


def _unique(items: Iterator[Any]) -> list[Any]:
    found: list[Any] = []
    return [item for item in items if item not in found and not found.append(item)]  # type: ignore[func-returns-value]


def _copy(
    data_folders: Sequence[Place],
    headers: Sequence[StoreHeader],
    folder: Place,
    target: StoreHeader,
    table: pa.Table,
    progress: CopyProgress | None,
) -> int:
    """Make the parts of a store from the rows of others; gives the number of those that were there already."""
    data_folder, num_bands = folder / target.data_folder, target.front_end.num_bands
    (data_folder / PARTS_FOLDER).mkdir(exist_ok=True)
    clips = _clips(data_folders, headers)
    num_resumed = 0
    for part, rows in enumerate(target.part_rows):
        copied = list(itertools.islice(clips, len(rows)))
        if committed_counts(data_folder, part, num_rows=len(rows), num_bands=num_bands):
            num_resumed += 1
        else:
            remove_rows(data_folder, part)
            part_rows = table.slice(rows.start, len(rows))
            indices = [target.label_set.indices(labels) for labels in part_rows["labels"].to_pylist()]
            _write_copy(data_folder, part, part_rows, indices, copied, num_bands)
        if progress:
            progress(rows.stop, target.num_rows)
    return num_resumed


@dataclass(frozen=True)
class _Copied:
    """A clip to copy, and where its frames are."""

    clip_id: str
    result: Result
    path: Place
    first_frame: int


def _clips(data_folders: Sequence[Place], headers: Sequence[StoreHeader]) -> Iterator[_Copied]:
    names = [field.name for field in fields(DecodedClip)]
    for data_folder, header in zip(data_folders, headers, strict=True):
        for part in range(header.num_parts):
            for row in _left(data_folder, part).to_pylist():
                if row["failure_kind"] is not None:
                    result: Result = Failure(row["failure_kind"], row["failure_reason"])
                else:
                    result = DecodedClip(**{name: row[name] for name in names})
                yield _Copied(row["clip_id"], result, frames_path(data_folder, part), row["first_frame"] or 0)


def _write_copy(
    data_folder: Place,
    part: int,
    rows: pa.Table,
    label_indices: list[list[int]],
    copied: list[_Copied],
    num_bands: int,
) -> None:
    results = [clip.result for clip in copied]

    def append_frames(place: int, append: Append) -> None:
        clip, result, digest = copied[place], results[place], new_digest()
        assert isinstance(result, DecodedClip)
        for piece in frame_pieces(clip.path, clip.first_frame, result.num_frames, num_bands):
            digest.update(piece)
            append(piece)
        if result.frames_digest not in (None, digest.hexdigest()):
            raise StoreError(
                f"{clip.path}: damaged, the frames of clip {clip.clip_id!r} are not those that were stored; "
                "`earwitness store verify --repair` marks them"
            )
        results[place] = replace(result, frames_digest=digest.hexdigest())

    write_part(
        data_folder,
        part,
        rows=rows,
        label_indices=label_indices,
        results=results,
        append_frames=append_frames,
        num_bands=num_bands,
    )
