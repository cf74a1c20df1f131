"""JSON of columns: the same text as Python's, however it is made."""

import datetime
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.store.column_json import column_json

TEXT = st.none() | st.text(max_size=4) | st.text('ab "\\\x7fé~', max_size=3)
LISTS = st.none() | st.lists(TEXT, max_size=3)
NUMBERS = st.none() | st.floats() | st.integers(-9, 9).map(float)


def expected(column: pa.ChunkedArray) -> bytes:
    return json.dumps(column.to_pylist(), default=str).encode()


@given(st.lists(st.lists(TEXT, max_size=5), max_size=3))
def test_texts(chunks: list[list[str | None]]) -> None:
    column = pa.chunked_array([pa.array(["before", *chunk], pa.string()).slice(1) for chunk in chunks], pa.string())
    assert column_json(column) == expected(column)


@given(st.lists(st.lists(LISTS, max_size=5), max_size=3))
def test_lists_of_texts(chunks: list[list[list[str | None] | None]]) -> None:
    arrays = [pa.array([["before"], *chunk], pa.list_(pa.string())) for chunk in chunks]
    for kind in (pa.list_(pa.string()), pa.list_(pa.dictionary(pa.int32(), pa.string()))):
        column = pa.chunked_array([as_type(array, kind).slice(1) for array in arrays], kind)
        assert column_json(column) == expected(column)


def as_type(lists: pa.ListArray, kind: pa.DataType) -> pa.ListArray:
    if lists.type == kind:
        return lists
    mask = lists.is_null() if lists.null_count else None
    return pa.ListArray.from_arrays(lists.offsets, lists.values.dictionary_encode(), mask=mask)


@given(st.lists(st.lists(NUMBERS, max_size=5), max_size=3))
def test_numbers(chunks: list[list[float | None]]) -> None:
    column = pa.chunked_array(chunks, pa.float64())
    assert column_json(column) == expected(column)


@pytest.mark.parametrize(
    "cells",
    [
        [1, None, -3],
        [True, False, None],
        [None, None],
        [[1, 2], None, []],
        [[["a"]], [[]]],
        [{"a": "x"}, None],
        [datetime.date(2020, 2, 3), None],
        ["a" * 1_000] * 1_000,
        [["plain", "words"]] * 1_000,
    ],
)
def test_other_kinds(cells: list[object]) -> None:
    column = pa.chunked_array([cells])
    assert column_json(column) == expected(column)
    assert column_json(column.slice(1)) == expected(column.slice(1))
