"""What answers may be: calls of tools, in a given form, given again, taken up again, and kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, route_pb2
from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with, embed_with, kinds_of, logs_of, said, stream_from

Code = grpc.StatusCode
HOUR = timedelta(hours=1)


def _struct(**values: Any) -> Struct:
    made = Struct()
    made.update(values)
    return made


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

    await chat_with(gateway, ann, "", stop=["END", "!"], seed=7)
    await chat_with(gateway, ann, "", temperature=0, max_tokens=9)

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
    ann = await gateway.tenant()
    await make_model(gateway, stub.base_url, "stub-context-4096", max_tokens=4096)
    long, longer, too_long = (
        chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="word " * count)
        for count in (1000, 2500, 3400)
    )

    answers = [await chat_with(gateway, ann, "stub-context-4096", messages=[message]) for message in (long, longer)]
    refusal = await refused(chat_with(gateway, ann, "stub-context-4096", messages=[too_long]))

    first, second, _ = (exchange.body["max_tokens"] for exchange in stub.exchanges)
    assert [answer.message.content for answer in answers] == ["t0 t1 t2 "] * 2
    assert 1 < first < 4096 - 1250
    # It reads 3,125 tokens; in a language that takes more for as many bytes it would be all there is room for.
    assert 100 < second < 4096 - 3125
    # An answer of a token or two would be no answer.
    assert refusal.reason == "MODEL_CONTEXT_EXCEEDED"


async def test_a_model_has_tools_called_whole_and_in_parts(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()

    answer = await chat_with(gateway, ann, "stub-tools-2", tools=[WEATHER], tool_choice={"tool": "weather"})
    events = [event async for event in stream_from(gateway, ann, "stub-tools-2", tools=[WEATHER])]

    calls = [(call.id, call.name, call.arguments) for call in answer.message.tool_calls]
    parts = [part for event in events for part in event.delta.tool_calls]
    log, _ = await logs_of(gateway, ann)
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


async def test_numbers_of_a_schema_go_to_the_provider_as_they_are_whatever_their_size(
    gateway: World, stub: OpenAIStub
) -> None:
    """Also where what is asked is looked at before: for the tenant's limits, and for the cache."""
    ann, platform = await gateway.tenant(), await gateway.platform()
    limits = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=ann.tenant_id, tokens_per_minute=100_000)
    await gateway.tenants.UpdateTenantConfig(limits, metadata=platform.metadata)
    bounds = {"minimum": -(2**63) * 2, "maximum": 2**64, "below": 1e300, "most": 2**53, "least": -7, "half": 0.5}
    tool = chat_pb2.Tool(name="weather", parameters=_struct(type="object", properties={"n": bounds}))
    form = chat_pb2.ResponseFormat(schema=_struct(type="object", properties={"n": bounds}))

    await chat_with(gateway, ann, "stub-tools-2", tools=[tool], response_format=form, cache_ttl=HOUR)

    (exchange,) = stub.exchanges
    schemas = [
        exchange.body["tools"][0]["function"]["parameters"],
        exchange.body["response_format"]["json_schema"]["schema"],
    ]
    assert [schema["properties"]["n"] for schema in schemas] == [bounds] * 2
    sent = schemas[0]["properties"]["n"]
    assert [type(sent[name]) for name in ("most", "least", "half")] == [int, int, float]


async def test_a_tools_result_goes_back_with_the_call_that_it_answers(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    first = await chat_with(gateway, ann, "stub-tools-2", tools=[WEATHER])
    results = [
        chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_TOOL, content="rain", tool_call_id=call.id)
        for call in first.message.tool_calls
    ]
    messages = [*said("")["messages"], first.message, *results]

    await chat_with(gateway, ann, "stub-fast-3", messages=messages)

    asked, wanted, *found = stub.exchanges[-1].body["messages"]
    assert asked["role"] == "user"
    assert [call["id"] for call in wanted["tool_calls"]] == ["call-0", "call-1"]
    assert [(one["role"], one["tool_call_id"]) for one in found] == [("tool", "call-0"), ("tool", "call-1")]


async def test_a_model_that_calls_no_tools_is_not_asked_to_and_a_route_passes_it_over(gateway: World) -> None:
    ann = await gateway.tenant()
    targets = [{"model": "stub-fast-3"}, {"model": "stub-tools-2", "priority": 1}]
    route = route_pb2.CreateRouteRequest(alias="any", targets=[route_pb2.RouteTarget(**one) for one in targets])
    await gateway.models.CreateRoute(route, metadata=ann.metadata)

    refusal = await refused(chat_with(gateway, ann, "stub-fast-3", tools=[WEATHER]))
    unknown = await refused(chat_with(gateway, ann, "stub-tools-2", tools=[WEATHER], tool_choice={"tool": "nobody"}))
    answer = await chat_with(gateway, ann, "any", tools=[WEATHER])

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "MODEL_WITHOUT_TOOLS")
    assert unknown.fields == ["tool_choice.tool"]
    assert answer.model == "stub-tools-2"


async def test_an_answers_form_goes_to_the_provider(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    schema = _struct(type="object", properties={"n": {"type": "integer", "minimum": 1}})

    await chat_with(gateway, ann, "stub-fast-3", response_format={"name": "number", "schema": schema, "strict": False})
    await chat_with(gateway, ann, "stub-fast-3", response_format={})

    told, any_object = (exchange.body["response_format"] for exchange in stub.exchanges)
    assert told["json_schema"]["schema"]["properties"]["n"] == {"type": "integer", "minimum": 1}
    assert (told["type"], told["json_schema"]["name"], told["json_schema"]["strict"]) == (
        "json_schema",
        "number",
        False,
    )
    assert any_object == {"type": "json_object"}


async def test_an_answer_is_given_without_a_nul_which_no_request_may_hold(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await make_model(gateway, stub.base_url, "stub-nul")

    answers = [await chat_with(gateway, ann, "stub-nul", cache_ttl=HOUR) for _ in range(2)]

    assert [(answer.message.content, answer.cached) for answer in answers] == [("ab", False), ("ab", True)]


async def test_the_same_question_gets_the_same_answer_where_it_was_asked_to(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()

    first = await chat_with(gateway, ann, "stub-fast-3", cache_ttl=HOUR)
    again = await chat_with(gateway, ann, "stub-fast-3", cache_ttl=HOUR)
    events = [event async for event in stream_from(gateway, ann, "stub-fast-3", cache_ttl=HOUR)]
    assert len(stub.exchanges) == 1

    await chat_with(gateway, ann, "stub-fast-3")
    await chat_with(gateway, ann, "stub-fast-3", cache_ttl=HOUR, temperature=1)
    await chat_with(gateway, other, "stub-fast-3", cache_ttl=HOUR)
    assert len(stub.exchanges) == 4

    logs = await logs_of(gateway, ann)
    assert (first.cached, again.cached, again.message) == (False, True, first.message)
    assert (again.usage.total_tokens, again.usage.cost_usd, again.finish_reason) == (0, "0", first.finish_reason)
    assert kinds_of(events) == ["started", "delta", "usage", "completed"]
    assert (events[0].started.cached, events[1].delta.text) == (True, first.message.content)
    assert [log.cached for log in logs] == [False, True, True, False, False]
    assert (logs[1].id, logs[1].attempts) == (again.call_log_id, 0)


async def test_an_answer_that_calls_tools_is_given_again_with_the_same_calls(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    asked = {"tools": [WEATHER], "cache_ttl": HOUR}

    first, again = [await chat_with(gateway, ann, "stub-tools-2", **asked) for _ in range(2)]
    events = [event async for event in stream_from(gateway, ann, "stub-tools-2", **asked)]

    calls = [(call.id, call.name, call.arguments) for call in first.message.tool_calls]
    parts = [part for event in events for part in event.delta.tool_calls]
    assert calls == [(f"call-{index}", "weather", '{"city":"Oslo"}') for index in range(2)]
    assert (first.cached, again.cached, events[0].started.cached) == (False, True, True)
    assert again.message == first.message
    assert again.finish_reason == events[-1].completed.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS
    assert [(part.index, part.id, part.name, part.arguments) for part in parts] == [
        (index, *call) for index, call in enumerate(calls)
    ]
    assert len(stub.exchanges) == 1


async def test_a_route_keeps_answers_and_forgets_them_with_a_change_of_its_models(
    gateway: World, stub: OpenAIStub, admin: Any
) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    route = route_pb2.CreateRouteRequest(
        alias="kept", targets=[route_pb2.RouteTarget(model="stub-fast-3")], cache_ttl=HOUR
    )
    await gateway.models.CreateRoute(route, metadata=ann.metadata)

    asked = [(await chat_with(gateway, ann, "kept")).cached for _ in range(2)]
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    change = model_pb2.UpdateModelRequest(
        id=next(one.id for one in found if one.name == "stub-fast-3"), description="newer"
    )
    await gateway.models.UpdateModel(change, metadata=platform.metadata)
    asked.append((await chat_with(gateway, ann, "kept")).cached)
    await admin.execute("UPDATE response_cache SET expires_at = now()")
    asked.append((await chat_with(gateway, ann, "kept")).cached)

    assert asked == [False, True, False, False]


async def test_an_answer_is_as_young_as_each_who_asks_wants_it(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()
    await chat_with(gateway, ann, "stub-fast-3", cache_ttl=HOUR)
    await admin.execute("UPDATE response_cache SET created_at = now() - interval '1 minute'")

    asked = [
        (await chat_with(gateway, ann, "stub-fast-3", cache_ttl=life)).cached
        for life in (HOUR, timedelta(seconds=59), timedelta(seconds=59))
    ]

    assert asked == [True, False, True], "the last one is given what was made for the one before"


async def test_who_wants_it_younger_takes_none_from_who_wants_it_longer(
    gateway: World, stub: OpenAIStub, admin: Any
) -> None:
    ann = await gateway.tenant()
    cached = []
    for seconds in (600, 1, 600):
        cached.append((await chat_with(gateway, ann, "stub-fast-3", cache_ttl={"seconds": seconds})).cached)
        await admin.execute(
            "UPDATE response_cache SET created_at = now() - interval '5 s', expires_at = expires_at - interval '5 s'"
        )

    assert cached == [False, False, True]
    assert len(stub.exchanges) == 2


async def test_one_question_to_a_route_has_one_answer_whoever_comes_first(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    targets = [route_pb2.RouteTarget(model=name) for name in ("stub-fast-3", "stub-slow-30")]
    route = route_pb2.CreateRouteRequest(alias="either", targets=targets, cache_ttl=HOUR)
    await gateway.models.CreateRoute(route, metadata=ann.metadata)

    for _ in range(8):
        await chat_with(gateway, ann, "either")

    assert len(stub.exchanges) == 1


async def test_an_answer_that_broke_off_is_not_kept(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()

    for _ in range(2):
        refusal = await refused(chat_with(gateway, ann, "stub-cut-2", cache_ttl=HOUR))
        assert refusal.reason == "MODEL_ANSWER_BROKEN"

    assert len(stub.exchanges) == 2


async def test_prompts_are_kept_where_the_tenant_wants_it_and_nowhere_else(gateway: World, admin: Any) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()
    request = tenant_config_pb2.UpdateTenantConfigRequest(store_prompts=True, prompt_retention_days=7)
    config = (await gateway.tenants.UpdateTenantConfig(request, metadata=ann.metadata)).config

    mine = await chat_with(gateway, ann, "stub-fast-3")
    theirs = await chat_with(gateway, other, "stub-fast-3")
    kept = await gateway.models.GetCallLog(call_log_pb2.GetCallLogRequest(id=mine.call_log_id), metadata=ann.metadata)
    bare = await gateway.models.GetCallLog(
        call_log_pb2.GetCallLogRequest(id=theirs.call_log_id), metadata=other.metadata
    )

    assert (config.store_prompts, config.prompt_retention_days) == (True, 7)
    assert [message.content for message in kept.messages] == ["four words of prompt"]
    assert (kept.answer, kept.call_log.id) == (mine.message, mine.call_log_id)
    assert (list(bare.messages), bare.HasField("answer"), bare.call_log.id) == ([], False, theirs.call_log_id)
    assert await admin.fetchval("SELECT count(*) FROM call_contents") == 1


async def test_a_call_that_comes_to_nothing_for_its_prompt_or_its_key_is_on_record(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    made = templates.CreateTemplateRequest(name="x", visibility=templates.VISIBILITY_TENANT)
    template_id = (await gateway.prompts.CreateTemplate(made, metadata=ann.metadata)).template.id
    empty = chat_pb2.Prompt(template_id=template_id)
    text = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}"

    without_version = await refused(chat_with(gateway, ann, "stub-fast-3", prompt=empty))
    await gateway.prompts.CreateVersion(
        versions.CreateVersionRequest(template_id=template_id, text=text), metadata=ann.metadata
    )
    too_long = await refused(stream_from(gateway, ann, "stub-fast-3", prompt=empty))
    unlabelled = chat_pb2.Prompt(template_id=template_id, label="production")
    without_label = await refused(chat_with(gateway, ann, "stub-fast-3", prompt=unlabelled))
    await gateway.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=ann.metadata)
    deleted = await refused(chat_with(gateway, ann, "stub-fast-3", prompt=empty))
    without_key = await refused(chat_with(gateway, ann, "gpt-4"))
    embedding = await refused(embed_with(gateway, ann, "text-embedding-3-large", ["a"]))

    refusals = [without_version, too_long, without_label, deleted, without_key, embedding]
    logs = await logs_of(gateway, ann)
    reasons = [error_reason_pb2.ErrorReason.Name(log.error_reason) for log in logs]
    assert reasons == [f"ERROR_REASON_{refusal.reason}" for refusal in refusals]
    assert {log.status for log in logs} == {call_log_pb2.CallLog.STATUS_ERROR}
    assert len(set(reasons)) == 5
    assert not stub.exchanges


async def test_a_model_that_does_not_stream_is_asked_for_a_whole_answer_which_is_one_delta(
    gateway: World, stub: OpenAIStub
) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    fast = next(one for one in found if one.name == "stub-fast-3")
    change = model_pb2.UpdateModelRequest(id=fast.id, supports_streaming=False)
    changed = (await gateway.models.UpdateModel(change, metadata=platform.metadata)).model

    events = [event async for event in stream_from(gateway, ann, "stub-fast-3")]
    answer = await chat_with(gateway, ann, "stub-fast-3")
    change.supports_streaming = True
    await gateway.models.UpdateModel(change, metadata=platform.metadata)
    streamed = [event async for event in stream_from(gateway, ann, "stub-fast-3")]

    assert [fast.supports_streaming, changed.supports_streaming] == [True, False]
    assert {one.supports_streaming for one in found if one.type == one.TYPE_EMBEDDING} == {False}
    assert kinds_of(events) == ["started", "delta", "usage", "completed"]
    assert events[1].delta.text == answer.message.content == "t0 t1 t2 "
    assert kinds_of(streamed).count("delta") == 3
    assert ["stream" in exchange.body for exchange in stub.exchanges] == [False, False, True]
    assert {log.usage.completion_tokens for log in await logs_of(gateway, ann)} == {3}
