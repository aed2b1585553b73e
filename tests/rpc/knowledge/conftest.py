"""What tests of documents start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest_asyncio

from tests.databases import Cluster, Scratch
from tests.factories.world import World
from tests.servers import serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(postgres: Cluster) -> AsyncIterator[Scratch]:
    """A database of the module's own."""
    async with postgres.clone() as scratch:
        yield scratch


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(shared: Scratch) -> AsyncIterator[World]:
    """A server of the module's own, which processes documents too; its tests run on the module's loop."""
    async with serving(shared.settings()) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield World(channel, administrator)
