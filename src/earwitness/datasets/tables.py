"""Any table with a column of media paths becomes a manifest.

The columns named become the manifest's own; every other is carried along for `--where`. Where a column is
not named, one of the manifest's own name (`labels`, `start_seconds`, ...) is used if the table has it. One
in the way (one called `labels` where the labels come from `tags`) is carried along as `labels_in_table`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from earwitness.datasets.recognise import hint
from earwitness.errors import ManifestError
from earwitness.manifest import CORE_COLUMNS, Manifest
from earwitness.places import is_url
from earwitness.table_files import empty_to_null, read_table


def manifest_from_table(
    path: str | Path,
    *,
    media_column: str,
    label_column: str | None = None,
    label_separator: str | None = None,
    media_root: str | Path | None = None,
    clip_id_column: str | None = None,
    start_column: str | None = None,
    stop_column: str | None = None,
    encoding: str | None = None,
) -> Manifest:
    """Make a manifest of a CSV, TSV, JSON Lines or Parquet file.

    Args:
        path: the table.
        media_column: paths or URLs.
        label_column: one label in each cell, or several joined by `label_separator`, or (JSON Lines, Parquet)
            lists. White space round labels, empty labels and repeated ones are dropped; no label at all is
            allowed.
        label_separator: None takes the whole cell for one label.
        media_root: the folder that relative media paths start from; None is the folder of the table.
        clip_id_column: None makes ids of the media text as it stands in the table; where that repeats and the
            rows have start times, of `media@start`, such as `film.mp4@12.5`, and `media@start-stop` where starts
            repeat, too.
        start_column: seconds; empty is the beginning.
        stop_column: seconds; empty is the end.
        encoding: of the text, such as `latin-1`; None: UTF-8, or what a byte order mark says.

    Raises:
        ManifestError: the file cannot be read, a column is not there (names the nearest), `media_root` is no
            folder, ids repeat (both rows are named), or a row is bad (it is named).
    """
    path = Path(path)
    named = {
        "media": media_column,
        "labels": label_column,
        "clip_id": clip_id_column,
        "start_seconds": start_column,
        "stop_seconds": stop_column,
    }
    read = read_table(path, text_columns={*CORE_COLUMNS, *filter(None, named.values())}, encoding=encoding)
    columns = {
        core: _column(read, name or core, path) for core, name in named.items() if name or core in read.column_names
    }
    if pa.types.is_nested(columns["media"].type):
        raise ManifestError(f"{path}: column {media_column} is {columns['media'].type}; paths or URLs are needed")
    for core in ("start_seconds", "stop_seconds"):
        if core in columns and columns[core].type in (pa.string(), pa.large_string()):
            columns[core] = empty_to_null(pc.utf8_trim_whitespace(pc.cast(columns[core], pa.string())))
    if "labels" in columns:
        try:
            columns["labels"] = _split_labels(columns["labels"], label_separator)
        except TypeError as error:
            raise ManifestError(f"{path}: column {label_column or 'labels'}: {error}") from error
    if "clip_id" not in columns:
        try:
            columns["clip_id"] = _made_ids(columns["media"], columns.get("start_seconds"), columns.get("stop_seconds"))
        except pa.ArrowInvalid as error:
            raise ManifestError(f"{path}: column {media_column}: its cells are bytes that are no UTF-8 text") from error
    used = {name or core for core, name in named.items()}
    for name in read.column_names:
        if name not in used:
            columns[f"{name}_in_table" if name in CORE_COLUMNS else name] = read[name]
    return Manifest.from_table(
        pa.table(columns),
        source=str(path),
        folder=_root(path, media_root),
        called={core: name for core, name in named.items() if name is not None},
    )


def needed_columns(table: pa.Table, names: Iterable[str], path: Path, *, adapter: str) -> None:
    """Refuse a published table that lacks one of the columns by which it is read.

    Raises:
        ManifestError: names the first one.
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise ManifestError(
            f"{path}: no column {missing[0]!r}; the columns are {', '.join(table.column_names)}"
            f"{hint(path, but=adapter)}"
        )


def _column(table: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    if name in table.column_names:
        return table[name]
    nearest = get_close_matches(name, table.column_names, n=1)
    meant = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise ManifestError(f"{path}: no column {name!r}{meant}; the columns are {', '.join(table.column_names)}")


def _root(path: Path, media_root: str | Path | None) -> Path:
    root = path.parent if media_root is None else Path(media_root)
    if not root.is_dir():
        where = " (URLs belong into the table)" if is_url(str(media_root)) else ""
        raise ManifestError(f"{media_root}: the media root must be a folder{where}")
    return root.resolve()


def _split_labels(cells: pa.ChunkedArray, separator: str | None) -> pa.ChunkedArray:
    kind = pa.list_(pa.string())
    if pa.types.is_nested(cells.type):
        of = getattr(cells.type, "value_type", None)  # of a struct there is none
        if of is None or pa.types.is_nested(of):
            raise TypeError(f"its cells are {cells.type}; a text, or a list of texts, is needed")
        return pa.chunked_array([[_clean(labels or ()) for labels in cells.to_pylist()]], kind)
    chunks = []
    try:
        texts_of_cells = pc.fill_null(pc.cast(cells, pa.string()), "")
    except pa.ArrowInvalid as error:
        raise TypeError("its cells are bytes that are no UTF-8 text") from error
    for chunk in texts_of_cells.chunks:
        encoded = chunk.dictionary_encode()  # most texts stand there many times
        texts = encoded.dictionary.to_pylist()
        split = [_clean(text.split(separator) if separator else (text,)) for text in texts]
        chunks.append(pa.array(split, kind).take(encoded.indices))
    return pa.chunked_array(chunks, kind)


def _clean(labels: Iterable[object]) -> list[str]:
    try:
        texts = [
            (label.decode() if isinstance(label, bytes) else str(label)).strip()
            for label in labels
            if label is not None
        ]
    except UnicodeDecodeError as error:
        raise TypeError("its cells hold bytes that are no UTF-8 text") from error
    return list(dict.fromkeys(text for text in texts if text))


def _made_ids(media: pa.ChunkedArray, starts: pa.ChunkedArray | None, stops: pa.ChunkedArray | None) -> pa.ChunkedArray:
    ids = pc.cast(media, pa.string())
    if starts is None or pc.count_distinct(ids).as_py() == len(ids):
        return ids
    made = pc.coalesce(pc.binary_join_element_wise(ids, pc.cast(starts, pa.string()), "@"), ids)
    if stops is None or pc.count_distinct(made).as_py() == len(made):
        return made
    return pc.coalesce(pc.binary_join_element_wise(made, pc.cast(stops, pa.string()), "-"), made)
