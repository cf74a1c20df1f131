"""Hugging Face audio folders, in the forms that the library `datasets` loads as `audiofolder`.

    train/metadata.csv    file_name,label     metadata.csv, .jsonl or .parquet, here or in several folders; `file_name`
    train/a.wav           a.wav,dog           (or `audio_file_name`) is relative to the metadata's folder
    test/dog/b.wav                            without metadata: the folder that holds the file is the label

Where all files lie below folders named `train`, `validation` or `test` (or as below), here or in `data/`, that is
the `split`. A clip's id is its path below the folder. Other columns of the metadata are carried along.
"""

from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet

from earwitness.datasets.adapted import Adapted
from earwitness.datasets.media import media_below
from earwitness.datasets.recognise import hint, refuse_published
from earwitness.datasets.tables import manifest_from_table
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest
from earwitness.table_files import first_line, read_table

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_NAME_COLUMNS = ("file_name", "audio_file_name")
_LABEL_COLUMNS = ("label", "labels")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def manifest_from_audio_folder(
    folder: str | Path, *, label_column: str | None = None, label_separator: str | None = None
) -> Adapted:
    """Make a manifest of an audio folder.

    Args:
        folder: the root of the data set.
        label_column: of the metadata; None: `label` or `labels`.
        label_separator: between the labels of one cell; None: a cell is one label.

    Raises:
        ManifestError: there is neither metadata nor a folder per label, a table is damaged (the row is named), a
            column is missing, or no audio file is there.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        reason = "this is a file" if folder.exists() else "there is no such folder"
        raise ManifestError(f"{folder}: {reason}; an audio folder is needed{hint(folder)}")
    refuse_published(folder)
    found = media_below(folder)
    metadata = sorted(path for name in _METADATA for path in folder.rglob(name))
    if not metadata:
        return _from_folders(folder, found)
    tables = [_from_metadata(path, folder, label_column, label_separator) for path in metadata]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(
            f"{folder}: a column of the metadata is of one type here and of another there ({first_line(error)})"
        ) from error
    table = _with_split(table)
    listed = set(table["clip_id"].to_pylist())
    unlisted = [path for path in found if path not in listed]
    remarks = []
    if unlisted:
        shown = ", ".join(unlisted[:3]) + (", ..." if len(unlisted) > 3 else "")
        remarks.append(f"{len(unlisted):,} media files are listed in no metadata and left out: {shown}")
    return Adapted.of(Manifest.from_table(table, source=str(folder)), remarks=remarks)


def _from_metadata(path: Path, folder: Path, label_column: str | None, label_separator: str | None) -> pa.Table:
    names = read_table(path).column_names
    name_column = next((name for name in _NAME_COLUMNS if name in names), None)
    if name_column is None:
        raise ManifestError(f"{path}: no column 'file_name'; the columns are {', '.join(names)}{hint(path)}")
    label_column = label_column or next((name for name in _LABEL_COLUMNS if name in names), None)
    if label_column is None:
        raise ManifestError(
            f"{path}: no column 'label' or 'labels'; name the one that has the labels by --label-column. The columns "
            f"are {', '.join(names)}"
        )
    manifest = manifest_from_table(
        path, media_column=name_column, label_column=label_column, label_separator=label_separator
    )
    prefix = f"{folder}/"
    ids = [str(PurePosixPath(media.removeprefix(prefix))) for media in manifest.table["media"].to_pylist()]
    return manifest.table.set_column(0, "clip_id", pa.array(ids))


def _from_folders(folder: Path, found: list[str]) -> Adapted:
    if not found:
        embedded = next(folder.rglob("*.parquet"), None)
        why = (
            f"{embedded.name} seems to hold the sound itself, which is not read; save it as files with metadata.csv"
            if embedded is not None
            else f"neither metadata.csv, .jsonl or .parquet nor media files lie in it{hint(folder, but='huggingface')}"
        )
        raise ManifestError(f"{folder}: {why}")
    table = _with_split(pa.table({"clip_id": found, "media": [f"{folder}/{path}" for path in found]}))
    num_above = 0 if "split" not in table.column_names else 1
    labels = []
    for path in found:
        folders = [name for name in PurePosixPath(path).parts[:-1] if name != "data"]
        labels.append([folders[-1]] if len(folders) > num_above else [])
    unlabelled = [path for path, label in zip(found, labels, strict=True) if not label]
    if len(unlabelled) == len(found):
        other = hint(folder, but="huggingface")
        raise ManifestError(f"{folder}: it has neither metadata.csv, .jsonl or .parquet nor a folder per label{other}")
    remarks = (
        [f"{len(unlabelled):,} files lie in no label's folder and have no label: {', '.join(unlabelled[:3])}"]
        if unlabelled
        else []
    )
    table = table.append_column("labels", pa.array(labels, pa.list_(pa.string())))
    return Adapted.of(Manifest.from_table(table, source=str(folder)), remarks=remarks)


def _with_split(table: pa.Table) -> pa.Table:
    """With a column of splits, where every clip lies in the folder of one and the table has none itself."""
    if "split" in table.column_names:
        return table
    splits = []
    for path in table["clip_id"].to_pylist():
        folders = PurePosixPath(path).parts[:-1]
        first = folders[1] if folders[:1] == ("data",) and len(folders) > 1 else next(iter(folders), "")
        splits.append(_SPLITS.get(first.lower()))
    return table if None in splits else table.append_column("split", pa.array(splits))
