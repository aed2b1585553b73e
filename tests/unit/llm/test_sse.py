"""A stream of server-sent events, however it is cut into pieces and whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.port import ChatChunk, ModelAnswerBroken, ModelResponseInvalid, ToolCallDelta, Usage
from server.llm.sse import ChunkReader


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


def test_nothing_is_read_behind_the_end() -> None:
    reader = ChunkReader()

    chunks = reader.feed(_delta("a", "stop") + b"data: [DONE]\n\n" + _delta("b"))

    assert chunks == [ChatChunk("a", "stop")]


@pytest.mark.parametrize(
    ("piece", "hollow"),
    [
        (b"\n\n\n", 3),
        (b": at work\n\n", 11),
        (_delta(""), len(_delta(""))),
        (_event(choices=[], usage={"prompt_tokens": 1}), len(_event(choices=[], usage={"prompt_tokens": 1}))),
        (_delta("a"), 1),
        (_delta(None, "stop"), 1),
    ],
    ids=["empty lines", "a comment", "no text", "a count", "text", "the end"],
)
def test_what_writes_nothing_is_told_by_its_bytes(piece: bytes, hollow: int) -> None:
    reader = ChunkReader()

    reader.feed(piece)

    assert reader.hollow == hollow


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
        _event(choices=[{}]),
        _event(choices=[{"index": 0, "delta": None, "finish_reason": None}]),
        _event(choices=[{"index": 0, "content_filter_results": {}, "finish_reason": None}]),
        _event(choices=[{"delta": {"content": None, "refusal": None}}]),
        _event(choices=[{"delta": {"content": None, "refusal": ""}}]),
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
        b'{"choices": [{"delta": 7}]}',
        b'{"choices": [{"delta": ["a"]}]}',
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
        b'{"choices": [], "usage": {"prompt_tokens": 1, "total_tokens": "many"}}',
        b'{"choices": [], "usage": {"prompt_tokens": 1, "total_tokens": 3000000000}}',
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


def _part(said: dict[str, Any], **function: str) -> bytes:
    return _event(choices=[{"delta": {"tool_calls": [{**said, "function": function}]}}])


A, B = {"name": "f", "arguments": '{"n":1}'}, {"name": "g", "arguments": '{"n":2}'}


@pytest.mark.parametrize(
    ("parts", "indexes"),
    [
        ([_part({"id": "a"}, **A), _part({"id": "b"}, **B)], [0, 1]),
        ([_part({}, **A), _part({}, **B)], [0, 1]),
        ([_part({"index": 0, "id": "a"}, **A), _part({"index": 0, "id": "b"}, **B)], [0, 1]),
        ([_part({"index": 3, "id": "a"}, **A), _part({"index": 3, "id": "b"}, **B)], [3, 4]),
        (
            [_part({"index": index, "id": name}, **A) for index, name in ((0, "a"), (0, "b"), (1, "c"), (1, "d"))],
            [0, 1, 2, 3],
        ),
        ([_part({"index": index, "id": "a"}, **A) for index in (1, 0, 2)], [1, 0, 2]),
        ([_part({"id": "a"}, name="f"), _part({}, arguments="{"), _part({"id": ""}, arguments="}")], [0, 0, 0]),
        ([_part({"id": "a"}, name="f"), _part({"id": "a"}, name="f", arguments="{}")], [0, 0]),
        (
            [_part({"index": 0, "id": name}, name="f", arguments="{") for name in ("a", "b")]
            + [_part({"index": 0, "id": name}, arguments="}") for name in ("a", "", "b")],
            [0, 1, 0, 0, 1],
        ),
        ([_part({"index": 0}, name="f"), _part({"index": 0, "id": "a"}), _part({"index": 0}, arguments="{}")], [0] * 3),
        (
            [_part({"index": 0, "id": "a"}, name="f")]
            + [_part({"index": 0, "id": name}, arguments=text) for name, text in (("b", "{"), ("c", "}"), ("d", ""))],
            [0, 0, 0, 0],
        ),
        (
            [part for name in ("a", "b") for part in (_part({"index": 0, "id": name}), _part({"index": 0}, name="f"))],
            [0, 0, 1, 1],
        ),
        ([part for name in ("a", "b") for part in (_part({"id": name}), _part({}, name="f"))], [0, 0, 1, 1]),
        ([_part({"index": 0, "id": "a"}, name="f"), _part({"index": 1, "id": ""}, name="g"), _part({})], [0, 1, 1]),
    ],
    ids=[
        *("no index", "neither index nor id", "one index", "one index that is not the first", "two indexes twice"),
        *("one id", "no index, in parts", "no index, an id in every part", "one index, parts by their id"),
        *("an id that comes later", "one index, another id in each part", "one index, ids before names"),
        *("no index, ids before names", "the newest goes on"),
    ],
)
def test_each_call_has_an_index_of_its_own_whatever_its_endpoint_says(parts: list[bytes], indexes: list[int]) -> None:
    assert [call.index for chunk in _read(*parts) for call in chunk.tool_calls] == indexes


def test_a_calls_id_and_name_are_in_the_first_part_that_has_them_alone() -> None:
    chunks = _read(*(_part({"index": 0, "id": "a"}, name="f", arguments=text) for text in ("", "{", "}")))

    parts = [part for chunk in chunks for part in chunk.tool_calls]
    assert parts == [ToolCallDelta(0, "a", "f"), ToolCallDelta(0, arguments="{"), ToolCallDelta(0, arguments="}")]


def test_calls_that_come_together_are_told_apart() -> None:
    calls = [{"id": "a", "function": A}, {"id": "b", "function": B}]

    (chunk,) = _read(_event(choices=[{"delta": {"tool_calls": calls}}]))

    assert chunk.tool_calls == (ToolCallDelta(0, "a", "f", '{"n":1}'), ToolCallDelta(1, "b", "g", '{"n":2}'))


@pytest.mark.parametrize(
    ("reason", "rest"),
    [
        ("tool_calls", (ToolCallDelta(1, arguments="{}"),)),
        ("stop", (ToolCallDelta(1, arguments="{}"),)),
        ("length", ()),
        ("content_filter", ()),
    ],
)
def test_a_call_without_arguments_gets_an_empty_object_when_it_is_whole(
    reason: str, rest: tuple[ToolCallDelta, ...]
) -> None:
    parts = [_part({"index": 0, "id": "a"}, **A), _part({"index": 1, "id": "b"}, name="g", arguments="")]

    *_, last = _read(*parts, _delta(None, reason))

    assert last == ChatChunk("", reason, None, rest)
    assert last.finish_reason == reason


def test_what_stands_beside_a_delta_that_is_not_there_counts() -> None:
    reader = ChunkReader()

    chunks = reader.feed(
        _delta("a", "stop")
        + _event(choices=[{"index": 0, "finish_reason": "content_filter"}])
        + _event(choices=[{"index": 0, "delta": None}], usage={"prompt_tokens": 3})
    )

    assert chunks == [ChatChunk("a", "stop"), ChatChunk("", "content_filter"), ChatChunk(usage=Usage(3))]
    assert reader.failure is None


def test_a_refusal_is_an_answer_that_is_held_back_and_its_words_are_counted_and_not_shown() -> None:
    words = [_event(choices=[{"delta": {"refusal": text}}]) for text in ("I can", "not.")]

    chunks = _read(*words, _delta(None, "stop"))

    assert chunks == [ChatChunk(thought=5), ChatChunk(thought=4), ChatChunk("", "content_filter")]


@pytest.mark.parametrize("cause", ["", ": PROHIBITED_CONTENT", ": RECITATION", ": OTHER"])
def test_what_geminis_filter_keeps_back_is_kept_back_by_a_filter(cause: str) -> None:
    """It says why, and in one piece there is no message then."""
    choice = {"index": 0, "finish_reason": f"content_filter{cause}"}

    (chunk,) = _read(_event(choices=[choice]))
    whole = ChunkReader().whole(json.dumps({"choices": [choice]}).encode())

    assert chunk == whole == ChatChunk("", "content_filter")


def test_an_error_that_is_null_is_none() -> None:
    assert _read(_delta("a", error=None)) == [ChatChunk("a")]


def test_a_refusal_in_one_piece_is_the_same() -> None:
    choice = {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}

    chunk = ChunkReader().whole(json.dumps({"choices": [choice]}).encode())

    assert chunk == ChatChunk("", "content_filter", thought=9)


@pytest.mark.parametrize("reason", ["x" * 51, ": content_filter", "a\0b", "Upstream secret text"])
def test_a_reason_of_the_end_that_is_no_word_is_passed_on_as_other(reason: str) -> None:
    (chunk,) = _read(_delta(None, reason))

    assert chunk == ChatChunk("", "other")


def test_what_is_said_to_be_cached_is_no_more_than_the_prompt() -> None:
    (chunk,) = _read(_event(choices=[], usage={"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}))

    assert chunk.usage == Usage(prompt_tokens=3, cached_tokens=3)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"completion_tokens": 9, "total_tokens": 41}, Usage(32, 9)),
        ({"completion_tokens": 9, "total_tokens": 135, "reasoning_tokens": 94}, Usage(32, 103, 0, 94)),
        ({"completion_tokens": 103, "total_tokens": 135, "reasoning_tokens": 94}, Usage(32, 103, 0, 94)),
        ({"completion_tokens": 9, "total_tokens": 135}, Usage(32, 103, 0, 94)),
        ({"completion_tokens": 0, "total_tokens": 92, "reasoning_tokens": 60}, Usage(32, 60, 0, 60)),
        ({"completion_tokens": 9, "reasoning_tokens": 94}, Usage(32, 103, 0, 94)),
        ({"completion_tokens": 9, "total_tokens": 71, "cached_tokens": 30}, Usage(32, 9, 30)),
        ({"completion_tokens": 9, "total_tokens": 7}, Usage(32, 9)),
        ({"completion_tokens": 9, "total_tokens": None}, Usage(32, 9)),
    ],
    ids=[
        *("none", "xAI: told, and beside", "OpenAI: told, and among", "Gemini: in the total alone", "thoughts alone"),
        *("beside, and no total", "what is beside was read", "a total that cannot be", "no total"),
    ],
)
def test_thoughts_that_are_counted_beside_the_answer_are_written_too(told: dict[str, Any], usage: Usage) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": told.pop("cached_tokens", 0)},
        "completion_tokens_details": {"reasoning_tokens": told.pop("reasoning_tokens", 0)},
    }

    (chunk,) = _read(_event(choices=[], usage={"prompt_tokens": 32, **told, **details}))

    assert chunk.usage == usage


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
