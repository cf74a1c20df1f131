"""UrbanSound8K as published: `metadata/UrbanSound8K.csv` beside `audio/fold1/` to `audio/fold10/`.

A widespread copy has the table and the folds side by side, which is read, too.

    slice_file_name,fsID,start,end,salience,fold,classID,class
    100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark

The clip is the file, its label the `class`, its `group` the recording it was cut from, `fsID`, which stays in one fold.
`start` and `end` are times in that recording, not in the file; they are carried along as they are, like `salience`
(1: foreground) and `fold`, with which results are compared: ten-fold cross-validation with the folds as given.

Reference: J. Salamon et al., "A Dataset and Taxonomy for Urban Sound Research", ACM MM 2014.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.datasets.adapted import Adapted
from earwitness.datasets.recognise import hint
from earwitness.datasets.tables import needed_columns
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest
from earwitness.table_files import read_table

_LAYOUTS = (("metadata/UrbanSound8K.csv", "audio/"), ("UrbanSound8K.csv", ""))
_NUM_CLIPS = 8732
_COLUMNS = ("slice_file_name", "fsID", "fold", "class")


def manifest_from_urbansound8k(folder: str | Path) -> Adapted:
    """Make a manifest of UrbanSound8K's folder.

    Raises:
        ManifestError: the folder does not hold the table, it is damaged (the row is named), or no audio file is there.
    """
    folder = Path(folder).resolve()
    layout = next(((folder / table, audio) for table, audio in _LAYOUTS if (folder / table).is_file()), None)
    if layout is None:
        raise ManifestError(f"{folder}: it does not hold {_LAYOUTS[0][0]}{hint(folder, but='urbansound8k')}")
    path, audio = layout
    table = read_table(path, text_columns=("slice_file_name", "fsID", "class"))
    needed_columns(table, _COLUMNS, path, adapter="urbansound8k")
    folds = pc.binary_join_element_wise(f"{folder}/{audio}fold", pc.cast(table["fold"], pa.string()), "")
    columns = {
        "clip_id": table["slice_file_name"],
        "media": pc.binary_join_element_wise(folds, table["slice_file_name"], "/"),
        "labels": pa.array([[label] for label in table["class"].to_pylist()], pa.list_(pa.string())),
        "group": table["fsID"],
    }
    columns |= {name: table[name] for name in table.column_names if name not in ("slice_file_name", "fsID")}
    remarks = []
    if table.num_rows != _NUM_CLIPS:
        remarks.append(f"{path.name} lists {table.num_rows:,} clips; UrbanSound8K has {_NUM_CLIPS:,}")
    return Adapted.of(Manifest.from_table(pa.table(columns), source=str(path)), remarks=remarks)
