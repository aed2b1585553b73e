"""What tests of a provider's failures start from."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest_asyncio
from pydantic import SecretStr

from tests.databases import Cluster
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.faults.upstream import Upstream
from tests.servers import serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream(postgres: Cluster) -> AsyncIterator[Upstream]:
    """A server of the module's own; its tests run on the module's loop."""
    async with OpenAIStub() as stub, postgres.clone() as scratch, _refusing() as down:
        settings = scratch.settings(provider_keys=dict.fromkeys((stub.base_url, down), SecretStr("")), pool_size=1)
        async with serving(settings) as (app, port):
            administrator = await app.founding.first_platform_administrator()
            assert administrator is not None
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                world = World(channel, administrator)
                yield Upstream(world, stub, await world.tenant(), port, scratch, down)


@asynccontextmanager
async def _refusing() -> AsyncIterator[str]:
    """Where a provider would be whose port refuses connections: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
