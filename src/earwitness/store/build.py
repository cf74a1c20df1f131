"""From a manifest to a store: in parallel, resumable, one row at a time in exactly one of two places.

An engine (`part_jobs.py`) makes the parts; this file decides what is to be made. Interrupted anywhere, the same
command goes on with the parts that are missing. The store does not depend on the number of workers: on one machine,
every file of it comes out the same, byte for byte.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from earwitness.errors import LabelError, StoreError
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.places import Place, place
from earwitness.store.claim import claimed, existing_header
from earwitness.store.complete import BuildSummary, Progress, make_missing_parts, summary
from earwitness.store.difference import manifest_difference
from earwitness.store.files import write_error
from earwitness.store.header import StoreHeader, digest_table, write_header
from earwitness.store.kept_manifest import keep_manifest, kept_manifest
from earwitness.store.local import make_parts
from earwitness.store.part_jobs import Engine
from earwitness.store.parts import check_columns
from earwitness.store.settings import BuildSettings
from earwitness.store.versions import decoder_versions


def build_store(
    manifest: Manifest,
    folder: str | Place,
    *,
    settings: BuildSettings,
    label_set: LabelSet | None = None,
    engine: Engine = make_parts,
    progress: Progress | None = None,
    forgiven: Collection[str] = (),
) -> BuildSummary:
    """Build the store of a manifest, or go on with an unfinished one. A finished one is left as it is.

    Args:
        manifest: the clips.
        folder: made if needed; must be empty, or hold an unfinished or finished store of the same rows.
        settings: workers, limits, front end.
        label_set: the labels and their order; by default those of the store that is there, or else those of the
            manifest, sorted.
        engine: who makes the parts.
        progress: called after every clip.
        forgiven: kinds of failures of which those of earlier runs do not count for `settings.max_failures`, because
            they are to be tried again.

    Raises:
        LabelError: a row carries a label outside the set, or there is no label at all.
        ManifestError: a column of the manifest is one that the store fills.
        StoreError: the folder cannot be written, is used by another build, holds something else, or a store
            of another manifest, front end or label set; or the disk is full; or more clips have failed than the
            settings allow. Parts that are finished stay.
    """
    folder = place(folder)
    check_columns(manifest.table.column_names)
    try:
        if (found := existing_header(folder)) and _fits(folder, found, manifest, settings, label_set).is_finished:
            return summary(found)
        header = None if found else _new_header(manifest, settings, label_set)
        folder.mkdir(parents=True, exist_ok=True)
        with claimed(folder):
            # another build may have gone on between the look above and the lock
            if found := existing_header(folder):
                header = _fits(folder, found, manifest, settings, label_set)
                if header.is_finished:
                    return summary(header)
            assert header is not None
            if (versions := decoder_versions()) not in header.built_with:
                header = replace(header, built_with=(*header.built_with, versions))
            write_header(folder, header)
            (folder / header.data_folder).mkdir(exist_ok=True)
            table = kept_manifest(folder, header)
            if table is None:
                table = manifest.table
                keep_manifest(folder, header, table)
            return make_missing_parts(
                folder, header, table, settings=settings, engine=engine, progress=progress, forgiven=forgiven
            )
    except OSError as error:
        raise write_error(folder, error) from error


def _new_header(manifest: Manifest, settings: BuildSettings, label_set: LabelSet | None) -> StoreHeader:
    return StoreHeader(
        front_end=settings.front_end,
        label_set=labels_of(manifest, label_set),
        manifest_digest=digest_table(manifest.table),
        manifest_source=Path(manifest.source).name,
        num_rows=len(manifest),
        clips_per_part=settings.clips_per_part,
    )


def _fits(
    folder: Place, found: StoreHeader, manifest: Manifest, settings: BuildSettings, label_set: LabelSet | None
) -> StoreHeader:
    """The header that is there, if the store is that of this manifest."""
    wanted = replace(
        found,
        front_end=settings.front_end,
        label_set=label_set or found.label_set,
        clips_per_part=settings.clips_per_part,
    )
    if differences := found.differences(wanted):
        raise StoreError(
            f"{folder}: holds another store. There / asked for: {differences}. "
            "Choose another folder, or remove this one"
        )
    if found.manifest_digest == digest_table(manifest.table):
        return found
    there = f"{found.manifest_source} ({found.num_rows} rows)"
    asked = f"{Path(manifest.source).name} ({len(manifest)} rows)"
    rows = kept_manifest(folder, found)
    differences = "not known, its rows are lost" if rows is None else manifest_difference(rows, manifest.table)
    if differences:
        raise StoreError(
            f"{folder}: holds the store of another manifest, {there} and not {asked}. From there to what is asked for: "
            f"{differences}. `earwitness store append` adds rows and `store drop` takes some away; or choose another "
            "folder"
        )
    return found


def labels_of(manifest: Manifest, label_set: LabelSet | None) -> LabelSet:
    """The label set to use, after a look at every label of the manifest.

    Raises:
        LabelError: a row carries a label outside the set, or there is no label at all.
    """
    column = manifest.table["labels"]
    used = set(pc.unique(pc.list_flatten(column)).to_pylist())
    if label_set is None:
        if not used:
            raise LabelError(f"{manifest.source}: no clip has a label; give a label set if that is meant")
        return LabelSet.of(sorted(used))
    if not used <= label_set.index_of.keys():
        for row, labels in enumerate((labels for chunk in column.chunks for labels in chunk.to_pylist()), start=1):
            try:
                label_set.indices(labels)
            except LabelError as error:
                raise LabelError(f"{manifest.source}: row {row}: {error}") from error
    return label_set
