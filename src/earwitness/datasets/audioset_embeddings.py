"""The layout in which Audio Set's embeddings were published: TFRecord files of SequenceExamples. Without TensorFlow.

    context         video_id            bytes
                    start_time_seconds  float
                    end_time_seconds    float
                    labels              int64 ...: indices into the published class_labels_indices.csv
    feature_lists   audio_embedding     bytes ...: one text of 128 bytes for each patch of 0.96 s

The bytes are embeddings of VGGish that were whitened and brought to 8 bits: `inference.whitening` says how, and brings
them back. A record is one clip.

References: Audio Set's download page, "Features dataset"; tensorflow/core/example/{example,feature}.proto.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from earwitness.datasets.tfrecords import read_records, write_records
from earwitness.errors import RecordError
from earwitness.places import Place

EMBEDDING_SIZE = 128
"""Numbers in each published embedding."""
_CONTEXT = ("video_id", "start_time_seconds", "end_time_seconds", "labels")
_EMBEDDING = "audio_embedding"


@dataclass(frozen=True, kw_only=True)
class EmbeddedClip:
    """One record: a clip with its embeddings."""

    video_id: str
    start_seconds: float
    stop_seconds: float
    """What the layout calls the end; exclusive."""
    labels: tuple[int, ...]
    """Indices into the published label set."""
    embeddings: npt.NDArray[np.uint8]
    """[patches, embedding_size], quantised."""


def read_embedded_clips(path: Place) -> Iterator[EmbeddedClip]:
    """The clips of a TFRecord file, in order.

    Raises:
        RecordError: the file cannot be read or is damaged, or a record is of another layout; its number is named.
    """
    for number, record in enumerate(read_records(path), start=1):
        yield _parsed(record, where=f"{path}: record {number}")


def write_embedded_clips(path: Place, clips: Iterable[EmbeddedClip]) -> int:
    """Write clips as a TFRecord file, whole or not at all, and give their number.

    Raises:
        OSError: it cannot be written.
    """
    return write_records(path, map(_serialised, clips))


def _parsed(record: bytes, *, where: str) -> EmbeddedClip:
    from google.protobuf.message import DecodeError

    example = _sequence_example()()
    try:
        example.ParseFromString(record)
    except DecodeError as error:
        raise RecordError(f"{where}: it is no SequenceExample of TensorFlow's") from error
    context, lists = example.context.feature, example.feature_lists.feature_list
    if _EMBEDDING not in lists or (missing := [name for name in _CONTEXT if name not in context]):
        lacks = _EMBEDDING if _EMBEDDING not in lists else missing[0]
        raise RecordError(
            f"{where} has no {lacks}; it has {', '.join(sorted([*context, *lists])) or 'nothing'}. Audio Set's layout "
            f"has {', '.join((*_CONTEXT, _EMBEDDING))}"
        )
    rows = [feature.bytes_list.value for feature in lists[_EMBEDDING].feature]
    sizes = {len(row[0]) if len(row) == 1 else None for row in rows}
    if len(sizes) > 1 or sizes & {None, 0}:
        raise RecordError(f"{where}: the texts of its {_EMBEDDING} differ in length, or are no bytes; they are damaged")
    embeddings = np.frombuffer(b"".join(row[0] for row in rows), np.uint8)
    return EmbeddedClip(
        video_id=_one(context["video_id"].bytes_list, "video_id", where).decode("utf-8", "surrogateescape"),
        start_seconds=_one(context["start_time_seconds"].float_list, "start_time_seconds", where),
        stop_seconds=_one(context["end_time_seconds"].float_list, "end_time_seconds", where),
        labels=tuple(context["labels"].int64_list.value),
        embeddings=embeddings.reshape(len(rows), -1) if rows else embeddings.reshape(0, EMBEDDING_SIZE),
    )


def _one(values: Any, name: str, where: str) -> Any:
    if len(values.value) != 1:
        raise RecordError(f"{where}: its {name} has {len(values.value)} values of the kind expected; one is needed")
    return values.value[0]


def _serialised(clip: EmbeddedClip) -> bytes:
    example = _sequence_example()()
    context = example.context.feature
    context["video_id"].bytes_list.value.append(clip.video_id.encode("utf-8", "surrogateescape"))
    context["start_time_seconds"].float_list.value.append(clip.start_seconds)
    context["end_time_seconds"].float_list.value.append(clip.stop_seconds)
    context["labels"].int64_list.value.extend(clip.labels)
    features = example.feature_lists.feature_list[_EMBEDDING].feature
    for row in clip.embeddings:
        features.add().bytes_list.value.append(row.tobytes())
    record: bytes = example.SerializeToString(deterministic=True)
    return record


@lru_cache(maxsize=1)
def _sequence_example() -> Any:
    """The class of SequenceExample messages, in a pool of its own: TensorFlow may be there as well."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def message(name: str, fields: dict[str, tuple[int, str | None, bool]], *, parent: Any = file.message_type) -> Any:
        """Add a message type. Its fields, numbered from 1, have a kind, the message they hold, if any, and repeat."""
        added = parent.add(name=name)
        for number, (field, (kind, holds, repeats)) in enumerate(fields.items(), start=1):
            label = field_type.LABEL_REPEATED if repeats else field_type.LABEL_OPTIONAL
            held = f".tensorflow.{holds}" if holds else None
            added.field.add(name=field, number=number, type=kind, label=label, type_name=held)
        return added

    def message_with_map(name: str, field: str, holds: str) -> None:
        entry = f"{''.join(word.capitalize() for word in field.split('_'))}Entry"
        added = message(name, {field: (field_type.TYPE_MESSAGE, f"{name}.{entry}", True)})
        pairs = {"key": (field_type.TYPE_STRING, None, False), "value": (field_type.TYPE_MESSAGE, holds, False)}
        message(entry, pairs, parent=added.nested_type).options.map_entry = True

    for name, kind in (("Bytes", "BYTES"), ("Float", "FLOAT"), ("Int64", "INT64")):
        message(f"{name}List", {"value": (getattr(field_type, f"TYPE_{kind}"), None, True)})
    lists = ("BytesList", "FloatList", "Int64List")
    feature = message(
        "Feature", {f"{name[:-4].lower()}_list": (field_type.TYPE_MESSAGE, name, False) for name in lists}
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    message_with_map("Features", "feature", "Feature")
    message("FeatureList", {"feature": (field_type.TYPE_MESSAGE, "Feature", True)})
    message_with_map("FeatureLists", "feature_list", "FeatureList")
    message(
        "SequenceExample",
        {
            "context": (field_type.TYPE_MESSAGE, "Features", False),
            "feature_lists": (field_type.TYPE_MESSAGE, "FeatureLists", False),
        },
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.SequenceExample"))
