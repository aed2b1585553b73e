"""What tenants, users and keys may use of models: exact, however many ask at once, and nothing held for ever."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from pydantic import SecretStr

from atrium.identity.v1 import api_key_pb2
from atrium.model.v1 import chat_pb2, stream_pb2
from atrium.model.v1 import usage_pb2 as pb
from atrium.tenant.v1 import tenant_config_pb2
from server.kernel.clock import now
from server.model.service import planning
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

Code = grpc.StatusCode
Kind = pb.LimitUsage
MODELS = ("stub-fast-3", "stub-slow-20", "stub-held-20", "stub-silent", "stub-500", "stub-cut-2", "stub-long-words-26")
NOT_FOR_EVER = 20.0

# The stub counts words: a call reads 4 and writes 3. What is known before is 20 bytes, 16 around them, and 10 to write.
MOST_TOKENS, TOKENS = 46, 7


@asynccontextmanager
async def _server(scratch: Scratch, stub: OpenAIStub, stack: AsyncExitStack) -> AsyncIterator[Any]:
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    app, port = await stack.enter_async_context(serving(settings))
    yield app, await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))


@pytest.fixture
async def gateways(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[tuple[World, World]]:
    """Two servers on one database, which know the stub's models."""
    async with AsyncExitStack() as stack:
        async with _server(scratch, stub, stack) as (app, channel):
            world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        async with _server(scratch, stub, stack) as (_, channel):
            other = World(channel, ("", ""))
        for name in MODELS:
            await make_model(world, stub.base_url, name)
        yield world, other


@pytest.fixture
def gateway(gateways: tuple[World, World]) -> World:
    return gateways[0]


async def _limit(world: World, person: Person, **fields: Any) -> None:
    """Sets limits of the person's tenant."""
    platform = await world.platform()
    request = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=person.tenant_id, **fields)
    await world.tenants.UpdateTenantConfig(request, metadata=platform.metadata)


def _said(name: str = "stub-fast-3") -> dict[str, Any]:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="four words of prompt")
    return {"model": name, "messages": [message], "max_tokens": 10}


def _chat(world: World, metadata: Any, name: str = "stub-fast-3") -> Any:
    return world.models.Chat(chat_pb2.ChatRequest(**_said(name)), metadata=metadata, timeout=NOT_FOR_EVER)


async def _use(world: World, person: Person, **of: str) -> dict[Any, tuple[str, str, str]]:
    """The limit, what is used and what is reserved, of each limit."""
    reply = await world.models.GetModelLimits(pb.GetModelLimitsRequest(**of), metadata=person.metadata)
    return {use.kind: (use.limit, use.used, use.reserved) for use in reply.usage}


async def _warnings(admin: Any) -> list[tuple[int, str, str]]:
    """The part, the kind and the limit of each warning, in their order."""
    rows = await admin.fetch("SELECT details FROM audit_logs WHERE action = 'limits.warning' ORDER BY id")
    every = [json.loads(row["details"]) for row in rows]
    return [(one["percent"], one["kind"], one["limit"]) for one in every]


async def _nothing_reserved(scratch: Scratch) -> None:
    """Waits until no reservation is left."""
    async with scratch.connect() as connection, asyncio.timeout(NOT_FOR_EVER):
        # In one look: a call that begins between two would be in the second alone.
        held = "SELECT (SELECT count(*) FROM quota_holds) AS rows, (SELECT sum(reserved) FROM quota_ledger) AS held"
        while (found := await connection.fetchrow(held))["rows"]:
            pass
        assert not found["held"]


async def test_a_hundred_calls_at_once_through_two_servers_never_overspend(
    gateways: tuple[World, World], scratch: Scratch
) -> None:
    ann = await gateways[0].tenant()
    await _limit(gateways[0], ann, monthly_token_quota=10 * MOST_TOKENS)

    calls = [_chat(gateways[number % 2], ann.metadata) for number in range(100)]
    codes = Counter(await asyncio.gather(*(call.code() for call in calls)))
    while await _chat(gateways[1], ann.metadata).code() is Code.OK:
        codes[Code.OK] += 1

    limit, used, reserved = (await _use(gateways[0], ann))[Kind.KIND_MONTHLY_TOKENS]
    assert codes.keys() == {Code.OK, Code.RESOURCE_EXHAUSTED}
    assert codes[Code.OK] >= 10
    assert int(used) == codes[Code.OK] * TOKENS <= int(limit)
    assert int(used) > int(limit) - MOST_TOKENS, "whoever fitted was let in"
    assert reserved == "0"
    await _nothing_reserved(scratch)


async def test_a_provider_that_does_not_count_is_billed_no_more_than_was_held(gateway: World) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, monthly_token_quota=MOST_TOKENS)

    answer = await _chat(gateway, ann.metadata, "stub-long-words-26")

    assert answer.usage.completion_tokens == 10
    assert int((await _use(gateway, ann))[Kind.KIND_MONTHLY_TOKENS][1]) == answer.usage.total_tokens <= MOST_TOKENS


async def test_a_month_s_money_is_not_overspent_either(gateways: tuple[World, World], scratch: Scratch) -> None:
    ann = await gateways[0].tenant()
    await _limit(gateways[0], ann, monthly_cost_quota_usd="100.5")

    await asyncio.gather(*(_chat(gateways[number % 2], ann.metadata).code() for number in range(60)))
    while await _chat(gateways[0], ann.metadata).code() is Code.OK:
        pass

    limit, used, _ = (await _use(gateways[1], ann))[Kind.KIND_MONTHLY_COST]
    assert Decimal(limit) - MOST_TOKENS < Decimal(used) <= Decimal(limit)
    await _nothing_reserved(scratch)


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of the test is made in the same minute, however long it takes."""
    moment = now()
    monkeypatch.setattr(planning, "now", lambda: moment)


@pytest.mark.usefixtures("one_minute")
async def test_a_refusal_says_whose_limit_it_is_what_is_used_and_when_to_come_back(gateway: World) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, requests_per_minute=2)
    for _ in range(2):
        await _chat(gateway, ann.metadata)

    refusal = await refused(_chat(gateway, ann.metadata))
    stream = gateway.models.StreamChat(stream_pb2.StreamChatRequest(**_said()), metadata=ann.metadata)
    streamed = await refused(stream)

    wait = refusal.detail(error_details_pb2.RetryInfo).retry_delay
    metadata = refusal.detail(error_details_pb2.ErrorInfo).metadata
    assert (refusal.code, refusal.reason, streamed.reason) == (
        *(Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED"),
        "LIMIT_REACHED",
    )
    assert refusal.detail(error_details_pb2.QuotaFailure).violations[0].subject == "tenant"
    assert (metadata["kind"], metadata["limit"], metadata["used"]) == ("requests", "2", "2")
    assert 0 <= wait.seconds < 60


@pytest.mark.usefixtures("one_minute")
async def test_users_and_keys_have_limits_of_their_own(gateway: World) -> None:
    ann = await gateway.tenant()
    user = await gateway.user(ann, "models:execute")
    key = await gateway.identity.CreateApiKey(
        api_key_pb2.CreateApiKeyRequest(name="key", scopes=["models:execute"]), metadata=ann.metadata
    )
    with_key = (("x-api-key", key.secret),)
    for subject in ({"user_id": user.id}, {"api_key_id": key.api_key.id}):
        request = pb.SetModelLimitsRequest(**subject, requests_per_minute=1, monthly_tokens=10**9)
        await gateway.models.SetModelLimits(request, metadata=ann.metadata)

    for metadata in (user.metadata, with_key, ann.metadata, ann.metadata):
        await _chat(gateway, metadata)
    by_user, by_key = await refused(_chat(gateway, user.metadata)), await refused(_chat(gateway, with_key))

    subjects = [refusal.detail(error_details_pb2.QuotaFailure).violations[0].subject for refusal in (by_user, by_key)]
    assert subjects == [f"user/{user.id}", f"api_key/{key.api_key.id}"]
    use = await _use(gateway, ann, user_id=user.id)
    assert use[Kind.KIND_MONTHLY_TOKENS] == ("1000000000", str(TOKENS), "0")
    assert await _use(gateway, ann) == {}


@pytest.mark.usefixtures("one_minute")
@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        ({"tokens_per_minute": MOST_TOKENS}, "tokens"),
        ({"monthly_tokens": MOST_TOKENS}, "tokens"),
        ({"monthly_cost_usd": str(MOST_TOKENS)}, "cost"),
    ],
    ids=["tokens per minute", "monthly tokens", "monthly cost"],
)
async def test_a_limit_of_a_key_refuses_its_calls_and_not_those_of_its_user(
    gateway: World, limit: dict[str, Any], kind: str
) -> None:
    ann = await gateway.tenant()
    key = await gateway.identity.CreateApiKey(
        api_key_pb2.CreateApiKeyRequest(name="key", scopes=["models:execute"]), metadata=ann.metadata
    )
    request = pb.SetModelLimitsRequest(api_key_id=key.api_key.id, **limit)
    await gateway.models.SetModelLimits(request, metadata=ann.metadata)
    with_key = (("x-api-key", key.secret),)
    await _chat(gateway, with_key)

    refusal = await refused(_chat(gateway, with_key))
    codes = [await _chat(gateway, ann.metadata).code() for _ in range(2)]

    metadata = refusal.detail(error_details_pb2.ErrorInfo).metadata
    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert refusal.detail(error_details_pb2.QuotaFailure).violations[0].subject == f"api_key/{key.api_key.id}"
    assert (metadata["kind"], metadata["limit"], metadata["used"]) == (kind, str(MOST_TOKENS), str(TOKENS))
    assert codes == [Code.OK] * 2


async def test_calls_at_once_are_counted_while_they_run_and_given_back_however_they_end(
    gateway: World, scratch: Scratch, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, max_parallel_calls=1, monthly_token_quota=10**9)

    running = gateway.models.StreamChat(stream_pb2.StreamChatRequest(**_said("stub-silent")), metadata=ann.metadata)
    waiting = asyncio.ensure_future(running.read())
    await asyncio.wait_for(stub.arrival(), NOT_FOR_EVER)
    second = await refused(_chat(gateway, ann.metadata))
    held = await _use(gateway, ann)
    running.cancel()
    await asyncio.wait([waiting])
    await _nothing_reserved(scratch)

    ends = {}
    for name in ("stub-500", "stub-cut-2", "stub-fast-3", "nobody"):
        ends[name] = await _chat(gateway, ann.metadata, name).code()
        await _nothing_reserved(scratch)

    assert second.reason == "LIMIT_REACHED"
    assert held[Kind.KIND_PARALLEL_CALLS] == ("1", "0", "1")
    assert held[Kind.KIND_MONTHLY_TOKENS] == ("1000000000", "0", str(MOST_TOKENS))
    assert ends == {
        "stub-500": Code.UNAVAILABLE,
        "stub-cut-2": Code.UNAVAILABLE,
        "stub-fast-3": Code.OK,
        "nobody": Code.NOT_FOUND,
    }


async def test_callers_who_leave_at_any_moment_leave_no_reservation(gateway: World, scratch: Scratch) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, monthly_token_quota=10**9)

    calls = [_chat(gateway, ann.metadata, "stub-slow-20") for _ in range(60)]
    for number, call in enumerate(calls):
        asyncio.get_running_loop().call_later(number / 200, call.cancel)
    await asyncio.gather(*(call.code() for call in calls))

    await _nothing_reserved(scratch)


async def test_what_a_dead_process_held_is_free_again(gateway: World, scratch: Scratch) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, max_parallel_calls=1)
    async with scratch.connect(scratch.owner_url) as owner:
        values = f"'{ann.tenant_id}', 'none', '1970-01-01Z', 'tenant', 'parallel'"
        await owner.execute(
            f"INSERT INTO quota_ledger (tenant_id, window_kind, window_start, subject, kind, reserved)"
            f" VALUES ({values}, 1)"
        )
        await owner.execute(
            "INSERT INTO quota_reservations (tenant_id, window_kind, window_start, subject, kind, amount, expires_at)"
            f" VALUES ({values}, 1, now() + interval '1 hour')"
        )
        before = await refused(_chat(gateway, ann.metadata))
        await owner.execute("UPDATE quota_reservations SET expires_at = now()")

    await _chat(gateway, ann.metadata)

    assert before.reason == "LIMIT_REACHED"
    await _nothing_reserved(scratch)


async def test_each_warning_of_a_month_is_in_the_audit_log_once(gateway: World, admin: Any) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, monthly_token_quota=10 * MOST_TOKENS)

    while await _chat(gateway, ann.metadata).code() is Code.OK:
        pass
    await _chat(gateway, ann.metadata).code()

    assert await _warnings(admin) == [(80, "tokens", "460"), (100, "tokens", "460")]
    assert await admin.fetchval("SELECT DISTINCT actor_kind FROM audit_logs WHERE action = 'limits.warning'") == (
        "system"
    )


async def test_each_warning_of_a_month_s_money_is_in_the_audit_log_once(gateway: World, admin: Any) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, monthly_cost_quota_usd="460")

    while await _chat(gateway, ann.metadata).code() is Code.OK:
        pass
    await _chat(gateway, ann.metadata).code()

    assert await _warnings(admin) == [(80, "cost", "460"), (100, "cost", "460")]


async def test_a_limit_that_is_set_below_what_is_used_is_warned_of_at_once(gateway: World, admin: Any) -> None:
    ann = await gateway.tenant()
    for _ in range(3):
        await _chat(gateway, ann.metadata)
    for _ in range(2):
        request = pb.SetModelLimitsRequest(user_id=ann.id, monthly_tokens=TOKENS)
        await gateway.models.SetModelLimits(request, metadata=ann.metadata)
    for_user = await _warnings(admin)

    await _limit(gateway, ann, monthly_token_quota=25)
    async with asyncio.timeout(NOT_FOR_EVER):
        while (of_both := await _warnings(admin)) == for_user:
            pass

    assert for_user == [(80, "tokens", "7"), (100, "tokens", "7")]
    assert of_both == [*for_user, (80, "tokens", "25")]


async def test_a_call_that_can_never_fit_is_no_reason_to_warn(gateway: World, admin: Any) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, monthly_token_quota=MOST_TOKENS - 1)

    await _chat(gateway, ann.metadata).code()

    assert await _warnings(admin) == []


async def test_a_month_begins_with_what_was_used_before_its_limit_was_set(gateway: World) -> None:
    ann = await gateway.tenant()
    for _ in range(3):
        await _chat(gateway, ann.metadata)
    await _limit(gateway, ann, monthly_token_quota=10**6, monthly_cost_quota_usd="1000")
    await _chat(gateway, ann.metadata)

    use = await _use(gateway, ann)

    assert use[Kind.KIND_MONTHLY_TOKENS][1] == str(4 * TOKENS)
    assert use[Kind.KIND_MONTHLY_COST][1] == str(4 * TOKENS)


async def test_what_is_used_while_there_is_no_limit_counts_when_there_is_one_again(gateway: World) -> None:
    ann = await gateway.tenant()
    request = pb.SetModelLimitsRequest(user_id=ann.id, monthly_tokens=10**6)
    made = (await gateway.models.SetModelLimits(request, metadata=ann.metadata)).limits
    await _chat(gateway, ann.metadata)
    await gateway.models.DeleteModelLimits(pb.DeleteModelLimitsRequest(id=made.id), metadata=ann.metadata)
    for _ in range(3):
        await _chat(gateway, ann.metadata)
    await gateway.models.SetModelLimits(request, metadata=ann.metadata)

    await _chat(gateway, ann.metadata)

    use = await _use(gateway, ann, user_id=ann.id)
    assert use[Kind.KIND_MONTHLY_TOKENS][1] == str(5 * TOKENS)


async def test_a_call_that_runs_while_a_limit_is_set_counts_in_it(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    running = gateway.models.StreamChat(stream_pb2.StreamChatRequest(**_said("stub-held-20")), metadata=ann.metadata)
    assert (await running.read()).HasField("started")
    exchange = await stub.arrival()
    await _limit(gateway, ann, monthly_token_quota=10**6)
    await _chat(gateway, ann.metadata)
    opened = await _use(gateway, ann)

    exchange.go_on.set()
    while await running.read() is not grpc.aio.EOF:
        pass

    use = await _use(gateway, ann)
    (total,) = (await gateway.models.GetModelUsage(pb.GetModelUsageRequest(), metadata=ann.metadata)).usage
    assert opened[Kind.KIND_MONTHLY_TOKENS][1] == str(TOKENS)
    assert int(use[Kind.KIND_MONTHLY_TOKENS][1]) == total.prompt_tokens + total.completion_tokens > 2 * TOKENS
