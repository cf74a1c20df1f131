"""ESC-50 and ESC-10 as published: `meta/esc50.csv` (or `meta/esc10.csv`) beside `audio/`.

Columns read: `filename, fold, category, src_file`; others (`target, take, ...`) are carried along, `category`
too. There are five folds; clips cut from one Freesound recording share `src_file` and never cross folds, so
it becomes `group`.

Reference: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM MM 2015.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.datasets.media import missing_media
from earwitness.datasets.recognise import hint
from earwitness.datasets.tables import needed_columns
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest
from earwitness.table_files import read_table

_TABLES = ("meta/esc50.csv", "meta/esc10.csv")
_TEXT_COLUMNS = ("filename", "category", "src_file", "take")
_NEEDED_COLUMNS = ("filename", "fold", "category", "src_file")


def manifest_from_esc50(folder: str | Path) -> Manifest:
    """Make a manifest of ESC-50's folder: the label is the category, the group the recording.

    Clips whose audio file is missing stay in it (they fail by name when the store is built, and
    `datasets.media.missing_media` lists them), unless every one is missing.

    Raises:
        ManifestError: the folder holds no such table, a column is missing, or no audio file is there.
    """
    folder = Path(folder).resolve()
    path = next((folder / name for name in _TABLES if (folder / name).is_file()), None)
    if path is None:
        other = hint(folder, but="esc50") or "; is this ESC-50's folder?"
        raise ManifestError(f"{folder}: it holds neither {' nor '.join(_TABLES)}{other}")
    table = read_table(path, text_columns=_TEXT_COLUMNS)
    names = table.column_names
    needed_columns(table, _NEEDED_COLUMNS, path, adapter="esc50")
    core_names = {"filename": "clip_id", "src_file": "group"}
    table = table.rename_columns([core_names.get(name, name) for name in names])
    media = pc.binary_join_element_wise(str(folder / "audio"), table["clip_id"], "/")
    labels = pa.array([[label] for label in table["category"].to_pylist()], pa.list_(pa.string()))
    table = table.append_column("media", media).append_column("labels", labels)
    manifest = Manifest.from_table(table, source=str(path))
    if len(missing_media(manifest)) == len(manifest):
        raise ManifestError(
            f"{path}: none of its {len(manifest)} files lies in {folder / 'audio'}; "
            f"the first would be {table['clip_id'][0]}"
        )
    return manifest
