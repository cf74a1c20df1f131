"""Embeddings of a store's clips: what a network made of each patch, once and for all, to be learnt from.

    embeddings.npy      float32 [patches, embedding_size]: the patches of one clip after another, in order of time
    clips.parquet       one row a clip: all columns of the store's clips, those of the manifest among them, and

        first_patch, num_patches   where the clip lies in embeddings.npy
        label_indices              ascending indices into the label set

    model.safetensors   the model that made them; its network without the classifier did. model.onnx, where an exported
                        model made them: then they cannot be learnt from
    embeddings.json     format and version, the labels in order, the model's front end, the digest of its tensors, the
                        fingerprint of the store; put in place last: the table counts once it is there

Clips are numbered as in the store. In reading, an embedding stands in for its patch: who asks for the patch of a clip
that begins at some frame gets what was made of it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from earwitness.errors import EarwitnessError, StoreError
from earwitness.files import read_description, replacing
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.places import Place, UrlPath, place
from earwitness.store.patches import PatchIndex
from earwitness.store.read import LabelledClips, Store
from earwitness.store.reading import FrameReader
from earwitness.table_files import first_line

FILE_NAME = "embeddings.json"
FORMAT = "earwitness embeddings"
FORMAT_VERSION = 1
EMBEDDINGS_FILE = "embeddings.npy"
CLIPS_FILE = "clips.parquet"
MODEL_FILE = "model.safetensors"
EXPORTED_MODEL_FILE = "model.onnx"

ADDED_COLUMNS = ("first_patch", "num_patches", "label_indices")

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EmbeddingsHeader:
    """The content of `embeddings.json`."""

    front_end: FrontEnd
    """The model's: by it the store's frames were cut into patches."""
    label_set: LabelSet
    """The store's."""
    model_digest: str
    """Of the tensors of the model that made them."""
    store_fingerprint: str
    embedding_size: int
    num_clips: int
    num_patches: int
    store: str | None = None
    """Where the store lay. None: written by an earlier version."""


class Embeddings(LabelledClips):
    """A finished table of embeddings. They themselves are read by `EmbeddingReader`."""

    folder: Path

    def __init__(self, folder: Path, header: EmbeddingsHeader, clips: pa.Table) -> None:
        """Use `Embeddings.open`."""
        self.folder, self.header = folder, header
        self.front_end, self.label_set = header.front_end, header.label_set
        self.fingerprint = header.store_fingerprint
        self.num_clips = header.num_clips
        self.frames_per_clip = clips["num_frames"].to_numpy()
        labels = clips["label_indices"].combine_chunks()
        lengths = labels.value_lengths().to_numpy(zero_copy_only=False)
        self.label_offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self.label_indices = labels.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
        self._clips = clips

    @classmethod
    def open(cls, folder: str | Path) -> "Embeddings":
        """Open a finished table; the embeddings are not read yet.

        Raises:
            StoreError: there is none, it is damaged, or of another format version.
        """
        folder = Path(folder)
        header = read_embeddings_header(folder)
        path = folder / CLIPS_FILE
        try:
            clips = pyarrow.parquet.read_table(path)
            table = cls(folder, header, clips)
        except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
            raise StoreError(f"{path}: the clips of the embeddings cannot be read ({first_line(error)})") from error
        if clips.num_rows != header.num_clips:
            raise StoreError(f"{path}: damaged, it holds {clips.num_rows} clips of {header.num_clips}")
        return table

    @property
    def clips_schema(self) -> pa.Schema:
        """The columns of the store's clips, and where each lies among the embeddings."""
        return self._clips.schema

    def read_clips(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of `clips`, which are all in memory here."""
        return self._clips.select(list(columns))

    @property
    def model_path(self) -> Path:
        """The model that made them."""
        return self.folder / MODEL_FILE

    @property
    def store_path(self) -> Place | None:
        """The store that they are of; None where it is not there any more. Behind a URL, it is not looked for."""
        path = place(self.header.store) if self.header.store else None
        return path if isinstance(path, UrlPath) or (path is not None and path.is_dir()) else None


class PatchReader(Protocol):
    """Gives patches of clips, or what a network made of them. May be used by several threads at a time."""

    @property
    def store(self) -> LabelledClips:
        """The clips."""

    def read_patches(self, clips: Indices, first_frames: Indices, patch_frames: int) -> npt.NDArray[Any]:
        """float16 [n, patch_frames, bands] or float32 [n, embedding_size], by clip and first frame within it."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: Any) -> None: ...


class EmbeddingReader:
    """Reads embeddings in the place of patches."""

    def __init__(
        self, store: LabelledClips, path: Path, *, clips: Indices, front_end: FrontEnd, embedding_size: int
    ) -> None:
        """Map the file.

        Args:
            store: the clips.
            path: float32 [patches, embedding_size]: the patches of `clips`, one clip after another.
            clips: int64 [n]; ascending.
            front_end: by which the clips were cut into patches.
            embedding_size: numbers in an embedding.

        Raises:
            StoreError: the file is missing or damaged.
        """
        self.store = store
        self._hop_frames = front_end.patch_hop_frames
        index = PatchIndex(
            store.frames_per_clip, clips, patch_frames=front_end.patch_frames, hop_frames=self._hop_frames
        )
        self._first_rows = np.full(store.num_clips, -1, dtype=np.int64)
        self._first_rows[clips] = index.first_patches
        try:
            self._embeddings: npt.NDArray[np.float32] = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{path}: the embeddings cannot be read ({first_line(error)})") from error
        came, expected = self._embeddings, [index.num_patches, embedding_size]
        if came.dtype != np.float32 or list(came.shape) != expected:
            raise StoreError(
                f"{path}: damaged, expected float32 {expected}, came {came.dtype} {list(came.shape)}; delete it, and "
                "the command that made it makes it again"
            )

    def read_patches(self, clips: Indices, first_frames: Indices, patch_frames: int) -> npt.NDArray[np.float32]:
        """What was made of these patches, float32 [n, embedding_size].

        Raises:
            ValueError: nothing was made of one of them: another clip, or it begins between two hops.
        """
        hops, rest = np.divmod(first_frames, self._hop_frames)
        firsts = self._first_rows[clips]
        if rest.any() or (firsts < 0).any():
            raise ValueError("there are no embeddings of these patches")
        embeddings: npt.NDArray[np.float32] = self._embeddings[firsts + hops]
        return embeddings

    def __enter__(self) -> "EmbeddingReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open but the map."""


def open_clips(folder: str | Place) -> LabelledClips:
    """The finished store, or table of embeddings, in a folder; behind a URL, a store.

    Raises:
        StoreError: there is neither, it is unfinished, damaged, or of another format version.
    """
    folder = place(folder)
    if isinstance(folder, Path) and (folder / FILE_NAME).exists():
        return Embeddings.open(folder)
    return Store.open(folder)


def open_store(folder: str | Place) -> Store:
    """The finished store in a folder or behind a URL, for what cannot be done with embeddings.

    Raises:
        StoreError: there is none, or embeddings of it; it is unfinished, damaged, or of another format version.
    """
    folder = place(folder)
    if isinstance(folder, Path) and (folder / FILE_NAME).exists():
        header = read_embeddings_header(folder)
        made_of = header.store or f"the one with the fingerprint {header.store_fingerprint[:12]}"
        raise StoreError(f"{folder}: this holds embeddings, and the store is needed that they are of: {made_of}")
    return Store.open(folder)


def open_reader(clips: LabelledClips) -> PatchReader:
    """A reader of a store's patches, or of a table's embeddings.

    Raises:
        StoreError: the embeddings are missing or damaged.
    """
    if isinstance(clips, Store):
        return FrameReader(clips)
    assert isinstance(clips, Embeddings)
    return EmbeddingReader(
        clips,
        clips.folder / EMBEDDINGS_FILE,
        clips=np.arange(clips.num_clips),
        front_end=clips.front_end,
        embedding_size=clips.header.embedding_size,
    )


def write_clip_rows(folder: Path, store: Store, *, front_end: FrontEnd) -> None:
    """Write `clips.parquet` for all clips of a store.

    Raises:
        StoreError: the manifest has columns of the names that are added.
        OSError: it cannot be written.
    """
    index = PatchIndex(
        store.frames_per_clip,
        np.arange(store.num_clips),
        patch_frames=front_end.patch_frames,
        hop_frames=front_end.patch_hop_frames,
    )
    labels = pa.LargeListArray.from_arrays(pa.array(store.label_offsets), pa.array(store.label_indices))
    write_clips_table(folder, store.clips, num_patches=index.patches_per_clip, labels=labels, source=str(store.folder))


def write_clips_table(folder: Path, table: pa.Table, *, num_patches: Indices, labels: pa.Array, source: str) -> None:
    """Write `clips.parquet`.

    Args:
        folder: where to.
        table: all columns of the clips that are known of them.
        num_patches: int64 [clips].
        labels: lists of ascending indices into the label set.
        source: what to call the clips in messages.

    Raises:
        StoreError: the clips have columns of the names that are added.
        OSError: it cannot be written.
    """
    if taken := [name for name in ADDED_COLUMNS if name in table.column_names]:
        raise StoreError(f"{source}: column {taken[0]!r} of its manifest is one that embeddings add; rename it")
    first_patches = np.cumsum(num_patches) - num_patches
    for name, column in zip(ADDED_COLUMNS, (pa.array(first_patches), pa.array(num_patches), labels), strict=True):
        table = table.append_column(name, column)
    with replacing(folder / CLIPS_FILE) as file:
        pyarrow.parquet.write_table(table, file, compression="zstd")


def write_embeddings_header(folder: Path, header: EmbeddingsHeader) -> None:
    """Write `embeddings.json`, by which the table counts as finished.

    Raises:
        OSError: it cannot be written.
    """
    values = {"format": FORMAT, "version": FORMAT_VERSION, **vars(header)}
    values["front_end"] = header.front_end.to_dict()
    values["label_set"] = header.label_set.to_rows()
    with replacing(folder / FILE_NAME) as file:
        file.write(json.dumps(values, indent=1, ensure_ascii=False).encode() + b"\n")


def read_embeddings_header(folder: Path) -> EmbeddingsHeader:
    """Read `embeddings.json`.

    Raises:
        StoreError: it is missing, damaged or of another format version.
    """
    path = folder / FILE_NAME
    values = read_description(path, of=FORMAT, error_type=StoreError)
    version = values.pop("version", None)
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{folder}: the embeddings have format version {version}, this earwitness reads {FORMAT_VERSION}; "
            "update earwitness or embed the store again"
        )
    try:
        front_end = FrontEnd.from_dict(values.pop("front_end"))
        label_set = LabelSet.from_rows(values.pop("label_set"))
        return EmbeddingsHeader(front_end=front_end, label_set=label_set, **values)
    except (KeyError, TypeError, EarwitnessError) as error:
        raise StoreError(f"{path}: damaged ({type(error).__name__}: {error})") from error
