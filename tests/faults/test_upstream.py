"""What callers are told, and what is written down, when a model's provider does what it should not. Who leaves is in
test_leavers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import session_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, model_pb2, stream_pb2
from tests.factories.world import refused
from tests.fakes.openai_behaviours import RETRY_AFTER
from tests.fakes.openai_embeddings import vector
from tests.fakes.openai_exchange import SECRET
from tests.faults.upstream import NOT_FOR_EVER, Upstream, chat_of, stream_of

pytestmark = [pytest.mark.xdist_group("upstream"), pytest.mark.asyncio(loop_scope="module")]

SUCCESS, ERROR = call_log_pb2.CallLog.STATUS_SUCCESS, call_log_pb2.CallLog.STATUS_ERROR

Code = grpc.StatusCode


def _kinds(events: Iterable[stream_pb2.StreamChatResponse]) -> list[str]:
    return [event.WhichOneof("event") for event in events]


def _text(events: Iterable[stream_pb2.StreamChatResponse]) -> str:
    return "".join(event.delta.text for event in events)


def _reason(name: str) -> Any:
    return error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{name}")


REFUSALS = [
    ("stub-401", Code.FAILED_PRECONDITION, "MODEL_CREDENTIAL_REFUSED"),
    ("stub-403", Code.FAILED_PRECONDITION, "MODEL_CREDENTIAL_REFUSED"),
    ("stub-404", Code.FAILED_PRECONDITION, "MODEL_NOT_CONFIGURED"),
    ("stub-redirect-9", Code.FAILED_PRECONDITION, "MODEL_NOT_CONFIGURED"),
    ("stub-400", Code.INVALID_ARGUMENT, "MODEL_REQUEST_REJECTED"),
    ("stub-too-long", Code.INVALID_ARGUMENT, "MODEL_CONTEXT_EXCEEDED"),
    ("stub-filtered", Code.INVALID_ARGUMENT, "MODEL_CONTENT_FILTERED"),
    ("stub-429", Code.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED"),
    ("stub-no-credit", Code.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED"),
    ("stub-500", Code.UNAVAILABLE, "MODEL_UNAVAILABLE"),
    ("stub-503", Code.UNAVAILABLE, "MODEL_UNAVAILABLE"),
    ("stub-endless-error", Code.UNAVAILABLE, "MODEL_UNAVAILABLE"),
    ("stub-hang-up", Code.UNAVAILABLE, "MODEL_UNAVAILABLE"),
    ("stub-html", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-flood", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
]
"""Behaviours that bring no token, and what a caller is told."""

BREAKS = [
    ("stub-cut-5", "MODEL_ANSWER_BROKEN"),
    ("stub-unfinished-5", "MODEL_ANSWER_BROKEN"),
    ("stub-broken-sse-5", "MODEL_RESPONSE_INVALID"),
    ("stub-wrong-json-5", "MODEL_RESPONSE_INVALID"),
    ("stub-wrong-index-5", "MODEL_RESPONSE_INVALID"),
    ("stub-error-event-5", "MODEL_ANSWER_BROKEN"),
]
"""Behaviours that bring five tokens and then a failure."""

FIVE_TOKENS = "t0 t1 t2 t3 t4 "

# The stub counts words: 4 read, of them 2 cached, and the tokens it wrote; the prices are per 1,000.
ANSWERS = [("stub-fast-200", 200, "401.2"), ("stub-no-done-3", 3, "7.2"), ("stub-slow-3", 3, "7.2")]


@pytest.mark.parametrize(("model", "written", "cost"), ANSWERS)
async def test_an_answer_is_billed_as_the_provider_counts(
    upstream: Upstream, model: str, written: int, cost: str
) -> None:
    trace_id, metadata = upstream.traced()

    answer = await upstream.world.models.Chat(chat_of(await upstream.model(model)), metadata=metadata)

    (log,) = await upstream.logs(trace_id)
    assert answer.message.content == "".join(f"t{number} " for number in range(written))
    assert (answer.call_log_id, answer.usage, answer.finish_reason) == (log.id, log.usage, log.finish_reason)
    assert (log.status, log.finish_reason, log.trace_id) == (SUCCESS, chat_pb2.FINISH_REASON_STOP, trace_id)
    assert (log.usage.prompt_tokens, log.usage.cached_tokens, log.usage.completion_tokens) == (4, 2, written)
    assert log.usage.cost_usd == cost


@pytest.mark.parametrize(("model", "written", "cost"), ANSWERS)
async def test_a_streamed_answer_is_billed_the_same_before_its_last_event(
    upstream: Upstream, model: str, written: int, cost: str
) -> None:
    trace_id, metadata = upstream.traced()
    stream = upstream.world.models.StreamChat(stream_of(await upstream.model(model)), metadata=metadata)

    events, log = await _read_to_the_end(upstream, stream, trace_id)

    assert _kinds(events) == ["started", *["delta"] * written, "usage", "completed"]
    assert _text(events) == "".join(f"t{number} " for number in range(written))
    assert (log.status, log.usage.completion_tokens, log.usage.cost_usd) == (SUCCESS, written, cost)


async def _read_to_the_end(
    upstream: Upstream, stream: Any, trace_id: str
) -> tuple[list[stream_pb2.StreamChatResponse], call_log_pb2.CallLog]:
    """The events, and the record as it was there with the last of them; what every stream must keep to is checked."""
    events = []
    async with asyncio.timeout(NOT_FOR_EVER):
        async for event in stream:
            events.append(event)
            if event.WhichOneof("event") in ("completed", "failed"):
                (log,) = await upstream.logs(trace_id)
        assert await stream.code() is Code.OK
    kinds = _kinds(events)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert kinds[0] == "started"
    assert kinds[-2:] in (["usage", "completed"], ["usage", "failed"])
    assert set(kinds[1:-2]) <= {"delta"}
    assert (events[0].started.call_log_id, events[-2].usage) == (log.id, log.usage)
    assert log.trace_id == trace_id
    return events, log


@pytest.mark.parametrize(("model", "code", "reason"), REFUSALS)
async def test_a_provider_that_does_not_answer_is_a_status_with_details(
    upstream: Upstream, model: str, code: grpc.StatusCode, reason: str
) -> None:
    trace_id, metadata = upstream.traced()

    refusal = await refused(
        upstream.world.models.Chat(chat_of(await upstream.model(model)), metadata=metadata, timeout=NOT_FOR_EVER)
    )

    (log,) = await upstream.logs(trace_id)
    assert (refusal.code, refusal.reason) == (code, reason)
    assert SECRET not in f"{refusal}"
    assert (log.status, log.error_reason, log.trace_id) == (ERROR, _reason(reason), trace_id)
    assert log.outage == (log.OUTAGE_UNSPECIFIED if reason != "MODEL_UNAVAILABLE" else _outage(model))
    assert (log.usage.total_tokens, log.usage.cost_usd) == (0, "0")
    assert not log.HasField("time_to_first_token")


def _outage(model: str) -> call_log_pb2.CallLog.Outage.ValueType:
    """Who closes the connection without a word is as good as not there."""
    return call_log_pb2.CallLog.OUTAGE_UNREACHABLE if model == "stub-hang-up" else call_log_pb2.CallLog.OUTAGE_FAILING


@pytest.mark.parametrize(("model", "code", "reason"), REFUSALS)
async def test_a_provider_that_does_not_answer_ends_a_stream_with_its_failure(
    upstream: Upstream, model: str, code: grpc.StatusCode, reason: str
) -> None:
    trace_id, metadata = upstream.traced()
    stream = upstream.world.models.StreamChat(stream_of(await upstream.model(model)), metadata=metadata)

    events, log = await _read_to_the_end(upstream, stream, trace_id)

    assert _kinds(events) == ["started", "usage", "failed"]
    assert events[-1].failed.reason == log.error_reason == _reason(reason)
    assert log.status == ERROR
    assert SECRET not in f"{events}"


@pytest.mark.parametrize(("model", "reason"), BREAKS)
async def test_an_answer_that_breaks_off_is_unavailable_and_what_it_used_is_billed(
    upstream: Upstream, model: str, reason: str
) -> None:
    trace_id, metadata = upstream.traced()

    refusal = await refused(
        upstream.world.models.Chat(chat_of(await upstream.model(model)), metadata=metadata, timeout=NOT_FOR_EVER)
    )

    (log,) = await upstream.logs(trace_id)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, reason)
    assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1
    assert SECRET not in f"{refusal}"
    _is_billed_for_five_tokens(log, reason)


@pytest.mark.parametrize(("model", "reason"), BREAKS)
async def test_a_stream_that_breaks_off_gives_what_came_and_then_its_failure(
    upstream: Upstream, model: str, reason: str
) -> None:
    trace_id, metadata = upstream.traced()
    stream = upstream.world.models.StreamChat(stream_of(await upstream.model(model)), metadata=metadata)

    events, log = await _read_to_the_end(upstream, stream, trace_id)

    assert _text(events) == FIVE_TOKENS
    assert events[-1].failed.reason == _reason(reason)
    assert SECRET not in f"{events}"
    _is_billed_for_five_tokens(log, reason)


def _is_billed_for_five_tokens(log: call_log_pb2.CallLog, reason: str) -> None:
    """The provider did not count, so its 20 bytes of prompt are taken for 6 tokens: 6 * 0.5 + 5 * 2 USD."""
    assert (log.status, log.error_reason) == (ERROR, _reason(reason))
    assert (log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.cost_usd) == (6, 5, "13")
    assert log.HasField("time_to_first_token")


async def test_a_provider_that_is_down_is_unavailable_and_on_record(upstream: Upstream) -> None:
    models = upstream.world.models
    for method, request in (
        (models.Chat, chat_of(await upstream.model("down"))),
        (models.Embed, embedding_pb2.EmbedRequest(model=await upstream.model("down-embed"), inputs=["a"])),
    ):
        trace_id, metadata = upstream.traced()

        refusal = await refused(method(request, metadata=metadata, timeout=NOT_FOR_EVER))

        (log,) = await upstream.logs(trace_id)
        assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
        assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds > 0
        assert "127.0.0.1" not in f"{refusal}", "where it is is the platform's to know"
        _is_down(log)


async def test_a_provider_that_is_down_ends_a_stream_with_its_failure(upstream: Upstream) -> None:
    trace_id, metadata = upstream.traced()
    stream = upstream.world.models.StreamChat(stream_of(await upstream.model("down")), metadata=metadata)

    events, log = await _read_to_the_end(upstream, stream, trace_id)

    assert _kinds(events) == ["started", "usage", "failed"]
    assert events[-1].failed.reason == _reason("MODEL_UNAVAILABLE")
    assert "127.0.0.1" not in f"{events}"
    _is_down(log)


def _is_down(log: call_log_pb2.CallLog) -> None:
    assert (log.status, log.error_reason) == (ERROR, _reason("MODEL_UNAVAILABLE"))
    assert log.outage == log.OUTAGE_UNREACHABLE
    assert (log.usage.total_tokens, log.usage.cost_usd) == (0, "0")
    assert not log.HasField("time_to_first_token")


async def test_how_long_to_wait_is_told_and_by_whom(upstream: Upstream) -> None:
    _, metadata = upstream.traced()

    refusal = await refused(
        upstream.world.models.Chat(chat_of(await upstream.model("stub-429")), metadata=metadata, timeout=NOT_FOR_EVER)
    )

    assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds == RETRY_AFTER
    assert refusal.detail(error_details_pb2.QuotaFailure).violations[0].subject == "stub-429"


async def test_the_caller_s_trace_and_request_go_on_to_the_provider_and_its_token_does_not(upstream: Upstream) -> None:
    trace_id, metadata = upstream.traced()
    model = await upstream.model("stub-fast")

    await upstream.world.models.Chat(chat_of(model), metadata=(*metadata, ("x-request-id", "request-7")))

    headers = (await upstream.stub.arrival()).headers
    (log,) = await upstream.logs(trace_id)
    assert headers["traceparent"].split("-")[1] == trace_id
    assert headers["x-request-id"] == log.request_id == "request-7"
    assert headers["authorization"] == "Bearer none"
    assert upstream.person.tokens.access_token not in f"{headers}"


EMBEDS = [
    ("stub-embed-short-8", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-embed-ragged-8", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-embed-twice-8", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-embed-beyond-8", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-embed-nan-8", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-embed-endless-8", Code.UNAVAILABLE, "MODEL_RESPONSE_INVALID"),
    ("stub-422", Code.INVALID_ARGUMENT, "MODEL_REQUEST_REJECTED"),
]


@pytest.mark.parametrize("model", ["stub-embed-8", "stub-embed-floats-8", "stub-embed-reversed-8"])
async def test_vectors_come_in_the_order_of_the_inputs_and_are_billed(upstream: Upstream, model: str) -> None:
    trace_id, metadata = upstream.traced()
    inputs = ["one", "two words"]
    name = await upstream.model(model)

    reply = await upstream.world.models.Embed(embedding_pb2.EmbedRequest(model=name, inputs=inputs), metadata=metadata)

    (log,) = await upstream.logs(trace_id)
    assert [list(embedding.values) for embedding in reply.embeddings] == [vector(text, 8) for text in inputs]
    assert (reply.call_log_id, reply.usage) == (log.id, log.usage)
    assert (log.status, log.usage.prompt_tokens, log.usage.cost_usd) == (SUCCESS, 3, "1.5")


@pytest.mark.parametrize(("model", "code", "reason"), EMBEDS)
async def test_a_provider_without_the_right_vectors_is_a_status_and_on_record(
    upstream: Upstream, model: str, code: grpc.StatusCode, reason: str
) -> None:
    trace_id, metadata = upstream.traced()
    name = await upstream.model(model)

    refusal = await refused(
        upstream.world.models.Embed(
            embedding_pb2.EmbedRequest(model=name, inputs=["a", "b"]), metadata=metadata, timeout=NOT_FOR_EVER
        )
    )

    (log,) = await upstream.logs(trace_id)
    assert (refusal.code, refusal.reason) == (code, reason)
    assert SECRET not in f"{refusal}"
    assert (log.status, log.error_reason, log.kind) == (ERROR, _reason(reason), log.KIND_EMBEDDING)


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("Chat", chat_of("stub-stall-1")),
        ("Chat", chat_of("stub-stall-1", idempotency_key="key")),
        ("StreamChat", stream_of("stub-stall-1")),
        ("StreamChat", stream_of("stub-stall-1", resumable=True)),
        ("Embed", embedding_pb2.EmbedRequest(model="stub-silent-2")),
        ("Embed", embedding_pb2.EmbedRequest(model="stub-silent-2", idempotency_key="key")),
    ],
    ids=["chat", "chat-with-key", "stream", "resumable", "embed", "embed-with-key"],
)
async def test_no_database_connection_is_held_while_models_answer(upstream: Upstream, method: str, asked: Any) -> None:
    """The server has one; three calls wait for a provider that says nothing, and others go through meanwhile."""
    quick, _ = await upstream.model("stub-fast"), await upstream.model(asked.model)
    _, metadata = upstream.traced()
    calls = [getattr(upstream.world.models, method)(_another(asked, each), metadata=metadata) for each in range(3)]
    async with asyncio.timeout(NOT_FOR_EVER):
        for _ in calls:
            await upstream.stub.arrival()

        answer = await upstream.world.models.Chat(chat_of(quick), metadata=metadata)
        await upstream.world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)

    assert answer.message.content == "t0 t1 t2 "
    assert all(not call.done() for call in calls)
    for call in calls:
        call.cancel()


def _another(asked: Any, number: int) -> Any:
    """The same request, with a key of its own where it has one, and texts of its own where it has texts."""
    made = type(asked)()
    made.CopyFrom(asked)
    if isinstance(made, embedding_pb2.EmbedRequest):
        made.inputs.append(f"text {number}")
    if not isinstance(made, stream_pb2.StreamChatRequest) and made.idempotency_key:
        made.idempotency_key += f"-{number}"
    return made


async def test_a_new_price_is_for_new_calls(upstream: Upstream) -> None:
    model = await upstream.model("stub-fast-10")
    before, metadata = upstream.traced()
    await upstream.world.models.Chat(chat_of(model), metadata=metadata)
    (old,) = await upstream.logs(before)

    await _set_price(upstream, model, 1000, 4000, 200)

    after, metadata = upstream.traced()
    await upstream.world.models.Chat(chat_of(model), metadata=metadata)
    (new,) = await upstream.logs(after)
    assert (old.usage.cost_usd, new.usage.cost_usd) == ("21.2", "42.4")
    assert await upstream.logs(before) == [old]


async def _set_price(upstream: Upstream, model: str, *usd: int) -> None:
    platform = await upstream.world.platform()
    found = (await upstream.world.models.ListModels(model_pb2.ListModelsRequest(), metadata=platform.metadata)).models
    price = dict(
        zip(("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k"), map(str, usd), strict=True)
    )
    request = model_pb2.SetModelPriceRequest(
        model_id=next(one.id for one in found if one.name == model), price=model_pb2.ModelPrice(**price)
    )
    await upstream.world.models.SetModelPrice(request, metadata=platform.metadata)


async def test_providers_that_fail_leave_the_server_as_it_was(upstream: Upstream) -> None:
    """Forty calls at once to a provider that does everything it should not, and then an answer as ever."""
    names = [await upstream.model(name) for name in ("stub-cut-5", "stub-500", "stub-broken-sse-5", "stub-hang-up")]
    _, metadata = upstream.traced()

    refusals = await asyncio.gather(
        *(refused(upstream.world.models.Chat(chat_of(name), metadata=metadata)) for name in names * 10)
    )
    answer = await upstream.world.models.Chat(chat_of(await upstream.model("stub-fast")), metadata=metadata)

    assert {refusal.code for refusal in refusals} == {Code.UNAVAILABLE}
    assert answer.message.content == "t0 t1 t2 "
