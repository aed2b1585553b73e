"""Targets of routes that fail: tried again, another in their place, and left alone for a while."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from random import Random
from time import perf_counter

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2
from atrium.model.v1 import route_pb2 as pb
from server.llm.http import Patience
from server.llm.openai import connect
from server.model.routes import Retry
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with, logs_of, stream_from
from tests.rpc.routing import events_of, route_to

Code = grpc.StatusCode
HEALTHY, COOLING, TRIAL = (
    pb.TargetHealth.STATE_HEALTHY,
    pb.TargetHealth.STATE_COOLING,
    pb.TargetHealth.STATE_TRIAL,
)
AT_ONCE = timedelta(milliseconds=1)


@pytest.mark.parametrize("failing", ["stub-500", "stub-401", "stub-limited-60"])
async def test_a_target_that_fails_before_its_first_token_is_replaced_unseen(router: World, failing: str) -> None:
    ann = await router.tenant()
    await route_to(router, ann, failing, "stub-fast-2")

    events = await events_of(router, ann, "fast")

    failed, answered = await logs_of(router, ann)
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
async def test_what_is_asked_instead_depends_on_the_failure(router: World, failing: str, failure: str) -> None:
    ann = await router.tenant()
    others = {"outage", "rate_limit", "context_length", "content_filter"} - {failure}
    fallbacks = pb.RouteFallbacks(**{failure: ["stub-fast-3"]}, **{other: ["stub-fast-1"] for other in others})
    await route_to(router, ann, failing, fallbacks=fallbacks)

    answer = await chat_with(router, ann, "fast")

    assert (answer.model, answer.route) == ("stub-fast-3", "fast")


@pytest.mark.parametrize("failing", ["stub-ping", "stub-hollow", "stub-counting"])
async def test_a_target_that_says_nothing_but_that_it_is_at_work_is_replaced(
    router: World, stub: OpenAIStub, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.llm.registry.connect", partial(connect, patience=Patience(wordless=0.2)))
    ann = await router.tenant()
    name = await make_model(router, stub.base_url, failing)
    await route_to(router, ann, name, "stub-fast-2")

    answer = await chat_with(router, ann, "fast")

    assert answer.model == "stub-fast-2"
    assert [log.error_reason for log in await logs_of(router, ann)] == [
        error_reason_pb2.ERROR_REASON_MODEL_UNAVAILABLE,
        error_reason_pb2.ERROR_REASON_UNSPECIFIED,
    ]


async def test_a_provider_that_asks_for_a_moment_gets_it(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-limited-2", retry=pb.RouteRetry(max_attempts=2), cooldown=timedelta())
    began = perf_counter()

    refusal = await refused(chat_with(router, ann, "fast"))

    assert refusal.reason == "MODEL_RATE_LIMITED"
    assert len(stub.exchanges) == 2
    assert perf_counter() - began >= 2


async def test_a_provider_that_is_down_and_asks_for_a_moment_gets_it(
    router: World, stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float | None] = []
    wait = Retry.wait

    def noted(retry: Retry, attempt: int, retry_after: float | None, random: Random) -> float | None:
        pauses.append(wait(retry, attempt, retry_after, random))
        return None if pauses[-1] is None else 0.0

    monkeypatch.setattr(Retry, "wait", noted)
    ann = await router.tenant()
    await route_to(
        router, ann, "stub-overloaded-2", retry=pb.RouteRetry(max_attempts=2, backoff=AT_ONCE), cooldown=timedelta()
    )

    refusal = await refused(chat_with(router, ann, "fast"))

    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
    assert pauses == [2, None]
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-overloaded-2"] * 2


async def test_where_waiting_does_not_help_nobody_waits(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-no-credit", retry=pb.RouteRetry(max_attempts=3))

    refusal = await refused(chat_with(router, ann, "fast"))

    assert (refusal.reason, len(stub.exchanges)) == ("MODEL_RATE_LIMITED", 1)


async def test_a_pause_is_as_short_as_the_route_says_where_the_provider_says_nothing(
    router: World, stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    wait = Retry.wait

    def noted(retry: Retry, attempt: int, retry_after: float | None, random: Random) -> float | None:
        pause = wait(retry, attempt, retry_after, random)
        pauses.extend([] if pause is None else [pause])
        return pause

    monkeypatch.setattr(Retry, "wait", noted)
    ann = await router.tenant()
    await route_to(router, ann, "stub-hang-up", retry=pb.RouteRetry(max_attempts=3, backoff=AT_ONCE))

    await refused(chat_with(router, ann, "fast"))

    assert (len(stub.exchanges), len(pauses)) == (3, 2)
    assert max(pauses) < 0.01, "a second each was waited before"


async def test_half_a_call_of_a_tool_is_not_gone_on_with(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-cut-tools", "stub-fast-1")

    events = await events_of(router, ann, "fast", continue_on_failure=True)

    assert events[-1].failed.reason == error_reason_pb2.ERROR_REASON_MODEL_ANSWER_BROKEN
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-cut-tools"]


async def test_what_would_fail_anywhere_is_told_at_once(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-400", "stub-fast-1", fallbacks=pb.RouteFallbacks(outage=["stub-fast-2"]))

    refusal = await refused(chat_with(router, ann, "fast"))

    assert refusal.reason == "MODEL_REQUEST_REJECTED"
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-400"]


async def test_a_target_is_tried_again_before_another_is(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()
    retry = pb.RouteRetry(max_attempts=3, backoff=AT_ONCE)
    await route_to(router, ann, "stub-flaky-2", "stub-fast-1", retry=retry)

    answer = await chat_with(router, ann, "fast")

    (log,) = await logs_of(router, ann)
    assert (answer.model, log.attempts, log.status) == ("stub-flaky-2", 3, log.STATUS_SUCCESS)
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-flaky-2"] * 3


async def test_what_each_try_used_is_on_record_and_paid_for(router: World) -> None:
    ann = await router.tenant()

    answer = await chat_with(router, ann, "stub-flaky-thoughts-5", max_tokens=100)

    (log,) = await logs_of(router, ann)
    # About 6 and 50 that the stub's connection broke off after, and 4 and 3 words.
    assert (log.attempts, log.usage.prompt_tokens, log.usage.completion_tokens) == (2, 10, 53)
    assert (answer.usage.total_tokens, log.usage.cost_usd) == (63, "0.063")


async def test_a_model_by_itself_is_tried_again_too(router: World, stub: OpenAIStub) -> None:
    ann = await router.tenant()

    answer = await chat_with(router, ann, "stub-flaky-1")

    (log,) = await logs_of(router, ann)
    assert (answer.model, answer.route, log.attempts, log.route) == ("stub-flaky-1", "", 2, "")


@pytest.mark.parametrize("resumable", [False, True])
async def test_a_stream_that_fails_says_when_to_try_again_as_a_call_does(router: World, resumable: bool) -> None:
    ann = await router.tenant()
    for model in ("stub-limited-60", "stub-no-credit"):
        call = await refused(chat_with(router, ann, model))
        asked = [detail.retry_delay for detail in call.details if isinstance(detail, error_details_pb2.RetryInfo)]

        events = [event async for event in stream_from(router, ann, model, resumable=resumable)]

        failed = events[-1].failed
        assert [failed.retry_delay for _ in range(failed.HasField("retry_delay"))] == asked
        assert [delay.seconds for delay in asked] == ([60] if model == "stub-limited-60" else [])


async def test_an_answer_that_several_wrote_is_counted_whole_and_kept_for_nobody(
    router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-cut-2", "stub-fast-3", cache_ttl={"seconds": 60})

    events = await events_of(router, ann, "fast", continue_on_failure=True)
    asked = len(stub.exchanges)
    answer = await chat_with(router, ann, "fast")

    logs = (await logs_of(router, ann))[:2]
    assert (len(stub.exchanges) - asked, answer.cached) == (2, False)
    (used,) = [event.usage for event in events if event.HasField("usage")]
    assert used.total_tokens == sum(log.usage.total_tokens for log in logs)
    assert used.completion_tokens == 5


async def test_an_answer_that_breaks_off_goes_on_only_where_the_caller_asked_for_it(
    router: World, stub: OpenAIStub
) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-cut-2", "stub-fast-3")

    broken = await events_of(router, ann, "fast")
    whole = await events_of(router, ann, "fast", continue_on_failure=True)

    logs = await logs_of(router, ann)
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


@pytest.mark.parametrize("as_fallback", [False, True], ids=["the next target", "a fallback"])
async def test_an_answer_that_nobody_has_seen_is_made_anew_by_another(
    router: World, stub: OpenAIStub, *, as_fallback: bool
) -> None:
    ann = await router.tenant()
    if as_fallback:
        await route_to(router, ann, "stub-cut-2", fallbacks=pb.RouteFallbacks(outage=["stub-fast-3"]))
    else:
        await route_to(router, ann, "stub-cut-2", "stub-fast-3", retry=pb.RouteRetry(max_attempts=5))

    answer = await chat_with(router, ann, "fast")

    failed, answered = await logs_of(router, ann)
    assert (answer.model, answer.message.content, answer.call_log_id) == ("stub-fast-3", "t0 t1 t2 ", answered.id)
    assert (failed.error_reason, failed.attempts) == (error_reason_pb2.ERROR_REASON_MODEL_ANSWER_BROKEN, 1)
    assert (failed.usage.completion_tokens, answered.usage.completion_tokens) == (2, 3)
    assert answer.usage.completion_tokens == 5
    assert [len(exchange.body["messages"]) for exchange in stub.exchanges] == [1, 1]
