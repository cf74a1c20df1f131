"""WebDataset shards: tars in which the files of one sample share a name but for the extension.

    000017.flac   000017.json   000017.cls   000017.txt

A sample with a media file becomes a clip, whose sound stays in the tar: `media` is the shard, `media_offset_bytes` and
`media_num_bytes` the place in it. Labels come from one more member of the sample:

    .cls    one label; a number is its index where a label set is given
    .json   a text, a number, or a list of them, under a key; `a.b` is a key within a key
    .txt    one label a line, or several separated by `label_separator`

The clip's id is the sample's key; where keys repeat over the shards, `SHARD/KEY`, and where names of shards repeat over
folders, `FOLDER/SHARD/KEY`. `shard` is the name of its tar.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from earwitness.datasets.adapted import Adapted
from earwitness.datasets.media import MEDIA_SUFFIXES
from earwitness.datasets.recognise import hint
from earwitness.datasets.shards import Member, expand, read_member, read_shard, samples
from earwitness.errors import LabelError, ManifestError
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest

_LABEL_MEMBERS = ("cls", "json")
_LABEL_KEYS = ("labels", "label", "tags", "tag")
_MAX_TEXT_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """Which members of a sample mean what."""

    media_extension: str | None = None
    """The extension of the sound where a sample has several media files, such as flac. None: it has one."""
    label_extension: str | None = None
    """The member with the labels: json, cls or txt. None: cls, else json where the sample has it."""
    label_key: str | None = None
    """Where in the JSON the labels stand, such as tags or meta.tags. None: labels, label, tags or tag."""
    label_separator: str | None = None
    """What stands between the labels of one text. None: a text, or a line of a .txt, is one label."""
    carry: tuple[str, ...] = ()
    """Keys of the JSON that become columns, such as split or fold."""


def manifest_from_webdataset(
    shards: Sequence[str], *, settings: SampleSettings, label_set: LabelSet | None = None
) -> Adapted:
    """Make a manifest of tar shards.

    Args:
        shards: paths, brace patterns, or folders of tars.
        settings: which members mean what.
        label_set: turns numbers into labels, and refuses labels outside it; None takes numbers as they stand.

    Raises:
        ManifestError: a shard is missing, compressed or no tar, holds a sample that cannot be read (it is named), or
            no sample has a media file.
        LabelError: a label is not in the set.
    """
    if not shards:
        raise ManifestError("no shard is given; name at least one tar, or a pattern such as 'train-{000..099}.tar'")
    reader = _Reader(settings, label_set)
    read: set[Path] = set()
    for pattern in shards:
        try:
            paths = expand(pattern)
        except ManifestError as error:
            raise ManifestError(f"{error}{hint(Path(pattern))}") from error
        for path in map(Path.resolve, paths):
            if path in read:
                raise ManifestError(f"{path}: this shard is given twice")
            read.add(path)
            reader.read(path)
    if not reader.rows:
        raise ManifestError(
            f"{', '.join(shards)}: no sample has a media file; {'; '.join(reader.remarks()) or 'the tars are empty'}"
        )
    ids = [row["key"] for row in reader.rows]
    if len(set(ids)) < len(ids):
        names = _shard_names(list(dict.fromkeys(row["media"] for row in reader.rows)))
        ids = [f"{names[row['media']]}/{row['key']}" for row in reader.rows]
    columns: dict[str, Any] = {
        "clip_id": ids,
        "media": [row["media"] for row in reader.rows],
        "labels": pa.array([row["labels"] for row in reader.rows], pa.list_(pa.string())),
        "media_offset_bytes": pa.array([row["member"].offset_bytes for row in reader.rows], pa.int64()),
        "media_num_bytes": pa.array([row["member"].num_bytes for row in reader.rows], pa.int64()),
        "shard": [row["shard"] for row in reader.rows],
    }
    for key in settings.carry:
        columns[key] = _one_kind([row["carried"][key] for row in reader.rows])
    manifest = Manifest.from_table(pa.table(columns), source=", ".join(shards))
    return Adapted(manifest=manifest, missing=(), remarks=reader.remarks())


def _shard_names(paths: list[str]) -> dict[str, str]:
    """What to call each shard: its name without the suffix, or its path below the folder that holds all of them."""
    names = {path: Path(path).stem for path in paths}
    if len(set(names.values())) == len(paths):
        return names
    above = os.path.commonpath(paths)
    return {path: Path(path).relative_to(above).with_suffix("").as_posix() for path in paths}


class _Reader:
    """Gathers the samples of one shard after the other."""

    def __init__(self, settings: SampleSettings, label_set: LabelSet | None) -> None:
        self.settings = settings
        self.label_set = label_set
        self.rows: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.num_skipped = 0
        self.without_media: list[str] = []
        self.without_labels: list[str] = []

    def read(self, path: Path) -> None:
        """Take in a shard."""
        try:
            shard = read_shard(path)
        except ManifestError as error:
            raise ManifestError(f"{error}{hint(path, but='webdataset')}") from error
        self.num_skipped += shard.num_skipped
        if shard.fault:
            self.faults.append(f"{path}: {shard.fault}; what is whole before that is taken")
        with path.open("rb") as file:
            for key, members in samples(shard.members):
                self._take(f"{path.name}: sample {key}", file, key, path, members)

    def remarks(self) -> tuple[str, ...]:
        """What is to be said, in sentences."""
        said = list(self.faults)
        if names := self.without_media:
            fate = "has no media file and is" if len(names) == 1 else "have no media file and are"
            said.append(f"{_samples(names)} {fate} left out: {_first(names)}")
        if names := self.without_labels:
            said.append(f"{_samples(names)} {'has' if len(names) == 1 else 'have'} no label: {_first(names)}")
        for key in self.settings.carry:
            if all(row["carried"][key] is None for row in self.rows):
                said.append(f"no sample has the key {key!r} (--carry), so its column is empty")
        if self.num_skipped:
            said.append(f"{self.num_skipped:,} members of the tars are no plain files with a readable name")
        return tuple(said)

    def _take(self, sample: str, file: BinaryIO, key: str, path: Path, members: dict[str, Member]) -> None:
        media = self._media(sample, members)
        if media is None:
            self.without_media.append(sample)
            return
        values = self._json(sample, file, members) if self._needs_json(members) else {}
        labels = self._labels(sample, file, members, values)
        if not labels:
            self.without_labels.append(sample)
        carried = {name: _at(values, name) for name in self.settings.carry}
        self.rows.append(
            {"key": key, "media": str(path), "shard": path.name, "member": media, "labels": labels, "carried": carried}
        )

    def _media(self, sample: str, members: dict[str, Member]) -> Member | None:
        if self.settings.media_extension is not None:
            return members.get(self.settings.media_extension.lower().lstrip("."))
        found = [extension for extension in members if f".{extension.rpartition('.')[2]}" in MEDIA_SUFFIXES]
        if len(found) > 1:
            raise ManifestError(
                f"{sample} has several media files, {', '.join(sorted(found))}; say which by --media-extension"
            )
        return members[found[0]] if found else None

    def _label_extension(self, members: dict[str, Member]) -> str | None:
        if self.settings.label_extension is not None:
            return self.settings.label_extension.lower().lstrip(".")
        return next((extension for extension in _LABEL_MEMBERS if extension in members), None)

    def _needs_json(self, members: dict[str, Member]) -> bool:
        return "json" in members and (bool(self.settings.carry) or self._label_extension(members) == "json")

    def _json(self, sample: str, file: BinaryIO, members: dict[str, Member]) -> dict[str, Any]:
        try:
            text = _text(sample, file, members["json"])
            values = json.loads(text)
            if "\\u" in text:
                json.dumps(values, ensure_ascii=False).encode()  # an escape may be half a sign, which is no text
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{sample}: its .json is not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ManifestError(f"{sample}: its .json is not a JSON object of keys and values")
        return values

    def _labels(self, sample: str, file: BinaryIO, members: dict[str, Member], values: dict[str, Any]) -> list[str]:
        extension = self._label_extension(members)
        if extension is None or extension not in members:
            return []
        if extension == "json":
            key = self.settings.label_key or next((key for key in _LABEL_KEYS if key in values), None)
            if key is None:
                raise ManifestError(
                    f"{sample}: its .json has none of the keys {', '.join(_LABEL_KEYS)}; say where the labels stand by "
                    f"--label-key. Its keys are {', '.join(values)}"
                )
            found = _at(values, key)
        else:
            found = [line for line in _text(sample, file, members[extension]).splitlines() if line.strip()]
        return self._clean(sample, found)

    def _clean(self, sample: str, found: Any) -> list[str]:
        """Labels as texts, each once, in order."""
        labels: dict[str, None] = {}
        for value in found if isinstance(found, list) else [] if found is None else [found]:
            if not isinstance(value, (str, int)) or isinstance(value, bool):
                raise ManifestError(
                    f"{sample}: a label must be a text or a number; came {json.dumps(value)[:80]} (--label-key says "
                    "where labels stand)"
                )
            separator = self.settings.label_separator
            for text in str(value).split(separator) if separator else [str(value)]:
                if text.strip():
                    labels[self._known(sample, text.strip())] = None
        return list(labels)

    def _known(self, sample: str, label: str) -> str:
        if self.label_set is None or label in self.label_set.index_of:
            return label
        if label.isdecimal() and len(label) < 10 and int(label) < len(self.label_set):
            return self.label_set.ids[int(label)]
        raise LabelError(f"{sample}: unknown label {label!r}; {self.label_set.describe(near=label)}")


def _text(sample: str, file: BinaryIO, member: Member) -> str:
    if member.num_bytes > _MAX_TEXT_BYTES:
        raise ManifestError(f"{sample}: {member.name} has {member.num_bytes:,} bytes; that is no file of labels")
    try:
        return read_member(file, member).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{sample}: {member.name} is not UTF-8 text") from error


def _samples(names: list[str]) -> str:
    return "1 sample" if len(names) == 1 else f"{len(names):,} samples"


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3)


def _at(values: Any, key: str) -> Any:
    """The value under a key, or under a path of keys; None where there is none."""
    if isinstance(values, dict) and key in values:
        return values[key]
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _one_kind(values: list[Any]) -> pa.Array:
    """A column of numbers where all are numbers that fit, else of texts; lists and objects as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and (kinds <= {int, float} or kinds == {bool}) and all(abs(value or 0) < 2**53 for value in values):
        return pa.array(values)
    texts = [value if isinstance(value, str) or value is None else json.dumps(value) for value in values]
    return pa.array(texts, pa.string())
