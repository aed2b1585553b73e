"""The adapter for OpenAI's protocol against a provider that fails, or that nobody waits for any more."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter

import pytest

from server.kernel.errors import DomainError
from server.llm.endpoint import HttpEndpoint
from server.llm.http import Patience
from server.llm.openai import OpenAIChat
from server.llm.port import (
    ChatChunk,
    ModelAnswerBroken,
    ModelAnswerTooLong,
    ModelContextExceeded,
    ModelCredentialRefused,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
    ModelResponseInvalid,
    ModelUnavailable,
    Outage,
    Usage,
)
from tests.fakes.openai_behaviours import RETRY_AFTER
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import NOT_FOR_EVER, SILENCE, asking, text_of
from tests.unit.llm.openai_calls import answer, answer_into, connected, holds_nothing_of_the_provider, usage_of

GONE_WITHIN = 0.1
"""How soon the provider sees that nobody listens any more: the median of five, since a busy machine delays any one."""


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
        await answer_into(chunks, endpoint, asking(model, streams=False))
        assert (text_of(chunks), chunks[0].finish_reason) == ("", "stop")
        return
    with pytest.raises(DomainError) as refusal:
        await answer_into(chunks, endpoint, asking(model, streams=False))

    assert (type(refusal.value), chunks) == (kind, [])
    assert holds_nothing_of_the_provider(refusal.value)


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
    endpoint: HttpEndpoint, impatient: HttpEndpoint, model: str, kind: type[DomainError]
) -> None:
    with pytest.raises(DomainError) as refusal:
        await answer(impatient if model == "stub-silent" else endpoint, model)

    assert type(refusal.value) is kind
    outage = {"stub-silent": Outage.SILENT, "stub-hang-up": Outage.UNREACHABLE}.get(model, Outage.FAILING)
    assert getattr(refusal.value, "outage", outage) is outage
    assert holds_nothing_of_the_provider(refusal.value)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-cut-5", ModelAnswerBroken),
        ("stub-unfinished-5", ModelAnswerBroken),
        ("stub-broken-sse-5", ModelResponseInvalid),
        ("stub-wrong-json-5", ModelResponseInvalid),
        ("stub-error-event-5", ModelAnswerBroken),
    ],
)
async def test_what_came_before_the_failure_is_not_lost(
    endpoint: HttpEndpoint, model: str, kind: type[DomainError]
) -> None:
    _nothing_is_lost(await _failing(endpoint, model), kind)


async def test_what_came_before_a_silence_is_not_lost(stub: OpenAIStub) -> None:
    for silence in (SILENCE, 1.0, 5.0):  # on a busy machine a short one may be over before the first token is there
        async with connected(stub.base_url, "", Patience(streamed=silence)) as endpoint:
            failed = await _failing(endpoint, "stub-stall-5")
        if text_of(failed[1]).endswith("t4 "):
            break

    _nothing_is_lost(failed, ModelUnavailable)


async def _failing(endpoint: HttpEndpoint, model: str) -> tuple[DomainError, list[ChatChunk]]:
    """How the answer failed, and what had come of it."""
    chunks: list[ChatChunk] = []
    with pytest.raises(DomainError) as failure:
        await answer_into(chunks, endpoint, asking(model))
    return failure.value, chunks


def _nothing_is_lost(failed: tuple[DomainError, list[ChatChunk]], kind: type[DomainError]) -> None:
    failure, chunks = failed
    assert type(failure) is kind
    assert holds_nothing_of_the_provider(failure)
    assert text_of(chunks) == "t0 t1 t2 t3 t4 "
    assert usage_of(chunks) == Usage(prompt_tokens=4, completion_tokens=5, estimated=True)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("stub-endless", ModelAnswerTooLong),
        ("stub-hollow-0", ModelAnswerTooLong),
        ("stub-counting-0", ModelAnswerTooLong),
        ("stub-flood", ModelResponseInvalid),
    ],
)
async def test_an_answer_beyond_what_was_asked_for_is_broken_off(
    endpoint: HttpEndpoint, stub: OpenAIStub, model: str, kind: type[DomainError]
) -> None:
    with pytest.raises(kind):
        await answer(endpoint, model, max_tokens=20)

    async with asyncio.timeout(NOT_FOR_EVER):
        await stub.exchanges[0].left.wait()


async def test_nobody_there_is_unavailable() -> None:
    async with OpenAIStub() as closed:
        base_url = closed.base_url
    async with connected(base_url, "") as endpoint:
        with pytest.raises(ModelUnavailable, match="is out of reach"):
            await answer(endpoint, "stub-fast")


async def test_how_long_to_wait_is_passed_on(endpoint: HttpEndpoint) -> None:
    with pytest.raises(ModelRateLimited) as refusal:
        await answer(endpoint, "stub-429")

    assert refusal.value.retry_after == RETRY_AFTER


async def test_where_waiting_does_not_help_none_is_asked_for(endpoint: HttpEndpoint) -> None:
    with pytest.raises(ModelRateLimited) as refusal:
        await answer(endpoint, "stub-no-credit")

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
        await answer(endpoint, "stub-429", headers={"x-stub-retry-after": header})

    assert refusal.value.retry_after == seconds


async def test_a_failure_is_not_tried_again(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    with pytest.raises(ModelUnavailable):
        await answer(endpoint, "stub-503")

    assert len(stub.exchanges) == 1


async def test_a_redirect_is_not_followed(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    async with OpenAIStub() as elsewhere:
        with pytest.raises(ModelNotConfigured):
            await answer(endpoint, f"stub-redirect-{elsewhere.port}")

        assert (len(stub.exchanges), elsewhere.exchanges) == (1, [])


@pytest.mark.parametrize("model", ["stub-slow-500", "stub-stall-1"])
async def test_closing_the_answer_stops_the_provider(endpoint: HttpEndpoint, stub: OpenAIStub, model: str) -> None:
    delays = []
    for _ in range(5):
        batches = OpenAIChat(endpoint).stream(asking(model))
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
        caller = asyncio.create_task(answer(endpoint, "stub-silent"))
        async with asyncio.timeout(NOT_FOR_EVER):
            exchange = await stub.arrival()
            cancelled_at = perf_counter()
            caller.cancel()
            await exchange.left.wait()
        delays.append(exchange.left_at - cancelled_at)
        with pytest.raises(asyncio.CancelledError):
            await caller

    assert median(delays) < GONE_WITHIN


async def test_a_new_connection_that_is_closed_is_not_tried_again(endpoint: HttpEndpoint, stub: OpenAIStub) -> None:
    with pytest.raises(ModelUnavailable):
        await answer(endpoint, "stub-hang-up")

    assert len(stub.exchanges) == 1
