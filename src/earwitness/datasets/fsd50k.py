"""FSD50K as published: `FSD50K.ground_truth/` (`dev.csv`, `eval.csv`) beside `FSD50K.dev_audio/`, `FSD50K.eval_audio/`.

    fname,labels,mids,split                                                        (eval.csv has no split)
    64760,"Electric_guitar,Guitar,Music","/m/02sgy,/m/0342h,/m/04rlf",train

The clip is `64760`, its media `64760.wav`; `split` is `train` or `val` as published, `eval` for eval.csv. Labels are
complete upwards already (a guitar is a musical instrument). With `FSD50K.metadata/` there, `group` is the uploader,
whose clips are never in both dev and eval. `vocabulary.csv` (`0,Accelerating_and_revving_and_vroom,/m/07q2z82`, no
header) says which labels there are.

Reference: E. Fonseca et al., "FSD50K: an Open Dataset of Human-Labeled Sound Events", IEEE/ACM TASLP 2022.
"""

import csv
import json
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.datasets.adapted import Adapted
from earwitness.datasets.recognise import hint
from earwitness.datasets.tables import needed_columns
from earwitness.errors import ManifestError
from earwitness.manifest import Manifest
from earwitness.table_files import read_table

_TRUTH = "FSD50K.ground_truth"
_COLUMNS = ("fname", "labels", "mids")


def manifest_from_fsd50k(folder: str | Path, *, label_column: Literal["labels", "mids"] = "labels") -> Adapted:
    """Make a manifest of FSD50K's folder.

    Args:
        folder: holds FSD50K.ground_truth and the audio folders. One of dev and eval may be missing; that is said.
        label_column: `labels` are FSD50K's names, `mids` the ids that Audio Set uses, too. The other one is carried
            along as text.

    Raises:
        ManifestError: no ground truth, or a table of it is damaged (the row is named), or no audio file is there.
    """
    folder = Path(folder).resolve()
    truth = folder / _TRUTH
    there = [part for part in ("dev", "eval") if (truth / f"{part}.csv").is_file()]
    if not there:
        raise ManifestError(
            f"{folder}: it holds neither {_TRUTH}/dev.csv nor {_TRUTH}/eval.csv{hint(folder, but='fsd50k')}"
        )
    table = pa.concat_tables([_part(folder, part, label_column) for part in there], promote_options="default")
    uploaders, remarks = (
        _uploaders(folder, there),
        [
            f"{_TRUTH}/{part}.csv is not there, so only {there[0]} is listed"
            for part in ("dev", "eval")
            if part not in there
        ],
    )
    if uploaders:
        table = table.append_column("group", pa.array([uploaders.get(clip) for clip in table["clip_id"].to_pylist()]))
    else:
        remarks.append(
            "FSD50K.metadata/ is not there, so uploaders are unknown: there is no `group` to keep theirs on one side"
        )
    for part in there:
        if not (folder / f"FSD50K.{part}_audio").is_dir():
            packed = sorted(path.name for path in folder.glob(f"FSD50K.{part}_audio.z*"))
            how = f"; {', '.join(packed)} are there, but not unpacked" if packed else ""
            remarks.append(f"FSD50K.{part}_audio/ is not there{how}")
    return Adapted.of(Manifest.from_table(table, source=str(truth)), remarks=remarks)


def _part(folder: Path, part: str, label_column: str) -> pa.Table:
    path = folder / _TRUTH / f"{part}.csv"
    table = read_table(path, text_columns=(*_COLUMNS, "split"))
    needed_columns(table, _COLUMNS, path, adapter="fsd50k")
    labels = pc.split_pattern(table[label_column], ",")
    _check_labels(labels, folder / _TRUTH / "vocabulary.csv", path, label_column)
    other = "mids" if label_column == "labels" else "labels"
    return pa.table(
        {
            "clip_id": table["fname"],
            "media": pc.binary_join_element_wise(f"{folder}/FSD50K.{part}_audio/", table["fname"], ".wav", ""),
            "labels": labels,
            "split": table["split"] if "split" in table.column_names else pa.repeat(part, table.num_rows),
            "mids" if other == "mids" else "labels_in_table": table[other],
        }
    )


def _check_labels(labels: pa.ChunkedArray, vocabulary: Path, path: Path, label_column: str) -> None:
    """Refuse labels that the vocabulary does not have, where there is one."""
    if not vocabulary.is_file():
        return
    try:
        with vocabulary.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{vocabulary}: damaged ({error})") from error
    bad = next((number for number, row in enumerate(rows, start=1) if len(row) != 3), None)
    if bad is not None:
        raise ManifestError(f"{vocabulary}: line {bad} is not: number, label, id (is the file cut off?)")
    known = [row[1 if label_column == "labels" else 2] for row in rows]
    flat = pc.list_flatten(labels)
    unknown = pc.index(pc.is_in(flat, value_set=pa.array(known, pa.string())), False).as_py()
    if unknown >= 0:
        row = pc.list_parent_indices(labels)[unknown].as_py()
        raise ManifestError(
            f"{path}: row {row + 1}: the label {flat[unknown].as_py()!r} is not one of the {len(known)} in "
            f"{vocabulary.name} (is one of the two files damaged?)"
        )


def _uploaders(folder: Path, parts: list[str]) -> dict[str, str]:
    """The uploader of each clip, as far as it is known."""
    found = {}
    for part in parts:
        path = folder / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
        if not path.is_file():
            continue
        try:
            clips = json.loads(path.read_text(encoding="utf-8"))
            found.update({clip: str(values["uploader"]) for clip, values in clips.items()})
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(
                f"{path}: damaged, not a JSON object of clips with their uploaders ({error})"
            ) from error
    return found
