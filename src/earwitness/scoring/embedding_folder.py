"""Embeddings that come clip by clip, as a folder that `train` learns from: of media, or of published records.

See `store.embeddings` for what lies in it. It is the folder that a store of the same clips and `embed_store` give, but
for columns that only a store knows. Clips that failed are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from earwitness.errors import StoreError
from earwitness.inference.any_model import AnyModel
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest, plain_labels, take_rows
from earwitness.scoring.embedding import embeddings_folder, keep_model
from earwitness.scoring.embedding_spool import EmbeddingSpool
from earwitness.store.embeddings import (
    EMBEDDINGS_FILE,
    FILE_NAME,
    EmbeddingsHeader,
    write_clips_table,
    write_embeddings_header,
)
from earwitness.store.files import replacing_npy
from earwitness.store.index import Fingerprint

Append = Callable[[npt.NDArray[Any]], None]


@dataclass(frozen=True)
class FilledClips:
    """What was filled in, clip by clip."""

    table: pa.Table
    """The columns of a manifest, and `num_frames`; `labels` within the label set."""
    num_patches: npt.NDArray[np.int64]
    """[clips]."""


def write_folder(
    folder: Path, fill: Callable[[Append], FilledClips], *, model: AnyModel, label_set: LabelSet, embedding_size: int
) -> FilledClips:
    """Write a folder; it counts once its header is there.

    Args:
        folder: made if need be.
        fill: given a function that appends embeddings [patches, embedding_size]; gives the clips they are of, in order.
        model: what made the embeddings.
        label_set: of the clips' labels.
        embedding_size: numbers in an embedding.

    Raises:
        StoreError: the folder holds something else, or another process is at it; a column has a name that is added.
        OSError: it cannot be written.
    """
    with embeddings_folder(folder):
        if (folder / FILE_NAME).exists():
            raise StoreError(f"{folder}: embeddings are there already; choose another folder, or delete this one")
        with replacing_npy(folder / EMBEDDINGS_FILE, dtype="<f4", row_shape=(embedding_size,)) as append:
            filled = fill(append)
        indices = [label_set.indices(labels) for labels in filled.table["labels"].to_pylist()]
        labels = pa.array(indices, pa.list_(pa.int32()))
        fingerprint = Fingerprint(model.front_end, label_set)
        fingerprint.push(filled.table.append_column("label_indices", labels))
        write_clips_table(folder, filled.table, num_patches=filled.num_patches, labels=labels, source=str(folder))
        keep_model(model, folder)
        header = EmbeddingsHeader(
            front_end=model.front_end,
            label_set=label_set,
            model_digest=model.digest,
            store_fingerprint=fingerprint.finish(),
            embedding_size=embedding_size,
            num_clips=filled.table.num_rows,
            num_patches=int(filled.num_patches.sum()),
        )
        write_embeddings_header(folder, header)
    return filled


_ADDED_COLUMNS = ("num_frames", "num_samples", "is_padded", "warnings")


def require_free_columns(manifest: Manifest) -> None:
    """Refuse a manifest whose columns have names that are added.

    Raises:
        StoreError: it has one.
    """
    for name in _ADDED_COLUMNS:
        if name in manifest.table.column_names:
            raise StoreError(f"{manifest.source}: column {name!r} is one that embeddings add; rename it")


def write_spooled(
    folder: Path, spool: EmbeddingSpool, manifest: Manifest, *, model: AnyModel, label_set: LabelSet
) -> None:
    """Write the folder of the embeddings of all patches in a spool. Raises as `write_folder`.

    The manifest's columns are free, see `require_free_columns`.
    """
    clips = list(spool.embedded())
    columns = {
        "num_frames": pa.array([clip.num_frames for clip in clips], pa.int64()),
        "num_samples": pa.array([clip.num_samples for clip in clips], pa.int64()),
        "is_padded": pa.array([clip.is_padded for clip in clips], pa.bool_()),
        "warnings": pa.array([clip.warnings for clip in clips], pa.list_(pa.string())),
    }
    table = plain_labels(take_rows(manifest.table, np.array([clip.clip for clip in clips], np.int64)))
    for name, column in columns.items():
        table = table.append_column(name, column)

    def fill(append: Append) -> FilledClips:
        for clip in clips:
            for rows in spool.read(clip):
                append(rows.embeddings)
        return FilledClips(table, np.array([clip.num_rows for clip in clips], np.int64))

    write_folder(folder, fill, model=model, label_set=label_set, embedding_size=spool.embedding_size)
