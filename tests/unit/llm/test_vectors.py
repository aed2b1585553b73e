"""The vectors of an answer, however it is cut into pieces and whatever it holds."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import orjson
import pytest

from server.llm.endpoint import HttpEndpoint
from server.llm.openai import OpenAIEmbedding
from server.llm.port import EmbeddingResult, ModelResponseInvalid, Usage
from server.llm.vectors import VectorReader
from tests.fakes.openai_embeddings import vector

TEXTS = [str(number) for number in range(8)]


def _row(index: int, embedding: Any) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": embedding}


def _answer(*rows: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"object": "list", "data": rows, "usage": {"prompt_tokens": 9}, **changes}).encode()


def _plain(dimensions: int) -> bytes:
    return _answer(*(_row(index, vector(text, dimensions)) for index, text in enumerate(TEXTS)))


def _packed(dimensions: int) -> bytes:
    kept = (base64.b64encode(np.array(vector(text, dimensions), "<f4").tobytes()).decode() for text in TEXTS)
    return _answer(*(_row(index, one) for index, one in enumerate(kept)))


def _read(content: bytes, size: int, dimensions: int | None = None) -> EmbeddingResult:
    reader = VectorReader(TEXTS, dimensions)
    for start in range(0, len(content), size):
        reader.feed(content[start : start + size])
    return reader.result()


def _taken_until_it_is_given_up(part: bytes, dimensions: int | None) -> int:
    """How many bytes of an answer without end are taken."""
    reader = VectorReader(TEXTS, dimensions)
    reader.feed(b'{"data": [')
    for count in range(10_000):
        try:
            reader.feed(part)
        except ModelResponseInvalid:
            return count * len(part)
    raise AssertionError("it is taken without end")


async def test_no_more_of_an_answer_is_parsed_at_once_than_one_vector(
    endpoint: HttpEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def loads(content: bytes) -> Any:
        sizes.append(len(content))
        return json.loads(content)

    texts = [str(number) for number in range(64)]
    monkeypatch.setattr(orjson, "loads", loads)

    found = await OpenAIEmbedding(endpoint, "stub-embed-floats-3000", dimensions=3000).embed(texts, {})

    assert [one.tolist() for one in found.vectors] == [vector(text, 3000) for text in texts]
    assert sum(sizes) > 1_000_000
    assert max(sizes) < 32 * 3000


@pytest.mark.parametrize("content", [_plain(3000), _packed(3000)])
@pytest.mark.parametrize("size", [7, 4096, 65_536, 10_000_000])
def test_where_the_bytes_are_split_makes_no_difference(content: bytes, size: int) -> None:
    found = _read(content, size)

    assert [one.tolist() for one in found.vectors] == [vector(text, 3000) for text in TEXTS]
    assert found.usage == Usage(9)


def test_vectors_are_kept_as_they_are_sent() -> None:
    assert {one.dtype.str for content in (_plain(4), _packed(4)) for one in _read(content, 50).vectors} == {"<f4"}


def test_a_vector_may_be_pretty_printed_to_the_last_digit() -> None:
    rows = [_row(index, [-1.2345678901234567e-305] * 4000) for index in range(len(TEXTS))]
    content = json.dumps({"data": rows}, indent=4).encode()

    assert {len(one) for one in _read(content, 65_536, 4000).vectors} == {4000}


def test_what_looks_like_a_vector_in_a_text_is_none() -> None:
    rows = [_row(index, vector(text, 4)) for index, text in enumerate(TEXTS)]

    assert len(_read(_answer(*rows, model='"embedding":[7]'), 50).vectors) == len(TEXTS)


@pytest.mark.parametrize("dimensions", [8, None])
@pytest.mark.parametrize("part", [b"[]," * 9000, b" " * 9000, b"{" * 9000, b'"embedding":[' * 700, b'{"a":"' * 1500])
def test_what_is_no_vector_is_not_gathered(part: bytes, dimensions: int | None) -> None:
    assert _taken_until_it_is_given_up(part, dimensions) < 500_000


@pytest.mark.parametrize("part", [_answer(_row(0, [1.0] * 8192)), _answer(_row(0, "AAAA" * 9000))])
def test_a_vector_that_is_too_long_is_the_last_that_is_read(part: bytes) -> None:
    assert _taken_until_it_is_given_up(part, 1024) < 3 * 65_536


def test_one_vector_more_than_texts_is_the_last_that_is_read() -> None:
    part = _answer(_row(0, [1.0] * 1024))

    assert _taken_until_it_is_given_up(part, 1024) < (len(TEXTS) + 1) * len(part) + 65_536


@pytest.mark.parametrize(
    "rows",
    [
        [_row(index, 7) for index in range(8)],
        [_row(index, None) for index in range(8)],
        [_row(index, [[1.0]]) for index in range(8)],
        [_row(index, [None]) for index in range(8)],
        [_row(index, [1e300]) for index in range(8)],
        [_row(index, {"a": [1.0]}) for index in range(8)],
        [_row(index, "AAA") for index in range(8)],
        [_row(index, "????") for index in range(8)],
        [_row(index + 0.5, [1.0]) for index in range(8)],  # type: ignore[arg-type]
        [{"index": index, "more": _row(index, [1.0]), **_row(index, [1.0])} for index in range(8)],
        [{"index": index} for index in range(8)],
        [[7], *(_row(index, [1.0]) for index in range(8))],
    ],
)
def test_vectors_that_are_none_or_nobodys_are_an_invalid_answer(rows: list[Any]) -> None:
    with pytest.raises(ModelResponseInvalid):
        _read(_answer(*rows), 50)


@pytest.mark.parametrize("said", [{1, 2, 3, 4, 5, 6, 7}, set()], ids=["all but a nought", "none"])
def test_where_an_index_is_not_said_its_place_says_whose_a_vector_is(said: set[int]) -> None:
    """Gemini leaves out a nought, and others leave out what their order says."""
    rows = [_row(index, vector(text, 4)) for index, text in enumerate(TEXTS)]
    for row in rows:
        if row["index"] not in said:
            del row["index"]

    found = _read(_answer(*rows), 50).vectors

    assert [list(one) for one in found] == [vector(text, 4) for text in TEXTS]


def test_a_place_is_nobodys_where_another_vector_says_that_it_is_its_own() -> None:
    rows = [_row(index, [1.0]) for index in reversed(range(8))]
    del rows[-1]["index"]

    with pytest.raises(ModelResponseInvalid):
        _read(_answer(*rows), 50)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 9, "total_tokens": 11}, Usage(9)),
        ({"total_tokens": 9}, Usage(9)),
        ({"prompt_tokens": None, "total_tokens": 9}, Usage(9)),
        ({"prompt_tokens": 0, "total_tokens": 0}, Usage(8, estimated=True)),
        ({}, Usage(8, estimated=True)),
        (None, Usage(8, estimated=True)),
    ],
)
def test_what_was_read_is_told_in_either_word_or_estimated(told: Any, usage: Usage) -> None:
    """Voyage has no other word for it than the total."""
    rows = [_row(index, [1.0]) for index in range(8)]

    assert _read(_answer(*rows, usage=told), 50).usage == usage


@pytest.mark.parametrize(
    ("content", "used"),
    [
        (_answer(_row(0, [1.0] * 4)), Usage(9)),
        (_answer(*(_row(index, "????") for index in range(8))), Usage(9)),
        (_answer(), Usage(9)),
        (_answer(_row(0, [1.0] * 4), usage=None), Usage(8, estimated=True)),
        (_answer(_row(0, [1.0] * 4), usage={"prompt_tokens": -1}), Usage(8, estimated=True)),
        (_plain(4)[:-9], Usage(8, estimated=True)),
        (b'{"data": []}', None),
        (b"null", None),
        (b"", None),
    ],
    ids=["one alone", "no vectors", "none", "not told", "impossible", "broken off", "neither", "no answer", "nothing"],
)
def test_an_answer_that_is_of_no_use_has_used_what_it_tells_or_what_vectors_of_it_took(
    content: bytes, used: Usage | None
) -> None:
    reader = VectorReader(TEXTS, None)
    reader.feed(content)
    with pytest.raises(ModelResponseInvalid):
        reader.result()

    assert reader.used() == used


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b'{"data": 7}', _plain(4)[:-9], _plain(4) + b"]"])
def test_an_answer_that_is_no_json_of_vectors_is_invalid(content: bytes) -> None:
    with pytest.raises(ModelResponseInvalid):
        _read(content, 50)
