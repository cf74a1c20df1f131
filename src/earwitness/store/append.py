"""More clips for a store: rows of a manifest whose `clip_id` is not there yet become parts behind those that are."""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.errors import LabelError, ManifestError, StoreError
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.places import Place, place
from earwitness.store.claim import claimed
from earwitness.store.complete import BuildSummary, Progress, make_missing_parts, summary
from earwitness.store.difference import absent_rows, changed_column, common_rows
from earwitness.store.files import write_error
from earwitness.store.header import StoreHeader, digest_table, read_header, write_header
from earwitness.store.kept_manifest import keep_manifest, kept_manifest
from earwitness.store.local import make_parts
from earwitness.store.part_jobs import Engine
from earwitness.store.parts import check_columns
from earwitness.store.settings import DecodeSettings
from earwitness.store.versions import decoder_versions
from earwitness.table_files import first_line

_AND_OTHERS = " and others"


@dataclass(frozen=True, kw_only=True)
class AppendSummary:
    """What was appended."""

    num_added: int
    """Rows that were new."""
    num_there: int
    """Rows whose clip the store had already, which stay as they are there."""
    changed: tuple[str, ...]
    """Clips among these that the manifest describes in another way than the store."""
    num_new_labels: int
    store: BuildSummary
    """The whole store afterwards."""


def append_clips(
    manifest: Manifest,
    folder: str | Place,
    *,
    settings: DecodeSettings,
    grow_labels: bool = False,
    engine: Engine = make_parts,
    progress: Progress | None = None,
) -> AppendSummary:
    """Append the clips of a manifest that a store does not have yet. A store that is unfinished is finished first.

    Args:
        manifest: the clips; columns that it lacks become null.
        folder: the store.
        settings: workers and limits.
        grow_labels: whether labels that the store does not know are put behind those it knows, in sorted order.
        engine: who decodes.
        progress: called after every clip.

    Raises:
        LabelError: a label is not in the store's label set, which may not grow.
        ManifestError: a column that the store does not have, or has with another kind of values.
        StoreError: there is no such store, another process holds it, it cannot be written, or too many clips fail.
    """
    folder = place(folder)
    check_columns(manifest.table.column_names)
    read_header(folder)  # no lock where there is no store
    try:
        with claimed(folder):
            header = read_header(folder)
            there = kept_manifest(folder, header)
            if there is None:
                raise StoreError(f"{folder}: the store is unfinished; run the same prepare command again first")

            def make(header: StoreHeader, table: pa.Table) -> BuildSummary:
                return make_missing_parts(folder, header, table, settings=settings, engine=engine, progress=progress)

            versions = decoder_versions()
            store = summary(header) if header.is_finished else make(header, there)
            header = read_header(folder)
            new = absent_rows(manifest.table, there)
            pairs = common_rows(there, manifest.table)
            changed = [before["clip_id"] for before, after in pairs if changed_column(before, after)]
            label_set = _grown(header.label_set, new, manifest.source, grow=grow_labels)
            if new.num_rows:
                table = pa.concat_tables([there, _in_shape(new, there.schema, manifest.source)])
                grown = replace(
                    header,
                    label_set=label_set,
                    manifest_digest=digest_table(table),
                    manifest_source=header.manifest_source.removesuffix(_AND_OTHERS) + _AND_OTHERS,
                    num_rows=table.num_rows,
                    appended=(*header.appended, new.num_rows),
                    totals=None,
                    fingerprint=None,
                    built_with=header.built_with if versions in header.built_with else (*header.built_with, versions),
                )
                keep_manifest(folder, grown, table)
                write_header(folder, grown)
                store = make(grown, table)
    except OSError as error:
        raise write_error(folder, error) from error
    return AppendSummary(
        num_added=new.num_rows,
        num_there=len(manifest) - new.num_rows,
        changed=tuple(changed),
        num_new_labels=len(label_set) - len(header.label_set),
        store=store,
    )


def _grown(label_set: LabelSet, new: pa.Table, source: str, *, grow: bool) -> LabelSet:
    more = sorted(set(pc.unique(pc.list_flatten(new["labels"])).to_pylist()) - label_set.index_of.keys())
    if more and not grow:
        for clip_id, labels in zip(new["clip_id"].to_pylist(), new["labels"].to_pylist(), strict=True):
            try:
                label_set.indices(labels)
            except LabelError as error:
                raise LabelError(
                    f"{source}: clip {clip_id!r}: {error}; --grow-labels puts new labels behind those of the store"
                ) from error
    return LabelSet((*label_set.ids, *more), (*label_set.names, *more))


def _in_shape(new: pa.Table, schema: pa.Schema, source: str) -> pa.Table:
    if unknown := [name for name in new.column_names if name not in schema.names]:
        raise ManifestError(
            f"{source}: column {unknown[0]!r} is not in the store, whose columns are {', '.join(schema.names)}; leave "
            "it away, or prepare a new store"
        )
    columns = []
    for field in schema:
        try:
            column = pc.cast(new[field.name], field.type) if field.name in new.column_names else None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ManifestError(
                f"{source}: column {field.name!r} holds {new[field.name].type} and in the store {field.type} "
                f"({first_line(error)})"
            ) from error
        columns.append(pa.nulls(new.num_rows, field.type) if column is None else column)
    return pa.table(columns, schema=schema)
