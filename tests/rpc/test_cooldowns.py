"""Targets of routes that fail again and again: left alone for a while, and tried then."""

from __future__ import annotations

from datetime import UTC, timedelta
from time import time

import grpc
from google.rpc import error_details_pb2

from atrium.model.v1 import call_log_pb2
from atrium.model.v1 import route_pb2 as pb
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with, logs_of
from tests.rpc.routing import events_of, health_of, route_to, targets_of

Code = grpc.StatusCode
HEALTHY, COOLING, TRIAL = (
    pb.TargetHealth.STATE_HEALTHY,
    pb.TargetHealth.STATE_COOLING,
    pb.TargetHealth.STATE_TRIAL,
)


async def test_the_fallback_for_a_failure_stands_in_while_its_target_is_left_alone(
    router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    fallbacks = pb.RouteFallbacks(rate_limit=["stub-fast-1"], outage=["stub-fast-2"])
    await route_to(router, ann, "stub-limited-60", fallbacks=fallbacks)

    answers = [await chat_with(router, ann, "fast") for _ in range(3)]

    assert [answer.model for answer in answers] == ["stub-fast-1"] * 3
    assert [exchange.body["model"] for exchange in stub.exchanges].count("stub-limited-60") == 1


async def test_a_target_that_keeps_breaking_off_is_left_alone_too(router: World) -> None:
    ann = await router.tenant()
    route = await route_to(router, ann, "stub-cut-2", cooldown_after=2)

    for _ in range(2):
        await refused(chat_with(router, ann, "fast"))

    assert await health_of(router, ann, route) == {"stub-cut-2": COOLING}


async def test_a_target_that_keeps_failing_is_left_alone_for_a_while_and_then_tried(
    moment: list[float], router: World, stub: OpenAIStub
) -> None:
    ann, other = await router.tenant(), await router.tenant()
    cooldown = {"cooldown": timedelta(seconds=1), "cooldown_after": 2}
    route = await route_to(router, ann, "stub-500", "stub-fast-1", **cooldown)
    await route_to(router, other, "stub-500", "stub-fast-1", **cooldown)

    for _ in range(4):
        assert (await chat_with(router, ann, "fast")).model == "stub-fast-1"
    asked = [exchange.body["model"] for exchange in stub.exchanges]
    assert asked == ["stub-500", "stub-fast-1"] * 2 + ["stub-fast-1"] * 2
    assert await health_of(router, ann, route) == {"stub-500": COOLING, "stub-fast-1": HEALTHY}

    assert (await chat_with(router, other, "fast")).model == "stub-fast-1"
    assert stub.exchanges[-2].body["model"] == "stub-500", "a tenant's targets fail for that tenant alone"

    moment[0] += 1
    assert await health_of(router, ann, route) == {"stub-500": TRIAL, "stub-fast-1": HEALTHY}
    await chat_with(router, ann, "fast")
    assert stub.exchanges[-2].body["model"] == "stub-500"
    assert (await health_of(router, ann, route))["stub-500"] == COOLING


async def test_where_all_cool_down_the_caller_is_told_for_how_long(
    moment: list[float], router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    cooldown = {"cooldown": timedelta(seconds=40), "cooldown_after": 1}
    await route_to(router, ann, "stub-500", "stub-limited-60", **cooldown)

    first = await refused(chat_with(router, ann, "fast"))
    moment[0] += 10
    second = await refused(chat_with(router, ann, "fast"))
    moment[0] += 30
    tried = await refused(chat_with(router, ann, "fast"))
    third = await refused(chat_with(router, ann, "fast"))
    asked, *_, last = await logs_of(router, ann)

    waits = [one.detail(error_details_pb2.RetryInfo).retry_delay.seconds for one in (second, third)]
    assert (first.code, first.reason) == (Code.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED")
    assert (tried.code, len(stub.exchanges)) == (Code.UNAVAILABLE, 3)
    assert {(one.code, one.reason) for one in (second, third)} == {(Code.UNAVAILABLE, "MODEL_UNAVAILABLE")}
    assert waits == [30, 20], "until the first of them is asked again"
    assert (asked.outage, last.outage) == (asked.OUTAGE_FAILING, last.OUTAGE_COOLING)


async def test_a_route_tells_how_often_its_targets_failed_and_until_when_they_are_left_alone(
    moment: list[float], router: World
) -> None:
    ann = await router.tenant()
    route = await route_to(router, ann, "stub-500", "stub-fast-1", cooldown=timedelta(seconds=600), cooldown_after=2)

    tellings = []
    for _ in range(2):
        await chat_with(router, ann, "fast")
        tellings.append(await targets_of(router, ann, route))
    moment[0] += 600
    tellings.append(await targets_of(router, ann, route))

    once, cooling, trial = (telling["stub-500"] for telling in tellings)
    assert [(one.state, one.failures) for one in (once, cooling, trial)] == [(HEALTHY, 1), (COOLING, 2), (TRIAL, 2)]
    assert [one.HasField("cooling_until") for one in (once, cooling, trial)] == [False, True, False]
    assert 540 < cooling.cooling_until.ToDatetime(UTC).timestamp() - time() <= 600
    for telling in tellings:
        assert (telling["stub-fast-1"].state, telling["stub-fast-1"].failures) == (HEALTHY, 0)


async def test_a_target_is_left_alone_by_those_alone_who_call_its_route(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()
    route = await route_to(router, ann, "stub-500", cooldown={"seconds": 60}, cooldown_after=1)
    await route_to(router, ann, "stub-500", alias="at-once", cooldown={})
    await refused(chat_with(router, ann, "fast"))
    asked = len(stub.exchanges)

    await refused(chat_with(router, ann, "fast"))
    assert len(stub.exchanges) == asked, "it is left alone"
    await refused(chat_with(router, ann, "at-once"))
    await refused(chat_with(router, ann, "stub-500"))
    change = pb.UpdateRouteRequest(id=route.id, etag=route.etag, cooldown={})
    await router.models.UpdateRoute(change, metadata=ann.metadata)
    await refused(chat_with(router, ann, "fast"))

    assert len(stub.exchanges) >= asked + 3, "each of them was asked"


async def test_an_answer_that_is_kept_is_given_while_all_cool_down_and_takes_nobodys_trial(
    router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    kept = {"cache_ttl": {"seconds": 60}}
    await route_to(router, ann, "stub-flaky-2", cooldown={"seconds": 60}, cooldown_after=1, **kept)
    soon = await route_to(
        router, ann, "stub-flaky-2", alias="soon", cooldown=timedelta(seconds=1), cooldown_after=1, **kept
    )
    await route_to(router, ann, "stub-flaky-2", alias="at-once", cooldown={}, **kept)
    for alias in ("fast", "soon"):
        await refused(chat_with(router, ann, alias))
    answer = await chat_with(router, ann, "at-once")  # the same question, of the same models

    again = await chat_with(router, ann, "fast")
    events = await events_of(router, ann, "fast")
    another = await refused(chat_with(router, ann, "fast", temperature=1))
    while (await health_of(router, ann, soon))["stub-flaky-2"] == COOLING:
        pass
    tried = await chat_with(router, ann, "soon")

    logs = await logs_of(router, ann)
    assert (answer.cached, again.cached, tried.cached, events[0].started.cached) == (False, True, True, True)
    assert {again.message.content, tried.message.content, events[1].delta.text} == {answer.message.content}
    assert (another.code, another.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
    assert [log.cached for log in logs] == [False, False, False, True, True, False, True]
    assert await health_of(router, ann, soon) == {"stub-flaky-2": TRIAL}
    assert len(stub.exchanges) == 3


async def test_a_record_is_found_by_when_its_call_began_however_long_that_had_to_wait(router: World) -> None:
    ann = await router.tenant()
    retry = pb.RouteRetry(max_attempts=2, backoff=timedelta(seconds=1))
    await route_to(router, ann, "stub-limited-2", "stub-fast-2", retry=retry)
    await chat_with(router, ann, "fast")
    failed, answered = await logs_of(router, ann)
    soon = answered.create_time.ToDatetime() + timedelta(milliseconds=100)

    found = []
    for field in ("create_time_until", "create_time_from"):
        request = call_log_pb2.ListCallLogsRequest()
        getattr(request, field).FromDatetime(soon)
        logs = (await router.models.ListCallLogs(request, metadata=ann.metadata)).call_logs
        found.append([log.id for log in logs])

    assert failed.create_time == answered.create_time
    assert found == [[answered.id, failed.id], []]
