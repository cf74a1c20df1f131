"""Published embeddings, TFRecord files as those of Audio Set, as a folder that `train` learns from.

The 8 bits become numbers again (`inference.whitening.dequantise`). A clip is called as in Audio Set's lists, by video
and milliseconds; its `split` is the folder that the file lies in (bal_train, eval), its `group` the video. The model
beside the embeddings is the VGGish that is given, with its whitening, so that what is learnt can hear; or else one that
stands in for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from earwitness.datasets.audioset_embeddings import EMBEDDING_SIZE, EmbeddedClip, read_embedded_clips
from earwitness.datasets.tfrecords import SUFFIX
from earwitness.errors import ModelError, RecordError, SettingsError, StoreError
from earwitness.front_end import FrontEnd
from earwitness.inference.whitening import dequantise
from earwitness.labels import NO_LABELS, LabelSet
from earwitness.models.description import PUBLISHED_EMBEDDINGS, Architecture
from earwitness.models.model_file import Model
from earwitness.scoring.embedding_folder import Append, FilledClips, write_folder


@dataclass(frozen=True, kw_only=True)
class RecordsSummary:
    """What a call of `embeddings_of_records` came to."""

    num_files: int
    num_clips: int
    num_patches: int
    num_labels: int
    """Labels that some clip has."""
    num_empty: int
    """Records without any embedding, which are left out."""


def record_files(sources: Sequence[str]) -> list[Path]:
    """The files that are named, and all `.tfrecord` in the folders that are named, at any depth.

    Raises:
        RecordError: a folder holds none.
    """
    files: list[Path] = []
    for source in map(Path, sources):
        found = sorted(source.rglob(f"*{SUFFIX}")) if source.is_dir() else [source]
        if not found:
            raise RecordError(f"{source}: no file in this folder ends in {SUFFIX}")
        files += found
    return files


def embeddings_of_records(
    files: Sequence[Path],
    folder: Path,
    *,
    label_set: LabelSet | None,
    vggish: Model | None = None,
    progress: Callable[[int], None] | None = None,
) -> RecordsSummary:
    """Write the embeddings of all records to a folder, laid out as `store.embeddings` says.

    Args:
        files: TFRecord files.
        folder: made if need be.
        label_set: what the label numbers of the records mean. None: none has labels.
        vggish: what made the embeddings. None: it is not at hand.
        progress: told the number of files read.

    Raises:
        RecordError: a file is damaged or of another layout, or a label number is not in the set.
        ModelError: the model is none that makes such embeddings.
        SettingsError: records have labels, and there is no label set.
        StoreError: the folder holds something else, or cannot be written.
    """
    labels = label_set or NO_LABELS
    if vggish is not None:
        _require_whitening(vggish)
    model = _stand_in(labels) if vggish is None else vggish
    hop = model.front_end.patch_hop_frames
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    counts: list[int] = []
    num_empty = 0

    def fill(append: Append) -> FilledClips:
        nonlocal num_empty
        for number, file in enumerate(files):
            if progress is not None:
                progress(number)
            for place, clip in enumerate(read_embedded_clips(file), start=1):
                where = f"{file}: record {place}"
                if (size := clip.embeddings.shape[1]) != EMBEDDING_SIZE:
                    raise RecordError(f"{where} has embeddings of {size} numbers; {EMBEDDING_SIZE} are needed")
                if not len(clip.embeddings):
                    num_empty += 1
                    continue
                append(dequantise(clip.embeddings))
                counts.append(len(clip.embeddings))
                num_frames = (counts[-1] - 1) * hop + model.front_end.patch_frames
                row = _row(clip, _labels(clip, label_set, where), split=file.resolve().parent.name)
                for name, value in (row | {"num_frames": num_frames}).items():
                    columns[name].append(value)
        if not counts:
            raise RecordError(f"{files[0]}: no record holds an embedding")
        _require_once(columns["clip_id"], files)
        return FilledClips(pa.table(columns, _SCHEMA), np.array(counts, np.int64))

    try:
        filled = write_folder(folder, fill, model=model, label_set=labels, embedding_size=EMBEDDING_SIZE)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder}: this is, or lies in, a file; a folder is needed for embeddings") from error
    except OSError as error:
        raise StoreError(f"{folder}: the embeddings cannot be written ({error.strerror or error})") from error
    return RecordsSummary(
        num_files=len(files),
        num_clips=filled.table.num_rows,
        num_patches=sum(counts),
        num_labels=len({label for row in columns["labels"] for label in row}),
        num_empty=num_empty,
    )


_SCHEMA = pa.schema(
    {
        "clip_id": pa.string(),
        "media": pa.string(),
        "start_seconds": pa.float64(),
        "stop_seconds": pa.float64(),
        "labels": pa.list_(pa.string()),
        "split": pa.string(),
        "group": pa.string(),
        "num_frames": pa.int64(),
    }
)


def _row(clip: EmbeddedClip, labels: list[str], *, split: str) -> dict[str, Any]:
    return {
        "clip_id": f"{clip.video_id}_{round(clip.start_seconds * 1_000)}",
        "media": clip.video_id,
        "start_seconds": clip.start_seconds,
        "stop_seconds": clip.stop_seconds,
        "labels": labels,
        "split": split,
        "group": clip.video_id,
    }


def _labels(clip: EmbeddedClip, label_set: LabelSet | None, where: str) -> list[str]:
    if label_set is None and clip.labels:
        raise SettingsError(
            f"{where} has labels by number; give what they mean: --label-set class_labels_indices.csv, as Audio Set "
            "publishes it"
        )
    ids = () if label_set is None else label_set.ids
    for label in clip.labels:
        if not 0 <= label < len(ids):
            raise RecordError(f"{where} has the label {label}, and the label set has {len(ids)}; is it another one?")
    return [ids[label] for label in clip.labels]


def _require_once(clip_ids: Sequence[str], files: Sequence[Path]) -> None:
    if len(set(clip_ids)) < len(clip_ids):
        seen: set[str] = set()
        twice = next(name for name in clip_ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise RecordError(f"{files[0].parent}: the clip {twice} is there twice; name each file once")


def _require_whitening(vggish: Model) -> None:
    is_whitened, size = vggish.architecture.arguments.get("whiten", False), vggish.network.embedding_size
    if vggish.architecture.name != "vggish" or not is_whitened or size != EMBEDDING_SIZE:
        whitened = "" if is_whitened else ", not whitened,"
        raise ModelError(
            f"a {vggish.architecture.name} that gives {size} numbers{whitened} does not make such embeddings; it takes "
            "VGGish as published, with its whitening: earwitness import vggish_model.ckpt --as vggish "
            "--pca vggish_pca_params.npz"
        )


def _stand_in(label_set: LabelSet) -> Model:
    front_end = FrontEnd()
    arguments = {
        "num_labels": len(label_set),
        "patch_frames": front_end.patch_frames,
        "num_bands": front_end.num_bands,
        "embedding_size": EMBEDDING_SIZE,
    }
    architecture = Architecture(name=PUBLISHED_EMBEDDINGS, arguments=arguments)
    network = architecture.build()
    with torch.no_grad():  # nothing was learnt yet
        network.head.weight.zero_()
        network.head.bias.zero_()
    provenance = {"origin": "stands in for the network that made published embeddings"}
    return Model(
        network=network.eval(),
        architecture=architecture,
        label_set=label_set,
        front_end=front_end,
        provenance=provenance,
    )
