"""What is paid for where a provider does not keep to what it was asked, or a caller does not wait."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, stream_pb2
from atrium.model.v1 import route_pb2 as routes
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, chat_with, embed_with, logs_of, stream_from

Code = grpc.StatusCode
PROMPT_TOKENS = 6
"""What reading "four words of prompt" takes, about; the stub counts its words."""


async def _route(world: World, person: Person, *models: str, **fallbacks: list[str]) -> str:
    """The alias of a route to these models, one after the other, that tries each once."""
    request = routes.CreateRouteRequest(
        alias="way",
        targets=[routes.RouteTarget(model=name, priority=place) for place, name in enumerate(models)],
        fallbacks=routes.RouteFallbacks(**fallbacks),
        retry=routes.RouteRetry(max_attempts=1),
    )
    return (await world.models.CreateRoute(request, metadata=person.metadata)).route.alias


async def _record(world: World, person: Person) -> call_log_pb2.CallLog:
    """The record of the tenant's only call, which nobody waits for."""
    async with asyncio.timeout(NOT_FOR_EVER):
        while not (found := await logs_of(world, person)):
            pass
    (log,) = found
    return log


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "in one piece"])
async def test_a_chat_that_is_left_before_its_first_token_is_billed_for_what_was_read(
    gateway: World, stub: OpenAIStub, streams: bool
) -> None:
    ann = await gateway.tenant()
    name = (
        "stub-silent"
        if streams
        else await make_model(gateway, stub.base_url, "stub-silent-1", supports_streaming=False)
    )
    call = asyncio.create_task(chat_with(gateway, ann, name))
    await stub.arrival()

    call.cancel()

    log = await _record(gateway, ann)
    assert log.status == log.STATUS_CANCELLED
    assert (log.usage.prompt_tokens, log.usage.completion_tokens) == (PROMPT_TOKENS, 0)
    assert float(log.usage.cost_usd) == PROMPT_TOKENS


async def test_an_embedding_that_is_left_is_billed_for_the_texts_that_were_sent(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    call = asyncio.create_task(embed_with(gateway, ann, "stub-embed-stall", ["down", "x" * 400]))
    await stub.arrival()

    call.cancel()

    log = await _record(gateway, ann)
    assert (log.status, log.usage.prompt_tokens) == (log.STATUS_CANCELLED, 2 + 101)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("stub-embed-short-8", 3), ("stub-embed-nan-8", 3), ("stub-embed-ragged-8", 1 + 2 + 1), ("stub-embed-cut-8", 4)],
    ids=["one is missing", "no numbers", "of different lengths", "broken off"],
)
async def test_vectors_that_are_of_no_use_are_billed_for_each_try(
    gateway: World, stub: OpenAIStub, model: str, tokens: int
) -> None:
    ann = await gateway.tenant()
    embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
    name = await make_model(gateway, stub.base_url, model, **embeds)

    await refused(embed_with(gateway, ann, name, ["one", "two words"]))

    (log,) = await logs_of(gateway, ann)
    assert (log.status, log.attempts, log.usage.prompt_tokens) == (log.STATUS_ERROR, 2, 2 * tokens)
    assert float(log.usage.cost_usd) == 2 * tokens


async def test_an_answer_that_is_left_while_noughts_are_told_of_it_is_billed_for_what_came(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-noughts-5")
    stream = stream_from(gateway, ann, name)
    text = ""
    async for event in stream:
        text += event.delta.text
        if text == "t0 t1 t2 t3 t4 ":
            break

    stream.cancel()

    log = await _record(gateway, ann)
    assert (log.status, log.usage.prompt_tokens, log.usage.completion_tokens) == (
        log.STATUS_CANCELLED,
        PROMPT_TOKENS,
        5,
    )
    assert float(log.usage.cost_usd) == PROMPT_TOKENS + 5


async def test_thoughts_that_are_shown_are_counted_as_they_come(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-cut-thoughts-30")

    refusal = await refused(chat_with(gateway, ann, name))

    log = await _record(gateway, ann)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_ANSWER_BROKEN")
    assert log.attempts == 2
    assert (log.usage.prompt_tokens, log.usage.completion_tokens) == (2 * PROMPT_TOKENS, 2 * 300)


async def test_thoughts_that_go_on_are_broken_off_and_paid_for(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-cut-thoughts-100000")

    refusal = await refused(chat_with(gateway, ann, name, max_tokens=50))

    log = await _record(gateway, ann)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_ANSWER_TOO_LONG")
    assert (log.attempts, log.usage.completion_tokens) == (2, 2 * 50)


async def test_a_whole_answer_far_beyond_what_was_asked_for_is_refused_and_paid_for(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-fast-1000", supports_streaming=False)

    refusal = await refused(chat_with(gateway, ann, name, max_tokens=5))

    log = await _record(gateway, ann)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_ANSWER_TOO_LONG")
    assert (log.attempts, log.usage.completion_tokens, log.status) == (2, 2 * 1000, log.STATUS_ERROR)


async def test_many_tokens_in_one_part_are_no_way_round_the_most_that_was_asked_for(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-endless-90")

    events = [event async for event in stream_from(gateway, ann, name, max_tokens=5)]

    assert events[-1].failed.reason == error_reason_pb2.ERROR_REASON_MODEL_ANSWER_TOO_LONG
    assert sum(len(event.delta.text) for event in events) <= (5 + 16) * 16


async def test_whoever_goes_on_may_write_what_is_left_and_is_told_of_when_it_is_old(
    gateway: World, stub: OpenAIStub
) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    await _route(gateway, ann, await make_model(gateway, stub.base_url, "stub-cut-sentences-5"), "stub-fast-3")
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    old = next(model for model in found if model.name == "stub-fast-3")
    update = model_pb2.UpdateModelRequest(id=old.id, deprecate_time={"seconds": 1})
    await gateway.models.UpdateModel(update, metadata=platform.metadata)

    stream = stream_from(gateway, ann, "way", max_tokens=100, continue_on_failure=True)
    events = [event async for event in stream]

    (switched,) = [event.switched for event in events if event.WhichOneof("event") == "switched"]
    assert switched.deprecation.model == "stub-fast-3"
    assert [exchange.body["max_tokens"] for exchange in stub.exchanges] == [100, 50]


async def test_an_answer_that_the_filter_keeps_back_is_had_from_the_fallback_for_it(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-withheld")
    await _route(gateway, ann, name, content_filter=["stub-fast-3"])

    answer = await chat_with(gateway, ann, "way")

    first, second = await logs_of(gateway, ann)
    assert (answer.model, answer.message.content) == ("stub-fast-3", "t0 t1 t2 ")
    assert first.error_reason == error_reason_pb2.ERROR_REASON_MODEL_CONTENT_FILTERED
    assert (first.usage.prompt_tokens, second.status) == (4, second.STATUS_SUCCESS)


async def test_without_such_a_fallback_it_ends_with_nothing_and_why(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    name = await make_model(gateway, stub.base_url, "stub-withheld")

    answer = await chat_with(gateway, ann, name)
    events = [event async for event in stream_from(gateway, ann, name)]

    assert (answer.message.content, answer.finish_reason) == ("", chat_pb2.FINISH_REASON_CONTENT_FILTER)
    assert [event.WhichOneof("event") for event in events] == ["started", "usage", "completed"]


async def test_an_answer_that_is_given_again_is_a_call_and_uses_nothing(gateway: World) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    cached = {"cache_ttl": {"seconds": 60}, "max_tokens": 3}
    await chat_with(gateway, ann, "stub-fast-3", **cached)
    limits = {"tenant_id": ann.tenant_id, "monthly_token_quota": 1, "requests_per_minute": 2}
    request = tenant_config_pb2.UpdateTenantConfigRequest(**limits)
    await gateway.tenants.UpdateTenantConfig(request, metadata=platform.metadata)

    asked = await refused(chat_with(gateway, ann, "stub-fast-3", max_tokens=3))
    outcomes = await asyncio.gather(
        *(chat_with(gateway, ann, "stub-fast-3", **cached) for _ in range(5)), return_exceptions=True
    )

    assert asked.reason == "LIMIT_REACHED"
    refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert 1 <= len(refusals) <= 3  # of five, two a minute: a minute may end between them


async def test_the_record_of_a_call_that_was_ended_from_here_says_why(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    stream = stream_from(gateway, ann, "stub-stall-2", resumable=True)
    started = (await stream.read()).started
    await stub.exchanges[0].started.wait()

    cancel = stream_pb2.CancelGenerationRequest(generation_id=started.generation_id)
    await gateway.models.CancelGeneration(cancel, metadata=ann.metadata)

    log = await _record(gateway, ann)
    cancelled = error_reason_pb2.ERROR_REASON_GENERATION_CANCELLED
    assert (log.status, log.error_reason) == (log.STATUS_CANCELLED, cancelled)
