"""The adapter for OpenAI's protocol against a provider that does what it should, and everything it should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from statistics import median
from time import perf_counter
from typing import Any

import pytest

from server.kernel.errors import DomainError
from server.llm.endpoint import HttpEndpoint
from server.llm.openai import OpenAIChat, OpenAIEmbedding, connect
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
    Tool,
    ToolCallDelta,
    Usage,
)
from tests.fakes.openai_behaviours import RETRY_AFTER, SECRET
from tests.fakes.openai_embeddings import vector
from tests.fakes.openai_stub import OpenAIStub

SILENCE = 0.2
"""How long the provider may say nothing in these tests."""

GONE_WITHIN = 0.1
"""How soon the provider sees that nobody listens any more: the median of five, since a busy machine delays any one."""

NOT_FOR_EVER = 10.0
"""What hangs is a failure, not a run without end."""


@asynccontextmanager
async def _connected(base_url: str, key: str) -> AsyncIterator[HttpEndpoint]:
    endpoint = connect(base_url, key, silence=SILENCE)
    yield endpoint
    await endpoint.close()


@pytest.fixture
async def endpoint(stub: OpenAIStub) -> AsyncIterator[HttpEndpoint]:
    async with _connected(stub.base_url, "key-of-the-stub") as connected:
        yield connected


def _asking(model: str, **changes: Any) -> ChatRequest:
    given: dict[str, Any] = {"messages": [Message("user", "Say something.")], "temperature": 0.5, "max_tokens": 1000}
    return ChatRequest(model=model, **(given | changes))


async def _answer(endpoint: HttpEndpoint, model: str, **changes: Any) -> list[ChatChunk]:
    chunks: list[ChatChunk] = []
    await _into(chunks, endpoint, _asking(model, **changes))
    return chunks


async def _into(chunks: list[ChatChunk], endpoint: HttpEndpoint, request: ChatRequest) -> None:
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(OpenAIChat(endpoint).stream(request)) as batches:
        async for batch in batches:
            chunks.extend(batch)


def _text(chunks: Sequence[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def _usage(chunks: Sequence[ChatChunk]) -> Usage | None:
    return next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)


def _holds_nothing_of_the_provider(error: DomainError) -> bool:
    told = [
        error.message,
        *error.fields.values(),
        *(text for pair in getattr(error, "violations", ()) for text in pair),
    ]
    return not any(SECRET in text for text in told)


async def test_an_answer_arrives_whole_with_its_reason_and_its_exact_usage(endpoint: HttpEndpoint) -> None:
    chunks = await _answer(endpoint, "stub-fast-200")

    assert _text(chunks) == "".join(f"t{number} " for number in range(200))
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert _usage(chunks) == Usage(prompt_tokens=2, completion_tokens=200, cached_tokens=1, estimated=False)


async def test_tokens_arrive_as_they_are_written(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    """The stub writes two tokens and then waits for ever: they are here all the same."""
    async with asyncio.timeout(NOT_FOR_EVER), aclosing(OpenAIChat(endpoint).stream(_asking("stub-stall-2"))) as batches:
        arrived = ""
        while arrived != "t0 t1 ":
            arrived += _text(await anext(batches))


async def test_everything_that_was_asked_goes_to_the_provider_and_nothing_else(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    messages = [Message("system", "Be brief."), Message("user", "你好"), Message("assistant", "Yes?")]
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "x-request-id": "request-1"}

    await _answer(endpoint, "stub-fast", messages=messages, max_tokens=7, stop=["."], seed=3, headers=headers)

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


async def test_what_was_left_open_is_not_sent(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    await _answer(endpoint, "stub-fast")

    assert stub.exchanges[0].body.keys().isdisjoint({"stop", "seed"})


async def test_no_key_of_the_environment_reaches_a_provider(stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"authorization: Bearer {SECRET}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    async with _connected(stub.base_url, "") as keyless:
        await _answer(keyless, "stub-fast")

    assert SECRET not in str(stub.exchanges[0].headers)


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "ALL_PROXY"])
async def test_what_runs_on_this_machine_is_not_looked_for_behind_a_proxy(
    stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)

    async with _connected(stub.base_url, "") as direct:
        await _answer(direct, "stub-fast")

    assert len(stub.exchanges) == 1


async def test_what_a_model_does_not_take_is_learned_once_and_sent_no_more(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    for _ in range(2):
        assert _text(await _answer(endpoint, "stub-reasoning-2", max_tokens=9)) == "t0 t1 "

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
    chunks = await _answer(endpoint, "stub-cut-at-its-end-2")

    assert (_text(chunks), chunks[-1].finish_reason) == ("t0 t1 ", "stop")


@pytest.mark.parametrize(
    ("model", "tokens"), [("stub-no-usage-9", 9), ("stub-split-9", 9 * len("你好t0 ".encode()) // 4)]
)
async def test_usage_that_is_not_told_is_estimated(endpoint: HttpEndpoint, model: str, tokens: int) -> None:
    chunks = await _answer(endpoint, model, messages=[Message("user", "x" * 400)])

    assert _usage(chunks) == Usage(prompt_tokens=101, completion_tokens=tokens, estimated=True)


async def test_an_answer_in_pieces_that_stop_anywhere_is_read_right(endpoint: HttpEndpoint) -> None:
    assert _text(await _answer(endpoint, "stub-split-3")) == "你好t0 你好t1 你好t2 "


async def test_an_answer_that_ends_without_its_last_line_is_one(endpoint: HttpEndpoint) -> None:
    chunks = await _answer(endpoint, "stub-no-done-4")

    assert (_text(chunks), chunks[-1].finish_reason) == ("t0 t1 t2 t3 ", "stop")


async def test_a_token_may_be_large(endpoint: HttpEndpoint) -> None:
    assert len(_text(await _answer(endpoint, "stub-huge-100", max_tokens=10_000))) == 100 * 1024


async def test_a_model_that_does_not_stream_gives_its_answer_in_one_piece(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    (chunk,) = await _answer(endpoint, "stub-fast-4", streams=False)
    tool = Tool("weather", "", {"type": "object"})
    (called,) = await _answer(endpoint, "stub-tools-2", streams=False, tools=[tool])

    assert chunk == ChatChunk("t0 t1 t2 t3 ", "stop", Usage(2, 4, 1))
    assert list(called.tool_calls) == [ToolCallDelta(n, f"call-{n}", "weather", '{"city":"Oslo"}') for n in range(2)]
    assert called.finish_reason == "tool_calls"
    assert [exchange.body.keys() & {"stream", "stream_options"} for exchange in stub.exchanges] == [set(), set()]


async def test_a_model_that_does_not_stream_is_waited_for(endpoint: HttpEndpoint) -> None:
    assert SILENCE < 0.5
    (chunk,) = await _answer(endpoint, "stub-late-5", streams=False)
    with pytest.raises(ModelUnavailable):
        await _answer(endpoint, "stub-late-5")

    assert chunk.text == "t0 t1 t2 "


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-fast-0", None),
        ("stub-cut", ModelAnswerBroken),
        ("stub-html", ModelResponseInvalid),
        ("stub-slow", ModelResponseInvalid),
        ("stub-embed-endless", ModelResponseInvalid),
        ("stub-429", ModelRateLimited),
        ("stub-hang-up", ModelUnavailable),
    ],
)
async def test_an_answer_in_one_piece_that_is_none_fails_in_our_words(
    endpoint: HttpEndpoint, model: str, kind: type[DomainError] | None
) -> None:
    chunks: list[ChatChunk] = []
    if kind is None:
        await _into(chunks, endpoint, _asking(model, streams=False))
        assert (_text(chunks), chunks[0].finish_reason) == ("", "stop")
        return
    with pytest.raises(DomainError) as refusal:
        await _into(chunks, endpoint, _asking(model, streams=False))

    assert (type(refusal.value), chunks) == (kind, [])
    assert _holds_nothing_of_the_provider(refusal.value)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-401", ModelCredentialRefused),
        ("stub-402", ModelNotConfigured),
        ("stub-403", ModelCredentialRefused),
        ("stub-404", ModelNotConfigured),
        ("no-such-model", ModelNotConfigured),
        ("stub-400", ModelRequestRejected),
        ("stub-409", ModelRequestRejected),
        ("stub-413", ModelRequestRejected),
        ("stub-422", ModelRequestRejected),
        ("stub-too-long", ModelContextExceeded),
        ("stub-context-9", ModelContextExceeded),
        ("stub-429", ModelRateLimited),
        ("stub-no-credit", ModelRateLimited),
        ("stub-408", ModelUnavailable),
        ("stub-500", ModelUnavailable),
        ("stub-502", ModelUnavailable),
        ("stub-503", ModelUnavailable),
        ("stub-529", ModelUnavailable),
        ("stub-endless-error", ModelUnavailable),
        ("stub-hang-up", ModelUnavailable),
        ("stub-silent", ModelUnavailable),
        ("stub-html", ModelResponseInvalid),
        ("stub-huge-1100", ModelResponseInvalid),
    ],
)
async def test_a_provider_that_does_not_answer_fails_in_our_words(
    endpoint: HttpEndpoint, model: str, kind: type[DomainError]
) -> None:
    with pytest.raises(DomainError) as refusal:
        await _answer(endpoint, model)

    assert type(refusal.value) is kind
    assert _holds_nothing_of_the_provider(refusal.value)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-cut-5", ModelAnswerBroken),
        ("stub-unfinished-5", ModelAnswerBroken),
        ("stub-broken-sse-5", ModelResponseInvalid),
        ("stub-wrong-json-5", ModelResponseInvalid),
        ("stub-error-event-5", ModelAnswerBroken),
        ("stub-stall-5", ModelUnavailable),
    ],
)
async def test_what_came_before_the_failure_is_not_lost(
    endpoint: HttpEndpoint, model: str, kind: type[DomainError]
) -> None:
    chunks: list[ChatChunk] = []

    with pytest.raises(DomainError) as failure:
        await _into(chunks, endpoint, _asking(model))

    assert type(failure.value) is kind
    assert _holds_nothing_of_the_provider(failure.value)
    assert _text(chunks) == "t0 t1 t2 t3 t4 "
    assert _usage(chunks) == Usage(prompt_tokens=4, completion_tokens=5, estimated=True)


@pytest.mark.parametrize(
    ("model", "kind"), [("stub-endless", ModelAnswerTooLong), ("stub-flood", ModelResponseInvalid)]
)
async def test_an_answer_beyond_what_was_asked_for_is_broken_off(
    endpoint: HttpEndpoint, stub: OpenAIStub, model: str, kind: type[DomainError]
) -> None:
    with pytest.raises(kind):
        await _answer(endpoint, model, max_tokens=20)

    async with asyncio.timeout(NOT_FOR_EVER):
        await stub.exchanges[0].left.wait()


async def test_nobody_there_is_unavailable() -> None:
    async with OpenAIStub() as closed:
        base_url = closed.base_url
    async with _connected(base_url, "") as endpoint:
        with pytest.raises(ModelUnavailable):
            await _answer(endpoint, "stub-fast")


async def test_how_long_to_wait_is_passed_on(endpoint: HttpEndpoint) -> None:
    with pytest.raises(ModelRateLimited) as refusal:
        await _answer(endpoint, "stub-429")

    assert refusal.value.retry_after == RETRY_AFTER


async def test_where_waiting_does_not_help_none_is_asked_for(endpoint: HttpEndpoint) -> None:
    with pytest.raises(ModelRateLimited) as refusal:
        await _answer(endpoint, "stub-no-credit")

    assert refusal.value.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1e9", 3600.0),
        ("inf", 3600.0),
        ("nan", 1.0),
        ("Mon, 01 Jan 2035 00:00:00 GMT", 3600.0),
        ("soon", 1.0),
    ],
)
async def test_an_odd_time_to_wait_is_brought_into_bounds(endpoint: HttpEndpoint, header: str, seconds: float) -> None:
    with pytest.raises(ModelRateLimited) as refusal:
        await _answer(endpoint, "stub-429", headers={"x-stub-retry-after": header})

    assert refusal.value.retry_after == seconds


async def test_a_failure_is_not_tried_again(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    with pytest.raises(ModelUnavailable):
        await _answer(endpoint, "stub-503")

    assert len(stub.exchanges) == 1


async def test_a_redirect_is_not_followed(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    async with OpenAIStub() as elsewhere:
        with pytest.raises(ModelNotConfigured):
            await _answer(endpoint, f"stub-redirect-{elsewhere.port}")

        assert (len(stub.exchanges), elsewhere.exchanges) == (1, [])


@pytest.mark.parametrize("model", ["stub-slow-500", "stub-stall-1"])
async def test_closing_the_answer_stops_the_provider(endpoint: HttpEndpoint, stub: OpenAIStub, model: str) -> None:
    delays = []
    for _ in range(5):
        batches = OpenAIChat(endpoint).stream(_asking(model))
        async with asyncio.timeout(NOT_FOR_EVER):
            await anext(batches)
            exchange = await stub.arrival()
            closed_at = perf_counter()
            await batches.aclose()
            await exchange.left.wait()
        delays.append(exchange.left_at - closed_at)

    assert median(delays) < GONE_WITHIN


async def test_cancelling_the_caller_stops_a_provider_that_has_not_answered(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    delays = []
    for _ in range(5):
        caller = asyncio.create_task(_answer(endpoint, "stub-silent"))
        async with asyncio.timeout(NOT_FOR_EVER):
            exchange = await stub.arrival()
            cancelled_at = perf_counter()
            caller.cancel()
            await exchange.left.wait()
        delays.append(exchange.left_at - cancelled_at)
        with pytest.raises(asyncio.CancelledError):
            await caller

    assert median(delays) < GONE_WITHIN


async def test_a_connection_is_used_again(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    for _ in range(3):
        await _answer(endpoint, "stub-fast")

    assert (len(stub.exchanges), stub.connections_made) == (3, 1)


async def test_a_kept_connection_that_turns_out_to_be_closed_fails_no_call(
    endpoint: HttpEndpoint, stub: OpenAIStub
) -> None:
    for _ in range(3):
        assert _text(await _answer(endpoint, "stub-once")) == "t0 t1 t2 "

    assert stub.connections_made == 3


async def test_a_new_connection_that_is_closed_is_not_tried_again(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    with pytest.raises(ModelUnavailable):
        await _answer(endpoint, "stub-hang-up")

    assert len(stub.exchanges) == 1


TEXTS = ["one", "two words", "三"]


@pytest.mark.parametrize("model", ["stub-embed-4", "stub-embed-floats-4", "stub-embed-reversed-4"])
async def test_vectors_come_in_the_order_of_the_texts(endpoint: HttpEndpoint, model: str) -> None:
    found = await OpenAIEmbedding(endpoint, model).embed(TEXTS, {})

    assert found.vectors == [vector(text, 4) for text in TEXTS]
    assert found.usage == Usage(prompt_tokens=4)


async def test_a_vector_of_another_length_than_the_models_is_none(endpoint: HttpEndpoint) -> None:
    with pytest.raises(ModelResponseInvalid):
        await OpenAIEmbedding(endpoint, "stub-embed-4", dimensions=8).embed(TEXTS, {})


async def test_the_length_is_asked_for_where_the_endpoint_knows_of_it(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    for shortens in (True, False):
        await OpenAIEmbedding(endpoint, "stub-embed-4", dimensions=4, shortens=shortens).embed(TEXTS, {})

    assert [exchange.body.get("dimensions") for exchange in stub.exchanges] == [4, None]


async def test_texts_and_headers_go_to_the_provider(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    await OpenAIEmbedding(endpoint, "stub-embed").embed(TEXTS, {"x-request-id": "request-1"})

    (exchange,) = stub.exchanges
    assert (exchange.method, exchange.path) == ("POST", "/v1/embeddings")
    assert exchange.body == {"model": "stub-embed", "input": TEXTS, "encoding_format": "base64"}
    assert (exchange.headers["authorization"], exchange.headers["x-request-id"]) == (
        "Bearer key-of-the-stub",
        "request-1",
    )


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-401", ModelCredentialRefused),
        ("stub-400", ModelRequestRejected),
        ("stub-429", ModelRateLimited),
        ("stub-500", ModelUnavailable),
        ("stub-endless-error", ModelUnavailable),
        ("stub-silent", ModelUnavailable),
        ("stub-hang-up", ModelUnavailable),
        ("stub-html", ModelResponseInvalid),
        ("stub-embed-short", ModelResponseInvalid),
        ("stub-embed-ragged", ModelResponseInvalid),
        ("stub-embed-twice", ModelResponseInvalid),
        ("stub-embed-beyond", ModelResponseInvalid),
        ("stub-embed-nan", ModelResponseInvalid),
        ("stub-embed-0", ModelResponseInvalid),
        ("stub-embed-endless", ModelResponseInvalid),
    ],
)
async def test_a_provider_without_the_right_vectors_fails_in_our_words(
    endpoint: HttpEndpoint, model: str, kind: type[DomainError]
) -> None:
    async with asyncio.timeout(NOT_FOR_EVER):
        with pytest.raises(DomainError) as refusal:
            await OpenAIEmbedding(endpoint, model).embed(TEXTS, {})

    assert type(refusal.value) is kind
    assert _holds_nothing_of_the_provider(refusal.value)
