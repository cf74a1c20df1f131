"""The JSON text of a column of a table, without making Python's objects of its cells where that can be helped: as
`json.dumps` of the list of cells gives it, for digests over tables of many million rows.
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# What JSON writes as it stands: ASCII from space to tilde, but for the quote and the backslash.
_PLAIN = np.zeros(256, np.bool_)
_PLAIN[ord(" ") : ord("~") + 1] = True
_PLAIN[[ord('"'), ord("\\")]] = False


def column_json(column: pa.ChunkedArray) -> bytes:
    """The cells as a JSON list; what JSON does not know stands there as its text."""
    texts = _json_texts(column)
    if texts is None:
        return json.dumps(column.to_pylist(), default=str).encode()
    return b", ".join(_joined(chunk) for chunk in texts.chunks if len(chunk)).join((b"[", b"]"))


def _json_texts(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The JSON of each cell; None where it has to be made cell by cell."""
    if column.null_count == len(column):
        return pa.chunked_array([pa.array(["null"]).take(pa.array(np.zeros(len(column), np.int64)))])
    if pa.types.is_string(column.type):
        return _quoted(column)
    if pa.types.is_list(column.type):
        lists = [_json_lists(chunk) for chunk in column.chunks]
        return None if any(texts is None for texts in lists) else pa.chunked_array(lists, pa.string())
    return None


def _json_lists(chunk: pa.ListArray) -> pa.StringArray | None:
    flat = chunk.flatten()
    if pa.types.is_dictionary(flat.type) and pa.types.is_string(flat.type.value_type) and not flat.null_count:
        quoted = _quoted(pa.chunked_array([flat.dictionary]))
        cells = None if quoted is None else quoted.combine_chunks().take(flat.indices)
    elif pa.types.is_string(flat.type):
        quoted = _quoted(pa.chunked_array([flat]))
        cells = None if quoted is None else quoted.combine_chunks()
    else:
        cells = None
    if cells is None:
        return None
    lengths = pc.fill_null(chunk.value_lengths(), 0).to_numpy()
    lists = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), cells)
    texts = pc.binary_join_element_wise("[", pc.binary_join(lists, ", "), "]", "")
    return pc.if_else(chunk.is_null(), "null", texts)


def _quoted(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Each text in quotes, null as `null`; None where one of them has signs that JSON writes otherwise."""
    for chunk in texts.chunks:
        letters = _letters(chunk)
        if not _PLAIN[np.frombuffer(letters, np.uint8)].all():
            return None
    return pc.fill_null(pc.binary_join_element_wise("", texts, "", '"'), "null")


def _joined(texts: pa.StringArray) -> bytes:
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts), ", ")
    return bytes(_letters(whole))


def _letters(texts: pa.StringArray) -> memoryview:
    """The bytes of all texts of a chunk, one after another."""
    _, offset_buffer, text_buffer = texts.buffers()
    if not len(texts) or text_buffer is None:
        return memoryview(b"")
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(text_buffer)[offsets[0] : offsets[-1]]
