"""What a file or folder looks like, for those who gave it to the wrong adapter.

Only names and the first lines are looked at; nothing here decides anything.
"""

import tarfile
from pathlib import Path

from earwitness.errors import ManifestError

HEAD_BYTES = 4096

_TABLES = (  # how a header begins, lower case and without spaces; what it is; what takes it
    ("#segmentscsv", "Audio Set's list of segments", "`earwitness manifest audioset {path}` takes it"),
    ("#ytid", "Audio Set's list of segments", "`earwitness manifest audioset {path}` takes it"),
    ("ytid,", "Audio Set's list of segments", "`earwitness manifest audioset {path}` takes it"),
    (
        "segment_id\tstart_time_seconds",
        "Audio Set's strong labels, which are events within clips and not clips",
        "the segments are listed in *_segments.csv",
    ),
    (
        "index,mid,display_name",
        "Audio Set's table of labels, which lists no clips",
        "it is what --label-set {path} takes, there and in `earwitness prepare`",
    ),
    ("filename,fold,target,category", "ESC-50's table", "`earwitness manifest esc50 {grandparent}` takes its folder"),
    ("slice_file_name,fsid", "UrbanSound8K's table", "`earwitness manifest urbansound8k` takes the folder it lies in"),
    ("fname,labels,mids", "FSD50K's ground truth", "`earwitness manifest fsd50k {grandparent}` takes its folder"),
    (
        "file_name",
        "the metadata of a Hugging Face audio folder",
        "`earwitness manifest huggingface {parent}` takes its folder",
    ),
    ("clip_id,media", "a manifest already", "`earwitness prepare {path} STORE` takes it"),
)

_CORPORA = (  # a path within; what the folder is; what takes it
    ("meta/esc50.csv", "ESC-50", "esc50"),
    ("meta/esc10.csv", "ESC-10", "esc50"),
    ("metadata/UrbanSound8K.csv", "UrbanSound8K", "urbansound8k"),
    ("UrbanSound8K.csv", "UrbanSound8K", "urbansound8k"),
    ("FSD50K.ground_truth", "FSD50K", "fsd50k"),
)

_FOLDERS = (
    ("metadata.csv", "a Hugging Face audio folder", "huggingface"),
    ("metadata.jsonl", "a Hugging Face audio folder", "huggingface"),
    ("metadata.parquet", "a Hugging Face audio folder", "huggingface"),
    ("*/metadata.csv", "a Hugging Face audio folder", "huggingface"),
    ("*/metadata.jsonl", "a Hugging Face audio folder", "huggingface"),
    ("*_segments.csv", "Audio Set's lists", "audioset"),
    ("*.tar", "WebDataset's shards", "webdataset"),
)

_MAGIC = (
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"BZh", "a bzip2 file; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file; unpack it first"),
    (b"PK", "a zip archive; unpack it first"),
    (b"PAR1", "Parquet; rename it to end in .parquet"),
    (b"RIFF", "a sound or video file, not a table"),
    (b"fLaC", "a sound file, not a table"),
    (b"OggS", "a sound file, not a table"),
    (b"ID3", "a sound file, not a table"),
)


def recognised(path: Path, *, but: str | None = None) -> str | None:
    """What `path` looks like and which adapter would take it, as the rest of a sentence; None: nothing known.

    Args:
        path: a file or folder; need not be there.
        but: the adapter that has just refused it, which is not named again.
    """
    try:
        known = _folder(path) if path.is_dir() else _file(path) if path.is_file() else None
    except OSError:
        return None
    return None if known is None or (but is not None and f"manifest {but} " in known) else known


def hint(path: Path, *, but: str | None = None) -> str:
    """`recognised`, as the end of an error message; empty where it is nothing known."""
    known = recognised(path, but=but)
    return f"; this looks like {known}" if known else ""


def refuse_published(folder: Path) -> None:
    """Refuse a folder of media that is a corpus with a table of its own: its folders are no labels.

    Raises:
        ManifestError: says which corpus it is and what takes it.
    """
    for name, what, adapter in _CORPORA:
        if (folder / name).exists():
            raise ManifestError(f"{folder}: this is {what}: `earwitness manifest {adapter} {folder}` takes it")


def _folder(folder: Path) -> str | None:
    for name, what, adapter in (*_CORPORA, *_FOLDERS):
        if found := next(folder.glob(name), None):
            target = found.parent / "*_segments.csv" if adapter == "audioset" else folder
            return f"{what}: `earwitness manifest {adapter} {target}` takes it"
    for name, what, adapter in _CORPORA:
        if (folder.parent / name).exists():
            return f"a part of {what}: `earwitness manifest {adapter} {folder.parent}` takes the whole"
    return None


def _file(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for magic, what in _MAGIC:
        if head.startswith(magic) and not (magic == b"PAR1" and path.suffix.lower() == ".parquet"):
            return what
    if head[4:8] == b"ftyp":
        return "a sound or video file, not a table"
    if tarfile.is_tarfile(path):
        return f"a tar archive: `earwitness manifest webdataset {path}` takes it"
    text = head.decode("utf-8-sig", "replace")
    first = text.replace(" ", "").replace('"', "").lower()
    for beginning, what, taken in _TABLES:
        if first.startswith(beginning):
            return f"{what}: " + taken.format(path=path, parent=path.parent, grandparent=path.parent.parent)
    if path.suffix.lower() == ".json" and '"child_ids"' in text:
        return "Audio Set's ontology, which lists no clips"
    return None
