"""A stream of server-sent events, however it is cut into pieces and whatever it holds."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.port import ChatChunk, ModelAnswerBroken, ModelResponseInvalid, ToolCallDelta, Usage
from server.llm.sse import MOST_BYTES, ChunkReader


def _event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


def _delta(text: str | None, finish_reason: str | None = None, **fields: Any) -> bytes:
    return _event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}], **fields)


def _read(*pieces: bytes) -> list[ChatChunk]:
    reader = ChunkReader()
    return [chunk for piece in pieces for chunk in reader.feed(piece)]


def test_tokens_the_reason_of_the_end_and_the_usage_are_read() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    reader = ChunkReader()

    chunks = reader.feed(_delta("Hel") + _delta("lo", "stop") + _event(choices=[], usage=usage) + b"data: [DONE]\n\n")

    assert chunks == [ChatChunk("Hel"), ChatChunk("lo", "stop"), ChatChunk(usage=Usage(9, 2, 4))]
    assert reader.done


def test_the_count_that_llama_cpp_keeps_while_it_writes_is_usage_too() -> None:
    (chunk,) = _read(_delta("a", timings={"cache_n": 5, "prompt_n": 7, "predicted_n": 3}))

    assert chunk == ChatChunk("a", None, Usage(prompt_tokens=12, completion_tokens=3, cached_tokens=5))


@pytest.mark.parametrize(
    "silent",
    [
        b": a comment that keeps the connection alive\n\n",
        b"event: message\nid: 7\nretry: 10\n\n",
        b"\n\r\n\n",
        _delta(""),
        _delta(None),
        _event(choices=[{"index": 0, "delta": {"role": "assistant"}}]),
        _event(choices=[]),
        _event(choices=[], usage=None),
        _event(choices=None),
        _event(choices=[], usage={}),
        _delta(None, ""),
    ],
)
def test_what_says_nothing_makes_no_chunk(silent: bytes) -> None:
    assert _read(silent, _delta("a")) == [ChatChunk("a")]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"choices": [',
        b"<html>",
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b'{"choices": {"a": 1}}',
        b'{"choices": [null]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"delta": null}]}',
        b'{"choices": [{"delta": {"content": 7}}]}',
        b'{"choices": [{"delta": {"content": ["a"]}}]}',
        b'{"choices": [{"delta": {"content": "\\ud800"}}]}',
        b'{"choices": [{"delta": {"content": "\xff"}}]}',
        b'{"choices": [{"delta": {}, "finish_reason": 7}]}',
        b'{"choices": [{"delta": {}, "finish_reason": ["stop"]}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": -1}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": 2147483648}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": 99999999999}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": 1e300}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": 1.5}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": true}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": "1"}]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": [1]}]}}]}',
        b'{"choices": [], "usage": 7}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [], "usage": {"prompt_tokens": null}}',
        b'{"choices": [], "usage": {"prompt_tokens": -1}}',
        b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": -1}}',
        b'{"choices": [], "usage": {"prompt_tokens": 3000000000}}',
        b'{"choices": [], "usage": {"prompt_tokens": 1e300}}',
        b'{"choices": [], "usage": {"prompt_tokens": 1e999}}',
        b'{"choices": [], "usage": {"prompt_tokens": [1]}}',
        b'{"choices": [], "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": -2}}}',
        b'{"choices": [], "usage": {"prompt_tokens": 1, "prompt_tokens_details": 3}}',
        b'{"choices": [], "timings": {"prompt_n": 1}}',
    ],
)
def test_rubbish_is_an_error_of_ours_without_a_word_of_it(payload: bytes) -> None:
    reader = ChunkReader()

    chunks = reader.feed(_delta("a") + b"data: " + payload + b"\n\n" + _delta("b"))

    assert chunks == [ChatChunk("a")]
    assert isinstance(reader.failure, ModelResponseInvalid)
    assert reader.failure.message == "The model's provider answered what cannot be understood."
    assert reader.failure.__cause__ is None


def test_an_error_in_the_stream_is_an_answer_that_is_broken_off() -> None:
    reader = ChunkReader()

    chunks = reader.feed(_delta("a") + b'data: {"error": {"message": "upstream-secret-text"}}\n\n' + _delta("b"))

    assert chunks == [ChatChunk("a")]
    assert isinstance(reader.failure, ModelAnswerBroken)
    assert "upstream" not in reader.failure.message


@pytest.mark.parametrize(("told", "index"), [(None, 0), (0, 0), (1.0, 1), (2**31 - 1, 2**31 - 1)])
def test_which_of_the_calls_a_part_belongs_to_is_read(told: Any, index: int) -> None:
    (chunk,) = _read(_event(choices=[{"delta": {"tool_calls": [{"index": told, "id": "a"}]}}]))

    assert chunk.tool_calls == (ToolCallDelta(index, "a"),)


@pytest.mark.parametrize("reason", ["x" * 51, "a\0b", "Upstream secret text"])
def test_a_reason_of_the_end_that_is_no_word_is_passed_on_as_other(reason: str) -> None:
    (chunk,) = _read(_delta(None, reason))

    assert chunk == ChatChunk("", "other")


def test_what_is_said_to_be_cached_is_no_more_than_the_prompt() -> None:
    (chunk,) = _read(_event(choices=[], usage={"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}))

    assert chunk.usage == Usage(prompt_tokens=3, cached_tokens=3)


def test_a_line_without_end_is_not_gathered() -> None:
    reader = ChunkReader()
    reader.feed(b"data: ")

    for _ in range(MOST_BYTES // 65_536 - 1):
        assert reader.feed(b"x" * 65_536) == []

    assert reader.failure is None
    reader.feed(b"x" * 65_536)
    assert isinstance(reader.failure, ModelResponseInvalid)


def test_what_has_come_of_a_long_line_is_not_copied_with_every_piece() -> None:
    """What the pieces allocate is counted."""
    line = _delta("x" * (MOST_BYTES - 1000)).strip()
    reader, allocated = ChunkReader(), 0

    tracemalloc.start()
    for start in range(0, len(line), 1024):
        piece = line[start : start + 1024]
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        reader.feed(piece)
        allocated += tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert allocated < 10 * len(line)
    assert reader.feed(b"\n\n") == [ChatChunk("x" * (MOST_BYTES - 1000))]


def test_a_line_may_not_be_longer_however_small_its_pieces_are() -> None:
    line = _delta("x" * MOST_BYTES)
    reader = ChunkReader()

    taken = 0
    while reader.failure is None:
        assert reader.feed(line[taken : taken + 64]) == []
        taken += 64

    assert isinstance(reader.failure, ModelResponseInvalid)
    assert MOST_BYTES < taken <= MOST_BYTES + 64


def test_a_line_may_not_be_longer_where_its_end_comes_with_it() -> None:
    reader = ChunkReader()

    assert reader.feed(_delta("x" * MOST_BYTES)) == []
    assert isinstance(reader.failure, ModelResponseInvalid)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_LINE_END = st.sampled_from(["\n\n", "\r\n\r\n"])


@st.composite
def _streams(draw: st.DrawFn) -> bytes:
    """A whole answer: tokens in any language, either line end, comments in between, a space after the colon or none."""
    texts = draw(st.lists(_TEXT, max_size=6))
    stream = ""
    for text in texts:
        payload = json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=draw(st.booleans()))
        comment = draw(st.sampled_from(["", ": ping\n\n", "event: chunk\n"]))
        stream += f"{comment}data:{draw(st.sampled_from(['', ' ']))}{payload}{draw(_LINE_END)}"
    return (stream + "data: [DONE]" + draw(_LINE_END)).encode()


@given(_streams(), st.data())
def test_where_the_bytes_are_split_makes_no_difference(stream: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert _read(*pieces) == _read(stream) == _read(*(bytes([byte]) for byte in stream))


def test_an_event_of_more_lists_than_a_model_writes_is_not_read() -> None:
    reader = ChunkReader()

    chunks = reader.feed(b'data: {"choices": [], "x": [' + b"[]," * 70_000 + b"0]}\n\n")

    assert chunks == []
    assert isinstance(reader.failure, ModelResponseInvalid)
