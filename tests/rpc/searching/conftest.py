"""What tests of searches and answers start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from pydantic import SecretStr

from atrium.model.v1 import model_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

CHATS = ("stub-fast-3", "stub-parrot", "stub-500", "stub-cut-2", "stub-slow-2000", "stub-silent", "stub-fast-0")
EMBEDDERS = ("stub-embed-8", "stub-embed-16", "stub-embed-until", "stub-429")


@pytest.fixture
async def library(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that knows the stub's models, those that chat at 1 USD per 1,000 tokens."""
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")}, private_model_addresses=True)
    async with (
        serving(settings) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        for name in CHATS:
            await make_model(world, stub.base_url, name, usd=1)
        embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "supports_streaming": False}
        for name in EMBEDDERS:
            await make_model(world, stub.base_url, name, dimensions=16 if name.endswith("16") else 8, **embeds)
        yield world
