"""`store.json`: what a store holds, from what it was made, and whether it is finished.

Everything in it follows from the manifest, the settings and the versions at work: it holds no times, and of paths
only the name of the manifest's file, so the same build gives the same file. (The parts carry the columns of the
manifest as they are, the paths of `media` among them.)

Version 2 added checksums of frames, the kept manifest, rows appended later, and data in a folder of another name; a
store of version 1 is one in which none of these is there yet.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from earwitness.errors import EarwitnessError, StoreError
from earwitness.files import replacing
from earwitness.front_end import FrontEnd
from earwitness.labels import LabelSet
from earwitness.places import Place
from earwitness.store.column_json import column_json

FILE_NAME = "store.json"
FORMAT = "earwitness store"
FORMAT_VERSION = 2
READ_VERSIONS = (1, 2)

_DIGEST_ROWS = 65_536
_DATA_FOLDER = re.compile(r"\.|compacted-\d+")
"""Nothing outside the store: what `data_folder` names may be deleted one day."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Counts over a finished store."""

    num_clips: int
    """Clips stored."""
    num_failed: int
    """Manifest rows in the failures table, those that were dropped among them."""
    num_warned: int
    """Stored clips with at least one warning."""
    num_frames: int
    """Frames of all clips together."""
    seconds_of_sound: float
    """Length of all clips together."""


@dataclass(frozen=True, kw_only=True)
class StoreHeader:
    """The content of `store.json`."""

    front_end: FrontEnd
    label_set: LabelSet
    manifest_digest: str
    """Of every cell of the manifest; where others were appended, of all rows together."""
    manifest_source: str
    """The manifest's name, for messages only."""
    num_rows: int
    """Rows of the manifest, appended ones included."""
    clips_per_part: int
    """Rows of every part but the last, and the last before rows were appended."""
    appended: tuple[int, ...] = ()
    """Rows that were appended, each time; each time they begin a part."""
    data_folder: str = "."
    """Where parts, index and manifest lie, within the store's folder; `store compact` makes a new one."""
    totals: Totals | None = None
    """None while the store is unfinished."""
    merged_from: tuple[str, ...] = ()
    """Fingerprints of the stores that it was merged from, if it was."""
    fingerprint: str | None = None
    """Of the finished store, see `store.index`; None while it is unfinished."""
    built_with: tuple[dict[str, str], ...] = ()
    """Versions of what decoded, by name, for people: one set, or several where a build was finished by others."""

    @property
    def part_rows(self) -> tuple[range, ...]:
        """For each part of the finished store, its rows of the manifest."""
        found, first = [], 0
        for num_rows in (self.num_rows - sum(self.appended), *self.appended):
            stop = first + num_rows
            starts = range(first, stop, self.clips_per_part)
            found += [range(start, min(start + self.clips_per_part, stop)) for start in starts]
            first = stop
        return tuple(found)

    @property
    def num_parts(self) -> int:
        """Parts of the finished store."""
        return len(self.part_rows)

    @property
    def is_finished(self) -> bool:
        """Whether every part and the index are there."""
        return self.totals is not None

    def differences(self, other: "StoreHeader") -> str:
        """Why the two cannot be one store, as `what: mine / theirs`, but for their manifests; empty where they can."""
        found = []
        if self.front_end.identity != other.front_end.identity:  # short clips are filled up to one patch
            found.append(f"front end: {self.front_end.differences(other.front_end)}")
        if self.label_set != other.label_set:
            mine, theirs = self.label_set, other.label_set
            found.append(f"label set: {len(mine)} labels ({mine.identity}) / {len(theirs)} labels ({theirs.identity})")
        if self.clips_per_part != other.clips_per_part:
            found.append(f"clips_per_part: {self.clips_per_part} / {other.clips_per_part}")
        return "; ".join(found)


def write_header(folder: Place, header: StoreHeader) -> None:
    """Put `store.json` into a folder, in place of one that may be there."""
    with replacing(folder / FILE_NAME) as file:
        file.write(json.dumps(_values(header), indent=1, ensure_ascii=False).encode() + b"\n")


def _values(header: StoreHeader) -> dict[str, Any]:
    """What is written: what was given, its checksum, and before them what follows from the parts."""
    given = {
        "manifest": {
            "source": header.manifest_source,
            "digest": header.manifest_digest,
            "num_rows": header.num_rows,
            "appended": header.appended,
        },
        "data_folder": header.data_folder,
        "merged_from": header.merged_from,
        "clips_per_part": header.clips_per_part,
        "built_with": header.built_with,
        "front_end": header.front_end.to_dict(),
        "labels": header.label_set.to_rows(),
    }
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode())
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "state": "finished" if header.is_finished else "unfinished",
        "fingerprint": header.fingerprint,
        "totals": asdict(header.totals) if header.totals else None,
        "num_parts": header.num_parts,
        **json.loads(json.dumps(given)),  # tuples as they are read again
        "checksum": digest.hexdigest()[:16],
    }


def changed_in_header(folder: Place, header: StoreHeader) -> list[str]:
    """What in `store.json` is not as it was written; `checksum` where it is something that was given, and not made
    from the parts. Earlier versions wrote no checksum.
    """
    there = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    if there["version"] != FORMAT_VERSION:
        return []
    expected = _values(header)
    changed = [name for name in {**there, **expected} if there.get(name) != expected.get(name)]
    return [] if changed == ["checksum"] and "checksum" not in there else changed


def read_header(folder: Place) -> StoreHeader:
    """Read `store.json`.

    Raises:
        StoreError: the folder holds no store, or one that is damaged or of another format version.
    """
    path = folder / FILE_NAME
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = "the folder holds no store" if folder.is_dir() else "there is no such folder"
        raise StoreError(f"{folder}: {what} (no {FILE_NAME}); `earwitness prepare` makes one") from None
    except NotADirectoryError:
        raise StoreError(f"{folder}: this is a file; a store is a folder that `earwitness prepare` makes") from None
    except OSError as error:
        raise StoreError(f"{path}: the store cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise StoreError(f"{path}: damaged, not JSON ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise StoreError(f"{path}: this describes no {FORMAT}")
    if values.get("version") not in READ_VERSIONS:
        raise StoreError(
            f"{folder}: the store has format version {values.get('version')}, this earwitness reads versions "
            f"{' and '.join(map(str, READ_VERSIONS))}; update earwitness or prepare the store again"
        )
    try:
        if not _DATA_FOLDER.fullmatch(data_folder := values.get("data_folder", ".")):
            raise StoreError(f"data_folder is {data_folder!r}")
        return StoreHeader(
            front_end=FrontEnd.from_dict(values["front_end"]),
            label_set=LabelSet.from_rows(values["labels"]),
            manifest_digest=values["manifest"]["digest"],
            manifest_source=values["manifest"]["source"],
            num_rows=values["manifest"]["num_rows"],
            clips_per_part=values["clips_per_part"],
            appended=tuple(values["manifest"].get("appended", ())),
            data_folder=data_folder,
            merged_from=tuple(values.get("merged_from", ())),
            totals=Totals(**values["totals"]) if values["totals"] else None,
            fingerprint=values["fingerprint"],
            built_with=tuple(values.get("built_with", ())),
        )
    except (KeyError, TypeError, EarwitnessError) as error:
        raise StoreError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def digest_table(table: pa.Table) -> str:
    """16 hex digits over names and cells of a table, whatever file or chunks they came in."""
    digest = hashlib.sha256(json.dumps(table.column_names).encode())
    for first_row in range(0, table.num_rows, _DIGEST_ROWS):
        rows = table.slice(first_row, _DIGEST_ROWS)
        for column in rows.columns:
            digest.update(column_json(column))
    return digest.hexdigest()[:16]
