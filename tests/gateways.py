"""Two servers on one database that know a stubbed provider's models, and what is asked of these.

A pytest plugin: the top conftest names it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, model_pb2, stream_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

CHATS = (
    *("stub-tools-2", "stub-fast-3", "stub-slow-30", "stub-stall-2", "stub-cut-2", "stub-silent"),
    *("stub-no-usage", "stub-endless-9", "stub-401", "stub-wrong-index-2"),
)
EMBEDDERS = (
    *("stub-embed-8", "stub-embed-most-4", "stub-embed-most-0", "stub-embed-most-1", "stub-500"),
    *("stub-embed-down-3", "stub-embed-stall", "stub-embed-costly-600", "stub-no-credit"),
)
NOT_FOR_EVER = 20.0


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
        for name in CHATS:
            calls_tools = name != "stub-fast-3"
            await make_model(worlds[0], stub.base_url, name, supports_function_calling=calls_tools)
        embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
        for name in EMBEDDERS:
            await make_model(worlds[0], stub.base_url, name, **embeds)
        yield worlds[0], worlds[1]


@pytest.fixture
def gateway(gateways: tuple[World, World]) -> World:
    return gateways[0]


def said(name: str, **fields: Any) -> dict[str, Any]:
    """The fields of a call of that model."""
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="four words of prompt")
    return {"model": name, "messages": [message], **fields}


async def chat_with(world: World, person: Person, name: str, **fields: Any) -> chat_pb2.ChatResponse:
    """A whole answer of that model."""
    request = chat_pb2.ChatRequest(**said(name, **fields))
    return await world.models.Chat(request, metadata=person.metadata, timeout=NOT_FOR_EVER)


def stream_from(world: World, person: Person, name: str = "", **fields: Any) -> Any:
    """A stream of that model, or (without one) of what the fields name."""
    request = stream_pb2.StreamChatRequest(**(said(name, **fields) if name else fields))
    return world.models.StreamChat(request, metadata=person.metadata, timeout=NOT_FOR_EVER)


def kinds_of(events: Iterable[stream_pb2.StreamChatResponse]) -> list[str | None]:
    """What each of the events is."""
    return [event.WhichOneof("event") for event in events]


async def logs_of(world: World, person: Person) -> list[call_log_pb2.CallLog]:
    """The records of the tenant's calls, the oldest first."""
    reply = await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(), metadata=person.metadata)
    return list(reversed(reply.call_logs))


async def embed_with(
    world: World, person: Person, name: str, inputs: list[str], **fields: Any
) -> embedding_pb2.EmbedResponse:
    """The vectors of that model."""
    request = embedding_pb2.EmbedRequest(model=name, inputs=inputs, **fields)
    return await world.models.Embed(request, metadata=person.metadata, timeout=NOT_FOR_EVER)


def vectors_of(reply: embedding_pb2.EmbedResponse) -> list[list[float]]:
    """The vectors, in the order of the texts; none where there is none."""
    return [list(embedding.values) for embedding in reply.embeddings]
