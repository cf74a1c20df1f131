"""Hashes of columns of text: equal for equal texts only, and the first repeated text is found."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.text_hashes import first_repeated, text_hashes


def chunked(texts: list[str], *borders: int) -> pa.ChunkedArray:
    whole = pa.array(["not of it", *texts, "nor this"])
    places = [0, *borders, len(texts)]
    chunks = [whole.slice(first + 1, stop - first) for first, stop in pairwise(places)]
    return pa.chunked_array(chunks, pa.string())


def repeated_by_set(texts: list[str]) -> tuple[int, int] | None:
    first_rows: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text in first_rows:
            return row, first_rows[text]
        first_rows[text] = row
    return None


def made_texts(count: int) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choice("ab\0é") for _ in range(rng.randint(0, 30))) for _ in range(count)]


def test_equal_for_equal_texts_only() -> None:
    texts = [*made_texts(20_000), "", "\0", "\0\0", "abcdefgh", "abcdefgh\0", "abcdefghabcdefgh"]
    hashes = text_hashes(chunked(texts))
    hash_of = dict(zip(texts, hashes.tolist(), strict=True))
    assert len(set(hash_of.values())) == len(hash_of)
    assert [hash_of[text] for text in texts] == hashes.tolist()


def test_chunks_and_types_do_not_matter() -> None:
    texts = made_texts(500)
    expected = text_hashes(chunked(texts))
    np.testing.assert_array_equal(text_hashes(chunked(texts, 0, 3, 3, 400)), expected)
    np.testing.assert_array_equal(text_hashes(pa.chunked_array([texts], pa.large_string())), expected)
    dictionary = pa.array(texts).dictionary_encode()
    np.testing.assert_array_equal(text_hashes(pa.chunked_array([dictionary])), expected)


def test_bits_are_even() -> None:
    hashes = text_hashes(pa.chunked_array([[f"clip-{number:06d}" for number in range(50_000)]]))
    for bit in range(64):
        assert abs(np.mean((hashes >> np.uint64(bit)) & np.uint64(1)) - 0.5) < 0.015


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=2), max_size=30), st.integers(0, 30))
def test_first_repeated_against_a_set(texts: list[str], border: int) -> None:
    assert first_repeated(chunked(texts, min(border, len(texts)))) == repeated_by_set(texts)


def test_first_repeated_of_many() -> None:
    texts = list(dict.fromkeys(made_texts(30_000)))
    assert first_repeated(chunked(texts, 100)) is None
    texts[9_000:9_000] = [texts[8_000], texts[3], texts[8_999]]
    assert first_repeated(chunked(texts, 100, 8_500)) == (9_000, 8_000) == repeated_by_set(texts)


def test_texts_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earwitness.text_hashes._mixed", lambda values: values & np.uint64(7))
    texts = [f"{number}" for number in range(50)]
    assert first_repeated(chunked(texts)) is None
    assert first_repeated(chunked([*texts, "31"])) == (50, 31)
