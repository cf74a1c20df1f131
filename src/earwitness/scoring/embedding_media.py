"""Media or a store, and a model, to embeddings in whatever form is asked for; interrupted work goes on.

Media are decoded by limited processes beside the network (`audio.decoding_pool`). Embeddings wait in a spool until all
clips are done (`embedding_spool`): so a PCA can be fitted to all of them, and clips are written in their order,
whichever came first. A clip that cannot be decoded is a line among the failures, and the others go on.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.audio.decode_limits import DecodeLimits
from earwitness.audio.decoding_pool import decoded
from earwitness.errors import SettingsError, StoreError
from earwitness.finished import MADE_SUFFIX, MadeFile
from earwitness.inference.any_model import AnyModel
from earwitness.inference.embed_settings import EmbedSettings, Per
from earwitness.inference.embedder import Embedder
from earwitness.inference.embedding_rows import embedding_rows
from earwitness.inference.whitening import Whitening, WhiteningFit, save_whitening
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.manifest import Manifest
from earwitness.parallel import Failure, usable_cpus
from earwitness.scoring.clip_scores import patches_of, require_same_frames
from earwitness.scoring.embedding import require_room
from earwitness.scoring.embedding_clips import sounds_of
from earwitness.scoring.embedding_folder import require_free_columns, write_spooled
from earwitness.scoring.embedding_outputs import (
    Finish,
    Form,
    Written,
    output_form,
    shard_paths,
    write_failures,
    write_files,
)
from earwitness.scoring.embedding_spool import FOLDER_SUFFIX, EmbeddingSpool
from earwitness.store.build import labels_of
from earwitness.store.embeddings import FILE_NAME as EMBEDDINGS_HEADER
from earwitness.store.header import digest_table
from earwitness.store.read import Store
from earwitness.store.reading import FrameReader

FORMAT = "earwitness embedding files"
FORMAT_VERSION = 1
FAILURES_SUFFIX = ".failures.csv"
PCA_SUFFIX = ".pca.safetensors"

_FRAMES_AT_ONCE = 8_192


@dataclass(frozen=True, kw_only=True)
class MediaSummary:
    """What a call of `embed_clips` came to."""

    num_clips: int
    num_failed: int
    num_warned: int
    """Clips with a warning: of the decoder, or of silence."""
    num_rows: int
    size: int
    """Numbers in a row as it is written."""
    share_beyond_limits: float | None
    """Of all numbers, those that 8 bits cut off; None without them."""
    files: tuple[str, ...]
    """What was written."""
    num_resumed: int = 0
    """Clips that were done before."""
    was_complete: bool = False


Progress = Callable[[int, int], None]
"""Told the number of clips done, and how many of them failed."""


def embed_clips(
    model: AnyModel,
    clips: Manifest | Store,
    out: Path,
    *,
    settings: EmbedSettings,
    limits: DecodeLimits,
    label_set: LabelSet | None = None,
    whitening: Whitening | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> MediaSummary:
    """Embed all clips and write the result.

    Args:
        model: of either kind.
        clips: media, decoded here; or a store, whose frames are read (`embed_store` makes its folder).
        out: its suffix says the form; see `embedding_outputs`.
        settings: what a row is, and what is made of it.
        limits: of the processes that decode.
        label_set: the labels and their order. None: the store's, or the manifest's own, sorted.
        whitening: what `settings.pca` names, where that is a file.
        device: where the network runs.
        progress: told of every clip.

    Raises:
        SettingsError: settings that contradict one another, the model or the form; a name that is taken.
        ModelError: an exported model gives no embeddings.
        StoreError: a store does not fit the model; other unfinished work is there; nothing can be written.
        LabelError: a clip has a label outside the set.
    """
    form = output_form(out)
    require_form(form, out, settings)
    if form == "folder":
        _require_folder(out, clips)
    embedder = Embedder(model, device=device, patch_hop_frames=settings.patch_hop_frames)
    if whitening is not None:
        whitening.require_size(embedder.embedding_size)
    if (settings.pca_size or 0) > embedder.embedding_size:
        raise SettingsError(
            f"pca_size={settings.pca_size}: the model's embeddings have {embedder.embedding_size:,} numbers"
        )
    if isinstance(clips, Store):
        assert form != "folder"
        require_same_frames(clips, front_end=embedder.front_end)
        patches_of(clips, np.arange(clips.num_clips), front_end=embedder.front_end)
        manifest, clips_digest, label_set = Manifest(clips.clips, str(clips.folder)), clips.fingerprint, clips.label_set
    else:
        manifest, clips_digest, label_set = clips, digest_table(clips.table), _labels(clips, label_set)
    work = {
        "model": model.digest,
        "front_end": embedder.front_end.identity,
        "clips": clips_digest,
        "per": settings.per,
    }
    made = {**work, "quantise": settings.quantise, "shards": settings.shards, "labels": label_set.identity}
    made |= {"pca": whitening.digest if whitening is not None else settings.pca, "pca_size": settings.pca_size}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        spool_folder = out.with_name(out.name + FOLDER_SUFFIX)
        if not spool_folder.exists() and (there := _finished(form, out, made)) is not None:
            return there
        with EmbeddingSpool(spool_folder, work=work, embedding_size=embedder.embedding_size) as spool:
            num_resumed = len(spool.clips)
            with closing(_embedded(embedder, clips, spool, settings.per, limits)) as done:
                for num_done in done:
                    if progress is not None:
                        progress(num_done, spool.num_failed)
            finish = Finish(whitening=whitening, quantised=settings.quantise)
            files: list[Path] = []
            if spool.num_rows and settings.pca == "fit":
                files.append(_beside(form, out, PCA_SUFFIX))
                fitted = _fitted(spool, size=settings.pca_size, model=model, per=settings.per)
                finish = Finish(whitening=fitted, quantised=settings.quantise)
                save_whitening(fitted, files[-1])
            if spool.num_rows and form == "folder":
                write_spooled(out, spool, manifest, model=model, label_set=label_set)
                files.append(out)
            elif spool.num_rows:
                written = Written(spool, manifest, finish)
                files += write_files(form, out, written, label_set=label_set, shards=settings.shards, about=made)
            if spool.failed():
                files.append(_beside(form, out, FAILURES_SUFFIX))
                files[-1].parent.mkdir(exist_ok=True)
                write_failures(files[-1], spool, manifest)
            summary = MediaSummary(
                num_clips=len(manifest),
                num_failed=len(spool.failed()),
                num_warned=sum(bool(clip.warnings) for clip in spool.embedded()),
                num_rows=spool.num_rows,
                size=finish.size_of(spool.embedding_size),
                share_beyond_limits=finish.share_beyond_limits if spool.num_rows else None,
                files=tuple(str(file) for file in files),
                num_resumed=num_resumed,
            )
            if spool.num_rows:
                _say_finished(form, out, made, summary)
            spool.remove()
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{out}: this, or what it lies in, is a file; choose another name") from error
    except OSError as error:
        raise StoreError(f"{out}: the embeddings cannot be written ({error.strerror or error})") from error
    return summary


def require_form(form: Form, out: Path, settings: EmbedSettings) -> None:
    """Refuse what a form cannot hold."""
    if form == "folder":
        changes = [
            option
            for option, is_given in (
                (f"--per {settings.per}", settings.per != "patch"),
                ("--patch-hop-frames", settings.patch_hop_frames is not None),
                ("--pca", settings.pca is not None),
                ("--quantise", settings.quantise),
            )
            if is_given
        ]
        if changes:
            raise SettingsError(
                f"{out}: a folder keeps embeddings as `train` learns from them, one a patch; {', '.join(changes)} is "
                "for files: OUT.parquet, OUT.npy or OUT.tfrecord"
            )
    if form == "tfrecord" and not settings.quantise:
        raise SettingsError(
            f"{out}: Audio Set's layout has 8 bits a number; give --quantise, and unless the model whitens itself "
            "--pca FILE or --pca fit"
        )
    if form != "tfrecord" and settings.shards > 1:
        raise SettingsError(f"shards={settings.shards} is for OUT.tfrecord; {out} is not written in shards")


def _labels(manifest: Manifest, label_set: LabelSet | None) -> LabelSet:
    if label_set is None and not manifest.label_counts():
        return NO_LABELS
    return labels_of(manifest, label_set)


def _embedded(
    embedder: Embedder,
    clips: Manifest | Store,
    spool: EmbeddingSpool,
    per: Per,
    limits: DecodeLimits,
) -> Generator[int]:
    """Embed what is not there yet; gives the number of clips done after each."""
    if isinstance(clips, Store):
        with FrameReader(clips) as reader:
            for clip in range(clips.num_clips):
                if clip not in spool.clips:
                    stream = embedder.embed_frames(_StoredFrames(reader, clip), start_seconds=_start(clips, clip))
                    spool.add(clip, stream, embedding_rows(stream, per=per))
                    yield len(spool.clips)
        return
    sounds = sounds_of(clips, but_for=frozenset(spool.clips))
    limits = replace(limits, workers=min(limits.workers or usable_cpus(), max(1, len(clips))))
    arriving = decoded(sounds, front_end=embedder.front_end, limits=limits, spool_folder=spool.frames_folder)
    with closing(arriving):
        for sound, frames in arriving:
            if isinstance(frames, Failure):
                spool.fail(sound.key, frames.kind, frames.message)
            else:
                stream = embedder.embed_frames(frames, start_seconds=sound.start_seconds)
                spool.add(sound.key, stream, embedding_rows(stream, per=per))
            yield len(spool.clips)


def _start(store: Store, clip: int) -> float | None:
    start: float | None = store.clips["start_seconds"][clip].as_py()
    return start


class _StoredFrames:
    """Frames of a clip of a store, as a decoder gives them."""

    def __init__(self, reader: FrameReader, clip: int) -> None:
        self._reader, self._clip = reader, clip
        row = reader.store.clips.slice(clip, 1).select(["num_frames", "num_samples", "is_padded", "warnings"])
        values = row.to_pylist()[0]
        self._num_frames: int = values["num_frames"]
        self.num_samples: int = values["num_samples"]
        self.is_padded: bool = values["is_padded"]
        self.warnings: tuple[str, ...] = tuple(values["warnings"] or ())

    def __iter__(self) -> Iterator[npt.NDArray[np.float16]]:
        for first in range(0, self._num_frames, _FRAMES_AT_ONCE):
            count = min(_FRAMES_AT_ONCE, self._num_frames - first)
            yield self._reader.read_clip(self._clip, first_frame=first, num_frames=count)


def _fitted(spool: EmbeddingSpool, *, size: int | None, model: AnyModel, per: Per) -> Whitening:
    fit = WhiteningFit(spool.embedding_size)
    for clip in spool.embedded():
        for rows in spool.read(clip):
            fit.push(rows.embeddings)
    provenance: dict[str, Any] = {"model": model.digest, "network": model.architecture.name, "per": per}
    return fit.finish(num_kept=size, provenance={**provenance, "num_clips": sum(1 for _ in spool.embedded())})


def _beside(form: Form, out: Path, suffix: str) -> Path:
    return out / suffix.removeprefix(".") if form == "folder" else out.with_name(out.name + suffix)


def _finished(form: Form, out: Path, made: dict[str, Any]) -> MediaSummary | None:
    """What was written before by the same work; None where nothing is there.

    Raises:
        SettingsError: something else is there.
    """
    shards = made["shards"]
    there = out / EMBEDDINGS_HEADER if form == "folder" else shard_paths(out, shards)[0]
    remedy = "choose another name"
    values = _made_file(form, out).read(out, made, remedy=remedy)
    if there.exists():
        if values is None:
            raise SettingsError(f"{out}: other embeddings, or another file, are there already; {remedy}")
        known = {field.name for field in fields(MediaSummary)}
        said = {name: value for name, value in values.items() if name in known}
        return MediaSummary(**{**said, "files": tuple(said["files"]), "was_complete": True})
    return None


def _require_folder(out: Path, clips: Manifest | Store) -> None:
    """Refuse a folder that cannot be written, before anything is embedded.

    Raises:
        StoreError: it is a file, or holds something else; a column has a name that is added.
    """
    if out.exists():
        if not out.is_dir():
            raise StoreError(f"{out}: this is a file; choose another name")
        require_room(out)
    if isinstance(clips, Manifest):
        require_free_columns(clips)


def _made_file(form: Form, out: Path) -> MadeFile:
    return MadeFile(path=_beside(form, out, MADE_SUFFIX), format=FORMAT, version=FORMAT_VERSION)


def _say_finished(form: Form, out: Path, made: dict[str, Any], summary: MediaSummary) -> None:
    _made_file(form, out).write(made, asdict(summary))
