"""Audio Set as published: lists of segments of YouTube videos, and media that were found elsewhere.

A list of segments comes in two forms, and may lack its first lines in either:

    # Segments csv created Sun Mar  5 10:54:31 2017             the original: three comments, a space
    # num_ytids=22160, num_segs=22160, num_unique_labels=...     after each comma, labels always quoted
    # YTID, start_seconds, end_seconds, positive_labels
    --PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"

    YTID,start_seconds,end_seconds,positive_labels              reformatted: a header
    --4gqARaEJE,0.000,10.000,"/m/068hy,/m/07q6cd_"

A segment becomes the clip `YTID_START` (start in milliseconds: `--PJHxphWEs_30000`), its labels the label ids, its
`group` the video, its `split` the name of its list without `_segments`. Media are found by name alone:
see `audioset_media`. Lists of two million segments are read by Arrow, cell by cell by nobody.

Reference: J. F. Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from earwitness.datasets.adapted import Adapted
from earwitness.datasets.audioset_media import MediaIs, SegmentMedia, find_segments
from earwitness.datasets.recognise import hint
from earwitness.errors import ManifestError
from earwitness.labels import LabelSet
from earwitness.manifest import Manifest
from earwitness.table_files import arrow_encoding, first_line, text_encoding

_ROW = (
    r'^"?(?P<ytid>[A-Za-z0-9_-]{11})"?\s*[,\t]\s*"?(?P<start>[0-9]+(?:\.[0-9]+)?)"?\s*[,\t]\s*'
    r'"?(?P<stop>[0-9]+(?:\.[0-9]+)?)"?\s*[,\t]\s*"?(?P<labels>[^"\[\]]*[^"\s,\[\]])"?\s*$'
)
_HEADER = re.compile(r'^\W*ytid"?\s*[,\t]', re.IGNORECASE)


def manifest_from_audioset(
    segments: Sequence[str | Path],
    *,
    media: str | Path | None = None,
    media_is: MediaIs | None = None,
    label_set: LabelSet | None = None,
) -> Adapted:
    """Make a manifest of lists of segments.

    A segment whose media is cut already is a whole file; one within a whole video has start and stop. Segments without
    media stay in the manifest, with the name that was looked for; without a media folder all do, for statistics.

    Args:
        segments: the lists; each is a `split`.
        media: the folder where media lie, at any depth; None looks for none.
        media_is: what files are whose names do not say it; see `audioset_media`.
        label_set: the labels that are allowed; None allows any.

    Raises:
        ManifestError: a list cannot be read (the row is named), lists a segment twice, or has a label outside the
            set; or there is a media folder and not one segment has media there.
    """
    if not segments:
        raise ManifestError("no list of segments is given; name at least one, such as balanced_train_segments.csv")
    tables, remarks = [], []
    for path in map(Path, segments):
        table, remark = _read_segments(path)
        tables.append(table)
        remarks += [remark] if remark else []
        if label_set is not None:
            _check_labels(table["labels"], label_set, path)
    table = pa.concat_tables(tables)
    source = ", ".join(map(str, segments))
    _check_once(table, source)
    folder = None if media is None else Path(media).resolve()
    found = SegmentMedia.none(table.num_rows) if folder is None else find_segments(table, folder, media_is=media_is)
    if folder is not None and not found.has_media.any():
        raise ManifestError(
            f"{folder}: not one of the {table.num_rows:,} segments has media here; there are {found.num_files:,} media "
            f"files, and {table['clip_id'][0]} would be found as {table['group'][0]}.mp4 or {table['clip_id'][0]}.wav"
        )
    has_media = pa.array(found.has_media)
    looked_for = pc.binary_join_element_wise("" if folder is None else f"{folder}/", table["clip_id"], ".*", "")
    within_video = pa.array(~found.is_cut)
    columns = {
        "clip_id": table["clip_id"],
        "media": pc.if_else(has_media, found.media(folder), looked_for),
        "start_seconds": pc.if_else(within_video, table["start_seconds"], pa.scalar(None, pa.float64())),
        "stop_seconds": pc.if_else(within_video, table["stop_seconds"], pa.scalar(None, pa.float64())),
        "labels": table["labels"],
        "split": table["split"],
        "group": table["group"],
    }
    return Adapted(
        manifest=Manifest.from_table(pa.table(columns), source=source),
        missing=table["clip_id"].filter(pc.invert(has_media)).to_pylist(),
        remarks=(*remarks, *found.remarks(media_is)),
        wants_media=folder is not None,
    )


def _read_segments(path: Path) -> tuple[pa.Table, str | None]:
    """Clips of one list, and what is to be said of it."""
    lines = _lines(path)
    is_comment = pc.starts_with(lines, "#")
    comments = lines.filter(is_comment).to_pylist()
    rows = lines.filter(pc.invert(is_comment))
    if len(rows) and _HEADER.match(rows[0].as_py()):
        rows = rows.slice(1)
    if not len(rows):
        raise ManifestError(f"{path}: it lists no segment{hint(path, but='audioset')}")
    cells = pc.extract_regex(rows, _ROW)
    if cells.null_count:
        row = pc.index(pc.is_null(cells), True).as_py()
        other = hint(path, but="audioset")
        raise ManifestError(
            f"{path}: row {row + 1} is not a segment: {rows[row].as_py()[:80]!r}"
            + (other or '; it should read: YTID, 30.000, 40.000, "/m/09x0r,/t/dd00088"')
        )
    is_cut = pc.equal(pc.bit_wise_and(pc.count_substring(rows, '"'), 1), 1)
    if (row := pc.index(is_cut, True).as_py()) >= 0:
        raise ManifestError(
            f'{path}: row {row + 1}: a quote (") opens its labels and never closes (is the file cut off?): '
            f"{rows[row].as_py()[:80]!r}"
        )
    ytid, start, stop, labels = (pc.struct_field(cells, name) for name in ("ytid", "start", "stop", "labels"))
    starts = pc.cast(start, pa.float64())
    milliseconds = pc.cast(pc.cast(pc.round(pc.multiply(starts, 1000.0)), pa.int64()), pa.string())
    separator = r"\s*,\s*" if pc.any(pc.match_substring_regex(labels, r"\s,|,\s")).as_py() else None
    split = path.stem.removesuffix("_segments")
    table = pa.table(
        {
            "clip_id": pc.binary_join_element_wise(ytid, milliseconds, "_"),
            "start_seconds": starts,
            "stop_seconds": pc.cast(stop, pa.float64()),
            "labels": pc.split_pattern_regex(labels, separator) if separator else pc.split_pattern(labels, ","),
            "split": pa.repeat(pa.scalar(split), len(ytid)),
            "group": ytid,
        }
    )
    if (row := pc.index(pc.less_equal(table["stop_seconds"], starts), True).as_py()) >= 0:
        raise ManifestError(f"{path}: row {row + 1}: the segment stops before it starts: {rows[row].as_py()[:80]!r}")
    announced = next((int(found[1]) for line in comments if (found := re.search(r"num_segs=(\d+)", line))), None)
    if announced not in (None, len(rows)):
        return table, (
            f"{path} announces {announced:,} segments and holds {len(rows):,}: it is cut off, or a part of the list"
        )
    return table, None


def _lines(path: Path) -> pa.ChunkedArray:
    """The lines of a text file that are not empty."""
    try:
        encoding = text_encoding(path)
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(column_names=["line"], encoding=arrow_encoding(encoding)),
            parse_options=pyarrow.csv.ParseOptions(delimiter="\x01", quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=False, column_types={"line": pa.string()}),
        )["line"]
    except (pa.ArrowInvalid, UnicodeError) as error:
        what = "it is empty" if path.stat().st_size == 0 else f"this is no list of segments ({first_line(error)})"
        raise ManifestError(f"{path}: {what}{hint(path, but='audioset')}") from error
    except OSError as error:
        reason = "this is a folder, a list of segments is needed" if path.is_dir() else error.strerror or "unreadable"
        raise ManifestError(f"{path}: {reason}{hint(path)}") from error


def _check_labels(labels: pa.ChunkedArray, label_set: LabelSet, path: Path) -> None:
    flat = pc.list_flatten(labels)
    unknown = pc.index(pc.is_in(flat, value_set=pa.array(label_set.ids)), False).as_py()
    if unknown >= 0:
        row = pc.list_parent_indices(labels)[unknown].as_py()
        label = flat[unknown].as_py()
        raise ManifestError(f"{path}: row {row + 1}: unknown label {label!r}; {label_set.describe(near=label)}")


def _check_once(table: pa.Table, source: str) -> None:
    if pc.count_distinct(table["clip_id"]).as_py() == table.num_rows:
        return
    counts = pc.value_counts(table["clip_id"])
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0]
    splits = table["split"].filter(pc.equal(table["clip_id"], twice)).to_pylist()
    raise ManifestError(
        f"{source}: the segment {twice} is listed {len(splits)} times: in {', '.join(splits)} "
        "(is a list given twice, or two lists that overlap?)"
    )
