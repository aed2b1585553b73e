"""The ModelService over a real channel, on the local models."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from typing import Any

import grpc
import pytest

from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, model_pb2, stream_pb2
from atrium.tenant.v1 import tenant_config_pb2
from server.embedded.chat import CONTEXT_TOKENS, PARALLEL
from tests.factories.world import Person, World, refused
from tests.gateways import NOT_FOR_EVER
from tests.promptly import within

pytestmark = pytest.mark.xdist_group("local-model")

FREE_WITHIN = 5.0
"""Generous: llama.cpp looks once a second for those who have left. As many answers of LONG tokens take minutes."""

LONG = CONTEXT_TOKENS - 100

SUCCESS = call_log_pb2.CallLog.STATUS_SUCCESS


def _say(text: str) -> chat_pb2.ChatMessage:
    return chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content=text)


def _model(name: str, **fields: Any) -> model_pb2.CreateModelRequest:
    price = model_pb2.ModelPrice(input_cost_per_1k="0.5", output_cost_per_1k="1.25", cached_input_cost_per_1k="0")
    return model_pb2.CreateModelRequest(
        name=name, provider=model_pb2.Model.PROVIDER_OPENAI, type=model_pb2.Model.TYPE_CHAT, price=price, **fields
    )


async def _logs(world: World, person: Person, **filters: Any) -> list[call_log_pb2.CallLog]:
    reply = await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(**filters), metadata=person.metadata)
    return list(reply.call_logs)


async def test_the_models_that_come_with_it_are_listed_with_their_prices(world: World) -> None:
    administrator = await world.tenant()

    reply = await world.models.ListModels(model_pb2.ListModelsRequest(), metadata=administrator.metadata)

    prices = {found.name: (found.price.input_cost_per_1k, found.price.output_cost_per_1k) for found in reply.models}
    assert prices == {
        "gpt-4": ("0.03", "0.06"),
        "gpt-3.5-turbo": ("0.0015", "0.002"),
        "claude-3-5-sonnet": ("0.003", "0.015"),
        "text-embedding-3-large": ("0.00013", "0"),
        "local-chat": ("0", "0"),
        "local-embedding": ("0", "0"),
    }


async def test_models_are_chosen_by_kind_and_provider_and_come_in_pages(world: World) -> None:
    administrator = await world.tenant()
    embedding, custom = model_pb2.Model.TYPE_EMBEDDING, model_pb2.Model.PROVIDER_CUSTOM

    async def names(**filters: Any) -> set[str]:
        reply = await world.models.ListModels(model_pb2.ListModelsRequest(**filters), metadata=administrator.metadata)
        return {found.name for found in reply.models}

    assert await names(type=embedding) == {"text-embedding-3-large", "local-embedding"}
    assert await names(type=embedding, provider=custom) == {"local-embedding"}
    first = await world.models.ListModels(model_pb2.ListModelsRequest(page_size=4), metadata=administrator.metadata)
    rest = model_pb2.ListModelsRequest(page_size=4, page_token=first.next_page_token)
    second = await world.models.ListModels(rest, metadata=administrator.metadata)
    assert (len(first.models), len(second.models), second.next_page_token) == (4, 2, "")


async def test_a_model_is_created_for_every_tenant(world: World) -> None:
    platform, administrator = await world.platform(), await world.tenant()
    request = _model("house-model", base_url="http://127.0.0.1:9/v1", supports_streaming=True)

    made = (await world.models.CreateModel(request, metadata=platform.metadata)).model

    seen = (await world.models.GetModel(model_pb2.GetModelRequest(id=made.id), metadata=administrator.metadata)).model
    assert (seen.name, seen.price) == ("house-model", request.price)
    assert (made.base_url, seen.HasField("base_url")) == ("http://127.0.0.1:9/v1", False)
    twin = await refused(world.models.CreateModel(request, metadata=platform.metadata))
    assert (twin.code, twin.reason) == (grpc.StatusCode.ALREADY_EXISTS, "MODEL_NAME_TAKEN")


async def test_an_answer_is_streamed_as_it_is_generated_and_its_record_is_there_with_its_end(world: World) -> None:
    administrator = await world.tenant()
    request = stream_pb2.StreamChatRequest(
        model="local-chat", messages=[_say("Count from one to ten.")], max_tokens=24, seed=1
    )

    events = [event async for event in world.models.StreamChat(request, metadata=administrator.metadata)]

    (log,) = await _logs(world, administrator)
    # A busy machine may be slow enough for a heartbeat.
    kinds = [kind for event in events if (kind := event.WhichOneof("event")) != "heartbeat"]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert (kinds[0], kinds[-2:]) == ("started", ["usage", "completed"])
    assert set(kinds[1:-2]) == {"delta"}
    assert kinds.count("delta") > 3
    assert events[0].started.call_log_id == log.id
    assert events[-2].usage == log.usage
    assert log.usage.completion_tokens == 24
    assert (log.status, log.finish_reason, log.kind) == (SUCCESS, chat_pb2.FINISH_REASON_LENGTH, log.KIND_CHAT)
    assert log.user_id == administrator.id
    assert log.latency.ToMilliseconds() >= log.time_to_first_token.ToMilliseconds() > 0
    assert log.usage.cost_usd == "0"


async def test_a_whole_answer_is_the_streamed_one_in_one_piece(world: World) -> None:
    administrator = await world.tenant()
    fields: dict[str, Any] = {
        "model": "local-chat",
        "messages": [_say("Name a colour.")],
        "max_tokens": 12,
        "temperature": 0,
        "seed": 3,
    }

    answer = await world.models.Chat(chat_pb2.ChatRequest(**fields), metadata=administrator.metadata)
    stream = world.models.StreamChat(stream_pb2.StreamChatRequest(**fields), metadata=administrator.metadata)
    text = "".join([event.delta.text async for event in stream if event.HasField("delta")])

    (_, log) = await _logs(world, administrator)
    assert (answer.message.role, answer.message.content) == (chat_pb2.ChatMessage.ROLE_ASSISTANT, text)
    assert (answer.model, answer.call_log_id, answer.usage) == ("local-chat", log.id, log.usage)


async def test_streams_that_are_cancelled_leave_the_model_to_others_and_are_on_record_with_what_they_used(
    world: World,
) -> None:
    await within(FREE_WITHIN, lambda: _free_after_streams_are_cancelled(world))


async def _free_after_streams_are_cancelled(world: World) -> float:
    """How long after as many streams as the model writes at once were cancelled another call was answered."""
    administrator = await world.tenant()
    request = stream_pb2.StreamChatRequest(
        model="local-chat", messages=[_say("Tell me a long story.")], max_tokens=LONG, temperature=0, seed=1
    )
    streams = [world.models.StreamChat(request, metadata=administrator.metadata) for _ in range(PARALLEL)]
    if not all(await asyncio.gather(*map(_has_begun, streams))):
        return inf

    cancelled_at = monotonic()
    for stream in streams:
        stream.cancel()
    other = chat_pb2.ChatRequest(model="local-chat", messages=[_say("Hello.")], max_tokens=1)
    answer = await world.models.Chat(other, metadata=administrator.metadata)
    took = monotonic() - cancelled_at

    async with asyncio.timeout(NOT_FOR_EVER):
        while len(logs := await _logs(world, administrator)) <= PARALLEL:  # who has left is not waited for
            pass
    left = [log for log in logs if log.id != answer.call_log_id]
    assert {log.status for log in left} == {call_log_pb2.CallLog.STATUS_CANCELLED}
    assert all(log.usage.prompt_tokens > 0 and 0 < log.usage.completion_tokens < LONG for log in left)
    assert all(log.HasField("time_to_first_token") for log in left)
    return took


async def _has_begun(stream: Any) -> bool:
    """Whether it has begun to answer, and goes on."""
    async for event in stream:
        if event.HasField("delta"):
            return not stream.done()
    return False


async def test_a_call_that_leaves_things_open_takes_the_tenants_settings(world: World) -> None:
    administrator = await world.tenant()
    settings = tenant_config_pb2.UpdateTenantConfigRequest(
        default_model="local-chat", default_embedding_model="local-embedding", max_tokens_per_request=5
    )
    await world.tenants.UpdateTenantConfig(settings, metadata=administrator.metadata)
    chat = chat_pb2.ChatRequest(messages=[_say("Tell me a long story.")], max_tokens=500)

    answer = await world.models.Chat(chat, metadata=administrator.metadata)
    embedded = await world.models.Embed(embedding_pb2.EmbedRequest(inputs=["a"]), metadata=administrator.metadata)

    assert (answer.model, answer.usage.completion_tokens) == ("local-chat", 5)
    assert embedded.model == "local-embedding"


async def test_a_call_without_a_model_and_without_a_default_is_refused(world: World) -> None:
    administrator = await world.tenant()

    for call in (
        world.models.Chat(chat_pb2.ChatRequest(messages=[_say("Hi")]), metadata=administrator.metadata),
        world.models.StreamChat(stream_pb2.StreamChatRequest(messages=[_say("Hi")]), metadata=administrator.metadata),
        world.models.Embed(embedding_pb2.EmbedRequest(inputs=["a"]), metadata=administrator.metadata),
    ):
        refusal = await refused(call)

        assert (refusal.code, refusal.reason, refusal.fields) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "MODEL_NOT_NAMED",
            ["model"],
        )


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("no-such-model", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("local-embedding", grpc.StatusCode.FAILED_PRECONDITION, "MODEL_KIND_MISMATCH"),
        ("gpt-4", grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_CONFIGURED"),
        ("retired", grpc.StatusCode.FAILED_PRECONDITION, "MODEL_DISABLED"),
    ],
)
async def test_a_model_that_cannot_be_called_says_why(
    world: World, admin: Any, name: str, code: grpc.StatusCode, reason: str
) -> None:
    platform, administrator = await world.platform(), await world.tenant()
    await world.models.CreateModel(_model("retired"), metadata=platform.metadata)
    await admin.execute("UPDATE models SET status = 'disabled' WHERE name = 'retired'")

    for call in (
        world.models.Chat(chat_pb2.ChatRequest(model=name, messages=[_say("Hi")]), metadata=administrator.metadata),
        world.models.StreamChat(
            stream_pb2.StreamChatRequest(model=name, messages=[_say("Hi")]), metadata=administrator.metadata
        ),
    ):
        refusal = await refused(call)

        assert (refusal.code, refusal.reason) == (code, reason)
    logged = 2 if reason == "MODEL_NOT_CONFIGURED" else 0
    assert len(await _logs(world, administrator)) == logged, "what the tenant can call is on record, and nothing else"


async def test_a_model_is_named_by_its_id_too(world: World) -> None:
    administrator = await world.tenant()
    listed = await world.models.ListModels(model_pb2.ListModelsRequest(), metadata=administrator.metadata)
    model_id = next(found.id for found in listed.models if found.name == "local-embedding")

    reply = await world.models.Embed(
        embedding_pb2.EmbedRequest(model=model_id, inputs=["a"]), metadata=administrator.metadata
    )

    assert reply.model == "local-embedding"


async def test_related_texts_lie_closer_than_unrelated_ones(world: World) -> None:
    administrator = await world.tenant()
    inputs = ["A cat sleeps by the window.", "A kitten naps in the sun.", "The quarterly revenue grew."]

    reply = await world.models.Embed(
        embedding_pb2.EmbedRequest(model="local-embedding", inputs=inputs), metadata=administrator.metadata
    )

    cat, kitten, revenue = [list(embedding.values) for embedding in reply.embeddings]
    (log,) = await _logs(world, administrator)
    assert [len(vector) for vector in (cat, kitten, revenue)] == [256] * 3
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-5)
    assert sum(a * b for a, b in zip(cat, kitten, strict=True)) > sum(a * b for a, b in zip(cat, revenue, strict=True))
    assert (log.kind, log.usage, log.status) == (log.KIND_EMBEDDING, reply.usage, SUCCESS)
    assert log.usage.prompt_tokens > 10


async def test_call_logs_are_found_by_who_what_when_and_trace(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "models:execute")
    trace = "ab" * 16
    embed = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a"])
    await world.models.Embed(embed, metadata=administrator.metadata)
    await world.models.Embed(embed, metadata=(*person.metadata, ("traceparent", f"00-{trace}-{'cd' * 8}-01")))
    newest, oldest = await _logs(world, administrator)
    hour = timedelta(hours=1)

    assert (newest.user_id, oldest.user_id) == (person.id, administrator.id)
    for filters, expected in (
        ({"user_id": person.id}, [newest]),
        ({"trace_id": trace}, [newest]),
        ({"model_id": newest.model_id}, [newest, oldest]),
        ({"status": SUCCESS}, [newest, oldest]),
        ({"status": call_log_pb2.CallLog.STATUS_ERROR}, []),
        ({"create_time_from": datetime.now(UTC) - hour}, [newest, oldest]),
        ({"create_time_from": datetime.now(UTC) + hour}, []),
        ({"create_time_until": datetime.now(UTC) - hour}, []),
    ):
        assert await _logs(world, administrator, **filters) == expected, filters
    page = await world.models.ListCallLogs(
        call_log_pb2.ListCallLogsRequest(page_size=1), metadata=administrator.metadata
    )
    rest = call_log_pb2.ListCallLogsRequest(page_size=1, page_token=page.next_page_token)
    following = await world.models.ListCallLogs(rest, metadata=administrator.metadata)
    assert [*page.call_logs, *following.call_logs] == [newest, oldest]


async def test_another_tenant_sees_no_call(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    await world.models.Embed(
        embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a"]), metadata=administrator.metadata
    )
    (log,) = await _logs(world, administrator)

    assert await _logs(world, other) == []
    assert await _logs(world, other, user_id=administrator.id) == []
    assert await _logs(world, other, trace_id=log.trace_id) == []
