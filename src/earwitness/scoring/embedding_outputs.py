"""Embeddings as files: what the name's suffix asks for.

    OUT.parquet        a row each: clip_id, media, start_seconds, stop_seconds, embedding (a list of fixed length)
    OUT.npy            float32 or uint8 [rows, size], and OUT.npy.rows.parquet with the other columns, row for row
    OUT.tfrecord       Audio Set's layout, 8 bits: a record a clip (see `datasets.audioset_embeddings`), and
                       OUT.tfrecord.labels.csv, which says what its label numbers mean. With shards,
                       OUT-00000-of-00004.tfrecord and so on
    OUT (a folder)     what `train` learns from; see `embedding_folder`

Beside OUT lies OUT.made.json, put in place last: which model and settings made it, and what it came to.
OUT.failures.csv is there where clips failed. Clips stand in the order of the manifest, rows in that of time.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from earwitness.datasets.audioset_embeddings import EmbeddedClip, write_embedded_clips
from earwitness.datasets.media import MEDIA_SUFFIXES
from earwitness.errors import SettingsError
from earwitness.files import replacing
from earwitness.inference.embedding_rows import EmbeddingRows
from earwitness.inference.whitening import LIMIT, Whitening, quantise
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.manifest import Manifest
from earwitness.scoring.embedding_spool import EmbeddingSpool, SpooledClip
from earwitness.store.files import replacing_npy

Form = Literal["parquet", "npy", "tfrecord", "folder"]

_FORMS: dict[str, Form] = {".parquet": "parquet", ".npy": "npy", ".tfrecord": "tfrecord"}
_OTHER_SUFFIXES = frozenset({".h5"})
_GROUP_ROWS = 1 << 14

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.uint8]


def output_form(out: Path) -> Form:
    """The form that a name asks for.

    Raises:
        SettingsError: the suffix is that of something else: letters, and there is no such folder.
    """
    suffix = out.suffix.lower()
    if suffix in _FORMS:
        return _FORMS[suffix]
    is_word = suffix[1:].isalpha() and not out.is_dir()
    if is_word or suffix in _OTHER_SUFFIXES or suffix in MEDIA_SUFFIXES:
        what = "the last name says where embeddings go" if suffix in MEDIA_SUFFIXES else "embeddings are not written so"
        raise SettingsError(f"{out}: {what}; it is a folder, or ends in {', '.join(_FORMS)}")
    return "folder"


class Finish:
    """What is made of embeddings as they are written."""

    def __init__(self, *, whitening: Whitening | None, quantised: bool) -> None:
        self.whitening = whitening
        self.quantised = quantised
        self._num_numbers = self._num_beyond = 0

    def __call__(self, embeddings: npt.NDArray[np.float32]) -> Numbers:
        """[rows, size] of embeddings [rows, embedding_size]."""
        numbers: npt.NDArray[Any] = embeddings if self.whitening is None else self.whitening.apply(embeddings)
        if not self.quantised:
            return numbers.astype(np.float32, copy=False)
        self._num_numbers += numbers.size
        self._num_beyond += int(np.count_nonzero(np.abs(numbers) > LIMIT))
        return quantise(numbers)

    def size_of(self, embedding_size: int) -> int:
        """Numbers that are made of so many."""
        return embedding_size if self.whitening is None else self.whitening.output_size

    @property
    def share_beyond_limits(self) -> float | None:
        """Of all numbers, those that 8 bits cut off; None without them."""
        return self._num_beyond / max(1, self._num_numbers) if self.quantised else None


@dataclass(frozen=True)
class Written:
    """The clips and rows of a result: what the writers below read."""

    spool: EmbeddingSpool
    manifest: Manifest
    finish: Finish

    def clips(self) -> Iterator[tuple[SpooledClip, dict[str, Any]]]:
        """The clips that have embeddings, with their row of the manifest."""
        table = self.manifest.table
        for clip in self.spool.embedded():
            yield clip, {name: table[name][clip.clip].as_py() for name in _MANIFEST_COLUMNS}

    def rows(self, clip: SpooledClip) -> Iterator[tuple[EmbeddingRows, Numbers]]:
        """The rows of one of them, and their numbers as they are to be written."""
        for rows in self.spool.read(clip):
            yield rows, self.finish(rows.embeddings)


_MANIFEST_COLUMNS = ("clip_id", "media", "start_seconds", "labels")


def write_files(
    form: Form, out: Path, written: Written, *, label_set: LabelSet, shards: int, about: Mapping[str, Any]
) -> list[Path]:
    """Write all rows in a form that is no folder; gives the files.

    Args:
        form: of `output_form`.
        out: the name.
        written: what to write.
        label_set: of the clips' labels, for TFRecord.
        shards: files of TFRecord.
        about: JSON values about the model and settings, kept in Parquet's metadata.

    Raises:
        OSError: they cannot be written.
    """
    if form == "tfrecord":
        return _write_tfrecord(out, written, label_set, shards)
    if form == "parquet":
        _write_parquet(out, written, about)
        return [out]
    rows_path = out.with_name(f"{out.name}.rows.parquet")
    size = written.finish.size_of(written.spool.embedding_size)
    dtype = "|u1" if written.finish.quantised else "<f4"
    with replacing_npy(out, dtype=dtype, row_shape=(size,)) as append:
        _write_parquet(rows_path, written, about, append=append)
    return [out, rows_path]


def shard_paths(out: Path, shards: int) -> list[Path]:
    """The files of a result that is dealt to so many."""
    if shards == 1:
        return [out]
    return [out.with_stem(f"{out.stem}-{number:05d}-of-{shards:05d}") for number in range(shards)]


def write_failures(path: Path, spool: EmbeddingSpool, manifest: Manifest) -> None:
    """Write the clips that failed, as CSV: clip_id, media, kind, reason.

    Raises:
        OSError: it cannot be written.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["clip_id", "media", "kind", "reason"])
    for failed in spool.failed():
        names = [manifest.table[name][failed.clip].as_py() for name in ("clip_id", "media")]
        rows.writerow([*names, failed.failure_kind, failed.failure_reason])
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def _write_parquet(path: Path, written: Written, about: Mapping[str, Any], *, append: Any = None) -> None:
    """All columns, or, where the numbers go to `append`, all others."""
    columns = {
        "clip_id": pa.string(),
        "media": pa.string(),
        "start_seconds": pa.float64(),
        "stop_seconds": pa.float64(),
    }
    if append is None:
        number = pa.uint8() if written.finish.quantised else pa.float32()
        columns["embedding"] = pa.list_(number, written.finish.size_of(written.spool.embedding_size))
    schema = pa.schema(list(columns.items()), {"earwitness_embeddings": json.dumps(dict(about), ensure_ascii=False)})
    with replacing(path) as file, pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for clip, names in written.clips():
            for rows, numbers in written.rows(clip):
                count = len(rows.start_seconds)
                arrays = [pa.repeat(pa.scalar(names[name], pa.string()), count) for name in ("clip_id", "media")]
                arrays += [pa.array(rows.start_seconds), pa.array(rows.stop_seconds)]
                if append is None:
                    flat = pa.array(np.ascontiguousarray(numbers).reshape(-1))
                    arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=columns["embedding"]))
                else:
                    append(numbers)
                waiting.append(pa.record_batch(arrays, schema=schema))
            if sum(len(batch) for batch in waiting) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))


def _write_tfrecord(out: Path, written: Written, label_set: LabelSet, shards: int) -> list[Path]:
    clips = list(written.clips())
    paths = shard_paths(out, shards)
    borders = np.linspace(0, len(clips), shards + 1).astype(int).tolist()
    for path, first, stop in zip(paths, borders[:-1], borders[1:], strict=True):
        write_embedded_clips(path, (_record(clip, names, written, label_set) for clip, names in clips[first:stop]))
    if label_set == NO_LABELS:
        return paths
    labels_path = out.with_name(f"{out.name}.labels.csv")
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["index", "mid", "display_name"])
    rows.writerows((index, *names) for index, names in enumerate(zip(label_set.ids, label_set.names, strict=True)))
    with replacing(labels_path) as file:
        file.write(text.getvalue().encode())
    return [*paths, labels_path]


def _record(clip: SpooledClip, names: Mapping[str, Any], written: Written, label_set: LabelSet) -> EmbeddedClip:
    return EmbeddedClip(
        video_id=names["clip_id"],
        start_seconds=names["start_seconds"] or 0.0,
        stop_seconds=(names["start_seconds"] or 0.0) + clip.seconds,
        labels=tuple(label_set.indices(names["labels"])),
        embeddings=np.concatenate([numbers for _, numbers in written.rows(clip)]).astype(np.uint8, copy=False),
    )
