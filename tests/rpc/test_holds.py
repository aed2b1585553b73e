"""What a call holds of limits where more than one try of a model, or more than one model, has to be paid for."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import grpc
import pytest

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import model_pb2
from atrium.model.v1 import route_pb2 as routes
from atrium.model.v1 import usage_pb2 as pb
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, chat_with, embed_with, logs_of
from tests.rpc.routing import events_of, route_to

Code = grpc.StatusCode
Kind = pb.LimitUsage

# A call is known to read 36 tokens at most (20 bytes, 16 around them), and is allowed to write 200. The stub counts 4
# words; where it breaks off, 6 are what that reads, about.
MOST_TOKENS = 236
THOUGHT, ANSWERED = 206, 204


@pytest.fixture
async def world(gateways: tuple[World, World], stub: OpenAIStub) -> World:
    for name in ("stub-cut-thoughts-20", "stub-fast-200", "stub-flaky-thoughts-20", "stub-withheld", "stub-503"):
        await make_model(gateways[0], stub.base_url, name, usd=1)
    return gateways[0]


async def _limit(world: World, person: Person, **fields: Any) -> None:
    platform = await world.platform()
    request = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=person.tenant_id, **fields)
    await world.tenants.UpdateTenantConfig(request, metadata=platform.metadata)


async def _use(world: World, person: Person) -> dict[Any, tuple[str, str]]:
    """What is used and what is reserved, of each limit."""
    reply = await world.models.GetModelLimits(pb.GetModelLimitsRequest(), metadata=person.metadata)
    return {use.kind: (use.used, use.reserved) for use in reply.usage}


async def test_another_model_is_asked_where_there_is_room_for_what_both_use(world: World) -> None:
    ann = await world.tenant()
    await route_to(world, ann, "stub-cut-thoughts-20", "stub-fast-200")
    await _limit(world, ann, monthly_token_quota=THOUGHT + MOST_TOKENS, monthly_cost_quota_usd="0.442")

    answer = await chat_with(world, ann, "fast", max_tokens=200)

    assert (answer.model, answer.usage.total_tokens) == ("stub-fast-200", THOUGHT + ANSWERED)
    assert await _use(world, ann) == {Kind.KIND_MONTHLY_TOKENS: ("410", "0"), Kind.KIND_MONTHLY_COST: ("0.41", "0")}


@pytest.mark.parametrize(
    "limit",
    [{"monthly_token_quota": THOUGHT + MOST_TOKENS - 1}, {"monthly_cost_quota_usd": "0.441"}],
    ids=["tokens", "money"],
)
async def test_where_there_is_none_the_limit_is_what_the_call_ends_with(
    world: World, stub: OpenAIStub, limit: dict[str, Any]
) -> None:
    ann = await world.tenant()
    await route_to(world, ann, "stub-cut-thoughts-20", "stub-fast-200")
    await _limit(world, ann, **limit)

    events = await events_of(world, ann, "fast", max_tokens=200)

    (log,) = await logs_of(world, ann)
    assert [event.WhichOneof("event") for event in events] == ["started", "usage", "failed"]
    assert events[-1].failed.reason == error_reason_pb2.ERROR_REASON_LIMIT_REACHED
    assert (log.error_reason, log.usage.total_tokens) == (error_reason_pb2.ERROR_REASON_MODEL_ANSWER_BROKEN, THOUGHT)
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-cut-thoughts-20"]
    assert set((await _use(world, ann)).values()) <= {(str(THOUGHT), "0"), ("0.206", "0")}


async def test_another_try_of_one_model_needs_room_too(world: World) -> None:
    ann = await world.tenant()
    await _limit(world, ann, monthly_token_quota=THOUGHT + MOST_TOKENS - 1)

    refusal = await refused(chat_with(world, ann, "stub-flaky-thoughts-20", max_tokens=200))
    again = await chat_with(world, ann, "stub-flaky-thoughts-20", max_tokens=100)

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert again.usage.total_tokens == 7
    assert await _use(world, ann) == {Kind.KIND_MONTHLY_TOKENS: (str(THOUGHT + 7), "0")}


@pytest.mark.parametrize("limit", ["monthly_token_quota", "monthly_cost_quota_usd"])
@pytest.mark.parametrize("spare", [0, -1], ids=["room", "none"])
async def test_another_try_for_vectors_needs_room_beside_what_the_first_has_wasted(
    world: World, stub: OpenAIStub, limit: str, spare: int
) -> None:
    ann = await world.tenant()
    embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
    name = await make_model(world, stub.base_url, "stub-embed-short-8", **embeds)
    wasted, most = 3, (3 + 16) + (9 + 16)  # the words of the texts, and their bytes and what may stand around them
    room = wasted + most + spare
    await _limit(world, ann, **{limit: room if limit == "monthly_token_quota" else str(room)})

    refusal = await refused(embed_with(world, ann, name, ["one", "two words"]))

    tries = 1 if spare else 2
    assert refusal.reason == ("LIMIT_REACHED" if spare else "MODEL_RESPONSE_INVALID")
    assert len(stub.exchanges) == tries
    assert list((await _use(world, ann)).values()) == [(str(tries * wasted), "0")]


async def test_what_was_read_for_an_answer_that_is_kept_back_needs_room_beside_the_fallback(world: World) -> None:
    ann = await world.tenant()
    fallbacks = routes.RouteFallbacks(content_filter=["stub-fast-200"])
    await route_to(world, ann, "stub-withheld", fallbacks=fallbacks)
    await _limit(world, ann, monthly_token_quota=MOST_TOKENS + 3)

    refusal = await refused(chat_with(world, ann, "fast", max_tokens=200))
    await _limit(world, ann, monthly_token_quota=MOST_TOKENS + 4 + 4)
    answer = await chat_with(world, ann, "fast", max_tokens=200)

    assert refusal.reason == "LIMIT_REACHED"
    assert answer.usage.total_tokens == 4 + ANSWERED


async def test_what_was_cached_may_cost_more_and_is_held_at_its_price(world: World, stub: OpenAIStub) -> None:
    ann = await world.tenant()
    price = model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="1", cached_input_cost_per_1k="200")
    await make_model(world, stub.base_url, "stub-fast-4", price=price)
    await _limit(world, ann, monthly_cost_quota_usd="0.4")

    refusal = await refused(chat_with(world, ann, "stub-fast-4", max_tokens=4))

    assert refusal.reason == "LIMIT_REACHED"


async def test_a_target_that_used_nothing_needs_no_room(world: World) -> None:
    ann = await world.tenant()
    await route_to(world, ann, "stub-503", "stub-fast-200", retry=routes.RouteRetry(max_attempts=2))
    await _limit(world, ann, monthly_token_quota=MOST_TOKENS)

    answer = await chat_with(world, ann, "fast", max_tokens=200)

    assert answer.model == "stub-fast-200"


async def test_who_goes_on_with_an_answer_needs_room_and_nothing_is_held_for_it_before(
    world: World, stub: OpenAIStub
) -> None:
    ann = await world.tenant()
    await route_to(world, ann, "stub-cut-2", "stub-fast-3")
    await _limit(world, ann, monthly_token_quota=46)
    asked = {"max_tokens": 10, "continue_on_failure": True}

    broken = await events_of(world, ann, "fast", **asked)
    await _limit(world, ann, monthly_token_quota=1000)
    whole = await events_of(world, ann, "fast", **asked)

    assert broken[-1].failed.reason == error_reason_pb2.ERROR_REASON_LIMIT_REACHED
    assert whole[-1].HasField("completed")
    first, second, third = await logs_of(world, ann)
    assert (first.error_reason, second.error_reason) == (error_reason_pb2.ERROR_REASON_MODEL_ANSWER_BROKEN,) * 2
    used = sum(log.usage.total_tokens for log in (first, second, third))
    assert await _use(world, ann) == {Kind.KIND_MONTHLY_TOKENS: (str(used), "0")}


async def test_a_caller_who_leaves_the_second_leaves_nothing_held(world: World, stub: OpenAIStub) -> None:
    ann = await world.tenant()
    await route_to(world, ann, "stub-cut-thoughts-20", "stub-silent")
    await _limit(world, ann, monthly_token_quota=1000)
    call = asyncio.create_task(chat_with(world, ann, "fast", max_tokens=200))
    for _ in range(2):
        await asyncio.wait_for(stub.arrival(), NOT_FOR_EVER)
    held = await _use(world, ann)

    call.cancel()

    async with asyncio.timeout(NOT_FOR_EVER):
        while (use := await _use(world, ann))[Kind.KIND_MONTHLY_TOKENS][1] != "0":
            pass
    assert held == {Kind.KIND_MONTHLY_TOKENS: ("0", str(THOUGHT + MOST_TOKENS))}
    assert use == {Kind.KIND_MONTHLY_TOKENS: (str(THOUGHT + 6), "0")}


async def test_a_hundred_calls_at_once_never_overspend_where_targets_fail_after_they_thought(
    world: World, gateways: tuple[World, World]
) -> None:
    ann = await world.tenant()
    await route_to(world, ann, "stub-cut-thoughts-20", "stub-fast-200", cooldown={})
    await _limit(world, ann, monthly_token_quota=10 * MOST_TOKENS, monthly_cost_quota_usd="2.36")

    async def call(through: World) -> Code:
        try:
            await chat_with(through, ann, "fast", max_tokens=200)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return Code.OK

    codes = Counter(await asyncio.gather(*(call(gateways[number % 2]) for number in range(100))))

    use = await _use(world, ann)
    tokens, cost = use[Kind.KIND_MONTHLY_TOKENS], use[Kind.KIND_MONTHLY_COST]
    assert codes.keys() <= {Code.OK, Code.RESOURCE_EXHAUSTED}
    assert 0 < int(tokens[0]) <= 10 * MOST_TOKENS
    assert Decimal(cost[0]) * 1000 == int(tokens[0])
    assert (tokens[1], cost[1]) == ("0", "0")
