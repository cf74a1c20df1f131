"""Store and model to embeddings on disk: what the network makes of every patch, once, so that a classifier on it can
be learnt, again and again, without the network being run.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earwitness.errors import StoreError
from earwitness.files import LOCK_FILE, PARTIAL_SUFFIX, locked, replacing
from earwitness.front_end import FrontEnd
from earwitness.inference.any_model import AnyModel, patch_embedder
from earwitness.inference.patch_runner import PatchRunner
from earwitness.models.onnx_file import OnnxModel
from earwitness.scoring.clip_scores import patches_of, read_ahead, require_same_frames
from earwitness.store.embeddings import (
    CLIPS_FILE,
    EMBEDDINGS_FILE,
    EXPORTED_MODEL_FILE,
    FILE_NAME,
    MODEL_FILE,
    EmbeddingsHeader,
    PatchReader,
    read_embeddings_header,
    write_clip_rows,
    write_embeddings_header,
)
from earwitness.store.files import replacing_npy
from earwitness.store.parts import FAILURES_FILE
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader


@dataclass(frozen=True, kw_only=True)
class EmbedSummary:
    """What a call of `embed_store` came to."""

    num_clips: int
    num_patches: int
    embedding_size: int
    was_complete: bool
    """Whether they were there already."""


def embed_store(
    model: AnyModel,
    store: Store,
    folder: Path,
    *,
    device: str = "auto",
    on_patches: Callable[[int, int], None] | None = None,
) -> EmbedSummary:
    """Write the embeddings of all patches of a store into a folder, laid out as `store.embeddings` says.

    Args:
        model: its labels may be others than the store's, which are the ones kept. Of an exported one, the embeddings
            cannot be learnt from, since there is no network to put a classifier on.
        store: of all clips.
        folder: made if need be. Interrupted work is begun again.
        device: where the network runs.
        on_patches: told the number of patches done so far, and of all.

    Raises:
        SettingsError: there is no such device.
        ModelError: an exported model gives no embeddings.
        StoreError: the store does not fit the model, or the folder holds something else or cannot be written.
    """
    require_same_frames(store, front_end=model.front_end)
    clips = store.select(None)
    index = patches_of(store, clips, front_end=model.front_end)
    embedder = patch_embedder(model, device=device)
    header = EmbeddingsHeader(
        front_end=model.front_end,
        label_set=store.label_set,
        model_digest=model.digest,
        store_fingerprint=store.fingerprint,
        embedding_size=embedder.num_outputs,
        num_clips=store.num_clips,
        num_patches=index.num_patches,
        store=str(store.folder.resolve()),
    )
    try:
        with embeddings_folder(folder):
            was_complete = _is_finished(folder, header)
            if not was_complete:
                with FrameReader(store) as reader:
                    write_embeddings(
                        folder / EMBEDDINGS_FILE,
                        embedder,
                        reader,
                        clips,
                        front_end=model.front_end,
                        on_patches=on_patches,
                    )
                write_clip_rows(folder, store, front_end=model.front_end)
                keep_model(model, folder)
                write_embeddings_header(folder, header)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder}: this is, or lies in, a file; a folder is needed for embeddings") from error
    except OSError as error:
        raise StoreError(f"{folder}: the embeddings cannot be written ({error.strerror or error})") from error
    return EmbedSummary(
        num_clips=header.num_clips,
        num_patches=header.num_patches,
        embedding_size=header.embedding_size,
        was_complete=was_complete,
    )


def write_embeddings(
    path: Path,
    embedder: PatchRunner,
    reader: PatchReader,
    clips: npt.NDArray[np.int64],
    *,
    front_end: FrontEnd,
    on_patches: Callable[[int, int], None] | None = None,
) -> None:
    """Write the embeddings of all patches of some clips, one clip after another; whole or not at all.

    Args:
        path: of the `.npy` to write, float32 [patches, embedding_size].
        embedder: runs the network.
        reader: of the store whose clips are meant.
        clips: ascending indexes in the store.
        front_end: the model's; its patch geometry is used.
        on_patches: told the number of patches done so far, and of all.

    Raises:
        StoreError: a clip is shorter than a patch.
        OSError: the file cannot be written.
    """
    index = patches_of(reader.store, clips, front_end=front_end)
    done = 0
    with replacing_npy(path, dtype="<f4", row_shape=(embedder.num_outputs,)) as append:
        for piece in read_ahead(reader, index, batch_patches=embedder.batch_patches):
            append(embedder(piece.patches))
            done += len(piece.patches)
            if on_patches is not None:
                on_patches(done, index.num_patches)


def keep_model(model: AnyModel, folder: Path) -> None:
    """Put the model beside its embeddings."""
    if isinstance(model, OnnxModel):
        with replacing(folder / EXPORTED_MODEL_FILE) as file:
            file.write(model.content)
        return
    from earwitness.models.model_file import save_model

    save_model(model, folder / MODEL_FILE)


def _is_finished(folder: Path, wanted: EmbeddingsHeader) -> bool:
    """Whether the embeddings are there; False where they are to be written.

    Raises:
        StoreError: the folder holds something else, or embeddings of another model or store.
    """
    if (folder / FILE_NAME).exists():
        there = read_embeddings_header(folder)
        for what, before, now in (
            ("model", there.model_digest, wanted.model_digest),
            ("store", there.store_fingerprint, wanted.store_fingerprint),
            ("front end", there.front_end.identity, wanted.front_end.identity),
        ):
            if before != now:
                raise StoreError(
                    f"{folder}: the embeddings there are of another {what} ({before[:12]} there, {now[:12]} now); "
                    "choose another folder"
                )
        has_model = any((folder / name).exists() for name in (MODEL_FILE, EXPORTED_MODEL_FILE))
        return has_model and all((folder / name).exists() for name in (EMBEDDINGS_FILE, CLIPS_FILE))
    return False


@contextlib.contextmanager
def embeddings_folder(folder: Path) -> Iterator[None]:
    """Hold a folder to write embeddings into. Where nothing was written, nothing is left.

    Raises:
        StoreError: it holds something else, or another process is at it.
        OSError: it cannot be written.
    """
    is_new = not folder.exists()
    if not is_new:
        require_room(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, busy=StoreError(f"{folder}: another process is writing embeddings here; wait for it to end")):
        try:
            yield
        except BaseException:
            if is_new and [path.name for path in folder.iterdir()] == [LOCK_FILE]:
                shutil.rmtree(folder, ignore_errors=True)
            raise


def require_room(folder: Path) -> None:
    """Refuse a folder that is there and holds anything but embeddings, finished or not.

    Raises:
        StoreError: it does.
    """
    if (folder / FILE_NAME).exists():
        return
    ours = {EMBEDDINGS_FILE, CLIPS_FILE, MODEL_FILE, EXPORTED_MODEL_FILE, LOCK_FILE, FAILURES_FILE}
    strangers = [path.name for path in folder.iterdir() if path.name.removesuffix(PARTIAL_SUFFIX) not in ours]
    if strangers:
        raise StoreError(f"{folder}: the folder is not empty and holds no embeddings; choose a new one")
