"""The adapter for OpenAI's protocol against a provider that does what it should, or not quite."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from server.llm import streamed
from server.llm.endpoint import HttpEndpoint
from server.llm.openai import OpenAIChat
from server.llm.port import ChatChunk, Message, ModelUnavailable, Tool, ToolCall, ToolCallDelta, Usage
from tests.fakes.openai_exchange import SECRET
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import NOT_FOR_EVER, SILENCE, asking, text_of
from tests.unit.llm.openai_calls import answer, connected, usage_of


async def test_an_answer_arrives_whole_with_its_reason_and_its_exact_usage(endpoint: HttpEndpoint) -> None:
    chunks = await answer(endpoint, "stub-fast-200")

    assert text_of(chunks) == "".join(f"t{number} " for number in range(200))
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert usage_of(chunks) == Usage(prompt_tokens=2, completion_tokens=200, cached_tokens=1, estimated=False)


async def test_tokens_arrive_as_they_are_written(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    """The stub writes two tokens and then waits for ever: they are here all the same."""
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(OpenAIChat(endpoint).stream(asking("stub-stall-2"))) as batches:
        arrived = ""
        while arrived != "t0 t1 ":
            arrived += text_of(await anext(batches))


async def test_everything_that_was_asked_goes_to_the_provider_and_nothing_else(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    messages = [Message("system", "Be brief."), Message("user", "你好"), Message("assistant", "Yes?")]
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "x-request-id": "request-1"}

    await answer(endpoint, "stub-fast", messages=messages, max_tokens=7, stop=["."], seed=3, headers=headers)

    (exchange,) = stub.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/chat/completions")
    assert exchange.body == {
        "model": "stub-fast",
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["."],
        "seed": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert exchange.headers["authorization"] == "Bearer key-of-the-stub"
    assert {name: exchange.headers[name] for name in headers} == headers


async def test_nothing_goes_out_before_an_answer_is_waited_for(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    chat = OpenAIChat(endpoint)

    async with aclosing(chat.stream(asking("stub-fast-1"))):
        await answer(endpoint, "stub-fast-2")

    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-fast-2"]


async def test_what_was_left_open_is_not_sent(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    await answer(endpoint, "stub-fast")

    assert stub.exchanges[0].body.keys().isdisjoint({"stop", "seed"})


async def test_a_call_without_arguments_goes_out_as_json(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    calls = [ToolCall("a", "add", ""), ToolCall("b", "add", '{"n": 1}')]

    await answer(endpoint, "stub-fast", messages=[Message("user", "Add."), Message("assistant", "", calls)])

    sent = stub.exchanges[0].body["messages"][-1]["tool_calls"]
    assert [call["function"]["arguments"] for call in sent] == ["{}", '{"n": 1}']


async def test_no_key_of_the_environment_reaches_a_provider(stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"authorization: Bearer {SECRET}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    async with connected(stub.base_url, "") as keyless:
        await answer(keyless, "stub-fast")

    assert SECRET not in str(stub.exchanges[0].headers)


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "ALL_PROXY"])
async def test_what_runs_on_this_machine_is_not_looked_for_behind_a_proxy(
    stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)

    async with connected(stub.base_url, "") as direct:
        await answer(direct, "stub-fast")

    assert len(stub.exchanges) == 1


async def test_what_a_model_does_not_take_is_learned_once_and_sent_no_more(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    for _ in range(2):
        assert text_of(await answer(endpoint, "stub-reasoning-2", max_tokens=9)) == "t0 t1 "

    assert [
        exchange.body.keys() & {"max_tokens", "max_completion_tokens", "temperature"} for exchange in stub.exchanges
    ] == [
        {"max_tokens", "temperature"},
        {"max_completion_tokens", "temperature"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]
    assert stub.exchanges[-1].body["max_completion_tokens"] == 9


async def test_an_answer_that_is_all_there_is_one_though_its_connection_breaks(endpoint: HttpEndpoint) -> None:
    chunks = await answer(endpoint, "stub-cut-at-its-end-2")

    assert (text_of(chunks), chunks[-1].finish_reason) == ("t0 t1 ", "stop")


@pytest.mark.parametrize(
    ("model", "tokens"), [("stub-no-usage-9", 9), ("stub-split-9", 9 * len("你好t0 ".encode()) // 4)]
)
async def test_usage_that_is_not_told_is_estimated(endpoint: HttpEndpoint, model: str, tokens: int) -> None:
    chunks = await answer(endpoint, model, messages=[Message("user", "x" * 400)])

    assert usage_of(chunks) == Usage(prompt_tokens=101, completion_tokens=tokens, estimated=True)


async def test_an_answer_in_pieces_that_stop_anywhere_is_read_right(endpoint: HttpEndpoint) -> None:
    assert text_of(await answer(endpoint, "stub-split-3")) == "你好t0 你好t1 你好t2 "


async def test_an_answer_that_ends_without_its_last_line_is_one(endpoint: HttpEndpoint) -> None:
    chunks = await answer(endpoint, "stub-no-done-4")

    assert (text_of(chunks), chunks[-1].finish_reason) == ("t0 t1 t2 t3 ", "stop")


async def test_a_token_may_be_large(endpoint: HttpEndpoint) -> None:
    assert len(text_of(await answer(endpoint, "stub-huge-100", max_tokens=10_000))) == 100 * 1024


async def test_a_model_that_does_not_stream_gives_its_answer_in_one_piece(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    (chunk,) = await answer(endpoint, "stub-fast-4", streams=False)
    tool = Tool("weather", "", {"type": "object"})
    (called,) = await answer(endpoint, "stub-tools-2", streams=False, tools=[tool])

    assert chunk == ChatChunk("t0 t1 t2 t3 ", "stop", Usage(2, 4, 1))
    assert list(called.tool_calls) == [ToolCallDelta(n, f"call-{n}", "weather", '{"city":"Oslo"}') for n in range(2)]
    assert called.finish_reason == "tool_calls"
    assert [exchange.body.keys() & {"stream", "stream_options"} for exchange in stub.exchanges] == [set(), set()]


@pytest.mark.parametrize("streams", [True, False])
async def test_a_refusal_is_an_answer_that_is_held_back(endpoint: HttpEndpoint, streams: bool) -> None:
    chunks = await answer(endpoint, "stub-refusing-4", streams=streams)

    assert (text_of(chunks), {chunk.finish_reason for chunk in chunks} - {None}) == ("", {"content_filter"})
    assert usage_of(chunks) == Usage(2, 4, 1)


async def test_a_model_that_does_not_stream_is_waited_for(impatient: HttpEndpoint) -> None:
    assert SILENCE < 0.5
    (chunk,) = await answer(impatient, "stub-late-5", streams=False)
    with pytest.raises(ModelUnavailable):
        await answer(impatient, "stub-late-5")

    assert chunk.text == "t0 t1 t2 "


async def test_a_connection_is_used_again(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    for _ in range(3):
        await answer(endpoint, "stub-fast")

    assert (len(stub.exchanges), stub.connections_made) == (3, 1)


async def test_a_kept_connection_that_turns_out_to_be_closed_fails_no_call(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    for _ in range(3):
        assert text_of(await answer(endpoint, "stub-once")) == "t0 t1 t2 "

    assert stub.connections_made == 3


async def test_an_answer_that_has_ended_is_not_waited_for_without_end(
    endpoint: HttpEndpoint, stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "END_SECONDS", 0.1)

    chunks = await answer(endpoint, "stub-open-end-2")

    assert (text_of(chunks), usage_of(chunks)) == ("t0 t1 ", Usage(2, 2, 1))
    async with asyncio.timeout(NOT_FOR_EVER):
        await stub.exchanges[0].left.wait()
