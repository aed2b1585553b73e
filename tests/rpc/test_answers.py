"""What answers may be: calls of tools, in a given form, given again, taken up again, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pydantic import SecretStr

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, route_pb2
from atrium.model.v1 import model_service_pb2 as pb
from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from atrium.tenant.v1 import tenant_config_pb2
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.fakes.openai_embeddings import vector
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

Code = grpc.StatusCode
CHATS = ("stub-tools-2", "stub-fast-3", "stub-slow-30", "stub-stall-2", "stub-cut-2")
EMBEDDERS = ("stub-embed-8", "stub-embed-most-4", "stub-embed-most-0", "stub-embed-most-1", "stub-500")
NOT_FOR_EVER = 20.0
HOUR = timedelta(hours=1)


@pytest.fixture
async def gateways(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[tuple[World, World]]:
    """Two servers on one database, which know the stub's models."""
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")})
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            app, port = await stack.enter_async_context(serving(settings))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            worlds.append(World(channel, await app.founding.first_platform_administrator() or ("", "")))
        platform = await worlds[0].platform()
        price = model_pb2.ModelPrice(input_cost_per_1k="1000", output_cost_per_1k="1000")
        for name in (*CHATS, *EMBEDDERS):
            request = pb.CreateModelRequest(
                name=name,
                provider=model_pb2.Model.PROVIDER_CUSTOM,
                type=model_pb2.Model.TYPE_CHAT,
                price=price,
                base_url=stub.base_url,
                supports_function_calling=name != "stub-fast-3",
            )
            if name in EMBEDDERS:
                request.type, request.dimensions = model_pb2.Model.TYPE_EMBEDDING, 8
            await worlds[0].models.CreateModel(request, metadata=platform.metadata)
        yield worlds[0], worlds[1]


@pytest.fixture
def gateway(gateways: tuple[World, World]) -> World:
    return gateways[0]


def _struct(**values: Any) -> Struct:
    made = Struct()
    made.update(values)
    return made


def _said(name: str, **fields: Any) -> dict[str, Any]:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="four words of prompt")
    return {"model": name, "messages": [message], **fields}


async def _chat(world: World, person: Person, name: str, **fields: Any) -> pb.ChatResponse:
    request = pb.ChatRequest(**_said(name, **fields))
    return await world.models.Chat(request, metadata=person.metadata, timeout=NOT_FOR_EVER)


def _stream(world: World, person: Person, name: str = "", **fields: Any) -> Any:
    request = pb.StreamChatRequest(**(_said(name, **fields) if name else fields))
    return world.models.StreamChat(request, metadata=person.metadata, timeout=NOT_FOR_EVER)


def _kinds(events: list[pb.StreamChatResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def _logs(world: World, person: Person) -> list[call_log_pb2.CallLog]:
    reply = await world.models.ListCallLogs(pb.ListCallLogsRequest(), metadata=person.metadata)
    return list(reversed(reply.call_logs))


WEATHER = chat_pb2.Tool(
    name="weather",
    description="The weather in a city.",
    parameters=_struct(type="object", properties={"city": {"type": "string", "maxLength": 80}}),
)


async def test_all_that_was_asked_and_what_the_tenant_adds_goes_to_the_provider(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    settings = tenant_config_pb2.UpdateTenantConfigRequest(
        default_model="stub-fast-3", temperature=0.25, max_tokens_per_request=77
    )
    await gateway.tenants.UpdateTenantConfig(settings, metadata=ann.metadata)

    await _chat(gateway, ann, "", stop=["END", "!"], seed=7)
    await _chat(gateway, ann, "", temperature=0, max_tokens=9)

    first, second = (exchange.body for exchange in stub.exchanges)
    assert first == {
        "model": "stub-fast-3",
        "messages": [{"role": "user", "content": "four words of prompt"}],
        "temperature": 0.25,
        "max_tokens": 77,
        "stop": ["END", "!"],
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert (second["temperature"], second["max_tokens"]) == (0, 9)


async def test_a_call_that_names_no_limit_leaves_room_for_what_is_read(gateway: World, stub: OpenAIStub) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    request = pb.CreateModelRequest(
        name="stub-context-4096",
        provider=model_pb2.Model.PROVIDER_CUSTOM,
        type=model_pb2.Model.TYPE_CHAT,
        max_tokens=4096,
        price=model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0"),
        base_url=stub.base_url,
    )
    await gateway.models.CreateModel(request, metadata=platform.metadata)
    long = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="word " * 1000)

    answer = await _chat(gateway, ann, "stub-context-4096", messages=[long])

    assert answer.message.content == "t0 t1 t2 "
    assert 1 < stub.exchanges[0].body["max_tokens"] < 4096 - 1250


async def test_a_model_has_tools_called_whole_and_in_parts(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()

    answer = await _chat(gateway, ann, "stub-tools-2", tools=[WEATHER], tool_choice={"tool": "weather"})
    events = [event async for event in _stream(gateway, ann, "stub-tools-2", tools=[WEATHER])]

    calls = [(call.id, call.name, call.arguments) for call in answer.message.tool_calls]
    parts = [part for event in events for part in event.delta.tool_calls]
    log, _ = await _logs(gateway, ann)
    assert calls == [(f"call-{index}", "weather", '{"city":"Oslo"}') for index in range(2)]
    assert answer.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS
    assert "".join(part.arguments for part in parts if part.index == 1) == '{"city":"Oslo"}'
    assert [(part.id, part.name) for part in parts if part.id] == [("call-0", "weather"), ("call-1", "weather")]
    sent = stub.exchanges[0].body
    assert sent["tools"][0]["function"]["parameters"]["properties"]["city"]["maxLength"] == 80
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert (log.usage.completion_tokens, log.usage.reasoning_tokens, log.HasField("time_to_first_token")) == (
        5,
        2,
        True,
    )


async def test_a_tools_result_goes_back_with_the_call_that_it_answers(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    first = await _chat(gateway, ann, "stub-tools-2", tools=[WEATHER])
    results = [
        chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_TOOL, content="rain", tool_call_id=call.id)
        for call in first.message.tool_calls
    ]
    messages = [*_said("")["messages"], first.message, *results]

    await _chat(gateway, ann, "stub-fast-3", messages=messages)

    asked, wanted, *found = stub.exchanges[-1].body["messages"]
    assert asked["role"] == "user"
    assert [call["id"] for call in wanted["tool_calls"]] == ["call-0", "call-1"]
    assert [(one["role"], one["tool_call_id"]) for one in found] == [("tool", "call-0"), ("tool", "call-1")]


async def test_a_model_that_calls_no_tools_is_not_asked_to_and_a_route_passes_it_over(gateway: World) -> None:
    ann = await gateway.tenant()
    targets = [{"model": "stub-fast-3"}, {"model": "stub-tools-2", "priority": 1}]
    route = route_pb2.CreateRouteRequest(alias="any", targets=[route_pb2.RouteTarget(**one) for one in targets])
    await gateway.models.CreateRoute(route, metadata=ann.metadata)

    refusal = await refused(_chat(gateway, ann, "stub-fast-3", tools=[WEATHER]))
    unknown = await refused(_chat(gateway, ann, "stub-tools-2", tools=[WEATHER], tool_choice={"tool": "nobody"}))
    answer = await _chat(gateway, ann, "any", tools=[WEATHER])

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "MODEL_WITHOUT_TOOLS")
    assert unknown.fields == ["tool_choice.tool"]
    assert answer.model == "stub-tools-2"


async def test_an_answers_form_goes_to_the_provider(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    schema = _struct(type="object", properties={"n": {"type": "integer", "minimum": 1}})

    await _chat(gateway, ann, "stub-fast-3", response_format={"name": "number", "schema": schema, "strict": False})
    await _chat(gateway, ann, "stub-fast-3", response_format={})

    told, any_object = (exchange.body["response_format"] for exchange in stub.exchanges)
    assert told["json_schema"]["schema"]["properties"]["n"] == {"type": "integer", "minimum": 1}
    assert (told["type"], told["json_schema"]["name"], told["json_schema"]["strict"]) == (
        "json_schema",
        "number",
        False,
    )
    assert any_object == {"type": "json_object"}


async def test_the_same_question_gets_the_same_answer_where_it_was_asked_to(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()

    first = await _chat(gateway, ann, "stub-fast-3", cache_ttl=HOUR)
    again = await _chat(gateway, ann, "stub-fast-3", cache_ttl=HOUR)
    events = [event async for event in _stream(gateway, ann, "stub-fast-3", cache_ttl=HOUR)]
    assert len(stub.exchanges) == 1

    await _chat(gateway, ann, "stub-fast-3")
    await _chat(gateway, ann, "stub-fast-3", cache_ttl=HOUR, temperature=1)
    await _chat(gateway, other, "stub-fast-3", cache_ttl=HOUR)
    assert len(stub.exchanges) == 4

    logs = await _logs(gateway, ann)
    assert (first.cached, again.cached, again.message) == (False, True, first.message)
    assert (again.usage.total_tokens, again.usage.cost_usd, again.finish_reason) == (0, "0", first.finish_reason)
    assert _kinds(events) == ["started", "delta", "usage", "completed"]
    assert (events[0].started.cached, events[1].delta.text) == (True, first.message.content)
    assert [log.cached for log in logs] == [False, True, True, False, False]
    assert (logs[1].id, logs[1].attempts) == (again.call_log_id, 0)


async def test_a_route_keeps_answers_and_forgets_them_with_a_change_of_its_models(
    gateway: World, stub: OpenAIStub, admin: Any
) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    route = route_pb2.CreateRouteRequest(
        alias="kept", targets=[route_pb2.RouteTarget(model="stub-fast-3")], cache_ttl=HOUR
    )
    await gateway.models.CreateRoute(route, metadata=ann.metadata)

    asked = [(await _chat(gateway, ann, "kept")).cached for _ in range(2)]
    found = (await gateway.models.ListModels(pb.ListModelsRequest(), metadata=ann.metadata)).models
    change = pb.UpdateModelRequest(id=next(one.id for one in found if one.name == "stub-fast-3"), description="newer")
    await gateway.models.UpdateModel(change, metadata=platform.metadata)
    asked.append((await _chat(gateway, ann, "kept")).cached)
    await admin.execute("UPDATE response_cache SET expires_at = now()")
    asked.append((await _chat(gateway, ann, "kept")).cached)

    assert asked == [False, True, False, False]


async def test_an_answer_is_as_young_as_each_who_asks_wants_it(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()
    await _chat(gateway, ann, "stub-fast-3", cache_ttl=HOUR)
    await admin.execute("UPDATE response_cache SET created_at = now() - interval '1 minute'")

    asked = [
        (await _chat(gateway, ann, "stub-fast-3", cache_ttl=life)).cached
        for life in (HOUR, timedelta(seconds=59), timedelta(seconds=59))
    ]

    assert asked == [True, False, True], "the last one is given what was made for the one before"


async def test_one_question_to_a_route_has_one_answer_whoever_comes_first(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    targets = [route_pb2.RouteTarget(model=name) for name in ("stub-fast-3", "stub-slow-30")]
    route = route_pb2.CreateRouteRequest(alias="either", targets=targets, cache_ttl=HOUR)
    await gateway.models.CreateRoute(route, metadata=ann.metadata)

    for _ in range(8):
        await _chat(gateway, ann, "either")

    assert len(stub.exchanges) == 1


async def test_an_answer_that_broke_off_is_not_kept(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()

    for _ in range(2):
        refusal = await refused(_chat(gateway, ann, "stub-cut-2", cache_ttl=HOUR))
        assert refusal.reason == "MODEL_RESPONSE_INVALID"

    assert len(stub.exchanges) == 2


async def test_a_stream_is_taken_up_again_on_any_server_after_its_connection_is_lost(
    gateways: tuple[World, World], stub: OpenAIStub
) -> None:
    ann = await gateways[0].tenant()
    stream = _stream(gateways[0], ann, "stub-slow-30", resumable=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if len(seen) == 5:
            break
    stream.cancel()
    generation = seen[0].started.generation_id

    rest = [
        [event async for event in _stream(world, ann, generation_id=generation, after_seq=seen[-1].seq)]
        for world in reversed(gateways)
    ]

    (log,) = await _logs(gateways[1], ann)
    for events in rest:
        assert [event.seq for event in events] == list(range(6, 6 + len(events)))
        assert _kinds(events)[-2:] == ["usage", "completed"]
        text = "".join(event.delta.text for event in [*seen, *events])
        assert text == "".join(f"t{number} " for number in range(30))
    assert (log.status, log.usage.completion_tokens, len(stub.exchanges)) == (log.STATUS_SUCCESS, 30, 1)


async def test_a_stream_that_nobody_wants_any_more_is_ended_from_any_server(
    gateways: tuple[World, World], stub: OpenAIStub
) -> None:
    ann = await gateways[0].tenant()
    colleague = await gateways[0].user(ann, "models:execute")
    stream = _stream(gateways[0], ann, "stub-stall-2", resumable=True)
    events = aiter(stream)
    generation = (await anext(events)).started.generation_id
    request = pb.CancelGenerationRequest(generation_id=generation)

    foreign = await refused(gateways[0].models.CancelGeneration(request, metadata=colleague.metadata))
    hidden = await refused(_stream(gateways[0], colleague, generation_id=generation))
    await gateways[1].models.CancelGeneration(request, metadata=ann.metadata)
    rest = [event async for event in events]
    async with asyncio.timeout(NOT_FOR_EVER):
        await (await stub.arrival()).left.wait()
        while not (logs := await _logs(gateways[0], ann)):
            pass

    assert [refusal.reason for refusal in (foreign, hidden)] == ["GENERATION_NOT_FOUND"] * 2
    assert rest[-1].failed.reason == error_reason_pb2.ERROR_REASON_GENERATION_CANCELLED
    assert (logs[0].status, logs[0].usage.completion_tokens) == (logs[0].STATUS_CANCELLED, 2)


async def test_a_stream_whose_server_is_gone_says_so(gateway: World, scratch: Scratch) -> None:
    ann = await gateway.tenant()
    async with scratch.connect(scratch.owner_url) as owner:
        generation = await owner.fetchval(
            "INSERT INTO generations (tenant_id, user_id, kept_until, expires_at)"
            " VALUES ($1, $2, now() - interval '1 second', now() + interval '1 hour') RETURNING id",
            ann.tenant_id,
            ann.id,
        )

    events = [event async for event in _stream(gateway, ann, generation_id=str(generation))]

    assert [(event.seq, event.failed.reason) for event in events] == [
        (1, error_reason_pb2.ERROR_REASON_GENERATION_LOST)
    ]


async def test_what_is_wrong_with_a_resumable_call_is_a_status(gateway: World) -> None:
    ann = await gateway.tenant()

    refusal = await refused(_stream(gateway, ann, "nobody", resumable=True))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_prompts_are_kept_where_the_tenant_wants_it_and_nowhere_else(gateway: World, admin: Any) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    request = tenant_config_pb2.UpdateTenantConfigRequest(store_prompts=True, prompt_retention_days=7)
    config = (await gateway.tenants.UpdateTenantConfig(request, metadata=ann.metadata)).config

    mine = await _chat(gateway, ann, "stub-fast-3")
    theirs = await _chat(gateway, other, "stub-fast-3")
    kept = await gateway.models.GetCallLog(pb.GetCallLogRequest(id=mine.call_log_id), metadata=ann.metadata)
    bare = await gateway.models.GetCallLog(pb.GetCallLogRequest(id=theirs.call_log_id), metadata=other.metadata)

    assert (config.store_prompts, config.prompt_retention_days) == (True, 7)
    assert [message.content for message in kept.messages] == ["four words of prompt"]
    assert (kept.answer, kept.call_log.id) == (mine.message, mine.call_log_id)
    assert (list(bare.messages), bare.HasField("answer"), bare.call_log.id) == ([], False, theirs.call_log_id)
    assert await admin.fetchval("SELECT count(*) FROM call_contents") == 1


async def _embed(world: World, person: Person, name: str, inputs: list[str], **fields: Any) -> pb.EmbedResponse:
    request = pb.EmbedRequest(model=name, inputs=inputs, **fields)
    return await world.models.Embed(request, metadata=person.metadata, timeout=NOT_FOR_EVER)


def _vectors(reply: pb.EmbedResponse) -> list[list[float]]:
    return [list(embedding.values) for embedding in reply.embeddings]


async def test_many_texts_go_in_batches_and_come_back_in_their_order(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    texts = [f"text {number % 1500}" for number in range(2048)]

    reply = await _embed(gateway, ann, "stub-embed-8", texts)

    assert _vectors(reply) == [vector(text, 8) for text in texts]
    assert [len(exchange.body["input"]) for exchange in stub.exchanges] == [512, 512, 476]
    assert reply.usage.prompt_tokens == 3000


async def test_a_text_that_is_refused_does_not_keep_the_others_from_their_vectors(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    texts = ["a", "b", "bad", "c", "d", "e", "f"]

    reply = await _embed(gateway, ann, "stub-embed-most-4", texts)
    alone = await refused(_embed(gateway, ann, "stub-embed-most-4", ["bad"]))

    rejected = error_reason_pb2.ERROR_REASON_MODEL_REQUEST_REJECTED
    assert _vectors(reply) == [[] if text == "bad" else vector(text, 8) for text in texts]
    assert [embedding.error_reason for embedding in reply.embeddings] == [0, 0, rejected, 0, 0, 0, 0]
    assert alone.reason == "MODEL_REQUEST_REJECTED"
    assert [log.status for log in await _logs(gateway, ann)] == [
        call_log_pb2.CallLog.STATUS_SUCCESS,
        call_log_pb2.CallLog.STATUS_ERROR,
    ]


async def test_a_provider_that_refuses_whatever_it_is_asked_is_not_asked_for_each_text(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()

    refusal = await refused(_embed(gateway, ann, "stub-embed-most-0", [str(number) for number in range(2048)]))

    assert refusal.reason == "MODEL_REQUEST_REJECTED"
    assert len(stub.exchanges) < 150


async def test_a_provider_that_takes_one_text_at_a_time_is_asked_for_each(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    texts = [str(number) for number in range(600)]

    reply = await _embed(gateway, ann, "stub-embed-most-1", texts)

    assert _vectors(reply) == [vector(text, 8) for text in texts]


async def test_a_call_that_comes_to_nothing_for_its_prompt_or_its_key_is_on_record(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    made = templates.CreateTemplateRequest(name="x", visibility=templates.VISIBILITY_TENANT)
    template_id = (await gateway.prompts.CreateTemplate(made, metadata=ann.metadata)).template.id
    empty = chat_pb2.Prompt(template_id=template_id)
    text = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}"

    without_version = await refused(_chat(gateway, ann, "stub-fast-3", prompt=empty))
    await gateway.prompts.CreateVersion(
        versions.CreateVersionRequest(template_id=template_id, text=text), metadata=ann.metadata
    )
    too_long = await refused(_stream(gateway, ann, "stub-fast-3", prompt=empty))
    unlabelled = chat_pb2.Prompt(template_id=template_id, label="production")
    without_label = await refused(_chat(gateway, ann, "stub-fast-3", prompt=unlabelled))
    await gateway.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=ann.metadata)
    deleted = await refused(_chat(gateway, ann, "stub-fast-3", prompt=empty))
    without_key = await refused(_chat(gateway, ann, "gpt-4"))
    embedding = await refused(_embed(gateway, ann, "text-embedding-3-large", ["a"]))

    refusals = [without_version, too_long, without_label, deleted, without_key, embedding]
    logs = await _logs(gateway, ann)
    reasons = [error_reason_pb2.ErrorReason.Name(log.error_reason) for log in logs]
    assert reasons == [f"ERROR_REASON_{refusal.reason}" for refusal in refusals]
    assert {log.status for log in logs} == {call_log_pb2.CallLog.STATUS_ERROR}
    assert len(set(reasons)) == 5
    assert not stub.exchanges


async def test_vectors_are_given_again_by_their_text_and_model(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()

    await _embed(gateway, ann, "stub-embed-8", ["a", "b"], cache_ttl=HOUR)
    reply = await _embed(gateway, ann, "stub-embed-8", ["b", "c", "a"], cache_ttl=HOUR)
    await _embed(gateway, ann, "stub-embed-8", ["c", "a"], cache_ttl=HOUR)
    await _embed(gateway, other, "stub-embed-8", ["a"], cache_ttl=HOUR)
    await _embed(gateway, ann, "stub-embed-8", ["a"])

    assert _vectors(reply) == [vector(text, 8) for text in ("b", "c", "a")]
    assert [exchange.body["input"] for exchange in stub.exchanges] == [["a", "b"], ["c"], ["a"], ["a"]]
    assert [log.cached for log in await _logs(gateway, ann)] == [False, False, True, False]


async def test_a_vector_that_was_too_old_is_kept_anew(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()
    await _embed(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)
    await admin.execute("UPDATE embedding_cache SET expires_at = now(), vector = '\\x00000000'")

    anew = await _embed(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)
    kept = await _embed(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)

    assert _vectors(anew) == _vectors(kept) == [vector("a", 8)]
    assert len(stub.exchanges) == 2


async def test_a_provider_that_fails_for_all_texts_is_a_status(gateway: World) -> None:
    ann = await gateway.tenant()

    refusal = await refused(_embed(gateway, ann, "stub-500", ["a", "b"]))

    (log,) = await _logs(gateway, ann)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
    assert (log.status, log.attempts) == (log.STATUS_ERROR, 1)
