"""What tests of every method start from, and those of routes and prices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr

import server.gateway
from server.model.breakers import Breakers
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.fakes.smtp import mailbox
from tests.rpc.changes.stage import Stage
from tests.servers import serving

ROUTED = (
    *("stub-fast-1", "stub-fast-2", "stub-fast-3", "stub-flaky-1", "stub-flaky-2", "stub-flaky-9", "stub-cut-2"),
    *("stub-500", "stub-401", "stub-400", "stub-too-long", "stub-filtered", "stub-limited-60", "stub-silent"),
    *("stub-limited-2", "stub-no-credit", "stub-cut-tools", "stub-hang-up", "stub-cut-thoughts-5"),
    *("stub-flaky-thoughts-5", "stub-overloaded-2"),
)


@pytest.fixture
async def stage(scratch: Scratch) -> AsyncIterator[Stage]:
    async with mailbox() as box:
        settings = scratch.settings(smtp_url=SecretStr(box.url), mail_from="Atrium <no-reply@atrium.example>")
        async with serving(settings) as (app, port):
            administrator = await app.founding.first_platform_administrator()
            assert administrator is not None
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                world = World(channel, administrator)
                yield Stage(world, box, await world.tenant(), await world.platform(), partial(_hold, scratch))


async def _hold(scratch: Scratch, tenant_id: str) -> None:
    more = "INSERT INTO tenant_slots VALUES ($1, 1000) ON CONFLICT (tenant_id) DO UPDATE SET admitted = 1000"
    async with scratch.connect() as admin:
        await admin.execute(more, UUID(tenant_id))


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, as the server of a test that asks for this before it sees it: it stands still."""
    clock = [1_000.0]
    monkeypatch.setattr(server.gateway, "Breakers", partial(Breakers, lambda: clock[0]))
    return clock


@pytest.fixture
async def router(scratch: Scratch, stub: OpenAIStub) -> AsyncIterator[World]:
    """A server that knows the stub's models, each at 1 USD per 1,000 tokens, for routes to choose among, and that
    tenants may have models of their own at.
    """
    settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")}, private_model_addresses=True)
    async with (
        serving(settings) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        for name in ROUTED:
            await make_model(world, stub.base_url, name, usd=1)
        yield world
