"""What tests of every method start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from pydantic import SecretStr

from tests.databases import Scratch
from tests.factories.world import World
from tests.fakes.smtp import mailbox
from tests.rpc.changes.stage import Stage
from tests.servers import serving


@pytest.fixture
async def stage(scratch: Scratch) -> AsyncIterator[Stage]:
    async with mailbox() as box:
        settings = scratch.settings(smtp_url=SecretStr(box.url), mail_from="Atrium <no-reply@atrium.example>")
        async with serving(settings) as (app, port):
            administrator = await app.founding.first_platform_administrator()
            assert administrator is not None
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                world = World(channel, administrator)
                yield Stage(world, box, await world.tenant(), await world.platform())
