"""Models of every provider behind one API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from pydantic import SecretStr

from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, route_pb2, stream_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

NOT_FOR_EVER = 30.0
CLAUDES = ("stub-fast-7", "stub-tools", "stub-overloaded", "stub-529")
HELLO = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")


@pytest.fixture
async def gateway(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that knows the stub by both of its protocols."""
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("key")})
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        price = model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="10", cached_input_cost_per_1k="0.5")
        for provider, names in (
            (model_pb2.Model.PROVIDER_ANTHROPIC, CLAUDES),
            (model_pb2.Model.PROVIDER_CUSTOM, ("stub-fast-2",)),
        ):
            for name in names:
                fields = {"provider": provider, "price": price, "supports_function_calling": True}
                await make_model(world, stub.base_url, name, **fields)
        yield world


async def _last_log(world: World, person: Person) -> call_log_pb2.CallLog:
    reply = await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(page_size=1), metadata=person.metadata)
    return reply.call_logs[0]


async def test_claude_streams_and_is_on_record_with_what_it_cost(gateway: World) -> None:
    person = await gateway.tenant()
    request = stream_pb2.StreamChatRequest(model="stub-fast-7", messages=[HELLO])
    stream = gateway.models.StreamChat(request, metadata=person.metadata, timeout=NOT_FOR_EVER)
    events = [event async for event in stream]

    text = "".join(event.delta.text for event in events)
    assert (text, events[-1].completed.finish_reason) == (
        "".join(f"t{number} " for number in range(7)),
        chat_pb2.FINISH_REASON_STOP,
    )
    usage = (await _last_log(gateway, person)).usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (11, 4, 7)
    assert usage.cost_usd == "0.079"  # 7 read at 1, 4 cached at 0.5, 7 written at 10 a thousand


async def test_claude_calls_tools(gateway: World) -> None:
    person = await gateway.tenant()
    request = chat_pb2.ChatRequest(model="stub-tools", messages=[HELLO], tools=[{"name": "first"}, {"name": "second"}])

    answer = await gateway.models.Chat(request, metadata=person.metadata, timeout=NOT_FOR_EVER)

    assert [(call.name, call.arguments) for call in answer.message.tool_calls] == [
        ("first", '{"n":1}'),
        ("second", '{"n":2}'),
    ]
    assert answer.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS


async def test_a_model_of_one_provider_takes_the_place_of_anothers(gateway: World) -> None:
    person = await gateway.tenant()
    targets = [route_pb2.RouteTarget(model="stub-529"), route_pb2.RouteTarget(model="stub-fast-2", priority=1)]
    route = route_pb2.CreateRouteRequest(alias="any", targets=targets, retry={"max_attempts": 1})
    await gateway.models.CreateRoute(route, metadata=person.metadata)

    answer = await gateway.models.Chat(
        chat_pb2.ChatRequest(model="any", messages=[HELLO]), metadata=person.metadata, timeout=NOT_FOR_EVER
    )

    assert (answer.model, answer.message.content) == ("stub-fast-2", "t0 t1 ")


async def test_claude_that_breaks_off_is_refused_and_paid_for(gateway: World) -> None:
    person = await gateway.tenant()
    call = gateway.models.Chat(
        chat_pb2.ChatRequest(model="stub-overloaded", messages=[HELLO]), metadata=person.metadata, timeout=NOT_FOR_EVER
    )

    assert (await refused(call)).reason == "MODEL_UNAVAILABLE"
    log = await _last_log(gateway, person)
    assert (log.status, log.usage.prompt_tokens) == (call_log_pb2.CallLog.STATUS_ERROR, 11)
    assert log.usage.completion_tokens > 0
