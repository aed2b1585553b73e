"""The adapter for Anthropic's protocol against a provider that does what it should, and everything it should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from statistics import median
from time import perf_counter
from typing import Any

import pytest

from server.kernel.errors import DomainError
from server.llm import streamed
from server.llm.anthropic import AnthropicChat, AnthropicEndpoint
from server.llm.port import (
    ChatChunk,
    ChatRequest,
    Message,
    ModelAnswerBroken,
    ModelAnswerTooLong,
    ModelContextExceeded,
    ModelCredentialRefused,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
    ModelResponseInvalid,
    ModelUnavailable,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tests.fakes.openai_behaviours import RETRY_AFTER
from tests.fakes.openai_exchange import SECRET
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import IMPATIENT, NOT_FOR_EVER, asking, heard_into, text_of

GONE_WITHIN = 0.1


@pytest.fixture
def endpoint(claude: AnthropicEndpoint) -> AnthropicEndpoint:
    return claude


@pytest.fixture
async def impatient(stub: OpenAIStub) -> AsyncIterator[AnthropicEndpoint]:
    """The same, which is given up where it says nothing for a moment."""
    made = AnthropicEndpoint(stub.base_url, "key-of-the-stub", patience=IMPATIENT)
    yield made
    await made.close()


async def _answer(endpoint: AnthropicEndpoint, model: str, **changes: Any) -> list[ChatChunk]:
    chunks: list[ChatChunk] = []
    await _into(chunks, endpoint, asking(model, **changes))
    return chunks


async def _into(chunks: list[ChatChunk], endpoint: AnthropicEndpoint, request: ChatRequest) -> None:
    await heard_into(chunks, AnthropicChat(endpoint), request)


async def test_an_answer_arrives_whole_with_its_reason_and_its_exact_usage(endpoint: AnthropicEndpoint) -> None:
    chunks = await _answer(endpoint, "stub-fast-200")

    assert text_of(chunks) == "".join(f"t{number} " for number in range(200))
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert chunks[-1].usage == Usage(prompt_tokens=11, completion_tokens=200, cached_tokens=4)


@pytest.mark.parametrize(
    ("model", "streams", "usage"),
    [
        ("stub-no-usage-8", True, Usage(11, completion_tokens=7, cached_tokens=4, estimated=True)),
        ("stub-no-usage-8", False, Usage(4, completion_tokens=7, estimated=True)),
        ("stub-noughts-8", True, Usage(4, completion_tokens=7, estimated=True)),
    ],
)
async def test_what_is_not_told_or_only_as_noughts_is_estimated(
    endpoint: AnthropicEndpoint, model: str, streams: bool, usage: Usage
) -> None:
    """As endpoints have it that speak the protocol and are not Anthropic's."""
    chunks = await _answer(endpoint, model, streams=streams)

    assert text_of(chunks) == "".join(f"t{number} " for number in range(8))
    assert (chunks[-1].usage, chunks[-1].finish_reason) == (usage, "stop")


async def test_thoughts_are_counted_and_not_shown(endpoint: AnthropicEndpoint) -> None:
    chunks = await _answer(endpoint, "stub-thinking-7")

    assert text_of(chunks) == "t0"
    assert chunks[-1].usage == Usage(11, completion_tokens=8, cached_tokens=4, reasoning_tokens=7)


async def test_tool_calls_are_numbered_among_themselves(endpoint: AnthropicEndpoint) -> None:
    chunks = await _answer(endpoint, "stub-tools", tools=[Tool("first", "", {"type": "object"})])

    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    assert deltas == [
        ToolCallDelta(0, "call-1", "first"),
        ToolCallDelta(0, arguments='{"n":'),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, "call-2", "second"),
        ToolCallDelta(1, arguments='{"n":'),
        ToolCallDelta(1, arguments="2}"),
    ]
    assert (text_of(chunks), chunks[-1].finish_reason) == ("Look:", "tool_calls")


@pytest.mark.parametrize("streams", [True, False])
async def test_a_call_without_arguments_has_an_empty_object_of_them(endpoint: AnthropicEndpoint, streams: bool) -> None:
    chunks = await _answer(endpoint, "stub-bare-call", streams=streams)

    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    assert deltas == [ToolCallDelta(0, "call-1", "weather"), ToolCallDelta(0, arguments="{}")]


@pytest.mark.parametrize("parts", [2, 1, 0])
async def test_what_a_block_begins_with_is_read(endpoint: AnthropicEndpoint, parts: int) -> None:
    """Gateways have all of it there. Where arguments come in parts too, these are what counts, as in the API's SDKs."""
    chunks = await _answer(endpoint, f"stub-gateway-{parts}")

    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    assert deltas[0] == ToolCallDelta(0, "call-1", "weather")
    assert "".join(delta.arguments for delta in deltas) == ('{"n":' if parts == 1 else '{"n":1}')
    assert (text_of(chunks), sum(chunk.thought for chunk in chunks)) == ("Look:", 4)
    assert chunks[-1].finish_reason == "tool_calls"


async def test_a_model_that_does_not_stream_gives_its_answer_in_one_piece(
    endpoint: AnthropicEndpoint, stub: OpenAIStub
) -> None:
    chunks = await _answer(endpoint, "stub-fast-4", streams=False)
    tools = await _answer(endpoint, "stub-tools", streams=False, tools=[Tool("t", "", {"type": "object"})])
    with pytest.raises(ModelResponseInvalid):
        await _answer(endpoint, "stub-unended", streams=False)

    assert (text_of(chunks), chunks[-1].finish_reason) == ("t0 t1 t2 t3 ", "stop")
    assert chunks[-1].usage == Usage(11, completion_tokens=9, cached_tokens=4)
    calls = [(delta.index, delta.id, delta.arguments) for chunk in tools for delta in chunk.tool_calls]
    assert calls == [(0, "call-1", ""), (0, "", '{"n":1}'), (1, "call-2", ""), (1, "", '{"n":2}')]
    assert (text_of(tools), tools[-1].finish_reason) == ("Look:", "tool_calls")
    assert [exchange.body["stream"] for exchange in stub.exchanges] == [False] * 3


@pytest.mark.parametrize(
    ("number", "reason"), list(enumerate(["stop", "stop", "length", "length", "content_filter", "other"]))
)
async def test_why_it_ended_is_said_in_our_words(endpoint: AnthropicEndpoint, number: int, reason: str) -> None:
    chunks = await _answer(endpoint, f"stub-ending-{number}")

    assert chunks[-1].finish_reason == reason


async def test_a_conversation_is_put_as_the_api_wants_it(endpoint: AnthropicEndpoint, stub: OpenAIStub) -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", "Add."),
        Message("user", "Now."),
        Message(
            "assistant", "", [ToolCall("a", "add", '{"n": 1}'), ToolCall("b", "add", "{"), ToolCall("c", "add", "")]
        ),
        Message("tool", "2", tool_call_id="a"),
        Message("tool", "3", tool_call_id="b"),
        Message("system", "Be kind."),
    ]
    tool = Tool("add", "Adds.", {"type": "object", "properties": {"n": {"type": "integer"}}})
    schema = {"type": "object"}
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    await _answer(
        endpoint,
        "stub-fast",
        messages=messages,
        temperature=1.5,
        stop=["END"],
        seed=7,
        tools=[tool],
        tool_choice="required",
        response_format=ResponseFormat(schema=schema),
        headers=headers,
    )

    (exchange,) = stub.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/messages")
    assert exchange.body == {
        "model": "stub-fast",
        "max_tokens": 1000,
        "temperature": 1.0,
        "stream": True,
        "system": "Be brief.\n\nBe kind.",
        "stop_sequences": ["END"],
        "tools": [{"name": "add", "description": "Adds.", "input_schema": tool.parameters}],
        "tool_choice": {"type": "any"},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Add."}, {"type": "text", "text": "Now."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "a", "name": "add", "input": {"n": 1}},
                    {"type": "tool_use", "id": "b", "name": "add", "input": {}},
                    {"type": "tool_use", "id": "c", "name": "add", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "2"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "3"},
                ],
            },
        ],
    }
    assert exchange.headers["traceparent"] == headers["traceparent"]
    assert exchange.headers["x-api-key"] == "key-of-the-stub"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", {"type": "auto"}), ("none", {"type": "none"}), (Tool("t", "", {}), {"type": "tool", "name": "t"})],
)
async def test_which_tool_is_to_be_called_is_passed_on(
    endpoint: AnthropicEndpoint, stub: OpenAIStub, choice: Any, sent: dict[str, str]
) -> None:
    await _answer(endpoint, "stub-fast", tools=[Tool("t", "", {})], tool_choice=choice)

    assert stub.exchanges[0].body["tool_choice"] == sent


@pytest.mark.parametrize("streams", [True, False])
async def test_a_model_that_takes_no_temperature_is_asked_without_from_its_first_refusal_on(
    endpoint: AnthropicEndpoint, stub: OpenAIStub, streams: bool
) -> None:
    answers = [await _answer(endpoint, "stub-reasoning-2", streams=streams) for _ in range(2)]
    await _answer(endpoint, "stub-fast-2")

    sent = [(exchange.body["model"], "temperature" in exchange.body) for exchange in stub.exchanges]
    assert [text_of(chunks) for chunks in answers] == ["t0 t1 "] * 2
    assert sent == [("stub-reasoning-2", True), *[("stub-reasoning-2", False)] * 2, ("stub-fast-2", True)]


async def test_any_json_is_asked_for_in_words(endpoint: AnthropicEndpoint, stub: OpenAIStub) -> None:
    await _answer(endpoint, "stub-fast", response_format=ResponseFormat())

    assert "JSON" in stub.exchanges[0].body["system"]


async def test_a_tenants_key_goes_in_place_of_the_endpoints(endpoint: AnthropicEndpoint, stub: OpenAIStub) -> None:
    async with aclosing(AnthropicChat(endpoint, "key-of-a-tenant").stream(asking("stub-fast"))) as batches:
        async for _ in batches:
            pass

    headers = stub.exchanges[0].headers
    assert (headers["x-api-key"], headers["authorization"]) == ("key-of-a-tenant", "Bearer key-of-a-tenant")


async def test_the_variables_of_the_sdk_reach_no_provider(stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"x-api-key: {SECRET}")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    endpoint = AnthropicEndpoint(stub.base_url, "key-of-the-stub")
    await _answer(endpoint, "stub-fast")
    await endpoint.close()

    assert not any(SECRET in value for value in stub.exchanges[0].headers.values())


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("stub-401", ModelCredentialRefused),
        ("stub-403", ModelCredentialRefused),
        ("stub-404", ModelNotConfigured),
        ("stub-429", ModelRateLimited),
        ("stub-500", ModelUnavailable),
        ("stub-529", ModelUnavailable),
        ("stub-400", ModelRequestRejected),
        ("stub-too-long", ModelContextExceeded),
        ("stub-413", ModelRequestRejected),
        ("stub-silent", ModelUnavailable),
        ("stub-stall", ModelUnavailable),
        ("stub-cut", ModelAnswerBroken),
        ("stub-unended", ModelAnswerBroken),
        ("stub-broken-sse", ModelResponseInvalid),
        ("stub-wrong-json", ModelResponseInvalid),
        ("stub-twice", ModelResponseInvalid),
        ("stub-endless", ModelAnswerTooLong),
        ("stub-overloaded", ModelUnavailable),
        ("stub-limited", ModelRateLimited),
        ("stub-failing", ModelAnswerBroken),
    ],
)
async def test_each_failure_has_its_name_and_nothing_of_the_providers_words(
    endpoint: AnthropicEndpoint, impatient: AnthropicEndpoint, model: str, error: type[DomainError]
) -> None:
    with pytest.raises(error) as raised:
        await _answer(impatient if model in ("stub-silent", "stub-stall") else endpoint, model)

    told = [raised.value.message, *raised.value.fields.values()]
    assert not any(SECRET in text for text in told)
    assert type(raised.value) is error


async def test_a_limit_of_the_rate_says_when_to_come_back(endpoint: AnthropicEndpoint) -> None:
    with pytest.raises(ModelRateLimited) as raised:
        await _answer(endpoint, "stub-429")

    assert raised.value.retry_after == RETRY_AFTER


@pytest.mark.parametrize("model", ["stub-429", "stub-limited"])
async def test_a_limit_of_the_rate_says_of_which_model(endpoint: AnthropicEndpoint, model: str) -> None:
    with pytest.raises(ModelRateLimited) as raised:
        await _answer(endpoint, model, label="claude")

    assert raised.value.subject == "claude"


@pytest.mark.parametrize("model", ["stub-529", "stub-429", "stub-500"])
async def test_a_failure_is_not_tried_again(endpoint: AnthropicEndpoint, stub: OpenAIStub, model: str) -> None:
    with pytest.raises(DomainError):
        await _answer(endpoint, model)

    assert len(stub.exchanges) == 1


@pytest.mark.parametrize(("text", "told"), [("It is \n", "It is"), ("  ", None)])
async def test_an_answer_to_go_on_with_does_not_end_in_white_space(
    endpoint: AnthropicEndpoint, stub: OpenAIStub, text: str, told: str | None
) -> None:
    await _answer(endpoint, "stub-fast-1", messages=[Message("user", "Hi"), Message("assistant", text)])

    last = stub.exchanges[0].body["messages"][-1]
    assert (last["content"][0]["text"] if last["role"] == "assistant" else None) == told


async def test_what_comes_before_a_failure_is_there_with_what_it_used(endpoint: AnthropicEndpoint) -> None:
    chunks: list[ChatChunk] = []
    with pytest.raises(ModelAnswerBroken):
        await _into(chunks, endpoint, asking("stub-cut-8"))

    assert text_of(chunks) == "".join(f"t{number} " for number in range(8))
    assert chunks[-1].usage == Usage(11, completion_tokens=7, cached_tokens=4, estimated=True)


async def test_whoever_leaves_ends_the_providers_work(endpoint: AnthropicEndpoint, stub: OpenAIStub) -> None:
    delays = []
    for _ in range(5):
        stream = AnthropicChat(endpoint).stream(asking("stub-stall-2"))
        await anext(stream)
        left = perf_counter()
        await stream.aclose()
        exchange = stub.exchanges[-1]
        async with asyncio.timeout(NOT_FOR_EVER):
            await exchange.left.wait()
        delays.append(exchange.left_at - left)

    assert median(delays) < GONE_WITHIN


async def test_an_answer_that_has_ended_is_not_waited_for_without_end(
    endpoint: AnthropicEndpoint, stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "END_SECONDS", 0.1)

    chunks = await _answer(endpoint, "stub-open-end-2")

    assert (text_of(chunks), chunks[-1].usage) == ("t0 t1 ", Usage(11, completion_tokens=2, cached_tokens=4))
    async with asyncio.timeout(NOT_FOR_EVER):
        await stub.exchanges[0].left.wait()


async def test_nobody_is_there(endpoint: AnthropicEndpoint) -> None:
    gone = AnthropicEndpoint("http://127.0.0.1:9", "key")
    with pytest.raises(ModelUnavailable):
        await _answer(gone, "stub-fast")
    await gone.close()
