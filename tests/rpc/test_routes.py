"""Routes: which model answers, which one in its place, and who is left alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2
from pydantic import SecretStr

from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import api_key_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, stream_pb2
from atrium.model.v1 import route_pb2 as pb
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

Code = grpc.StatusCode
HEALTHY, COOLING, TRIAL = (
    pb.TargetHealth.STATE_HEALTHY,
    pb.TargetHealth.STATE_COOLING,
    pb.TargetHealth.STATE_TRIAL,
)
MODELS = (
    *("stub-fast-1", "stub-fast-2", "stub-fast-3", "stub-flaky-1", "stub-flaky-2", "stub-flaky-9", "stub-cut-2"),
    *("stub-500", "stub-401", "stub-400", "stub-too-long", "stub-filtered", "stub-limited-60", "stub-silent"),
    *("stub-limited-2", "stub-no-credit", "stub-cut-tools", "stub-hang-up"),
)
AT_ONCE = timedelta(milliseconds=1)


@asynccontextmanager
async def _gateway(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with (
        serving(settings) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        platform = await world.platform()
        price = model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="1")
        for name in MODELS:
            request = model_pb2.CreateModelRequest(
                name=name,
                provider=model_pb2.Model.PROVIDER_CUSTOM,
                type=model_pb2.Model.TYPE_CHAT,
                price=price,
                base_url=stub.base_url,
                supports_streaming=True,
            )
            await world.models.CreateModel(request, metadata=platform.metadata)
        yield world


@pytest.fixture
async def gateway(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server with the stub's models."""
    async with _gateway(scratch, stub) as world:
        yield world


async def _route(world: World, person: Person, *models: str, **fields: Any) -> pb.Route:
    """A route to these models, one after the other, that tries each once."""
    targets = [pb.RouteTarget(model=name, priority=place) for place, name in enumerate(models)]
    given: dict[str, Any] = {"alias": "fast", "targets": targets, "retry": pb.RouteRetry(max_attempts=1), **fields}
    return (await world.models.CreateRoute(pb.CreateRouteRequest(**given), metadata=person.metadata)).route


def _said(**fields: Any) -> dict[str, Any]:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="four words of prompt")
    return {"model": "fast", "messages": [message], **fields}


async def _chat(world: World, person: Person, **fields: Any) -> chat_pb2.ChatResponse:
    return await world.models.Chat(chat_pb2.ChatRequest(**_said(**fields)), metadata=person.metadata, timeout=20)


async def _stream(world: World, person: Person, **fields: Any) -> list[stream_pb2.StreamChatResponse]:
    stream = world.models.StreamChat(
        stream_pb2.StreamChatRequest(**_said(**fields)), metadata=person.metadata, timeout=20
    )
    return [event async for event in stream]


async def _logs(world: World, person: Person) -> list[call_log_pb2.CallLog]:
    reply = await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(), metadata=person.metadata)
    return list(reversed(reply.call_logs))


async def _health(world: World, person: Person, route: pb.Route) -> dict[str, Any]:
    found = await world.models.GetRoute(pb.GetRouteRequest(id=route.id), metadata=person.metadata)
    return {health.model: health.state for health in found.route.health}


async def test_a_route_is_made_read_changed_and_removed(gateway: World) -> None:
    ann = await gateway.tenant()
    made = await _route(gateway, ann, "stub-fast-1", "stub-fast-2", fallbacks=pb.RouteFallbacks(outage=["stub-fast-3"]))
    twin = await refused(_route(gateway, ann, "stub-fast-1"))

    read = (await gateway.models.GetRoute(pb.GetRouteRequest(id=made.id), metadata=ann.metadata)).route
    change = pb.UpdateRouteRequest(id=made.id, etag=made.etag, alias="quick", cooldown=timedelta())
    change.update_mask.paths.extend(["alias", "cooldown", "fallbacks"])
    changed = (await gateway.models.UpdateRoute(change, metadata=ann.metadata)).route
    stale = await refused(gateway.models.UpdateRoute(change, metadata=ann.metadata))
    listed = (await gateway.models.ListRoutes(pb.ListRoutesRequest(), metadata=ann.metadata)).routes
    await gateway.models.DeleteRoute(pb.DeleteRouteRequest(id=made.id, etag=changed.etag), metadata=ann.metadata)
    gone = await refused(_chat(gateway, ann, model="quick"))

    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "ROUTE_ALIAS_TAKEN")
    assert read == made
    assert (made.cooldown.seconds, made.cooldown_after, made.fallbacks.outage) == (30, 3, ["stub-fast-3"])
    assert [(target.model, target.weight, target.priority) for target in made.targets] == [
        ("stub-fast-1", 1, 0),
        ("stub-fast-2", 1, 1),
    ]
    assert (changed.alias, changed.cooldown.seconds, changed.fallbacks, changed.targets) == (
        *("quick", 0, pb.RouteFallbacks()),
        made.targets,
    )
    assert (stale.code, stale.reason, list(listed)) == (Code.ABORTED, "ETAG_MISMATCH", [changed])
    assert (gone.code, gone.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_what_is_no_chat_model_is_no_target(gateway: World) -> None:
    ann = await gateway.tenant()

    refusal = await refused(
        _route(
            *(gateway, ann, "stub-fast-1", "text-embedding-3-large", "nobody"),
            fallbacks=pb.RouteFallbacks(context_length=["local-embedding"]),
        )
    )

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "ROUTE_TARGET_UNKNOWN")
    assert refusal.fields == ["targets[1].model", "targets[2].model", "fallbacks.context_length[0]"]


async def test_a_model_is_a_target_once_by_whichever_name(gateway: World) -> None:
    ann = await gateway.tenant()
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    (model_id,) = [model.id for model in found if model.name == "stub-fast-1"]

    refusal = await refused(_route(gateway, ann, "stub-fast-1", "stub-fast-2", model_id))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["targets[2].model"])


async def test_targets_are_chosen_by_weight_and_the_first_priority_first(gateway: World) -> None:
    ann = await gateway.tenant()
    targets = [
        pb.RouteTarget(model="stub-fast-1", weight=9),
        pb.RouteTarget(model="stub-fast-2", weight=1),
        pb.RouteTarget(model="stub-fast-3", weight=1000, priority=1),
    ]
    await _route(gateway, ann, targets=targets)

    answered = Counter([(await _chat(gateway, ann)).model for _ in range(60)])

    assert set(answered) <= {"stub-fast-1", "stub-fast-2"}
    assert answered["stub-fast-1"] > answered["stub-fast-2"]


@pytest.mark.parametrize("failing", ["stub-500", "stub-401", "stub-limited-60"])
async def test_a_target_that_fails_before_its_first_token_is_replaced_unseen(gateway: World, failing: str) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, failing, "stub-fast-2")

    events = await _stream(gateway, ann)

    failed, answered = await _logs(gateway, ann)
    assert [event.WhichOneof("event") for event in events] == ["started", "delta", "delta", "usage", "completed"]
    assert (events[0].started.model, events[0].started.route) == ("stub-fast-2", "fast")
    assert events[0].started.call_log_id == answered.id
    assert (failed.status, failed.route, failed.usage.total_tokens) == (failed.STATUS_ERROR, "fast", 0)
    assert (answered.status, answered.route, answered.usage.total_tokens) == (answered.STATUS_SUCCESS, "fast", 6)


@pytest.mark.parametrize(
    ("failing", "failure"),
    [
        ("stub-500", "outage"),
        ("stub-limited-60", "rate_limit"),
        ("stub-too-long", "context_length"),
        ("stub-filtered", "content_filter"),
    ],
)
async def test_what_is_asked_instead_depends_on_the_failure(gateway: World, failing: str, failure: str) -> None:
    ann = await gateway.tenant()
    others = {"outage", "rate_limit", "context_length", "content_filter"} - {failure}
    fallbacks = pb.RouteFallbacks(**{failure: ["stub-fast-3"]}, **{other: ["stub-fast-1"] for other in others})
    await _route(gateway, ann, failing, fallbacks=fallbacks)

    answer = await _chat(gateway, ann)

    assert (answer.model, answer.route) == ("stub-fast-3", "fast")


async def test_the_fallback_for_a_failure_stands_in_while_its_target_is_left_alone(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    fallbacks = pb.RouteFallbacks(rate_limit=["stub-fast-1"], outage=["stub-fast-2"])
    await _route(gateway, ann, "stub-limited-60", fallbacks=fallbacks)

    answers = [await _chat(gateway, ann) for _ in range(3)]

    assert [answer.model for answer in answers] == ["stub-fast-1"] * 3
    assert [exchange.body["model"] for exchange in stub.exchanges].count("stub-limited-60") == 1


async def test_a_provider_that_asks_for_a_moment_gets_it(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-limited-2", retry=pb.RouteRetry(max_attempts=2), cooldown=timedelta())
    began = perf_counter()

    refusal = await refused(_chat(gateway, ann))

    assert refusal.reason == "MODEL_RATE_LIMITED"
    assert len(stub.exchanges) == 2
    assert perf_counter() - began >= 2


async def test_where_waiting_does_not_help_nobody_waits(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-no-credit", retry=pb.RouteRetry(max_attempts=3))

    refusal = await refused(_chat(gateway, ann))

    assert (refusal.reason, len(stub.exchanges)) == ("MODEL_RATE_LIMITED", 1)


async def test_a_pause_is_as_short_as_the_route_says_where_the_provider_says_nothing(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-hang-up", retry=pb.RouteRetry(max_attempts=3, backoff=AT_ONCE))
    began = perf_counter()

    await refused(_chat(gateway, ann))

    assert len(stub.exchanges) == 3
    assert perf_counter() - began < 1, "a second each was waited before"


async def test_a_target_that_keeps_breaking_off_is_left_alone_too(gateway: World) -> None:
    ann = await gateway.tenant()
    route = await _route(gateway, ann, "stub-cut-2", cooldown_after=2)

    for _ in range(2):
        await refused(_chat(gateway, ann))

    assert await _health(gateway, ann, route) == {"stub-cut-2": COOLING}


async def test_half_a_call_of_a_tool_is_not_gone_on_with(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-cut-tools", "stub-fast-1")

    events = await _stream(gateway, ann, continue_on_failure=True)

    assert events[-1].failed.reason == error_reason_pb2.ERROR_REASON_MODEL_ANSWER_BROKEN
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-cut-tools"]


async def test_one_model_is_had_at_two_places(gateway: World, stub: OpenAIStub) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    for name, upstream in (("here", "stub-500"), ("there", "stub-fast-2")):
        request = model_pb2.CreateModelRequest(
            name=name,
            upstream_name=upstream,
            provider=model_pb2.Model.PROVIDER_CUSTOM,
            type=model_pb2.Model.TYPE_CHAT,
            price=model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="1"),
            base_url=stub.base_url,
            supports_streaming=True,
        )
        made = await gateway.models.CreateModel(request, metadata=platform.metadata)
    await _route(gateway, ann, "here", "there")

    answer = await _chat(gateway, ann)
    shown = await gateway.models.GetModel(model_pb2.GetModelRequest(id=made.model.id), metadata=ann.metadata)

    assert (answer.model, made.model.upstream_name) == ("there", "stub-fast-2")
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-500", "stub-fast-2"]
    assert not shown.model.HasField("upstream_name"), "where the platform has it from is not for tenants"


async def test_what_would_fail_anywhere_is_told_at_once(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-400", "stub-fast-1", fallbacks=pb.RouteFallbacks(outage=["stub-fast-2"]))

    refusal = await refused(_chat(gateway, ann))

    assert refusal.reason == "MODEL_REQUEST_REJECTED"
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-400"]


async def test_a_target_is_tried_again_before_another_is(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    retry = pb.RouteRetry(max_attempts=3, backoff=AT_ONCE)
    await _route(gateway, ann, "stub-flaky-2", "stub-fast-1", retry=retry)

    answer = await _chat(gateway, ann)

    (log,) = await _logs(gateway, ann)
    assert (answer.model, log.attempts, log.status) == ("stub-flaky-2", 3, log.STATUS_SUCCESS)
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-flaky-2"] * 3


async def test_a_model_by_itself_is_tried_again_too(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()

    answer = await _chat(gateway, ann, model="stub-flaky-1")

    (log,) = await _logs(gateway, ann)
    assert (answer.model, answer.route, log.attempts, log.route) == ("stub-flaky-1", "", 2, "")


async def test_a_target_that_keeps_failing_is_left_alone_for_a_while_and_then_tried(
    gateway: World, stub: OpenAIStub
) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    cooldown = {"cooldown": timedelta(seconds=1), "cooldown_after": 2}
    route = await _route(gateway, ann, "stub-500", "stub-fast-1", **cooldown)
    await _route(gateway, other, "stub-500", "stub-fast-1", **cooldown)

    for _ in range(4):
        assert (await _chat(gateway, ann)).model == "stub-fast-1"
    asked = [exchange.body["model"] for exchange in stub.exchanges]
    assert asked == ["stub-500", "stub-fast-1"] * 2 + ["stub-fast-1"] * 2
    assert await _health(gateway, ann, route) == {"stub-500": COOLING, "stub-fast-1": HEALTHY}

    assert (await _chat(gateway, other)).model == "stub-fast-1"
    assert stub.exchanges[-2].body["model"] == "stub-500", "a tenant's targets fail for that tenant alone"

    while await _health(gateway, ann, route) != {"stub-500": TRIAL, "stub-fast-1": HEALTHY}:
        pass
    await _chat(gateway, ann)
    assert stub.exchanges[-2].body["model"] == "stub-500"
    assert (await _health(gateway, ann, route))["stub-500"] == COOLING


async def test_where_all_cool_down_the_caller_is_told_for_how_long(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-limited-60")

    first, second = await refused(_chat(gateway, ann)), await refused(_chat(gateway, ann))

    assert (first.code, first.reason) == (Code.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED")
    assert (second.code, second.reason, len(stub.exchanges)) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE", 1)


async def test_a_target_is_left_alone_by_those_alone_who_call_its_route(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    route = await _route(gateway, ann, "stub-500", cooldown={"seconds": 60}, cooldown_after=1)
    await _route(gateway, ann, "stub-500", alias="at-once", cooldown={})
    await refused(_chat(gateway, ann))
    asked = len(stub.exchanges)

    await refused(_chat(gateway, ann))
    assert len(stub.exchanges) == asked, "it is left alone"
    await refused(_chat(gateway, ann, model="at-once"))
    await refused(_chat(gateway, ann, model="stub-500"))
    change = pb.UpdateRouteRequest(id=route.id, etag=route.etag, cooldown={})
    await gateway.models.UpdateRoute(change, metadata=ann.metadata)
    await refused(_chat(gateway, ann))

    assert len(stub.exchanges) >= asked + 3, "each of them was asked"


async def test_an_answer_that_several_wrote_is_counted_whole_and_kept_for_nobody(gateway: World) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-cut-2", "stub-fast-3", cache_ttl={"seconds": 60})

    events = await _stream(gateway, ann, continue_on_failure=True)
    await refused(_chat(gateway, ann))

    logs = (await _logs(gateway, ann))[:2]
    (used,) = [event.usage for event in events if event.HasField("usage")]
    assert used.total_tokens == sum(log.usage.total_tokens for log in logs)
    assert used.completion_tokens == 5


async def test_an_answer_that_breaks_off_goes_on_only_where_the_caller_asked_for_it(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-cut-2", "stub-fast-3")

    broken = await _stream(gateway, ann)
    whole = await _stream(gateway, ann, continue_on_failure=True)

    logs = await _logs(gateway, ann)
    failure = error_reason_pb2.ERROR_REASON_MODEL_ANSWER_BROKEN
    assert [event.WhichOneof("event") for event in broken] == ["started", "delta", "delta", "usage", "failed"]
    assert [event.WhichOneof("event") for event in whole] == [
        *("started", "delta", "delta", "switched", "delta", "delta", "delta", "usage", "completed")
    ]
    assert [event.seq for event in whole] == list(range(1, 10))
    assert (whole[3].switched.model, whole[3].switched.reason) == ("stub-fast-3", failure)
    assert stub.exchanges[-1].body["messages"][-1] == {"role": "assistant", "content": "t0 t1 "}
    assert [log.status for log in logs] == [call_log_pb2.CallLog.STATUS_ERROR] * 2 + [
        call_log_pb2.CallLog.STATUS_SUCCESS
    ]
    assert (logs[1].id, logs[2].id) == (whole[0].started.call_log_id, whole[3].switched.call_log_id)
    assert logs[1].usage.completion_tokens == 2


async def test_a_deprecated_model_names_its_replacement_and_a_disabled_one_is_passed_over(gateway: World) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    by_name = {one.name: one for one in found}

    async def update(name: str, **fields: Any) -> model_pb2.Model:
        request = model_pb2.UpdateModelRequest(id=by_name[name].id, etag=by_name[name].etag, **fields)
        return (await gateway.models.UpdateModel(request, metadata=platform.metadata)).model

    old = await update("stub-fast-1", deprecate_time={"seconds": 1}, replacement="stub-fast-2")
    await update("stub-fast-3", state=model_pb2.Model.STATE_DISABLED)
    unknown = await refused(update("stub-fast-2", replacement="nobody"))
    itself = await refused(update("stub-fast-2", replacement="stub-fast-2"))
    await _route(gateway, ann, "stub-fast-3", "stub-fast-1")

    answer = await _chat(gateway, ann)
    events = await _stream(gateway, ann, model="stub-fast-1")
    disabled = await refused(_chat(gateway, ann, model="stub-fast-3"))
    fresh = await _chat(gateway, ann, model="stub-fast-2")

    said = model_pb2.Deprecation(model="stub-fast-1", replacement="stub-fast-2")
    assert (old.replacement, old.state) == ("stub-fast-2", model_pb2.Model.STATE_ACTIVE)
    assert (answer.model, answer.deprecation, events[0].started.deprecation) == ("stub-fast-1", said, said)
    assert not fresh.HasField("deprecation")
    assert (disabled.code, disabled.reason) == (Code.FAILED_PRECONDITION, "MODEL_DISABLED")
    assert [refusal.reason for refusal in (unknown, itself)] == ["MODEL_REPLACEMENT_UNKNOWN"] * 2


async def test_a_key_for_an_alias_is_for_the_route_and_not_for_its_models(gateway: World) -> None:
    ann = await gateway.tenant()
    await _route(gateway, ann, "stub-fast-1")
    asked = api_key_pb2.CreateApiKeyRequest(name="key", scopes=["models:execute"], allowed_models=["fast"])
    secret = (await gateway.identity.CreateApiKey(asked, metadata=ann.metadata)).secret
    key = (("x-api-key", secret),)

    answer = await gateway.models.Chat(chat_pb2.ChatRequest(**_said()), metadata=key)
    refusal = await refused(gateway.models.Chat(chat_pb2.ChatRequest(**_said(model="stub-fast-1")), metadata=key))
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    ids = {model.name: model.id for model in found}
    by_id = await refused(gateway.models.Chat(chat_pb2.ChatRequest(**_said(model=ids["stub-fast-1"])), metadata=key))
    asked.allowed_models[:] = ["stub-fast-1"]
    other = (("x-api-key", (await gateway.identity.CreateApiKey(asked, metadata=ann.metadata)).secret),)
    await gateway.models.Chat(chat_pb2.ChatRequest(**_said(model=ids["stub-fast-1"])), metadata=other)
    assert by_id.reason == "MODEL_NOT_ALLOWED"

    (log, _) = await _logs(gateway, ann)
    assert answer.model == "stub-fast-1"
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    assert log.api_key_id


async def test_another_tenants_route_is_not_there(gateway: World) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    await _route(gateway, ann, "stub-fast-1")

    refusal = await refused(_chat(gateway, other))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_a_price_is_set_for_now_or_later(gateway: World) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    model_id = next(one.id for one in found if one.name == "stub-fast-1")
    price = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="0")

    async def set_price(**fields: Any) -> model_pb2.Model:
        request = model_pb2.SetModelPriceRequest(model_id=model_id, price=price, **fields)
        return (await gateway.models.SetModelPrice(request, metadata=platform.metadata)).model

    later = await set_price(effective_time={"seconds": 4_102_444_800})
    before = await _chat(gateway, ann, model="stub-fast-1")
    twin = await refused(set_price(effective_time={"seconds": 4_102_444_800}))
    past = await refused(set_price(effective_time={"seconds": 1}))
    await set_price()
    after = await _chat(gateway, ann, model="stub-fast-1")

    assert later.price.input_cost_per_1k == "1"
    assert (before.usage.cost_usd, after.usage.cost_usd) == ("0.005", "4")
    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "PRICE_EXISTS")
    assert (past.reason, past.fields) == ("PRICE_IN_THE_PAST", ["effective_time"])


async def test_a_price_that_was_set_for_later_comes_into_force_by_itself(gateway: World) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    model_id = next(one.id for one in found if one.name == "stub-fast-1")
    price = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="0")
    soon = timestamp_pb2.Timestamp()
    soon.FromDatetime(datetime.now(UTC) + timedelta(seconds=2))
    request = model_pb2.SetModelPriceRequest(model_id=model_id, price=price, effective_time=soon)
    await gateway.models.SetModelPrice(request, metadata=platform.metadata)

    costs = {(await _chat(gateway, ann, model="stub-fast-1")).usage.cost_usd}
    async with asyncio.timeout(20):
        while "4" not in costs:
            costs.add((await _chat(gateway, ann, model="stub-fast-1")).usage.cost_usd)

    assert costs == {"0.005", "4"}
    assert datetime.now(UTC).timestamp() >= soon.ToDatetime(UTC).timestamp()
