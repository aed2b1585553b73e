"""Answers of endpoints that say things their own way, and what callers get of them."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import error_details_pb2

from atrium.model.v1 import chat_pb2, model_pb2, route_pb2
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with, kinds_of, logs_of, said
from tests.rpc.routing import events_of, route_to

CUSTOM, ANTHROPIC = model_pb2.Model.PROVIDER_CUSTOM, model_pb2.Model.PROVIDER_ANTHROPIC
WEATHER = chat_pb2.Tool(name="weather")


async def _model(gateway: World, stub: OpenAIStub, name: str, **fields: Any) -> str:
    return await make_model(gateway, stub.base_url, name, supports_function_calling=True, **fields)


async def _sent_on(gateway: World, stub: OpenAIStub, person: Person, answer: chat_pb2.ChatMessage) -> list[Any]:
    """What a provider is told of the calls in that answer, when their results go to it."""
    tool = chat_pb2.ChatMessage.ROLE_TOOL
    results = [chat_pb2.ChatMessage(role=tool, content="rain", tool_call_id=call.id) for call in answer.tool_calls]
    await chat_with(gateway, person, "stub-fast-3", messages=[*said("")["messages"], answer, *results])
    sent: list[Any] = stub.exchanges[-1].body["messages"][1]["tool_calls"]
    return sent


@pytest.mark.parametrize(
    ("name", "provider", "calls"),
    [
        ("stub-id-first", CUSTOM, [("call-1", '{"n":1}')]),
        ("stub-one-index-3", CUSTOM, [(f"call-{n}", f'{{"n":{n}}}') for n in range(3)]),
        ("stub-bare-call", CUSTOM, [("call-1", "{}")]),
        ("stub-bare-call", ANTHROPIC, [("call-1", "{}")]),
        ("stub-gateway-0", ANTHROPIC, [("call-1", '{"n":1}')]),
    ],
)
async def test_a_tools_call_comes_whole_in_whatever_parts_it_is_told(
    gateway: World, stub: OpenAIStub, name: str, provider: Any, calls: list[tuple[str, str]]
) -> None:
    ann = await gateway.tenant()
    await _model(gateway, stub, name, provider=provider)

    answer = (await chat_with(gateway, ann, name, tools=[WEATHER])).message
    events = await events_of(gateway, ann, name, tools=[WEATHER])

    joined: dict[int, list[str]] = {}
    for part in (part for event in events for part in event.delta.tool_calls):
        call = joined.setdefault(part.index, ["", "", ""])
        joined[part.index] = [
            have + more for have, more in zip(call, (part.id, part.name, part.arguments), strict=True)
        ]
    whole = [[call_id, "weather", arguments] for call_id, arguments in calls]
    assert [[call.id, call.name, call.arguments] for call in answer.tool_calls] == whole
    assert joined == dict(enumerate(whole))
    sent = await _sent_on(gateway, stub, ann, answer)
    assert [(call["id"], call["function"]["arguments"]) for call in sent] == calls


async def test_a_target_that_has_given_a_calls_id_alone_is_replaced_unseen(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await route_to(gateway, ann, await _model(gateway, stub, "stub-cut-id"), "stub-cut-2", "stub-fast-3")

    events = await events_of(gateway, ann, "fast", continue_on_failure=True)

    first, second, third = await logs_of(gateway, ann)
    kinds = ["started", "delta", "delta", "switched", "delta", "delta", "delta", "usage", "completed"]
    assert kinds_of(events) == kinds
    assert not any(event.delta.tool_calls for event in events)
    assert (first.status, second.status, third.status) == (first.STATUS_ERROR, first.STATUS_ERROR, first.STATUS_SUCCESS)


async def test_a_call_that_had_no_arguments_goes_out_as_json(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    call = chat_pb2.ToolCall(id="call-1", name="weather")
    answer = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_ASSISTANT, tool_calls=[call])

    (sent,) = await _sent_on(gateway, stub, ann, answer)

    assert sent["function"] == {"name": "weather", "arguments": "{}"}


async def test_what_a_filter_finds_later_breaks_no_answer_and_is_told(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    name = await _model(gateway, stub, "stub-filtered-later-2")

    answer = await chat_with(gateway, ann, name)

    assert (answer.message.content, answer.finish_reason) == ("t0 t1 ", chat_pb2.FINISH_REASON_CONTENT_FILTER)
    assert answer.usage.completion_tokens == 2


@pytest.mark.parametrize("refusing", ["stub-refusing", "stub-prohibited"])
@pytest.mark.parametrize("streams", [True, False])
async def test_a_refusal_is_had_from_the_fallback_for_it(
    gateway: World, stub: OpenAIStub, refusing: str, streams: bool
) -> None:
    ann = await gateway.tenant()
    name = await _model(gateway, stub, refusing, supports_streaming=streams)
    await route_to(gateway, ann, name, fallbacks=route_pb2.RouteFallbacks(content_filter=["stub-fast-3"]))

    answer = await chat_with(gateway, ann, "fast", response_format=chat_pb2.ResponseFormat())

    first, _ = await logs_of(gateway, ann)
    assert (answer.model, answer.message.content) == ("stub-fast-3", "t0 t1 t2 ")
    assert (first.finish_reason, first.usage.completion_tokens) == (chat_pb2.FINISH_REASON_CONTENT_FILTER, 3)


async def test_a_refusal_without_one_says_so_and_is_not_given_again(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    name = await _model(gateway, stub, "stub-refusing")

    answers = [await chat_with(gateway, ann, name, cache_ttl={"seconds": 60}) for _ in range(2)]

    told = [(answer.message.content, answer.finish_reason, answer.cached) for answer in answers]
    assert told == [("", chat_pb2.FINISH_REASON_CONTENT_FILTER, False)] * 2


async def test_a_limit_in_the_midst_of_claudes_answer_names_its_model(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    name = await _model(gateway, stub, "stub-limited", provider=ANTHROPIC)

    refusal = await refused(chat_with(gateway, ann, name))

    (violation,) = refusal.detail(error_details_pb2.QuotaFailure).violations
    assert (refusal.reason, violation.subject) == ("MODEL_RATE_LIMITED", name)
    assert refusal.detail(error_details_pb2.ErrorInfo).metadata["subject"] == name
